"""Other programs' images here, and ours there: what docker, podman, buildah and skopeo make is pulled
and run, and what went through this engine has the same digest for all of them."""
import json
import os
import subprocess

import pytest

import cleat
import clients
import images
import registry
from cleat import until
from registry import sha
from test_pull import FORMATS, PLATFORMS, layers, pull, put_index
from test_push import pushed, second  # noqa: F401

ARCH = images.config([])["architecture"]


class Program:
    """A program that is run to its end, with directories of its own."""

    def __init__(self, *command, env=None):
        self.command, self.env = command, {**os.environ, **(env or {})}

    def __call__(self, *args, **kw):
        return subprocess.run([*self.command, *map(str, args)], capture_output=True, text=True,
                              timeout=50, stdin=subprocess.DEVNULL, env=self.env, **kw)

    def ok(self, *args, **kw):
        done = self(*args, **kw)
        assert done.returncode == 0, (args, done)
        return done.stdout.strip()


@pytest.fixture(scope="session")
def skopeo(tmp_path_factory):
    registry.need("skopeo")
    return Program("skopeo", "--insecure-policy", "--tmpdir", tmp_path_factory.mktemp("skopeo"))


def containers_program(name, path):
    """podman and buildah, on overlay, or vfs where that is refused; what they lack is a reason to
    skip."""
    registry.need(name)
    conf = path / "registries.conf"
    conf.write_text('unqualified-search-registries = []\n')
    policy = path / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    env = {"CONTAINERS_REGISTRIES_CONF": str(conf), "TMPDIR": str(path), "HOME": str(path)}
    why = ""
    for driver in ("overlay", "vfs"):
        root = path / driver
        program = Program(name, "--root", root / "root", "--runroot", root / "run",
                          "--storage-driver", driver, env=env)
        done = program("images")
        if done.returncode == 0:
            program.policy = ["--signature-policy", policy]
            return program
        why = done.stderr
    pytest.skip("%s cannot run here: %s" % (name, why.strip()[-200:]))


@pytest.fixture(scope="session")
def podman(tmp_path_factory):
    return containers_program("podman", tmp_path_factory.mktemp("podman"))


@pytest.fixture(scope="session")
def buildah(tmp_path_factory):
    return containers_program("buildah", tmp_path_factory.mktemp("buildah"))


@pytest.fixture(scope="module")
def dockerd(daemon, tmp_path_factory):
    """The docker command line with Debian's dockerd behind it."""
    if not os.path.exists("/usr/sbin/dockerd") or not clients.DOCKER:
        pytest.skip("no dockerd, or no docker program")
    path = tmp_path_factory.mktemp("dockerd")
    sock, log = "unix://%s" % (path / "docker.sock"), path / "log"
    before = cleat.namespace_mates()
    with open(log, "wb") as f:
        process = subprocess.Popen(
            ["/usr/sbin/dockerd", "--data-root", path / "data", "--exec-root", path / "exec",
             "-p", path / "pid", "-H", sock, "--iptables=false", "--bridge=none"],
            stdin=subprocess.DEVNULL, stdout=f, stderr=f)
    docker = Program(clients.DOCKER, "-H", sock, env={"DOCKER_CONFIG": str(path)})
    try:
        until(lambda: process.poll() is not None or docker("version").returncode == 0, 30)
        if process.poll() is not None:
            pytest.skip("dockerd cannot start here: " + log.read_text()[-300:])
        daemon.others |= cleat.namespace_mates() - before
        yield docker
    finally:
        process.terminate()
        process.wait(30)


# ---- ours there ----

def digest_of(skopeo, ref):
    """Of the manifest, as its bytes come."""
    raw = subprocess.run([*skopeo.command, "inspect", "--raw", "--tls-verify=false",
                          "docker://" + ref], capture_output=True, check=True, timeout=50).stdout
    return sha(raw)


def by_skopeo(request, ref, tmp_path):
    skopeo = request.getfixturevalue("skopeo")
    assert digest_of(skopeo, ref) == ref.split("@")[1]
    skopeo.ok("copy", "--src-tls-verify=false", "docker://" + ref, "dir:%s" % (tmp_path / "dir"))
    doc = json.loads((tmp_path / "dir" / "manifest.json").read_text())
    return doc["config"]["digest"]


def by_podman(request, ref, tmp_path):
    del tmp_path
    podman = request.getfixturevalue("podman")
    podman.ok("pull", "-q", "--tls-verify=false", *podman.policy, ref)
    shown = json.loads(podman.ok("image", "inspect", ref))[0]
    podman.ok("rmi", "-f", ref)
    assert shown["Digest"] == ref.split("@")[1]
    return "sha256:" + shown["Id"]


def by_docker(docker, ref):
    docker.ok("pull", "-q", ref)
    shown = json.loads(docker.ok("image", "inspect", ref))[0]
    docker.ok("rmi", "-f", ref)
    assert shown["RepoDigests"] == [ref]
    return shown["Id"]


def by_dockerd(request, ref, tmp_path):
    del tmp_path
    return by_docker(request.getfixturevalue("dockerd"), ref)


def by_docker_client(request, ref, tmp_path):
    """The real client, and this engine."""
    del tmp_path
    daemon = request.getfixturevalue("daemon")
    return by_docker(clients.cli_or_skip("docker", daemon), ref)


def by_docker_py(request, ref, tmp_path):
    del tmp_path
    client = request.getfixturevalue("docker_py")
    image = client.images.pull(ref)
    assert image.attrs["RepoDigests"] == [ref]
    client.images.remove(image.id, force=True)
    return image.id


