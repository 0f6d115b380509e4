"""Builds for several platforms: an image each, an index around them, what is shared, what goes
where, annotations and kinds of compression."""
import gzip
import io
import json
import os
import re
import tarfile
import urllib.error

import pytest

import builds
import cleat
import images
import registry
from registry import sha

TWO = ["linux/amd64", "linux/arm64"]
OCI = registry.OCI
FILE = """FROM scratch AS base
ARG TARGETPLATFORM TARGETARCH TARGETVARIANT BUILDPLATFORM
ENV AT=$TARGETPLATFORM/$TARGETVARIANT BY=$BUILDPLATFORM
COPY for-$TARGETARCH /here
COPY all /all
"""
FILES = {"Dockerfile": FILE, "for-amd64": "amd64", "for-arm64": "arm64", "for-arm": "arm", "all": "all"}


@pytest.fixture
def build(daemon, tmp_path, name):
    made = builds.Builder(daemon, "cleat", tmp_path, name)
    builds.write_tree(made.context, FILES)
    yield made
    made.close()


@pytest.fixture
def reg(daemon, tmp_path):
    registry.need("docker-registry")
    (tmp_path / "reg").mkdir()
    r = registry.Registry(daemon, str(tmp_path / "reg"))
    yield r
    r.close()


def run(build, *args, **kw):
    done = build.cli("build", "--network=none", *args, build.context, **kw)
    return done


def ok(build, *args, **kw):
    done = run(build, *args, **kw)
    assert done.returncode == 0, done.stderr
    return done


def all_images(build):
    return {i["Id"] for i in build.daemon.api.get("/images/json", all=1).json}


def manifests(build, name=None):
    shown = build.daemon.api.ok("GET", "/images/%s/json" % (name or build.tag), manifests=1)
    return shown, shown["Manifests"]


def text_of(p):
    return "/".join(x for x in (p["os"], p["architecture"], p.get("variant")) if x)


def pushed(reg, repo, tag):
    """(digest, index, {platform: (descriptor, manifest, config)}) with every blob looked at."""
    digest, index = reg.manifest(repo, tag)
    out = {}
    for d in index["manifests"]:
        at, doc = reg.manifest(repo, d["digest"])
        assert at == d["digest"]
        data = {}
        for b in [doc["config"], *doc["layers"]]:
            _, _, body = reg.call("GET", "/v2/%s/blobs/%s" % (repo, b["digest"]))
            assert sha(body) == b["digest"] and len(body) == b["size"]
            data[b["digest"]] = body
        out.setdefault(text_of(d["platform"]), []).append(
            (d, doc, json.loads(data[doc["config"]["digest"]]), data))
    return digest, index, out


# ---- the images ----

@pytest.mark.parametrize("args", [["--platform", "linux/amd64,linux/arm64"],
                                  ["--platform", "linux/amd64", "--platform", "linux/arm64"],
                                  ["--platform", "linux/arm64,linux/amd64,linux/arm64/v8"]])
def test_an_image_each(build, args):
    ok(build, "-t", build.tag, *args)
    shown, all_of = manifests(build)
    assert shown["Architecture"] == "amd64" and shown["Descriptor"]["mediaType"].endswith("index.v1+json")
    assert {text_of(m["Descriptor"]["platform"]) for m in all_of} == set(TWO)
    assert len(all_of) == 2 and all(m["Available"] and m["Kind"] == "image" for m in all_of)
    for p in TWO:
        one = json.loads(build.cli.ok("image", "inspect", "--platform", p, build.tag))[0]
        assert one["Os"] + "/" + one["Architecture"] == p
        assert "AT=%s/" % p in one["Config"]["Env"] and "BY=linux/amd64" in one["Config"]["Env"]
        cid = build.daemon.api.ok("POST", "/containers/create", {"Image": one["Id"], "Cmd": ["x"]})["Id"]
        body = build.daemon.api.get("/containers/%s/archive" % cid, path="/here").body
        with tarfile.open(fileobj=io.BytesIO(body)) as t:
            assert t.extractfile("here").read().decode() == one["Architecture"]
        build.daemon.api.delete("/containers/" + cid)


