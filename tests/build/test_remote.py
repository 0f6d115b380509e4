"""ADD of what lies on the net: files by URL, and Git repositories."""
import gzip
import hashlib
import os
import socket

import pytest

import builds
import cleat
import remotes
from cleat import until
from images import layer
from remotes import needs_git

TAR = layer(("t/a", b"in a tar\n", {"mode": 0o640, "uid": 7, "gid": 8}))


@pytest.fixture(autouse=True)
def nothing_is_left(daemon):
    yield
    tmp = os.path.join(daemon.data_root, "build", "tmp")
    until(lambda: not os.listdir(tmp), 5, lambda: os.listdir(tmp))


def failed(done, text):
    assert done.code != 0 and text in done.out, done.out


# ---- files ----

def test_file(build, web):
    web.pages["/a/f%20g.txt?q=1"] = (200, {"Last-Modified": "Tue, 14 Nov 2023 22:13:20 GMT"}, b"x\n")
    tree = build("FROM busybox\nADD %s/a/f%%20g.txt?q=1 /d/\nADD %s/a/f%%20g.txt?q=1 /e\n"
                 "ADD --chown=web:staff --chmod=755 %s/a/f%%20g.txt?q=1 /o\n" % ((web.url,) * 3)
                 ).ok().tree()
    assert str(tree["d/f g.txt"]) == str(tree["e"]) == "0600 0:0 x\n"
    assert tree["e"].info.mtime == 1700000000
    assert str(tree["o"]) == "0755 1000:50 x\n"


def test_without_a_time_it_is_1970(build, web):
    web.pages["/f"] = b"x"
    assert build("FROM busybox\nADD %s/f /f\n" % web.url).ok().tree()["f"].info.mtime == 0


@pytest.mark.parametrize("told,want", [
    ('attachment; filename="n.txt"', "n.txt"), ("attachment; filename=n", "n"),
    ('attachment; filename="../../n"', "f"), ('attachment; filename=".."', "f"),
    ('attachment; filename=""', "f"), ("inline", "f")])
def test_name_that_the_server_tells(build, web, told, want):
    web.pages["/f"] = (200, {"Content-Disposition": told}, b"x")
    assert "d/" + want in build("FROM busybox\nADD %s/f /d/\n" % web.url).ok().tree()


def test_name_of_no_path(build, web):
    web.pages["/"] = b"x"
    assert "d/download" in build("FROM busybox\nADD %s/ /d/\n" % web.url).ok().tree()


def test_archives_only_when_told(build, web):
    web.pages["/a.tgz"] = gzip.compress(TAR)
    tree = build("FROM busybox\nADD %s/a.tgz /p/\nADD --unpack=true %s/a.tgz /u/\n"
                 % (web.url, web.url)).ok().tree()
    assert "p/a.tgz" in tree and str(tree["u/t/a"]) == "0640 7:8 in a tar\n"


def test_checksum(build, web):
    web.pages["/f"] = b"content"
    good = "sha256:" + hashlib.sha256(b"content").hexdigest()
    line = "FROM busybox\nARG S=%s\nADD --checksum=$S %s/f /f\n"
    build(line % (good, web.url)).ok()
    n = len(web.asked)
    build(line % (good, web.url), None, "--label", "a=b").ok()
    assert len(web.asked) == n, "what is known by its digest was fetched again"
    failed(build(line % ("sha256:" + "0" * 64, web.url)), "digest mismatch")
    failed(build(line % ("md5:1", web.url)), "invalid checksum")
    failed(build("FROM busybox\nADD --checksum=%s f /f\n" % good, {"f": "x"}),
           "checksum can't be specified for non-HTTP(S) sources")


def test_cache_is_by_content(build, web):
    web.pages["/f"] = b"1"
    text = "FROM busybox\nADD %s/f /f\nRUN cat /proc/sys/kernel/random/uuid > /u\n" % web.url
    first = build(text).ok().layers
    assert build(text).ok().layers == first
    web.pages["/f"] = b"2"
    assert build(text).ok().layers[:-2] == first[:-2] and build(text).ok().layers != first


