"""Contexts that the daemon keeps: only what changed is sent, and what is built is what is there."""
import concurrent.futures
import io
import os
import re
import stat
import subprocess
import tarfile

import pytest

import builds
from cleat import until

COPY = "FROM busybox\nCOPY . /all\n"
FILES = 300


@pytest.fixture
def build(daemon, tmp_path, name):
    made = builds.Builder(daemon, "cleat", tmp_path, name)
    yield made
    made.close()
    assert daemon.api.ok("POST", "/build/prune", all=1)


@pytest.fixture
def big(build):
    """A context that is large enough to be kept."""
    files = {"d%d/f%d" % (i % 7, i): os.urandom(8192) for i in range(FILES)}
    builds.write_tree(build.context, {**files, "Dockerfile": COPY, "link": builds.Link("d0/f0"),
                                      "empty": None})
    return build


def answers(build):
    return [r for r in build.daemon.exchanges() if r["path"] == "/build/context"]


def listed(build):
    """Of the last build: (files that were listed, paths that were sent)."""
    until(lambda: answers(build), 5)
    row = answers(build)[-1]
    names = [f["P"] for f in row["req"]["Files"]]
    return names, [names[i] for i in row["resp"][0]["Missing"]]


def here(build):
    """The context as the tree of an image would show it."""
    out = {}
    for path, dirs, names in os.walk(build.context):
        for n in names + dirs:
            full = os.path.join(path, n)
            rel = os.path.relpath(full, build.context)
            st = os.lstat(full)
            if stat.S_ISLNK(st.st_mode):
                out[rel] = ("link", os.readlink(full))
            elif stat.S_ISDIR(st.st_mode):
                out[rel] = ("dir", stat.S_IMODE(st.st_mode))
            else:
                with open(full, "rb") as f:
                    out[rel] = (stat.S_IMODE(st.st_mode), f.read())
    return out


def there(done):
    out = {}
    for path, m in done.tree().items():
        if not path.startswith("all/"):
            continue
        if m.info.issym():
            out[path[4:]] = ("link", m.info.linkname)
        else:
            mode = stat.S_IMODE(m.info.mode)
            out[path[4:]] = ("dir", mode) if m.info.isdir() else (mode, m.data)
    return out


def bytes_read(build):
    with open("/proc/%d/io" % build.daemon.process.pid) as f:
        return int(re.search(r"rchar: (\d+)", f.read())[1])


def check(build, sent):
    done = build().ok()
    names, missing = listed(build)
    assert sorted(missing) == sorted(sent), missing[:20]
    assert there(done) == here(build)
    assert set(names) == set(here(build))


def test_first_everything_then_only_what_changed(big):
    check(big, [p for p, (kind, _) in here(big).items() if kind not in ("dir", "link")])
    check(big, [])
    with open(os.path.join(big.context, "d3/f3"), "wb") as f:
        f.write(os.urandom(8192))
    check(big, ["d3/f3"])


def test_few_bytes_travel(big):
    big("FROM scratch\nCOPY d0/f0 /\n").ok()
    before = bytes_read(big)
    with open(os.path.join(big.context, "d5/f5"), "ab") as f:
        f.write(b"x")
    big().ok()
    assert bytes_read(big) - before < 400 << 10, "of a context of 2,400 KiB"
    assert listed(big)[1] == ["d5/f5"]


def test_all_kinds_of_changes(big):
    big().ok()
    at = lambda *p: os.path.join(big.context, *p)  # noqa: E731
    os.unlink(at("d0/f0"))
    os.rename(at("d1/f1"), at("d1/renamed"))
    os.chmod(at("d2/f2"), 0o755)
    os.chmod(at("d2"), 0o700)
    os.unlink(at("link"))
    os.symlink("elsewhere", at("link"))
    os.unlink(at("d3/f3"))
    os.makedirs(at("d3/f3/now/a/directory"))
    builds.write_tree(at("d3/f3"), {"x": "new"})
    os.rmdir(at("empty"))
    with open(at("empty"), "w") as f:
        f.write("a file now")
    for n in os.listdir(at("d4")):
        os.unlink(at("d4", n))
    os.rmdir(at("d4"))
    os.symlink("d5", at("d4"))
    check(big, ["d1/renamed", "d3/f3/x", "empty"])
    check(big, [])


def test_times_are_kept(big):
    os.utime(os.path.join(big.context, "d0/f0"), (1, 1234567890))
    tree = big().ok().tree()
    assert tree["all/d0/f0"].info.mtime == 1234567890


