"""cgroup v2 alone (unified): limits in its files, statistics in Docker's v2 shape, the device filter
in eBPF, freezing, out-of-memory, and containers that make groups of their own."""
import ctypes
import json
import os
import shlex
import struct
import subprocess
import sys

import pytest

import cleat

ROOT = "/sys/fs/cgroup"
pytestmark = pytest.mark.skipif(not os.path.exists(ROOT + "/cgroup.controllers"),
                                reason="this machine's cgroups are not v2 alone")


def pid_of(daemon, cid):
    return daemon.api.ok("GET", "/containers/%s/json" % cid)["State"]["Pid"]


def group(daemon, cid):
    """The container's directory below /sys/fs/cgroup."""
    return os.path.join(ROOT, daemon.cgroup, cid)


def read(daemon, cid, file):
    with open(os.path.join(group(daemon, cid), file), encoding="utf-8") as f:
        return f.read().strip()


def scratch_disk():
    """(path, "major:minor") of a block device with an I/O scheduler's queue."""
    for name in sorted(os.listdir("/sys/block")):
        if name.startswith(("vd", "sd", "nvme")) and os.path.exists("/dev/" + name):
            with open("/sys/block/%s/dev" % name, encoding="utf-8") as f:
                return "/dev/" + name, f.read().strip()
    pytest.skip("no disk to limit")


# ---- limits ----

@pytest.mark.parametrize("settings,file,want", [
    ({"Memory": 64 << 20}, "memory.max", "67108864"),
    ({"Memory": 64 << 20}, "memory.swap.max", "67108864"),  # docker: as much swap as memory
    ({"Memory": 64 << 20, "MemorySwap": 64 << 20}, "memory.swap.max", "0"),
    ({"Memory": 64 << 20, "MemorySwap": 96 << 20}, "memory.swap.max", "33554432"),
    ({"Memory": 64 << 20, "MemorySwap": -1}, "memory.swap.max", "max"),
    ({}, "memory.max", "max"),
    ({"MemoryReservation": 32 << 20}, "memory.low", "33554432"),
    ({"CpuShares": 1024}, "cpu.weight", "100"), ({"CpuShares": 2}, "cpu.weight", "1"),
    ({"CpuShares": 262144}, "cpu.weight", "10000"), ({"CpuShares": 512}, "cpu.weight", "59"),
    ({}, "cpu.weight", "100"),
    ({"NanoCpus": 500_000_000}, "cpu.max", "50000 100000"),
    ({"CpuQuota": 20000, "CpuPeriod": 50000}, "cpu.max", "20000 50000"),
    ({"CpuPeriod": 50000}, "cpu.max", "max 50000"), ({}, "cpu.max", "max 100000"),
    ({"CpusetCpus": "0", "CpusetMems": "0"}, "cpuset.cpus.effective", "0"),
    ({"PidsLimit": 20}, "pids.max", "20"), ({"PidsLimit": -1}, "pids.max", "max"),
    ({"PidsLimit": 0}, "pids.max", "max"), ({}, "pids.max", "max"),
    ({"BlkioWeight": 10}, "io.weight", "default 1"),
    ({"BlkioWeight": 1000}, "io.weight", "default 10000")])
def test_limits_in_their_files(daemon, run, settings, file, want):
    cid = run(**settings)
    if file == "io.weight" and os.path.exists(group(daemon, cid) + "/io.bfq.weight"):
        file, want = "io.bfq.weight", "default %d" % settings["BlkioWeight"]
    assert read(daemon, cid, file) == want


def test_throttled_devices(daemon, run):
    path, number = scratch_disk()
    cid = run(BlkioDeviceReadBps=[{"Path": path, "Rate": 1 << 20}],
              BlkioDeviceWriteIOps=[{"Path": path, "Rate": 77}])
    assert read(daemon, cid, "io.max") == "%s rbps=1048576 wbps=max riops=max wiops=77" % number


