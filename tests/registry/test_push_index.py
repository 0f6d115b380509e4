"""Push of a name that means an index: all of it when all is here, else the image that fits; and what
another cleat, skopeo and the docker client make of that."""
import json

import pytest

import cleat
import registry
from registry import sha
from test_blobs import other_daemon  # noqa: F401
from test_peers import ARCH, podman, skopeo  # noqa: F401
from test_pull import layers, pull, put_index
from test_push import push, second  # noqa: F401

HERE, OTHER = "linux/" + ARCH, "linux/s390x"
BOTH = [{"os": "linux", "architecture": "s390x"}, {"os": "linux", "architecture": ARCH}]


@pytest.fixture
def whole(daemon, plain, name):
    """(name of an index of which all is here, {platform: image id}, its digest)"""
    digest, ids = put_index(plain, name, BOTH)
    ref = "%s/%s" % (plain.host, name)
    for p in (OTHER, HERE):
        pull(daemon.api, ref, platform=p)
    return ref + ":latest", ids, digest


def aux(lines):
    return [x["aux"] for x in lines if "aux" in x]


def stored(reg, repo, doc):
    """Every blob that a manifest names is there, and is what it should be."""
    for d in [doc["config"], *doc["layers"]]:
        _, _, data = reg.call("GET", "/v2/%s/blobs/%s" % (repo, d["digest"]))
        assert len(data) == d["size"] and sha(data) == d["digest"]


def test_all_of_it_goes(daemon, plain, second, cli, whole, name):  # noqa: F811
    ref, ids, digest = whole
    target = "%s/%s-copy:v1" % (second.host, name)
    cli.ok("tag", ref, target)
    out = cli.ok("push", target)
    assert "v1: digest: %s size: " % digest in out and "Info" not in out
    there, index = second.manifest(name + "-copy", "v1")
    assert there == digest and len(index["manifests"]) == 2
    for d in index["manifests"]:
        at, doc = second.manifest(name + "-copy", d["digest"])
        assert at == d["digest"] and doc["config"]["digest"] in ids.values()
        stored(second, name + "-copy", doc)
    shown = daemon.api.ok("GET", "/images/%s/json" % target)
    assert "%s@%s" % (target[:-3], digest) in shown["RepoDigests"]
    # Within one registry nothing is sent twice.
    near = "%s/%s-near:v1" % (plain.host, name)
    cli.ok("tag", ref, near)
    out = cli.ok("push", near)
    assert digest in out and "Mounted from" in out and "Pushed" not in out
    cli.ok("rmi", target, near)


def test_pulled_again_by_digest(daemon, second, own_daemon, whole, name, cleat_only):  # noqa: F811
    ref, ids, digest = whole
    target = "%s/%s:v1" % (second.host, name)
    cleat_only.ok("tag", ref, target)
    cleat_only.ok("push", target)
    d = own_daemon()
    d.others |= cleat.namespace_mates()
    d.start()
    for p in (HERE, OTHER):
        pull(d.api, "%s/%s" % (second.host, name), digest, platform=p)
        shown = d.api.ok("GET", "/images/%s/%s@%s/json" % (second.host, name, digest))
        assert shown["Id"] == ids[p] and shown["Descriptor"]["digest"] == digest
    cleat_only.ok("rmi", target)


def test_not_all_is_here(daemon, plain, second, cli, name):  # noqa: F811
    digest, ids = put_index(plain, name, BOTH)
    ref = "%s/%s" % (plain.host, name)
    pull(daemon.api, ref, platform=HERE)
    target = "%s/%s-part" % (second.host, name)
    cli.ok("tag", ref, target)
    got = push(daemon, target)
    at, doc = second.manifest(name + "-part", "latest")
    assert doc["config"]["digest"] == ids[HERE]
    tag, instead = aux(got)
    assert tag["Digest"] == at
    assert instead["manifestPushedInsteadOfIndex"] is True
    assert instead["originalIndex"]["digest"] == digest
    assert instead["selectedManifest"]["digest"] == at
    done = cli("push", target)
    assert done.returncode == 0 and digest in done.stdout and at in done.stdout
    # One platform that was asked for is what was asked for.
    done = cli("push", "--platform", HERE, target)
    assert done.returncode == 0 and digest not in done.stdout
    done = cli("push", "--platform", OTHER, target)
    assert done.returncode == 1 and "does not match the specified platform" in done.stderr
    cli.ok("rmi", target)


def test_none_fits_this_machine(daemon, plain, cli, name):
    both = [{"os": "linux", "architecture": "s390x"}, {"os": "linux", "architecture": "ppc64le"},
            {"os": "linux", "architecture": "riscv64"}]
    put_index(plain, name, both)
    ref = "%s/%s" % (plain.host, name)
    for p in ("linux/s390x", "linux/ppc64le"):
        pull(daemon.api, ref, platform=p)
    target = ref + "-none"
    cli.ok("tag", ref, target)
    done = cli("push", target)
    assert done.returncode == 1 and "no specific platform requested" in done.stderr, done
    cli.ok("push", "--platform", "linux/s390x", target)
    cli.ok("rmi", target)


def test_skopeo_copies_all_of_it(daemon, second, whole, name, cleat_only, skopeo, tmp_path):  # noqa: F811
    ref, _, digest = whole
    target = "%s/%s:sk" % (second.host, name)
    cleat_only.ok("tag", ref, target)
    cleat_only.ok("push", target)
    raw = skopeo.ok("inspect", "--tls-verify=false", "--raw", "docker://" + target)
    assert sha(raw.encode()) == digest
    skopeo.ok("copy", "--all", "--src-tls-verify=false", "docker://" + target,
              "oci:%s:x" % (tmp_path / "oci"))
    cleat_only.ok("rmi", target)