def test_hard_links_do_not_change_together(big):
    at = lambda *p: os.path.join(big.context, *p)  # noqa: E731
    os.link(at("d0/f0"), at("d0/other"))
    big().ok()
    os.unlink(at("d0/other"))
    builds.write_tree(at("d0"), {"other": "o" * 8192})
    st = os.stat(at("d0/f0"))
    os.utime(at("d0/other"), ns=(st.st_mtime_ns, st.st_mtime_ns))
    os.chmod(at("d0/other"), 0o600)
    done = big().ok()
    assert there(done) == here(big)


def test_ignored_files_are_not_listed(big):
    builds.write_tree(big.context, {".dockerignore": "d1\n!d1/f8\n"})
    tree = big().ok().tree()
    names, _ = listed(big)
    assert "d1/f8" in names and "d1/f1" not in names
    assert "all/d1/f8" in tree and "all/d1/f1" not in tree


def test_a_dockerfile_from_outside(big, tmp_path):
    (tmp_path / "Other").write_text("FROM busybox\nCOPY . /all\nLABEL which=outside\n")
    done = big(None, None, "-f", str(tmp_path / "Other")).ok()
    assert there(done) == here(big)
    done = big(None, None, "-f", str(tmp_path / "Other")).ok()
    assert there(done) == here(big)
    assert all(".dockerfile." in p for p in listed(big)[1])


def test_what_cannot_be_listed_is_sent_whole(big):
    before = len(answers(big))
    os.mkfifo(os.path.join(big.context, "pipe"))
    big("FROM busybox\nCOPY d0 /all/d0\n").ok()
    assert len(answers(big)) == before


def test_a_small_context_is_sent_whole(build):
    before = len(answers(build))
    build(COPY, {"f": "x"}).ok()
    assert len(answers(build)) == before


def test_builds_of_one_context_at_once(big):
    def one(i):
        tag = "%s-%d" % (big.tag, i)
        done = big.cli("build", "--network=none", "-t", tag, "--build-arg", "N=%d" % i,
                       big.context)
        return tag, done

    builds.write_tree(big.context, {"Dockerfile": "FROM busybox\nARG N\nRUN echo $N > /n\n"
                                                  "COPY . /all\n"})
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        results = list(pool.map(one, range(3)))
    for tag, done in results:
        try:
            assert done.returncode == 0, done.stderr
            got = builds.Builder.__new__(builds.Builder)
            got.daemon, got.cli, got.tag = big.daemon, big.cli, tag
            assert there(builds.Built(got, done)) == here(big)
        finally:
            big.daemon.api.delete("/images/" + tag, force=1)


def test_secrets_and_a_kept_context(big):
    done = big("FROM busybox\nCOPY d0/f0 /f\nRUN --mount=type=secret,id=s wc -c < /run/secrets/s > /n\n",
               None, "--secret", "id=s,env=S", env={"S": "12345"}).ok()
    assert done.tree()["n"].data == b"5\n"


def test_after_a_restart_of_the_daemon(own_daemon, tmp_path, name):
    d = own_daemon()
    d.start()
    b = builds.Builder(d, "cleat", tmp_path, name)
    builds.write_tree(b.context, {"f%d" % i: os.urandom(8192) for i in range(250)})
    b("FROM scratch\nCOPY . /all\n").ok()
    d.restart()
    b().ok()
    assert listed(b)[1] == []
    d.crash()
    d.start()
    builds.write_tree(b.context, {"f7": "changed"})
    b().ok()
    assert listed(b)[1] == ["f7"]


def test_a_context_is_a_record_of_the_cache(big):
    big().ok()
    kept = [r for r in big.daemon.api.ok("GET", "/system/df", type="build-cache")["BuildCache"]
            if r["Type"] == "source.local"]
    assert len(kept) == 1 and kept[0]["Size"] > FILES * 8192 and not kept[0]["InUse"]
    api = big.daemon.api
    assert kept[0]["ID"] not in (api.ok("POST", "/build/prune")["CachesDeleted"] or [])
    assert kept[0]["ID"] in api.ok("POST", "/build/prune", all=1)["CachesDeleted"]
    assert os.listdir(os.path.join(big.daemon.data_root, "build/contexts")) == []


# ---- what clients may say ----

KEY = "0123456789abcdef" * 4


def entry(path, kind="f", **kw):
    return {"P": path, "K": kind, "M": 0o644, "S": 1, "T": 1000, **kw}