def test_update_while_it_runs(daemon, run):
    cid = run(Memory=64 << 20, PidsLimit=20, CpuShares=512)
    def update(**body):
        daemon.api.ok("POST", "/containers/%s/update" % cid, body)
    update(Memory=96 << 20, MemorySwap=128 << 20, CpuShares=1024, CpuQuota=30000, PidsLimit=30,
           CpusetCpus="0", BlkioWeight=10)
    got = {f: read(daemon, cid, f) for f in ("memory.max", "memory.swap.max", "cpu.weight",
                                             "cpu.max", "pids.max", "cpuset.cpus")}
    assert got == {"memory.max": str(96 << 20), "memory.swap.max": str(32 << 20),
                   "cpu.weight": "100", "cpu.max": "30000 100000", "pids.max": "30",
                   "cpuset.cpus": "0"}
    update(CpuPeriod=50000)
    assert read(daemon, cid, "cpu.max") == "30000 50000"
    update(CpuQuota=-1)
    assert read(daemon, cid, "cpu.max") == "max 50000"
    update(PidsLimit=-1)
    assert read(daemon, cid, "pids.max") == "max"
    update(Memory=128 << 20, MemorySwap=-1)
    assert (read(daemon, cid, "memory.max"), read(daemon, cid, "memory.swap.max")) == \
        (str(128 << 20), "max")


def test_what_v2_does_not_have_is_said(daemon, make):
    """Docker drops such a limit with a warning, and the container starts."""
    r = daemon.api.ok("POST", "/containers/create", {
        "Image": "busybox", "Cmd": ["true"],
        "HostConfig": {"MemorySwappiness": 10, "OomKillDisable": True}})
    try:
        assert any("swappiness" in w for w in r["Warnings"]), r
        assert any("OomKillDisable" in w for w in r["Warnings"]), r
        host = daemon.api.ok("GET", "/containers/%s/json" % r["Id"])["HostConfig"]
        assert host["MemorySwappiness"] is None and not host["OomKillDisable"]
        daemon.api.ok("POST", "/containers/%s/start" % r["Id"])
    finally:
        daemon.api.delete("/containers/" + r["Id"], force=1)


def test_real_time_limits_are_refused(daemon):
    r = daemon.api.post("/containers/create", {"Image": "busybox", "Cmd": ["true"],
                                               "HostConfig": {"CpuRealtimeRuntime": 95000}})
    assert r.status == 400 and "CPU real-time" in r.message, r


def test_processor_time_is_held(daemon, run):
    cid = run("while :; do :; done", NanoCpus=100_000_000)
    stats = cleat.until(lambda: (lambda s: s["cpu_stats"]["throttling_data"]["throttled_periods"] > 3
                                 and s)(daemon.api.ok("GET", "/containers/%s/stats" % cid,
                                                      stream=0, **{"one-shot": 1})), 20)
    throttling = stats["cpu_stats"]["throttling_data"]
    assert throttling["periods"] >= throttling["throttled_periods"] and throttling["throttled_time"]


# ---- statistics ----

def test_statistics_have_dockers_shape(daemon, run):
    path, number = scratch_disk()
    cid = run("head -c 100000 %s >/dev/null; sleep 1000" % path, Memory=64 << 20, PidsLimit=9,
              Privileged=True)
    def one():
        return daemon.api.ok("GET", "/containers/%s/stats" % cid, stream=0, **{"one-shot": 1})
    s = cleat.until(lambda: (lambda s: s["blkio_stats"]["io_service_bytes_recursive"] and s)(one()))
    io = s["blkio_stats"]
    assert {k for k, v in io.items() if v is not None} == {"io_service_bytes_recursive"}
    rows = {(r["op"], "%d:%d" % (r["major"], r["minor"])): r["value"]
            for r in io["io_service_bytes_recursive"]}
    assert {op for op, _ in rows} == {"read", "write"} and rows["read", number] >= 4096
    m = s["memory_stats"]
    assert m["limit"] == 64 << 20 and 0 < m["usage"] < 64 << 20 and "max_usage" not in m
    assert {"anon", "file", "inactive_file", "kernel_stack", "pgfault", "sock"} <= set(m["stats"])
    assert not {"cache", "rss", "total_inactive_file"} & set(m["stats"])
    assert "failcnt" not in m
    cpu = s["cpu_stats"]["cpu_usage"]
    assert cpu["total_usage"] > 0 and not cpu.get("percpu_usage")
    assert s["pids_stats"]["limit"] == 9 and s["pids_stats"]["current"] >= 1


def test_stats_commands(daemon, run):
    """Usage less what is only cached, and the real docker sees the same."""
    cid = run("head -c 3000000 /dev/urandom >/f; sync; sleep 1000", Memory=64 << 20)
    import clients
    for program in ("cleat", "docker"):
        try:
            cli = clients.cli_or_skip(program, daemon)
        except pytest.skip.Exception:
            continue
        row = json.loads(cli.ok("stats", "--no-stream", "--format", "json", cid))
        assert row["MemUsage"].endswith("/ 64MiB") and row["PIDs"] in ("1", "2")


