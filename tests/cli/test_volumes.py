"""Volumes: named, anonymous, of other containers; filled from the image; kept, pruned, removed."""
import json
import os
import re
import subprocess

import pytest

import fixtures
import images


@pytest.fixture(scope="module")
def image(daemon):
    """Has something at /data, which is a VOLUME, and at /filled, which is not."""
    layer = images.layer(("data", None, {"mode": 0o750, "uid": 1000, "gid": 1001}),
                         ("data/seed", b"from the image", {"uid": 1000}),
                         ("data/sub", None, {"mode": 0o700}), ("data/sub/deep", b"deep", {}),
                         ("filled", None, {"mode": 0o755}), ("filled/x", b"x", {"mode": 0o600}))
    body = images.docker_archive(["volumes:1"], [images.busybox(), layer],
                                 {"Volumes": {"/data": {}}})
    assert daemon.api.post("/images/load", body).status == 200
    yield "volumes:1"
    daemon.api.delete("/images/volumes:1", force=1)


@pytest.fixture
def vol(daemon, name):
    """Names of volumes; removed afterwards."""
    made = []

    def new(suffix=""):
        made.append("vol-" + name + suffix)
        return made[-1]
    yield new
    for v in made:
        daemon.api.delete("/volumes/" + v, force=1)


def volumes(cli, *args):
    return cli.ok("volume", "ls", "-q", *args).split()


# ---- the commands ----

def test_life_of_a_volume(cli, vol):
    v = vol()
    assert cli.ok("volume", "create", "--label", "a=b", v) == v
    assert cli.ok("volume", "create", v) == v  # again is fine
    shown, = json.loads(cli.ok("volume", "inspect", v))
    assert (shown["Name"], shown["Driver"], shown["Scope"]) == (v, "local", "local")
    assert shown["Labels"] == {"a": "b"} and shown["Options"] is None
    assert os.path.isdir(shown["Mountpoint"]) and shown["Mountpoint"].endswith("/%s/_data" % v)
    assert v in volumes(cli) and v in volumes(cli, "--filter", "label=a=b")
    assert v not in volumes(cli, "--filter", "label=a=c")
    assert v in volumes(cli, "--filter", "name=" + v) and v in volumes(cli, "-f", "dangling=true")
    assert v not in volumes(cli, "-f", "dangling=false")
    assert cli.ok("volume", "rm", v) == v
    assert v not in volumes(cli) and not os.path.exists(shown["Mountpoint"])
    done = cli("volume", "rm", v)
    assert done.returncode == 1 and "get %s: no such volume" % v in done.stderr
    assert cli("volume", "rm", "-f", v).returncode == 0


def test_name_of_its_own(cli):
    v = cli.ok("volume", "create")
    assert re.fullmatch("[0-9a-f]{64}", v)
    assert cli.ok("volume", "rm", v) == v


