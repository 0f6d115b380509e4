"""Caches outside of the store: in a registry and in a directory of the client. A second machine (an
own daemon with its own root) takes them up and runs nothing."""
import hashlib
import json
import os

import pytest

import builds
import cleat
import fixtures
import registry
from test_cache import cached
from test_fault import storecheck

TYPE = "application/vnd.cleat.build.cache.v1+json"
TEXT = """FROM busybox AS b
RUN cat /proc/sys/kernel/random/uuid > /x
FROM busybox
WORKDIR /w
COPY f .
COPY --from=b /x /y
RUN cat /proc/sys/kernel/random/uuid > o
RUN true
"""


@pytest.fixture
def build(daemon, tmp_path, name):
    made = builds.Builder(daemon, "cleat", tmp_path, name)
    builds.write_tree(made.context, {"f": "f"})
    yield made
    made.close()


@pytest.fixture
def other(own_daemon, tmp_path, name):
    """Another machine, as far as the store goes."""
    d = own_daemon().start()
    fixtures.load(d)
    made = builds.Builder(d, "cleat", tmp_path / "other", name)
    builds.write_tree(made.context, {"f": "f"})
    return made


@pytest.fixture
def reg(daemon, tmp_path):
    r = registry.Registry(daemon, tmp_path)
    yield r
    r.close()


@pytest.fixture(params=["registry", "local"])
def place(request, tmp_path):
    """(--cache-to, --cache-from) of a place."""
    if request.param == "local":
        path = str(tmp_path / "deep/cache")
        return "type=local,dest=" + path, "type=local,src=" + path
    ref = "type=registry,ref=%s/c/one:v1" % request.getfixturevalue("reg").host
    return ref, ref


def make(b, *args, text=TEXT):
    return b(text, None, "--progress=plain", *args)


def uuids(done):
    tree = done.tree()
    return tree["y"].data, tree["w/o"].data


def test_another_machine_runs_nothing(build, other, place):
    to, frm = place
    first = make(build, "--no-cache", "--cache-to", to + ",mode=max").ok()
    again = make(other, "--cache-from", frm)
    assert cached(again) == 6 and uuids(again) == uuids(first)
    assert again.layers == first.layers and again.id == first.id
    assert again.run("cat", "/w/o", "/y")


def test_what_nobody_needs_is_not_fetched(build, other, place):
    """The files of a stage that others take from, when what they took is known."""
    to, frm = place
    make(build, "--no-cache", "--cache-to", to + ",mode=max").ok()
    before = layers(other)
    done = make(other, "--cache-from", frm)
    assert cached(done) == 6 and len(layers(other) - before) == 4
    assert "fetching layers of caches" in done.out
    # Something else is wanted of it, and so it comes.
    more = TEXT.replace("RUN true", "COPY --from=b /x /z")
    tree = make(other, "--cache-from", frm, text=more).ok().tree()
    assert tree["z"].data == tree["y"].data and len(layers(other) - before) >= 5
    mount = TEXT.replace("RUN true", "RUN --mount=type=bind,from=b,target=/m cp /m/x /z")
    other.daemon.api.ok("POST", "/build/prune", all=1)
    tree = make(other, "--cache-from", frm, text=mount).ok().tree()
    assert tree["z"].data == tree["y"].data


def test_a_chain_of_machines(build, other, own_daemon, tmp_path, name, place):
    """Who reads and writes the same cache keeps what it knows, also of what was not fetched."""
    to, frm = place
    first = make(build, "--no-cache", "--cache-to", to + ",mode=max").ok()
    before = layers(other)
    changed = TEXT.replace("RUN true", "RUN echo more > /more")
    done = make(other, "--cache-from", frm, "--cache-to", to + ",mode=max", text=changed).ok()
    assert cached(done) == 5 and len(layers(other) - before) == 5
    d = own_daemon().start()
    fixtures.load(d)
    third = builds.Builder(d, "cleat", tmp_path / "third", name)
    builds.write_tree(third.context, {"f": "f"})
    again = make(third, "--cache-from", frm, text=changed)
    assert cached(again) == 6 and again.layers == done.layers and uuids(again) == uuids(first)


