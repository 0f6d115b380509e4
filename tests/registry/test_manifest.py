"""cleat manifest: lists made here and pushed, byte for byte as docker does it, and readable by all."""
import json
import os

import pytest

import images
import registry
import secure
from clients import cli_or_skip
from test_peers import digest_of, skopeo  # noqa: F401
from test_pull import layers
from test_push import second  # noqa: F401
from test_secure import basic, logged_out  # noqa: F401

HOST = images.config([])["architecture"]
OTHER = "arm64" if HOST == "amd64" else "amd64"
LAX = "--insecure"  # docker's client wants to be told even of loopback; ours does not mind


@pytest.fixture
def both(daemon, tmp_path):
    """cleat and docker with one configuration between them."""
    made = []
    for program in ("cleat", "docker"):
        cli = cli_or_skip(program, daemon)
        cli.env = {**cli.env, "DOCKER_CONFIG": str(tmp_path / "config")}
        made.append(cli)
    return made


@pytest.fixture
def pair(plain, name):
    """References of two images in one repository, for this machine and for another."""
    refs = {}
    for arch in (HOST, OTHER):
        digest, image = plain.put_image(name, arch, layers(name + arch), oci=False,
                                        architecture=arch)
        refs[arch] = ("%s/%s:%s" % (plain.host, name, arch), digest, image)
    return refs


def names(pair):
    return [pair[a][0] for a in sorted(pair)]


def test_create_push_and_pull(daemon, plain, skopeo, cli, pair, name):
    """A list of two platforms: pulled by platform, read by skopeo, gone after --purge."""
    target = "%s/%s:list" % (plain.host, name)
    assert cli.ok("manifest", "create", LAX, target, *names(pair)) == "Created manifest list " + target
    shown = json.loads(cli.ok("manifest", "inspect", LAX, target))
    assert [m["platform"]["architecture"] for m in shown["manifests"]] == sorted(pair)
    digest = cli.ok("manifest", "push", LAX, "--purge", target)
    assert digest_of(skopeo, target) == digest
    stored, doc = plain.manifest(name, "list")
    assert stored == digest and doc == shown
    assert doc["mediaType"] == registry.DOCKER + "distribution.manifest.list.v2+json"
    assert [m["digest"] for m in doc["manifests"]] == [pair[a][1] for a in sorted(pair)]
    for arch, (_, _, image) in pair.items():
        cli.ok("pull", "--platform", "linux/" + arch, target)
        assert daemon.api.ok("GET", "/images/%s/json" % target)["Id"] == image
    cli.ok("pull", target)
    assert cli.ok("run", "--rm", target, "cat", "/own/" + name + HOST) == name + HOST
    done = cli("manifest", "push", LAX, target)
    assert done.returncode == 1 and "No such manifest: " + target in done.stderr, done


@pytest.mark.parametrize("oci", [True, False])
def test_same_bytes_as_docker(plain, both, name, oci):
    """What is printed, kept and pushed is the same, whoever does it."""
    cleat, docker = both
    for arch in (HOST, OTHER):
        plain.put_image(name, arch, layers(name + arch), oci=oci, architecture=arch)
    refs = ["%s/%s:%s" % (plain.host, name, a) for a in (HOST, OTHER)]
    lists = []
    for i, cli in enumerate(both):
        target = "%s/%s:list%d" % (plain.host, name, i)
        assert cli.ok("manifest", "create", LAX, target, *refs) == \
            "Created manifest list " + target
        cli.ok("manifest", "annotate", "--variant", "v8", "--os-version", "1.2", "--os-features",
               "a,b", target, refs[1])
        lists.append(target)
    for target in lists:  # each reads what the other wrote
        for args in ((target,), ("-v", target), (target, refs[1]), ("-v", target, refs[0])):
            assert cleat.ok("manifest", "inspect", *args) == docker.ok("manifest", "inspect", *args)
    assert cleat.ok("manifest", "inspect", lists[0]) == cleat.ok("manifest", "inspect", lists[1])
    assert docker.ok("manifest", "push", LAX, lists[0]) == cleat.ok("manifest", "push", lists[1])
    for cli in both:
        cli.ok("manifest", "rm", *lists)
        lists.reverse()
        cli.ok("manifest", "create", LAX, *lists[:1], refs[0])
        cli.ok("manifest", "create", LAX, *lists[1:], refs[0])
    docker.ok("manifest", "rm", *lists)
    # of the registry: an image, and the list
    for ref in (refs[0], lists[0]):
        for flags in ((), ("-v",)):
            assert cleat.ok("manifest", "inspect", LAX, *flags, ref) == \
                docker.ok("manifest", "inspect", LAX, *flags, ref)


