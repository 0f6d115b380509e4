"""kill -9 at every fail point of pull and push, and an error there: the next daemon finds a clean
store, and the repeated command finishes, with what was finished before."""
import http.client
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "images"))

import cleat
import images
from cleat import until
from registry import sha
import storecheck
from test_hostile import error_of, fake, layer_dirs, random_layer, stages  # noqa: F401
from test_pull import put_index
from test_push import second  # noqa: F401

PULL = [p for p in cleat.fail_points() if p.startswith("image.pull.")]
LOAD = [p for p in cleat.fail_points() if p.startswith("image.load.")]
PUSH_INDEX = [p for p in cleat.fail_points() if p.startswith("image.push.")]
PUSH = [p for p in PUSH_INDEX if p != "image.push.part"]
BELOW = [p for p in cleat.fail_points()
         if p.startswith(("layer.", "blob.publish", "image.create", "image.insert", "image.tag"))
         and not p.startswith(cleat.OF_BUILDS)]
BROKEN = (OSError, http.client.HTTPException, ValueError)

pytestmark = pytest.mark.usefixtures("fail_build")


@pytest.fixture
def broken_daemon(own_daemon, daemon, fake):
    """A registry, and a daemon of which start(points) makes one that fails there."""
    reg = fake()
    d = own_daemon(build=cleat.BUILD_FAIL)
    d.others |= cleat.namespace_mates()
    return d, reg


def attempt(call):
    """True when it was answered with success to the end."""
    try:
        reply = call()
        return reply.status == 200 and not error_of(reply)
    except BROKEN:
        return False


def pull(d, ref):
    return cleat.Api(d.socket).post("/images/create", fromImage=ref, tag="latest", timeout=20)


def push(d, ref):
    return cleat.Api(d.socket).post("/images/%s/push" % ref, tag="latest", timeout=20)


def fail_in(d, point, action, work):
    """Start a daemon that fails at @point, let it @work; True when nothing was noticed of it."""
    d.start(wait=False, env={"CLEAT_FAIL": "%s=%s" % (point, action)})
    try:
        until(d.answers, 10)
        fine = attempt(work)
    except AssertionError:
        fine = False
    if d.process.poll() is None:
        d.crash()
    d.stopped = True
    return fine


def check_clean(d):
    """The store holds what the catalog knows, and nothing half-made."""
    assert not stages(d)
    for image in d.api.ok("GET", "/images/json", all=1):
        shown = d.api.ok("GET", "/images/%s/json" % image["Id"])
        have = {"sha256:" + x for x in layer_dirs(d)}
        assert set(shown["RootFS"]["Layers"]) <= have
        name = (image["RepoTags"] or [image["Id"]])[0]
        assert len(d.api.get("/images/%s/get" % name).body) > 1000  # all layers proven on the way


def blob_files(d):
    return os.listdir(os.path.join(d.data_root, "image", "blobs", "sha256"))


@pytest.mark.parametrize("action", ["crash@1", "error@1"])
@pytest.mark.parametrize("point", PULL + BELOW)
def test_pull(broken_daemon, name, point, action):
    d, reg = broken_daemon
    reg.put_image(name, "latest", [random_layer(name, 100000), random_layer(name + "b", 100000)])
    ref = "%s/%s" % (reg.host, name)
    d.start()  # cleat/hello is made without a fault
    d.stop()
    assert not fail_in(d, point, action, lambda: pull(d, ref))
    fetched = len(reg.asked("GET", "/blobs/"))
    d.start()
    check_clean(d)
    reply = pull(d, ref)
    assert not error_of(reply), reply
    if point in ("image.pull.layers", "image.pull.blobs", "image.pull.made", "image.pull.after") \
            and action == "crash@1":
        assert len(reg.asked("GET", "/blobs/")) <= fetched + 1  # the config at most, no layer
    check_clean(d)
    cid = d.api.ok("GET", "/images/%s/json" % ref)["Id"]
    assert d.api.delete("/images/" + cid, force=1).status == 200
    assert len(layer_dirs(d)) == 1  # cleat/hello's
    assert len(blob_files(d)) == 1


