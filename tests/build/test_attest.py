"""Attestations: how they lie in the index, what provenance and the list of packages say, and what they
must not say."""
import base64
import io
import json
import os
import subprocess
import tarfile

import pytest

import builds
import images
import registry
from registry import sha
from test_platforms import OCI, all_images, manifests, ok, pushed, reg, run, text_of  # noqa: F401

TWO = ["linux/amd64", "linux/arm64"]
STATUS = """Package: libc6
Status: install ok installed
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Architecture: amd64
Source: glibc (2.36-9)
Version: 2.36-9+deb12u4
Description: GNU C Library
 Version: not a field
 .

Package: gone
Status: deinstall ok config-files
Version: 1

Package: adduser
Status: install ok installed
Version: 1:3.134
Architecture: all
"""
STATUS_D = "Package: base-files\nVersion: 12.4\nArchitecture: amd64\n"
APK = "C:Q1abc=\nP:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\nm:Timo <timo@alpine>\no:musl\nF:lib\nR:x\n\nP:busybox\nV:1.36\nA:x86_64\nL:GPL-2.0-only\n"
RELEASE = 'PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\nVERSION_ID="12"\n'
FILES = {"Dockerfile": """FROM scratch
ARG SECRETIVE
LABEL who=$SECRETIVE
COPY root /
""", "root/usr/lib/os-release": RELEASE, "root/etc/os-release": builds.Link("../usr/lib/os-release"),
         "root/var/lib/dpkg/status": STATUS, "root/var/lib/dpkg/status.d/base": STATUS_D,
         "root/var/lib/dpkg/status.d/base.md5sums": "00  usr/bin/x\n",
         "root/lib/apk/db/installed": APK}


@pytest.fixture
def build(daemon, tmp_path, name):
    made = builds.Builder(daemon, "cleat", tmp_path, name)
    builds.write_tree(made.context, FILES)
    yield made
    made.close()


def statements(got):
    """{subject's digest: {predicate type: statement}} of what pushed() found."""
    out = {}
    for d, doc, conf, data in got.get("unknown/unknown", []):
        assert d["annotations"]["vnd.docker.reference.type"] == "attestation-manifest"
        assert conf["os"] == conf["architecture"] == "unknown"
        assert conf["rootfs"]["diff_ids"] == [x["digest"] for x in doc["layers"]]
        about = out.setdefault(d["annotations"]["vnd.docker.reference.digest"], {})
        for x in doc["layers"]:
            assert x["mediaType"] == "application/vnd.in-toto+json"
            said = json.loads(data[x["digest"]])
            assert said["_type"] == "https://in-toto.io/Statement/v0.1"
            assert said["predicateType"] == x["annotations"]["in-toto.io/predicate-type"]
            about[said["predicateType"]] = said
    return out


PROVENANCE, SPDX = "https://slsa.dev/provenance/v0.2", "https://spdx.dev/Document"


def test_layout(build, reg):  # noqa: F811
    ref = "%s/t/a:v1" % reg.host
    ok(build, "-t", ref, "--push", "--platform", ",".join(TWO), "--provenance=true", "--sbom=true")
    digest, index, got = pushed(reg, "t/a", "v1")
    assert [text_of(d["platform"]) for d in index["manifests"]] == TWO + ["unknown/unknown"] * 2
    found = statements(got)
    assert set(found) == {got[p][0][0]["digest"] for p in TWO}
    for p in TWO:
        at = got[p][0][0]["digest"]
        assert set(found[at]) == {PROVENANCE, SPDX}
        for said in found[at].values():
            assert said["subject"] == [{"name": "pkg:docker/%s/t/a@v1?platform=linux%%2F%s"
                                        % (reg.host, p.split("/")[1]), "digest": {"sha256": at[7:]}}]
    shown, all_of = manifests(build, ref)
    assert shown["Descriptor"]["digest"] == digest
    kinds = [(m["Kind"], m["Available"]) for m in all_of]
    assert kinds == [("image", True)] * 2 + [("attestation", True)] * 2
    assert {m["AttestationData"]["For"] for m in all_of[2:]} == set(found)
    assert all(m["Size"]["Content"] > 500 for m in all_of[2:])
    tree = build.cli.ok("image", "ls", "--tree")
    assert "linux/arm64" in tree and "unknown" not in tree
    # All of it stays when the daemon collects, and goes elsewhere under the same digest.
    build.daemon.restart()
    there = "%s/other:v1" % reg.host
    build.cli.ok("tag", ref, there)
    assert "digest: " + digest in build.cli.ok("push", there)
    build.cli.ok("rmi", ref, there)


