"""Contexts that come from the net, and contexts that have names."""
import gzip
import io
import json
import os
import tarfile

import pytest

import builds
from cleat import until
from images import add
from remotes import needs_git

docker = pytest.importorskip("docker")


@pytest.fixture(autouse=True)
def nothing_is_left(daemon):
    yield
    tmp = os.path.join(daemon.data_root, "build", "tmp")
    until(lambda: not os.listdir(tmp), 5, lambda: os.listdir(tmp))


@pytest.fixture
def post(daemon, name):
    """post(**query) -> builds.Built-like tree of the image, or the reply when it failed"""
    class Post:
        def __init__(self):
            self.daemon, self.tag = daemon, name

        def __call__(self, body=b"", **query):
            query = {k: json.dumps(v) if isinstance(v, dict) else v for k, v in query.items()}
            self.reply = daemon.api.post("/build", body, headers={"Content-Type": "application/x-tar"},
                                         networkmode="none", t=name, timeout=30, **query)
            return self

        def ok(self):
            assert self.reply.status == 200 and b"errorDetail" not in self.reply.body, self.reply
            return self

        def failed(self, text):
            body = self.reply.body.decode()
            assert self.reply.status >= 400 or "errorDetail" in body, body
            assert text in body, body

        def tree(self):
            self.builder = self
            return builds.Built.tree(self)
    yield Post()
    daemon.api.delete("/images/" + name, force=1)


