"""What a container may and may not do, seen from inside and in its cgroup."""
import os
import re
import tarfile

import pytest

import cleat
import images

DEFAULT_CAPS = "00000000a80425fb"  # the 14 of Docker's default


def inside(daemon, script, code=0, **body):
    """Run a script in a container; its output."""
    api = daemon.api
    cid = api.ok("POST", "/containers/create",
                 {"Image": "busybox", "Cmd": ["sh", "-c", script], **body})["Id"]
    try:
        r = api.post("/containers/%s/start" % cid)
        assert r.status == 204, r
        got = api.ok("POST", "/containers/%s/wait" % cid)["StatusCode"]
        out, err = cleat.demux(api.get("/containers/%s/logs" % cid, stdout=1, stderr=1).body)
        assert code is None or got == code, (got, out, err)
        return out.decode()
    finally:
        api.delete("/containers/" + cid, force=1, v=1)


def status(daemon, **body):
    out = inside(daemon, "cat /proc/self/status", **body)
    return dict(re.findall(r"^(\w+):\s*(.*)$", out, re.M))


def host(**settings):
    return {"HostConfig": settings}


# ---- capabilities, seccomp, privileges ----

def test_default_capabilities(daemon):
    s = status(daemon)
    assert s["CapBnd"] == s["CapPrm"] == s["CapEff"] == DEFAULT_CAPS
    assert int(s["CapInh"], 16) == 0 and int(s["CapAmb"], 16) == 0


def test_capabilities_of_another_user(daemon):
    s = status(daemon, User="1000")
    assert int(s["CapEff"], 16) == int(s["CapPrm"], 16) == 0 and s["CapBnd"] == DEFAULT_CAPS


@pytest.mark.parametrize("settings,bits", [
    ({"CapDrop": ["ALL"]}, 0), ({"CapDrop": ["all"], "CapAdd": ["CHOWN"]}, 1),
    ({"CapDrop": ["CAP_CHOWN"]}, 0xa80425fa), ({"CapAdd": ["NET_ADMIN"]}, 0xa80435fb),
    ({"CapAdd": ["cap_sys_time"]}, 0xaa0425fb)])
def test_added_and_dropped_capabilities(daemon, settings, bits):
    s = status(daemon, **host(**settings))
    assert int(s["CapEff"], 16) == int(s["CapBnd"], 16) == bits


def test_privileged(daemon):
    s = status(daemon, **host(Privileged=True))
    with open("/proc/self/status", encoding="utf-8") as f:
        mine = re.search(r"CapBnd:\s*(\w+)", f.read()).group(1)
    assert s["CapEff"] == s["CapBnd"] == mine and s["Seccomp"] == "0"
    out = inside(daemon, "ls /dev | wc -l; mount -t tmpfs x /mnt || mkdir /mnt && "
                 "mount -t tmpfs x /mnt && echo mounted; ls -d /proc/sys", **host(Privileged=True))
    assert "mounted" in out and int(out.split()[0]) > 15


def test_seccomp(daemon):
    assert status(daemon)["Seccomp"] == "2"
    s = status(daemon, **host(SecurityOpt=["seccomp=unconfined"]))
    assert s["Seccomp"] == "0"
    # unshare needs CAP_SYS_ADMIN in the profile, mount and friends too
    out = inside(daemon, "unshare -U true || echo no; mount -t tmpfs x /tmp || echo no")
    assert out == "no\nno\n"
    profile = '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],' \
              '"action":"SCMP_ACT_ERRNO"}]}'
    out = inside(daemon, "mkdir /x || echo refused",
                 **host(SecurityOpt=["seccomp=" + profile]))
    assert out == "refused\n"


def test_no_new_privileges(daemon):
    assert status(daemon)["NoNewPrivs"] == "0"
    assert status(daemon, **host(SecurityOpt=["no-new-privileges"]))["NoNewPrivs"] == "1"


def test_security_option_unknown(daemon):
    r = daemon.api.post("/containers/create", {"Image": "busybox", "Cmd": ["true"],
                                               "HostConfig": {"SecurityOpt": ["nope=1"]}})
    if r.status == 201:
        daemon.api.delete("/containers/" + r.json["Id"])
    assert r.status in (400, 500) and "nope" in r.message