def test_one_platform_has_an_index_then(build, reg, tmp_path):  # noqa: F811
    ref, meta, iid = "%s/one:v1" % reg.host, str(tmp_path / "m"), str(tmp_path / "i")
    ok(build, "-t", ref, "--push", "--attest", "type=provenance,mode=min", "--metadata-file", meta,
       "--iidfile", iid)
    digest, index, got = pushed(reg, "one", "v1")
    assert index["mediaType"] == OCI + "index.v1+json" and len(index["manifests"]) == 2
    with open(meta) as f:
        said = json.load(f)
    assert said["containerimage.digest"] == digest
    image = build.daemon.api.ok("GET", "/images/%s/json" % ref)["Id"]
    with open(iid) as f:
        assert f.read() == said["containerimage.config.digest"] == image
    assert set(next(iter(statements(got).values()))) == {PROVENANCE}
    build.cli.ok("rmi", ref)


@pytest.mark.parametrize("args", [[], ["--provenance=false"], ["--sbom=false"], ["--provenance", "mode=max", "--provenance=false"],
                                  ["--attest", "type=sbom,disabled=true"]])
def test_off(build, args):
    ok(build, "-t", build.tag, *args)
    assert "Descriptor" not in build.daemon.api.ok("GET", "/images/%s/json" % build.tag)


def predicate(build, reg, *args, **kw):  # noqa: F811
    ref = "%s/p:v1" % reg.host
    ok(build, "-t", ref, "--push", *args, **kw)
    _, _, got = pushed(reg, "p", "v1")
    build.cli.ok("rmi", ref)
    (about,) = statements(got).values()
    return about[PROVENANCE]["predicate"]


def test_min_tells_no_arguments(build, reg):  # noqa: F811
    said = predicate(build, reg, "--provenance=mode=min", "--build-arg", "SECRETIVE=hush", "--label", "l=shy")
    assert "hush" not in json.dumps(said) and "shy" not in json.dumps(said)
    assert said["invocation"]["configSource"] == {"entryPoint": "Dockerfile"}
    assert said["invocation"]["parameters"] == {"frontend": "dockerfile.v0", "args": {},
                                                "locals": [{"name": "context"}, {"name": "dockerfile"}]}
    assert said["invocation"]["environment"] == {"platform": "linux/amd64"}
    assert said["metadata"]["completeness"] == {"parameters": False, "environment": True, "materials": False}
    assert "buildConfig" not in said and said["builder"]["id"] and said["buildType"]


def test_max_tells_all_but_secrets(build, reg, tmp_path):  # noqa: F811
    (tmp_path / "s").write_text("very-secret")
    builds.write_tree(build.context, {"Dockerfile": "FROM busybox\nARG A\nRUN --mount=type=secret,id=mine cat /run/secrets/mine | wc -c\n"})
    said = predicate(build, reg, "--provenance=mode=max", "--build-arg", "A=b", "--label", "l=v", "--secret",
                     "id=mine,src=%s/s" % tmp_path, "--build-arg", "HTTP_PROXY=http://u:pw@h")
    text = json.dumps(said)
    assert "very-secret" not in text and "pw@h" not in text
    p = said["invocation"]["parameters"]
    assert p["args"] == {"build-arg:A": "b", "label:l": "v"} and p["secrets"] == [{"id": "mine"}]
    names = [s["name"] for s in said["buildConfig"]["steps"]]
    assert names[0] == "[1/2] FROM busybox" and names[1].startswith("[2/2] RUN --mount=type=secret")
    assert said["buildConfig"]["steps"][1]["key"].startswith("sha256:")
    meta = [v for k, v in said["metadata"].items() if k.endswith("#metadata")][0]
    with open(os.path.join(build.context, "Dockerfile"), "rb") as f:
        assert base64.b64decode(meta["source"]["data"]) == f.read()
    (base,) = said["materials"]
    assert base["uri"] == "pkg:docker/busybox@latest?platform=linux%2Famd64"
    shown = build.daemon.api.ok("GET", "/images/busybox/json")
    assert "sha256:" + base["digest"]["sha256"] == shown.get("Descriptor", {}).get("digest", shown["Id"])


