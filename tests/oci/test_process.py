"""The process: user, capabilities, limits, environment, program look-up, filters, terminal."""
import array
import ctypes
import fcntl
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import termios
import time

import pytest

CAPS = {"CAP_CHOWN": 0, "CAP_KILL": 5, "CAP_NET_RAW": 13, "CAP_SYS_CHROOT": 18}


def test_user_and_groups(box):
    box.config["process"]["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [5, 6]}
    assert box.lines("id") == ["1000 1001 5 6"]


def test_umask(box):
    assert box.lines("umask") == ["022"]
    box.config["process"]["user"]["umask"] = 0o77
    assert box.lines("umask") == ["077"]


def test_home_comes_from_passwd(box):
    (box.rootfs / "etc/passwd").write_text("root:x:0:0:r:/root:/bin/sh\nx:x:7:7::/home/x:\n")
    assert "HOME=/root" in box.lines("env")
    box.config["process"]["user"] = {"uid": 7, "gid": 7}
    assert "HOME=/home/x" in box.lines("env")
    box.config["process"]["user"] = {"uid": 8, "gid": 8}
    assert "HOME=/" in box.lines("env")
    box.config["process"]["env"].append("HOME=/mine")
    assert "HOME=/mine" in box.lines("env")


def test_environment_and_cwd(box):
    box.config["process"]["env"] = ["A=b c", "E="]
    box.config["process"]["cwd"] = "/made/here"
    out = box.lines("env", "cwd")
    assert out == ["A=b c", "E=", "HOME=/", "/made/here"]


def masks(box):
    out = box.lines("status Cap")
    return {k: int(v, 16) for k, v in (line.split(":\t") for line in out)}


def test_capabilities(box):
    names = list(CAPS)
    want = sum(1 << n for n in CAPS.values())
    box.config["process"]["capabilities"] = {"bounding": names, "effective": names,
                                             "permitted": names}
    got = masks(box)
    assert got["CapBnd"] == got["CapEff"] == got["CapPrm"] == want
    assert got["CapInh"] == got["CapAmb"] == 0


def test_no_capabilities(box):
    del box.config["process"]["capabilities"]
    assert set(masks(box).values()) == {0}


def test_ambient_for_a_user(box):
    box.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    names = ["CAP_NET_RAW"]
    box.config["process"]["capabilities"] = {
        k: names for k in ("bounding", "effective", "permitted", "inheritable", "ambient")}
    assert set(masks(box).values()) == {1 << 13}


def test_user_loses_capabilities(box):
    box.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    got = masks(box)
    assert got["CapEff"] == got["CapPrm"] == 0 and got["CapBnd"] != 0


def test_unknown_capability_is_a_warning(box):
    box.config["process"]["capabilities"]["bounding"].append("CAP_NOSUCH")
    r = box.run("id")
    assert r.code == 0 and "warning" in r.err


def test_rlimits(box):
    box.config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
                                        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
    assert box.lines("rlimit 7", "rlimit 4") == ["100 200", "0 0"]


def test_raising_a_hard_limit(box):
    """Allowed, or a warning without CAP_SYS_RESOURCE; never a failure."""
    box.config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 4000000,
                                         "hard": 4000000}]
    r = box.run("rlimit 7")
    assert r.code == 0, r
    assert r.lines[0] in ("4000000 4000000",) or "could not be raised" in r.err


def test_bad_rlimit(box):
    box.config["process"]["rlimits"] = [{"type": "RLIMIT_NOSUCH", "soft": 1, "hard": 1}]
    r = box.run("id")
    assert r.code == 1 and "RLIMIT_NOSUCH" in r.err


def test_oom_score(box):
    box.config["process"]["oomScoreAdj"] = 321
    assert box.lines("cat /proc/self/oom_score_adj") == ["321"]


def test_no_new_privileges(box):
    for on in (True, False):
        box.config["process"]["noNewPrivileges"] = on
        assert box.lines("status NoNewPrivs") == ["NoNewPrivs:\t%d" % on]