def test_several(build, web):
    web.pages.update({"/a": b"a", "/b": b"b"})
    tree = build("FROM busybox\nADD %s/a f %s/b /d/\n" % (web.url, web.url), {"f": "f"}).ok().tree()
    assert [str(tree["d/" + n])[-1] for n in "afb"] == ["a", "f", "b"]
    failed(build("FROM busybox\nADD %s/a %s/b /x\n" % (web.url, web.url)), "more than one source")


def test_redirects(build, web):
    web.pages.update({"/a": (302, {"Location": "/b"}, b""), "/b": b"there",
                      "/loop": (302, {"Location": "/loop"}, b""),
                      "/out": (302, {"Location": "file:///etc/passwd"}, b"")})
    tree = build("FROM busybox\nADD %s/a /d/\n" % web.url).ok().tree()
    assert str(tree["d/a"]) == "0600 0:0 there"
    failed(build("FROM busybox\nADD %s/loop /d\n" % web.url), "stopped after 10 redirects")
    failed(build("FROM busybox\nADD %s/out /d\n" % web.url), "no http or https URL")


def test_password_goes_to_its_server_alone(build, web):
    other = remotes.Web()
    try:
        other.pages["/b"] = b"x"
        web.pages["/a"] = (302, {"Location": other.url + "/b"}, b"")
        done = build("FROM busybox\nADD %s/a /d\n" % web.url.replace("//", "//me:secret@")).ok()
        assert web.asked[0][1]["Authorization"] == "Basic bWU6c2VjcmV0"
        assert "Authorization" not in other.asked[0][1]
        assert done.code == 0
    finally:
        other.close()


def test_refusals(build, web):
    web.pages.update({
        "/500": (500, {}, b"x"), "/huge": (200, {"Content-Length": str(1 << 40)}, b""),
        "/cut": (200, {"Content-Length": "100", "Connection": "close"}, b"x")})
    for path, error in [("500", "status 500"), ("404", "status 404"), ("huge", "larger than"),
                        ("cut", "")]:
        failed(build("FROM busybox\nADD %s/%s /d\n" % (web.url, path)), error)
    failed(build('FROM busybox\nADD ["%s/a\\nb", "/d"]\n' % web.url), "invalid character in URL")
    failed(build("FROM busybox\nADD http://127.0.0.1:1/x /d\n"), "127.0.0.1:1/x")
    failed(build("FROM busybox\nCOPY %s/500 /d\n" % web.url), "not found")


def test_client_that_leaves_ends_a_download(daemon, web):
    asked, leave = [], []

    def hang(handler):
        asked.append(1)
        handler.connection.settimeout(20)
        leave.append(handler.connection.recv(1))  # until the other end hangs up
    web.pages["/slow"] = hang
    import io
    import tarfile
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        m = tarfile.TarInfo("Dockerfile")
        text = ("FROM busybox\nADD %s/slow /x\n" % web.url).encode()
        m.size = len(text)
        t.addfile(m, io.BytesIO(text))
    body = out.getvalue()
    s = socket.socket(socket.AF_UNIX)
    s.connect(daemon.socket)
    s.sendall(b"POST /v1.41/build HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\n"
              b"Content-Length: %d\r\n\r\n" % len(body) + body)
    until(lambda: asked, 10)
    s.close()
    until(lambda: leave == [b""], 10)


# ---- repositories ----

@needs_git
def test_repository(build, repo, git):
    tree = build("FROM busybox\nADD %s/r.git /r\n" % git.url).ok().tree()
    assert str(tree["r/f"]) == "0644 0:0 second\n" and str(tree["r/x.sh"]) == "0755 0:0 #!"
    assert str(tree["r/d/l"]) == "link:../f" and "r/.git" not in tree


@needs_git
@pytest.mark.parametrize("what,want", [
    ("#v1", "first"), ("#old", "first"), ("#main", "second"), ("#refs/heads/old", "first"),
    ("?tag=v1", "first"), ("?branch=old", "first"), ("?ref=old", "first"),
    ("#{first}", "first"), ("#{first:.10}", "first"), ("?commit={second:.7}", "second"),
    ("?tag=v1&commit={first}", "first")])
