"""Somebody swaps a directory for a link to the host's, and back, as fast as can be, while volumes are
mounted in part, mounted over, cloned and exported through it: nobody leaves the volume.

CLEAT_RACE_SECONDS: how long each of them runs (3).
"""
import ctypes
import io
import itertools
import os
import tarfile
import threading
import time

import pytest

import cleat

SECONDS = float(os.environ.get("CLEAT_RACE_SECONDS", "3"))
AT_FDCWD, EXCHANGE = -100, 2
SECRET = "of the host"
libc = ctypes.CDLL(None, use_errno=True)


class Swapper:
    """Exchanges two names in a directory in one step, without end, as a container could that has it."""

    def __init__(self, top, a, b):
        self.a, self.b = (os.path.join(top, x).encode() for x in (a, b))
        self.swaps, self.stop = 0, False
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stop:
            if libc.renameat2(AT_FDCWD, self.a, AT_FDCWD, self.b, EXCHANGE) != 0:
                raise OSError(ctypes.get_errno(), "renameat2")
            self.swaps += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop = True
        self.thread.join()
        assert self.swaps > 100, self.swaps


@pytest.fixture
def host(tmp_path):
    """A directory of the host that nobody may reach."""
    (tmp_path / "secret").write_text(SECRET)
    yield tmp_path
    assert os.listdir(tmp_path) == ["secret"] and (tmp_path / "secret").read_text() == SECRET


@pytest.fixture
def racing(daemon, name, host):
    """A volume in which "p" and "q" are a directory and a link to the host's, now and then."""
    v = daemon.api.ok("POST", "/volumes/create", {"Name": "race-" + name})
    top = v["Mountpoint"]
    os.mkdir(top + "/p")
    with open(top + "/p/secret", "w", encoding="utf-8") as f:
        f.write("of the volume")
    os.symlink(host, top + "/q")
    with Swapper(top, "p", "q"):
        yield v["Name"], top
    daemon.api.ok("DELETE", "/volumes/" + v["Name"])


def rounds():
    end = time.monotonic() + SECONDS
    return itertools.takewhile(lambda _: time.monotonic() < end, itertools.count())


def run(api, cmd, **host):
    """(status of the start, output)"""
    cid = api.ok("POST", "/containers/create", {"Image": "busybox", "Cmd": ["sh", "-c", cmd],
                                                "HostConfig": host})["Id"]
    try:
        r = api.post("/containers/%s/start" % cid)
        if r.status != 204:
            return r.status, r.json["message"]
        api.ok("POST", "/containers/%s/wait" % cid)
        out = cleat.demux(api.get("/containers/%s/logs" % cid, stdout=1, stderr=1).body)
        return 204, b"".join(out).decode()
    finally:
        api.delete("/containers/" + cid, force=1)


def test_a_part_of_a_volume(daemon, racing):
    seen = set()
    for n in rounds():
        mount = {"Type": "volume", "Source": racing[0], "Target": "/m",
                 "VolumeOptions": {"Subpath": "p" if n % 2 else "p/secret"}}
        status, out = run(daemon.api, "cat /m/secret /m 2>/dev/null; touch /m/planted", Mounts=[mount])
        assert SECRET not in out
        seen.add(status)
    assert 204 in seen, seen


def test_a_mount_below_it(daemon, racing, host):
    """The place of one mount lies in another, where it is to be made."""
    other = daemon.api.ok("POST", "/volumes/create", {})["Name"]
    seen = set()
    for n in rounds():
        status, out = run(daemon.api, "cat /r/p/secret /r/q/secret 2>/dev/null; touch /r/p/d%d/x" % n,
                          Binds=["%s:/r" % racing[0], "%s:/r/p/d%d" % (other, n)])
        assert SECRET not in out
        seen.add(status)
    daemon.api.ok("DELETE", "/volumes/" + other)
    assert 204 in seen, seen


def test_copies_of_it(daemon, racing):
    seen = set()
    for _ in rounds():
        body = daemon.api.get("/volumes/%s/export" % racing[0]).body
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            for m in tar:
                seen.add((m.name.lstrip("./"), m.type))
                assert not m.isreg() or tar.extractfile(m).read() == b"of the volume"
        made = daemon.api.ok("POST", "/volumes/%s/clone" % racing[0], {"Name": racing[0] + "-c"})
        for base, _, files in os.walk(made["Mountpoint"]):
            for f in files:
                path = os.path.join(base, f)
                assert os.path.islink(path) or open(path, encoding="utf-8").read() != SECRET
        daemon.api.ok("DELETE", "/volumes/%s-c" % racing[0])
    assert len(seen) > 2, seen