def tar_of(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for name, text in files.items():
            add(t, name, text.encode())
    return out.getvalue()


CONTEXT = tar_of({"Dockerfile": "FROM busybox\nCOPY f /f\n", "f": "of tar\n",
                  "other": "FROM busybox\nCOPY f /g\n"})


def test_tar(post, web):
    web.pages.update({"/c.tar": CONTEXT, "/c": gzip.compress(CONTEXT)})
    for path in ("/c.tar", "/c"):
        assert str(post(remote=web.url + path).ok().tree()["f"]) == "0644 0:0 of tar\n"
    assert "g" in post(remote=web.url + "/c", dockerfile="other").ok().tree()


def test_dockerfile(post, web):
    web.pages["/x/any"] = (200, {"Content-Type": "text/plain"}, b"FROM busybox\nRUN echo x > /x\n")
    assert "x" in post(remote=web.url + "/x/any", dockerfile="ignored").ok().tree()
    web.pages["/copy"] = b"FROM busybox\nCOPY f /f\n"
    post(remote=web.url + "/copy").failed("not found")


def test_refusals(post, web):
    web.pages["/empty"] = b""
    web.pages["/big"] = b"FROM busybox\n" + b"#" * (32 << 20)
    for url, error in [(web.url + "/empty", "cannot be empty"), (web.url + "/none", "status 404"),
                       (web.url + "/big", "failed to read dockerfile"),
                       ("ftp://h/x", "no http or https URL"), ("/etc", "no http or https URL"),
                       ("file:///etc/passwd", "no http or https URL"),
                       ("https://h/x.git#--upload-pack=x", "invalid ref")]:
        post(remote=url).failed(error)
        assert post.reply.status == 400, (url, post.reply)


@needs_git
def test_repository(post, repo, git):
    builds.write_tree(repo.work, {"Dockerfile": "FROM busybox\nCOPY . /c\n",
                                  "d/Dockerfile": "FROM busybox\nCOPY . /d\n",
                                  "d/.dockerignore": "l\n", "e": builds.Link("d")})
    repo.commit()
    repo.publish()
    tree = post(remote=git.url + "/r.git").ok().tree()
    assert str(tree["c/f"]) == "0644 0:0 second\n" and "c/.git" not in tree
    tree = post(remote=git.url + "/r.git", buildargs={"BUILDKIT_CONTEXT_KEEP_GIT_DIR": "1"}).tree()
    assert "c/.git/HEAD" in tree
    for sub in ("#main:d", "?subdir=d", "#:e"):
        tree = post(remote=git.url + "/r.git" + sub).ok().tree()
        assert "d/g" in tree and "d/l" not in tree
    post(remote=git.url + "/r.git#:out").failed("is no directory of it")
    post(remote=git.url + "/r.git#old").failed("failed to read dockerfile")


@needs_git
def test_dockerpy_builds_a_repository(daemon, name, repo, git):
    builds.write_tree(repo.work, {"Dockerfile": "FROM busybox\nENV A=of-git\n"})
    repo.commit()
    repo.publish()
    py = docker.DockerClient(base_url=daemon.url, version="auto", timeout=30)
    try:
        image, _ = py.images.build(path=git.url + "/r.git", tag=name, network_mode="none")
        assert "A=of-git" in image.attrs["Config"]["Env"]
        py.images.remove(name, force=True)
    finally:
        py.close()


@needs_git
def test_docker_builds_a_repository(build, repo, git):
    """The command line clones by itself, and sends what it got."""
    builds.write_tree(repo.work, {"Dockerfile": "FROM busybox\nCOPY f /f\n"})
    repo.commit()
    repo.publish()
    assert "f" in build(context=git.url + "/r.git#main").ok().tree()


# ---- named ----

def dockerfile(text):
    return tar_of({"Dockerfile": text, "f": "of main\n"})


def test_named_image(post):
    contexts = {"base": "docker-image://busybox"}
    for text in ("FROM base\nRUN echo x > /x\n", "FROM nope AS base\nFROM base\nRUN echo x > /x\n",
                 "FROM base:latest\nRUN echo x > /x\n", "FROM BASE\nRUN echo x > /x\n"):
        assert "x" in post(dockerfile(text), contexts=contexts).ok().tree()
    tree = post(dockerfile("FROM scratch\nCOPY --from=base /etc/passwd /p\n"),
                contexts=contexts).ok().tree()
    assert "root" in str(tree["p"])
    tree = post(dockerfile("FROM busybox\nRUN --mount=from=base,target=/m test -x /m/bin/busybox && "
                           "echo x > /o\n"), contexts=contexts).ok().tree()
    assert "o" in tree


def test_named_stands_for_an_image_of_a_registry(post):
    contexts = {"docker.io/library/not-here": "docker-image://busybox"}
    assert "bin" in post(dockerfile("FROM not-here\nRUN true\n"), contexts=contexts).ok().tree()


@needs_git
def test_named_repository(post, repo, git):
    contexts = {"src": git.url + "/r.git", "old": git.url + "/r.git#v1:d"}
    tree = post(dockerfile(
        "FROM busybox\nCOPY --from=src f /f\nCOPY --from=old g /g\nCOPY f /main\n"
        "RUN --mount=from=src,target=/m cat /m/f > /o\n"
        "RUN --mount=from=src,target=/m,rw echo x > /m/new\n"
        "RUN --mount=type=cache,target=/k,from=old,id=%s cat /k/g > /k2\n" % post.tag),
        contexts=contexts).ok().tree()
    assert str(tree["f"])[-7:] == str(tree["o"])[-7:] == "second\n"
    assert str(tree["g"])[-2:] == str(tree["k2"])[-2:] == "g\n"
    assert str(tree["main"])[-8:] == "of main\n"


@needs_git
def test_from_a_named_repository(post, repo, git):
    """Its files are what the stage begins with."""
    contexts = {"src": git.url + "/r.git"}
    text = "FROM src\nCOPY f /main\n"
    tree = post(dockerfile(text), contexts=contexts).ok().tree()
    assert str(tree["f"])[-7:] == "second\n" and str(tree["main"])[-8:] == "of main\n"
    assert "bin" not in tree
    again = post(dockerfile(text), contexts=contexts).ok()
    assert b"Using cache" in again.reply.body


def test_the_ignore_file_is_of_the_main_context(post, repo, git):
    body = tar_of({"Dockerfile": "FROM busybox\nCOPY --from=src . /s\n", ".dockerignore": "*\n"})
    assert "s/f" in post(body, contexts={"src": git.url + "/r.git"}).ok().tree()


@pytest.mark.parametrize("contexts,error", [
    ({"a": "/etc"}, "unsupported context source"), ({"a": "oci-layout://x"}, "unsupported"),
    ({"a": "http://127.0.0.1:1/x"}, "neither an image nor a repository"),
    ({"a": "git://127.0.0.1:1/x"}, "context a: "), ("[]", "it is no object"),
    ({"a%d" % i: "docker-image://busybox" for i in range(65)}, "more than 64 contexts"),
    ({"a": "docker-image://UPPER"}, "invalid reference")])
def test_wrong_ones(post, contexts, error):
    post(dockerfile("FROM a\nRUN true\n"), contexts=contexts).failed(error)


# ---- a Dockerfile of one's own for a context of the net ----

def test_a_dockerfile_on_stdin(daemon, git, tmp_path, name):
    b = builds.Builder(daemon, "cleat", tmp_path, name)
    text = "FROM busybox\nCOPY f d/g /x/\n"
    done = b.cli("build", "-t", name, "-f", "-", git.url + "/r.git", stdin=text.encode())
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 0, done.stderr
    tree = builds.Built(b, done).tree()
    assert tree["x/f"].data == b"second\n" and tree["x/g"].data == b"g\n"
    done = b.cli("build", "-f", "-", git.url + "/r.git", stdin=b"FROM busybox\nWHAT\n")
    assert done.returncode == 1 and b"error on line 2: unknown instruction" in done.stderr
    done = b.cli("build", "-f", "-", git.url + "/r.git", stdin=b"FROM busybox\nCOPY no /\n")
    assert done.returncode == 1 and b"Dockerfile:2" in done.stderr
    assert b".dockerfile." not in done.stderr
    done = b.cli("build", "-f", "-", git.url + "/r.git", stdin=b"")
    assert done.returncode == 1 and b"is empty" in done.stderr
    b.close()


def test_and_over_a_lone_dockerfile(daemon, web, tmp_path, name):
    web.pages["/D"] = b"FROM nowhere-at-all\n"
    b = builds.Builder(daemon, "cleat", tmp_path, name)
    done = b.cli("build", "-t", name, "-f", "-", web.url + "/D", stdin=b"FROM busybox\nRUN true\n")
    assert done.returncode == 0, done.stderr
    b.close()


# ---- who may have a repository ----

WORD = "word-91fe-of-git"


def guarded(web, header):
    """All pages of @web want this Authorization."""
    plain = web.file

    def page(path):
        _, headers = web.asked[-1]
        if headers.get("Authorization") != header:
            return 401, {"WWW-Authenticate": "Basic realm=x"}, b"no"
        return plain(path)
    web.file = page


def basic(text):
    import base64
    return "basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("secret,header", [
    ("GIT_AUTH_TOKEN", basic("x-access-token:" + WORD)),
    ("GIT_AUTH_TOKEN.%s", basic("x-access-token:" + WORD)),
    ("GIT_AUTH_HEADER", WORD), ("GIT_AUTH_HEADER.%s", WORD)])
