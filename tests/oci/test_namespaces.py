"""Each kind of namespace: new, shared with the host, joined by path."""
import os
import subprocess

import pytest

KINDS = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts", "mount": "mnt",
         "cgroup": "cgroup"}


def inside(box, kind):
    return box.lines("link /proc/self/ns/" + KINDS[kind])[0]


@pytest.mark.parametrize("kind", KINDS)
def test_new(box, kind):
    assert inside(box, kind) != os.readlink("/proc/self/ns/" + KINDS[kind])


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "mount"])
def test_host(box, kind):
    box.namespaces(drop=(kind,))
    if kind == "uts":
        del box.config["hostname"]
    assert inside(box, kind) == os.readlink("/proc/self/ns/" + KINDS[kind])


@pytest.mark.parametrize("kind", ["network", "ipc", "uts"])
def test_join_by_path(box, kind):
    p = subprocess.Popen(["unshare", "--net", "--ipc", "--uts", "sleep", "100"])
    try:
        want = None
        while want in (None, os.readlink("/proc/self/ns/" + KINDS[kind])):
            want = os.readlink("/proc/%d/ns/%s" % (p.pid, KINDS[kind]))
        box.namespaces(drop=(kind,), add=[{"type": kind,
                                           "path": "/proc/%d/ns/%s" % (p.pid, KINDS[kind])}])
        assert inside(box, kind) == want
    finally:
        p.kill()
        p.wait()


def test_join_pid(box, tmp_path):
    p = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "sleep", "100"])
    try:
        child = ""
        while not child:
            with open("/proc/%d/task/%d/children" % (p.pid, p.pid)) as f:
                child = f.read().split()[0] if f.seek(0) == 0 and f.read() and not f.seek(0) else ""
        box.namespaces(drop=("pid",), add=[{"type": "pid", "path": "/proc/%s/ns/pid" % child}])
        pid, comm = box.lines("pid", "cat /proc/1/comm")
        assert int(pid) > 1 and comm == "sleep"
    finally:
        p.kill()
        p.wait()


def test_pid_one_and_names(box):
    box.config["hostname"], box.config["domainname"] = "boxed", "example.org"
    assert box.lines("pid", "uts")[0] == "1"
    assert box.lines("uts")[0].startswith("boxed example.org ")


def test_time_offsets(box):
    box.namespaces(add=[{"type": "time"}])
    box.config["linux"]["timeOffsets"] = {"boottime": {"secs": 1000000}}
    with open("/proc/uptime") as f:
        now = float(f.read().split()[0])
    assert abs(int(box.lines("clock")[0]) - now - 1000000) < 20


def with_users(box, base=100000):
    box.namespaces(add=[{"type": "user"}])
    maps = [{"containerID": 0, "hostID": base, "size": 65536}]
    box.config["linux"]["uidMappings"] = box.config["linux"]["gidMappings"] = maps
    subprocess.run(["chown", "-R", "%d:%d" % (base, base), box.rootfs], check=True)


def test_user_namespace(box):
    with_users(box)
    out = box.lines("id", "cat /proc/self/uid_map", "stat /init", "write /data/x y", "stat /data/x")
    assert out[0].split()[:2] == ["0", "0"]
    assert out[1].split() == ["0", "100000", "65536"]
    assert " 0:0 " in out[2] and out[3] == "/data/x: ok"
    assert os.stat(box.rootfs / "data/x").st_uid == 100000


def test_user_namespace_devices_and_binds(box, tmp_path):
    with_users(box)
    src = tmp_path / "private"
    src.mkdir(mode=0o700)
    (src / "f").write_text("hello")
    box.bind(src, "/data", "rbind", "ro")
    out = box.lines("stat /dev/null", "ls /data", "write /dev/null x")
    assert out[0].startswith("chr ") and "1,3" in out[0]
    assert out[2] == "/dev/null: ok"


def test_idmapped_mount(box, tmp_path):
    src = tmp_path / "src"
    src.mkdir()
    (src / "f").write_text("x")
    box.bind(src, "/data", "bind", "idmap")
    maps = [{"containerID": 0, "hostID": 5000, "size": 1000}]
    box.config["mounts"][-1].update(uidMappings=maps, gidMappings=maps)
    r = box.run("stat /data/f")
    if "map owners of mount" in r.err:
        pytest.skip("the file system has no idmapped mounts")
    assert " 5000:5000 " in r.lines[0], r


@pytest.mark.parametrize("change, text", [
    ({"type": "nosuch"}, 'type "nosuch" is not known'),
    ({"type": "pid"}, '"pid" is given twice'),
    ({"type": "user"}, "needs linux.uidMappings"),
])
def test_bad(box, change, text):
    box.namespaces(add=[change])
    r = box.run("id")
    assert r.code == 1 and text in r.err, r