@pytest.mark.parametrize("action", ["crash@1", "error@1"])
@pytest.mark.parametrize("point", LOAD + BELOW)
def test_load(broken_daemon, name, point, action):
    """An OCI layout, of which compressed layers are kept."""
    d, reg = broken_daemon
    archive = images.oci_archive(name + ":1", [random_layer(name, 100000)])

    def load():
        return cleat.Api(d.socket).post("/images/load", archive, timeout=20, headers={
            "Content-Type": "application/x-tar"})
    d.start()
    d.stop()
    assert not fail_in(d, point, action, load)
    d.start()
    check_clean(d)
    assert len(blob_files(d)) in (1, 4)  # cleat/hello's; manifest, config and layer
    assert not error_of(load())
    check_clean(d)
    assert len(blob_files(d)) == 4
    ref = "%s/%s" % (reg.host, name)
    d.api.post("/images/%s:1/tag" % name, repo=ref, tag="latest")
    assert not error_of(push(d, ref))
    assert sha(reg.manifests[name, "latest"][1]) in [
        "sha256:" + x for x in blob_files(d)]
    cid = d.api.ok("GET", "/images/%s/json" % ref)["Id"]
    assert d.api.delete("/images/" + cid, force=1).status == 200
    assert len(layer_dirs(d)) == 1 and len(blob_files(d)) == 1


@pytest.mark.parametrize("action", ["crash@1", "error@1"])
@pytest.mark.parametrize("point", PUSH)
def test_push(broken_daemon, name, point, action):
    d, reg = broken_daemon
    ref = "%s/%s" % (reg.host, name)
    parts = [random_layer(name, 100000), random_layer(name + "b", 100000)]
    d.start()
    d.api.post("/images/load", images.docker_archive([ref + ":latest"], parts),
               headers={"Content-Type": "application/x-tar"})
    d.stop()
    assert not fail_in(d, point, action, lambda: push(d, ref))
    d.start()
    check_clean(d)
    reply = push(d, ref)
    assert not error_of(reply), reply
    again = push(d, ref).lines
    assert not [x for x in again if x.get("status") == "Pushed"]
    digest = again[-1]["aux"]["Digest"]
    assert (name, digest) in reg.manifests
    assert d.api.ok("GET", "/images/%s/json" % ref)["RepoDigests"] == ["%s@%s" % (ref, digest)]
    check_clean(d)


@pytest.mark.parametrize("action", ["crash@1", "error@1"])
@pytest.mark.parametrize("point", PUSH_INDEX)
def test_push_of_an_index(broken_daemon, plain, second, name, point, action):  # noqa: F811
    """An index of two platforms, of which all is here: after a failure it goes as a whole."""
    d, _ = broken_daemon
    platforms = [{"os": "linux", "architecture": "s390x"}, {"os": "linux", "architecture": "amd64"}]
    digest, ids = put_index(plain, name, platforms)
    ref, out = "%s/%s" % (plain.host, name), "%s/%s" % (second.host, name)
    d.start()
    for p in ids:
        reply = d.api.post("/images/create", fromImage=ref, tag="latest", platform=p)
        assert reply.status == 200 and not error_of(reply)
    assert d.api.post("/images/%s/tag" % ref, repo=out, tag="latest").status == 201
    d.stop()
    assert not fail_in(d, point, action, lambda: push(d, out))
    d.start()
    assert not storecheck.problems(d.data_root)
    reply = push(d, out)
    assert not error_of(reply), reply
    assert [x["aux"]["Digest"] for x in reply.lines if "aux" in x] == [digest]
    assert second.manifest(name, "latest")[0] == digest
    assert not storecheck.problems(d.data_root)
    for r in (ref, out):
        assert d.api.delete("/images/" + r).status == 200
    assert len(layer_dirs(d)) == 1 and len(blob_files(d)) == 1  # cleat/hello's