def test_the_variant(build):
    ok(build, "-t", build.tag, "--platform", "linux/arm/v7,linux/arm64")
    shown, all_of = manifests(build)
    assert {text_of(m["Descriptor"]["platform"]) for m in all_of} == {"linux/arm/v7", "linux/arm64"}
    one = json.loads(build.cli.ok("image", "inspect", "--platform", "linux/arm/v7", build.tag))[0]
    assert "AT=linux/arm/v7/v7" in one["Config"]["Env"] and one["Variant"] == "v7"


def test_steps_say_for_which(build):
    builds.write_tree(build.context, {"Dockerfile": """FROM --platform=$BUILDPLATFORM busybox AS tool
RUN echo once >> /once
FROM --platform=$BUILDPLATFORM busybox AS cross
ARG TARGETARCH
RUN echo $TARGETARCH > /arch
FROM scratch
COPY --from=tool /once /
COPY --from=cross /arch /
"""})
    done = ok(build, "--no-cache", "-t", build.tag, "--progress=plain", "--platform", ",".join(TWO))
    text = done.stderr
    steps = set(re.findall(r"^#\d+ \[.*", text, re.M))
    assert len([s for s in steps if "[linux/amd64 tool 2/2] RUN echo once" in s]) == 1, steps
    assert not [s for s in steps if "arm64 tool" in s]
    assert "[linux/amd64 cross 3/3]" not in text
    for line in ("[linux/amd64 cross 2/2] RUN", "[linux/amd64->arm64 cross 2/2] RUN",
                 "[linux/arm64 stage-2 2/3] COPY --from=tool", "[linux/amd64 stage-2 3/3] COPY --from=cross"):
        assert line in text, text
    for p in TWO:
        one = json.loads(build.cli.ok("image", "inspect", "--platform", p, build.tag))[0]
        cid = build.daemon.api.ok("POST", "/containers/create", {"Image": one["Id"], "Cmd": ["x"]})["Id"]
        for path, want in (("/once", "once\n"), ("/arch", p.split("/")[1] + "\n")):
            body = build.daemon.api.get("/containers/%s/archive" % cid, path=path).body
            with tarfile.open(fileobj=io.BytesIO(body)) as t:
                assert t.extractfile(path[1:]).read().decode() == want
        build.daemon.api.delete("/containers/" + cid)


def test_a_trigger_in_a_shared_stage(build):
    """It would see one platform only: told, not done wrongly. In a stage of its own it is right."""
    base = build.tag + "-on"
    builds.write_tree(build.context, {"Dockerfile": "FROM busybox\nONBUILD ARG TARGETARCH\nONBUILD RUN echo $TARGETARCH > /arch\n"})
    build.cli.ok("build", "-t", base, build.context)
    shared = "FROM --platform=$BUILDPLATFORM %s AS t\n%sFROM scratch\nCOPY --from=t /arch /\n"
    builds.write_tree(build.context, {"Dockerfile": shared % (base, "")})
    done = run(build, "--platform", ",".join(TWO))
    assert done.returncode == 1 and "ARG into the stage" in done.stderr, done.stderr
    builds.write_tree(build.context, {"Dockerfile": shared % (base, "ARG TARGETARCH\n")})
    ok(build, "-t", build.tag, "--platform", ",".join(TWO))
    for p in TWO:
        body = build.daemon.api.get("/images/%s/get" % build.tag, platform=platform(p)).body
        assert p.split("/")[1].encode() + b"\n" in body
    build.cli.ok("rmi", base)


def platform(text):
    return json.dumps(dict(zip(("os", "architecture", "variant"), text.split("/"))))


