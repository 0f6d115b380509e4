"""Pull from a plain registry: formats, platforms, names, what is told, what is not fetched twice."""
import json

import pytest

import images
import registry
from cleat import until
from registry import sha

FORMATS = [("gzip", True), ("zstd", True), ("", True), ("gzip", False)]


def layers(name):
    """Two layers, of which the second is this test's own."""
    return [images.busybox(), images.layer(("own/" + name, name.encode(), {}))]


def pull(api, name, tag="latest", **query):
    reply = api.post("/images/create", fromImage=name, tag=tag, **query)
    assert reply.status == 200, reply
    return reply.lines


def statuses(lines, blob=None):
    return [x["status"] for x in lines if blob is None or x.get("id") == blob[7:19]]


@pytest.mark.parametrize("compress,oci", FORMATS)
def test_pull_and_run(daemon, plain, cli, name, compress, oci):
    digest, image = plain.put_image("team/" + name, "v1", layers(name), compress, oci)
    ref = "%s/team/%s:v1" % (plain.host, name)
    out = cli.ok("pull", ref)
    assert out.splitlines()[0] == "v1: Pulling from team/" + name
    assert "Digest: " + digest in out.splitlines()
    assert "Status: Downloaded newer image for " + ref in out.splitlines()
    assert out.splitlines()[-1] == ref
    shown = json.loads(cli.ok("image", "inspect", ref))[0]
    assert shown["Id"] == image
    assert shown["RepoDigests"] == ["%s/team/%s@%s" % (plain.host, name, digest)]
    assert cli.ok("run", "--rm", ref, "cat", "/own/" + name) == name
    assert "Image is up to date for " + ref in cli.ok("pull", ref)
    assert cli.ok("run", "--rm", ref.split(":v1")[0] + "@" + digest, "cat", "/own/" + name) == name


def test_stream_of_a_pull(daemon, plain, name):
    parts = layers(name)
    plain.put_image(name, "base", parts[:1])
    digest, _ = plain.put_image(name, "latest", parts)
    ref = "%s/%s" % (plain.host, name)
    pull(daemon.api, ref, "base")
    got = pull(daemon.api, ref)
    assert got[0] == {"status": "Pulling from " + name, "id": "latest"}
    assert got[-2:] == [{"status": "Digest: " + digest},
                        {"status": "Status: Downloaded newer image for %s:latest" % ref}]
    known, own = (sha(registry.squeeze(x, "gzip")) for x in parts)
    assert statuses(got, known) == ["Already exists"]
    mine = statuses(got, own)
    assert mine[0] == "Pulling fs layer" and mine[-1] == "Pull complete"
    rest = [x for x in mine[1:-1] if x not in ("Downloading", "Waiting")]
    assert rest == ["Verifying Checksum", "Download complete", "Extracting"]
    assert all("progressDetail" in x for x in got if x.get("id") in (known[7:19], own[7:19]))
    got = pull(daemon.api, ref)
    assert set(statuses(got, known) + statuses(got, own)) == {"Already exists"}
    assert got[-1]["status"] == "Status: Image is up to date for %s:latest" % ref


def test_quiet(plain, cli, name):
    plain.put_image(name, "latest", layers(name))
    ref = "%s/%s" % (plain.host, name)
    assert cli.ok("pull", "-q", ref) == ref + ":latest"


def test_by_digest(daemon, plain, cli, name):
    digest, image = plain.put_image(name, "latest", layers(name))
    ref = "%s/%s@%s" % (plain.host, name, digest)
    out = cli.ok("pull", ref).splitlines()
    assert out[0] == "%s: Pulling from %s" % (plain.host + "/" + name + "@" + digest, name) or \
        out[0] == "%s: Pulling from %s" % (digest, name)
    assert out[-1] == ref
    shown = daemon.api.ok("GET", "/images/%s/json" % ref)
    assert shown["Id"] == image and shown["RepoTags"] == [] and shown["RepoDigests"] == [ref]
    assert cli.ok("run", "--rm", ref, "true") == ""