# ---- information ----

def test_info(daemon):
    info = daemon.api.ok("GET", "/info")
    assert (info["CgroupVersion"], info["CgroupDriver"]) == ("2", "cgroupfs")
    assert "name=cgroupns" in info["SecurityOptions"]
    assert info["MemoryLimit"] and info["SwapLimit"] and info["CpuCfsQuota"] and info["PidsLimit"]
    assert info["CPUShares"] and info["CPUSet"] and not info["OomKillDisable"]


# ---- namespaces and what the container sees ----

def test_a_namespace_of_its_own(daemon, output, run):
    out = output("cat /proc/self/cgroup; readlink /proc/self/ns/cgroup; "
                 "grep ' /sys/fs/cgroup ' /proc/mounts; cat /sys/fs/cgroup/cgroup.procs | wc -l; "
                 "mkdir /sys/fs/cgroup/x 2>/dev/null || echo ro")
    lines = out.splitlines()
    assert lines[0] == "0::/" and lines[1] != os.readlink("/proc/self/ns/cgroup")
    assert lines[2].split()[2] == "cgroup2" and "ro" in lines[2].split()[3].split(",")
    assert int(lines[3]) >= 1 and lines[4] == "ro"
    cid = run(CgroupnsMode="host")
    with open("/proc/%d/cgroup" % pid_of(daemon, cid), encoding="utf-8") as f:
        assert f.read().strip().endswith("/%s/%s" % (daemon.cgroup, cid))


def test_exec_sees_the_same(daemon, run, execute):
    cid = run()
    assert execute(cid, "cat /proc/self/cgroup") == (0, "0::/\n")
    code, out = execute(cid, "readlink /proc/1/ns/cgroup; readlink /proc/self/ns/cgroup")
    assert code == 0 and len(set(out.split())) == 1


def test_limits_seen_from_inside(daemon, output):
    out = output("cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max", Memory=32 << 20,
                 PidsLimit=44)
    assert out == "33554432\n44\n"


NESTED = """
mkdir /sys/fs/cgroup/init && echo 0 >/sys/fs/cgroup/init/cgroup.procs
for p in $(cat /sys/fs/cgroup/cgroup.procs); do echo $p >/sys/fs/cgroup/init/cgroup.procs; done
echo +memory +pids >/sys/fs/cgroup/cgroup.subtree_control && echo ready
sleep 1000
"""


def test_a_container_that_hands_controllers_down(daemon, run, execute):
    """As systemd and a nested engine do: processes may then only be in leaves, and exec, probes,
    statistics, pause, top and removal must go on working."""
    api = daemon.api
    cid = run(NESTED, Privileged=True, )
    cleat.until(lambda: b"ready" in api.get("/containers/%s/logs" % cid, stdout=1, stderr=1).body,
                what=lambda: api.get("/containers/%s/logs" % cid, stdout=1, stderr=1).body)
    assert "memory" in read(daemon, cid, "cgroup.subtree_control")
    code, out = execute(cid, "cat /proc/self/cgroup")
    assert (code, out) == (0, "0::/init\n")
    assert len(api.ok("GET", "/containers/%s/top" % cid)["Processes"]) == 2
    s = api.ok("GET", "/containers/%s/stats" % cid, stream=0, **{"one-shot": 1})
    assert s["pids_stats"]["current"] == 2 and s["memory_stats"]["usage"] > 0
    api.ok("POST", "/containers/%s/pause" % cid)
    assert "frozen 1" in read(daemon, cid, "cgroup.events")
    api.ok("POST", "/containers/%s/unpause" % cid)
    api.ok("POST", "/containers/%s/update" % cid, {"Memory": 64 << 20, "MemorySwap": -1})
    assert read(daemon, cid, "memory.max") == str(64 << 20)
    api.ok("POST", "/containers/%s/kill" % cid)
    api.ok("POST", "/containers/%s/wait" % cid)
    cleat.until(lambda: not os.path.exists(group(daemon, cid)), what="the group is gone")


def test_groups_of_its_own_without_privileges(output, daemon):
    """writable-cgroups: below its own group the container may do as it likes."""
    script = "mkdir /sys/fs/cgroup/x && echo 0 >/sys/fs/cgroup/x/cgroup.procs && cat " \
             "/proc/self/cgroup"
    assert output(script, SecurityOpt=["writable-cgroups=true"]) == "0::/x\n"
    assert output(script + " 2>/dev/null || echo ro", SecurityOpt=["writable-cgroups=false"])\
        .endswith("ro\n")
    r = daemon.api.post("/containers/create", {
        "Image": "busybox", "Cmd": ["true"],
        "HostConfig": {"SecurityOpt": ["writable-cgroups"], "CgroupnsMode": "host"}})
    assert r.status == 400 and "private cgroup namespace" in r.message