def test_the_least_is_the_result_alone(build, other, place):
    to, frm = place
    first = make(build, "--no-cache", "--cache-to", to).ok()
    again = make(other, "--cache-from", frm)
    # The other stage is carried out anew, and what is copied from it is something else.
    assert cached(again) == 2 and uuids(again) != uuids(first)


def test_what_is_not_used_is_not_fetched(build, other, place):
    to, frm = place
    make(build, "--no-cache", "--cache-to", to + ",mode=max").ok()
    before = layers(other)
    done = make(other, "--cache-from", frm, text="FROM busybox\nWORKDIR /w\nCOPY f .\n")
    assert cached(done) == 2 and len(layers(other) - before) == 2


def layers(b):
    return {x for x in os.listdir(os.path.join(b.daemon.data_root, "layers")) if len(x) == 64}


def test_no_cache_goes_before(build, other, place):
    to, frm = place
    first = make(build, "--no-cache", "--cache-to", to + ",mode=max").ok()
    again = make(other, "--no-cache", "--cache-from", frm)
    assert cached(again) == 0 and uuids(again) != uuids(first)


def test_written_again(build, place):
    to, _ = place
    make(build, "--no-cache", "--cache-to", to + ",mode=max").ok()
    make(build, "--cache-to", to + ",mode=max").ok()
    make(build, "--cache-to", to, text="FROM busybox\nRUN echo %s > /x\n" % build.tag).ok()


@pytest.mark.parametrize("frm", [
    "type=registry,ref=%s/no/where", "type=registry,ref=%s/no/where:x", "%s/no/where",
    "type=registry,ref=127.0.0.1:1/x", "type=local,src=/no/such/directory",
    "type=local,src=/proc/self/fd"])
def test_a_cache_that_is_none_is_a_warning(build, reg, frm):
    done = make(build, "--no-cache", "--cache-from", frm % reg.host if "%" in frm else frm).ok()
    assert "cache of" in done.out


def test_an_image_that_knows_its_steps(build, other, reg):
    """In a registry: no more of it is fetched than what is used."""
    text = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /u\nRUN echo 1 > /v\n"
    first = make(build, "--no-cache", "--cache-to", "type=inline", text=text).ok()
    full = "%s/i/one:v1" % reg.host
    build.cli.ok("tag", build.tag, full)
    build.cli.ok("push", full)
    before = layers(other)
    done = make(other, "--cache-from", "type=registry,ref=" + full,
                text="\n".join(text.split("\n")[:2]) + "\n")
    assert cached(done) == 1 and done.tree()["u"].data == first.tree()["u"].data
    assert len(layers(other) - before) == 1
    build.cli.ok("rmi", full)


# ---- the document ----

def document(path):
    """(manifest, document, {digest: path}) of a layout."""
    index = json.load(open(path + "/index.json"))
    blobs = {"sha256:" + n: "%s/blobs/sha256/%s" % (path, n)
             for n in os.listdir(path + "/blobs/sha256")}
    man = json.load(open(blobs[index["manifests"][0]["digest"]]))
    return man, json.load(open(blobs[man["config"]["digest"]])), blobs


