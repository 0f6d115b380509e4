"""Commands and states: create, start, exec, kill, pause, update, delete, hooks, bad input."""
import json
import os
import signal
import subprocess
import threading
import time

import pytest

SPEC_TESTS = os.environ.get("OCI_SPEC_TESTS", "")


def until(check, seconds=10):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_states(box, tmp_path):
    box.args("echo started", "pause")
    box.create("--pid-file", tmp_path / "pid")
    st = box.get_state()
    assert st["status"] == "created" and st["id"] == "c" and st["bundle"] == str(box.bundle)
    assert int((tmp_path / "pid").read_text()) == st["pid"]
    assert box.output() == ""
    box.ok("start", "c")
    assert box.status() == "running"
    until(lambda: box.output() == "started\n")
    assert box.oci("start", "c").code == 1
    assert "not stopped" in box.oci("delete", "c").err
    box.ok("kill", "c", "KILL")
    until(lambda: box.status() == "stopped")
    assert "container not running" in box.oci("kill", "c").err
    box.ok("delete", "c")
    assert "does not exist" in box.oci("state", "c").err


def test_exit_codes(box):
    assert box.run("exit 0").code == 0
    assert box.run("exit 42").code == 42


def test_id_is_taken(box):
    box.start()
    assert box.create(check=False) == 1
    assert "already exists" in (box.tmp / "err").read_text()
    assert box.status() == "running"


@pytest.mark.parametrize("name", ["..", "a/b", "", "a b", "x" * 2000])
def test_bad_id(box, name):
    box.save()
    assert box.oci("create", "--bundle", box.bundle, name).code == 1


def test_list(box):
    box.start()
    got = json.loads(box.ok("list", "--format", "json").out)
    assert [(c["id"], c["status"]) for c in got] == [("c", "running")]
    assert box.ok("list", "-q").lines == ["c"]


def test_a_failed_start_leaves_nothing(box):
    box.config["process"]["args"] = ["/nosuch"]
    assert box.create(check=False) == 1
    assert box.oci("state", "c").code == 1
    assert not [d for d in box.cgroup_dirs() if os.path.exists(d + "/c")]


def test_init_killed_while_created(box):
    box.args("id")
    box.create()
    os.kill(box.get_state()["pid"], signal.SIGKILL)
    until(lambda: box.status() == "stopped")
    assert box.oci("start", "c").code == 1
    box.ok("delete", "c")


# ---- exec ----

def test_exec(box):
    box.start()
    r = box.exec("/init", "pid", "+", "cat", "/proc/1/cmdline", "+", "cwd", "+", "fds")
    assert r.code == 0 and r.lines[0] != "1" and "/init\0pause" in r.out
    assert r.lines[-1].split() == ["0", "1", "2"]


def test_exec_exit_code(box):
    box.start()
    assert box.exec("/init", "exit", "7").code == 7


def test_exec_shares_all_namespaces(box):
    box.start()
    pid = box.get_state()["pid"]
    for name in ("pid", "net", "ipc", "uts", "mnt", "cgroup"):
        r = box.exec("/init", "link", "/proc/self/ns/" + name)
        assert r.out.strip() == os.readlink("/proc/%d/ns/%s" % (pid, name))


def test_exec_flags(box):
    box.start()
    r = box.exec("/init", "id", "+", "env", "+", "cwd", "+", "status", "CapEff",
                 options=["--user", "5:6", "-g", "9", "--env", "X=y", "--cwd", "/tmp"])
    assert r.lines[0] == "5 6 9" and "X=y" in r.lines and "/tmp" in r.lines


def test_exec_process_file(box, tmp_path):
    box.start()
    p = {"args": ["/init", "echo", "by", "file"], "cwd": "/", "user": {"uid": 0, "gid": 0}}
    (tmp_path / "p.json").write_text(json.dumps(p))
    assert box.oci("exec", "--process", tmp_path / "p.json", "c").out == "by file\n"


def test_exec_in_the_cgroup(box):
    box.start()
    assert "%s/c" % box.cgroup in open("/proc/%d/cgroup" % box.get_state()["pid"]).read()
    box.namespaces(drop=("cgroup",))
    r = box.exec("/init", "cat", "/proc/self/cgroup")
    assert r.code == 0


