"""Compressed blobs of layers: kept as they came, sent as they came, gone with the images that need
them, or not kept at all; and what an interrupted pull had is not fetched again."""
import gzip
import io
import json
import os
import subprocess
import tarfile
import threading

import pytest

import cleat
import images
import registry
from cleat import until
from registry import sha
from test_hostile import error_of, fake, part_of, pull, random_layer, stages  # noqa: F401
from test_pull import layers
from test_push import image_of, load, push, pushed, second  # noqa: F401


def blob_path(daemon, digest):
    return os.path.join(daemon.data_root, "image", "blobs", "sha256", digest[7:])


def kept(daemon, digest):
    return os.path.exists(blob_path(daemon, digest))


def gz(part):
    return registry.squeeze(part, "gzip")


@pytest.fixture
def other_daemon(own_daemon, daemon):
    """A daemon of one's own in the sandbox of the shared one."""
    def make(*args, **kw):
        d = own_daemon(args=args, **kw)
        d.others |= cleat.namespace_mates()
        return d
    return make


# ---- kept ----

def test_kept_with_the_image(daemon, plain, cleat_only, name):
    """The blob is a file of the layout as long as an image needs it; sizes are those of layers."""
    cli = cleat_only
    parts = [images.layer(("own/" + name, os.urandom(300000), {})) for _ in range(2)]
    plain.put_image(name, "one", parts[:1])
    plain.put_image(name, "two", parts)
    ref = "%s/%s" % (plain.host, name)
    before = daemon.api.ok("GET", "/system/df")["LayersSize"]
    cli.ok("pull", "--all-tags", ref)
    first, last = (sha(gz(x)) for x in parts)
    for part in parts:
        with open(blob_path(daemon, sha(gz(part))), "rb") as f:
            assert f.read() == gz(part)
    assert not stages(daemon)
    assert daemon.api.ok("GET", "/images/%s:two/json" % ref)["Size"] == 600000
    assert daemon.api.ok("GET", "/system/df")["LayersSize"] - before == 600000
    cli.ok("rmi", ref + ":two")
    assert kept(daemon, first) and not kept(daemon, last)
    cli.ok("rmi", ref + ":one")
    assert not kept(daemon, first)


def test_names_of_one_image_keep_their_manifests(daemon, plain, second, cli, name):
    """The same image came as gzip and as zstd: each name is pushed as it came, also under names
    that were given here."""
    parts = layers(name)
    digests = {}
    for compress in ("gzip", "zstd"):
        digests[compress], image = plain.put_image(name, compress, parts, compress)
        pull(daemon, "%s/%s" % (plain.host, name), compress)
    ref = "%s/%s" % (plain.host, name)
    assert len(set(digests.values())) == 2
    for compress, digest in digests.items():
        there = "%s/%s:%s" % (second.host, name, compress)
        cli.ok("tag", "%s:%s" % (ref, compress), "between-" + there.replace(":", "-"))
        cli.ok("tag", "between-" + there.replace(":", "-"), there)
        assert pushed(cli, there) == digest
        by_digest = "%s/%s:by-%s" % (second.host, name, compress)
        cli.ok("tag", "%s@%s" % (ref, digest), by_digest)
        assert pushed(cli, by_digest) == digest
        assert image_of(second, name, compress) == image
    cli.ok("rmi", "-f", image)
    assert not kept(daemon, sha(registry.squeeze(parts[1], "zstd")))


def test_a_name_that_goes_takes_its_blobs(daemon, plain, cli, name):
    """The image stays by its other name, with the other form only."""
    parts = layers(name)
    for compress in ("gzip", "zstd"):
        plain.put_image("%s/%s" % (name, compress), "latest", parts, compress)
        cli.ok("pull", "%s/%s/%s" % (plain.host, name, compress))
    blobs = [sha(registry.squeeze(parts[1], c)) for c in ("gzip", "zstd")]
    assert all(kept(daemon, b) for b in blobs)
    cli.ok("rmi", "%s/%s/gzip" % (plain.host, name))
    assert [kept(daemon, b) for b in blobs] == [False, True]
    assert cli.ok("run", "--rm", "%s/%s/zstd" % (plain.host, name), "cat", "/own/" + name) == name