def test_what_of_a_repository(build, repo, git, what, want):
    url = git.url + "/r.git" + what.format(first=repo.first, second=repo.second)
    tree = build("FROM busybox\nADD %s /r\n" % url).ok().tree()
    assert str(tree["r/f"]) == "0644 0:0 %s\n" % want


@needs_git
def test_repository_by_http(build, repo, web):
    """A server that knows files only: everything is fetched."""
    for what, want in (("", "second"), ("#v1", "first"), ("#" + repo.first, "first")):
        tree = build("FROM busybox\nADD %s/r.git%s /r\n" % (web.url, what)).ok().tree()
        assert str(tree["r/f"]) == "0644 0:0 %s\n" % want


@needs_git
def test_directory_of_a_repository(build, repo, git):
    for what in ("#main:d", "?subdir=d", "#:/d/../d"):
        tree = build("FROM busybox\nADD %s/r.git%s /r\n" % (git.url, what)).ok().tree()
        assert str(tree["r/g"]) == "0644 0:0 g\n" and "r/f" not in tree
    for what in ("#:out", "#:f", "#:nope"):
        failed(build("FROM busybox\nADD %s/r.git%s /r\n" % (git.url, what)), "is no directory of it")
    tree = build("FROM busybox\nADD %s/r.git#:../.. /r\n" % git.url).ok().tree()
    assert "r/f" in tree


@needs_git
def test_git_dir_is_kept_when_told(build, repo, git):
    for line in ("ADD --keep-git-dir=true %s/r.git /r", "ADD %s/r.git?keep-git-dir=1 /r"):
        tree = build("FROM busybox\n" + line % git.url + "\n").ok().tree()
        assert "r/.git/HEAD" in tree


@needs_git
def test_commit_that_is_expected(build, repo, git):
    build("FROM busybox\nADD --checksum=%s %s/r.git /r\n" % (repo.second, git.url)).ok()
    failed(build("FROM busybox\nADD --checksum=%s %s/r.git /r\n" % (repo.first, git.url)),
           "expected checksum to match " + repo.first)
    failed(build("FROM busybox\nADD %s/r.git?commit=%s /r\n" % (git.url, repo.first)),
           "expected checksum to match")
    failed(build("FROM busybox\nADD --checksum=nope %s/r.git /r\n" % git.url), "invalid checksum")


@needs_git
def test_time_of_the_commit(build, repo, git):
    tree = build("FROM busybox\nADD %s/r.git?mtime=commit /r\n" % git.url).ok().tree()
    assert tree["r/f"].info.mtime == tree["r/d"].info.mtime == 1700000000


@needs_git
def test_cache_is_by_commit(build, repo, git):
    text = "FROM busybox\nADD %s/r.git%s /r\nRUN cat /proc/sys/kernel/random/uuid > /u\n"
    first = build(text % (git.url, "")).ok().layers
    assert build(text % (git.url, "")).ok().layers == first
    pinned = build(text % (git.url, "#" + repo.second)).ok().layers
    builds.write_tree(repo.work, {"f": "third\n"})
    repo.commit()
    repo.publish()
    assert build(text % (git.url, "")).ok().layers != first
    git.close()
    assert build(text % (git.url, "#" + repo.second)).ok().layers == pinned, "it was fetched again"
    git.__init__(os.path.dirname(repo.work))


@needs_git
def test_submodules(build, repo, git, tmp_path):
    sub = remotes.Repo(str(tmp_path / "repos"), "sub")
    builds.write_tree(sub.work, {"s": "of sub\n"})
    sub.commit()
    sub.publish()
    repo.git("-c", "protocol.allow=always", "submodule", "-q", "add", git.url + "/sub.git", "m")
    repo.commit()
    repo.publish()
    tree = build("FROM busybox\nADD %s/r.git /r\n" % git.url).ok().tree()
    assert str(tree["r/m/s"]) == "0644 0:0 of sub\n" and "r/m/.git" not in tree
    tree = build("FROM busybox\nADD %s/r.git?submodules=false /r\n" % git.url).ok().tree()
    assert "r/m/s" not in tree


