"""Limits on disk space, on file systems that have project quotas: volumes, containers' layers."""
import array
import fcntl
import http.client
import os
import shutil
import struct
import subprocess

import pytest

import cleat
import fixtures
import images

GETXATTR = 0x801c581f  # FS_IOC_FSGETXATTR
MAKE = {"ext4": ["mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota"],
        "xfs": ["mkfs.xfs", "-q"]}
FILL = "dd if=/dev/zero of=%s bs=64k count=%d 2>&1; stat -c %%b %s"


def project(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        buf = array.array("B", bytes(28))
        fcntl.ioctl(fd, GETXATTR, buf)
        flags, _, _, ident = struct.unpack("IIII", buf[:16])
        return ident if flags & 0x200 else 0
    finally:
        os.close(fd)


@pytest.fixture(params=["ext4", "xfs"], scope="module")
def disk(request, tmp_path_factory):
    """Where a disk with project quotas is mounted."""
    at = tmp_path_factory.mktemp(request.param)
    image, top = at / "image", at / "mnt"
    top.mkdir()
    with open(image, "wb") as f:
        f.truncate(400 << 20)
    if shutil.which("modprobe"):  # nothing may come of it: the kernel has it, or has it not
        subprocess.run(["modprobe", "-qa", "loop", "quota_v2"], check=False)
    for cmd in ([*MAKE[request.param], image], ["mount", "-o", "loop,prjquota", image, top]):
        try:
            done = subprocess.run(cmd, capture_output=True, text=True, timeout=300)
        except FileNotFoundError:
            pytest.skip("needs " + cmd[0])
        if done.returncode:
            pytest.skip("no %s with project quotas here: %s" % (request.param, done.stderr.strip()[:120]))
    yield str(top)
    subprocess.run(["umount", top], check=True)


@pytest.fixture(scope="module")
def d(disk, sandbox):
    daemon = cleat.Daemon()
    daemon.data_root = os.path.join(disk, "data")
    daemon.start()
    fixtures.load(daemon)
    yield daemon
    fixtures.close(daemon)


@pytest.fixture
def run(d):
    made = []

    def start(script, code=0, **host):
        cid = d.api.ok("POST", "/containers/create", {
            "Image": "busybox", "Cmd": ["sh", "-c", script], "HostConfig": host})["Id"]
        made.append(cid)
        return again(cid, code)

    def again(cid, code=0):
        d.api.ok("POST", "/containers/%s/start" % cid)
        got = d.api.ok("POST", "/containers/%s/wait" % cid)["StatusCode"]
        out = b"".join(cleat.demux(d.api.get("/containers/%s/logs" % cid, stdout=1, stderr=1).body))
        assert got == code, (got, out)
        return out.decode()
    start.again, start.made = again, made
    yield start
    for cid in made:
        d.api.delete("/containers/" + cid, force=1, v=1)


@pytest.fixture
def volume(d):
    made = []

    def make(name, size):
        made.append(name)
        return d.api.ok("POST", "/volumes/create", {"Name": name, "DriverOpts": {"size": size}})
    yield make
    for name in made:
        d.api.delete("/volumes/" + name, force=1)


def full(out):
    return "Disk quota exceeded" in out or "No space left" in out


def test_a_volume_is_limited(d, run, volume):
    assert volume("limited", "2m")["Options"] == {"size": "2m"}
    out = run(FILL % ("/v/f", 80, "/v/f"), Binds=["limited:/v"])
    assert full(out) and int(out.split()[-1]) * 512 <= 2 << 20, out
    assert int(out.split()[-1]) * 512 > 1 << 20, out
    out = run("stat -f -c '%b %S' /v; rm /v/f; echo x > /v/g && cat /v/g", Binds=["limited:/v"])
    assert int(out.split()[0]) * int(out.split()[1]) == 2 << 20 and out.endswith("x\n"), out


def test_they_are_limited_apart(d, run, volume):
    one, two = volume("one", "1m"), volume("two", "3m")
    ids = [project(v["Mountpoint"]) for v in (one, two)]
    assert 0 not in ids and ids[0] != ids[1]
    out = run(FILL % ("/a/f", 40, "/a/f") + ";" + FILL % ("/b/f", 40, "/b/f"),
              Binds=["one:/a", "two:/b"])
    assert out.count("No space") + out.count("quota exceeded") == 1, out
    used = {v["Name"]: v["UsageData"]["Size"] for v in d.api.ok("GET", "/system/df")["Volumes"]}
    assert used["one"] <= 1 << 20 and 2 << 20 < used["two"] <= 3 << 20, used


def test_an_id_comes_back_when_its_files_are_gone(d, run, volume):
    first = project(volume("first", "1m")["Mountpoint"])
    d.api.ok("DELETE", "/volumes/first")
    trash = os.path.join(d.data_root, "trash")
    cleat.until(lambda: not os.listdir(trash))
    second = volume("second", "8m")
    assert project(second["Mountpoint"]) <= first
    blocks, size = run("stat -f -c '%b %S' /v", Binds=["second:/v"]).split()
    assert int(blocks) * int(size) == 8 << 20  # nothing of the old limit
    assert project(volume("third", "1m")["Mountpoint"]) != project(second["Mountpoint"])


def test_the_daemon_keeps_to_it(d, run, volume):
    """Filling a volume from the image and cp are writing like any, although root's daemon does it."""
    volume("filled", "64k")
    r = d.api.post("/containers/create", {"Image": "busybox", "Cmd": ["true"],
                                          "HostConfig": {"Binds": ["filled:/bin"]}})
    assert r.status == 500 and full(r.json["message"]), r
    volume("copied", "1m")
    cid = d.api.ok("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"],
                                                  "HostConfig": {"Binds": ["copied:/v"]}})["Id"]
    run.made.append(cid)
    for size, status in ((100_000, 200), (3 << 20, 500)):
        r = d.api.call("PUT", "/containers/%s/archive" % cid, images.layer(("f", b"x" * size, {})),
                       path="/v")
        assert r.status == status and (status == 200 or full(r.json["message"])), r


