"""--build-context with what the client has: directories and OCI layouts."""
import json
import os
import subprocess

import pytest

import builds
import cleat
import fixtures
import registry


@pytest.fixture
def build(daemon, tmp_path, name):
    made = builds.Builder(daemon, "cleat", tmp_path, name)
    yield made
    made.close()


@pytest.fixture
def more(tmp_path):
    """more(files): a directory beside the context."""
    def make(files, where="more"):
        path = str(tmp_path / where)
        os.makedirs(path, exist_ok=True)
        builds.write_tree(path, files)
        return path
    return make


MANY = {"m/%d" % i: "%d" % i for i in range(300)}  # more than is sent without a list
COPIES = "FROM busybox\nCOPY --from=x . /x/\nRUN find /x -type f | wc -l > /n\n"


def count(done):
    return int(done.ok().tree()["n"].data)


def test_copy_from_a_directory(build, more):
    path = more({"a": "A", "d/b": builds.Mode("B", 0o755), "l": builds.Link("a"), "e": None})
    tree = build(COPIES, None, "--build-context", "x=" + path).ok().tree()
    assert str(tree["x/a"]) == "0644 0:0 A" and str(tree["x/d/b"]) == "0755 0:0 B"
    assert str(tree["x/l"]) == "link:a" and str(tree["x/e"]).startswith("dir")


def test_from_and_mounts(build, more):
    path = more({"a": "A"})
    done = build("FROM x AS s\nFROM busybox\nCOPY --from=s /a /1\n"
                 "RUN --mount=type=bind,from=x,target=/m cp /m/a /2\n", None,
                 "--build-context", "x=" + path).ok()
    tree = done.tree()
    assert tree["1"].data == tree["2"].data == b"A"


@pytest.mark.parametrize("files", [{}, MANY])
def test_its_own_dockerignore(build, more, files):
    path = more({**files, ".dockerignore": "no*\n.dockerignore\nd\n!d/yes\n", "no": "", "nope": "",
                 "a": "", "d/no": "", "d/yes": ""})
    done = build(COPIES, {".dockerignore": "a\n"}, "--build-context", "x=" + path)
    assert count(done) == len(files) + 2
    tree = done.tree()
    assert "x/a" in tree and "x/d/yes" in tree and "x/d/no" not in tree
    assert "x/.dockerignore" not in tree
    done = build("FROM x\n", None, "--build-context", "x=" + path).ok()
    assert "no" not in done.tree() and ".dockerignore" not in done.tree()


def test_goes_before_images_and_stages(build, more):
    path = more({"bin/busybox": builds.Mode(open("/bin/busybox", "rb").read(), 0o755),
                 "mark": "mine"})
    done = build("FROM busybox\nRUN [\"/bin/busybox\", \"cat\", \"/mark\"]\n", None,
                 "--build-context", "busybox=" + path, "--progress=plain").ok()
    assert "mine" in done.out


def test_only_what_changed_is_sent(build, more):
    path = more({**MANY, "big": "x" * 3000000})
    args = ["--build-context", "x=" + path]
    assert count(build(COPIES, None, *args)) == 301
    kept = os.path.join(build.daemon.data_root, "build/contexts")
    inode = inodes(kept)
    builds.write_tree(path, {"m/0": "changed", "new": "n"})
    done = build(COPIES, None, *args)
    assert count(done) == 302 and done.tree()["x/m/0"].data == b"changed"
    now = inodes(kept)
    assert now["big"] == inode["big"] and len(set(now.items()) - set(inode.items())) <= 4


def inodes(root):
    out = {}
    for path, _, names in os.walk(root):
        for n in names:
            full = os.path.join(path, n)
            out[os.path.relpath(full, root).split("/", 1)[1]] = os.lstat(full).st_ino
    return out


def test_odd_files_are_sent_as_they_are(build, more):
    path = more({**MANY, "a": "A"})
    os.mkfifo(path + "/fifo")
    assert count(build(COPIES, None, "--build-context", "x=" + path)) == 301


def test_twice_the_same_directory(build, more):
    path = more(MANY)
    done = build("FROM busybox\nCOPY . /0/\nCOPY --from=x . /1/\nCOPY --from=y . /2/\n"
                 "RUN diff -r /1 /2 && find /1 -type f | wc -l > /n\n", MANY,
                 "--build-context", "x=" + path, "--build-context", "y=" + path)
    assert count(done) == 300


def test_cached(build, more):
    path = more({"a": "A"})
    build(COPIES, None, "--build-context", "x=" + path).ok()
    assert build(COPIES, None, "--build-context", "x=" + path).ok().out.count("CACHED") == 2


@pytest.mark.parametrize("text,says", [
    ("x", "expected key=value"), ("=x", "expected key=value"), ("x=", "expected key=value"),
    ("x=/no/such", "could not find /no/such"), ("x=/etc/hosts", "must be a directory"),
    ("x=oci-layout:///no/such", "open /no/such"),
])
def test_contexts_that_are_none(build, text, says):
    done = build(COPIES, None, "--build-context", text)
    assert done.code == 1 and says in done.out, done.out


# ---- OCI layouts ----

