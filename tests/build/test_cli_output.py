"""cleat build --output, --push, --load: where the result goes; and what is removed afterwards."""
import io
import json
import os
import stat
import tarfile

import pytest

import builds
import registry

SMALL = "FROM scratch\nCOPY . /\n"
FILES = {"a": "A", "d/b": builds.Mode("B", 0o755), "l": builds.Link("a"),
         ".dockerignore": "Dockerfile\n.dockerignore\n"}


@pytest.fixture
def build(daemon, tmp_path, name):
    made = builds.Builder(daemon, "cleat", tmp_path, name)
    builds.write_tree(made.context, {**FILES, "Dockerfile": SMALL})
    yield made
    made.close()


@pytest.fixture
def run(build):
    def run(*args, **kw):
        return build.cli("build", "--network=none", *args, build.context, **kw)
    return run


def images(build):
    return {i["Id"]: i["RepoTags"] for i in build.daemon.api.get("/images/json", all=1).json}


def names_in(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as t:
        return {m.name.rstrip("/"): m for m in t}


@pytest.mark.parametrize("form", ["%s", "type=local,dest=%s"])
def test_files_into_a_directory(build, run, tmp_path, form):
    dest = str(tmp_path / "out/deep")
    os.makedirs(dest + "/d")
    with open(dest + "/d/mine", "w") as f:
        f.write("stays")
    before = images(build)
    done = run("-t", build.tag, "-o", form % dest)
    assert done.returncode == 0, done.stderr
    with open(dest + "/a") as f:
        assert f.read() == "A"
    assert stat.S_IMODE(os.stat(dest + "/d/b").st_mode) == 0o755
    assert os.readlink(dest + "/l") == "a" and os.path.exists(dest + "/d/mine")
    assert not os.path.exists(dest + "/Dockerfile")
    assert images(build) == before and not build.daemon.api.get("/containers/json", all=1).json


def test_files_do_not_leave_the_directory(build, run, tmp_path):
    os.symlink("/etc", os.path.join(build.context, "e"))
    builds.write_tree(build.context, {"Dockerfile": "FROM scratch\nCOPY . /\nCOPY a /e/evil\n",
                                      "etc/f": "x"})
    assert run("-o", str(tmp_path / "out")).returncode == 0
    assert not os.path.exists("/etc/evil")
    assert os.path.exists(str(tmp_path / "out/etc/evil"))


@pytest.mark.parametrize("form", ["type=tar,dest=%s", "type=tar,dest=-", "-", "type=tar"])
def test_files_as_a_tar(build, run, tmp_path, form):
    before = images(build)
    to_file = "%s" in form
    path = str(tmp_path / "out.tar")
    done = run("-o", form % path if to_file else form, stdin=b"")
    assert done.returncode == 0, done.stderr
    with open(path if to_file else os.devnull, "rb") as f:
        data = f.read() if to_file else done.stdout
    assert {"a", "d", "d/b", "l"} <= set(names_in(data))
    assert images(build) == before


@pytest.mark.parametrize("kind", ["oci", "docker"])
@pytest.mark.parametrize("named", [False, True])
def test_archives(build, run, tmp_path, kind, named):
    path = str(tmp_path / "out.tar")
    before = images(build)
    done = run(*(["-t", build.tag] if named else []), "-o", "type=%s,dest=%s" % (kind, path))
    assert done.returncode == 0, done.stderr
    with open(path, "rb") as f:
        data = f.read()
    assert {"oci-layout", "index.json", "manifest.json"} <= set(names_in(data))
    with tarfile.open(fileobj=io.BytesIO(data)) as t:
        tags = json.load(t.extractfile("manifest.json"))[0]["RepoTags"]
    assert bool(tags) == named
    assert (images(build) == before) != named
    build.close()
    assert build.daemon.api.post("/images/load", data,
                                 headers={"Content-Type": "application/x-tar"}).status == 200
    if not named:
        for i in set(images(build)) - set(before):
            build.daemon.api.delete("/images/" + i)


def test_an_image_that_has_a_name_stays(build, run, tmp_path):
    assert run("-t", build.tag).returncode == 0
    assert run("-o", str(tmp_path / "out")).returncode == 0
    assert build.cli("image", "inspect", build.tag).returncode == 0


@pytest.mark.parametrize("args", [["--load"], ["-o", "type=docker"], ["-o", "type=image"]])
def test_the_daemons_image(build, run, args):
    assert run("-t", build.tag, *args).returncode == 0
    assert build.cli("image", "inspect", build.tag).returncode == 0


def test_names_of_an_output(build, run):
    assert run("-o", 'type=image,"name=%s:x,%s:y"' % (build.tag, build.tag)).returncode == 0
    for tag in ("x", "y"):
        assert build.cli("rmi", "%s:%s" % (build.tag, tag)).returncode == 0


@pytest.mark.parametrize("args", [["--push"], ["-o", "type=registry"], ["-o", "type=image,push=true"]])
def test_push(build, run, tmp_path, args):
    registry.need("docker-registry")
    (tmp_path / "reg").mkdir()
    reg = registry.Registry(build.daemon, str(tmp_path / "reg"))
    ref = "%s/%s:v1" % (reg.host, build.tag)
    try:
        done = run("-t", ref, *args)
        assert done.returncode == 0, done.stderr
        assert reg.call("GET", "/v2/%s/manifests/v1" % build.tag)[0] == 200
    finally:
        build.daemon.api.delete("/images/" + ref, force=1)
        reg.close()


@pytest.mark.parametrize("args,says", [
    (["--push"], "tag is needed"), (["-o", "type=odd"], 'unknown type "odd"'),
    (["-o", "type=local"], "dest is required"), (["-o", "type=image,push=perhaps"], "non-bool"),
    (["-o", "type=oci,dest=x,odd=zstd"], '"odd" of an output is not built yet'),
    (["-o", "type=image,dest=x"], "takes no dest"), (["-o", "type=tar,what"], "invalid value what"),
])
def test_outputs_that_cannot_be(build, run, args, says):
    done = run(*args)
    assert done.returncode == 1 and says in done.stderr, done


def test_a_dest_that_cannot_be_written(build, run, tmp_path):
    done = run("-o", "type=tar,dest=/no/such/dir/x.tar")
    assert done.returncode == 1 and "/no/such/dir" in done.stderr
    (tmp_path / "file").write_text("")
    done = run("-o", str(tmp_path / "file"))
    assert done.returncode == 1
    assert not build.daemon.api.get("/containers/json", all=1).json, "its container is gone"


# ---- what builds keep ----

def test_prune(build, run):
    cli = build.cli
    cli.ok("builder", "prune", "-af")  # what other tests left
    builds.write_tree(build.context, {"Dockerfile": "FROM busybox\nRUN head -c 2000000 /dev/zero > /z\n"})
    assert run("--no-cache", "-t", build.tag).returncode == 0
    build.close()
    assert "Build Cache" in cli.ok("system", "df")
    assert "CACHE ID" in cli.ok("system", "df", "-v")
    out = cli("builder", "prune", stdin="n\n")
    assert out.returncode == 1 and "builder prune has been cancelled" in out.stderr
    assert "will remove all dangling build cache" in out.stdout
    out = cli.ok("builder", "prune", "-f", "--keep-storage", "10g")
    assert "Total reclaimed space: 0B" in out
    for stays in (["--reserved-space", "10g", "--max-used-space", "1"], ["--min-free-space", "1"],
                  ["--max-used-space", "10g", "--min-free-space", "1"],
                  ["--reserved-space", "10g", "--min-free-space", "100000t"]):
        assert "space: 0B" in cli.ok("builder", "prune", "-af", *stays), stays
    out = cli.ok("buildx", "prune", "--all", "--force", "--min-free-space", "100000t")
    assert "Deleted build cache objects:" in out and "space: 2" in out
    assert cli.ok("builder", "prune", "-af") == "Total reclaimed space: 0B"
    done = cli("builder", "prune", "-f", "--filter", "odd=x")
    assert done.returncode == 1 and "odd" in done.stderr


def test_system_prune_takes_the_build_cache_along(build, run):
    build.cli.ok("builder", "prune", "-af")
    assert run("--no-cache", "-t", build.tag).returncode == 0
    build.close()
    out = build.cli.ok("system", "prune", "-f", "--filter", "label=x")
    assert "build cache" not in out
    assert "Deleted build cache objects:" in build.cli.ok("system", "prune", "-f")