def test_the_document_of_a_directory(build, tmp_path):
    path = str(tmp_path / "c")
    make(build, "--no-cache", "--cache-to", "type=local,dest=%s,mode=max" % path).ok()
    man, doc, blobs = document(path)
    assert man["config"]["mediaType"] == TYPE and doc["version"] == 1
    assert len(doc["layers"]) == len(man["layers"]) and len(doc["steps"]) >= 6
    for d in man["layers"] + [man["config"]]:
        data = open(blobs[d["digest"]], "rb").read()
        assert len(data) == d["size"]
        assert d["digest"] == "sha256:" + hashlib.sha256(data).hexdigest()
    assert json.load(open(path + "/oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    assert len(blobs) == len(set(d["digest"] for d in man["layers"])) + 2  # nothing half written


def test_tags_of_a_directory(build, other, tmp_path):
    path = str(tmp_path / "c")
    make(build, "--no-cache", "--cache-to", "type=local,dest=%s,mode=max,tag=one" % path).ok()
    make(build, "--cache-to", "type=local,dest=%s,tag=two" % path,
         text="FROM busybox\nRUN echo %s > /x\n" % build.tag).ok()
    index = json.load(open(path + "/index.json"))
    names = {d["annotations"]["org.opencontainers.image.ref.name"]: d["digest"]
             for d in index["manifests"]}
    assert sorted(names) == ["one", "two"]
    assert "names no latest" in make(other, "--cache-from", "type=local,src=" + path).ok().out
    other.daemon.api.ok("POST", "/build/prune", all=1)
    done = make(other, "--cache-from", "type=local,src=%s,digest=%s" % (path, names["one"]))
    assert cached(done) == 6


@pytest.mark.parametrize("spoil,says", [
    (lambda man, doc: doc.update(version=2), "version 2 of caches"),
    (lambda man, doc: doc["layers"].pop(), "its manifest"),
    (lambda man, doc: doc["steps"][0].update(layer=99), "invalid step"),
    (lambda man, doc: doc["steps"][0].update(key="sha256:x"), "invalid step"),
    (lambda man, doc: doc.update(layers=["x"] * len(doc["layers"])), "invalid diff ID"),
    (lambda man, doc: man["config"].update(mediaType="application/x"), "this is an artifact"),
    (lambda man, doc: man["config"].update(size=1), "expected 1 bytes"),
    (lambda man, doc: man.update(schemaVersion=1), "schema version 1"),
    (lambda man, doc: man["layers"][0].update(digest="sha256:" + "0" * 64), "has no sha256:0000"),
    (lambda man, doc: doc["layers"].reverse(), "cache of a directory: layer"),
])
def test_a_spoiled_document(build, other, tmp_path, spoil, says):
    """Nothing that it says is believed."""
    path = str(tmp_path / "c")
    make(build, "--no-cache", "--cache-to", "type=local,dest=%s,mode=max" % path).ok()
    man, doc, _ = document(path)
    doc_before = json.dumps(doc)
    spoil(man, doc)
    if json.dumps(doc) != doc_before:
        man["config"].update(put(path, doc))
    index = json.load(open(path + "/index.json"))
    index["manifests"][0].update(put(path, man))
    json.dump(index, open(path + "/index.json", "w"))
    done = make(other, "--cache-from", "type=local,src=" + path).ok()
    assert says in done.out, done.out
    assert done.run("cat", "/w/o", "/y")


def put(path, doc):
    data = json.dumps(doc).encode()
    digest = hashlib.sha256(data).hexdigest()
    with open("%s/blobs/sha256/%s" % (path, digest), "wb") as f:
        f.write(data)
    return {"digest": "sha256:" + digest, "size": len(data)}


def test_a_spoiled_layer(build, other, tmp_path):
    path = str(tmp_path / "c")
    make(build, "--no-cache", "--cache-to", "type=local,dest=%s,mode=max" % path).ok()
    man, _, blobs = document(path)
    for d in man["layers"]:
        with open(blobs[d["digest"]], "r+b") as f:
            f.seek(-4, 2)
            f.write(b"xxxx")
    done = make(other, "--cache-from", "type=local,src=" + path).ok()
    assert "cache of a directory: layer" in done.out and done.run("cat", "/w/o", "/y")
    tree = done.tree()
    again = make(other)
    assert cached(again) == 6 and again.tree()["y"].data == tree["y"].data


def test_a_directory_that_cannot_be_written(build):
    done = make(build, "--cache-to", "type=local,dest=/proc/x")
    assert done.code == 1 and "/proc/x" in done.out


def test_a_registry_that_takes_nothing(build, reg):
    to = "type=registry,ref=127.0.0.1:1/x"
    done = make(build, "--cache-to", to)
    assert done.code == 1 and "export the cache" in done.out
    make(build, "--cache-to", to + ",ignore-error=true").ok()


def test_the_step_is_shown(build, reg):
    done = make(build, "--cache-to", "type=registry,ref=%s/a/b" % reg.host).ok()
    assert "exporting cache to registry %s/a/b" % reg.host in done.out
    assert config_type(reg, "a/b", "latest") == TYPE


def config_type(reg, repo, tag):
    return reg.manifest(repo, tag)[1]["config"]["mediaType"]


def test_nothing_of_a_secret_in_it(build, tmp_path):
    from test_cli_build import SECRET, holders
    path = str(tmp_path / "c")
    text = "FROM busybox\nRUN --mount=type=secret,id=s cat /run/secrets/s | wc -c > /n\n"
    build(text, None, "--no-cache", "--cache-to", "type=local,dest=%s,mode=max" % path, "--secret",
          "id=s,env=S", env={"S": SECRET}).ok()
    assert holders([path, build.daemon.data_root], SECRET.encode()) == []


# ---- what breaks ----

POINTS = ["build.cache.fetch", "build.cache.fetched", "build.cache.send", "build.cache.sent"]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("action", ["crash", "error"])
@pytest.mark.usefixtures("fail_build")
def test_fail_point(build, own_daemon, tmp_path, name, point, action):
    """A daemon that dies, or fails, on the way leaves a clean store and a whole cache."""
    path = str(tmp_path / "c")
    text = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /u\nRUN echo %s > /v\n" % name
    first = make(build, "--no-cache", "--cache-to", "type=local,dest=" + path, text=text).ok()
    d = own_daemon(build=cleat.BUILD_FAIL)
    d.start()
    fixtures.load(d)
    d.stop()
    d.start(env={"CLEAT_FAIL": "%s=%s@1" % (point, action)})
    b = builds.Builder(d, "cleat", tmp_path / "fault", name)
    args = ["--cache-from", "type=local,src=" + path,
            "--cache-to", "type=local,dest=%s,tag=again" % path]
    done = make(b, *args, text=text)
    assert done.code == 0 if action == "error" and "fetch" in point else done.code != 0
    if d.process.poll() is None:
        d.stop()
    d.stopped = True
    d.start()
    cleat.until(lambda: not storecheck.problems(d.data_root) + d.leftovers(), 10,
                lambda: storecheck.problems(d.data_root) + d.leftovers())
    d.api.ok("POST", "/build/prune", all=1)
    again = make(b, *args, text=text)
    assert cached(again) == 2 and again.tree()["u"].data == first.tree()["u"].data
    index = json.load(open(path + "/index.json"))
    assert len(index["manifests"]) == 2


# ---- words ----

@pytest.mark.parametrize("args,says", [
    (["--cache-to", "type=gha"], "--cache-to type=gha is not built"),
    (["--cache-to", "type=s3,region=x"], "--cache-to type=s3"),
    (["--cache-from", "type=azblob,name=x"], "--cache-from type=azblob"),
    (["--cache-to", "type=registry"], "needs a ref"),
    (["--cache-to", "type=local"], "needs a dest"), (["--cache-from", "type=local"], "needs a src"),
    (["--cache-to", "type=registry,ref=x,mode=most"], "invalid mode most"),
    (["--cache-to", "type=registry,ref=x,compression=zstd"], "compression=zstd is not built"),
    (["--cache-to", "type=registry,ref=x,image-manifest=false"], "image-manifest=false"),
    (["--cache-to", "type=registry,ref=x,ignore-error=maybe"], "ignore-error"),
    (["--cache-from", "type=registry,ref=x,mode=max"], "--cache-from mode=max"),
])
def test_words_that_are_none(build, args, says):
    done = make(build, *args)
    assert done.code == 1 and says in done.out, done.out


def test_words_that_are_taken(build, reg):
    make(build, "--cache-to", "type=registry,ref=%s/w/w,image-manifest=true,oci-mediatypes=true,"
         "compression=gzip,compression-level=9,force-compression=true" % reg.host).ok()
    make(build, "--cache-to", "%s/w/v:1" % reg.host).ok()
    assert config_type(reg, "w/v", "1") == TYPE


def test_others_read_it(build, reg, tmp_path):
    """It is an OCI manifest as any other: skopeo copies it from place to place."""
    registry.need("skopeo")
    import subprocess
    make(build, "--no-cache", "--cache-to", "type=registry,ref=%s/s/k:1,mode=max" % reg.host).ok()
    done = subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false",
                           "docker://%s/s/k:1" % reg.host], capture_output=True, text=True)
    assert done.returncode == 0 and TYPE in done.stdout, done.stderr
