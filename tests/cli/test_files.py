"""A container's files: cp in and out, diff, export, commit."""
import base64
import io
import json
import os
import tarfile
import time

import pytest

import cleat
import images
from cleat import until


def tar_of(**files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for name, data in files.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            if data is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            else:
                info.size, info.mode = len(data), 0o640
            t.addfile(info, io.BytesIO(data) if data is not None else None)
    return out.getvalue()


def names(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as t:
        return [m.name for m in t.getmembers()]


@pytest.fixture(params=["running", "stopped"])
def target(request, cli, box):
    """A container with some files; copying works the same whether it runs or not."""
    name = box()
    script = ("mkdir -p /data/sub; echo one > /data/a; echo two > /data/sub/b; ln -s /data /link; "
              "ln -s a /data/rel; ln -s /etc/passwd /data/abs; touch /ready; exec sleep 1000")
    cli.ok("run", "-d", "--stop-signal", "KILL", "--name", name, "busybox", "sh", "-c", script)
    until(lambda: cli("exec", name, "test", "-e", "/ready").returncode == 0)
    if request.param == "stopped":
        cli.ok("stop", name)
    return name


def content(cli, name, path):
    done = cli("cp", name + ":" + path, "-", stdin=b"")
    assert done.returncode == 0, done
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as t:
        return t.extractfile(t.getmembers()[0]).read()


# ---- cp ----

def test_copy_out(cli, target, tmp_path):
    cli.ok("cp", target + ":/data/a", tmp_path)  # into a directory
    assert (tmp_path / "a").read_text() == "one\n"
    cli.ok("cp", target + ":/data/a", tmp_path / "renamed")
    assert (tmp_path / "renamed").read_text() == "one\n"
    (tmp_path / "old").write_text("old")
    cli.ok("cp", target + ":/data/a", tmp_path / "old")
    assert (tmp_path / "old").read_text() == "one\n"
    cli.ok("cp", target + ":/data", tmp_path)
    assert (tmp_path / "data" / "sub" / "b").read_text() == "two\n"
    cli.ok("cp", target + ":/data", tmp_path / "new")  # a name that is not there yet
    assert (tmp_path / "new" / "sub" / "b").read_text() == "two\n"
    os.mkdir(tmp_path / "there")
    cli.ok("cp", target + ":/data/.", tmp_path / "there")  # what lies in it
    assert (tmp_path / "there" / "sub" / "b").read_text() == "two\n"
    assert os.readlink(tmp_path / "there" / "rel") == "a"


def test_copy_out_links(cli, target, tmp_path):
    cli.ok("cp", target + ":/link", tmp_path)
    assert os.readlink(tmp_path / "link") == "/data"
    cli.ok("cp", "-L", target + ":/link", tmp_path / "followed")
    assert (tmp_path / "followed" / "a").read_text() == "one\n"
    assert b"root" in content(cli, target, "/link/../etc/passwd")
    cli.ok("cp", "-L", target + ":/data/abs", tmp_path / "passwd")
    assert "web" in (tmp_path / "passwd").read_text()  # the container's, not ours


def test_copy_out_failures(cli, target, tmp_path):
    done = cli("cp", target + ":/nope", tmp_path)
    assert done.returncode == 1 and "Could not find the file /nope in container" in done.stderr
    done = cli("cp", "no-such-container:/x", tmp_path)
    assert done.returncode == 1 and "No such container: no-such-container" in done.stderr
    done = cli("cp", target + ":/data", tmp_path / "missing" / "deeper")
    assert done.returncode == 1 and 'missing" does not exist' in done.stderr
    (tmp_path / "file").write_text("")
    done = cli("cp", target + ":/data", tmp_path / "file")
    assert done.returncode == 1 and "directory" in done.stderr
    assert cli("cp", "a", "b").returncode == 1
    done = cli("cp", target + ":/data/a", str(tmp_path / "nodir") + "/")
    assert done.returncode == 1 and not (tmp_path / "nodir").exists()


def test_copy_in(cli, target, tmp_path):
    src = tmp_path / "src"
    (src / "deep").mkdir(parents=True)
    (src / "f").write_text("f")
    (src / "deep" / "g").write_text("g")
    os.chmod(src / "f", 0o751)
    os.symlink("f", src / "ln")
    cli.ok("cp", src / "f", target + ":/data")  # into a directory
    assert content(cli, target, "/data/f") == b"f"
    cli.ok("cp", src / "f", target + ":/data/named")
    assert content(cli, target, "/data/named") == b"f"
    cli.ok("cp", src / "f", target + ":/data/a")  # over a file
    assert content(cli, target, "/data/a") == b"f"
    cli.ok("cp", src, target + ":/data")
    assert content(cli, target, "/data/src/deep/g") == b"g"
    cli.ok("cp", src, target + ":/fresh")
    assert content(cli, target, "/fresh/deep/g") == b"g"
    cli.ok("cp", str(src) + "/.", target + ":/data/sub")
    assert content(cli, target, "/data/sub/deep/g") == b"g"
    cli.ok("cp", src / "f", target + ":/link/through")  # a link to a directory on the way
    assert content(cli, target, "/data/through") == b"f"
    done = cli("cp", target + ":/data/src", "-", stdin=b"")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as t:
        assert t.getmember("src/f").mode == 0o751 and t.getmember("src/ln").linkname == "f"


def test_copy_in_failures(daemon, cli, target, tmp_path):
    (tmp_path / "f").write_text("f")
    done = cli("cp", tmp_path / "f", target + ":/no/such/dir/")
    assert done.returncode == 1 and done.stderr
    done = cli("cp", tmp_path / "gone", target + ":/data")
    assert done.returncode == 1 and "no such file or directory" in done.stderr.lower()
    done = cli("cp", tmp_path, target + ":/data/a")  # a directory over a file
    assert done.returncode == 1
    assert content(cli, target, "/data/a") == b"one\n"
    done = cli("cp", "-", target + ":/data", stdin=b"this is no archive at all" * 100)
    assert done.returncode == 1
    done = cli("cp", "-", target + ":/data/a", stdin=tar_of(x=b"x"))
    assert done.returncode == 1 and "must be a directory" in str(done.stderr)
    r = daemon.api.call("PUT", "/containers/%s/archive" % target, tar_of(x=b"x"), path="/data/a")
    assert r.status == 400 and r.message == "extraction point is not a directory"


def test_archive_from_stdin(cli, target):
    done = cli("cp", "-", target + ":/data", stdin=tar_of(d=None, d__x=b"new"))
    assert done.returncode == 0, done
    assert content(cli, target, "/data/d/x") == b"new"


def test_nothing_leads_out(daemon, cli, target, tmp_path):
    """Links in the archive and in the container end in the container."""
    outside = tmp_path / "outside"
    outside.mkdir()
    evil = io.BytesIO()
    with tarfile.open(fileobj=evil, mode="w") as t:
        link = tarfile.TarInfo("way")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        t.addfile(link)
        for name in ("way/one", "../../../../../../%s/two" % outside, "%s/three" % outside):
            info = tarfile.TarInfo(name)
            t.addfile(info)
    daemon.api.call("PUT", "/containers/%s/archive" % target, evil.getvalue(), path="/data")
    assert list(outside.iterdir()) == []
    r = daemon.api.get("/containers/%s/archive" % target, path="/data/way/../../../../../etc/passwd")
    assert b"web" in r.body  # the container's own


def test_a_race_of_links_leads_nowhere(daemon, box, tmp_path):
    """A directory that becomes a link to the host's, again and again, while we copy through it."""
    (tmp_path / "secret").write_text("of the host")
    name, api = box(), daemon.api
    script = "while :; do mkdir /d; rm -rf /d; ln -s %s /d; rm -rf /d; done" % tmp_path
    cid = api.ok("POST", "/containers/create", {"Image": "busybox", "Cmd": ["sh", "-c", script],
                                                "StopSignal": "SIGKILL"}, name=name)["Id"]
    api.ok("POST", "/containers/%s/start" % cid)
    seen, end = set(), time.monotonic() + float(os.environ.get("CLEAT_RACE_SECONDS", "4"))
    while time.monotonic() < end:
        for path in ("/d", "/d/."):
            r = api.call("PUT", "/containers/%s/archive" % cid, tar_of(planted=b"x"), path=path)
            seen.add(r.status)
        r = api.get("/containers/%s/archive" % cid, path="/d/secret")
        seen.add(r.status)
        assert b"of the host" not in r.body
        api.get("/containers/%s/archive" % cid, path="/d/")
        api.get("/containers/%s/export" % cid)
    assert 404 in seen and len(seen) > 1, seen
    assert sorted(os.listdir(tmp_path)) == ["secret"]


def test_volumes_are_reached(cli, box, tmp_path):
    name = box()
    (tmp_path / "there").write_text("volume")
    cli.ok("create", "--name", name, "-v", "%s:/vol" % tmp_path, "-v", "%s:/ro:ro" % tmp_path,
           "busybox", "sleep", "1000")
    for _ in range(2):
        assert content(cli, name, "/vol/there") == b"volume"
        (tmp_path / "f").write_text("f")
        cli.ok("cp", tmp_path / "f", name + ":/vol/copied")
        assert (tmp_path / "copied").read_text() == "f"
        os.unlink(tmp_path / "copied")
        done = cli("cp", tmp_path / "f", name + ":/ro/copied")
        assert done.returncode == 1 and "read-only" in done.stderr
        cli.ok("start", name)
    cli.ok("kill", name)


def test_read_only_root(cli, box, tmp_path):
    name = box()
    (tmp_path / "f").write_text("f")
    cli.ok("create", "--name", name, "--read-only", "busybox", "sleep", "1000")
    for _ in range(2):
        done = cli("cp", tmp_path / "f", name + ":/etc/")
        assert done.returncode == 1 and "container rootfs is marked read-only" in done.stderr
        cli.ok("start", name)
    cli.ok("kill", name)


def test_owner(daemon, cli, box, tmp_path):
    name = box()
    (tmp_path / "f").write_text("f")
    os.chown(tmp_path / "f", 4321, 4321)
    cli.ok("run", "-d", "--name", name, "--user", "web", "busybox", "sleep", "1000")
    cli.ok("cp", "-a", tmp_path / "f", name + ":/tmp/f")
    assert cli.ok("exec", name, "stat", "-c", "%u", "/tmp/f") == "1000"
    cli.ok("exec", "-u", "0", name, "chown", "77:77", "/tmp/f")
    cli.ok("cp", name + ":/tmp/f", tmp_path / "mine")
    assert os.stat(tmp_path / "mine").st_uid == os.getuid()
    cli.ok("kill", name)


def test_path_stat(daemon, target):
    def stat(path):
        r = daemon.api.call("HEAD", "/containers/%s/archive" % target, path=path)
        assert r.status == 200, r
        return json.loads(base64.b64decode(r.headers["X-Docker-Container-Path-Stat"]))
    a = stat("/data/a")
    assert (a["name"], a["size"], a["mode"], a["linkTarget"]) == ("a", 4, 0o644, "")
    assert stat("/data")["mode"] == (1 << 31) | 0o755
    link = stat("/data/rel")
    assert link["mode"] & (1 << 27) and link["linkTarget"] == "/data/a"
    assert stat("/link/")["mode"] & (1 << 31)  # a slash follows it
    assert daemon.api.call("HEAD", "/containers/%s/archive" % target, path="/x").status == 404


def test_docker_py(daemon, target):
    docker = pytest.importorskip("docker")
    c = docker.DockerClient(base_url=daemon.url, version="auto").containers.get(target)
    bits, stat = c.get_archive("/data/sub")
    assert stat["name"] == "sub" and names(b"".join(bits)) == ["sub", "sub/b"]
    assert c.put_archive("/data", tar_of(py=b"py"))
    bits, _ = c.get_archive("/data/py")
    assert names(b"".join(bits)) == ["py"]
    assert {"Path": "/data", "Kind": 1} in c.diff()
    assert "data/sub/b" in names(b"".join(c.export()))


# ---- diff, export ----

def test_diff(cli, box):
    name = box()
    cli.ok("create", "--name", name, "busybox", "sh", "-c",
           "echo x > /new; rm /etc/group; echo y >> /etc/passwd; mkdir -p /d/e; chmod 700 /home")
    assert cli.ok("diff", name) == ""
    cli.ok("start", "-a", name)
    assert cli.ok("diff", name).splitlines() == [
        "A /d", "A /d/e", "C /etc", "D /etc/group", "C /etc/passwd", "C /home", "A /new"]


def test_export(cli, target, tmp_path):
    cli.ok("export", "-o", tmp_path / "out.tar", target)
    with tarfile.open(tmp_path / "out.tar") as t:
        members = {m.name: m for m in t.getmembers()}
        assert t.extractfile("data/sub/b").read() == b"two\n"
    assert members["link"].linkname == "/data" and "bin/busybox" in members
    assert not any(x.startswith(("proc/", "sys/")) for x in members)
    done = cli("export", "nope", stdin=b"")
    assert done.returncode == 1 and b"No such container: nope" in done.stderr


# ---- commit ----

def test_commit(cli, target, name):
    ref = "commit-test:" + name
    out = cli.ok("commit", "-m", "why", "-a", "who", "-c", 'CMD ["cat", "/data/sub/b"]', "-c",
                 "ENV FRESH=yes", "-c", "LABEL l=v", target, ref)
    try:
        assert out.startswith("sha256:")
        assert cli.ok("run", "--rm", ref) == "two"
        assert cli.ok("run", "--rm", ref, "sh", "-c", "echo $FRESH; readlink /link; cat /etc/hosts | "
                      "grep -c localhost") == "yes\n/data\n2"
        shown = json.loads(cli.ok("inspect", ref))[0]
        assert (shown["Author"], shown["Comment"]) == ("who", "why")
        assert shown["Config"]["Labels"]["l"] == "v"
        base = json.loads(cli.ok("inspect", "busybox"))[0]
        assert shown["RootFS"]["Layers"][:-1] == base["RootFS"]["Layers"]
        top = cli.ok("history", "--no-trunc", "--format", "{{.Comment}}|{{.CreatedBy}}", ref)
        assert top.splitlines()[0].startswith("why|sh -c mkdir -p /data/sub")
    finally:
        cli.ok("rmi", ref)


def test_commit_has_no_traces_of_mounts(cli, box, name, tmp_path):
    """What was made to mount something there is not the user's."""
    ref, c = "commit-test:" + name, box()
    cli.ok("run", "--name", c, "-v", "%s:/made/for/this" % tmp_path, "busybox", "true")
    cli.ok("commit", c, ref)
    try:
        base, image = (json.loads(cli.ok("inspect", x))[0] for x in ("busybox", ref))
        assert cli("run", "--rm", ref, "find", "/made").stdout == ""
        assert image["RootFS"]["Layers"] == base["RootFS"]["Layers"]  # nothing changed: no layer
    finally:
        cli.ok("rmi", ref)


def test_commit_deletions(cli, box, name):
    ref, c = "commit-test:" + name, box()
    cli.ok("run", "--name", c, "busybox", "sh", "-c",
           "rm /etc/group; rm -r /home/web; mkdir /home/web; touch /home/web/new")
    cli.ok("commit", c, ref)
    try:
        assert cli("run", "--rm", ref, "cat", "/etc/group").returncode == 1
        assert cli.ok("run", "--rm", ref, "ls", "-A", "/home/web") == "new"
    finally:
        cli.ok("rmi", ref)


def test_a_directory_made_anew(cli, box, name):
    """Nothing of the image's shows in it any more, though a mount lies there."""
    ref, c = "commit-test:" + name, box()
    cli.ok("run", "--name", c, "busybox", "sh", "-c",
           "rm -r /home; mkdir -m 755 /home")
    assert "C /home" in cli.ok("diff", c).splitlines()
    cli.ok("commit", c, ref)
    try:
        assert cli.ok("run", "--rm", ref, "ls", "-A", "/home") == ""
    finally:
        cli.ok("rmi", ref)


def test_commit_failures(cli, target):
    done = cli("commit", "nope")
    assert done.returncode == 1 and "No such container: nope" in done.stderr
    done = cli("commit", target, "UPPER")
    assert done.returncode == 1 and "must be lowercase" in done.stderr
    done = cli("commit", "-c", "FLY away", target)
    assert done.returncode == 1 and "fly" in done.stderr.lower()


def test_commit_pauses(daemon, cleat_only, box):
    name = box()
    cleat_only.ok("run", "-d", "--name", name, "--stop-signal", "KILL", "busybox", "sleep", "1000")
    conn, events = daemon.api.stream("GET", "/events", filters={"container": [name]})
    try:
        image = cleat_only.ok("commit", name)
        seen = [json.loads(events.readline())["Action"] for _ in range(3)]
        assert seen == ["pause", "unpause", "commit"]
        assert cleat_only.ok("inspect", "-f", "{{.State.Status}}", name) == "running"
    finally:
        conn.close()
    cleat_only.ok("rmi", image)


# ---- archives into a container that does not run, past its overlay ----

def archive(*entries):
    """(name, content or None for a directory, {TarInfo fields})"""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content, fields in entries:
            info = tarfile.TarInfo(name)
            info.mode = 0o755 if content is None else 0o644
            info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            info.size = len(content or b"")
            for k, v in fields.items():
                setattr(info, k, v)
            tar.addfile(info, io.BytesIO(content or b""))
    return out.getvalue()


LINK, HARD, CHAR = ({"type": t, "size": 0} for t in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE))


@pytest.fixture
def stopped(daemon, make):
    """A stopped container, put(*entries) into its /tmp or @path, and look(script) inside afterwards."""
    cid = make(Cmd=["sh", "-c", "sh /script"])

    def put(*entries, path="/tmp", status=200):
        r = daemon.api.call("PUT", "/containers/%s/archive" % cid, archive(*entries), path=path)
        assert r.status == status, r
        return r

    def look(script):
        put(("script", script.encode(), {}), path="/")
        daemon.api.ok("POST", "/containers/%s/start" % cid)
        daemon.api.ok("POST", "/containers/%s/wait" % cid)
        out = daemon.api.get("/containers/%s/logs" % cid, stdout=1, stderr=1, tail="all").body
        return b"".join(cleat.demux(out)).decode().strip()
    put.cid = cid
    return put, look


def test_new_trees(stopped):
    put, look = stopped
    put(("a", None, {"mode": 0o750, "mtime": 1000}), ("a/b", None, {"mtime": 2000}),
        ("a/b/f", b"one", {"uid": 5, "gid": 6, "mode": 0o4711, "mtime": 3000}),
        ("a/b/g", b"two", {"mode": 0o640}), ("a/implied/x", b"three", {}),
        ("a/b/l", b"", {**LINK, "linkname": "f"}), ("a/b/h", b"", {**HARD, "linkname": "a/b/f"}))
    assert look("cd /tmp; stat -c '%n %u:%g %a %Y %h' a a/b a/b/f a/b/g; cat a/b/f a/b/l a/b/g "
                "a/implied/x").splitlines() == [
        "a 0:0 750 1000 4", "a/b 0:0 755 2000 2", "a/b/f 5:6 4711 3000 2", "a/b/g 0:0 640 0 1",
        "oneonetwothree"]


def test_links_between_old_and_new(stopped):
    """A hard link from a new directory to a file that was there, and the reverse."""
    put, look = stopped
    put(("old", b"old", {}))
    put(("new", None, {}), ("new/f", b"1", {}), ("new/o", b"", {**HARD, "linkname": "old"}),
        ("new/g", b"2", {}), ("out", b"", {**HARD, "linkname": "new/g"}),
        ("new/sub/deep", b"3", {}), ("new/g", b"again", {}))
    assert look("cd /tmp; cat new/f new/o new/g out new/sub/deep; stat -c %h old out") == (
        "1oldagain232\n1")


def test_links_inside_new_trees(stopped):
    put, look = stopped
    put(("etc", None, {}), ("var", None, {}))  # the directory that is unpacked into is "/" to links
    put(("n", None, {}), ("n/etc", b"", {**LINK, "linkname": "/etc"}), ("n/etc/planted", b"here", {}),
        ("n/real", None, {}), ("n/via", b"", {**LINK, "linkname": "real"}), ("n/via/f", b"f", {}),
        ("n/up", b"", {**LINK, "linkname": "../../../../.."}), ("n/up/rooted", b"r", {}),
        ("n/real", b"", {**LINK, "linkname": "/var"}), ("n/real/late", b"late", {}))
    assert not os.path.exists("/etc/planted") and not os.path.exists("/rooted")
    assert look("cd /tmp; cat etc/planted rooted var/late; ls n") == "hererlateetc\nreal\nup\nvia"


def test_what_was_removed_stays_removed(daemon, make):
    """A directory of the image that the container removed, made again: its old files do not show."""
    layer = images.layer(("d", None, {}), ("d/old", b"old", {}), ("d/sub", None, {}),
                         ("d/sub/old", b"old", {}))
    assert daemon.api.post("/images/load", images.docker_archive(
        ["removed:1"], [images.busybox(), layer], {})).status == 200
    cid = make(Image="removed:1", Cmd=["sh", "-c", "[ -e /flag ] && find /d | sort || rm -r /d; > /flag"])
    daemon.api.ok("POST", "/containers/%s/start" % cid)
    daemon.api.ok("POST", "/containers/%s/wait" % cid)
    assert daemon.api.call("PUT", "/containers/%s/archive" % cid, archive(
        ("d", None, {}), ("d/sub", None, {}), ("d/sub/new", b"new", {})), path="/").status == 200
    daemon.api.ok("POST", "/containers/%s/start" % cid)
    daemon.api.ok("POST", "/containers/%s/wait" % cid)
    out = cleat.demux(daemon.api.get("/containers/%s/logs" % cid, stdout=1, stderr=1).body)
    assert b"".join(out).decode().split() == ["/d", "/d/sub", "/d/sub/new"]
    daemon.api.delete("/containers/" + cid, force=1)
    daemon.api.delete("/images/removed:1", force=1)


def test_no_whiteouts_by_archive(stopped):
    put, look = stopped
    r = put(("w", None, {}), ("w/passwd", b"", {**CHAR, "devmajor": 0, "devminor": 0}), status=500)
    assert "Operation not permitted" in r.message
    put(("w/.wh.x", b"a file", {}), ("w/null", b"", {**CHAR, "devmajor": 1, "devminor": 3}))
    assert look("cd /tmp/w; cat .wh.x; stat -c '%t %T' null; ls passwd 2>&1") == (
        "a file1 3\nls: passwd: No such file or directory")


def test_copies_leave_nothing_behind(daemon, stopped):
    put, look = stopped
    put(("x", None, {}), ("x/f", b"f", {}))
    top = os.path.join(daemon.data_root, "containers", put.cid)
    assert "copy-work" not in os.listdir(top)
    os.mkdir(os.path.join(top, "copy-work"))  # of a daemon that was killed
    put(("x/g", b"g", {}))
    assert "copy-work" not in os.listdir(top)
    assert look("cat /tmp/x/f /tmp/x/g") == "fg"