def test_from_other_repositories(plain, skopeo, cli, pair, name):
    """Images of other repositories of the registry are mounted and pushed into the list's own."""
    target = "%s/%s-all/deep:1" % (plain.host, name)
    cli.ok("manifest", "create", LAX, target, *names(pair))
    out = cli.ok("manifest", "push", LAX, target).splitlines()
    assert out[:-1] == ["Pushed ref %s@%s with digest: %s" % (target[:-2], pair[a][1], pair[a][1])
                        for a in sorted(pair)]
    for arch, (_, digest, _) in pair.items():
        assert plain.manifest(name + "-all/deep", digest)[0] == digest
        cli.ok("pull", "--platform", "linux/" + arch, target)
    assert digest_of(skopeo, target) == out[-1]


def test_amend_and_annotate(plain, cli, pair, name):
    target = "%s/%s:list" % (plain.host, name)
    first, second = names(pair)
    cli.ok("manifest", "create", LAX, target, first)
    done = cli("manifest", "create", LAX, target, second)
    assert done.returncode == 1
    assert "refusing to amend an existing manifest list with no --amend flag" in done.stderr
    cli.ok("manifest", "annotate", "--os", "windows", "--arch", "amd64", target, first)
    cli.ok("manifest", "create", LAX, "--amend", target, first, second)
    shown = json.loads(cli.ok("manifest", "inspect", LAX, target))["manifests"]
    assert [(m["platform"]["os"], m["platform"]["architecture"]) for m in shown] == \
        [("windows", "amd64"), ("linux", sorted(pair)[1])]
    for args, text in (
            (("annotate", "--arch", "vax", target, first),
             "manifest entry for image has unsupported os/arch combination: /vax"),
            (("annotate", target, first + "-no"), "manifest for image %s-no does not exist in %s" % (
                first, target)),
            (("annotate", "UPPER:1", first), "annotate: error parsing name for manifest list"),
            (("create", target + "-x", "%s/%s:none" % (plain.host, name)),
             "no such manifest: %s/%s:none" % (plain.host, name)),
            (("create", "127.0.0.1:1/x:1", "UPPER"), "invalid reference format"),
            (("inspect", "%s/%s:none" % (plain.host, name)),
             "no such manifest: %s/%s:none" % (plain.host, name)),
            (("inspect", target, "%s:none" % target.rsplit(":", 1)[0]), "No such manifest: "),
            (("rm", target, target + "-none"), "No such manifest: %s-none" % target)):
        lax = [LAX] if args[0] in ("create", "inspect") else []
        done = cli("manifest", args[0], *lax, *args[1:])
        assert done.returncode == 1 and text in done.stderr, (args, done)
    assert cli("manifest", "inspect", LAX, target).returncode == 1  # rm took the one that was there


def test_a_list_of_lists_and_of_two_registries(plain, second, cli, pair, name):
    second.put_image(name, "1", layers(name))
    target = "%s/%s:list" % (plain.host, name)
    cli.ok("manifest", "create", LAX, target, *names(pair))
    cli.ok("manifest", "push", LAX, target)
    done = cli("manifest", "create", LAX, "%s/%s:more" % (plain.host, name), target)
    assert done.returncode == 1 and "is a manifest list" in done.stderr, done
    cli.ok("manifest", "create", LAX, "--amend", target,
           "%s/%s:1" % (second.host, name))
    done = cli("manifest", "push", LAX, target)
    assert done.returncode == 1, done
    assert "cannot use source images from a different registry than the target image: " in \
        done.stderr