@pytest.mark.parametrize("args,part", [
    (["a/b"], "includes invalid characters for a local volume name"),
    (["v"], "volume name is too short, names should be at least two alphanumeric characters"),
    (["-x"], "unknown shorthand flag"), (["--driver", "nope", "vv"], 'plugin "nope" not found'),
    (["--opt", "colour=red", "vv"], 'invalid option: "colour"'),
    (["--opt", "type=tmpfs", "vv"], 'missing required option: "device"'),
    (["--opt", "o=bind", "--opt", "device=/x", "vv"], 'missing required option: "type"'),
    (["--opt", "device=/x", "vv"], 'missing required option: "type"'),
    (["--opt", "size=lots", "vv"], "invalid size: 'lots'"),
    (["-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "size=1m", "vv"], "size limits a directory")])
def test_bad_volumes(cli, args, part):
    done = cli("volume", "create", *args)
    assert done.returncode != 0 and part in done.stderr, done
    assert "vv" not in volumes(cli)


# ---- in containers ----

def test_data_survives_containers(cli, vol):
    v = vol()
    cli.ok("run", "--rm", "-v", v + ":/d", "busybox", "sh", "-c", "echo kept > /d/f")
    assert cli.ok("run", "--rm", "-v", v + ":/d:ro", "busybox", "cat", "/d/f") == "kept"
    done = cli("run", "--rm", "-v", v + ":/d:ro", "busybox", "touch", "/d/g")
    assert done.returncode == 1 and "Read-only file system" in done.stderr
    assert cli.ok("run", "--rm", "--mount", "type=volume,src=%s,dst=/m" % v, "busybox", "cat",
                  "/m/f") == "kept"


def test_in_use(cli, box, vol):
    c, v = box(), vol()
    cid = cli.ok("create", "--name", c, "-v", v + ":/d", "busybox", "true")
    done = cli("volume", "rm", v)
    assert done.returncode == 1 and "volume is in use - [%s]" % cid in done.stderr
    assert cli("volume", "rm", "-f", v).returncode == 1
    mount, = json.loads(cli.ok("inspect", c))[0]["Mounts"]
    assert (mount["Type"], mount["Name"], mount["Destination"], mount["RW"], mount["Driver"]) == (
        "volume", v, "/d", True, "local")
    assert cli.ok("ps", "-aq", "--no-trunc", "--filter", "volume=" + v) == cid
    cli.ok("rm", "-v", c)
    assert v in volumes(cli)  # named ones stay
    cli.ok("volume", "rm", v)


def test_filled_from_the_image(cli, image, vol):
    v = vol()
    out = cli.ok("run", "--rm", "-v", v + ":/data", image, "sh", "-c",
                 "cat /data/seed /data/sub/deep; stat -c ' %u:%g %a' /data /data/seed; rm /data/seed")
    assert out == "from the imagedeep 1000:1001 750\n 1000:0 644"
    again = cli("run", "--rm", "-v", v + ":/data", image, "ls", "/data")
    assert again.stdout == "sub\n"  # it is not empty: not filled again
    other = vol("-2")
    assert cli.ok("run", "--rm", "-v", other + ":/filled", image, "cat", "/filled/x") == "x"
    third = vol("-3")
    assert cli.ok("run", "--rm", "-v", third + ":/data:nocopy", image, "ls", "/data") == ""
    assert cli.ok("run", "--rm", "--mount", "type=volume,dst=/filled,volume-nocopy", image, "ls",
                  "/filled") == ""


def test_filled_by_one_of_many(cli, image, vol):
    """Containers that are made at once share one volume: one fills it, nobody trips over it."""
    v = vol()
    runs = [cli.popen("run", "--rm", "-v", v + ":/data", image, "cat", "/data/seed",
                      "/data/sub/deep") for _ in range(8)]
    for p in runs:
        out, err = p.communicate(timeout=60)
        assert (p.returncode, out) == (0, b"from the imagedeep"), err


def test_anonymous_volumes(cli, box, image):
    c = box()
    before = set(volumes(cli))
    cli.ok("run", "--name", c, "-v", "/more", image, "sh", "-c", "echo 1 > /data/new; touch /more/x")
    made = set(volumes(cli)) - before
    assert len(made) == 2
    mounts = {m["Destination"]: m for m in json.loads(cli.ok("inspect", c))[0]["Mounts"]}
    assert set(mounts) == {"/data", "/more"} and {m["Name"] for m in mounts.values()} == made
    cli.ok("start", "-a", c)
    assert os.path.exists(mounts["/data"]["Source"] + "/new")
    assert cli.ok("diff", c) == ""  # what is written there is no change of the container
    cli.ok("rm", c)
    assert made <= set(volumes(cli))  # without -v they stay
    assert made & set(cli.ok("volume", "prune", "-f").split())
    assert not made & set(volumes(cli))


@pytest.mark.parametrize("how", ["rm -v", "--rm"])
def test_anonymous_volumes_go(cli, box, image, how):
    before, c = set(volumes(cli)), box()
    cli.ok("run", *(["--rm"] if how == "--rm" else []), "--name", c, image, "true")
    if how == "rm -v":
        assert set(volumes(cli)) - before
        cli.ok("rm", "-v", c)
    assert set(volumes(cli)) == before


def test_a_mount_replaces_the_image_volume(cli, box, image, vol, tmp_path):
    before, c = set(volumes(cli)), box()
    cli.ok("create", "--name", c, "-v", "%s:/data" % tmp_path, image, "true")
    assert [m["Type"] for m in json.loads(cli.ok("inspect", c))[0]["Mounts"]] == ["bind"]
    d = box("-tmpfs")
    cli.ok("create", "--name", d, "--tmpfs", "/data", image, "true")
    assert set(volumes(cli)) == before


def test_volumes_from(cli, box, vol, tmp_path):
    first, v = box(), vol()
    (tmp_path / "f").write_text("bound")
    cli.ok("run", "--name", first, "-v", v + ":/v", "-v", "%s:/b" % tmp_path, "-v", "/anon",
           "busybox", "sh", "-c", "echo shared > /v/f; echo anon > /anon/f")
    out = cli.ok("run", "--rm", "--volumes-from", first, "busybox", "cat", "/v/f", "/b/f", "/anon/f")
    assert out == "shared\nboundanon"
    done = cli("run", "--rm", "--volumes-from", first + ":ro", "busybox", "touch", "/v/g")
    assert done.returncode == 1 and "Read-only" in done.stderr
    assert len(json.loads(cli.ok("inspect", first))[0]["Mounts"]) == 3  # --rm took none of them
    done = cli("run", "--rm", "--volumes-from", "nope", "busybox", "true")
    assert done.returncode == 125 and "No such container: nope" in done.stderr
    cli.ok("rm", "-v", first)


def test_driver_options(cli, vol, tmp_path):
    v = vol()
    (tmp_path / "f").write_text("device")
    cli.ok("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device=%s" % tmp_path, v)
    assert cli.ok("run", "--rm", "-v", v + ":/d", "busybox", "cat", "/d/f") == "device"
    t = vol("-tmpfs")
    cli.ok("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=64k,uid=1000",
           t)
    out = cli.ok("run", "--rm", "-v", t + ":/d", "busybox", "sh", "-c",
                 "df -k /d | tail -1 | awk '{print $2}'; stat -c %u /d")
    assert out == "64\n1000"


def test_a_directory_as_a_volume(cli, image, vol, tmp_path):
    """It is filled like any, and a part of it can be mounted."""
    v = vol()
    cli.ok("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device=%s" % tmp_path, v)
    out = cli.ok("run", "--rm", "-v", v + ":/data", image, "stat", "-c", "%u:%g %a", "/data/seed")
    assert out == "1000:0 644" and (tmp_path / "seed").read_text() == "from the image"
    assert cli.ok("run", "--rm", "--mount", "type=volume,source=%s,target=/d,volume-subpath=sub" % v,
                  "busybox", "cat", "/d/deep") == "deep"
    cli.ok("volume", "rm", v)
    assert (tmp_path / "seed").exists()  # the directory is the user's


def test_a_disk_as_a_volume(cli, vol, tmp_path):
    tree, disk = tmp_path / "tree", tmp_path / "disk"
    (tree / "part").mkdir(parents=True)
    (tree / "part" / "f").write_text("on the disk")
    for cmd in (["truncate", "-s", "4M", disk], ["mkfs.ext4", "-q", "-d", tree, disk]):
        subprocess.run(cmd, check=True)
    made = subprocess.run(["losetup", "--show", "-f", disk], capture_output=True, text=True)
    if made.returncode:
        pytest.skip("no loop device: " + made.stderr.strip())
    device, v = made.stdout.strip(), vol()
    try:
        cli.ok("volume", "create", "-o", "type=ext4", "-o", "device=" + device, "-o", "o=noatime", v)
        mount = "type=volume,source=%s,target=/d" % v
        assert cli.ok("run", "--rm", "--mount", mount, "busybox", "cat", "/d/part/f") == "on the disk"
        cli.ok("run", "--rm", "--mount", mount + ",volume-subpath=part", "busybox", "sh", "-c",
               "cat /d/f; echo more > /d/g; grep ' /d ' /proc/mounts | grep -q noatime")
        assert cli.ok("run", "--rm", "--mount", mount + ",volume-subpath=part,readonly", "busybox",
                      "sh", "-c", "cat /d/g; touch /d/h 2>&1 || true").startswith("more\ntouch: /d/h: R")
        r = cli("run", "--rm", "--mount", mount + ",volume-subpath=none", "busybox", "true")
        assert r.returncode in (125, 127) and "No such file" in r.stderr
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


@pytest.mark.parametrize("args,part", [
    (["--storage-opt", "colour=red"], "unknown option colour"),
    (["--storage-opt", "size=lots"], "invalid size: 'lots'")])
def test_bad_limits_of_layers(cli, args, part):
    r = cli("create", *args, "busybox", "true")
    assert r.returncode != 0 and part in r.stderr, r


def test_limits_that_the_file_system_has_not(cli, daemon, box, vol):
    """No limit is better than one that is not kept to. tests/vm/test_quota.py has those that are."""
    options = next(m.split()[3] for m in reversed(open("/proc/self/mounts").read().splitlines())
                   if (daemon.data_root + "/").startswith(m.split()[1].rstrip("/") + "/"))
    if "prjquota" in options or "pquota" in options:
        pytest.skip("the file system has quotas here")
    before = set(volumes(cli))
    r = cli("volume", "create", "-o", "size=1m", vol())
    assert r.returncode == 1 and "supported only over ext4" in r.stderr, r
    assert set(volumes(cli)) == before
    r = cli("create", "--name", box(), "--storage-opt", "size=1m", "busybox", "true")
    assert r.returncode != 0 and "--storage-opt size: supported only over ext4" in r.stderr, r
    assert cli.ok("ps", "-aq", "-f", "status=created") == ""
    assert cli.ok("run", "--rm", "--storage-opt", "size=0", "busybox", "echo", "fine") == "fine"


@pytest.mark.parametrize("kind,device,o,part", [
    ("nfs", ":/x", "addr=none.invalid,ro", "resolve the address of server none.invalid"),
    ("nfs4", "none.invalid:/x", "ro", "resolve the address of server none.invalid"),
    ("cifs", "//none.invalid/x", "username=u", "resolve the address of server none.invalid")])
def test_servers_of_volumes(cli, vol, kind, device, o, part):
    v = vol()
    cli.ok("volume", "create", "-o", "type=" + kind, "-o", "device=" + device, "-o", "o=" + o, v)
    r = cli("run", "--rm", "-v", v + ":/d", "busybox", "true")
    assert r.returncode == 125 and part in r.stderr, r


def test_prune_by_labels(cli, vol, daemon):
    a, b, c = vol("-a"), vol("-b"), vol("-c")
    for v, label in ((a, "go=yes"), (b, "go=no"), (c, "stay")):
        cli.ok("volume", "create", "--label", label, v)
    since = daemon.api.ok("GET", "/info")["SystemTime"]
    cli.ok("volume", "prune", "-f", "--filter", "label=go=yes")
    assert {a, b, c} <= set(volumes(cli))  # they have names
    assert cli.ok("volume", "prune", "-f", "-a", "--filter", "label=go=yes").split()[:3] == [
        "Deleted", "Volumes:", a]
    cli.ok("volume", "prune", "-f", "-a", "--filter", "label!=stay")
    assert c in volumes(cli) and b not in volumes(cli)
    events = daemon.api.get("/events", since=since, until=daemon.api.ok("GET", "/info")["SystemTime"],
                            filters='{"type":["volume"],"event":["prune"]}').body.decode()
    assert [json.loads(e)["Actor"]["Attributes"] for e in events.splitlines()] == [
        {"reclaimed": "0"}] * 3


@pytest.mark.parametrize("args,part", [
    (["-v", "a/b:/d"], "includes invalid characters"), (["-v", "vv:relative"], "absolute"),
    (["-v", "vv:/"], "destination can't be '/'"), (["-v", "vv:/d", "-v", "ww:/d"], "Duplicate mount"),
    (["--mount", "type=volume,src=/abs,dst=/d"], "volume")])
def test_bad_mounts(cli, args, part):
    before = set(volumes(cli))
    done = cli("run", "--rm", *args, "busybox", "true")
    assert done.returncode == 125 and part in done.stderr, done
    assert set(volumes(cli)) == before and cli.ok("ps", "-aq", "-f", "status=created") == ""


def test_failed_create_leaves_nothing(cli, image):
    before = set(volumes(cli))
    done = cli("create", "--name", "bad/name", image)
    assert done.returncode != 0
    done = cli("run", "--rm", "--mount", "type=volume,dst=/d,volume-driver=nope", image, "true")
    assert done.returncode == 125 and 'plugin "nope" not found' in done.stderr
    assert set(volumes(cli)) == before and cli.ok("ps", "-aq", "-f", "status=created") == ""


def test_copying_and_disk_usage(cli, box, vol, tmp_path):
    c, v = box(), vol()
    (tmp_path / "f").write_text("12345")
    cli.ok("create", "--name", c, "-v", v + ":/d", "busybox", "true")
    cli.ok("cp", tmp_path / "f", c + ":/d/f")  # the container does not run
    assert cli.ok("run", "--rm", "-v", v + ":/x", "busybox", "cat", "/x/f") == "12345"
    rows = [r.split() for r in cli.ok("system", "df", "-v").splitlines() if r.startswith(v)]
    assert rows == [[v, "1", "5B"]]


def test_docker_py(daemon, vol):
    docker = pytest.importorskip("docker")
    client = docker.DockerClient(base_url=daemon.url, version="auto")
    v = client.volumes.create(vol(), labels={"py": "yes"})
    out = client.containers.run("busybox", "sh -c 'echo py > /d/f; cat /d/f'", remove=True,
                                volumes={v.name: {"bind": "/d", "mode": "rw"}})
    assert out == b"py\n"
    assert [x.name for x in client.volumes.list(filters={"label": "py=yes"})] == [v.name]
    v.remove()


def test_volumes_outlive_the_daemon(own_daemon):
    d = own_daemon().start()
    fixtures.load(d)
    api = d.api
    api.ok("POST", "/volumes/create", {"Name": "kept", "Labels": {"a": "b"}})
    cid = api.ok("POST", "/containers/create", {
        "Image": "busybox", "Cmd": ["sh", "-c", "echo 1 >> /d/f; wc -l < /d/f"],
        "Volumes": {"/anon": {}}, "HostConfig": {"Binds": ["kept:/d"]}})["Id"]
    before = api.ok("GET", "/containers/%s/json" % cid)["Mounts"]
    d.crash()
    found = os.path.join(d.data_root, "volumes", "found", "_data")
    os.makedirs(found)  # from a backup, say
    with open(os.path.join(found, "f"), "w", encoding="utf-8") as f:
        f.write("data")
    d.start()
    assert api.ok("GET", "/containers/%s/json" % cid)["Mounts"] == before
    assert api.ok("GET", "/volumes/kept")["Labels"] == {"a": "b"}
    assert api.ok("GET", "/volumes/found")["Mountpoint"] == found
    assert api.delete("/volumes/kept").status == 409
    for _ in range(2):
        api.ok("POST", "/containers/%s/start" % cid)
        assert api.ok("POST", "/containers/%s/wait" % cid)["StatusCode"] == 0
    with open(api.ok("GET", "/volumes/kept")["Mountpoint"] + "/f", encoding="utf-8") as f:
        assert f.read() == "1\n1\n"


def test_exec_makes_no_directories(cli, box, tmp_path):
    """It needs the process alone, not what the container was once mounted from."""
    c, gone = box(), tmp_path / "gone"
    cli.ok("run", "-d", "--name", c, "-v", "%s:/d" % gone, "busybox", "sleep", "1000")
    gone.rmdir()
    assert cli.ok("exec", c, "echo", "fine") == "fine"
    assert not gone.exists()
    cli.ok("kill", c)


def test_looking_makes_no_directories(cli, box, tmp_path):
    """Only a start makes the directories that -v names: diff, cp and commit leave the host alone."""
    host, name = tmp_path / "gone", box()
    cli.ok("create", "--name", name, "-v", "%s:/data" % host, "busybox", "true")
    cli.ok("diff", name)
    cli("cp", "%s:/etc/passwd" % name, str(tmp_path / "passwd"))
    image = cli.ok("commit", name)
    cli.ok("rmi", image)
    assert not host.exists()
    cli.ok("start", "-a", name)
    assert host.is_dir()


def test_subpath(cli, box, vol, tmp_path):
    """A part of a volume, found inside it whatever its symlinks say."""
    vol = vol()
    cli.ok("volume", "create", vol)
    cli.ok("run", "--rm", "-v", vol + ":/v", "busybox", "sh", "-c",
           "mkdir -p /v/a/b; echo deep > /v/a/b/f; echo top > /v/top; "
           "ln -s /etc /v/out; ln -s /a /v/in; ln -s ../../../../etc /v/up")
    mount = "type=volume,source=%s,target=/d,volume-subpath=" % vol
    assert cli.ok("run", "--rm", "--mount", mount + "a/b", "busybox", "cat", "/d/f") == "deep"
    assert cli.ok("run", "--rm", "--mount", mount + "in/b", "busybox", "cat", "/d/f") == "deep"
    assert cli.ok("run", "--rm", "--mount", mount + "top", "busybox", "cat", "/d") == "top"
    cli.ok("run", "--rm", "--mount", mount + "a", "busybox", "sh", "-c", "echo new > /d/n")
    assert cli.ok("run", "--rm", "-v", vol + ":/v", "busybox", "cat", "/v/a/n") == "new"
    for bad in ("out", "up", "missing"):
        r = cli("run", "--rm", "--mount", mount + bad, "busybox", "ls", "/d")
        assert r.returncode == 127 or r.returncode == 125 and "No such file" in r.stderr, r
        assert "passwd" not in r.stdout
    for bad in ("/a", "../a", "a/../../b"):
        r = cli("create", "--mount", mount + bad, "busybox", "true")
        assert r.returncode == 125 or r.returncode == 1
        assert "subpath must be a relative path within the volume" in r.stderr, r
    # Others see no more of it, and cp the same, running or not.
    one, two = box("-1"), box("-2")
    cli.ok("create", "--name", one, "--mount", mount + "a", "busybox", "sleep", "1000")
    assert cli.ok("run", "--rm", "--name", two, "--volumes-from", one, "busybox", "ls", "/d") == "b\nn"
    cli.ok("cp", one + ":/d/b/f", str(tmp_path / "f"))
    assert (tmp_path / "f").read_text() == "deep\n"
    (tmp_path / "g").write_text("copied\n")
    cli.ok("cp", str(tmp_path / "g"), one + ":/d/g")
    assert cli.ok("run", "--rm", "-v", vol + ":/v", "busybox", "cat", "/v/a/g") == "copied"