def test_bases_of_each_platform(build, reg):
    """A base of an index: of each platform its own; the name goes on meaning this machine's."""
    entries, ids = [], {}
    for arch in ("amd64", "arm64"):
        parts = [images.layer(("arch", arch.encode(), {}))]
        conf = json.dumps(images.config(parts, architecture=arch)).encode()
        blobs = [registry.squeeze(x, "gzip") for x in parts]
        doc = json.dumps(registry.manifest_of(conf, blobs)).encode()
        for data in [conf, *blobs]:
            reg.put_blob("base", data)
        reg.put_manifest("base", sha(doc), doc)
        entries.append((doc, OCI + "manifest.v1+json", {"os": "linux", "architecture": arch}))
        ids[arch] = sha(conf)
    digest = reg.put_manifest("base", "1", registry.index_of(entries[::-1]))
    base = reg.host + "/base:1"
    builds.write_tree(build.context, {"Dockerfile": "FROM %s\nCOPY all /\n" % base})
    ok(build, "-t", build.tag, "--platform", ",".join(TWO))
    assert build.daemon.api.ok("GET", "/images/%s/json" % base)["Id"] == ids["amd64"]
    there = "%s/out:1" % reg.host
    build.cli.ok("tag", build.tag, there)
    build.cli.ok("push", there)
    _, _, got = pushed(reg, "out", "1")
    for arch in ("amd64", "arm64"):
        d, doc, conf, data = got["linux/" + arch][0]
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data[doc["layers"][0]["digest"]]))) as t:
            assert t.extractfile("arch").read().decode() == arch
    # From the cache, and from what is here: nothing is asked of a registry that is gone.
    reg.close()
    assert "CACHED" in ok(build, "-t", build.tag, "--progress=plain", "--platform", ",".join(TWO)).stderr
    build.cli.ok("rmi", there)
    build.close()
    build.cli.ok("rmi", base)
    assert not {x for x in all_images(build) if x in ids.values()}


def test_a_foreign_command_without_an_interpreter(build):
    if os.path.isdir("/proc/sys/fs/binfmt_misc") and \
            any(x.startswith("qemu") for x in os.listdir("/proc/sys/fs/binfmt_misc")):
        pytest.skip("this machine runs foreign programs")
    with open("/bin/true", "rb") as f:
        foreign = bytearray(f.read())
    foreign[18:20] = (183).to_bytes(2, "little")  # the ELF header says aarch64
    builds.write_tree(build.context, {"prog": builds.Mode(bytes(foreign), 0o755),
                                      "Dockerfile": "FROM scratch\nCOPY prog /\nRUN [\"/prog\"]\n"})
    done = run(build, "-t", build.tag, "--platform", "linux/arm64")
    assert done.returncode == 1 and "linux/arm64" in done.stderr and "binfmt" in done.stderr, done.stderr


@pytest.mark.parametrize("args,says", [
    (["--platform", "linux/amd64,nonsense/x/y/z/w"], "nonsense"),
    (["--annotation", "nokey"], "expected key=value"),
    (["--annotation", "odd:a=b"], 'unknown annotation type "odd"'),
    (["--annotation", "index:a=b"], "the image of one platform has no index"),
    (["--platform", "linux/amd64,linux/arm64", "-o", "type=image,annotation.a=b,oci-mediatypes=false"],
     "need OCI media types"),
    (["-o", "type=image,compression=lz4"], "unsupported layer compression type: lz4"),
    (["-o", "type=image,compression=gzip,compression-level=20"], "no compression level 20"),
    (["-o", "type=image,compression=estargz"], "estargz is not built yet"),
    (["-o", "type=image,force-compression=perhaps"], "non-bool value perhaps"),
    (["-o", "type=image,rewrite-timestamp=false"], "is not built yet"),
    (["-o", "type=image,tar=false"], "no archive"), (["-o", "type=oci,tar=false"], "dest is required"),
    (["--attest", "type=odd"], "invalid attestation"),
    (["--sbom=true", "-o", "type=tar,dest=x"], "attestations beside files"), (["--provenance", "mode=odd"], "invalid mode"),
])
def test_what_cannot_be(build, args, says):
    before = all_images(build)
    done = run(build, *args)
    assert done.returncode == 1 and says in done.stderr, done.stderr
    assert all_images(build) == before


# ---- push ----