@pytest.mark.parametrize("how", ["context", "named", "add"])
def test_secrets_let_git_in(daemon, web, repo, tmp_path, name, secret, header, how):
    guarded(web, header)
    b = builds.Builder(daemon, "cleat", tmp_path, name)
    host = web.url.split("//")[1]
    url, args = web.url + "/r.git", ["--secret", "id=%s,env=W" %
                                         (secret % host if "%" in secret else secret)]
    if how == "context":
        done = b.cli("build", "-t", name, *args, "-f", "-", url, env={"W": WORD + "\n"},
                     stdin=b"FROM busybox\nCOPY f /f\n")
        done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
        assert done.returncode == 0, done.stderr
        done = builds.Built(b, done)
    else:
        text = "FROM busybox\nCOPY --from=r f /f\n" if how == "named" \
            else "FROM busybox\nADD %s /d/\nRUN cp /d/f /f\n" % url
        args += ["--build-context", "r=" + url] if how == "named" else []
        done = b(text, None, "--no-cache", *args, env={"W": WORD}).ok()
    assert done.tree()["f"].data == b"second\n"
    assert WORD not in done.out
    from test_cli_build import holders
    assert holders([daemon.data_root], WORD.encode(), header.encode()) == []
    b.close()


@pytest.mark.parametrize("secret,word,says", [
    ("GIT_AUTH_TOKEN", "other", "fetch http://"), ("GIT_AUTH_TOKEN.example.org", WORD, "fetch http://"),
    ("GIT_AUTH_HEADER", "a\nb", "is no line of text")])
def test_secrets_that_do_not(daemon, web, repo, tmp_path, name, secret, word, says):
    guarded(web, basic("x-access-token:" + WORD))
    b = builds.Builder(daemon, "cleat", tmp_path, name)
    done = b("FROM busybox\nADD %s/r.git /d/\n" % web.url, None, "--secret", "id=%s,env=W" % secret,
             env={"W": word})
    assert done.code == 1 and says in done.out and word not in done.out, done.out
    b.close()