def test_needs_a_platform(plain, cleat_only, name):
    """An image whose config does not say for what it is, until the user does."""
    plain.put_image(name, "odd", layers(name), architecture="", os="")
    ref, target = ("%s/%s:%s" % (plain.host, name, t) for t in ("odd", "list"))
    cleat_only.ok("manifest", "create", LAX, target, ref)
    done = cleat_only("manifest", "push", LAX, target)
    assert done.returncode == 1
    assert "manifest %s must have an OS and Architecture to be pushed to a registry" % ref in \
        done.stderr
    cleat_only.ok("manifest", "annotate", "--os", "linux", "--arch", HOST, target, ref)
    digest = cleat_only.ok("manifest", "push", LAX, target)
    assert plain.manifest(name, "list")[0] == digest


def test_a_damaged_local_list(both, plain, pair, name):
    cleat, _ = both
    target = "%s/%s:list" % (plain.host, name)
    cleat.ok("manifest", "create", LAX, target, names(pair)[0])
    base = os.path.join(cleat.env["DOCKER_CONFIG"], "manifests")
    folder, = os.listdir(base)
    file, = os.listdir(os.path.join(base, folder))
    assert (folder, file) == tuple(x.replace(":", "-").replace("/", "_")
                                   for x in (target, names(pair)[0]))
    path = os.path.join(base, folder, file)
    with open(path, encoding="utf-8") as f:
        doc = json.load(f)
    for bad in ("", "{", '{"Ref": "UPPER", "Descriptor": {}}',
                json.dumps({**doc, "Ref": 7}), json.dumps({**doc, "Ref": ""})):
        with open(path, "w", encoding="utf-8") as f:
            f.write(bad)
        done = cleat("manifest", "push", target)
        assert done.returncode == 1 and done.stderr and not done.stdout, (bad, done)
    with open(path, "w", encoding="utf-8") as f:
        json.dump({**doc, "Raw": "%%%"}, f)
    done = cleat("manifest", "inspect", target, names(pair)[0])
    assert done.returncode == 1 and "is damaged" in done.stderr, done
    # what would be copied into another repository must be what the list calls it
    other = "%s/%s-other:1" % (plain.host, name)
    cleat.ok("manifest", "create", other, names(pair)[0])
    path = path.replace(folder, other.replace(":", "-").replace("/", "_"))
    with open(path, "w", encoding="utf-8") as f:
        json.dump({**doc, "Raw": "e30K"}, f)
    done = cleat("manifest", "push", other)
    assert done.returncode == 1 and "is damaged" in done.stderr, done


def test_passwords(basic, cli, logged_out, name):  # noqa: F811
    """The client's own credentials; and what is not trusted, with --insecure only."""
    del logged_out
    basic.put_image(name, "latest", layers(name))
    ref, target = ("%s/%s:%s" % (basic.host, name, t) for t in ("latest", "list"))
    done = cli("manifest", "inspect", ref)
    assert done.returncode == 1, done
    cli.ok("login", basic.host, "-u", "alice", "--password-stdin", stdin="s3cret:with:colons\n")
    cli.ok("manifest", "create", target, ref)
    os.rename(basic.trust + "/ca.crt", basic.trust + "/ca.away")
    try:
        done = cli("manifest", "push", target)
        assert done.returncode == 1 and "certificate" in done.stderr, done
        digest = cli.ok("manifest", "push", "--insecure", target)
    finally:
        os.rename(basic.trust + "/ca.away", basic.trust + "/ca.crt")
    assert basic.back.manifest(name, "list")[0] == digest


def test_without_tls(basic, cli, logged_out, name):  # noqa: F811
    """A host that is not loopback and speaks http: with --insecure only."""
    del logged_out
    basic.put_image(name, "latest", layers(name))
    ref = "%s:%d/%s" % (secure.HOST, basic.back.port, name)
    done = cli("manifest", "inspect", ref)
    assert done.returncode == 1, done
    assert json.loads(cli.ok("manifest", "inspect", LAX, ref))["schemaVersion"] == 2
    cli.ok("manifest", "create", LAX, ref + ":list", ref)
    assert cli.ok("manifest", "push", LAX, ref + ":list") == basic.back.manifest(name, "list")[0]