def test_push(build, reg, tmp_path):
    ref = "%s/x/y:v1" % reg.host
    meta, iid = str(tmp_path / "meta.json"), str(tmp_path / "iid")
    ok(build, "-t", ref, "--push", "--platform", ",".join(TWO), "--metadata-file", meta, "--iidfile", iid)
    digest, index, got = pushed(reg, "x/y", "v1")
    assert index["mediaType"] == OCI + "index.v1+json" and set(got) == set(TWO)
    for p in TWO:
        d, doc, conf, _ = got[p][0]
        assert doc["mediaType"] == d["mediaType"] == OCI + "manifest.v1+json"
        assert conf["architecture"] == p.split("/")[1]
        assert [x["mediaType"] for x in doc["layers"]] == [OCI + "layer.v1.tar+gzip"] * 2
    with open(meta) as f:
        said = json.load(f)
    assert said["containerimage.digest"] == digest and "containerimage.config.digest" not in said
    assert said["containerimage.descriptor"] == {"mediaType": index["mediaType"], "digest": digest,
                                                 "size": said["containerimage.descriptor"]["size"]}
    assert said["image.name"] == ref
    with open(iid) as f:
        assert f.read() == digest
    assert build.daemon.api.ok("GET", "/images/%s/json" % digest)["Architecture"] == "amd64"
    # The same again is the same.
    ok(build, "-t", ref, "--push", "--no-cache", "--build-arg", "SOURCE_DATE_EPOCH=1", "--platform", ",".join(TWO))
    first = reg.manifest("x/y", "v1")[0]
    ok(build, "-t", ref, "--push", "--no-cache", "--build-arg", "SOURCE_DATE_EPOCH=1", "--platform", ",".join(TWO))
    assert reg.manifest("x/y", "v1")[0] == first
    build.cli.ok("rmi", ref)


def test_a_daemon_that_keeps_no_blobs_pushes_what_it_said(reg, own_daemon, tmp_path):
    """Nothing compressed is kept, and yet a push makes the very layers whose digests were told."""
    d = own_daemon(args=("--image-blobs=drop",))
    d.others |= cleat.namespace_mates()
    d.start()
    build = builds.Builder(d, "cleat", str(tmp_path / "own"), "x")
    builds.write_tree(build.context, FILES)
    ref, meta = "%s/drop:v1" % reg.host, str(tmp_path / "m")
    ok(build, "-t", ref, "--platform", ",".join(TWO), "--provenance=true", "--metadata-file", meta)
    d.restart()
    out = build.cli.ok("push", ref)
    with open(meta) as f:
        assert "digest: " + json.load(f)["containerimage.digest"] in out
    assert "it becomes" not in out and set(pushed(reg, "drop", "v1")[2]) == {*TWO, "unknown/unknown"}
    folder = os.path.join(d.data_root, "image/blobs/sha256")
    for x in os.listdir(folder):
        with open(os.path.join(folder, x), "rb") as f:
            assert f.read(2) != b"\x1f\x8b", "a compressed layer"


@pytest.mark.parametrize("several", [True, False])
def test_push_by_digest(build, reg, tmp_path, several):
    """As who builds every platform elsewhere does: the registry gets no tag."""
    ref, meta = "%s/d/x" % reg.host, str(tmp_path / "m")
    ok(build, "-o", "type=image,name=%s,push-by-digest=true,name-canonical=true,push=true" % ref, "--metadata-file",
       meta, "--annotation", "a=b", *(["--platform", ",".join(TWO)] if several else []))
    with open(meta) as f:
        digest = json.load(f)["containerimage.digest"]
    assert reg.manifest("d/x", digest)[0] == digest
    with pytest.raises(urllib.error.HTTPError):
        reg.manifest("d/x", "latest")
    assert ref + "@" + digest in build.daemon.api.ok("GET", "/images/%s/json" % ref)["RepoDigests"]
    build.cli.ok("rmi", ref)
    done = run(build, "-t", ref + ":v1", "-o", "type=registry,push-by-digest=true")
    assert done.returncode == 1 and "can't push tagged ref" in done.stderr


def test_pulled_by_another(build, reg, own_daemon):
    ref = "%s/x:v1" % reg.host
    ok(build, "-t", ref, "--push", "--platform", ",".join(TWO))
    digest = reg.manifest("x", "v1")[0]
    d = own_daemon()
    d.others |= cleat.namespace_mates()
    d.start()
    for p in TWO:
        reply = d.api.post("/images/create", fromImage=reg.host + "/x", tag=digest, platform=p)
        assert reply.status == 200 and not [x for x in reply.lines if "error" in x], reply.lines
        shown = d.api.ok("GET", "/images/%s/x@%s/json" % (reg.host, digest))
        assert shown["Os"] + "/" + shown["Architecture"] == p
    build.cli.ok("rmi", ref)