def test_scheduling(box):
    box.config["process"]["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}
    box.config["process"]["ioPriority"] = {"class": "IOPRIO_CLASS_IDLE", "priority": 0}
    assert box.lines("sched") == ["3 5 3"]


def test_personality(box):
    box.config["linux"]["personality"] = {"domain": "LINUX32"}
    assert box.lines("uts")[0].split()[-1] in ("i686", "armv8l")


def test_sysctl(box):
    box.config["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.shmmni": "99"}
    assert box.lines("cat /proc/sys/net/ipv4/ip_forward", "cat /proc/sys/kernel/shmmni") == \
        ["1", "99"]


@pytest.mark.parametrize("key", ["kernel.panic", "vm.swappiness", "net.../x", "a"])
def test_sysctl_of_the_host(box, key):
    box.config["linux"]["sysctl"] = {key: "1"}
    r = box.run("id")
    assert r.code == 1 and "sysctl" in r.err


def test_keyring(box):
    """Another session keyring than ours: its serial differs."""
    out = box.lines("call 250 0", "status Seccomp")  # KEYCTL_GET_KEYRING_ID
    assert len(out) >= 2


# ---- program ----

@pytest.mark.parametrize("args, text", [
    (["nosuch"], 'exec: "nosuch": executable file not found in $PATH'),
    (["/nosuch"], 'exec: "/nosuch": stat /nosuch: no such file or directory'),
    (["/etc"], 'exec: "/etc": is a directory'),
    (["/data/noexec"], 'exec: "/data/noexec": permission denied'),
    (["/data/garbage"], "exec /data/garbage: exec format error"),
    (["/data/script"], "exec /data/script: no such file or directory"),
])
def test_cannot_execute(box, args, text):
    for name, mode, content in (("noexec", 0o644, "x"), ("garbage", 0o755, "\1\2"),
                                ("script", 0o755, "#!/nosuch\n")):
        (box.rootfs / "data" / name).write_text(content)
        os.chmod(box.rootfs / "data" / name, mode)
    box.config["process"]["args"] = args
    r = box.run()
    assert r.code == 1 and text in r.err, r


def test_path_look_up(box):
    os.rename(box.rootfs / "init", box.rootfs / "bin" / "tool")
    box.config["process"]["args"] = ["tool", "echo", "found"]
    assert box.run().out == "found\n"


def test_stopped_by_signal_is_128_plus(box):
    box.start("pause")
    box.ok("kill", "c", "KILL")
    r = box.oci("delete", "--force", "c")
    assert r.code == 0


@pytest.mark.parametrize("field, value, text", [
    ("args", [], "process.args"), ("cwd", "relative", "absolute"), ("args", [""], "process.args"),
])
def test_bad_process(box, field, value, text):
    box.config["process"][field] = value
    r = box.run()
    assert r.code == 1 and text in r.err


# ---- seccomp ----

def test_seccomp(box):
    box.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["getpriority", "nosuchcall"], "action": "SCMP_ACT_ERRNO",
                      "errnoRet": 33}]}
    for nnp in (True, False):
        box.config["process"]["noNewPrivileges"] = nnp
        out = box.lines("call 140 0", "status Seccomp:", "status CapEff")
        assert out[0] == "140: EDOM" and out[1].endswith("2")


def test_seccomp_default_errno_and_newer_calls(box):
    box.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [{"names": ["read", "write", "exit_group", "execve", "brk", "arch_prctl",
                                "set_tid_address", "set_robust_list", "rseq", "mprotect",
                                "prlimit64", "readlink", "readlinkat", "getrandom", "newfstatat",
                                "mmap", "munmap", "fstat", "futex_waitv", "capset", "prctl",
                                "close"],
                      "action": "SCMP_ACT_ALLOW"}]}
    assert box.lines("call 39", "call 460") == ["39: EPERM", "460: ENOSYS"]


def test_bad_seccomp(box):
    box.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_MAYBE"}
    r = box.run("id")
    assert r.code == 1 and "SCMP_ACT_MAYBE" in r.err


# ---- terminal ----

def recv_console(sock):
    conn, _ = sock.accept()
    with conn:
        fds = array.array("i")
        _, anc, _, _ = conn.recvmsg(64, socket.CMSG_LEN(4))
        fds.frombytes(anc[0][2][:4])
        return fds[0]


def read_all(fd, seconds=10):
    out, end = b"", time.monotonic() + seconds
    while time.monotonic() < end:
        ready, _, _ = select.select([fd], [], [], 0.2)
        if not ready:
            continue
        try:
            got = os.read(fd, 4096)
        except OSError:
            break
        if not got:
            break
        out += got
    return out.decode()


