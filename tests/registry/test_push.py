"""Push: what is sent, what is not, what the registry holds afterwards, and who can read it."""
import gzip
import json

import pytest

import images
import registry
import secure
from test_pull import layers, pull
from registry import sha


@pytest.fixture(scope="session")
def second(daemon, tmp_path_factory):
    r = registry.Registry(daemon, tmp_path_factory.mktemp("second"))
    yield r
    r.close()


def load(daemon, ref, parts, settings=None):
    body = images.docker_archive([ref], parts, settings)
    assert daemon.api.post("/images/load", body, headers={
        "Content-Type": "application/x-tar"}).status == 200
    return images.image_id([ref], parts, settings)


def push(daemon, name, tag="latest"):
    reply = daemon.api.post("/images/%s/push" % name, tag=tag, headers={"X-Registry-Auth": "e30="})
    assert reply.status == 200, reply
    return reply.lines


def check_stored(reg, repo, ref, parts, image):
    """Everything of the image is in the registry and is what it should be."""
    digest, doc = reg.manifest(repo, ref)
    assert doc["config"]["digest"] == image
    assert len(doc["layers"]) == len(parts)
    for d, plain in zip(doc["layers"], parts):
        _, _, data = reg.call("GET", "/v2/%s/blobs/%s" % (repo, d["digest"]))
        assert len(data) == d["size"] and sha(data) == d["digest"]
        assert "gzip" in d["mediaType"] and gzip.decompress(data) == plain
    return digest, doc


def test_push_and_pull_again(daemon, plain, cli, name):
    parts = layers(name)
    ref = "%s/team/%s:v1" % (plain.host, name)
    image = load(daemon, ref, parts)
    out = cli.ok("push", ref).splitlines()
    assert out[0] == "The push refers to repository [%s/team/%s]" % (plain.host, name)
    digest, doc = check_stored(plain, "team/" + name, "v1", parts, image)
    assert out[-1] == "v1: digest: %s size: %d" % (digest, len(json.dumps(doc).replace(" ", "")))
    assert doc["mediaType"] == registry.DOCKER + "distribution.manifest.v2+json"
    by_digest = "%s/team/%s@%s" % (plain.host, name, digest)
    assert daemon.api.ok("GET", "/images/%s/json" % ref)["RepoDigests"] == [by_digest]
    cli.ok("rmi", ref)
    cli.ok("pull", by_digest)
    assert daemon.api.ok("GET", "/images/%s/json" % by_digest)["Id"] == image
    assert cli.ok("run", "--rm", by_digest, "cat", "/own/" + name) == name


def test_stream_of_a_push(daemon, plain, name):
    parts = layers(name)
    ref = "%s/%s" % (plain.host, name)
    load(daemon, ref + ":latest", parts)
    got = push(daemon, ref)
    assert got[0] == {"status": "The push refers to repository [%s]" % ref}
    own = sha(parts[1])[7:19]
    mine = [x["status"] for x in got if x.get("id") == own]
    assert mine[0] == "Preparing" and mine[-1] == "Pushed", mine
    digest, _ = plain.manifest(name, "latest")
    assert got[-2]["status"].startswith("latest: digest: %s size: " % digest)
    size = int(got[-2]["status"].split()[-1])
    assert got[-1] == {"progressDetail": {}, "aux": {"Tag": "latest", "Digest": digest,
                                                     "Size": size}}
    again = push(daemon, ref)
    assert {x["status"] for x in again if x.get("id")} == {"Preparing", "Layer already exists"}
    assert again[-1] == got[-1]


def test_an_untouched_image_keeps_its_manifest(daemon, plain, cli, name):
    """Pulled, and pushed to where its blobs are: the same bytes, also in another repository."""
    for oci in (True, False):
        repo = "%s-%s" % (name, "oci" if oci else "docker")
        digest, _ = plain.put_image(repo, "latest", layers(repo), oci=oci)
        ref = "%s/%s" % (plain.host, repo)
        pull(daemon.api, ref)
        cli.ok("tag", ref, ref + ":again")
        assert "digest: " + digest in cli.ok("push", ref + ":again")
        cli.ok("tag", ref, ref + "/copy:1")
        out = cli.ok("push", ref + "/copy:1")
        assert "digest: " + digest in out and "Mounted from" in out, out
        assert "Pushed" not in out
        assert plain.manifest(repo + "/copy", "1")[0] == digest


def pushed(cli, ref):
    """The digest that a push tells of."""
    return [x for x in cli.ok("push", ref).splitlines() if "digest: " in x][0].split()[2]


def image_of(reg, repo, ref):
    return reg.manifest(repo, ref)[1]["config"]["digest"]


@pytest.mark.parametrize("compress", ["gzip", "zstd", ""])
def test_to_a_second_registry(daemon, plain, second, cli, name, compress):
    """Pushed as it came, with blobs kept; and what is made anew where they are not."""
    parts = layers(name + compress)
    tag = "as-" + compress
    digest, image = plain.put_image(name, tag, parts, compress)
    load(daemon, "%s/%s:made" % (second.host, name), parts[1:])
    made = pushed(cli, "%s/%s:made" % (second.host, name))
    check_stored(second, name, "made", parts[1:], image_of(second, name, "made"))
    pull(daemon.api, "%s/%s" % (plain.host, name), tag)
    there = "%s/%s:%s" % (second.host, name, tag)
    cli.ok("tag", "%s/%s:%s" % (plain.host, name, tag), there)
    assert pushed(cli, there) == digest != made
    assert second.manifest(name, tag)[1]["config"]["digest"] == image
    # What was sent once is the same when it is sent again: the manifest has one digest.
    cli.ok("tag", there, there + "-again")
    assert pushed(cli, there + "-again") == digest