def test_images_without_layers(build, reg):
    builds.write_tree(build.context, {"Dockerfile": "FROM scratch\nCMD [\"x\"]\n"})
    ref = "%s/none:v1" % reg.host
    ok(build, "-t", ref, "--push", "--platform", ",".join(TWO))
    _, _, got = pushed(reg, "none", "v1")
    assert all(got[p][0][1]["layers"] == [] for p in TWO)
    build.cli.ok("rmi", ref)


# ---- annotations and compression ----

def test_annotations(build, reg):
    ref = "%s/a:v1" % reg.host
    ok(build, "-t", ref, "--platform", ",".join(TWO), "--annotation", "all=1", "--annotation",
       "manifest[linux/arm64],index:some=2", "--annotation", "manifest-descriptor:d=3", "-o",
       "type=registry,annotation.of=4,annotation-index.of=5,annotation-manifest[linux/amd64].only=6")
    _, index, got = pushed(reg, "a", "v1")
    assert index["annotations"] == {"some": "2", "of": "5"}
    d, doc, _, _ = got["linux/arm64"][0]
    assert d["annotations"] == {"d": "3"} and doc["annotations"] == {"all": "1", "some": "2", "of": "4"}
    assert got["linux/amd64"][0][1]["annotations"] == {"all": "1", "of": "4", "only": "6"}
    build.cli.ok("rmi", ref)


def test_annotation_of_one_image(build, reg):
    ref = "%s/a:v1" % reg.host
    ok(build, "-t", ref, "--push", "--annotation", "org.opencontainers.image.title=it: is=so")
    digest, doc = reg.manifest("a", "v1")
    assert doc["mediaType"] == OCI + "manifest.v1+json" and len(doc["layers"]) == 2
    assert doc["annotations"] == {"org.opencontainers.image.title": "it: is=so"}
    assert build.daemon.api.ok("GET", "/images/%s/json" % ref)["Descriptor"]["digest"] == digest
    build.cli.ok("rmi", ref)


@pytest.mark.parametrize("fields,suffix", [
    ("compression=zstd", "+zstd"), ("compression=zstd,compression-level=19", "+zstd"),
    ("compression=gzip,compression-level=9", "+gzip"), ("compression=uncompressed", ""),
    ("oci-mediatypes=false", "docker")])
def test_compression(build, reg, fields, suffix):
    ref = "%s/c:v1" % reg.host
    ok(build, "-t", ref, "-o", "type=registry," + fields)
    _, doc = reg.manifest("c", "v1")
    want = registry.DOCKER + "image.rootfs.diff.tar.gzip" if suffix == "docker" else OCI + "layer.v1.tar" + suffix
    assert [x["mediaType"] for x in doc["layers"]] == [want] * 2
    for x in doc["layers"]:
        _, _, data = reg.call("GET", "/v2/c/blobs/" + x["digest"])
        assert sha(data) == x["digest"] and len(data) == x["size"]
    build.cli.ok("rmi", ref)
    build.cli.ok("pull", ref)
    build.cli.ok("rmi", ref)


# ---- files and archives ----

def test_files_of_each(build, tmp_path):
    before = all_images(build)
    out = tmp_path / "out"
    ok(build, "--platform", ",".join(TWO), "-o", str(out))
    for arch in ("amd64", "arm64"):
        assert (out / ("linux_" + arch) / "here").read_text() == arch
    assert sorted(os.listdir(out)) == ["linux_amd64", "linux_arm64"]
    ok(build, "--platform", "linux/arm64,linux/amd64", "-o", "type=local,platform-split=false,dest=%s/flat" % out)
    assert (out / "flat/here").read_text() == "amd64"
    ok(build, "--platform", "linux/arm64", "-o", "type=local,platform-split=true,dest=%s/one" % out)
    assert (out / "one/linux_arm64/here").read_text() == "arm64"
    assert all_images(build) == before