def test_a_layer_is_limited(d, run, volume):
    volume("free", "20m")
    out = run(FILL % ("/f", 200, "/f") + ";" + FILL % ("/v/f", 100, "/v/f"), StorageOpt={"size": "4m"},
              Binds=["free:/v"])
    lines = out.split()
    assert full(out) and out.count("100+0 records out") == 1, out  # the volume is not of the layer
    assert (5 << 20) < int(lines[-1]) * 512
    cid = run.made[-1]
    shown = d.api.ok("GET", "/containers/%s/json" % cid)["HostConfig"]["StorageOpt"]
    assert shown == {"size": "4m"}
    top = os.path.join(d.data_root, "containers", cid)
    assert project(top + "/diff") == project(top + "/work") != 0 and project(top) == 0
    again = run.again(cid)  # the limit is the layer's, not the run's
    assert full(again), again
    assert int(d.api.ok("GET", "/containers/%s/json" % cid, size=1)["SizeRw"]) <= 4 << 20


def test_copying_up_counts(run):
    out = run("for i in 1 2 3 4; do cat /bin/busybox >> /bin/busybox.$i; done; chmod 755 /bin/busybox; "
              "echo end", StorageOpt={"size": "256k"})
    assert full(out), out


def test_logs_are_not_of_the_layer(d, run):
    out = run("head -c 600000 /dev/zero | tr '\\0' x; echo; echo x > /f && echo written",
              StorageOpt={"size": "256k"})
    assert out.endswith("written\n")


def test_layers_are_limited_apart(d, run):
    a = run("echo 1", StorageOpt={"size": "1m"})
    b = run("echo 2", StorageOpt={"size": "1m"})
    assert (a, b) == ("1\n", "2\n")
    ids = {project(os.path.join(d.data_root, "containers", c, "diff")) for c in run.made}
    assert len(ids) == 2 and 0 not in ids
    run("echo 3")
    assert project(os.path.join(d.data_root, "containers", run.made[-1], "diff")) == 0