def test_exec_drops_capabilities(box):
    box.start()
    inside = box.exec("/init", "status", "CapBnd").out
    assert inside == "CapBnd:\t%016x\n" % ((1 << 29) | (1 << 5) | (1 << 10))


def test_exec_not_found(box):
    box.start()
    r = box.exec("nosuch")
    assert r.code == 255 and 'exec: "nosuch": executable file not found in $PATH' in r.err


def test_exec_terminal(box):
    box.start()
    master, slave = os.openpty()
    p = subprocess.Popen([box.runtime, "--root", box.state, "exec", "-t", "c", "/init", "tty"],
                         stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    out = b""
    while b"\n" not in out:
        out += os.read(master, 1000)
    assert p.wait(10) == 0
    os.close(master)
    assert out.startswith(b"111 /dev/pts/0")


def test_exec_detached(box, tmp_path):
    box.start()
    box.ok("exec", "-d", "--pid-file", tmp_path / "pid", "c", "/init", "write", "/data/x", "y",
           stdin=None)
    until(lambda: (box.rootfs / "data" / "x").exists())
    assert (tmp_path / "pid").read_text()


def test_exec_in_a_stopped_container(box):
    box.start("exit 0")
    until(lambda: box.status() == "stopped")
    r = box.exec("/init", "id")
    assert r.code == 255 and "stopped" in r.err


def test_many_execs_at_once(box):
    box.start()
    codes = []
    threads = [threading.Thread(target=lambda: codes.append(box.exec("/init", "exit", "3").code))
               for _ in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert codes == [3] * 20


# ---- kill, pause, update ----

def test_kill_all_without_pid_namespace(box):
    box.namespaces(drop=("pid",))
    box.start("child", "child", "pause")
    until(lambda: len(json.loads(box.ok("ps", "-f", "json", "c").out)) == 3)
    box.ok("kill", "--all", "c", "KILL")
    until(lambda: box.status() == "stopped")
    box.ok("delete", "c")


@pytest.mark.parametrize("sig", ["TERM", "SIGTERM", "15", "sigterm"])
def test_signal_names(box, sig):
    box.start("signals")
    until(lambda: "waiting" in box.output())
    box.ok("kill", "c", sig)
    until(lambda: "signal 15" in box.output())


def test_unknown_signal(box):
    box.start()
    assert "unknown signal" in box.oci("kill", "c", "NOSUCH").err


def test_pause_and_resume(box):
    box.start("signals")
    until(lambda: "waiting" in box.output())
    box.ok("pause", "c")
    assert box.status() == "paused"
    assert "paused" in box.exec("/init", "id").err
    box.ok("kill", "c", "USR1")
    time.sleep(0.05)
    assert "signal" not in box.output()
    box.ok("resume", "c")
    until(lambda: "signal 10" in box.output())
    assert "not paused" in box.oci("resume", "c").err


def test_delete_force_of_a_paused_container(box):
    box.start()
    box.ok("pause", "c")
    box.ok("delete", "--force", "c")
    assert box.oci("state", "c").code == 1


def test_delete_force_of_nothing(box):
    assert box.oci("delete", "--force", "nosuch").code == 0
    assert box.oci("delete", "nosuch").code == 1


def test_limits(box):
    box.config["linux"]["resources"].update(
        memory={"limit": 33554432}, pids={"limit": 8},
        cpu={"shares": 512, "quota": 20000, "period": 100000})
    box.start("forks 20", "pause")
    until(lambda: "forks" in box.output())
    assert box.output() == "forks: 7\n"
    assert box.cgroup_read(("memory", "memory.limit_in_bytes"), "memory.max") == "33554432"
    assert box.cgroup_read(("cpu", "cpu.shares"), "nosuch") in ("512", None)
    assert box.cgroup_read(("cpu", "cpu.cfs_quota_us"), "cpu.max") in ("20000", "20000 100000")
    box.ok("update", "--pids-limit", "20", "--memory", "67108864", "c")
    assert box.cgroup_read(("pids", "pids.max"), "pids.max") == "20"
    assert box.cgroup_read(("memory", "memory.limit_in_bytes"), "memory.max") == "67108864"


def test_update_from_json(box, tmp_path):
    box.start()
    (tmp_path / "r.json").write_text('{"pids": {"limit": 33}}')
    box.ok("update", "--resources", tmp_path / "r.json", "c")
    assert box.cgroup_read(("pids", "pids.max"), "pids.max") == "33"


def test_out_of_memory(box):
    box.config["linux"]["resources"]["memory"] = {"limit": 16 << 20, "swap": 16 << 20}
    assert box.run("mem 64").code == 137


def test_unified_limits(box):
    """Written as they are on cgroup v2; an error elsewhere, not silence."""
    box.config["linux"]["resources"]["unified"] = {"memory.high": "20000000", "pids.max": "7"}
    if not os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        r = box.run("id")
        assert r.code != 0 and "needs cgroup v2" in r.err, r
        return
    box.start("pause")
    assert box.cgroup_read(("none", "none"), "pids.max") == "7"
    assert 19 << 20 < int(box.cgroup_read(("none", "none"), "memory.high")) <= 20000000
    box.ok("delete", "--force", "c")
    for bad in ("../x.y", "nodot", "memory.nosuch"):
        box.config["linux"]["resources"]["unified"] = {bad: "1"}
        r = box.run("id")
        assert r.code != 0 and bad in r.err, r


def test_huge_pages(box):
    size = sorted(os.listdir("/sys/kernel/mm/hugepages") or [""])[-1] \
        if os.path.isdir("/sys/kernel/mm/hugepages") else ""
    controllers = "/sys/fs/cgroup/cgroup.controllers"
    if not os.path.exists(controllers) or "hugetlb" not in open(controllers).read() or not size:
        pytest.skip("no cgroup v2 with a controller of huge pages")
    name = "%dMB" % (int(size.split("-")[1][:-2]) >> 10)
    box.config["linux"]["resources"]["hugepageLimits"] = [{"pageSize": name, "limit": 4 << 30}]
    box.start("pause")
    for kind in ("max", "rsvd.max"):
        assert box.cgroup_read(("none", "none"), "hugetlb.%s.%s" % (name, kind)) == str(4 << 30)
    box.ok("delete", "--force", "c")
    box.config["linux"]["resources"]["hugepageLimits"] = [{"pageSize": "../3MB", "limit": 1}]
    r = box.run("id")
    assert r.code != 0 and "3MB" in r.err, r


def test_cpuset(box):
    box.config["linux"]["resources"]["cpu"] = {"cpus": "0"}
    assert box.lines("status Cpus_allowed_list")[0].split()[-1] == "0"


def test_ps(box):
    box.start("child", "pause")
    until(lambda: len(json.loads(box.ok("ps", "-f", "json", "c").out)) == 2)
    out = box.ok("ps", "c").lines
    assert "PID" in out[0] and len(out) == 3


def test_cgroup_of_its_own_is_deleted(box):
    """What the container makes below its cgroup goes with it."""
    box.start()
    for d in box.cgroup_dirs():
        os.mkdir(d + "/c/inner")
    box.ok("delete", "--force", "c")


# ---- hooks ----

def hook(box, name, script):
    path = box.tmp / (name + ".sh")
    path.write_text("#!/bin/sh\n" + script)
    os.chmod(path, 0o755)
    return {"path": str(path), "args": [name, "arg"], "env": ["FROM=hook"]}


def test_hooks_run_in_order(box):
    log = box.tmp / "log"
    names = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
    script = "s=$(cat); echo $0 $1 $FROM $s >> %s" % log
    box.config["hooks"] = {n: [hook(box, n, script)] for n in names}
    box.lines("id")
    lines = log.read_text().splitlines()
    seen = [line.split()[0].rsplit("/", 1)[-1] for line in lines]
    assert seen == ["prestart.sh", "createRuntime.sh", "createContainer.sh", "poststart.sh",
                    "poststop.sh"]
    states = [json.loads(line[line.index("{"):]) for line in lines]
    assert all(s["id"] == "c" and s["bundle"] == str(box.bundle) for s in states)
    assert [s["status"] for s in states] == ["creating", "creating", "creating", "running",
                                            "stopped"]
    assert states[0]["pid"] > 1


def test_start_hook_runs_inside(box):
    box.config["hooks"] = {"startContainer": [{"path": "/init", "args": ["init", "write",
                                                                         "/data/hooked", "yes"]}]}
    box.lines("cat /data/hooked")
    assert (box.rootfs / "data/hooked").read_text() == "yes"


@pytest.mark.parametrize("name", ["prestart", "createRuntime", "createContainer"])
def test_failing_hook(box, name):
    box.config["hooks"] = {name: [hook(box, name, "echo went wrong >&2; exit 3")]}
    r = box.run("echo started")
    assert r.code == 1 and "started" not in r.out
    assert name in r.err and "exit status 3" in r.err and "went wrong" in r.err


def test_hook_timeout(box):
    h = hook(box, "prestart", "exec sleep 100")
    h["timeout"] = 1
    box.config["hooks"] = {"prestart": [h]}
    r = box.run("id")
    assert r.code == 1 and "timed out" in r.err


# ---- bad input ----

@pytest.mark.parametrize("text, want", [
    ("", "config.json"), ("{", "config.json"), ("[]", "config.json"), ('{"ociVersion": 1}', "ociVersion"),
    ('{"ociVersion": "9.0"}', "9.0"), ('{"ociVersion": "1.0.2"}', "process"),
])
def test_bad_config(box, text, want):
    box.bundle.joinpath("config.json").write_text(text)
    r = box.oci("run", "--bundle", box.bundle, "c")
    assert r.code == 1 and want in r.err, r


@pytest.mark.parametrize("path, value, want", [
    (("linux", "resources", "memory"), {"limit": "x"}, "linux.resources.memory.limit"),
    (("linux", "maskedPaths"), "x", "linux.maskedPaths"),
    (("process", "user"), {"uid": -1}, "process.user.uid"),
    (("mounts",), [{"type": "proc"}], "destination"),
    (("linux", "intelRdt"), {"closID": "x"}, "not implemented"),
    (("linux", "rootfsPropagation"), "sideways", "rootfsPropagation"),
])
def test_bad_member(box, path, value, want):
    at = box.config
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    r = box.run("id")
    assert r.code == 1 and want in r.err, r


def test_errors_go_to_the_log(box, tmp_path):
    box.config["process"]["args"] = ["nosuch"]
    box.save()
    box.oci("--log", tmp_path / "log", "--log-format", "json", "run", "--bundle", box.bundle, "c")
    last = json.loads((tmp_path / "log").read_text().splitlines()[-1])
    assert last["level"] == "error" and "nosuch" in last["msg"] and last["time"]


def test_features(box):
    f = json.loads(box.ok("features").out)
    assert f["ociVersionMax"] and "SCMP_ACT_ERRNO" in f["linux"]["seccomp"]["actions"]
    assert "rro" in f["mountOptions"] and "CAP_CHOWN" in f["linux"]["capabilities"]


def test_unknown_words(box):
    assert "no such command" in box.oci("nosuch").err
    assert "not defined" in box.oci("run", "--nosuch", "c").err
    assert box.oci("--version").out.startswith("cleat-oci version")
    assert "create" in box.oci("--help").out


def test_runs_from_a_sealed_copy(box):
    """CVE-2019-5736: the program cannot be written through /proc/<pid>/exe."""
    box.args("signals")
    box.save()
    p = subprocess.Popen([box.runtime, "--root", box.state, "run", "--bundle", str(box.bundle),
                          "c"], stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "waiting\n"
    assert "memfd:" in os.readlink("/proc/%d/exe" % p.pid)
    with pytest.raises(OSError):
        os.open("/proc/%d/exe" % p.pid, os.O_WRONLY)
    p.send_signal(signal.SIGTERM)
    p.wait(10)
    p.stdout.close()


def test_proc_self_exe_is_not_us(box):
    """An image whose program is /proc/self/exe gets our sealed copy at most."""
    before = open(box.runtime, "rb").read()
    box.config["process"]["args"] = ["/proc/self/exe", "--version"]
    box.run()
    assert open(box.runtime, "rb").read() == before


def test_twenty_at_once(box):
    box.args("exit 5")
    box.config["linux"]["cgroupsPath"] = ""
    box.save()
    procs = [subprocess.Popen([box.runtime, "--root", box.state, "run", "--bundle",
                               str(box.bundle), "c%d" % i], stdin=subprocess.DEVNULL)
             for i in range(20)]
    assert [p.wait(30) for p in procs] == [5] * 20
