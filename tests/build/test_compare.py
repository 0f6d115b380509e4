"""The same cases with Debian's dockerd (its classic builder) and, where that does not know an
instruction's form yet, with buildah: the same config and the same files. What differs on purpose is
listed with its reason, and in docs/deviations.md."""
import os
import re
import shutil
import subprocess

import pytest

import builds
import images
import peer
import test_cases

# Forms that came with BuildKit: neither dockerd 20.10 nor, some of them, buildah.
NEWER = re.compile(
    r"<<|--(mount|chmod|link|parents|exclude|unpack|network|security|checksum|start-interval)|"
    r"check=|\$\{\w+[#%/?+-]|\$\{\w+:\?|\$\{\w+:-\$\{|\bARG( \S+){2}|--from=busybox|"
    r"TARGET|BUILDKIT|SOURCE_DATE|copy --from", re.I)

# name of a case -> why the peer gives something else
DIFFERS = {
    "add_tar_zstd": "20.10 does not know zstd",
    "only_what_is_needed": "the classic builder builds every stage; BuildKit what is needed",
    "arg_hostname": "BuildKit's argument",
    "arg_epoch_wrong": "BuildKit's argument",
    "check_arg": "BuildKit's argument",
    "ignore_file_of_its_own": "only BuildKit looks for NAME.dockerignore",
    "copy_wildcard_deep": "only BuildKit knows ** in COPY",
    "copy_variants_of_root": "the classic builder refuses ..; BuildKit stays in the root",
    "copy_setuid": "the classic builder loses the bit when it sets the owner; BuildKit does not",
    "target_by_number": "20.10 knows stages by name alone",
    "platform_args": "the classic builder has no TARGETPLATFORM; BuildKit has",
}
BUILDAH_DIFFERS = {
    "shell": "buildah 1.28 does not take SHELL for CMD",
    "expose": "buildah 1.28 keeps a range of ports as it is written, which no engine takes",
    "volume": "buildah makes the directories of some volumes; dockerd and BuildKit do not",
    "escape_directive": "buildah 1.28 takes the backslash for an escape all the same",
    "copy_replaces": "buildah replaces a link in the file's place; dockerd and BuildKit follow it",
    "expand_volume_json": "as volume",
    "expand_quotes": "buildah 1.28 reads a word of quotes and escapes otherwise; dockerd as we do",
    "ignore_mount": "buildah mounts the context with what is ignored",
    "run_no_network": "this buildah runs in the test's own network",
    "ignore_file_of_its_own": "only BuildKit looks for NAME.dockerignore",
    "cache_attributes": "buildah loses the sticky bit when it sets the owner",
    "copy_wildcard_deep": "only BuildKit knows ** in COPY",
    "copy_setuid": "buildah loses the bit when it sets the owner; BuildKit does not",
    "stage_names_in_any_case": "buildah 1.28 tells stages apart by the case of their names",
    "args_of_the_platform_are_declared": "buildah 1.28 does not know TARGETSTAGE",
    "arg_targetstage": "buildah 1.28 does not know TARGETSTAGE",
    "arg_hostname": "BuildKit's argument",
    "copy_wildcard_escaped": "buildah 1.28 takes [[] for a class that matches more; dockerd as we do",
    "copy_from_keeps_the_dirs_mode": "buildah makes the directory as any; BuildKit as the source is",
}
KEYS = ("Cmd", "Entrypoint", "Env", "ExposedPorts", "Volumes", "User", "WorkingDir", "Labels",
        "StopSignal", "Healthcheck", "OnBuild", "Shell")
NOT_OF_THE_IMAGE = re.compile(r"(\.dockerenv|dev|proc|sys|run|etc/(hosts|hostname|resolv\.conf|mtab))(/|$)")
CASES = [c for c in test_cases.ALL if c.only in (None, "docker")]


def is_newer(case):
    return NEWER.search(case.dockerfile or case.files.get("sub.D", ""))


def config_of(done):
    root = {"WorkingDir": "/"}
    config = done.config
    return {k: config.get(k) or root.get(k) for k in KEYS}


def tree_of(done):
    return {p: str(m) for p, m in done.tree().items() if not NOT_OF_THE_IMAGE.match(p)}


def differences(ours, theirs):
    a, b = config_of(ours), config_of(theirs)
    out = ["%s: ours %r, theirs %r" % (k, a[k], b[k]) for k in KEYS if a[k] != b[k]]
    a, b = tree_of(ours), tree_of(theirs)
    if "etc" not in a and not any(p.startswith("etc/") for p in b):
        b.pop("etc", None)  # made for the container's own files
    return out + ["%s: ours %r, theirs %r" % (p, a.get(p), b.get(p))
                  for p in sorted(a.keys() | b.keys()) if a.get(p) != b.get(p)]