@pytest.mark.parametrize("option,want", [
    ("no-new-privileges", "1"), ("no-new-privileges=true", "1"), ("no-new-privileges:1", "1"),
    ("no-new-privileges=false", "0"), ("no-new-privileges=F", "0")])
def test_options_that_are_on_or_off(daemon, option, want):
    assert status(daemon, **host(SecurityOpt=[option]))["NoNewPrivs"] == want


@pytest.mark.parametrize("option", ["no-new-privileges=yes", "no-new-privileges=",
                                    "writable-cgroups=2"])
def test_neither_on_nor_off(daemon, option):
    r = daemon.api.post("/containers/create", {"Image": "busybox", "Cmd": ["true"],
                                               "HostConfig": {"SecurityOpt": [option]}})
    assert r.status == 400 and "true or false" in r.message, r


def test_apparmor_where_there_is_none(daemon):
    """As with docker a compose file that names a profile works there, but it is said."""
    if os.path.exists("/sys/kernel/security/apparmor"):
        pytest.skip("this kernel has AppArmor: tests/vm/test_apparmor.py")
    api = daemon.api
    for profile, warned in (("docker-default", True), ("unconfined", False)):
        r = api.ok("POST", "/containers/create", {
            "Image": "busybox", "Cmd": ["true"],
            "HostConfig": {"SecurityOpt": ["apparmor=" + profile]}})
        try:
            assert any("AppArmor is not enabled" in w for w in r["Warnings"]) == warned, r
            api.ok("POST", "/containers/%s/start" % r["Id"])
            assert api.ok("GET", "/containers/%s/json" % r["Id"])["AppArmorProfile"] == ""
        finally:
            api.delete("/containers/" + r["Id"], force=1)
    assert "name=apparmor" not in api.ok("GET", "/info")["SecurityOptions"]


# ---- namespaces ----

NAMESPACES = "for n in cgroup ipc mnt net pid uts; do readlink /proc/self/ns/$n; done"


def test_namespaces_are_all_its_own(daemon):
    out = set(inside(daemon, NAMESPACES, **host(CgroupnsMode="private")).split())
    mine = {os.readlink("/proc/self/ns/" + n) for n in ("cgroup", "ipc", "mnt", "net", "pid",
                                                        "uts")}
    assert len(out) == 6 and not out & mine
    out = set(inside(daemon, NAMESPACES).split())
    assert {n.split(":")[0] for n in out & mine} <= {"cgroup"}  # docker's default on cgroup v1


@pytest.mark.parametrize("settings,kind", [
    ({"PidMode": "host"}, "pid"), ({"IpcMode": "host"}, "ipc"), ({"UTSMode": "host"}, "uts"),
    ({"NetworkMode": "host"}, "net"), ({"CgroupnsMode": "host"}, "cgroup")])
def test_namespaces_of_the_host(daemon, settings, kind):
    out = inside(daemon, "readlink /proc/self/ns/" + kind, **host(**settings))
    assert out.strip() == os.readlink("/proc/self/ns/" + kind)


def test_namespaces_of_another_container(daemon, sleeper):
    pid = daemon.api.ok("GET", "/containers/%s/json" % sleeper)["State"]["Pid"]
    out = inside(daemon, "readlink /proc/self/ns/net; readlink /proc/self/ns/pid",
                 **host(NetworkMode="container:" + sleeper, PidMode="container:" + sleeper))
    assert out.split() == [os.readlink("/proc/%d/ns/%s" % (pid, n)) for n in ("net", "pid")]


def test_it_is_pid_1_and_sees_nobody_else(daemon):
    assert inside(daemon, "echo $$; ls -d /proc/[0-9]* | wc -l") in ("1\n2\n", "1\n3\n", "1\n4\n")


# ---- files ----

def test_masked_and_readonly_paths(daemon):
    script = """
for f in /proc/kcore /proc/keys /proc/timer_list /proc/interrupts; do
    [ -e $f ] && [ -n "$(head -c1 $f 2>/dev/null)" ] && echo visible $f
done
for d in /sys/firmware /proc/scsi /proc/acpi /sys/devices/virtual/powercap; do
    [ -d $d ] && [ -n "$(ls -A $d)" ] && echo visible $d
done
for f in /proc/sys/kernel/hostname /proc/sysrq-trigger; do
    (echo x > $f) 2>/dev/null && echo writable $f
done
for d in /sys /sys/fs/cgroup /proc/bus /proc/fs /proc/irq; do
    [ -d $d ] && (mkdir $d/x) 2>/dev/null && echo writable $d
done
echo done"""
    assert inside(daemon, script) == "done\n"


