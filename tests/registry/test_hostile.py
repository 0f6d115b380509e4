"""Registries that lie, stall, break off and lead astray: clear errors, nothing half-made, no leaks
of secrets, and what can be saved is saved."""
import base64
import json
import os
import re
import signal
import threading

import pytest

import cleat
import hostile
import images
import registry
from cleat import until
from registry import sha
from test_pull import layers

SECRET = "very-s3cret"
BIG = 5 << 20


def random_layer(name, size=BIG):
    return images.layer(("own/" + name, os.urandom(size), {}))


@pytest.fixture
def fake(request):
    made = []

    def make(fault=None, **kw):
        made.append(hostile.FakeRegistry(fault, **kw))
        return made[-1]
    yield make
    for r in made:
        r.close()


def pull(daemon, ref, tag="latest", auth=None, timeout=30, **query):
    headers = {}
    if auth:
        headers["X-Registry-Auth"] = base64.urlsafe_b64encode(json.dumps(auth).encode()).decode()
    return daemon.api.post("/images/create", fromImage=ref, tag=tag, headers=headers,
                           timeout=timeout, **query)


def error_of(reply):
    if reply.status != 200:
        return reply.message
    return reply.lines[-1].get("error", "")


def stages(daemon):
    """What is half-made, but for the parts of blobs that wait for another pull."""
    return [x for x in os.listdir(os.path.join(daemon.data_root, "layers"))
            if x.startswith("tmp-")] + \
        [x for x in os.listdir(os.path.join(daemon.data_root, "image", "blobs", "ingest"))
         if not x.startswith("part-")]


def part_of(daemon, digest):
    """Bytes that are here of a blob that has not come to its end, or None."""
    path = os.path.join(daemon.data_root, "image", "blobs", "ingest", "part-" + digest[7:])
    return os.path.getsize(path) if os.path.exists(path) else None


def layer_dirs(daemon):
    return set(os.listdir(os.path.join(daemon.data_root, "layers")))


def must_fail(daemon, ref, text, **kw):
    """The pull fails with these words, and leaves neither an image nor a part of a layer."""
    before = layer_dirs(daemon)
    reply = pull(daemon, ref, **kw)
    assert re.search(text, error_of(reply)), reply
    assert daemon.api.get("/images/%s/json" % ref).status == 404
    until(lambda: not stages(daemon), 5, lambda: stages(daemon))
    return layer_dirs(daemon) - before


# ---- connections ----

