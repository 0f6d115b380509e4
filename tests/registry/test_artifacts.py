"""What is no image: artifacts that refer to an image, listed with and without the registry's API for
it, and what a pull says of them."""
import json

import pytest

import images
import registry
from registry import sha
from test_hostile import fake  # noqa: F401
from test_pull import layers

SIGNATURE, SBOM = "application/vnd.example.signature", "application/spdx+json"
EMPTY = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha(b"{}"), "size": 2}


def artifact(subject, kind, text=b"x"):
    """(document, its descriptor) of an artifact about the manifest @subject."""
    doc = json.dumps({"schemaVersion": 2, "mediaType": registry.OCI + "manifest.v1+json",
                      "artifactType": kind, "config": EMPTY,
                      "layers": [registry.descriptor(text, kind)],
                      "subject": registry.descriptor(subject, registry.OCI + "manifest.v1+json"),
                      "annotations": {"org.opencontainers.image.created": "2024-05-06T07:08:09Z"},
                      }).encode()
    return doc, registry.descriptor(doc, registry.OCI + "manifest.v1+json", artifactType=kind,
                                    annotations={"org.opencontainers.image.created":
                                                 "2024-05-06T07:08:09Z"})


def referrers(cli, ref, *args):
    out = cli.ok("manifest", "referrers", *args, "--format", "json", ref)
    return [json.loads(line) for line in out.splitlines()]


def test_by_the_api(fake, cleat_only, name):  # noqa: F811
    reg = fake()
    doc, _ = reg.put_image(name, "latest", layers(name))
    signature, sbom = artifact(doc, SIGNATURE)[1], artifact(doc, SBOM)[1]
    reg.referrers = {sha(doc): [signature, sbom]}
    ref = "%s/%s" % (reg.host, name)
    got = referrers(cleat_only, ref)
    assert [(x["Digest"], x["ArtifactType"]) for x in got] == \
        [(d["digest"], d["artifactType"]) for d in (signature, sbom)]
    assert got[0]["Created"] == "2024-05-06T07:08:09Z"
    assert [x["Digest"] for x in referrers(cleat_only, ref, "--artifact-type", SBOM)] == \
        [sbom["digest"]]
    assert referrers(cleat_only, ref, "--artifact-type", "none/such") == []
    assert [x["Digest"] for x in referrers(cleat_only, "%s@%s" % (ref, sha(doc)))] == \
        [signature["digest"], sbom["digest"]]
    assert not reg.asked("GET", "/manifests/sha256-")
    table = cleat_only.ok("manifest", "referrers", ref).splitlines()
    assert table[0].split("  ")[0] == "DIGEST" and "ARTIFACT TYPE" in table[0]
    assert table[1].split()[:2] == [signature["digest"][7:19], SIGNATURE]


def test_page_by_page(fake, cleat_only, name):  # noqa: F811
    reg = fake()
    doc, _ = reg.put_image(name, "latest", layers(name))
    all_of_them = [artifact(doc, SBOM, b"%d" % i)[1] for i in range(7)]
    reg.referrers, reg.page = {sha(doc): all_of_them}, 3
    got = referrers(cleat_only, "%s/%s" % (reg.host, name), "--artifact-type", SBOM)
    assert [x["Digest"] for x in got] == [d["digest"] for d in all_of_them]
    assert len(reg.asked("GET", "/referrers/")) == 3


def test_a_registry_that_does_not_filter(fake, cleat_only, name):  # noqa: F811
    reg = fake()
    doc, _ = reg.put_image(name, "latest", layers(name))
    signature, sbom = artifact(doc, SIGNATURE)[1], artifact(doc, SBOM)[1]

    def everything(req):
        if "/referrers/" not in req.path:
            return False
        req.reply(200, {"schemaVersion": 2, "manifests": [signature, sbom]})
        return True
    reg.fault = everything
    got = referrers(cleat_only, "%s/%s" % (reg.host, name), "--artifact-type", SBOM)
    assert [x["Digest"] for x in got] == [sbom["digest"]]


