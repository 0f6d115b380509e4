"""kill -9 at every fail point on the way of a build and a prune, and an error there: the next
daemon's store is clean, nothing of the build is left, and the same build then goes through, with a
cache that is right."""
import http.client
import io
import os
import sys
import tarfile

import pytest

import cleat
import fixtures
from cleat import until
from images import add

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "images"))

import storecheck  # noqa: E402

# Those that test_cache_outside.py, test_history.py and test_named.py come by.
OUTSIDE = ("build.cache.fetch", "build.cache.sen", "build.layout.", "build.record.delete")
POINTS = [p for p in cleat.fail_points() if not p.startswith(OUTSIDE) and p.startswith((
    "build.", "layer.stage", "layer.commit", "layer.adopt", "layer.settle", "image.create.",
    "image.insert", "image.tag", "container.create", "container.start", "container.remove",
    "store.gc"))]
BROKEN = (OSError, http.client.HTTPException, AssertionError, ValueError)
DOCKERFILE = """FROM busybox AS b
RUN --mount=type=cache,target=/c echo one > /x && cp /x /c/
FROM busybox
WORKDIR /w
COPY f d /w/
COPY --from=b /x /y
RUN cat f a /y > o
"""

pytestmark = pytest.mark.usefixtures("fail_build")


def context():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in (("Dockerfile", DOCKERFILE.encode()), ("f", b"f\n"), ("d/a", b"a\n")):
            add(tar, name, data)
    return out.getvalue()


def build(api):
    reply = api.post("/build", context(), headers={"Content-Type": "application/x-tar"},
                     t="fault:1", networkmode="none", timeout=30)
    return reply.status == 200 and b"errorDetail" not in reply.body


def prune(api):
    return api.post("/build/prune", all=1, timeout=20).status == 200


def remove(api):
    return api.delete("/images/fault:1", timeout=20).status in (200, 404)


def build_kept(api):
    """The same build, of a context that is kept."""
    with tarfile.open(fileobj=io.BytesIO(context())) as tar:
        members = {m.name: tar.extractfile(m).read() for m in tar}
    files = [{"P": "d", "K": "d", "M": 0o755, "T": 1}] + \
        [{"P": n, "K": "f", "M": 0o644, "S": len(members[n]), "T": 1} for n in members]
    files.sort(key=lambda f: f["P"])
    said = api.ok("POST", "/build/context", {"Key": "f" * 64, "Files": files})
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as tar:
        for i in said["Missing"]:
            add(tar, files[i]["P"], members[files[i]["P"]])
    reply = api.post("/build", body.getvalue(), headers={"Content-Type": "application/x-tar"},
                     t="fault:1", networkmode="none", timeout=30, session=said["Session"])
    return reply.status == 200 and b"errorDetail" not in reply.body


STEPS = [build, remove, build_kept, build_kept, prune, build]


def attempt(api, step):
    try:
        return step(api)
    except BROKEN:
        return False


def content(d):
    """What the last step wrote, read out of a container that never ran."""
    cid = d.api.ok("POST", "/containers/create", {"Image": "fault:1"})["Id"]
    try:
        body = d.api.get("/containers/%s/archive" % cid, path="/w/o").body
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            return tar.extractfile("o").read()
    finally:
        d.api.delete("/containers/" + cid)


def leftovers(d):
    out = storecheck.problems(d.data_root) + d.leftovers()
    out += ["build/tmp/" + x for x in os.listdir(os.path.join(d.data_root, "build/tmp"))]
    out += ["secret " + x for x in os.listdir(os.path.join(d.exec_root, "build"))]
    return out + ["container " + x for x in os.listdir(os.path.join(d.data_root, "containers"))]


CASES = [(p, a) for p in POINTS for a in ("crash@1", "error@1", "crash@3")
         if a != "crash@3" or p.startswith(("build.", "layer."))]


def break_at(own_daemon, point, action, steps):
    """(the daemon after it, started again; whether all steps went well, as none came by the point)"""
    d = own_daemon(build=cleat.BUILD_FAIL)
    d.start()
    fixtures.load(d)
    d.stop()
    d.start(wait=False, env={"CLEAT_FAIL": "%s=%s" % (point, action)})
    api = cleat.Api(d.socket)
    try:
        until(d.answers, 10)
        fine = all([attempt(api, step) for step in steps])
    except AssertionError:
        fine = False  # it died on its way up
    if d.process.poll() is None:
        d.stop()
    d.stopped = True
    d.start()
    until(lambda: not leftovers(d), 10, lambda: leftovers(d))
    return d, fine


@pytest.mark.parametrize("point,action", CASES)
def test_fail_point(own_daemon, point, action):
    d, fine = break_at(own_daemon, point, action, STEPS)
    for _ in range(2):  # the second time from the cache
        assert build(d.api) and build_kept(d.api), d.log()[-2000:]
        assert content(d) == b"f\na\none\n"
    until(lambda: not leftovers(d), 10, lambda: leftovers(d))
    if fine and action != "crash@3":
        pytest.skip("no build comes by this point")