def compare(case, ours, theirs):
    """As differences that ought to be none."""
    if case.error or ours.code:
        return [] if ours.code and theirs.code else ["ours ends with %d, theirs with %d: %s" % (
            ours.code, theirs.code, theirs.out[-300:])]
    if theirs.code and is_newer(case):
        pytest.skip("the peer does not know a form in it: " + theirs.out.strip()[-100:])
    if theirs.code:
        return ["theirs ends with %d: %s" % (theirs.code, theirs.out[-500:])]
    try:
        return differences(ours, theirs)
    except AssertionError as e:  # an image that cannot even be looked at
        return [str(e)]


def judge(case, found, known):
    if case.name in known:
        assert found, "no difference any more: " + known[case.name]
        pytest.skip("on purpose: " + known[case.name])
    assert not found, "\n".join(found[:20])


def build_ours(case, build):
    return build(case.dockerfile, case.files, *case.args)


# ---- dockerd ----

@pytest.fixture(scope="module")
def dockerd(sandbox):
    with peer.dockerd("peerb") as d:
        yield d


CLASSIC = [c for c in CASES if not is_newer(c)]


@pytest.mark.parametrize("case", CLASSIC, ids=[c.name for c in CLASSIC])
def test_as_dockerd(case, build, dockerd, tmp_path, name):
    (tmp_path / "peer").mkdir()
    other = builds.Builder(dockerd, "docker", tmp_path / "peer", name)
    try:
        theirs = other(case.dockerfile, case.files, *case.args)
        judge(case, compare(case, build_ours(case, build), theirs), DIFFERS)
    finally:
        other.close()


# ---- buildah ----

class Buildah:
    """Calls like builds.Builder; what it makes is loaded into our daemon to be looked at."""

    def __init__(self, folder):
        self.folder = folder
        self.base = [shutil.which("buildah"), "--root", str(folder / "root"), "--runroot",
                     str(folder / "run"), "--storage-driver", "vfs"]
        archive = folder / "busybox.tar"
        archive.write_bytes(images.docker_archive(["busybox:latest"], [images.busybox()]))
        self.run("pull", "-q", "docker-archive:%s" % archive).check_returncode()
        archive.unlink()

    def run(self, *args):
        return subprocess.run([*self.base, *args], capture_output=True, text=True, timeout=50,
                              stdin=subprocess.DEVNULL)

    def build(self, context, tag, *args):
        done = self.run("build", "--isolation", "chroot", "--network", "host", "--pull-never",
                        "--format", "docker", "--identity-label=false", "-t", tag, *args, context)
        if done.returncode == 0:
            path = self.folder / "image.tar"
            pushed = self.run("push", "-q", tag, "docker-archive:%s:%s" % (path, tag))
            assert pushed.returncode == 0, pushed.stderr
            self.run("rmi", "-f", tag)
            return done, path
        return done, None


@pytest.fixture(scope="module")
def buildah(sandbox, tmp_path_factory):
    if os.environ.get("CLEAT_SANITIZED"):
        pytest.skip("runs once, without sanitizers")
    if not shutil.which("buildah"):
        pytest.skip("no buildah")
    try:
        return Buildah(tmp_path_factory.mktemp("buildah"))
    except subprocess.CalledProcessError as e:
        pytest.skip("buildah does not work here: %s" % e.stderr[-300:])


@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
def test_as_buildah(case, build, buildah, name):
    ours = build_ours(case, build)
    args = [str(a).replace("{context}", build.context) for a in case.args]
    done, path = buildah.build(build.context, name + "-theirs", *args)
    theirs = builds.Built.__new__(builds.Built)
    theirs.code, theirs.out = done.returncode, done.stdout + done.stderr
    theirs.builder = type("Theirs", (), {"daemon": build.daemon, "cli": build.cli,
                                         "tag": "localhost/" + name + "-theirs"})
    if case.error and path:
        path.unlink()
        pytest.skip("buildah takes what BuildKit refuses")
    try:
        if path:
            archive = path.read_bytes()
            path.unlink()
            reply = build.daemon.api.post("/images/load", archive,
                                          headers={"Content-Type": "application/x-tar"})
            assert b"Loaded image" in reply.body, reply
        judge(case, compare(case, ours, theirs), BUILDAH_DIFFERS)
    finally:
        build.daemon.api.delete("/images/" + theirs.builder.tag, force=1)