def test_tar_of_each(build, tmp_path):
    before = all_images(build)
    for where in (str(tmp_path / "out.tar"), "-"):
        done = ok(build, "--platform", ",".join(TWO), "-o", "type=tar,dest=" + where, stdin=b"")
        data = done.stdout if where == "-" else open(where, "rb").read()
        with tarfile.open(fileobj=io.BytesIO(data)) as t:
            for arch in ("amd64", "arm64"):
                assert t.extractfile("linux_%s/here" % arch).read().decode() == arch
    done = run(build, "--platform", ",".join(TWO), "-o", "type=tar,platform-split=false,dest=%s/x" % tmp_path)
    assert done.returncode == 1 and "platform-split" in done.stderr
    assert all_images(build) == before


def test_quiet_tells_the_index(build):
    digest = ok(build, "-q", "--platform", ",".join(TWO)).stdout.strip()
    shown = build.daemon.api.ok("GET", "/images/%s/json" % digest, manifests=1)
    assert shown["Descriptor"]["digest"] == digest and len(shown["Manifests"]) == 2
    assert not shown["RepoTags"]
    build.daemon.restart()  # collects what nothing holds
    assert build.daemon.api.get("/images/%s/json" % digest).status == 200
    own = {m["ID"] for m in shown["Manifests"]}
    build.daemon.api.ok("POST", "/images/prune")
    build.daemon.api.ok("POST", "/images/prune")
    assert not own & all_images(build)


def test_a_new_build_takes_the_name(build):
    ok(build, "-t", build.tag, "--platform", ",".join(TWO))
    old = {m["ImageData"]["Platform"]["architecture"]: m["ID"] for m in manifests(build)[1]}
    builds.write_tree(build.context, {"all": "other"})
    ok(build, "-t", build.tag, "--platform", ",".join(TWO))
    new = {m["ImageData"]["Platform"]["architecture"]: m["ID"] for m in manifests(build)[1]}
    assert not set(old.values()) & set(new.values())
    ok(build, "-t", build.tag)
    shown, _ = manifests(build)
    assert "index" not in shown.get("Descriptor", {}).get("mediaType", "")
    build.daemon.api.ok("POST", "/images/prune")


def test_our_api(build):
    """platform=a,b and what the end of the stream tells."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for n, data in FILES.items():
            images.add(tar, n, data.encode())
    reply = build.daemon.api.post("/build", out.getvalue(), headers={"Content-Type": "application/x-tar"},
                                  t=build.tag, platform=",".join(TWO), progress="status")
    end = [x["aux"] for x in reply.lines if x.get("id") == "cleat.build.result"][0]
    assert [p["Platform"] for p in end["Platforms"]] == TWO
    assert end["ID"] == end["Platforms"][0]["ID"]
    assert end["Descriptor"]["mediaType"] == OCI + "index.v1+json"
    shown, all_of = manifests(build)
    assert {m["ID"] for m in all_of} == {p["Digest"] for p in end["Platforms"]}
    assert shown["Descriptor"]["digest"] == end["Descriptor"]["digest"]
    bad = build.daemon.api.post("/build", out.getvalue(), headers={"Content-Type": "application/x-tar"},
                                export='{"Odd": 1}')
    assert bad.status == 400 and "export" in bad.message


def test_dockers_client(daemon, tmp_path, name):
    """Its classic builder hands the list on as it is."""
    made = builds.Builder(daemon, "docker", tmp_path, name)
    try:
        text = made(None, FILES, "--platform", ",".join(TWO)).ok().out
        assert " : [linux/arm64 base 2/3] COPY for-$TARGETARCH /here" in text
        shown, all_of = manifests(made)
        assert {text_of(m["Descriptor"]["platform"]) for m in all_of} == set(TWO)
        assert shown["Architecture"] == "amd64"
    finally:
        made.close()


def test_docker_py(daemon, build):
    docker = pytest.importorskip("docker")
    client = docker.DockerClient(base_url=daemon.url, version="1.41")
    image, _ = client.images.build(path=build.context, tag=build.tag, platform="linux/arm64,linux/amd64")
    assert {text_of(m["Descriptor"]["platform"]) for m in manifests(build)[1]} == set(TWO)
    assert image.attrs["Architecture"] == "amd64"