def test_devices(daemon):
    out = inside(daemon, "cd /dev; for d in null zero full random urandom tty; do "
                 "stat -c '%n %t %T %a' $d; done; ls -l fd stdin ptmx | awk '{print $NF}'; "
                 "ls -d shm mqueue pts")
    assert "null 1 3 666" in out and "urandom 1 9 666" in out and "tty 5 0 666" in out
    assert "/proc/self/fd" in out and "/proc/self/fd/0" in out and "pts/ptmx" in out
    assert "shm" in out and "mqueue" in out and "sd" not in out.split()
    # a device that was not given cannot be used even when made
    out = inside(daemon, "mknod /tmp/mem c 1 1 && head -c1 /tmp/mem || echo refused")
    assert out == "refused\n"


def test_device_given(daemon):
    out = inside(daemon, "head -c3 /dev/mine | wc -c", **host(Devices=[
        {"PathOnHost": "/dev/zero", "PathInContainer": "/dev/mine", "CgroupPermissions": "r"}]))
    assert out == "3\n"


def test_mounts(daemon):
    rows = [x.split() for x in inside(daemon, "cat /proc/mounts").splitlines()]
    by = {r[1]: (r[2], r[3].split(",")) for r in rows}
    assert by["/"][0] == "overlay" and "rw" in by["/"][1]
    assert by["/proc"][0] == "proc" and {"nosuid", "noexec", "nodev"} <= set(by["/proc"][1])
    assert by["/sys"][0] == "sysfs" and "ro" in by["/sys"][1]
    assert by["/dev"][0] == "tmpfs" and by["/dev/pts"][0] == "devpts"
    assert by["/dev/mqueue"][0] == "mqueue" and by["/dev/shm"][0] == "tmpfs"
    assert "size=65536k" in by["/dev/shm"][1]
    for f in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf"):
        assert f in by
    assert not [r for r in rows if daemon.dir in r[1]]


def test_readonly_rootfs(daemon):
    out = inside(daemon, "touch /x || echo ro; touch /dev/shm/x && echo shm; touch /t/x && echo t; "
                 "touch /etc/hosts 2>/dev/null || echo hosts", **host(
                     ReadonlyRootfs=True, Tmpfs={"/t": ""}))
    assert out == "ro\nshm\nt\nhosts\n"


def test_what_is_written_stays_inside(daemon, make):
    api = daemon.api
    cid = make(start=True, Cmd=["sh", "-c", "echo mine >/etc/passwd; rm -r /home"])
    api.ok("POST", "/containers/%s/wait" % cid)
    assert inside(daemon, "head -c4 /etc/passwd; ls -d /home") == "root/home\n"


def test_volume_of_the_image_is_fresh(daemon):
    out = inside(daemon, "echo x >/data/f; grep ' /data ' /proc/mounts | wc -l", User="",
                 Image="cleat-test:cfg", Entrypoint=["sh", "-c"], Cmd=[
                     "touch /data/f 2>/dev/null; grep -c ' /data ' /proc/mounts"])
    assert out == "1\n"


def test_tmpfs_mount_options(daemon):
    out = inside(daemon, "grep ' /t ' /proc/mounts; stat -c %a /t", **host(Mounts=[
        {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o700}}]))
    assert "size=1024k" in out and "noexec" in out and out.endswith("700\n")


def test_a_symlink_in_the_image_cannot_lead_a_mount_outside(daemon, name, tmp_path):
    upper = images.layer(("out", b"", {"type": tarfile.SYMTYPE, "linkname": "/../../../../tmp"}),
                         ("etc/resolv.conf", b"", {"type": tarfile.SYMTYPE, "linkname":
                                                   "../run/systemd/resolve/stub-resolv.conf"}))
    body = images.docker_archive([name + ":link"], [images.busybox(), upper])
    assert daemon.api.post("/images/load", body).status == 200
    (tmp_path / "f").write_text("x")
    before = set(os.listdir("/tmp"))
    out = inside(daemon, "ls /tmp/deep", Image=name + ":link",
                 **host(Binds=["%s:/out/deep" % tmp_path]))
    assert out == "f\n" and "deep" not in set(os.listdir("/tmp")) - before
    daemon.api.ok("DELETE", "/images/%s:link" % name)