def test_podman_pulls_each_platform(second, whole, name, cleat_only, podman):  # noqa: F811
    ref, ids, _ = whole
    target = "%s/%s:pod" % (second.host, name)
    cleat_only.ok("tag", ref, target)
    cleat_only.ok("push", target)
    for p, image in ids.items():
        podman.ok("pull", "-q", "--tls-verify=false", *podman.policy, "--platform", p, target)
        assert "sha256:" + podman.ok("image", "inspect", "--format", "{{.Id}}", target) == image
        podman.ok("rmi", "-f", target)
    cleat_only.ok("rmi", target)


def test_dropped_blobs_make_a_new_index(other_daemon, plain, second, name):  # noqa: F811
    """Without the compressed blobs manifests are new ones, and so is the index; the push says so."""
    digest, ids = put_index(plain, name, BOTH)
    ref = "%s/%s" % (plain.host, name)
    d = other_daemon("--image-blobs=drop")
    d.start()
    for p in (OTHER, HERE):
        pull(d.api, ref, platform=p)
    target = "%s/%s-anew" % (second.host, name)
    assert d.api.post("/images/%s/tag" % ref, repo=target, tag="latest").status == 201
    got = push(d, target)
    at, index = second.manifest(name + "-anew", "latest")
    assert at != digest and aux(got)[0]["Digest"] == at
    assert len([x for x in got if "it becomes sha256:" in x.get("status", "")]) == 2
    found = {}
    for e in index["manifests"]:
        _, doc = second.manifest(name + "-anew", e["digest"])
        stored(second, name + "-anew", doc)
        found["linux/" + e["platform"]["architecture"]] = doc["config"]["digest"]
    assert found == ids
    # And the same again when it is pushed again.
    assert aux(push(d, target))[0]["Digest"] == at


# ---- what belongs to a name, here ----

def test_a_container_of_a_platform(daemon, plain, whole, cli, name):
    ref, ids, _ = whole
    for p in (OTHER, HERE):
        cid = cli.ok("create", "--platform", p, ref, "x").strip()
        assert daemon.api.ok("GET", "/containers/%s/json" % cid)["Image"] == ids[p]
        daemon.api.ok("DELETE", "/containers/" + cid)
    reply = daemon.api.post("/containers/create", {"Image": ref}, platform="linux/arm64")
    assert reply.status == 404 and "does not match the specified platform" in reply.message
    assert daemon.api.post("/containers/create", {"Image": ref}, platform="a/b/c/d").status == 400
    old = daemon.api.at("1.40").post("/containers/create", {"Image": ref}, platform="linux/arm64")
    assert old.status == 201, "it is of a later version"
    daemon.api.ok("DELETE", "/containers/" + old.json["Id"])
    # What is not here for that platform is pulled.
    digest, more = put_index(plain, name + "-p", BOTH)
    far = "%s/%s-p" % (plain.host, name)
    pull(daemon.api, far, platform=HERE)
    cid = cli.ok("create", "--platform", OTHER, far, "x").split()[-1]
    assert daemon.api.ok("GET", "/containers/%s/json" % cid)["Image"] == more[OTHER]


def test_platforms_of_a_name_are_no_rubbish(daemon, whole, cli):
    ref, ids, _ = whole
    shown = [i["Id"] for i in daemon.api.ok("GET", "/images/json")]
    assert ids[HERE] in shown and ids[OTHER] not in shown
    assert ids[OTHER] in [i["Id"] for i in daemon.api.ok("GET", "/images/json", all=1)]
    dangling = daemon.api.ok("GET", "/images/json", all=1, filters={"dangling": ["true"]})
    assert ids[OTHER] not in [i["Id"] for i in dangling]
    daemon.api.ok("POST", "/images/prune")
    assert daemon.api.get("/images/%s/json" % ids[OTHER]).status == 200
    out = cli.ok("rmi", ref)
    assert "Deleted: " + ids[HERE] in out and "Deleted: " + ids[OTHER] in out
    for i in ids.values():
        assert daemon.api.get("/images/%s/json" % i).status == 404


def test_removal_by_the_digest(daemon, whole, cli, name):
    ref, ids, digest = whole
    cli.ok("tag", ref, name + ":again")
    done = cli("rmi", digest)
    assert done.returncode == 1 and "must be forced" in done.stderr, done
    out = cli.ok("rmi", "-f", digest)
    assert "Untagged: %s:again" % name in out and "Untagged: " + ref in out
    for i in ids.values():
        assert "Deleted: " + i in out and daemon.api.get("/images/%s/json" % i).status == 404


def test_a_second_name_keeps_them(daemon, whole, cli, name):
    ref, ids, digest = whole
    cli.ok("tag", ref, name + ":again")
    assert "Deleted" not in cli.ok("rmi", ref)
    shown = daemon.api.ok("GET", "/images/%s/json" % digest, manifests=1)
    assert shown["Id"] == ids[HERE] and all(m["Available"] for m in shown["Manifests"])
    assert json.loads(cli.ok("image", "inspect", digest))[0]["Id"] == ids[HERE]
    cid = daemon.api.ok("POST", "/containers/create", {"Image": ids[OTHER], "Cmd": ["x"]})["Id"]
    cli.ok("rmi", name + ":again")
    assert daemon.api.get("/images/%s/json" % ids[OTHER]).status == 200, "a container has it"
    daemon.api.ok("DELETE", "/containers/" + cid)
    daemon.api.ok("POST", "/images/prune")
    assert daemon.api.get("/images/%s/json" % ids[OTHER]).status == 404