@needs_git
def test_submodules_stay_on_the_net(build, repo, git, tmp_path):
    """A submodule that names a path of this machine, or a command."""
    for url in ("file://" + repo.bare, "ext::sh -c 'touch %s'" % (tmp_path / "ran"), repo.bare):
        builds.write_tree(repo.work, {"m": None,
                                      ".gitmodules": '[submodule "m"]\n path = m\n url = %s\n' % url})
        repo.git("update-index", "--add", "--cacheinfo", "160000,%s,m" % repo.first)
        repo.commit()
        repo.publish()
        failed(build("FROM busybox\nADD %s/r.git /r\n" % git.url), "fetch git://")
        assert not (tmp_path / "ran").exists()


@needs_git
@pytest.mark.parametrize("url,error", [
    ("git://127.0.0.1:1/x.git", "127.0.0.1:1"),
    ("http://127.0.0.1:1/x.git#--upload-pack=touch", "invalid ref"),
    ("git@-oProxyCommand=x:y.git", "invalid URL of a Git repository"),
    ("ssh://-oProxyCommand=touch/y", "invalid URL of a Git repository"),
    ("git://127.0.0.1:1/x.git?what=1", 'unexpected query "what"'),
    ("git://127.0.0.1:1/x.git?ref=a#b", "ref conflict"),
    ("ext::sh", "not found"), ("file:///etc/passwd", "not found")])
def test_urls_that_are_refused(build, url, error):
    failed(build("FROM busybox\nADD %s /x\n" % url), error)


@needs_git
def test_missing_ref(build, repo, git):
    failed(build("FROM busybox\nADD %s/r.git#nope /x\n" % git.url), "nope")
    failed(build("FROM busybox\nADD %s/none.git /x\n" % git.url), "fetch git://")


@needs_git
def test_passwords_are_not_told(build, web):
    url = web.url.replace("//", "//me:hidden@") + "/none.git"
    done = build('FROM busybox\nARG U\nADD $U /x\n', None, "--build-arg", "U=" + url)
    failed(done, "fetch http://127.0.0.1")
    assert "hidden" not in done.out


# ---- docker import URL ----

@pytest.fixture(params=["cleat", "docker"])
def importer(request, daemon, tmp_path):
    from clients import DOCKER, Cli
    return Cli(DOCKER if request.param == "docker" else os.path.join(cleat.BUILD, "cleat"),
               daemon.url, str(tmp_path))


def test_import_of_an_url(importer, daemon, web, name):
    import images
    web.pages["/fs.tar?token=x"] = images.busybox()
    done = importer("import", "-m", "said", "-c", "CMD [\"sh\"]", web.url + "/fs.tar?token=x", name)
    assert done.returncode == 0, done.stderr
    assert "Downloading from %s/fs.tar" % web.url in done.stdout and "token" not in done.stdout
    got = daemon.api.get("/images/%s/json" % name).json
    assert got["Config"]["Cmd"] == ["sh"] and got["Comment"] == "said"
    assert importer.ok("run", "--rm", "--network=none", name, "echo", "hi") == "hi"
    assert os.listdir(os.path.join(daemon.data_root, "build/tmp")) == []
    daemon.api.delete("/images/" + name)


@pytest.mark.parametrize("path,says", [("/gone", "404"), ("/text", "")])
def test_import_of_what_is_none(daemon, web, path, says):
    web.pages["/text"] = b"this is no archive\n" * 100
    reply = daemon.api.post("/images/create", fromSrc=web.url + path)
    assert reply.status >= 400 or b"errorDetail" in reply.body
    assert says.encode() in reply.body
    assert os.listdir(os.path.join(daemon.data_root, "build/tmp")) == []


def test_import_without_a_scheme(daemon, web, name):
    import images
    web.pages["/fs.tar"] = images.busybox()
    reply = daemon.api.post("/images/create", fromSrc=web.url.split("//")[1] + "/fs.tar", repo=name)
    assert reply.status == 200 and b"errorDetail" not in reply.body
    daemon.api.delete("/images/" + name)