def test_materials(build, reg, web):  # noqa: F811
    """Bases by the digest of their index, files by URL without passwords; the same from the cache."""
    digest, _ = reg.put_image("base", "1", [images.layer(("f", b"x", {}))])
    web.pages["/file"] = b"content"
    web.pages["/own"] = b"own"
    away = web.url.replace("http://", "http://user:pw@")
    builds.write_tree(build.context, {"Dockerfile": "FROM %s/base:1\nADD %s/file /\nADD --checksum=%s %s/own /\n"
                                      % (reg.host, away, sha(b"own"), web.url)})
    for _ in range(2):
        said = predicate(build, reg, "--provenance=true")
        assert said["materials"] == [
            {"uri": web.url + "/file", "digest": {"sha256": sha(b"content")[7:]}},
            {"uri": web.url + "/own", "digest": {"sha256": sha(b"own")[7:]}},
            {"uri": "pkg:docker/%s/base@1?platform=linux%%2Famd64" % reg.host,
             "digest": {"sha256": digest[7:]}}]
        assert "pw@" not in json.dumps(said)
    build.cli.ok("rmi", "%s/base:1" % reg.host)


def test_a_repository_as_the_source(build, reg, git, repo):  # noqa: F811
    builds.write_tree(repo.work, {"Dockerfile": "FROM scratch\nCOPY f /\n"})
    commit = repo.commit()
    repo.publish()
    ref = "%s/g:v1" % reg.host
    done = build.cli("build", "--network=none", "-t", ref, "--push", "--provenance=true", git.url + "/r.git")
    assert done.returncode == 0, done.stderr
    _, _, got = pushed(reg, "g", "v1")
    said = list(statements(got).values())[0][PROVENANCE]["predicate"]
    source = said["invocation"]["configSource"]
    assert source == {"entryPoint": "Dockerfile", "uri": git.url + "/r.git", "digest": {"sha1": commit}}
    assert "locals" not in said["invocation"]["parameters"]
    assert said["metadata"]["completeness"]["materials"] is True
    build.cli.ok("rmi", ref)


# ---- packages ----

def sbom(build, reg, *args):  # noqa: F811
    ref = "%s/s:v1" % reg.host
    done = ok(build, "-t", ref, "--push", "--sbom=true", "--progress=plain", *args)
    _, _, got = pushed(reg, "s", "v1")
    build.cli.ok("rmi", ref)
    (about,) = statements(got).values()
    return about[SPDX]["predicate"], done.stderr


def test_packages(build, reg):  # noqa: F811
    doc, _ = sbom(build, reg)
    assert doc["spdxVersion"] == "SPDX-2.3" and doc["dataLicense"] == "CC0-1.0"
    packages = {p["name"]: p for p in doc["packages"][1:]}
    assert set(packages) == {"libc6", "adduser", "base-files", "musl", "busybox"}
    purls = {n: p["externalRefs"][0]["referenceLocator"] for n, p in packages.items()}
    assert purls["adduser"] == "pkg:deb/debian/adduser@1%3A3.134?arch=all&distro=debian-12"
    assert purls["libc6"] == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64&distro=debian-12" \
        "&upstream=glibc%20%282.36-9%29"
    assert purls["musl"].startswith("pkg:apk/") and packages["musl"]["licenseComments"] == "MIT"
    assert packages["libc6"]["supplier"] == \
        "Person: GNU Libc Maintainers (debian-glibc@lists.debian.org)"
    ids = [p["SPDXID"] for p in doc["packages"]]
    assert len(set(ids)) == len(ids)
    assert {r["relatedSpdxElement"] for r in doc["relationships"]} == set(ids)