def test_a_layer_that_was_here_gets_its_blob(daemon, plain, second, cli, name):
    """Loaded as a plain tar, then pulled: fetched to be kept, but not unpacked again."""
    parts = layers(name)
    load(daemon, name + ":loaded", parts)
    digest, _ = plain.put_image(name, "latest", parts)
    ref = "%s/%s" % (plain.host, name)
    path = os.path.join(daemon.data_root, "layers", sha(parts[1])[7:])
    before = os.stat(path).st_ino
    cli.ok("pull", ref)
    assert os.stat(path).st_ino == before and kept(daemon, sha(gz(parts[1])))
    cli.ok("tag", ref, "%s/%s" % (second.host, name))
    assert pushed(cli, "%s/%s" % (second.host, name)) == digest


def test_a_blob_that_was_made_here_is_not_fetched(daemon, plain, second, cli, name):
    """An image made here is pushed, lost but for its layers, and pulled: all of it is here, and in
    another registry it has the same digest."""
    parts = layers(name)[1:]
    ref, there = "%s/%s" % (plain.host, name), "%s/%s" % (second.host, name)
    load(daemon, name + ":base", parts)
    load(daemon, ref + ":latest", parts, {"Labels": {"a": name}})
    digest = pushed(cli, ref)
    cli.ok("rmi", ref)
    lines = pull(daemon, ref).lines
    assert {x["status"] for x in lines if x.get("id") not in ("latest", None)} == {"Already exists"}
    cli.ok("tag", ref, there)
    assert pushed(cli, there) == digest
    for image in (name + ":base", ref, there):
        cli.ok("rmi", image)


def test_a_blob_that_is_not_the_layer(daemon, fake, name):
    """The layer is here, and the manifest's blob is another one: nothing is learned from it."""
    reg = fake()
    mine, other = random_layer(name, 1000), random_layer(name + "x", 1000)
    load(daemon, name + ":loaded", [mine])
    _, blobs = reg.put_image(name, "latest", [other], diff_ids=[sha(mine)])
    ref = "%s/%s" % (reg.host, name)
    assert "invalid diffID for layer" in error_of(pull(daemon, ref))
    assert not kept(daemon, sha(blobs[0])) and part_of(daemon, sha(blobs[0])) is None
    got = push_loaded(daemon, reg, name)
    assert gzip.decompress(reg.blobs[got["layers"][0]["digest"]]) == mine


def push_loaded(daemon, reg, name):
    daemon.api.post("/images/%s:loaded/tag" % name, repo="%s/%s-up" % (reg.host, name), tag="1")
    push(daemon, "%s/%s-up" % (reg.host, name), "1")
    return json.loads(reg.manifests[name + "-up", "1"][1])


def test_blobs_below_an_image_made_here(daemon, plain, second, cli, name):
    """The layers of a pulled base are sent as they came, with a new one on top."""
    parts = layers(name)
    plain.put_image(name, "latest", parts)
    ref, there = "%s/%s" % (plain.host, name), "%s/%s:mine" % (second.host, name)
    cli.ok("pull", ref)
    cli.ok("run", "--name", name, ref, "sh", "-c", "echo new >/new")
    cli.ok("commit", name, there)
    cli.ok("push", there)
    _, doc = second.manifest(name, "mine")
    assert [d["digest"] for d in doc["layers"]][:2] == [sha(gz(x)) for x in parts]
    assert len(doc["layers"]) == 3


def test_a_blob_that_changed_on_disk(daemon, plain, fake, cli, name):
    plain.put_image(name, "latest", layers(name))
    ref = "%s/%s" % (plain.host, name)
    cli.ok("pull", ref)
    path = blob_path(daemon, sha(gz(layers(name)[1])))
    with open(path, "r+b") as f:
        f.seek(20)
        f.write(b"?")
    reg = fake()
    cli.ok("tag", ref, "%s/%s" % (reg.host, name))
    done = cli("push", "%s/%s" % (reg.host, name))
    assert done.returncode == 1 and "has changed on disk" in done.stderr, done
    assert not reg.manifests and not reg.uploads