@pytest.fixture(scope="module")
def layout(daemon, tmp_path_factory):
    """busybox with a mark, as skopeo writes it."""
    registry.need("skopeo")
    path = tmp_path_factory.mktemp("layout")
    b = builds.Builder(daemon, "cleat", path, "layout-base")
    b("FROM busybox\nRUN echo mine > /mark\nENV FROM_LAYOUT=1\n").ok()
    b.cli.ok("save", "-o", str(path / "i.tar"), b.tag)
    for tag in ("one", "latest"):
        subprocess.run(["skopeo", "copy", "docker-archive:%s/i.tar" % path,
                        "oci:%s/l:%s" % (path, tag)], check=True, capture_output=True)
    b.close()
    daemon.api.ok("POST", "/build/prune", all=1)
    return str(path / "l")


def images(build):
    return {i["Id"] for i in build.daemon.api.get("/images/json", all=1).json}


@pytest.mark.parametrize("how", ["", ":one", ":latest", "@"])
def test_a_layout(build, layout, how):
    if how == "@":
        how += json.load(open(layout + "/index.json"))["manifests"][0]["digest"]
    before = images(build)
    done = build("FROM b\nRUN cp /mark /copy && echo $FROM_LAYOUT > /env\n", None,
                 "--build-context", "b=oci-layout://" + layout + how).ok()
    tree = done.tree()
    assert tree["copy"].data == b"mine\n" and tree["env"].data == b"1\n"
    assert images(build) - before == {done.id}  # what came with the session went with it


def test_copy_from_a_layout(build, layout):
    tree = build("FROM scratch\nCOPY --from=b /mark /m\n", None, "--pull",
                 "--build-context", "b=oci-layout://" + layout).ok().tree()
    assert tree["m"].data == b"mine\n"


@pytest.mark.parametrize("how,says", [(":no", "has no no"),
                                      ("@sha256:" + "0" * 64, "has no sha256:0000")])
def test_a_layout_without_it(build, layout, how, says):
    done = build("FROM b\n", None, "--build-context", "b=oci-layout://" + layout + how)
    assert done.code == 1 and says in done.out, done.out


def test_a_spoiled_layout(build, layout, tmp_path):
    path = str(tmp_path / "bad")
    subprocess.run(["cp", "-r", layout, path], check=True)
    index = json.load(open(path + "/index.json"))
    man = "%s/blobs/sha256/%s" % (path, index["manifests"][0]["digest"][7:])
    with open(man, "r+b") as f:
        f.write(b" ")
    before = images(build)
    done = build("FROM b\n", None, "--build-context", "b=oci-layout://" + path)
    assert done.code == 1 and images(build) == before


# ---- the calls ----

def test_sessions_that_are_none(api):
    headers = {"Content-Type": "application/x-tar"}
    assert api.post("/build/session/%s/context" % ("0" * 32), b"", name="x").status == 404
    session = api.ok("POST", "/build/session", {})["Id"]
    assert api.post("/build/session/%s/context" % session, b"\0" * 1024, headers=headers,
                    name="x").status == 204
    assert "has a context x" in str(api.post("/build/session/%s/context" % session, b"\0" * 1024,
                                             headers=headers, name="x").body)
    assert api.post("/build/session/%s/context" % session, b"", name="x").status == 404


def test_a_context_that_is_not_what_was_listed(api):
    files = [{"P": "a", "K": "f", "M": 0o644, "S": 1, "T": 1}]
    said = api.ok("POST", "/build/context", {"Key": "a" * 64, "Files": files}, name="x")
    assert said["Missing"] == [0]
    reply = api.post("/build/session/%s/context" % said["Session"], b"\0" * 1024,
                     headers={"Content-Type": "application/x-tar"}, name="x")
    assert reply.status == 409


@pytest.mark.parametrize("action", ["crash", "error"])
@pytest.mark.usefixtures("fail_build")
def test_fail_point(own_daemon, tmp_path, name, layout, action):
    d = own_daemon(build=cleat.BUILD_FAIL)
    d.start()
    fixtures.load(d)
    d.stop()
    d.start(env={"CLEAT_FAIL": "build.layout.loaded=%s@1" % action})
    b = builds.Builder(d, "cleat", tmp_path / "fault", name)
    args = ["--build-context", "b=oci-layout://" + layout]
    assert b("FROM b\nRUN true\n", None, *args).code == 1
    if d.process.poll() is None:
        d.stop()
    d.stopped = True
    d.start()
    b("FROM b\nRUN true\n", None, *args).ok()


def test_a_connection_and_its_build_at_once(daemon):
    """As soon as a client has the answer to its connection it may ask for the build."""
    import socket
    for i in range(100):
        session = daemon.api.ok("POST", "/build/session", {})["Id"]
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(daemon.socket)
            s.sendall(("POST /build/session/%s/layout?id=c HTTP/1.1\r\nHost: d\r\n"
                       "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
                       % session).encode())
            assert s.recv(1000).startswith(b"HTTP/1.1 101")
            reply = daemon.api.post("/build", b"\0" * 1024, session=session,
                                    headers={"Content-Type": "application/x-tar"})
            assert b"failed to read dockerfile" in reply.body, (i, reply)
            assert s.recv(1000) == b""  # the session has gone, with the connection in it