def test_what_this_machine_has(build, reg):  # noqa: F811
    """A real database: the same packages as dpkg itself lists."""
    registry.need("dpkg-query")
    for path in ("var/lib/dpkg/status", "usr/lib/os-release"):
        with open("/" + path, "rb") as f:
            builds.write_tree(build.context, {"root/" + path: f.read()})
    for path in ("var/lib/dpkg/status.d/base", "lib/apk/db/installed"):
        os.unlink(os.path.join(build.context, "root", path))
    out = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version} ${Architecture}\\n"],
                         check=True, capture_output=True, text=True).stdout
    want = {tuple(x.split()[1:]) for x in out.splitlines() if x.startswith("installed ")}
    doc, _ = sbom(build, reg)
    got = {(p["name"], p["versionInfo"], p["externalRefs"][0]["referenceLocator"].split("arch=")[1].split("&")[0])
           for p in doc["packages"][1:]}
    assert got == want and len(want) > 100


def test_rpm_is_told_of(build, reg):  # noqa: F811
    builds.write_tree(build.context, {"root/usr/lib/sysimage/rpm/rpmdb.sqlite": "x"})
    doc, err = sbom(build, reg)
    assert "RPM" in doc["creationInfo"]["comment"] and "RPM database" in err


def test_what_leads_out_is_not_followed(build, reg):  # noqa: F811
    """Databases that are links, directories or devices, or are not there."""
    builds.write_tree(build.context, {"Dockerfile": "FROM busybox\n"
                                      "RUN mkdir -p /var/lib/dpkg/status.d /lib/apk/db /etc && ln -s /../../../../../../../../etc/passwd /var/lib/dpkg/status"
                                      " && mkfifo /lib/apk/db/installed && ln -s / /var/lib/dpkg/status.d/up"
                                      " && mkdir /var/lib/dpkg/status.d/dir && ln -sf /dev/zero /etc/os-release\n"})
    doc, _ = sbom(build, reg)
    assert len(doc["packages"]) == 1


def test_too_large(build):
    with open(os.path.join(build.context, "root/var/lib/dpkg/status"), "wb") as f:
        f.truncate(65 << 20)
    before = all_images(build)
    done = run(build, "-t", build.tag, "--sbom=true")
    assert done.returncode == 1 and "list the packages of the image" in done.stderr, done.stderr
    assert all_images(build) == before


def test_the_same_again(build, reg):  # noqa: F811
    """With a date of its own an index with attestations is the same, whenever it is built."""
    args = ["--platform", ",".join(TWO), "--build-arg", "SOURCE_DATE_EPOCH=1700000000", "--no-cache",
            "--provenance=mode=max", "--sbom=true"]
    found = set()
    for _ in range(2):
        ref = "%s/same:v1" % reg.host
        ok(build, "-t", ref, "--push", *args)
        found.add(reg.manifest("same", "v1")[0])
        build.cli.ok("rmi", ref)
    assert len(found) == 1
    doc = reg.manifest("same", "v1")[1]
    assert len(doc["manifests"]) == 4


def test_an_image_whose_manifest_changes_loses_them(build, reg, own_daemon, tmp_path):  # noqa: F811
    """Blobs that only options made are dropped with the setting: then nothing is attested wrongly."""
    import cleat
    d = own_daemon(args=("--image-blobs=keep",))
    d.others |= cleat.namespace_mates()
    d.start()
    ref = "%s/loses:v1" % reg.host
    other = builds.Builder(d, "cleat", str(tmp_path / "own"), "x")
    builds.write_tree(other.context, FILES)
    ok(other, "-t", ref, "-o", "type=image,compression=zstd", "--provenance=true", "--platform", ",".join(TWO))
    d.stop()
    d.args = ["--image-blobs=drop"]
    d.start()
    out = other.cli.ok("push", ref)
    assert out.count("it becomes sha256:") == 2 and out.count("left out") == 2
    _, index, got = pushed(reg, "loses", "v1")
    assert len(index["manifests"]) == 2 and "unknown/unknown" not in got


# ---- archives ----

def archive(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}