def test_run_pulls_what_is_missing(plain, cli, name):
    plain.put_image(name, "latest", layers(name))
    done = cli("run", "--rm", "%s/%s" % (plain.host, name), "echo", "here")
    assert (done.returncode, done.stdout) == (0, "here\n"), done
    assert "Unable to find image '%s/%s:latest' locally" % (plain.host, name) in done.stderr
    assert "Downloaded newer image" in done.stderr


def test_a_moved_tag(daemon, plain, cli, name):
    _, first = plain.put_image(name, "latest", layers(name))
    ref = "%s/%s" % (plain.host, name)
    cli.ok("pull", ref)
    _, second = plain.put_image(name, "latest", layers(name + "-new"))
    assert "Downloaded newer image" in cli.ok("pull", ref)
    assert daemon.api.ok("GET", "/images/%s/json" % ref)["Id"] == second
    assert daemon.api.ok("GET", "/images/%s/json" % first)["RepoTags"] == []


def test_all_tags(daemon, plain, cli, name):
    for tag in ("a", "b", "c"):
        plain.put_image(name, tag, layers(name + tag))
    ref = "%s/%s" % (plain.host, name)
    cli.ok("pull", "--all-tags", ref)
    tags = [t for i in daemon.api.ok("GET", "/images/json") for t in i["RepoTags"] or []]
    assert {ref + ":" + t for t in "abc"} <= set(tags)


def test_docker_py(plain, docker_py, name):
    digest, image = plain.put_image(name, "x", layers(name))
    got = docker_py.images.pull("%s/%s" % (plain.host, name), tag="x")
    assert got.id == image
    assert got.attrs["RepoDigests"] == ["%s/%s@%s" % (plain.host, name, digest)]


# ---- platforms ----

def put_index(plain, name, platforms, oci=True):
    """An index of an image per platform; {platform: image id}."""
    entries, ids = [], {}
    for i, p in enumerate(platforms):
        parts = layers("%s-%d" % (name, i))
        conf = json.dumps(images.config(parts, architecture=p["architecture"])).encode()
        blobs = [registry.squeeze(x, "gzip") for x in parts]
        doc = registry.manifest_of(conf, blobs, "gzip", oci)
        for data in [conf, *blobs]:
            plain.put_blob(name, data)
        text = json.dumps(doc).encode()
        plain.put_manifest(name, sha(text), text)
        entries.append((text, doc["mediaType"], p))
        ids["/".join(p.values())] = sha(conf)
    return plain.put_manifest(name, "latest", registry.index_of(entries, oci)), ids


PLATFORMS = [{"os": "linux", "architecture": "s390x"}, {"os": "linux", "architecture": "arm64"},
             {"os": "linux", "architecture": "arm", "variant": "v6"},
             {"os": "linux", "architecture": "arm", "variant": "v7"},
             {"os": "linux", "architecture": "amd64"}, {"os": "unknown", "architecture": "unknown"}]


@pytest.mark.parametrize("oci", [True, False])
@pytest.mark.parametrize("asked,chosen", [
    ("linux/amd64", "linux/amd64"), ("amd64", "linux/amd64"), ("linux/arm64/v8", "linux/arm64"),
    ("linux/arm/v7", "linux/arm/v7"), ("linux/arm", "linux/arm/v7"),
    ("linux/arm/v6", "linux/arm/v6"), ("aarch64", "linux/arm64")])
def test_platform(daemon, plain, name, oci, asked, chosen):
    digest, ids = put_index(plain, name, PLATFORMS, oci)
    ref = "%s/%s" % (plain.host, name)
    got = pull(daemon.api, ref, platform=asked)
    assert {"status": "Digest: " + digest} in got
    shown = daemon.api.ok("GET", "/images/%s/json" % ref)
    assert shown["Id"] == ids[chosen]
    assert shown["RepoDigests"] == ["%s@%s" % (ref, digest)]