def test_by_the_tag(plain, cleat_only, name):
    """Debian's registry has no API for it: an index under a tag says the same."""
    digest, _ = plain.put_image(name, "latest", layers(name))
    ref = "%s/%s" % (plain.host, name)
    assert referrers(cleat_only, ref) == []
    _, _, doc = plain.call("GET", "/v2/%s/manifests/%s" % (name, digest), headers={
        "Accept": registry.OCI + "manifest.v1+json"})
    found = [artifact(doc, kind) for kind in (SIGNATURE, SBOM)]
    for blob in (b"{}", b"x"):
        plain.put_blob(name, blob)
    for text, d in found:
        plain.put_manifest(name, d["digest"], text)
    plain.put_manifest(name, digest.replace(":", "-"), {
        "schemaVersion": 2, "mediaType": registry.OCI + "index.v1+json",
        "manifests": [d for _, d in found]})
    assert [x["ArtifactType"] for x in referrers(cleat_only, ref)] == [SIGNATURE, SBOM]
    assert [x["Digest"] for x in referrers(cleat_only, ref, "--artifact-type", SIGNATURE)] == \
        [found[0][1]["digest"]]


@pytest.mark.parametrize("body,says", [
    (b"{", "invalid list of referrers"),
    (b'{"schemaVersion":2,"manifests":[{"digest":"x","size":1}]}', "invalid list of referrers"),
    (b'{"schemaVersion":2,"manifests":[{"size":1}]}', "invalid list of referrers"),
    (b" " * (5 << 20), "too large"),
], ids=["cut", "digest", "none", "large"])
def test_nonsense(fake, cleat_only, name, body, says):  # noqa: F811
    reg = fake(fault=lambda req: "/referrers/" in req.path and (req.reply(200, body) or True))
    reg.put_image(name, "latest", layers(name))
    done = cleat_only("manifest", "referrers", "%s/%s" % (reg.host, name))
    assert done.returncode == 1 and says in done.stderr, done


def test_text_that_would_steer_the_terminal(fake, cleat_only, name):  # noqa: F811
    reg = fake()
    doc, _ = reg.put_image(name, "latest", layers(name))
    reg.referrers = {sha(doc): [artifact(doc, "a/b\x1b[2J")[1]]}
    out = cleat_only.ok("manifest", "referrers", "%s/%s" % (reg.host, name))
    assert "\x1b" not in out and "a/b?[2J" in out


def test_no_such_manifest(fake, cleat_only, name):  # noqa: F811
    done = cleat_only("manifest", "referrers", "%s/%s" % (fake().host, name))
    assert done.returncode == 1 and "no such manifest: " in done.stderr


def test_pull_of_an_artifact(daemon, fake, cli, name):  # noqa: F811
    reg = fake()
    doc, _ = reg.put_image(name, "latest", layers(name))
    reg.put_manifest(name, "signature", artifact(doc, SIGNATURE)[0])
    done = cli("pull", "%s/%s:signature" % (reg.host, name))
    assert done.returncode == 1
    assert "this is an artifact of type %s, no image of a container" % SIGNATURE in done.stderr
    # As cosign writes them: an image's config, and a layer that says what it is.
    conf = json.dumps(images.config([b"{}"])).encode()
    kind = "application/vnd.dev.cosign.simplesigning.v1+json"
    cosign = registry.manifest_of(conf, [])
    cosign["layers"] = [registry.descriptor(b"{}", kind)]
    reg.put_manifest(name, "cosign", json.dumps(cosign).encode())
    done = cli("pull", "%s/%s:cosign" % (reg.host, name))
    assert done.returncode == 1 and "this is an artifact of type " + kind in done.stderr


def test_an_artifact_in_an_index_is_not_the_image(daemon, fake, cli, name):  # noqa: F811
    reg = fake()
    doc, _ = reg.put_image(name, "image", layers(name))
    note, d = artifact(doc, SIGNATURE)
    reg.put_manifest(name, "note", note)
    index = {"schemaVersion": 2, "mediaType": registry.OCI + "index.v1+json",
             "manifests": [d, registry.descriptor(doc, registry.OCI + "manifest.v1+json")]}
    text = json.dumps(index).encode()
    reg.put_manifest(name, "latest", text, index["mediaType"])
    ref = "%s/%s" % (reg.host, name)
    cli.ok("pull", ref)
    shown = daemon.api.ok("GET", "/images/%s/json" % ref, manifests=1)
    assert [m["Kind"] for m in shown["Manifests"]] == ["unknown", "image"]
    assert shown["Manifests"][0]["Descriptor"]["artifactType"] == SIGNATURE