@pytest.mark.parametrize("compress,oci", FORMATS)
@pytest.mark.parametrize("who", [by_skopeo, by_podman, by_dockerd, by_docker_client, by_docker_py])
def test_one_digest_for_all(request, daemon, plain, second, cleat_only, name, tmp_path, who,
                            compress, oci):
    """Pulled, pushed to a second registry, and pulled from there by digest."""
    cli = cleat_only
    parts = layers(name)
    digest, image = plain.put_image(name, "v1", parts, compress, oci)
    pull(daemon.api, "%s/%s" % (plain.host, name), "v1")
    there = "%s/%s" % (second.host, name)
    cli.ok("tag", "%s/%s:v1" % (plain.host, name), there + ":v1")
    assert pushed(cli, there + ":v1") == digest
    cli.ok("rmi", "-f", image)
    if who is by_dockerd and compress == "zstd":
        pytest.skip("Debian's dockerd reads no zstd")
    assert who(request, "%s@%s" % (there, digest), tmp_path) == image


def test_of_many_platforms(daemon, plain, second, skopeo, cleat_only, name):
    """The image of a list is pushed by itself, and has the digest that it has in the list."""
    digest, _ = put_index(plain, name, PLATFORMS)
    _, index = plain.manifest(name, digest)
    pull(daemon.api, "%s/%s" % (plain.host, name))
    there = "%s/%s:one" % (second.host, name)
    cleat_only.ok("tag", "%s/%s" % (plain.host, name), there)
    own = [d["digest"] for d in index["manifests"] if d["platform"]["architecture"] == ARCH]
    assert pushed(cleat_only, there) in own
    assert digest_of(skopeo, there) in own


# ---- theirs here ----

def check_runs(cli, ref, name):
    cli.ok("pull", ref)
    assert cli.ok("run", "--rm", ref, "cat", "/own/" + name) == name
    cli.ok("rmi", ref)


@pytest.fixture
def archive(name, tmp_path):
    """A docker-archive of busybox and a file."""
    path = tmp_path / "image.tar"
    path.write_bytes(images.docker_archive([name + ":1"], layers(name)))
    return path


@pytest.mark.parametrize("how", [["--format", "oci"], ["--format", "v2s2"],
                                 ["--format", "oci", "--compression-format", "zstd"]])
def test_images_of_podman(plain, podman, cleat_only, name, archive, how):
    ref = "%s/%s:podman" % (plain.host, name)
    podman.ok("load", "-q", *podman.policy, "-i", archive)
    podman.ok("push", "-q", "--tls-verify=false", *podman.policy, *how, "localhost/%s:1" % name,
              "docker://" + ref)
    podman.ok("rmi", "-f", "localhost/%s:1" % name)
    _, doc = plain.manifest(name, "podman")
    assert ("zstd" in doc["layers"][-1]["mediaType"]) == ("zstd" in how)
    check_runs(cleat_only, ref, name)


@pytest.mark.parametrize("fmt", ["oci", "docker"])
def test_images_of_buildah(plain, buildah, cleat_only, name, tmp_path, fmt):
    ref = "%s/%s:%s" % (plain.host, name, fmt)
    (tmp_path / name).write_text(name)
    box = buildah.ok("from", "scratch")
    buildah.ok("add", box, images.BUSYBOX, "/bin/busybox")
    buildah.ok("add", box, tmp_path / name, "/own/" + name)
    buildah.ok("config", "--env", "PATH=/bin", "--label", "made=here", box)
    buildah.ok("commit", "-q", "--tls-verify=false", *buildah.policy, "--format", fmt, "--rm", box,
               "docker://" + ref)
    cleat_only.ok("pull", ref)
    assert cleat_only.ok("run", "--rm", ref, "busybox", "cat", "/own/" + name) == name
    assert cleat_only.ok("inspect", "-f", "{{.Config.Labels.made}}", ref) == "here"


def test_images_of_docker(plain, dockerd, cleat_only, name, archive):
    ref = "%s/%s:docker" % (plain.host, name)
    dockerd.ok("load", "-q", "-i", archive)
    dockerd.ok("tag", name + ":1", ref)
    dockerd.ok("push", "-q", ref)
    check_runs(cleat_only, ref, name)


@pytest.mark.parametrize("fmt", ["oci", "v2s2"])
@pytest.mark.parametrize("compress", ["gzip", "zstd"])
def test_images_that_skopeo_converts(plain, second, skopeo, cleat_only, name, fmt, compress):
    """From docker's format to OCI's and back, compressed anew."""
    if fmt == "v2s2" and compress == "zstd":
        pytest.skip("docker's format has no zstd")
    source = "%s/%s:from" % (plain.host, name)
    plain.put_image(name, "from", layers(name), oci=fmt != "oci")
    ref = "%s/%s:%s" % (second.host, name, fmt)
    skopeo.ok("copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--format", fmt,
              "--dest-compress-format", compress, "--dest-compress", "docker://" + source,
              "docker://" + ref)
    check_runs(cleat_only, ref, name)


def test_a_list_that_skopeo_copied(plain, second, skopeo, cleat_only, name):
    digest, ids = put_index(plain, name, PLATFORMS, oci=False)
    ref = "%s/%s:all" % (second.host, name)
    skopeo.ok("copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false",
              "docker://%s/%s@%s" % (plain.host, name, digest), "docker://" + ref)
    assert digest_of(skopeo, ref) == digest
    for platform, image in ids.items():
        if platform.startswith("unknown"):
            continue
        cleat_only.ok("pull", "--platform", platform, ref)
        assert cleat_only.ok("inspect", "-f", "{{.Id}}", ref) == image