def test_all_tags_and_quiet(daemon, plain, cli, name):
    ref = "%s/%s" % (plain.host, name)
    load(daemon, ref + ":a", layers(name))
    cli.ok("tag", ref + ":a", ref + ":b")
    cli.ok("push", "--all-tags", ref)
    assert set(json.loads(plain.call("GET", "/v2/%s/tags/list" % name)[2])["tags"]) == {"a", "b"}
    cli.ok("tag", ref + ":a", ref + ":c")
    assert cli.ok("push", "-q", ref + ":c") == ref + ":c"


def test_what_is_not_here(plain, cli, name):
    ref = "%s/%s" % (plain.host, name)
    done = cli("push", ref)
    assert done.returncode == 1
    assert "An image does not exist locally with the tag: " + ref in done.stderr, done
    cli.ok("tag", "busybox", ref + ":x")
    done = cli("push", ref + ":y")
    assert done.returncode == 1 and "tag does not exist: %s:y" % ref in done.stderr, done


def test_docker_py(daemon, plain, docker_py, name):
    parts = layers(name)
    ref = "%s/%s" % (plain.host, name)
    image = load(daemon, ref + ":p", parts)
    got = list(docker_py.images.push(ref, tag="p", stream=True, decode=True))
    assert not [x for x in got if "error" in x], got
    digest, _ = check_stored(plain, name, "p", parts, image)
    assert got[-1]["aux"]["Digest"] == digest


def test_big_layer_in_pieces(daemon, plain, cli, name):
    """More than one piece; what cannot be compressed stays large."""
    import os
    parts = [images.busybox(), images.layer(("big", os.urandom(20 << 20), {}))]
    ref = "%s/%s:big" % (plain.host, name)
    image = load(daemon, ref, parts)
    cli.ok("push", ref)
    check_stored(plain, name, "big", parts, image)


def test_pieces_go_on_where_they_broke(daemon, plain, name):
    """A proxy that drops connections in the middle of a PATCH: asked how far it got, it goes on."""
    import os
    parts = [images.layer(("big", os.urandom(16 << 20), {}))]
    breaker = Breaker(plain)
    ref = "127.0.0.1:%d/%s" % (breaker.port, name)
    image = load(daemon, ref + ":latest", parts)
    got = push(daemon, ref)
    assert "errorDetail" not in got[-1], got[-1]
    check_stored(plain, name, "latest", parts, image)
    assert breaker.broken >= 2
    assert [r for r in breaker.requests if r[0] == "GET" and "/uploads/" in r[1]]
    breaker.close()


class Breaker(secure.Server):
    """Passes requests on to a registry, but of two PATCHes only a part, and then hangs up."""

    def __init__(self, behind):
        self.behind, self.broken = behind, 0
        super().__init__(self.handle)

    def handle(self, req):
        body, cut = req.body, False
        headers = {k: v for k, v in req.headers.items() if k.lower() != "host"}
        if req.command == "PATCH" and self.broken < 2:
            self.broken += 1
            cut = True
            body = body[:len(body) // 2]
            headers["Content-Length"] = str(len(body))
            start = int(headers["Content-Range"].split("-")[0])
            headers["Content-Range"] = "%d-%d" % (start, start + len(body) - 1)
        import http.client
        conn = http.client.HTTPConnection("127.0.0.1", self.behind.port)
        conn.request(req.command, req.path, body, headers)
        reply = conn.getresponse()
        data = reply.read()
        conn.close()
        if cut:
            req.connection.close()
            req.close_connection = True
            return
        out = {k: v.replace(":%d" % self.behind.port, ":%d" % self.port)
               for k, v in reply.getheaders() if k.lower() not in ("content-length", "date")}
        req.send_response(reply.status)
        for k, v in out.items():
            req.send_header(k, v)
        req.send_header("Content-Length", reply.getheader("Content-Length") or "0")
        req.end_headers()
        if req.command != "HEAD":
            req.wfile.write(data)


def test_refusals(daemon, cli, name):
    """What the registry says is what the user reads."""
    cases = [(403, {"errors": [{"code": "DENIED", "message": "requested access to the resource is "
                                "denied"}]}, "denied: requested access to the resource is denied"),
             (401, {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]},
              "unauthorized: authentication required"),
             (507, b"<html>", "unexpected status 507")]
    for status, body, text in cases:
        server = secure.Server(lambda req, s=status, b=body: req.reply(s, b))
        ref = "127.0.0.1:%d/%s:1" % (server.port, name)
        cli.ok("tag", "busybox", ref)
        done = cli("push", ref)
        assert done.returncode == 1 and text in done.stderr, done
        server.close()


def test_a_removed_image_is_pushed_to_its_end(daemon, plain, name):
    """rmi while the push is under way: the push has a lease on the layers."""
    import threading
    parts = layers(name)
    gate, go = threading.Event(), threading.Event()

    def handle(req):
        if req.command == "POST":
            gate.set()
            go.wait(20)
        Breaker.handle(server, req)
    server = Breaker.__new__(Breaker)
    server.behind, server.broken = plain, 2
    secure.Server.__init__(server, handle)
    ref = "127.0.0.1:%d/%s" % (server.port, name)
    image = load(daemon, ref + ":latest", parts)
    got = []
    thread = threading.Thread(target=lambda: got.extend(push(daemon, ref)))
    thread.start()
    assert gate.wait(20)
    assert daemon.api.delete("/images/%s:latest" % ref).status == 200
    go.set()
    thread.join(30)
    assert "aux" in got[-1], got[-1]
    check_stored(plain, name, "latest", parts, image)
    server.close()
