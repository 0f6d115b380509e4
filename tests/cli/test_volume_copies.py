"""Whole volumes: clone, snapshot, export, import. Ours alone: docker has no such commands."""
import io
import json
import os
import subprocess
import tarfile
import threading

import pytest

import cleat
import fixtures
import images

MAKE = """cd /v; echo top > f; mkdir -p a/b; chmod 2750 a; chown 12:34 a/b; echo deep > a/b/g
ln -s ../f a/link; ln f hard; mkfifo pipe; echo x > a/b/x; chmod 4711 a/b/x; truncate -s 9000000 sparse
touch -t 202001020304 f; ln -s /etc out; chown -h 5:6 out; chmod 750 /v"""
SHOW = """cd /v; find . | sort | while read f; do stat -c '%n %F %a %u:%g %s %Y' "$f"; done
cat f a/b/g; readlink a/link out; [ f -ef hard ] && echo one; [ a/b/x -ef f ] || echo two"""


@pytest.fixture
def cli(cleat_only):
    return cleat_only


@pytest.fixture
def vol(daemon, name):
    made = []

    def new(suffix=""):
        made.append("vol-" + name + suffix)
        return made[-1]
    yield new
    for v in made:
        daemon.api.delete("/volumes/" + v, force=1)


@pytest.fixture
def full(cli, vol):
    v = vol()
    cli.ok("volume", "create", "--label", "a=b", v)
    cli.ok("run", "--rm", "-v", v + ":/v", "busybox", "sh", "-ec", MAKE)
    return v


def show(cli, v):
    return cli.ok("run", "--rm", "-v", v + ":/v:ro", "busybox", "sh", "-c", SHOW)


def inspect(cli, v):
    return json.loads(cli.ok("volume", "inspect", v))[0]


def test_clone(cli, full, vol):
    new = vol("-new")
    assert cli.ok("volume", "clone", "--label", "c=d", full, new) == new
    assert show(cli, new) == show(cli, full)
    assert inspect(cli, new)["Labels"] == {"a": "b", "c": "d"}
    sparse = os.stat(inspect(cli, new)["Mountpoint"] + "/sparse")
    assert sparse.st_size == 9000000 and sparse.st_blocks * 512 < 1000000
    cli.ok("run", "--rm", "-v", new + ":/v", "busybox", "sh", "-c", "echo other > /v/f")
    assert cli.ok("run", "--rm", "-v", full + ":/v", "busybox", "cat", "/v/f") == "top"


def test_attributes_come_along(cli, vol, tmp_path):
    v, new = vol(), vol("-new")
    cli.ok("volume", "create", v)
    top = inspect(cli, v)["Mountpoint"]
    with open(top + "/f", "w", encoding="utf-8") as f:
        f.write("x")
    try:
        os.setxattr(top + "/f", "user.note", b"kept")
        os.setxattr(top, "user.top", b"too")
    except OSError:
        pytest.skip("the file system has no user attributes")
    cli.ok("volume", "clone", v, new)
    there = inspect(cli, new)["Mountpoint"]
    assert os.getxattr(there + "/f", "user.note") == b"kept" and os.getxattr(there, "user.top") == b"too"


def test_snapshot(cli, full, daemon):
    name = cli.ok("volume", "snapshot", full)
    try:
        assert name.startswith(full + "-20") and name.endswith("Z")
        assert inspect(cli, name)["Labels"] == {"a": "b", "cleat.snapshot.of": full}
        assert cli.ok("volume", "ls", "-q", "--filter", "label=cleat.snapshot.of=" + full) == name
        assert show(cli, name) == show(cli, full)
    finally:
        daemon.api.delete("/volumes/" + name)


def test_export_and_import(cli, full, vol, tmp_path):
    file = tmp_path / "v.tar"
    cli.ok("volume", "export", "-o", file, full)
    with tarfile.open(file) as tar:
        assert {"./f", "./a/b/g", "./pipe"} <= {"./" + m.name.removeprefix("./") for m in tar}
    new, packed = vol("-new"), vol("-gz")
    assert cli.ok("volume", "import", "--label", "from=tar", new, file) == new
    assert show(cli, new) == show(cli, full)
    assert inspect(cli, new)["Labels"] == {"from": "tar"}
    subprocess.run(["gzip", "-k", file], check=True)
    cli.ok("volume", "import", packed, "-", stdin=(tmp_path / "v.tar.gz").read_bytes())
    assert show(cli, packed) == show(cli, full)


@pytest.mark.parametrize("args,part", [
    (["clone", "none", "x1"], "get none: no such volume"), (["export", "-o", "FILE", "none"], "no such volume"),
    (["clone", "FULL", "FULL"], "a volume of that name exists"),
    (["import", "FULL", "/dev/null"], "a volume of that name exists"),
    (["clone", "FULL", "a/b"], "includes invalid characters"),
    (["import", "x1", "/etc/passwd"], ""), (["import", "-o", "colour=red", "x1", "/dev/null"], "colour")])
def test_failures(cli, full, tmp_path, args, part):
    before = set(cli.ok("volume", "ls", "-q").split())
    words = {"FULL": full, "FILE": str(tmp_path / "f")}
    r = cli("volume", *[words.get(a, a) for a in args])
    assert r.returncode == 1 and part in r.stderr, r
    assert set(cli.ok("volume", "ls", "-q").split()) == before and not os.listdir(tmp_path)