# ---- a daemon that is itself in a cgroup namespace ----

IN_NAMESPACE = """
mkdir %(group)s && echo 0 >%(group)s/cgroup.procs || exit 3
exec unshare --cgroup --mount sh -c '
    umount -l %(root)s && mount -t cgroup2 cgroup2 %(root)s && cat /proc/self/cgroup &&
    exec "$0" "$@"'
"""


def test_a_daemon_in_a_container():
    """The root that it sees is a group with processes, and must hand controllers down all the
    same. These tests run there once more."""
    if os.environ.get("CLEAT_TEST_NESTED"):
        pytest.skip("this is the inner run")
    top = "%s/cleat-nested-%d" % (ROOT, os.getpid())
    script = IN_NAMESPACE.strip() % {"group": top, "root": ROOT} + " " + shlex.join([
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short",
        "-k", "limits or update or memory or exec_sees or hands_controllers", __file__])
    with open(ROOT + "/cgroup.subtree_control", "w", encoding="utf-8") as f:
        f.write("+memory +cpu +pids +cpuset +io")
    env = {k: v for k, v in os.environ.items() if k != "CLEAT_TEST_SANDBOX"}
    p = subprocess.run(["sh", "-c", script], capture_output=True, text=True,
                       env={**env, "CLEAT_TEST_NESTED": "1"})
    for group, _, _ in os.walk(top, topdown=False):
        cleat.until(lambda g=group: "populated 0" in open(g + "/cgroup.events").read())
        os.rmdir(group)
    assert p.returncode == 0, p.stdout[-3000:] + p.stderr[-1000:]
    assert "0::/\n" in p.stdout and " passed" in p.stdout and "skipped" not in p.stdout


def test_a_limit_that_nobody_hands_down(daemon, make):
    """A parent that is somebody's own group, with processes: said clearly, nothing is left."""
    parent = "cleat-busy-%d" % os.getpid()
    os.mkdir("%s/%s" % (ROOT, parent))
    with subprocess.Popen(["sleep", "1000"]) as p:
        try:
            with open("%s/%s/cgroup.procs" % (ROOT, parent), "w", encoding="utf-8") as f:
                f.write(str(p.pid))
            cid = make(Cmd=["true"], HostConfig={"CgroupParent": "/" + parent, "Memory": 64 << 20})
            r = daemon.api.post("/containers/%s/start" % cid)
            assert r.status == 400 and 'has no cgroup controller "memory"' in r.message, r
            assert not [e for e in os.scandir("%s/%s" % (ROOT, parent)) if e.is_dir()]
        finally:
            p.kill()
    cleat.until(lambda: "populated 0" in open("%s/%s/cgroup.events" % (ROOT, parent)).read())
    os.rmdir("%s/%s" % (ROOT, parent))


# ---- devices ----

def device_filters(path):
    """How many programs of BPF_CGROUP_DEVICE are attached to a group (BPF_PROG_QUERY)."""
    nr = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
    fd = os.open(path, os.O_RDONLY)
    try:
        ids = (ctypes.c_uint32 * 64)()
        attr = ctypes.create_string_buffer(struct.pack("IIIIQI", fd, 6, 0, 0,
                                                       ctypes.addressof(ids), 64), 128)
        if ctypes.CDLL(None, use_errno=True).syscall(nr, 16, attr, 128) != 0:
            raise OSError(ctypes.get_errno(), "BPF_PROG_QUERY")
        return struct.unpack_from("I", attr, 24)[0]
    finally:
        os.close(fd)


def test_devices_are_filtered(daemon, output):
    script = "mknod /tmp/d c %d %d && (head -c1 /tmp/d >/dev/null) 2>&1 || true"
    assert output(script % (1, 5)) == ""  # zero
    assert "Operation not permitted" in output(script % (1, 1))  # mem
    path, number = scratch_disk()
    major, minor = number.split(":")
    assert "Operation not permitted" in output(
        "mknod /tmp/d b %s %s && (head -c1 /tmp/d >/dev/null) 2>&1 || true" % (major, minor))


