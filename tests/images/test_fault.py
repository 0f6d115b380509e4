"""kill -9 at every fail point on the way of load, import, rm and the collection of garbage, and an
error there: the next daemon's store is clean, and the repeated commands finish. Pull and push have
theirs in tests/registry."""
import http.client
import io
import tarfile

import pytest

import cleat
import images
import rawtar as t
import storecheck
from cleat import until

POINTS = [p for p in cleat.fail_points() if p.startswith((
    "layer.", "blob.", "image.create", "image.insert", "image.tag", "image.untag", "image.delete",
    "image.remove", "image.load", "image.import", "store.gc", "catalog.commit"))
          and not p.startswith(cleat.OF_BUILDS)]
BROKEN = (OSError, http.client.HTTPException, AssertionError, ValueError)
NEW = [t.tar(t.file(b"f%d" % i, b"%d" % i * 5000)) for i in range(3)]
LOADED = images.docker_archive(["fault:1", "fault:2"], NEW[:2])

pytestmark = pytest.mark.usefixtures("fail_build")


def load(api):
    return api.post("/images/load", LOADED, timeout=20)


def import_one(api):
    return api.post("/images/create", NEW[2], fromSrc="-", repo="fault", tag="3", timeout=20)


def untag(api):
    return api.delete("/images/fault:2", timeout=20)


def remove(api):
    return api.delete("/images/fault:1", timeout=20)


def collect(api):
    """Prune takes what no tag names."""
    return api.post("/images/prune", filters={"dangling": ["false"]}, timeout=20)


STEPS = [load, import_one, untag, remove, load, collect]


def attempt(api, step):
    try:
        reply = step(api)
        return reply.status == 200 and b"errorDetail" not in reply.body
    except BROKEN:
        return False


def proven(d, name):
    """Save proves every layer on its way out; how many there are, or None without the image."""
    reply = d.api.get("/images/%s/get" % name)
    if reply.status == 404:
        return None
    with tarfile.open(fileobj=io.BytesIO(reply.body)) as tf:
        return len([m for m in tf if m.isfile() and m.size > 5000])


def check_clean(d):
    until(lambda: not storecheck.problems(d.data_root), 5,
          lambda: storecheck.problems(d.data_root))
    assert proven(d, "fault:1") in (None, 2) and proven(d, "fault:3") in (None, 1)


@pytest.mark.parametrize("action", ["crash@1", "crash@2", "error@1"])
@pytest.mark.parametrize("point", POINTS)
def test_fail_point(own_daemon, point, action):
    d = own_daemon(build=cleat.BUILD_FAIL)
    d.start()  # the built-in image is made without a fault
    d.stop()
    d.start(wait=False, env={"CLEAT_FAIL": "%s=%s" % (point, action)})
    api = cleat.Api(d.socket)
    try:
        until(d.answers, 10)
        fine = all([attempt(api, step) for step in STEPS])
    except AssertionError:
        fine = False  # it fails at its start
    if action == "error@1" and d.process.poll() is None:
        until(lambda: not storecheck.problems(d.data_root) or collect(api).status != 200, 5,
              lambda: storecheck.problems(d.data_root))
    if d.process.poll() is None:
        d.crash()
    d.stopped = True
    d.start()
    check_clean(d)
    for step in STEPS:
        reply = step(d.api)
        assert (reply.status == 200 and b"errorDetail" not in reply.body) or \
            (step is untag and reply.status == 404), (step, reply)
        check_clean(d)
    assert d.api.ok("GET", "/images/json", all=1) == []
    if fine and action != "crash@2":
        assert point in ("blob.delete.before",), "nothing passes this point"


def test_the_check_sees(own_daemon):
    """A check that finds nothing proves nothing: damage of every kind shows."""
    import os
    d = own_daemon()
    d.start()
    load(d.api)
    assert storecheck.problems(d.data_root) == []
    layers = os.path.join(d.data_root, "layers")
    blobs = os.path.join(d.data_root, "image", "blobs")
    os.mkdir(os.path.join(layers, "tmp-x"))
    assert "layer sha256:tmp-x: a file without a row" in storecheck.problems(d.data_root)
    os.rmdir(os.path.join(layers, "tmp-x"))
    with open(os.path.join(blobs, "ingest", "x"), "wb"):
        pass
    assert "staged x" in storecheck.problems(d.data_root)
    image = d.api.ok("GET", "/images/fault:1/json")["Id"]
    os.rename(os.path.join(blobs, "sha256", image[7:]), os.path.join(blobs, "sha256", "0" * 64))
    found = storecheck.problems(d.data_root)
    assert "blob %s: a row without a file" % image in found
    assert "blob sha256:%s: a file without a row" % ("0" * 64) in found