def tar_of(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for path, data in members:
            info = tarfile.TarInfo(path)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize("files", [
    [entry("../x")], [entry("/x")], [entry("a//b")], [entry("a/./b")], [entry("")], [entry(".")],
    [entry("x"), entry("x")], [entry("b"), entry("a")], [entry("a/b")], [entry("a"), entry("a/b")],
    [entry("x", "l")], [entry("x", L="y")], [entry("x", "c")], [entry("x", M=0o10000)],
    [entry("x", M=-1)], [entry("x", S=-1)], [entry("x" * 256)], [entry("x", "l", L="y" * 4096)],
    [entry("a", "d"), entry("a/..", "d"), entry("a/../b")],
])
def test_lists_that_are_none(api, files):
    reply = api.post("/build/context", {"Key": KEY, "Files": files})
    assert reply.status == 400, reply


@pytest.mark.parametrize("key", ["", "x" * 64, "a" * 63, "../" + "a" * 61, "A" * 64])
def test_keys_that_are_none(api, key):
    assert api.post("/build/context", {"Key": key, "Files": []}).status == 400


@pytest.fixture
def empty(api):
    """No context is kept, before and after."""
    api.ok("POST", "/build/prune", all=1)
    yield
    api.ok("POST", "/build/prune", all=1)


def post_build(api, session, body):
    return api.call("POST", "/build", body, headers={"Content-Type": "application/x-tar"},
                    session=session, networkmode="none")


DOCKERFILE = b"FROM scratch\nCOPY . /\n"


def test_what_is_sent_must_be_what_was_listed(api, empty):
    files = [entry("Dockerfile", S=len(DOCKERFILE)), entry("d", "d", M=0o755), entry("d/f"),
             entry("l", "l", L="/etc")]

    def attempt(*members):
        reply = api.post("/build/context", {"Key": KEY, "Files": files})
        assert reply.status == 201
        return reply.json["Missing"], post_build(api, reply.json["Session"], tar_of(*members))

    missing, reply = attempt(("Dockerfile", DOCKERFILE))
    assert missing == [0, 2]
    assert reply.status == 409 and "d/f differs" in reply.message, reply
    missing, reply = attempt(("d/f", b"x"), ("more", b"y"))
    assert missing == [2], "the Dockerfile came in the first attempt"
    assert reply.status == 409 and "more differs" in reply.message
    missing, reply = attempt(("l/evil", b"x"))
    assert reply.status >= 400, reply
    assert not os.path.exists("/etc/evil")
    missing, reply = attempt(("Dockerfile", DOCKERFILE), ("d/f", b"x"))
    assert missing == [] and reply.status == 409, "nothing was asked for"
    sent = {0: ("Dockerfile", DOCKERFILE), 2: ("d/f", b"x")}
    reply = api.post("/build/context", {"Key": KEY, "Files": files})
    reply = post_build(api, reply.json["Session"], tar_of(*[sent[i] for i in reply.json["Missing"]]))
    assert reply.status == 200 and b"Successfully built" in reply.body, reply
    missing, reply = attempt()
    assert missing == [] and b"Successfully built" in reply.body


def test_a_file_that_grew_while_it_was_sent_comes_again(api, empty):
    files = [entry("Dockerfile", S=len(DOCKERFILE)), entry("f")]

    def attempt(*members):
        reply = api.post("/build/context", {"Key": KEY, "Files": files})
        return reply.json["Missing"], post_build(api, reply.json["Session"], tar_of(*members))

    _, reply = attempt(("Dockerfile", DOCKERFILE), ("f", b"longer"))
    assert reply.status == 200 and b"Successfully built" in reply.body
    missing, _ = attempt(("f", b"x"))
    assert missing == [1]


def test_a_session_has_one_context(api):
    first = api.post("/build/context", {"Key": KEY, "Files": []})
    assert first.status == 201
    again = api.post("/build/context", {"Key": KEY, "Files": []}, session=first.json["Session"])
    assert again.status == 400
    assert api.post("/build/context", {"Key": KEY, "Files": []}, session="nope").status == 404


def test_notes_on_kept_files_do_not_get_into_images(big, empty):
    big().ok()
    kept = os.path.join(big.daemon.data_root, "build/contexts")
    tree = os.path.join(kept, os.listdir(kept)[0])
    assert "trusted.cleat.digest" in os.listxattr(os.path.join(tree, "d0/f0"))
    big("FROM scratch\nCOPY . /\n").ok()
    assert b"cleat.digest" not in big.cli("save", big.tag, stdin=b"").stdout