def test_limits_outlive_the_daemon(d, run, volume):
    """And what a dying daemon left without one, or a backup that was put back, gets it again."""
    kept, bare = volume("kept", "1m"), volume("bare", "1m")
    d.crash()
    os.rmdir(bare["Mountpoint"])
    os.mkdir(bare["Mountpoint"])
    assert project(bare["Mountpoint"]) == 0
    d.start()
    ids = [project(v["Mountpoint"]) for v in (kept, bare)]
    assert 0 not in ids and ids[0] != ids[1]
    for name in ("kept", "bare"):
        out = run(FILL % ("/v/f", 40, "/v/f"), Binds=[name + ":/v"])
        assert full(out), out


def test_a_clone_has_a_limit_of_its_own(d, run, volume):
    first = volume("first", "2m")
    run("head -c 500000 /dev/urandom > /v/f", Binds=["first:/v"])
    for name, options in (("same", {}), ("small", {"size": "1m"})):
        made = d.api.ok("POST", "/volumes/first/clone", {"Name": name, "DriverOpts": options})
        try:
            assert project(made["Mountpoint"]) not in (0, project(first["Mountpoint"]))
            blocks, size = run("stat -f -c '%b %S' /v", Binds=[name + ":/v"]).split()
            assert int(blocks) * int(size) == (1 << 20 if options else 2 << 20)
        finally:
            for cid in run.made:
                d.api.delete("/containers/" + cid, force=1)
            d.api.ok("DELETE", "/volumes/" + name)
    r = d.api.call("POST", "/volumes/first/clone", {"Name": "less", "DriverOpts": {"size": "64k"}})
    assert r.status == 500 and full(r.json["message"]), r
    assert d.api.get("/volumes/less").status == 404


def test_clones_share_their_content(d, run, volume, disk):
    if not shutil.which("filefrag"):
        pytest.skip("needs filefrag")
    kind = subprocess.run(["stat", "-f", "-c", "%T", disk], capture_output=True, text=True).stdout
    if kind.strip() != "xfs":
        pytest.skip("%s cannot share content" % kind.strip())
    top = volume("whole", "20m")["Mountpoint"]
    run("head -c 2000000 /dev/urandom > /v/f; sync", Binds=["whole:/v"])
    made = d.api.ok("POST", "/volumes/whole/clone", {"Name": "twin"})
    for path in (top, made["Mountpoint"]):
        shown = subprocess.run(["filefrag", "-v", path + "/f"], capture_output=True, text=True).stdout
        assert "shared" in shown, shown
    run("cmp /a/f /b/f && echo more >> /b/f && ! cmp -s /a/f /b/f", Binds=["whole:/a", "twin:/b"])
    for cid in run.made:
        d.api.delete("/containers/" + cid, force=1)
    d.api.ok("DELETE", "/volumes/twin")


@pytest.mark.parametrize("action", ["crash@1", "error@1"])
@pytest.mark.parametrize("point", ["volume.create.row", "volume.create.quota", "container.create.dir",
                                   "container.create.quota"])
def test_no_limit_is_lost(disk, own_daemon, fail_build, point, action):
    """Whatever a crash leaves: what is there is limited, and the rest is gone."""
    d = own_daemon(build=cleat.BUILD_FAIL)
    d.data_root = os.path.join(disk, os.path.basename(d.dir))
    d.start()
    fixtures.load(d)
    d.stop()
    d.start(env={"CLEAT_FAIL": "%s=%s" % (point, action)})
    for path, body in (("/volumes/create", {"Name": "v", "DriverOpts": {"size": "1m"}}),
                       ("/containers/create", {"Image": "busybox", "Cmd": ["true"], "HostConfig": {
                           "StorageOpt": {"size": "1m"}}})):
        try:
            d.api.post(path, body, timeout=20)
        except (OSError, http.client.HTTPException):
            pass
    if d.process.poll() is None:
        d.crash()
    d.start()
    for v in d.api.ok("GET", "/volumes")["Volumes"]:
        assert project(v["Mountpoint"]) != 0, v
    known = {c["Id"] for c in d.api.ok("GET", "/containers/json", all=1)}
    there = set(os.listdir(os.path.join(d.data_root, "containers")))
    assert there == known
    for cid in known:
        assert project(os.path.join(d.data_root, "containers", cid, "diff")) != 0
    trash = os.path.join(d.data_root, "trash")
    cleat.until(lambda: not os.listdir(trash))
    d.stop()
    shutil.rmtree(d.data_root)
