"""One name, several platforms: what is here of an index and what is not, and how it is listed,
inspected, saved, loaded, pushed and removed. Other programs read what was saved."""
import io
import json
import re
import tarfile

import pytest

import images
import registry
from registry import sha
from test_peers import ARCH, podman, skopeo  # noqa: F401
from test_pull import PLATFORMS, layers, pull, put_index

HERE = "linux/" + ARCH
OTHER = "linux/s390x"


def platform(text):
    return json.dumps(dict(zip(("os", "architecture", "variant"), text.split("/"))))


def text_of(p):
    return "/".join(x for x in (p["os"], p["architecture"], p.get("variant")) if x)


@pytest.fixture
def two(daemon, plain, name):
    """(name of an index with two platforms here, {platform: image id}); it means this host's."""
    digest, ids = put_index(plain, name, PLATFORMS)
    ref = "%s/%s:latest" % (plain.host, name)
    pull(daemon.api, ref[:-7], platform=OTHER)
    pull(daemon.api, ref[:-7])
    return ref, ids, digest


def archive(data):
    """Members of a tar: {name: bytes}."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}


def save(api, ref, **query):
    reply = api.get("/images/%s/get" % ref, **query)
    assert reply.status == 200, reply
    return reply.body


def load(api, data, **query):
    return api.post("/images/load", data, headers={"Content-Type": "application/x-tar"}, **query)


def forget(api, ids):
    for i in ids.values():
        api.delete("/images/" + i, force=1)


# ---- lists and inspection ----

def test_manifests_of_a_list(daemon, two):
    ref, ids, digest = two
    cid = daemon.api.ok("POST", "/containers/create", {"Image": ref})["Id"]
    found = [i for i in daemon.api.ok("GET", "/images/json", manifests=1) if ref in i["RepoTags"]]
    assert [i["Id"] for i in found] == [ids[HERE]]
    top, = found
    assert top["Descriptor"]["digest"] == digest
    assert top["Descriptor"]["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert [text_of(m["Descriptor"]["platform"]) for m in top["Manifests"]] == \
        [text_of(p) for p in PLATFORMS]
    kinds = {text_of(m["Descriptor"]["platform"]): m for m in top["Manifests"]}
    assert {p for p, m in kinds.items() if m["Available"]} == {HERE, OTHER}
    for p, m in kinds.items():
        assert m["ID"] == m["Descriptor"]["digest"]
        if p == "unknown/unknown":
            assert m["Kind"] == "unknown" and "ImageData" not in m
            continue
        assert m["Kind"] == "image" and text_of(m["ImageData"]["Platform"]) == p
        assert m["ImageData"]["Containers"] == ([cid] if p == HERE else [])
        unpacked = m["ImageData"]["Size"]["Unpacked"]
        assert m["Size"]["Total"] == m["Size"]["Content"] + unpacked
        assert (m["Size"]["Content"] > 1000 and unpacked > 1000) == (p in (HERE, OTHER))
    plainly = [i for i in daemon.api.ok("GET", "/images/json") if i["Id"] == ids[HERE]]
    assert not {"Manifests", "Descriptor"} & set(plainly[0])
    older = [i for i in daemon.api.at("1.46").ok("GET", "/images/json", manifests=1)
             if i["Id"] == ids[HERE]]
    assert not {"Manifests", "Descriptor"} & set(older[0])


def test_attestations_are_told_apart(daemon, plain, name):
    conf = json.dumps(images.config(layers(name))).encode()
    blobs = [registry.squeeze(x, "gzip") for x in layers(name)]
    for data in [conf, *blobs]:
        plain.put_blob(name, data)
    doc = json.dumps(registry.manifest_of(conf, blobs)).encode()
    note = json.dumps({**registry.manifest_of(conf, []), "annotations": {"a": "b"}}).encode()
    for d in (doc, note):
        plain.put_manifest(name, sha(d), d)
    index = registry.index_of([(doc, registry.OCI + "manifest.v1+json",
                                {"os": "linux", "architecture": ARCH, "os.version": "9",
                                 "os.features": ["x"]})])
    index["manifests"].append(registry.descriptor(
        note, registry.OCI + "manifest.v1+json",
        platform={"os": "unknown", "architecture": "unknown"},
        annotations={"vnd.docker.reference.type": "attestation-manifest",
                     "vnd.docker.reference.digest": sha(doc)}))
    plain.put_manifest(name, "latest", index)
    ref = "%s/%s" % (plain.host, name)
    pull(daemon.api, ref)
    shown = daemon.api.ok("GET", "/images/%s/json" % ref, manifests=1)
    image, attestation = shown["Manifests"]
    assert image["Kind"] == "image" and image["Available"]
    assert image["ImageData"]["Platform"] == {"os": "linux", "architecture": ARCH,
                                              "os.version": "9", "os.features": ["x"]}
    assert attestation["Kind"] == "attestation" and not attestation["Available"]
    assert attestation["AttestationData"] == {"For": sha(doc)} and attestation["Size"]["Total"] == 0
    far = daemon.api.ok("GET", "/distribution/%s/json" % ref)
    assert far["Platforms"][0]["os.version"] == "9"


def test_an_image_without_an_index(daemon, plain, name):
    digest, _ = plain.put_image(name, "latest", layers(name))
    ref = "%s/%s" % (plain.host, name)
    pull(daemon.api, ref)
    shown = daemon.api.ok("GET", "/images/%s/json" % ref, manifests=1)
    assert shown["Descriptor"]["digest"] == digest
    assert [(m["ID"], m["Kind"], m["Available"]) for m in shown["Manifests"]] == \
        [(digest, "image", True)]
    made_here = daemon.api.ok("GET", "/images/busybox/json", manifests=1)
    assert not {"Manifests", "Descriptor"} & set(made_here)


def test_inspect_and_history_of_a_platform(daemon, two, cli):
    ref, ids, digest = two
    for p in (HERE, OTHER):
        shown = json.loads(cli.ok("image", "inspect", "--platform", p, ref))[0]
        assert shown["Id"] == ids[p] and "Manifests" not in shown
        assert shown["Descriptor"]["mediaType"].endswith("manifest.v1+json")
        top = cli.ok("image", "history", "-q", "--no-trunc", "--platform", p, ref).split()[0]
        assert top == ids[p]
    done = cli("image", "inspect", "--platform", "linux/arm64", ref)
    assert done.returncode == 1
    assert "was found but its platform (%s) does not match the specified platform (linux/arm64)" \
        % HERE in done.stderr
    assert daemon.api.get("/images/%s/json" % ref, platform=platform(OTHER),
                          manifests=1).status == 400
    for bad in ("linux/amd64", '{"os":"linux"}', "{}", "7"):
        assert daemon.api.get("/images/%s/json" % ref, platform=bad).status == 400, bad
    # Versions that do not have the parameter pass over it.
    shown = daemon.api.at("1.48").ok("GET", "/images/%s/json" % ref, platform=platform(OTHER))
    assert shown["Id"] == ids[HERE] and shown["Descriptor"]["digest"] == digest
    assert "Descriptor" not in daemon.api.at("1.47").ok("GET", "/images/%s/json" % ref, manifests=1)


def test_a_further_name_means_the_same(daemon, two, cleat_only, name):
    ref, _, digest = two
    cleat_only.ok("tag", ref, name + ":again")
    shown = daemon.api.ok("GET", "/images/%s:again/json" % name, manifests=1)
    assert shown["Descriptor"]["digest"] == digest and len(shown["Manifests"]) == len(PLATFORMS)
    cleat_only.ok("rmi", ref)
    daemon.restart()  # collects what nothing names
    shown = daemon.api.ok("GET", "/images/%s:again/json" % name, manifests=1)
    assert shown["Descriptor"]["digest"] == digest
    assert sum(m["Available"] for m in shown["Manifests"]) == 2


def plain_text(b):
    return re.sub(r"\x1b\[[0-9;]*m", "", b)


@pytest.mark.parametrize("columns", [50, 80, 110, 200])
def test_tree(daemon, two, cleat_only, name, columns):
    """What docker prints: every sign of it on a terminal, the text elsewhere."""
    from clients import cli_or_skip
    docker = cli_or_skip("docker", daemon)
    ref = two[0]
    daemon.api.ok("POST", "/containers/create", {"Image": ref})
    for extra in ([], ["--filter", "reference=busybox"], ["--filter", "dangling=true"]):
        ours, theirs = (c.terminal("image", "ls", "--tree", *extra, columns=columns).end()
                        for c in (cleat_only, docker))
        assert ours[0] == theirs[0] == 0
        assert blocks(ours[1]) == blocks(theirs[1])
        a, b = (c.ok("image", "ls", "--tree", *extra) for c in (cleat_only, docker))
        assert "\x1b" not in a and blocks(a.encode()) == blocks(plain_text(b).encode())


def blocks(out):
    """docker sorts images of one age as it likes."""
    return sorted(x.strip() for x in out.replace(b"\r", b"").split(b"\n\n"))


# ---- removal ----

def test_remove_a_platform(daemon, two, cli):
    ref, ids, _ = two
    out = cli.ok("image", "rm", "--platform", OTHER, ref)
    assert "Deleted: " + ids[OTHER] in out and "Untagged" not in out
    shown = daemon.api.ok("GET", "/images/%s/json" % ref, manifests=1)
    assert shown["Id"] == ids[HERE] and sum(m["Available"] for m in shown["Manifests"]) == 1
    assert cli("image", "rm", "--platform", OTHER, ref).returncode == 1
    assert "Untagged: " + ref in cli.ok("image", "rm", "--platform", HERE, ref)
    assert daemon.api.get("/images/%s/json" % ref).status == 404


# ---- push ----

def test_push_a_platform(daemon, plain, two, cli, name):
    ref, ids, _ = two
    target = "%s/%s-out:v" % (plain.host, name)
    cli.ok("tag", ref, target)
    cli.ok("push", "--platform", OTHER, target)
    _, doc = plain.manifest(name + "-out", "v")
    assert doc["config"]["digest"] == ids[OTHER]
    done = cli("push", "--platform", "linux/arm64", target)
    assert done.returncode == 1 and "does not match the specified platform" in done.stderr
    cli.ok("rmi", target)


# ---- save and load ----

def test_save_all_that_is_here(daemon, two):
    ref, ids, _ = two
    data = save(daemon.api, ref)
    assert save(daemon.api, ref) == data
    files = archive(data)
    top, = json.loads(files["index.json"])["manifests"]
    assert top["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert top["annotations"]["io.containerd.image.name"] == ref and "platform" not in top
    index = json.loads(files["blobs/sha256/" + top["digest"][7:]])
    found = {text_of(d["platform"]): json.loads(files["blobs/sha256/" + d["digest"][7:]])
             for d in index["manifests"]}
    assert {p: m["config"]["digest"] for p, m in found.items()} == \
        {p: ids[p] for p in (OTHER, HERE)}
    for m in found.values():
        for layer in m["layers"]:
            assert len(files["blobs/sha256/" + layer["digest"][7:]]) == layer["size"]
    archived, = json.loads(files["manifest.json"])
    assert archived["Config"] == "blobs/sha256/" + ids[HERE][7:] and archived["RepoTags"] == [ref]
    # One id is one image, and so is one platform.
    for one, want in ((save(daemon.api, ids[OTHER]), OTHER),
                      (save(daemon.api, ref, platform=platform(OTHER)), OTHER),
                      (save(daemon.api, ref, platform=platform(HERE)), HERE)):
        top, = json.loads(archive(one)["index.json"])["manifests"]
        assert top["mediaType"].endswith("manifest.v1+json")
        assert text_of(top["platform"]) == want
    missing = daemon.api.get("/images/%s/get" % ref, platform=platform("linux/arm64"))
    assert missing.status == 404 and "does not match the specified" in missing.message


def test_round_trip(daemon, two):
    """All platforms come back, under the same name, and saved again they are the same bytes."""
    ref, ids, _ = two
    data = save(daemon.api, ref)
    forget(daemon.api, {p: ids[p] for p in (HERE, OTHER)})
    reply = load(daemon.api, data)
    text = "".join(m.get("stream", "") for m in reply.lines)
    assert "Loaded image: " + ref in text and "Loaded image ID: " + ids[OTHER] in text
    shown = daemon.api.ok("GET", "/images/%s/json" % ref, manifests=1)
    assert shown["Id"] == ids[HERE]
    assert {text_of(m["ImageData"]["Platform"]) for m in shown["Manifests"] if m["Available"]} == \
        {HERE, OTHER}
    assert save(daemon.api, ref) == data
    daemon.restart()
    assert save(daemon.api, ref) == data


@pytest.mark.parametrize("want", [HERE, OTHER])
def test_load_a_platform(daemon, two, cli, want):
    ref, ids, _ = two
    data = save(daemon.api, ref)
    forget(daemon.api, {p: ids[p] for p in (HERE, OTHER)})
    done = cli("load", "--platform", want, stdin=data)
    assert done.returncode == 0, done
    assert daemon.api.ok("GET", "/images/%s/json" % ref)["Id"] == ids[want]
    other = OTHER if want == HERE else HERE
    assert daemon.api.get("/images/%s/json" % ids[other]).status == 404
    done = cli("load", "--platform", "linux/riscv64", stdin=data)
    assert done.returncode == 1 and b"requested platform (linux/riscv64) not found" in done.stderr


def test_load_of_one_platform_takes_no_other(daemon, cleat_only, name):
    data = images.docker_archive([name + ":x"], [images.busybox()], architecture="riscv64")
    done = cleat_only("load", "--platform", HERE, stdin=data)
    assert done.returncode == 1 and b"requested platform (%s) not found" % HERE.encode() \
        in done.stderr
    assert daemon.api.get("/images/%s:x/json" % name).status == 404
    assert cleat_only("load", "--platform", "riscv64", stdin=data).returncode == 0
    daemon.api.ok("DELETE", "/images/%s:x" % name)


def test_others_read_it(daemon, two, skopeo, tmp_path, cleat_only):  # noqa: F811
    ref, ids, _ = two
    path = tmp_path / "two.tar"
    cleat_only.ok("save", "-o", path, ref)
    raw = json.loads(skopeo.ok("inspect", "--raw", "oci-archive:%s:latest" % path))
    assert {text_of(m["platform"]) for m in raw["manifests"]} == {HERE, OTHER}
    for arch in (ARCH, "s390x"):
        conf = json.loads(skopeo.ok("--override-arch", arch, "inspect", "--config",
                                    "oci-archive:%s:latest" % path))
        assert conf["architecture"] == arch
    skopeo.ok("copy", "--all", "oci-archive:%s:latest" % path, "oci:%s:all" % (tmp_path / "oci"))
    conf = json.loads(skopeo.ok("inspect", "--config", "docker-archive:%s" % path))
    assert conf["architecture"] == ARCH
    # And back, as skopeo packs it: the index is a blob, and its images are all there.
    skopeo.ok("copy", "--all", "oci-archive:%s:latest" % path,
              "oci-archive:%s:%s" % (tmp_path / "back.tar", ref))
    forget(daemon.api, {p: ids[p] for p in (HERE, OTHER)})
    assert load(daemon.api, (tmp_path / "back.tar").read_bytes()).status == 200
    shown = daemon.api.ok("GET", "/images/%s/json" % ref, manifests=1)
    assert shown["Id"] == ids[HERE] and sum(m["Available"] for m in shown["Manifests"]) == 2


def test_podman_reads_it(daemon, two, podman, tmp_path, cleat_only):  # noqa: F811
    ref, ids, _ = two
    path = tmp_path / "two.tar"
    cleat_only.ok("save", "-o", path, ref)
    podman.ok("load", "-i", path)
    assert "sha256:" + podman.ok("image", "inspect", "--format", "{{.Id}}", ref) == ids[HERE]
    podman.ok("rmi", ref)


def test_import_for_a_platform(daemon, cli, name, tmp_path):
    path = tmp_path / "root.tar"
    path.write_bytes(images.layer(("f", b"x", {})))
    cli.ok("import", "--platform", "linux/arm/v6", path, name + ":p")
    shown = daemon.api.ok("GET", "/images/%s:p/json" % name)
    assert (shown["Os"], shown["Architecture"], shown["Variant"]) == ("linux", "arm", "v6")
    daemon.api.ok("DELETE", "/images/%s:p" % name)