def test_no_such_platform(daemon, plain, cli, name):
    put_index(plain, name, PLATFORMS)
    done = cli("pull", "--platform", "linux/riscv64", "%s/%s" % (plain.host, name))
    assert done.returncode == 1
    assert "no matching manifest for linux/riscv64 in the manifest list entries" in done.stderr


def test_platform_of_a_lone_image(daemon, plain, name):
    plain.put_image(name, "latest", layers(name))
    got = pull(daemon.api, "%s/%s" % (plain.host, name), platform="linux/s390x")
    assert "does not match the specified platform (linux/s390x)" in got[-1]["status"]


# ---- what is not there ----

def test_unknown_names(daemon, plain, cli, name):
    plain.put_image(name, "latest", layers(name))
    done = cli("pull", "%s/%s:nope" % (plain.host, name))
    assert done.returncode == 1
    assert "manifest for %s/%s:nope not found: manifest unknown: manifest unknown" % (
        plain.host, name) in done.stderr, done
    reply = daemon.api.post("/images/create", fromImage="%s/%s" % (plain.host, name), tag="nope")
    assert reply.status == 404
    reply = daemon.api.post("/images/create", fromImage="127.0.0.1:1/x", tag="y")
    assert reply.status == 500 and "refused" in reply.message, reply
    reply = daemon.api.post("/images/create", fromImage="UPPER", tag="y")
    assert reply.status == 400 and "must be lowercase" in reply.message


def test_images_of_skopeo(daemon, plain, cli, name, tmp_path):
    registry.need("skopeo")
    import subprocess
    for compress, fmt in (("gzip", "oci"), ("zstd", "oci"), ("gzip", "v2s2")):
        archive = tmp_path / "a.tar"
        archive.write_bytes(images.oci_archive(name + ":1", layers(name + compress + fmt)))
        ref = "%s/%s:%s-%s" % (plain.host, name, compress, fmt)
        done = subprocess.run(["skopeo", "--insecure-policy", "--tmpdir", str(tmp_path), "copy",
                               "--dest-tls-verify=false", "--format", fmt,
                               "--dest-compress-format", compress, "oci-archive:%s" % archive,
                               "docker://" + ref], capture_output=True, text=True)
        assert done.returncode == 0, done
        cli.ok("pull", ref)
        assert cli.ok("run", "--rm", ref, "cat", "/own/" + name + compress + fmt) == \
            name + compress + fmt
        digest, _ = plain.manifest(name, "%s-%s" % (compress, fmt))
        assert daemon.api.ok("GET", "/images/%s/json" % ref)["RepoDigests"] == \
            ["%s/%s@%s" % (plain.host, name, digest)]


def test_remove_by_name_and_digest(daemon, plain, cli, name):
    """The last tag of a repository takes its digests along; a digest alone can be removed."""
    parts = layers(name)
    digest, image = plain.put_image(name, "latest", parts)
    ref = "%s/%s" % (plain.host, name)
    pull(daemon.api, ref)
    cli.ok("tag", ref, "other-" + name)
    out = cli.ok("rmi", ref)
    assert out.splitlines() == ["Untagged: %s:latest" % ref, "Untagged: %s@%s" % (ref, digest)]
    shown = daemon.api.ok("GET", "/images/%s/json" % image)
    assert shown["RepoTags"] == ["other-%s:latest" % name] and shown["RepoDigests"] == []
    pull(daemon.api, ref, digest)
    assert cli.ok("rmi", "%s@%s" % (ref, digest)).splitlines() == [
        "Untagged: %s@%s" % (ref, digest)]
    out = cli.ok("rmi", "other-" + name).splitlines()
    assert out[0] == "Untagged: other-%s:latest" % name and "Deleted: " + image in out
    pull(daemon.api, ref, digest)
    out = cli.ok("rmi", "%s@%s" % (ref, digest)).splitlines()
    assert out[:2] == ["Untagged: %s@%s" % (ref, digest), "Deleted: " + image]