def test_a_given_device(daemon, output):
    path, _ = scratch_disk()
    def dev(access):
        return [{"PathOnHost": path, "PathInContainer": "/dev/disk", "CgroupPermissions": access}]
    script = "(head -c1 /dev/disk | wc -c) 2>&1; (: >>/dev/disk) 2>&1 && echo written"
    assert output(script, Devices=dev("rwm")) == "1\nwritten\n"
    out = output(script, code=1, Devices=dev("r"))
    assert out.startswith("1\n") and "ot permitted" in out
    out = output(script, Devices=dev("w"))
    assert "ot permitted" in out and out.endswith("written\n")


@pytest.mark.parametrize("rule,works", [
    ("c 1:1 r", True), ("c 1:* r", True), ("a *:* rwm", True), ("c *:1 rw", True),
    ("c 1:1 w", False), ("c 1:2 r", False), ("b 1:1 r", False)])
def test_device_rules(daemon, output, rule, works):
    out = output("mknod /tmp/d c 1 1; (exec </tmp/d) 2>&1 && echo works || true",
                 DeviceCgroupRules=[rule], CapAdd=["SYS_RAWIO"])
    assert ("works" in out) == works, out


def test_privileged_devices(daemon, output):
    path, _ = scratch_disk()
    assert output("head -c1 %s | wc -c; mknod /d c 1 1 && (exec </d) && echo mem" % path,
                  Privileged=True) == "1\nmem\n"


def test_one_filter_per_container(daemon, run):
    """Programs of one group are all asked: more than one would mean that an old one stayed."""
    cid = run(PidsLimit=10)
    daemon.api.ok("POST", "/containers/%s/update" % cid, {"PidsLimit": 20})
    assert device_filters(group(daemon, cid)) == 1


# ---- life ----

def test_out_of_memory_of_a_child_is_told(daemon, run):
    """The container lives on: the event comes from memory.events."""
    conn, resp = daemon.api.stream("GET", "/events", filters={"event": ["oom"]})
    try:
        cid = run("tail /dev/zero; echo $?; sleep 1000", Memory=16 << 20, MemorySwap=16 << 20)
        event = json.loads(resp.readline())
        assert event["Action"] == "oom" and event["Actor"]["ID"] == cid
    finally:
        conn.close()
    cleat.until(lambda: b"137" in daemon.api.get("/containers/%s/logs" % cid, stdout=1).body)
    assert daemon.api.ok("GET", "/containers/%s/json" % cid)["State"]["Running"]


def test_pause(daemon, run):
    cid = run("i=0; while :; do i=$((i+1)); done")
    daemon.api.ok("POST", "/containers/%s/pause" % cid)
    assert read(daemon, cid, "cgroup.freeze") == "1"
    assert "frozen 1" in read(daemon, cid, "cgroup.events")
    daemon.api.ok("POST", "/containers/%s/unpause" % cid)
    assert "frozen 0" in read(daemon, cid, "cgroup.events")


def test_a_paused_container_can_be_killed(daemon, run):
    cid = run()
    daemon.api.ok("POST", "/containers/%s/pause" % cid)
    daemon.api.ok("POST", "/containers/%s/kill" % cid, status=(204, 409))
    daemon.api.ok("DELETE", "/containers/" + cid, force=1)
    cleat.until(lambda: not os.path.exists(group(daemon, cid)), what="the group is gone")


def test_what_escapes_the_pid_namespace_dies_too(daemon, run, execute):
    """With the host's pid namespace nobody dies with init: cgroup.kill takes them all."""
    cid = run("for i in 1 2 3 4 5; do setsid sleep 1000 & done; wait", PidMode="host")
    cleat.until(lambda: len(read(daemon, cid, "cgroup.procs").split()) == 6)
    pids = read(daemon, cid, "cgroup.procs").split()
    daemon.api.ok("POST", "/containers/%s/kill" % cid)
    daemon.api.ok("POST", "/containers/%s/wait" % cid)
    cleat.until(lambda: not [p for p in pids if os.path.exists("/proc/" + p)])


def test_a_parent_of_its_own(daemon, run):
    parent = daemon.cgroup + "/deep/er"
    cid = run(CgroupParent="/" + parent, PidsLimit=12)
    with open("%s/%s/%s/pids.max" % (ROOT, parent, cid), encoding="utf-8") as f:
        assert f.read() == "12\n"
    daemon.api.ok("DELETE", "/containers/" + cid, force=1)
    cleat.until(lambda: not os.path.exists(os.path.join(ROOT, parent, cid)))
    os.removedirs(os.path.join(ROOT, parent))