@pytest.mark.parametrize("ranges", [True, False])
def test_broken_downloads_go_on(daemon, fake, name, ranges):
    """Hung up on twice in the middle of a blob: goes on there (Range), or skips what it has."""
    parts = [random_layer(name)]

    def fault(req):
        if req.command == "GET" and big[0] in req.path and len(cuts) < 2:
            cuts.append(1)
            reg.send_blob(req, reg.blobs[big[0]], upto=len(cuts) * BIG // 3)
            return True
        return False
    reg, cuts, big = fake(fault, ranges=ranges), [], [""]
    _, blobs = reg.put_image(name, "latest", parts)
    big[0] = sha(blobs[0])
    reply = pull(daemon, "%s/%s" % (reg.host, name))
    assert not error_of(reply), reply
    asked = [r[2].get("Range") for r in reg.asked("GET", big[0])]
    assert asked == [None] + ["bytes=%d-" % (i * BIG // 3) for i in (1, 2)]


def test_always_cut_short(daemon, fake, name):
    def fault(req):
        if req.command == "GET" and big[0] in req.path:
            reg.send_blob(req, reg.blobs[big[0]], upto=1000)
            return True
        return False
    reg, big = fake(fault), [""]
    _, blobs = reg.put_image(name, "latest", [random_layer(name)])
    big[0] = sha(blobs[0])
    assert must_fail(daemon, "%s/%s" % (reg.host, name), "connection|ends too early|reset") == set()
    assert len(reg.asked("GET", big[0])) == 5


@pytest.mark.parametrize("claim,text", [(-7, "expected .* bytes, the registry has"),
                                        (+7, "expected .* bytes, the registry has")])
def test_wrong_length(daemon, fake, name, claim, text):
    def fault(req):
        if req.command == "GET" and big[0] in req.path:
            data = reg.blobs[big[0]]
            reg.send_blob(req, data, total=len(data) + claim)
            hostile.hang_up(req)
            return True
        return False
    reg, big = fake(fault), [""]
    _, blobs = reg.put_image(name, "latest", [random_layer(name)])
    big[0] = sha(blobs[0])
    assert must_fail(daemon, "%s/%s" % (reg.host, name), text) == set()
    assert len(reg.asked("GET", big[0])) == 1


def test_endless_blob(daemon, fake, name):
    """Without a length, and more than the manifest says: cut at the size that was promised."""
    def fault(req):
        if req.command == "GET" and big[0] in req.path:
            req.send_response(200)
            req.send_header("Transfer-Encoding", "chunked")
            req.end_headers()
            data = reg.blobs[big[0]]
            for piece in [data, b"x" * 65536]:
                req.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            try:
                while True:
                    req.wfile.write(b"5\r\nxxxxx\r\n" * 1000)
            except OSError:
                ended.set()
            return True
        return False
    reg, big, ended = fake(fault), [""], threading.Event()
    _, blobs = reg.put_image(name, "latest", [random_layer(name)])
    big[0] = sha(blobs[0])
    must_fail(daemon, "%s/%s" % (reg.host, name), "more than %d bytes came" % len(blobs[0]))
    assert ended.wait(10)


@pytest.mark.parametrize("compress", ["gzip", "zstd", ""])
def test_wrong_content(daemon, fake, name, compress):
    """Of the right length, but another file: found before anything is kept."""
    def fault(req):
        if req.command == "GET" and big[0] in req.path:
            data = bytearray(reg.blobs[big[0]])
            data[-1 if not compress else len(data) // 2] ^= 1
            reg.send_blob(req, bytes(data))
            return True
        return False
    reg, big = fake(fault), [""]
    _, blobs = reg.put_image(name, "latest", [random_layer(name, 300000)], compress)
    big[0] = sha(blobs[0])
    assert must_fail(daemon, "%s/%s" % (reg.host, name),
                     "verification failed for digest %s|Error processing tar" % big[0]) == set()
    assert part_of(daemon, big[0]) is None


def test_another_diff_id(daemon, fake, name):
    """The blob is what the manifest says, but not what the config says."""
    reg = fake()
    _, blobs = reg.put_image(name, "latest", [random_layer(name, 1000)],
                             diff_ids=["sha256:" + "5" * 64])
    assert must_fail(daemon, "%s/%s" % (reg.host, name), "invalid diffID for layer") == set()
    assert part_of(daemon, sha(blobs[0])) is None


def test_wrong_config(daemon, fake, name):
    reg = fake()
    doc, _ = reg.put_image(name, "latest", [random_layer(name, 1000)])
    conf = json.loads(doc)["config"]
    reg.blobs[conf["digest"]] = b"{" + b" " * (conf["size"] - 2) + b"}"
    must_fail(daemon, "%s/%s" % (reg.host, name), "verification failed")


# ---- statuses ----

def times(n, status, body=b"", **headers):
    """A fault: the first @n requests for a manifest are answered so."""
    def fault(req):
        if "/manifests/" not in req.path or len(done) >= n:
            return False
        done.append(1)
        req.reply(status, body, **headers)
        return True
    done = []
    return fault


RATE = {"errors": [{"code": "TOOMANYREQUESTS", "message": "You have reached your pull rate limit."}]}


@pytest.mark.parametrize("n,status,headers", [(2, 500, {}), (1, 503, {}), (2, 429, {}),
                                              (1, 429, {"Retry-After": "1"})])
def test_passing_trouble(daemon, fake, name, n, status, headers):
    reg = fake(times(n, status, **headers))
    reg.put_image(name, "latest", layers(name))
    reply = pull(daemon, "%s/%s" % (reg.host, name))
    assert not error_of(reply), reply
    assert len(reg.asked("GET", "/manifests/latest")) == n + 1


@pytest.mark.parametrize("status,body,headers,tries,text", [
    (429, RATE, {"Retry-After": "3600"}, 1, "toomanyrequests: You have reached your pull rate"),
    (429, RATE, {}, 5, "toomanyrequests: You have reached your pull rate limit"),
    (500, b"<html>oops", {}, 5, "unexpected status 500 from 127.0.0.1"),
    (403, {"errors": [{"code": "DENIED", "message": "no entry"}]}, {}, 1,
     "pull access denied for .*, repository does not exist or may require 'docker login': "
     "denied: no entry"),
    (404, {"errors": [{"code": "NAME_UNKNOWN", "message": "repository name not known"}]}, {}, 1,
     "repository .* not found: name unknown: repository name not known"),
    (418, {"errors": [{"code": "TEAPOT", "message": "short\r\nand\x1b[31m stout"}]}, {}, 1,
     r"teapot: short  and \[31m stout"),
])
def test_lasting_trouble(daemon, fake, name, status, body, headers, tries, text):
    reg = fake(times(100, status, body, **headers))
    must_fail(daemon, "%s/%s" % (reg.host, name), text)
    assert len(reg.asked("GET", "/manifests/latest")) == tries


# ---- redirects ----

def guarded(req):
    """Basic is wanted of every request."""
    if "Authorization" in req.headers:
        return False
    req.reply(401, b"", WWW_Authenticate='Basic realm="x"')
    return True


def test_redirect_elsewhere_without_secrets(daemon, fake, name):
    """Blobs lie on another host: they are fetched there, the password is not told."""
    store = fake()

    def fault(req):
        if guarded(req):
            return True
        found = re.search("/blobs/(sha256:.*)$", req.path)
        if req.command == "GET" and found:
            req.reply(307, b"moved", Location="http://%s/v2/x/blobs/%s?signature=abc" % (
                store.host, found[1]))
            return True
        return False
    reg = fake(fault)
    reg.put_image(name, "latest", [random_layer(name, 1000)])
    store.blobs = reg.blobs
    reply = pull(daemon, "%s/%s" % (reg.host, name),
                 auth={"username": "alice", "password": SECRET})
    assert not error_of(reply), reply
    assert store.requests and all("Authorization" not in r[2] for r in store.requests)
    assert all(r[1].endswith("?signature=abc") for r in store.requests)
    assert base64.b64encode(b"alice:" + SECRET.encode()).decode() not in str(store.requests)
    assert SECRET not in daemon.log()


def test_redirect_loop(daemon, fake, name):
    def fault(req):
        if "/manifests/" in req.path:
            req.reply(302, Location=req.path.split("?")[0] + "?n=%d" % len(reg.requests))
            return True
        return False
    reg = fake(fault)
    must_fail(daemon, "%s/%s" % (reg.host, name), "stopped after 10 redirects")
    assert len(reg.asked("GET", "/manifests/")) == 11


@pytest.mark.parametrize("place,text", [
    ("file:///etc/passwd", "no http or https URL"), ("gopher://x/", "no http or https URL"),
    ("", "redirect without a location"), ("http://a b/", "invalid character"),
    ("http://[::1", "invalid host")])
def test_redirect_to_nowhere(daemon, fake, name, place, text):
    reg = fake(lambda req: req.reply(302, **({"Location": place} if place else {})) or True)
    must_fail(daemon, "%s/%s" % (reg.host, name), text)


# ---- documents ----

D = "sha256:" + "a" * 64


@pytest.mark.parametrize("doc,kind,text", [
    (b"", registry.OCI + "manifest.v1+json", "invalid manifest"),
    (b"[" * 100000, registry.OCI + "manifest.v1+json", "invalid manifest"),
    (b"{}" + b" " * (5 << 20), registry.OCI + "manifest.v1+json", "larger than 4194304 bytes"),
    (json.dumps({"schemaVersion": 2, "config": {"mediaType": registry.OCI + "config.v1+json",
                                                "digest": D, "size": 1}, "layers": [],
                 "manifests": []}).encode(), registry.OCI + "manifest.v1+json",
     "a manifest and an index at once"),
    (b'{"schemaVersion":2,"config":null,"layers":[null]}', registry.OCI + "manifest.v1+json",
     "invalid manifest: .*missing"),
    (json.dumps({"schemaVersion": 1, "name": "x", "fsLayers": []}).encode(),
     registry.DOCKER + "distribution.manifest.v1+prettyjws", "schema version 1"),
    (json.dumps({"schemaVersion": 2, "mediaType": registry.OCI + "index.v1+json",
                 "manifests": []}).encode(), registry.OCI + "manifest.v1+json", "announced as"),
    (json.dumps({"schemaVersion": 2, "config": {
        "mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": D, "size": 1},
                 "layers": []}).encode(), registry.OCI + "manifest.v1+json",
     "no image of a container"),
    (json.dumps({"schemaVersion": 2, "config": {"mediaType": registry.OCI + "config.v1+json",
                                                "digest": D, "size": 1 << 40},
                 "layers": []}).encode(), registry.OCI + "manifest.v1+json", "1099511627776 bytes"),
])
def test_bad_documents(daemon, fake, name, doc, kind, text):
    reg = fake()
    reg.put_manifest(name, "latest", doc, kind)
    must_fail(daemon, "%s/%s" % (reg.host, name), text)


def test_a_manifest_that_is_not_its_digest(daemon, fake, name):
    reg = fake()
    doc, _ = reg.put_image(name, "latest", [random_layer(name, 100)])
    reg.manifests[name, D] = reg.manifests[name, "latest"]
    must_fail(daemon, "%s/%s" % (reg.host, name), "manifest verification failed for digest " + D,
              tag=D)
    index = registry.index_of([(doc, registry.OCI + "manifest.v1+json",
                                {"os": "linux", "architecture": images.config([])["architecture"]})])
    index["manifests"][0]["size"] += 1
    reg.put_manifest(name, "list", json.dumps(index).encode(), registry.OCI + "index.v1+json")
    must_fail(daemon, "%s/%s" % (reg.host, name), "expected .* bytes, got", tag="list")


def test_an_archive_that_breaks_out(daemon, fake, name):
    """Names that lead out of the layer: refused, and nothing is written there."""
    evil = images.layer(("x", None, {"type": b"2", "linkname": "/"}),
                        ("x/evil-" + name, b"1", {}), ("../../../evil-" + name, b"1", {}))
    reg = fake()
    reg.put_image(name, "latest", [evil])
    reply = pull(daemon, "%s/%s" % (reg.host, name))
    assert error_of(reply), reply
    assert not os.path.exists("/evil-" + name)
    assert not stages(daemon)


# ---- who waits, who leaves, who comes again ----

def gate(big, entered, go):
    """A fault: the blob @big[0] is sent by half, and the rest when @go is set."""
    def fault(req):
        if not (req.command == "GET" and big[0] and big[0] in req.path) or go.is_set():
            return False
        data = fault.reg.blobs[big[0]]
        req.send_response(200)
        req.send_header("Content-Length", str(len(data)))
        req.end_headers()
        req.wfile.write(data[:len(data) // 2])
        req.wfile.flush()
        entered.set()
        go.wait(50)
        try:
            req.wfile.write(data[len(data) // 2:])
        except OSError:
            req.close_connection = True
        return True
    return fault


@pytest.fixture
def stalled(fake, name):
    """An image of two layers, of which the second stalls in its middle."""
    big, entered, go = [""], threading.Event(), threading.Event()
    fault = gate(big, entered, go)
    reg = fault.reg = fake(fault)
    _, blobs = reg.put_image(name, "latest", [random_layer(name, 1000), random_layer(name + "b")])
    big[0] = sha(blobs[1])
    reg.small, reg.big, reg.entered, reg.go = sha(blobs[0]), big[0], entered, go
    yield reg
    go.set()


def test_one_layer_for_two_pulls(daemon, stalled, name):
    """Both want the layer at the same time: it is fetched once, both get it."""
    ref = "%s/%s" % (stalled.host, name)
    stalled.manifests[name, "other"] = stalled.manifests[name, "latest"]
    replies = []
    threads = [threading.Thread(target=lambda t=t: replies.append(pull(daemon, ref, t)))
               for t in ("latest", "other")]
    for t in threads:
        t.start()
    assert stalled.entered.wait(10)
    until(lambda: len(stalled.asked("GET", "/manifests/")) == 2, 10, "both have begun")
    stalled.go.set()
    for t in threads:
        t.join(30)
    assert len(replies) == 2 and not [r for r in replies if error_of(r)], replies
    assert len(stalled.asked("GET", stalled.big)) == 1
    assert len(stalled.asked("GET", stalled.small)) == 1


def test_a_client_that_leaves(daemon, stalled, name):
    """The pull ends at once although the registry stalls; a second one takes over what is done."""
    ref = "%s/%s" % (stalled.host, name)
    conn = cleat.UnixHTTP(daemon.socket)
    conn.request("POST", "/images/create?fromImage=%s&tag=latest" % ref)
    lines = conn.getresponse()
    assert stalled.entered.wait(10)
    while b"Pull complete" not in lines.readline():
        pass
    assert len(stages(daemon)) == 1
    lines.close()
    conn.close()
    until(lambda: not stages(daemon), 5, lambda: stages(daemon))
    stalled.go.set()
    reply = pull(daemon, ref)
    assert not error_of(reply), reply
    assert len(stalled.asked("GET", stalled.small)) == 1  # it was kept
    assert len(stalled.asked("GET", stalled.big)) == 2


def test_a_daemon_that_dies(own_daemon, daemon, stalled, name):
    """kill -9 in the middle: what was finished is not fetched again, the rest leaves no trace."""
    d = own_daemon()
    d.others |= cleat.namespace_mates()
    d.start()
    ref = "%s/%s" % (stalled.host, name)
    conn = cleat.UnixHTTP(d.socket)
    conn.request("POST", "/images/create?fromImage=%s&tag=latest" % ref)
    lines = conn.getresponse()
    assert stalled.entered.wait(10)
    while b"Pull complete" not in lines.readline():
        pass
    d.crash()
    conn.close()
    d.start()
    assert not stages(d) and d.api.get("/images/%s/json" % ref).status == 404
    stalled.go.set()
    assert not error_of(pull(d, ref))
    assert len(stalled.asked("GET", stalled.small)) == 1
    assert len(stalled.asked("GET", stalled.big)) == 2


def test_stopping_in_the_middle(own_daemon, daemon, stalled, name):
    """SIGTERM ends the pull, too."""
    d = own_daemon()
    d.others |= cleat.namespace_mates()
    d.start()
    conn = cleat.UnixHTTP(d.socket)
    conn.request("POST", "/images/create?fromImage=%s/%s&tag=latest" % (stalled.host, name))
    assert stalled.entered.wait(10)
    assert d.stop(20) == 0
    conn.close()


def test_memory(own_daemon, daemon, fake, name):
    """A layer of half a gigabyte passes through a small daemon."""
    if cleat.SANITIZED:
        pytest.skip("sanitizers need memory of their own")
    import gzip
    import io
    import tarfile
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="w", compresslevel=1, mtime=0) as gz, \
            tarfile.open(fileobj=gz, mode="w|") as tar:
        for i in range(8):
            images.add(tar, "f%d" % i, os.urandom(1 << 20) * 64)
    blob = out.getvalue()
    diff = sha(gzip.decompress(blob))
    reg = fake()
    reg.put_image(name, "latest", [b""], diff_ids=[diff])
    kind, doc = reg.manifests[name, "latest"]
    doc = json.loads(doc)
    doc["layers"] = [registry.descriptor(blob, registry.OCI + "layer.v1.tar+gzip")]
    reg.blobs[sha(blob)] = blob
    reg.put_manifest(name, "latest", json.dumps(doc).encode(), kind)
    d = own_daemon()
    d.others |= cleat.namespace_mates()
    d.start()
    assert not error_of(pull(d, "%s/%s" % (reg.host, name)))
    with open("/proc/%d/status" % d.process.pid, encoding="utf-8") as f:
        peak = int(re.search(r"VmHWM:\s+(\d+) kB", f.read())[1])
    print("peak %d kB" % peak)
    assert peak < 40 << 10, peak
    d.process.send_signal(signal.SIGTERM)
    assert d.process.wait(20) == 0
    d.stopped = True


# ---- push ----

def test_pieces_go_on_in_their_middle(daemon, fake, name):
    """The registry has a part of a piece: asked how far it got, the rest is sent."""
    def fault(req):
        if req.command == "PATCH" and len(cuts) < 3:
            cuts.append(1)
            name_ = req.path.rsplit("/", 1)[1]
            reg.uploads[name_] += req.body[:len(req.body) * len(cuts) // 4]
            hostile.hang_up(req)
            return True
        return False
    reg, cuts = fake(fault), []
    part = random_layer(name, 16 << 20)
    ref = "%s/%s:latest" % (reg.host, name)
    body = images.docker_archive([ref], [part])
    daemon.api.post("/images/load", body, headers={"Content-Type": "application/x-tar"})
    reply = daemon.api.post("/images/%s/%s/push" % (reg.host, name), tag="latest", timeout=50)
    assert not error_of(reply), reply
    import gzip
    doc = json.loads(reg.manifests[name, "latest"][1])
    assert gzip.decompress(reg.blobs[doc["layers"][0]["digest"]]) == part
    assert len(reg.asked("POST", "/uploads/")) == 2  # layer and config, each begun once
    assert len(reg.asked("GET", "/uploads/")) == 3
    assert not reg.uploads


def test_a_push_that_cannot_be(daemon, fake, name):
    """Refused in the middle: the words arrive, the upload is cancelled."""
    def fault(req):
        if req.command in ("PATCH", "PUT"):
            req.reply(403, {"errors": [{"code": "DENIED", "message": "quota exceeded"}]})
            return True
        return False
    reg = fake(fault)
    ref = "%s/%s:latest" % (reg.host, name)
    body = images.docker_archive([ref], [random_layer(name, 100000)])
    daemon.api.post("/images/load", body, headers={"Content-Type": "application/x-tar"})
    reply = daemon.api.post("/images/%s/%s/push" % (reg.host, name), tag="latest")
    assert error_of(reply) == "denied: quota exceeded", reply
    assert not reg.uploads and len(reg.asked("DELETE", "/uploads/")) == 1