def listen(path):
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(path))
    s.listen(1)
    return s


def test_console_socket(box, tmp_path):
    box.config["process"]["terminal"] = True
    box.config["process"]["consoleSize"] = {"height": 30, "width": 100}
    box.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    box.args("tty", "stat /dev/console", "stat /dev/pts/0")
    with listen(tmp_path / "s") as sock:
        box.create("--console-socket", tmp_path / "s")
        master = recv_console(sock)
    box.ok("start", "c")
    out = read_all(master).replace("\r", "").splitlines()
    os.close(master)
    assert out[0] == "111 /dev/pts/0 30 100 sid=1"
    assert out[1].startswith("chr ") and " 1000:" in out[2]


def test_terminal_in_the_foreground(box):
    box.config["process"]["terminal"] = True
    box.args("tty", "echo done")
    box.save()
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 44, 0, 0))
    p = subprocess.Popen([box.runtime, "--root", box.state, "run", "--bundle", str(box.bundle),
                          "c"], stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    out = read_all(master)
    assert p.wait(10) == 0
    os.close(master)
    assert "111 /dev/pts/0 33 44 sid=1" in out and "done" in out


def test_terminal_needs_a_socket(box):
    box.config["process"]["terminal"] = True
    box.args("id")
    assert box.create(check=False) == 1
    assert "console socket" in (box.tmp / "err").read_text()


# ---- descriptors, signals ----

def test_preserve_fds(box, tmp_path):
    (tmp_path / "f").write_text("from outside\n")
    box.args("fds", "cat /proc/self/fd/4")
    box.save()
    script = "exec 3</dev/null 4<%s; exec \"$@\"" % (tmp_path / "f")
    p = subprocess.run(["sh", "-c", script, "sh", box.runtime, "--root", box.state, "run",
                        "--bundle", str(box.bundle), "--preserve-fds", "2", "c"],
                       capture_output=True, text=True, timeout=box.seconds)
    assert p.stdout.splitlines() == ["0 1 2 3 4 ", "from outside"], p


@pytest.mark.parametrize("cwd", ["/proc/self/fd/%d" % fd for fd in range(3, 12)])
def test_cwd_cannot_leave(box, cwd):
    """CVE-2024-21626: a working directory through a leaked descriptor."""
    box.config["process"]["cwd"] = cwd
    r = box.run("cwd")
    assert r.code != 0 and "/bundle" not in r.out


def test_signals_are_forwarded(box):
    box.args("signals")
    box.save()
    p = subprocess.Popen([box.runtime, "--root", box.state, "run", "--bundle", str(box.bundle),
                          "c"], stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "waiting\n"
    p.send_signal(signal.SIGUSR1)
    assert p.stdout.readline() == "signal %d\n" % signal.SIGUSR1
    p.send_signal(signal.SIGTERM)
    assert p.stdout.readline() == "signal %d\n" % signal.SIGTERM
    assert p.wait(10) == 0
    p.stdout.close()


def ignore_signal_32():
    """Signal 32 is the C library's own: only a system call can ignore it."""
    rt_sigaction = {"x86_64": 13, "aarch64": 134}[os.uname().machine]
    ctypes.CDLL(None).syscall(rt_sigaction, 32, struct.pack("LLLL", 1, 0, 0, 0), None, 8)


def test_signal_dispositions_are_reset(box):
    box.args("status SigIgn", "status SigBlk")
    box.save()
    p = subprocess.run(["sh", "-c", "trap '' TERM USR1; exec \"$@\"", "sh", box.runtime, "--root",
                        box.state, "run", "--bundle", str(box.bundle), "c"], capture_output=True,
                       text=True, timeout=box.seconds, preexec_fn=ignore_signal_32)
    assert [int(line.split()[1], 16) for line in p.stdout.splitlines()] == [0, 0], p


# ---- AppArmor ----

def test_a_profile_that_cannot_be_applied(box):
    """Refused, whether the kernel has no AppArmor or no such profile; never run without."""
    box.config["process"]["apparmorProfile"] = "cleat-test-missing"
    r = box.run("id")
    assert r.code != 0 and "AppArmor profile cleat-test-missing" in r.err, r
    assert "is not loaded" in r.err or "this machine has no AppArmor" in r.err
    box.config["process"]["apparmorProfile"] = "unconfined"
    assert box.run("id").code == 0
