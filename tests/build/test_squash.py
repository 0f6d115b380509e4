"""--squash: one layer upon the base image's, with the same files."""
import os
import shutil
import subprocess

import pytest

TEXT = """FROM busybox AS base
RUN mkdir -p /b/gone /b/stay /b/again/deep && echo 1 > /b/gone/f && echo 1 > /b/stay/f && \
    echo 1 > /b/file && echo 1 > /b/again/deep/old && echo 1 > /b/todir
FROM base
RUN rm -r /b/gone /b/again && mkdir -p /b/again/deep && echo 2 > /b/again/deep/new
RUN echo 2 > /b/file && echo tmp > /tmpfile && mkdir /mine && echo 1 > /mine/a && \
    ln /mine/a /mine/hard && ln -s a /mine/soft && chmod 4755 /mine/a && chown 12:34 /mine
RUN rm /tmpfile /b/todir && mkdir /b/todir && echo 3 > /b/todir/x && touch /b/stay/more && \
    rm -r /mine/soft && mkdir /mine/soft && mkfifo /fifo
COPY f /mine/
CMD ["a"]
"""


def squash(build, *args, text=TEXT):
    return build(text, {"f": "F"}, "--squash", *args)


def entries(done):
    return {n: (str(m), m.info.type, m.info.linkname, m.info.uid, m.info.gid, m.info.mode)
            for n, m in done.tree().items()}


@pytest.mark.parametrize("build", ["cleat"], indirect=True)
def test_the_same_files_in_one_layer(build):
    plain = build(TEXT, {"f": "F"}).ok()
    want, many, history = entries(plain), plain.layers, plain.history()
    done = squash(build).ok()
    got = entries(done)
    assert {k: v for k, v in got.items() if want.get(k) != v} == {}
    assert set(got) == set(want)
    base = build.daemon.api.get("/images/busybox/json").json["RootFS"]["Layers"]
    assert len(many) == len(base) + 5 and len(done.layers) == len(base) + 1
    assert done.layers[:len(base)] == base and done.config["Cmd"] == ["a"]
    after = done.history()
    assert len(after) == len(history) + 1
    assert after[0]["Comment"].startswith("merge sha256:") and after[0]["Size"] > 0
    assert all(h["Size"] == 0 for h in after[1:7])
    assert "squashing layers" in done.out
    assert done.run("ls", "/b/again/deep", "/b") == plain.run("ls", "/b/again/deep", "/b")


@pytest.mark.parametrize("build", ["cleat"], indirect=True)
def test_known_the_second_time(build):
    first = squash(build).ok()
    first_id, layers = first.id, first.layers
    again = squash(build).ok()
    assert again.id == first_id and again.layers == layers
    assert squash(build, "--no-cache").ok().layers != [] and "CACHED" in again.out


@pytest.mark.parametrize("build", ["cleat"], indirect=True)
@pytest.mark.parametrize("text,layers,comment", [
    ("FROM scratch\nCOPY f /a\nCOPY f /b\n", 1, "create new from sha256:"),
    ("FROM busybox\nCMD x\n", None, None),
    ("FROM busybox\nRUN echo 1 > /x\nRUN rm /x\n", None, "merge sha256:"),
])
def test_little_to_squash(build, text, layers, comment):
    done = squash(build, text=text).ok()
    base = build.daemon.api.get("/images/busybox/json").json["RootFS"]["Layers"]
    if layers:
        assert len(done.layers) == layers
    else:
        assert len(done.layers) <= len(base) + 1 and "x" not in done.tree()
    if comment:
        assert done.history()[0]["Comment"].startswith(comment)


def test_by_the_api(api, name):
    """As the classic builder's clients ask for it."""
    from test_cli_build import tar_of
    body = tar_of({"Dockerfile": "FROM busybox\nRUN echo %s > /1\nRUN echo 2 > /2\n" % name})
    reply = api.post("/build", body, squash=1, t=name, networkmode="none")
    assert reply.status == 200 and b"Successfully built" in reply.body
    layers = api.get("/images/%s/json" % name).json["RootFS"]["Layers"]
    assert len(layers) == len(api.get("/images/busybox/json").json["RootFS"]["Layers"]) + 1
    api.delete("/images/" + name)


@pytest.mark.parametrize("build", ["cleat"], indirect=True)
def test_with_a_cache_outside(build, tmp_path):
    """The cache has the layers as they were made."""
    path = str(tmp_path / "c")
    squash(build, "--no-cache", "--cache-to", "type=local,dest=%s,mode=max" % path).ok()
    build.daemon.api.ok("POST", "/build/prune", all=1)
    build.close()
    done = squash(build, "--cache-from", "type=local,src=" + path).ok()
    assert done.out.count("CACHED") >= 6


@pytest.mark.parametrize("args,layers", [(("--experimental",), 1), ((), None)])
def test_dockers_client_asks_first(own_daemon, tmp_path, args, layers):
    """... whether the daemon is experimental: it has --squash only then."""
    if not shutil.which("docker"):
        pytest.skip("docker is not installed")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a /a\nCOPY a /b\n")
    (tmp_path / "a").write_text("a\n")
    d = own_daemon(args=args)
    d.start()
    done = subprocess.run(["docker", "-H", "unix://" + d.socket, "build", "--squash", "-t", "squashed",
                           str(tmp_path)], capture_output=True, text=True,
                          env={**os.environ, "DOCKER_BUILDKIT": "0"})
    if layers is None:
        assert done.returncode and "experimental features enabled" in done.stderr, done
        return
    assert done.returncode == 0, done
    assert len(d.api.ok("GET", "/images/squashed/json")["RootFS"]["Layers"]) == layers