def test_removed_while_it_is_pushed(daemon, plain, fake, name):
    """The push has a lease on the blobs, too: what arrives is what came."""
    digest, image = plain.put_image(name, "latest", layers(name))
    ref = "%s/%s" % (plain.host, name)
    pull(daemon, ref)
    began, go = threading.Event(), threading.Event()

    def wait(req):
        if req.command == "POST":
            began.set()
            go.wait(20)
        return False
    reg = fake(wait)
    daemon.api.post("/images/%s/tag" % ref, repo="%s/%s" % (reg.host, name), tag="latest")
    replies = []
    thread = threading.Thread(target=lambda: replies.append(daemon.api.post(
        "/images/%s/%s/push" % (reg.host, name), tag="latest", timeout=40)))
    thread.start()
    assert began.wait(20)
    assert daemon.api.delete("/images/" + image, force=1).status == 200
    assert kept(daemon, sha(gz(layers(name)[1])))
    go.set()
    thread.join(40)
    assert not error_of(replies[0]), replies
    assert sha(reg.manifests[name, "latest"][1]) == digest
    assert daemon.api.post("/images/prune").status == 200
    assert not kept(daemon, sha(gz(layers(name)[1])))


def test_prune_counts_what_it_frees(other_daemon, plain, name):
    parts = [images.layer(("own/" + name, os.urandom(200000), {}))]
    plain.put_image(name, "latest", parts)
    d = other_daemon()
    d.start()
    assert not error_of(pull(d, "%s/%s" % (plain.host, name)))
    assert d.api.delete("/images/%s/%s" % (plain.host, name), noprune=1).status == 200
    assert not kept(d, sha(gz(parts[0])))
    assert d.api.delete("/images/cleat/hello:latest").status == 200
    assert not error_of(pull(d, "%s/%s" % (plain.host, name)))
    assert d.api.get("/images/%s/%s/json" % (plain.host, name)).json["Size"] == 200000
    status = dict(d.api.get("/info").json["DriverStatus"])
    freed = d.api.post("/images/prune", filters='{"dangling": ["false"]}').json["SpaceReclaimed"]
    assert status["Image Blobs"] == "keep: 1 (%.4gMB)" % (len(gz(parts[0])) / 1e6)
    assert 200000 + len(gz(parts[0])) < freed < 210000 + len(gz(parts[0]))
    assert not os.listdir(os.path.join(d.data_root, "image", "blobs", "sha256"))


def test_a_full_disk(other_daemon, plain, name):
    """No room for the blob of a layer that is here: an error, and nothing half-made."""
    part = images.layer(("own/" + name, os.urandom(8 << 20), {}))
    plain.put_image(name, "latest", [part])
    d = other_daemon()
    os.makedirs(d.data_root)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=14m", "none", d.data_root], check=True)
    try:
        d.start()
        load(d, name + ":loaded", [part])
        message = error_of(pull(d, "%s/%s" % (plain.host, name)))
        assert "o space left on device" in message, message
        assert part_of(d, sha(gz(part))) is None and not kept(d, sha(gz(part))) and not stages(d)
        assert content(d, name + ":loaded", part) == part
        assert d.stop() == 0
    finally:
        subprocess.run(["umount", "-l", d.data_root], check=True)


# ---- load ----