# ---- limits ----

def cgroup_file(pid, controller, v1, v2):
    """Content of a limit file of the process, in either cgroup version."""
    with open("/proc/%d/cgroup" % pid, encoding="utf-8") as f:
        rows = [line.strip().split(":", 2) for line in f]
    for _, controllers, path in rows:
        if controller in controllers.split(","):
            with open("/sys/fs/cgroup/%s%s/%s" % (controllers, path, v1), encoding="utf-8") as f:
                return f.read().strip()
    path = [p for _, c, p in rows if not c][0]
    with open("/sys/fs/cgroup%s/%s" % (path, v2), encoding="utf-8") as f:
        return f.read().strip()


def test_limits_in_the_cgroup(daemon, make):
    cid = make(start=True, Cmd=["sleep", "1000"], StopSignal="SIGKILL", **host(
        Memory=64 << 20, MemorySwap=64 << 20, NanoCpus=1_500_000_000, PidsLimit=33, CpuShares=512,
        CpusetCpus="0"))
    pid = daemon.api.ok("GET", "/containers/%s/json" % cid)["State"]["Pid"]
    assert cgroup_file(pid, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert cgroup_file(pid, "pids", "pids.max", "pids.max") == "33"
    assert cgroup_file(pid, "cpuset", "cpuset.cpus", "cpuset.cpus") == "0"
    quota = cgroup_file(pid, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0]
    assert quota == "150000"
    assert cgroup_file(pid, "cpu", "cpu.shares", "cpu.weight") in ("512", "20", "59")


def test_out_of_memory(daemon, make):
    cid = make(start=True, Cmd=["sh", "-c", "x=$(cat /dev/zero | tr '\\0' a)"], **host(
        Memory=8 << 20, MemorySwap=8 << 20))
    code = daemon.api.ok("POST", "/containers/%s/wait" % cid)["StatusCode"]
    state = cleat.until(lambda: (lambda s: not s["Running"] and s)(
        daemon.api.ok("GET", "/containers/%s/json" % cid)["State"]))
    assert code == state["ExitCode"] == 137 and state["OOMKilled"]


def test_pids_limit_holds(daemon):
    out = inside(daemon, "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done 2>&1; jobs | wc -l",
                 code=None, **host(PidsLimit=5))
    assert "can't fork" in out or "Resource temporarily unavailable" in out or out == ""


def test_fork_bomb_is_held_and_killed(daemon, make):
    cid = make(start=True, Cmd=["sh", "-c", "b() { b | b & }; b; sleep 1000"], StopSignal="SIGKILL",
               **host(PidsLimit=50))
    assert daemon.api.post("/containers/%s/kill" % cid).status == 204
    daemon.api.ok("POST", "/containers/%s/wait" % cid)


# ---- network modes ----

def test_network_none(daemon):
    out = inside(daemon, "ip -o link | wc -l; ip route | wc -l; ping -c1 -W1 127.0.0.1 >/dev/null "
                 "&& echo lo", **host(NetworkMode="none"))
    assert out == "1\n0\nlo\n"


def test_network_host(daemon):
    out = inside(daemon, "readlink /proc/self/ns/net; cat /proc/sys/kernel/hostname",
                 **host(NetworkMode="host"))
    assert out == "%s\n%s\n" % (os.readlink("/proc/self/ns/net"), os.uname().nodename)


def test_the_daemons_files_are_not_reachable(daemon):
    # a descriptor that was closed in between has no target
    out = inside(daemon, "ls /proc/self/fd | wc -l; ls -l /proc/1/fd | grep -e '->' | "
                 "grep -v -e null -e pipe -e socket -e /proc/ -e pts | wc -l; cat /proc/1/environ | tr '\\0' '\\n'")
    rows = out.splitlines()
    assert int(rows[0]) <= 5 and rows[1] == "0"
    assert not [r for r in rows if r.startswith("CLEAT_")]
