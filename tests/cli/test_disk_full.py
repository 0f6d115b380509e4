"""A full disk in the middle of work on volumes and files: an error that says so, nothing half made,
and everything works again when there is room."""
import os
import subprocess

import pytest

import cleat
import fixtures
import images

SIZE = 32 << 20


@pytest.fixture
def d(own_daemon, tmp_path):
    daemon = own_daemon()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d" % SIZE, "data", tmp_path], check=True)
    daemon.data_root = str(tmp_path / "data")
    try:
        daemon.start()
        fixtures.load(daemon)
        yield daemon
        daemon.stop()
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


def fill_up(d):
    """A file that leaves a megabyte; its path."""
    path = os.path.join(os.path.dirname(d.data_root), "ballast")
    st = os.statvfs(path[:-8])
    with open(path, "wb") as f:
        for _ in range((st.f_bavail * st.f_frsize >> 20) - 1):
            f.write(bytes(1 << 20))
    return path


def big(size=3 << 20):
    return images.layer(("first", b"1", {}), ("f", os.urandom(size), {}))


def make(api, **host):
    return api.ok("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"],
                                                 "HostConfig": host})["Id"]


def test_volumes(d):
    api = d.api
    api.ok("POST", "/volumes/create", {"Name": "whole"})
    assert api.call("POST", "/volumes/other/import", big()).status == 201
    before = {v["Name"] for v in api.ok("GET", "/volumes")["Volumes"]}
    ballast = fill_up(d)
    for path, body in (("/volumes/new/import", big()), ("/volumes/other/clone", {"Name": "new"})):
        r = api.call("POST", path, body)
        assert r.status == 500 and "No space left" in r.json["message"], r
        assert api.get("/volumes/new").status == 404
    # Busybox is larger than what is left: the volume cannot be filled with it, and the container
    # is not made.
    r = api.post("/containers/create", {"Image": "busybox", "Cmd": ["true"],
                                        "HostConfig": {"Binds": ["filled:/bin"]}})
    assert r.status == 500 and "No space left" in r.json["message"], r
    assert api.ok("GET", "/containers/json", all=1) == []
    api.delete("/volumes/filled")
    assert {v["Name"] for v in api.ok("GET", "/volumes")["Volumes"]} == before
    assert api.ok("POST", "/volumes/prune?filters={\"all\":[\"true\"]}")["SpaceReclaimed"] >= 3 << 20
    os.unlink(ballast)
    assert api.call("POST", "/volumes/new/import", big()).status == 201
    cleat.until(lambda: not os.listdir(os.path.join(d.data_root, "trash")))


@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
def test_copying(d, running):
    api = d.api
    cid = api.ok("POST", "/containers/create", {"Image": "busybox", "Cmd": ["sleep", "1000"]})["Id"]
    if running:
        api.ok("POST", "/containers/%s/start" % cid)
    assert api.call("PUT", "/containers/%s/archive" % cid, big(1000), path="/tmp").status == 200
    ballast = fill_up(d)
    r = api.call("PUT", "/containers/%s/archive" % cid, big(), path="/tmp")
    assert r.status == 500 and "No space left" in r.json["message"], r
    assert api.get("/containers/%s/archive" % cid, path="/tmp/first").status == 200
    assert len(api.get("/containers/%s/export" % cid).body) > 100_000  # reading needs no room
    assert isinstance(api.ok("GET", "/containers/%s/changes" % cid), list)
    os.unlink(ballast)
    assert api.call("PUT", "/containers/%s/archive" % cid, big(), path="/tmp").status == 200
    api.ok("DELETE", "/containers/" + cid, force=1)


def test_removing_makes_room(d):
    """It must work when nothing else does; the catalog may need the room that the first try makes."""
    api = d.api
    assert api.call("POST", "/volumes/large/import", big(8 << 20)).status == 201
    cid = make(api)
    ballast = fill_up(d)
    fd = os.open(ballast, os.O_WRONLY | os.O_APPEND)
    with pytest.raises(OSError, match="No space left"):
        while os.write(fd, bytes(4096)):
            pass
    os.close(fd)
    cleat.until(lambda: api.delete("/volumes/large").status in (204, 404))
    cleat.until(lambda: not os.listdir(os.path.join(d.data_root, "trash")))
    assert api.ok("GET", "/volumes")["Volumes"] == []
    assert api.delete("/containers/" + cid).status == 204
    os.unlink(ballast)
    make(api)