def test_another_directory(cli, vol, tmp_path):
    """What is copied of it is a volume of our own."""
    v, new = vol(), vol("-new")
    (tmp_path / "f").write_text("bound")
    cli.ok("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device=%s" % tmp_path, v)
    cli.ok("volume", "clone", v, new)
    assert inspect(cli, new)["Options"] is None
    (tmp_path / "f").write_text("changed")
    assert cli.ok("run", "--rm", "-v", new + ":/d", "busybox", "cat", "/d/f") == "bound"


def test_no_file_systems(cli, vol):
    v = vol()
    cli.ok("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", v)
    for args in (["clone", v, vol("-new")], ["export", v]):
        r = cli("volume", *args)
        assert r.returncode == 1 and "not built yet" in r.stderr, r


def hostile(**links):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        images.add(tar, "out", b"", type=tarfile.SYMTYPE, linkname="/etc")
        images.add(tar, "out/cleat-planted", b"x")
        for name in links.get("names", ()):
            images.add(tar, name, b"x")
    return out.getvalue()


def test_an_archive_cannot_leave(cli, vol, daemon):
    v = vol()
    daemon.api.call("POST", "/volumes/%s/import" % v, hostile())
    daemon.api.call("POST", "/volumes/%s/import" % vol("-2"), hostile(names=["../../../planted"]))
    assert not os.path.exists("/etc/cleat-planted")
    for base, _, files in os.walk(daemon.data_root):
        assert "planted" not in files or "/volumes/" in base, base


def test_a_copy_is_of_one_moment(cli, box, vol):
    """A container that changes two files one after the other is paused meanwhile, and goes on."""
    v, c = vol(), box()
    cli.ok("run", "-d", "--name", c, "-v", v + ":/v", "busybox", "sh", "-c",
           "i=0; while :; do i=$((i+1)); echo $i > /v/t; mv /v/t /v/a; echo $i > /v/t; mv /v/t /v/b; done")
    top = inspect(cli, v)["Mountpoint"]
    cleat.until(lambda: os.path.exists(top + "/b"))
    for n in range(5):
        new = vol("-%d" % n)
        cli.ok("volume", "clone", v, new)
        there = inspect(cli, new)["Mountpoint"]
        a, b = (int(open(there + "/" + f, encoding="utf-8").read()) for f in "ab")
        assert a - b in (0, 1), (a, b)
        assert json.loads(cli.ok("inspect", c))[0]["State"]["Status"] == "running"


def test_it_is_not_removed_meanwhile(cli, vol, daemon):
    v = vol()
    cli.ok("volume", "create", v)
    with open(inspect(cli, v)["Mountpoint"] + "/big", "wb") as f:
        f.truncate(64 << 20)
    conn, resp = daemon.api.stream("GET", "/volumes/%s/export" % v)
    try:
        r = cli("volume", "rm", v)
        assert r.returncode == 1 and "it is being copied" in r.stderr, r
        cli.ok("volume", "prune", "-af")
        assert inspect(cli, v)
        assert len(resp.read()) > 64 << 20
    finally:
        conn.close()
    cleat.until(lambda: cli("volume", "rm", v).returncode == 0)


def test_two_of_one_name(cli, full, vol, daemon):
    new, answers = vol("-new"), []

    def clone():
        answers.append(daemon.api.call("POST", "/volumes/%s/clone" % full, {"Name": new}).status)
    threads = [threading.Thread(target=clone) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(answers) == [201] + [409] * 5
    assert show(cli, new) == show(cli, full)


def test_a_client_that_goes_away(cli, vol, daemon):
    """Half an archive is no volume."""
    v = vol()
    body = images.layer(("f", b"x" * 4_000_000, {}))
    r = daemon.api.call("POST", "/volumes/%s/import" % v, body[:2_000_000])
    assert r.status >= 400, r
    assert daemon.api.get("/volumes/" + v).status == 404
    cleat.until(lambda: not os.listdir(os.path.join(daemon.data_root, "trash")))


@pytest.mark.parametrize("action", ["crash@1", "error@1"])
@pytest.mark.parametrize("point", ["volume.copy.full", "volume.copy.row", "volume.copy.dir"])
def test_a_crash_leaves_all_or_nothing(own_daemon, fail_build, point, action):
    d = own_daemon(build=cleat.BUILD_FAIL)
    d.start()
    fixtures.load(d)
    d.api.ok("POST", "/volumes/create", {"Name": "from"})
    with open(d.api.ok("GET", "/volumes/from")["Mountpoint"] + "/f", "w", encoding="utf-8") as f:
        f.write("content")
    d.stop()
    d.start(env={"CLEAT_FAIL": "%s=%s" % (point, action)})
    try:
        d.api.call("POST", "/volumes/from/clone", {"Name": "to"}, timeout=20)
    except OSError:
        pass
    if d.process.poll() is None:
        d.crash()
    d.start()
    found = {v["Name"]: v["Mountpoint"] for v in d.api.ok("GET", "/volumes")["Volumes"]}
    assert set(found) in ({"from"}, {"from", "to"})
    for top in found.values():
        with open(top + "/f", encoding="utf-8") as f:
            assert f.read() == "content"
    trash = os.path.join(d.data_root, "trash")
    cleat.until(lambda: not os.listdir(trash))
    if "to" not in found:
        d.api.ok("POST", "/volumes/from/clone", {"Name": "to"})