def both_archives(ref, parts, compress):
    """An OCI layout that has manifest.json, too, as "docker save" of a containerd store."""
    oci = io.BytesIO(images.oci_archive(ref, parts, compress=compress))
    out = io.BytesIO()
    with tarfile.open(fileobj=oci) as old, tarfile.open(fileobj=out, mode="w") as new:
        docs = {m.name: old.extractfile(m).read() for m in old if m.isfile()}
        for path, data in docs.items():
            images.add(new, path, data)
        top = json.loads(docs["index.json"])["manifests"][0]["digest"]
        doc = json.loads(docs["blobs/sha256/" + top[7:]])
        images.add(new, "manifest.json", json.dumps([{
            "Config": "blobs/sha256/" + doc["config"]["digest"][7:], "RepoTags": [ref],
            "Layers": ["blobs/sha256/" + d["digest"][7:] for d in doc["layers"]]}]).encode())
    return out.getvalue()


def top_of(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return json.load(tar.extractfile("index.json"))["manifests"][0]["digest"]


@pytest.mark.parametrize("compress", ["gzip", "zstd"])
@pytest.mark.parametrize("make", [images.oci_archive, both_archives])
def test_load_and_push(daemon, second, cli, name, make, compress):
    archive = make(name + ":1", layers(name + compress), compress=compress)
    assert "Loaded image: %s:1" % name in cli.ok("load", stdin=archive).decode()
    assert not stages(daemon)
    cli.ok("tag", name + ":1", "%s/%s:%s" % (second.host, name, compress))
    assert pushed(cli, "%s/%s:%s" % (second.host, name, compress)) == top_of(archive)
    cli.ok("rmi", "-f", daemon.api.ok("GET", "/images/%s:1/json" % name)["Id"])


def test_xz_is_compressed_anew(daemon, second, cleat_only, name):
    """An archive may have it, a registry's clients need not read it."""
    import lzma
    part = images.layer(("own/" + name, os.urandom(50000), {}))
    archive = io.BytesIO(images.oci_archive(name + ":1", [part], compress="gzip"))
    with tarfile.open(fileobj=archive) as tar:
        docs = {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}
    index = json.loads(docs["index.json"])
    doc = json.loads(docs["blobs/sha256/" + index["manifests"][0]["digest"][7:]])
    blob = lzma.compress(part)
    doc["layers"] = [registry.descriptor(blob, registry.OCI + "layer.v1.tar+xz")]
    text = json.dumps(doc).encode()
    index["manifests"][0].update(digest=sha(text), size=len(text))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, data in {**docs, "index.json": json.dumps(index).encode(),
                           "blobs/sha256/" + sha(text)[7:]: text,
                           "blobs/sha256/" + sha(blob)[7:]: blob}.items():
            images.add(tar, path, data)
    cleat_only.ok("load", stdin=out.getvalue())
    assert not kept(daemon, sha(blob))
    cleat_only.ok("tag", name + ":1", "%s/%s:xz" % (second.host, name))
    cleat_only.ok("push", "%s/%s:xz" % (second.host, name))
    _, doc = second.manifest(name, "xz")
    desc, = doc["layers"]
    assert desc["mediaType"] == registry.DOCKER + "image.rootfs.diff.tar.gzip"
    _, _, data = second.call("GET", "/v2/%s/blobs/%s" % (name, desc["digest"]))
    assert gzip.decompress(data) == part


def test_a_manifest_of_plain_tars_is_not_pushed(daemon, second, cli, name):
    """What "save" wrote is compressed on its way to a registry, as ever."""
    archive = images.oci_archive(name + ":1", layers(name), compress="")
    cli.ok("load", stdin=archive)
    cli.ok("tag", name + ":1", "%s/%s:1" % (second.host, name))
    assert pushed(cli, "%s/%s:1" % (second.host, name)) != top_of(archive)
    _, doc = second.manifest(name, "1")
    assert all("gzip" in d["mediaType"] for d in doc["layers"])


# ---- not kept ----

def test_drop(other_daemon, plain, second, name):
    """One form on disk: no blob stays, a push makes them anew. A daemon that kept them drops them
    when it is told to, and gets them back by a pull."""
    parts = layers(name)
    digest, _ = plain.put_image(name, "latest", parts)
    ref, blob = "%s/%s" % (plain.host, name), sha(gz(parts[1]))
    d = other_daemon()
    d.start()
    assert not error_of(pull(d, ref)) and kept(d, blob)
    assert d.stop() == 0
    conf = os.path.join(d.dir, "daemon.json")
    with open(conf, "w", encoding="utf-8") as f:
        f.write('{"image-blobs": "drop"}')
    d.args = ["--config-file", conf]
    d.start()
    assert not kept(d, blob)
    assert ["Image Blobs", "drop"] in d.api.get("/info").json["DriverStatus"]
    assert not error_of(pull(d, ref)) and not kept(d, blob)
    there = "%s/%s-drop" % (second.host, name)
    d.api.post("/images/%s/tag" % ref, repo=there, tag="latest")
    assert not error_of(d.api.post("/images/%s/push" % there, tag="latest"))
    made, doc = second.manifest(name + "-drop", "latest")
    assert made != digest
    for desc, part in zip(doc["layers"], parts):
        assert gzip.decompress(second.call(
            "GET", "/v2/%s-drop/blobs/%s" % (name, desc["digest"]))[2]) == part
    assert d.stop() == 0
    d.args = ["--image-blobs=keep"]
    d.start()
    assert not error_of(pull(d, ref)) and kept(d, blob)
    there = "%s/%s-keep" % (second.host, name)
    d.api.post("/images/%s/tag" % ref, repo=there, tag="latest")
    assert not error_of(d.api.post("/images/%s/push" % there, tag="latest"))
    assert second.manifest(name + "-keep", "latest")[0] == digest


def test_a_word_that_is_neither(other_daemon):
    d = other_daemon("--image-blobs=some")
    with pytest.raises(AssertionError, match='invalid image-blobs: "some": neither keep nor drop'):
        d.start()
    d.stopped = True


# ---- going on ----

BIG = 6 << 20


def breaking(big, upto):
    """A fault: as long as @upto holds a number, the blob @big[0] ends there, its sender silent."""
    def fault(req):
        if req.command == "GET" and big[0] and big[0] in req.path and upto:
            fault.reg.send_blob(req, fault.reg.blobs[big[0]], upto=upto[0])
            return True
        return False
    return fault


@pytest.fixture
def breaks(fake, name):
    """A registry with one image of one large layer, and what it is to send of it at most."""
    big, upto = [""], [BIG // 2]
    fault = breaking(big, upto)
    reg = fault.reg = fake(fault)
    part = random_layer(name, BIG)
    _, blobs = reg.put_image(name, "latest", [part])
    big[0] = reg.big = sha(blobs[0])
    reg.size, reg.upto, reg.part = len(blobs[0]), upto, part
    return reg


def ranges(reg):
    return [r[2].get("Range") for r in reg.asked("GET", reg.big)]


def content(d, ref, part):
    """The layer as the store has it."""
    archive = d.api.get("/images/%s/get" % ref).body
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return tar.extractfile("blobs/sha256/" + sha(part)[7:]).read()


def test_a_pull_goes_on(daemon, breaks, name):
    """The registry breaks down for good in the middle: the next pull wants the rest only."""
    ref = "%s/%s" % (breaks.host, name)
    assert error_of(pull(daemon, ref))
    part = part_of(daemon, breaks.big)
    assert part and part <= BIG // 2 and not stages(daemon)
    breaks.upto.clear()
    breaks.requests.clear()
    reply = pull(daemon, ref)
    assert not error_of(reply), reply
    assert ranges(breaks) == ["bytes=%d-" % part]
    assert part_of(daemon, breaks.big) is None and kept(daemon, breaks.big)
    assert content(daemon, ref, breaks.part) == breaks.part


def test_a_killed_daemon_goes_on(other_daemon, breaks, name):
    """kill -9 in the middle of a layer; the next daemon's pull asks for the rest only."""
    d = other_daemon()
    d.start()
    ref = "%s/%s" % (breaks.host, name)
    stop = threading.Event()

    def stall(req):
        if req.command == "GET" and breaks.big in req.path:
            data = breaks.blobs[breaks.big]
            req.send_response(200)
            req.send_header("Content-Length", str(len(data)))
            req.end_headers()
            req.wfile.write(data[:BIG // 2])
            req.wfile.flush()
            stop.wait(50)
            req.close_connection = True
            return True
        return False
    fault, breaks.fault = breaks.fault, stall
    conn = cleat.UnixHTTP(d.socket)
    conn.request("POST", "/images/create?fromImage=%s&tag=latest" % ref)
    until(lambda: (part_of(d, breaks.big) or 0) >= 1 << 20, 20, "a part is on disk")
    d.crash()
    stop.set()
    conn.close()
    part = part_of(d, breaks.big)
    breaks.fault = fault
    breaks.upto.clear()
    breaks.requests.clear()
    d.start()
    assert not stages(d) and part_of(d, breaks.big) == part
    reply = pull(d, ref)
    assert not error_of(reply), reply
    assert ranges(breaks) == ["bytes=%d-" % part]
    assert content(d, ref, breaks.part) == breaks.part
    assert kept(d, breaks.big) and part_of(d, breaks.big) is None


@pytest.mark.parametrize("how", ["other bytes", "too long", "whole"])
def test_what_is_here_need_not_be_true(daemon, breaks, name, how):
    """A part that is damaged (power was lost) is fetched anew; a whole one is only proven."""
    ref = "%s/%s" % (breaks.host, name)
    assert error_of(pull(daemon, ref))
    path = os.path.join(daemon.data_root, "image", "blobs", "ingest", "part-" + breaks.big[7:])
    with open(path, "r+b") as f:
        if how == "other bytes":
            f.seek(100000)
            f.write(bytes(4096))
        elif how == "too long":
            f.write(breaks.blobs[breaks.big] + b"x")
        else:
            f.write(breaks.blobs[breaks.big])
    breaks.upto.clear()
    breaks.requests.clear()
    reply = pull(daemon, ref)
    assert not error_of(reply), reply
    asked = ranges(breaks)
    if how == "whole":
        assert asked == []
    else:
        assert asked[-1] is None and len(asked) <= 2
    assert content(daemon, ref, breaks.part) == breaks.part
    with open(blob_path(daemon, breaks.big), "rb") as f:
        assert f.read() == breaks.blobs[breaks.big]


def test_the_rest_from_a_real_registry(daemon, plain, name):
    """Debian's registry, and the first half of a blob that is here already."""
    part = random_layer(name, 1 << 20)
    plain.put_image(name, "latest", [part])
    blob = gz(part)
    path = os.path.join(daemon.data_root, "image", "blobs", "ingest", "part-" + sha(blob)[7:])
    with open(path, "wb") as f:
        f.write(blob[:len(blob) // 2])
    ref = "%s/%s" % (plain.host, name)
    assert not error_of(pull(daemon, ref))
    assert content(daemon, ref, part) == part
    with open(blob_path(daemon, sha(blob)), "rb") as f:
        assert f.read() == blob
    assert not os.path.exists(path)


def test_an_old_part_goes(daemon, plain, breaks, name):
    """After a day, with whatever is pulled next."""
    assert error_of(pull(daemon, "%s/%s" % (breaks.host, name)))
    path = os.path.join(daemon.data_root, "image", "blobs", "ingest", "part-" + breaks.big[7:])
    plain.put_image(name, "latest", layers(name))
    assert not error_of(pull(daemon, "%s/%s" % (plain.host, name)))
    assert os.path.exists(path)
    then = os.stat(path).st_mtime - 24 * 3600 - 60
    os.utime(path, (then, then))
    assert not error_of(pull(daemon, "%s/%s" % (plain.host, name)))
    assert not os.path.exists(path)


def test_without_ranges_it_skips(daemon, breaks, name):
    ref = "%s/%s" % (breaks.host, name)
    assert error_of(pull(daemon, ref))
    breaks.upto.clear()
    breaks.ranges = False
    reply = pull(daemon, ref)
    assert not error_of(reply), reply
    assert content(daemon, ref, breaks.part) == breaks.part