ALL = ["--platform", ",".join(TWO), "--provenance=true", "--sbom=true", "--annotation", "index:x=y"]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_archive_has_it_all(build, tmp_path, named, kind):
    before, path = all_images(build), str(tmp_path / "x.tar")
    ok(build, *(["-t", build.tag] if named else []), "-o", "type=%s,dest=%s" % (kind, path), *ALL)
    with open(path, "rb") as f:
        files = archive(f.read())
    (top,) = json.loads(files["index.json"])["manifests"]
    assert ("io.containerd.image.name" in top.get("annotations", {})) == named
    index = json.loads(files["blobs/sha256/" + top["digest"][7:]])
    assert index["annotations"] == {"x": "y"} and len(index["manifests"]) == 4
    for d in index["manifests"]:
        doc = json.loads(files["blobs/sha256/" + d["digest"][7:]])
        for b in [d, doc["config"], *doc["layers"]]:
            data = files["blobs/sha256/" + b["digest"][7:]]
            assert sha(data) == b["digest"] and len(data) == b["size"]
    (old,) = json.loads(files["manifest.json"])
    assert set(old["Layers"]) <= set(files) and old["Config"] in files
    build.close()
    assert all_images(build) == before


def test_loaded_it_is_pushed_as_it_was(build, reg, own_daemon, tmp_path):  # noqa: F811
    import cleat
    ref, path = "%s/far:v1" % reg.host, str(tmp_path / "x.tar")
    ok(build, "-t", ref, "-o", "type=oci,dest=" + path, *ALL)
    build.cli.ok("rmi", ref)
    with open(path, "rb") as f:
        data = f.read()
    want = json.loads(archive(data)["index.json"])["manifests"][0]["digest"]
    d = own_daemon()
    d.others |= cleat.namespace_mates()
    d.start()
    for _ in range(2):
        assert d.api.post("/images/load", data, headers={"Content-Type": "application/x-tar"}).status == 200
        shown = d.api.ok("GET", "/images/%s/json" % ref, manifests=1)
        assert shown["Descriptor"]["digest"] == want and all(m["Available"] for m in shown["Manifests"])
        d.restart()
    again = d.api.get("/images/get", names=ref, original=1).body
    assert archive(again) == archive(data)
    reply = d.api.post("/images/%s/far/push" % reg.host, tag="v1", headers={"X-Registry-Auth": "e30="})
    assert [x["aux"]["Digest"] for x in reply.lines if "aux" in x] == [want]
    assert len(pushed(reg, "far", "v1")[1]["manifests"]) == 4
    # A plain save is of plain tars, in an index of its own.
    assert want[7:] not in str(list(archive(d.api.get("/images/%s/get" % ref).body)))


def test_others_read_it(build, reg, tmp_path):  # noqa: F811
    registry.need("skopeo")
    out = str(tmp_path / "layout")
    ok(build, "-t", build.tag, "-o", "type=oci,tar=false,dest=" + out, *ALL)

    def skopeo(*args):
        return subprocess.run(["skopeo", *args], check=True, capture_output=True, timeout=60).stdout
    raw = skopeo("inspect", "--raw", "oci:%s:latest" % out)
    with open(out + "/index.json") as f:
        assert sha(raw) == json.load(f)["manifests"][0]["digest"]
    target = "docker://%s/sk:1" % reg.host
    skopeo("copy", "--all", "--dest-tls-verify=false", "oci:%s:latest" % out, target)
    assert sha(skopeo("inspect", "--tls-verify=false", "--raw", target)) == sha(raw)
    conf = json.loads(skopeo("--override-arch", "arm64", "inspect", "--tls-verify=false", "--config", target))
    assert conf["architecture"] == "arm64"


def test_what_was_dropped_is_told_before_anything_is_sent(build, own_daemon):
    import cleat
    d = own_daemon()
    d.others |= cleat.namespace_mates()
    d.start()
    other = builds.Builder(d, "cleat", os.path.join(build.context, "../own"), "x")
    builds.write_tree(other.context, FILES)
    ok(other, "-t", "x:1", "-o", "type=image,compression=zstd")
    assert d.api.get("/images/get", names="x:1", original=1).status == 200
    d.stop()
    d.args = ["--image-blobs=drop"]
    d.start()
    reply = d.api.get("/images/get", names="x:1", original=1)
    assert reply.status == 409 and "is not kept as it came" in reply.message
    assert d.api.get("/images/get", names="x:1").status == 200
