"""Volumes that plugins keep: the whole life of one, with every client; plugins that hang, lie and
die; daemons that are killed meanwhile."""
import json
import os
import subprocess

import pytest

import cleat
import clients
import fixtures
import images
from cleat import until
from volplugin import Plugin

SECONDS = 3  # what a plugin gets for an answer that may take long; half of it for others


@pytest.fixture(scope="module")
def sockets(tmp_path_factory):
    return tmp_path_factory.mktemp("p")


@pytest.fixture(scope="module")
def daemon(sandbox, sockets):
    d = cleat.Daemon(args=["--plugin-dir", str(sockets), "--plugin-timeout", str(SECONDS)])
    try:
        d.start()
        fixtures.load(d)
        layer = images.layer(("data", None, {"mode": 0o750, "uid": 1000, "gid": 1001}),
                             ("data/seed", b"from the image", {"uid": 1000}),
                             ("data/sub", None, {"mode": 0o700}), ("data/sub/deep", b"deep", {}))
        body = images.docker_archive(["filled:1"], [images.busybox(), layer], {})
        assert d.api.post("/images/load", body).status == 200
        yield d
    finally:
        fixtures.close(d)


@pytest.fixture
def plugin(daemon, sockets, tmp_path, name):
    p = Plugin("p-" + name, sockets, tmp_path / "plugin").start()
    yield p
    p.odd()
    for c in daemon.api.ok("GET", "/containers/json", all=1):
        daemon.api.delete("/containers/" + c["Id"], force=1, v=1)
    for v in daemon.api.ok("GET", "/volumes")["Volumes"]:
        daemon.api.delete("/volumes/" + v["Name"], force=1)
    p.close()


@pytest.fixture
def v(name):
    return "pv-" + name


def rows(api, **filters):
    return {x["Name"]: x for x in api.ok("GET", "/volumes", filters=filters)["Volumes"]}


# ---- the life of one ----

def test_life(cli, daemon, plugin, v):
    assert cli.ok("volume", "create", "-d", plugin.name, "--opt", "a=b", "--label", "l=m", v) == v
    assert plugin.calls("Create") == [{"Name": v, "Opts": {"a": "b"}}]
    assert plugin.calls()[0] == ["Plugin.Activate", {},
                                 "application/vnd.docker.plugins.v1.2+json"]
    shown, = json.loads(cli.ok("volume", "inspect", v))
    assert shown["Driver"] == plugin.name and shown["Scope"] == "global"
    assert shown["CreatedAt"] == "2020-02-02T02:02:02Z" and shown["Labels"] == {"l": "m"}
    assert shown["Status"] == {"opts": {"a": "b"}} and shown["Options"] == {"a": "b"}
    assert cli.ok("volume", "ls", "--format", "{{.Driver}} {{.Name}} {{.Scope}}",
                  "-f", "driver=" + plugin.name) == "%s %s global" % (plugin.name, v)
    assert v not in cli.ok("volume", "ls", "-q", "-f", "driver=local").split()
    assert cli.ok("run", "--rm", "-v", v + ":/d", "busybox", "sh", "-c",
                  "echo kept > /d/f; grep -c ' /d ' /proc/mounts") == "1"
    with open(plugin.file(v, "f"), encoding="utf-8") as f:
        assert f.read() == "kept\n"
    assert cli.ok("run", "--rm", "-v", v + ":/d:ro", "busybox", "sh", "-c",
                  "cat /d/f; touch /d/g 2>&1 || true").startswith("kept\ntouch: /d/g: Read-only")
    mounts, unmounts = plugin.calls("Mount"), plugin.calls("Unmount")
    assert mounts == unmounts and len({m["ID"] for m in mounts}) == 2  # one for each run
    assert plugin.ids(v) == []
    assert plugin.name in daemon.api.ok("GET", "/info")["Plugins"]["Volume"]
    assert cli.ok("volume", "rm", v) == v
    assert plugin.state() == {} and v not in rows(daemon.api)
    done = cli("volume", "inspect", v)
    assert done.returncode == 1 and "no such volume" in done.stderr.lower()


def test_docker_py(daemon, plugin, v):
    docker = pytest.importorskip("docker")
    client = docker.DockerClient(base_url=daemon.url, version="auto")
    made = client.volumes.create(v, driver=plugin.name, driver_opts={"x": "y"})
    assert made.attrs["Driver"] == plugin.name
    out = client.containers.run("busybox", "sh -c 'echo py > /d/f; cat /d/f'", remove=True,
                                mounts=[docker.types.Mount("/d", v)])
    assert out == b"py\n"
    assert [x.name for x in client.volumes.list(filters={"driver": plugin.name})] == [v]
    made.remove()
    assert plugin.state() == {}


def test_ways_to_name_the_driver(cli, daemon, plugin, v, box):
    a, b, c = v + "-a", v + "-b", box()
    assert cli.ok("run", "--rm", "--volume-driver", plugin.name, "-v", a + ":/d", "busybox", "echo",
                  "1") == "1"
    assert cli.ok("run", "--rm", "--mount", "type=volume,src=%s,dst=/d,volume-driver=%s,"
                  "volume-opt=k=w,volume-label=x=y" % (b, plugin.name), "busybox", "echo", "2") == "2"
    cli.ok("create", "--name", c, "--volume-driver", plugin.name, "-v", "/anon", "-v", a + ":/x",
           "busybox", "true")
    assert plugin.state()[b]["opts"] == {"k": "w"}
    assert rows(daemon.api)[b]["Labels"] == {"x": "y"}
    mounts = {m["Destination"]: m for m in json.loads(cli.ok("inspect", c))[0]["Mounts"]}
    assert {m["Driver"] for m in mounts.values()} == {plugin.name}
    assert len(plugin.state()) == 3
    cli.ok("rm", "-v", c)
    assert set(plugin.state()) == {a, b}  # the anonymous one went with it


def test_one_name_one_driver(cli, plugin, v):
    cli.ok("volume", "create", "-d", plugin.name, v)
    for args in (["volume", "create", "-d", "local", v],
                 ["run", "--rm", "--volume-driver", "local", "-v", v + ":/d", "busybox", "true"]):
        done = cli(*args)
        assert done.returncode != 0 and "volume name must be unique" in done.stderr, done
    assert cli.ok("volume", "create", "-d", plugin.name, v) == v  # again is fine
    assert len(plugin.calls("Create")) == 1
    done = cli("volume", "create", "-d", "nope", v + "-2")
    assert 'error looking up volume plugin nope: plugin "nope" not found' in done.stderr


def test_in_use_and_prune(cli, daemon, plugin, v, box):
    c = box()
    cli.ok("run", "-d", "--name", c, "-v", v + ":/d", "--volume-driver", plugin.name,
           "--stop-signal", "KILL", "busybox", "sleep", "1000")
    assert len(plugin.ids(v)) == 1
    mount, = json.loads(cli.ok("inspect", c))[0]["Mounts"]
    assert mount["Source"] == os.path.join(plugin.top, "mnt", v) and mount["Driver"] == plugin.name
    for args in (["rm", v], ["rm", "-f", v]):
        done = cli("volume", *args)
        assert done.returncode == 1 and "volume is in use" in done.stderr
    since = daemon.api.ok("GET", "/info")["SystemTime"]
    cli.ok("rm", "-f", c)
    assert plugin.ids(v) == []
    cli.ok("volume", "prune", "-af")
    assert v in rows(daemon.api)  # only our own are pruned
    cli.ok("volume", "rm", v)
    events = [json.loads(e) for e in daemon.api.get(
        "/events", since=since, until=daemon.api.ok("GET", "/info")["SystemTime"],
        filters='{"type":["volume"]}').body.decode().splitlines()]
    assert [(e["Action"], e["Actor"]["Attributes"].get("driver")) for e in events
            if e["Actor"]["ID"] == v] == [("unmount", plugin.name), ("destroy", plugin.name)]


def test_failed_start(cli, plugin, v):
    done = cli("run", "--rm", "-v", v + ":/d", "--volume-driver", plugin.name, "busybox", "/none")
    assert done.returncode == 127
    assert plugin.ids(v) == [] and len(plugin.calls("Unmount")) == len(plugin.calls("Mount")) == 1


def test_filled_from_the_image(cli, plugin, v):
    run = ["run", "--rm", "--volume-driver", plugin.name, "-v"]
    assert cli.ok(*run, v + ":/data", "filled:1", "sh", "-c", "cat /data/seed /data/sub/deep; "
                  "stat -c ' %u:%g %a' /data; rm /data/seed") == "from the imagedeep 1000:1001 750"
    assert cli.ok(*run, v + ":/data", "filled:1", "ls", "/data") == "sub"
    assert cli.ok(*run, v + "-2:/data:nocopy", "filled:1", "ls", "/data") == ""
    assert cli.ok(*run, v + "-3:/else", "filled:1", "ls", "/else") == ""
    assert len([m for m in plugin.calls("Mount") if m["Name"] == v + "-3"]) == 1  # nothing to copy
    assert plugin.calls("Mount") == plugin.calls("Unmount") and plugin.ids(v) == []


def test_copies_while_it_is_stopped(cli, plugin, v, box, tmp_path):
    c = box()
    (tmp_path / "f").write_text("copied")
    cli.ok("create", "--name", c, "-v", v + ":/d", "--volume-driver", plugin.name, "busybox", "true")
    cli.ok("cp", tmp_path / "f", c + ":/d/g")
    assert open(plugin.file(v, "g"), encoding="utf-8").read() == "copied"
    cli.ok("cp", c + ":/d/g", tmp_path / "back")
    assert (tmp_path / "back").read_text() == "copied"
    # docker's client is content with the archive's end, which comes a moment before
    until(lambda: plugin.ids(v) == [], 10, lambda: plugin.state())
    assert plugin.calls("Mount") == plugin.calls("Unmount")


def test_removed_right_behind_a_copy(cli, plugin, v, box, tmp_path):
    c = box()
    cli.ok("create", "--name", c, "-v", v + ":/d", "--volume-driver", plugin.name, "busybox", "true")
    for i in range(5):
        (tmp_path / "f").write_text("copied %d" % i)
        cli.ok("cp", tmp_path / "f", c + ":/d/g")
        cli.ok("cp", c + ":/d/g", tmp_path / "back")
    cli.ok("rm", c)
    cli.ok("volume", "rm", v)
    assert plugin.state() == {}


def test_clone_and_export(cleat_only, plugin, v, tmp_path):
    cli = cleat_only
    cli.ok("run", "--rm", "-v", v + ":/d", "--volume-driver", plugin.name, "busybox", "sh", "-c",
           "echo 1 > /d/f")
    cli.ok("volume", "clone", v, v + "-copy")
    assert cli.ok("run", "--rm", "-v", v + "-copy:/d", "busybox", "cat", "/d/f") == "1"
    cli.ok("volume", "export", "-o", tmp_path / "x.tar", v)
    assert "f" in subprocess.run(["tar", "tf", tmp_path / "x.tar"], capture_output=True, text=True,
                                 check=True).stdout
    assert plugin.ids(v) == []


def test_part_of_one(cleat_only, plugin, v):
    cleat_only.ok("run", "--rm", "-v", v + ":/d", "--volume-driver", plugin.name, "busybox", "sh",
                  "-c", "mkdir /d/part; echo p > /d/part/f")
    out = cleat_only.ok("run", "--rm", "--mount", "type=volume,src=%s,dst=/d,volume-subpath=part" % v,
                        "busybox", "cat", "/d/f")
    assert out == "p" and plugin.ids(v) == []


def test_many_in_one_container(cleat_only, plugin, v):
    args = [x for i in range(20) for x in ("-v", "%s-%d:/d%d" % (v, i, i))]
    out = cleat_only.ok("run", "--rm", "--volume-driver", plugin.name, *args, "busybox", "sh", "-c",
                        "for d in /d[0-9]*; do echo x > $d/f; done; ls -d /proc/1/fd/* | wc -l; "
                        "ls /d[0-9]*/f | wc -l")
    assert int(out.split()[1]) == 20 and int(out.split()[0]) <= 5  # no descriptor came in
    assert len(plugin.state()) == 20 and not any(s["ids"] for s in plugin.state().values())


# ---- what others made, and what is gone ----

def test_what_the_plugin_has(cli, daemon, plugin, v):
    """Made by another machine: listed, inspected and used without a word of ours."""
    cli.ok("volume", "create", "-d", plugin.name, v)
    plugin.stop()
    state = plugin.state()
    state[v + "-foreign"] = {"opts": {}, "ids": []}
    os.makedirs(os.path.dirname(plugin.file(v + "-foreign", "x")))
    with open(os.path.join(plugin.top, "state.json"), "w", encoding="utf-8") as f:
        json.dump(state, f)
    plugin.start()
    assert rows(daemon.api)[v + "-foreign"]["Driver"] == plugin.name
    assert json.loads(cli.ok("volume", "inspect", v + "-foreign"))[0]["Driver"] == plugin.name
    cli.ok("run", "--rm", "-v", v + "-foreign:/d", "busybox", "touch", "/d/x")
    assert os.path.exists(plugin.file(v + "-foreign", "x"))
    assert plugin.calls("Create") == [{"Name": v, "Opts": {}}]
    cli.ok("volume", "rm", v + "-foreign")
    assert set(plugin.state()) == {v}


def test_gone_behind_our_back(cli, daemon, plugin, v):
    cli.ok("volume", "create", "-d", plugin.name, "--opt", "a=b", v)
    plugin.stop()
    with open(os.path.join(plugin.top, "state.json"), "w", encoding="utf-8") as f:
        f.write("{}")
    plugin.start()
    assert v not in rows(daemon.api)
    done = cli("volume", "inspect", v)
    assert done.returncode == 1 and "no such volume" in done.stderr.lower()
    cli.ok("run", "--rm", "-v", v + ":/d", "busybox", "true")  # made again, as it was
    assert plugin.calls("Create")[-1] == {"Name": v, "Opts": {"a": "b"}}


def test_no_plugin_any_more(cli, daemon, plugin, v, box):
    c = box()
    cli.ok("create", "--name", c, "-v", v + ":/d", "--volume-driver", plugin.name, "busybox", "true")
    local = v + "-local"
    cli.ok("volume", "create", local)
    plugin.close()
    out = daemon.api.ok("GET", "/volumes")
    assert {v, local} <= {x["Name"] for x in out["Volumes"]}
    assert len(out["Warnings"]) == 1 and plugin.name in out["Warnings"][0]
    done = cli("start", c)
    assert done.returncode == 1 and 'plugin "%s" not found' % plugin.name in done.stderr
    cli.ok("rm", c)
    done = cli("volume", "rm", v)
    assert done.returncode == 1 and "not found" in done.stderr
    cli.ok("volume", "rm", "-f", v)
    assert v not in rows(daemon.api)


# ---- odd plugins ----

ODD = [({"do": "hang"}, "timed out"), ({"do": "drip"}, "timed out"), ({"do": "huge"}, "too large"),
       ({"do": "say", "body": "this is no JSON"}, "makes no sense"),
       ({"do": "say", "body": "[1]"}, "makes no sense"), ({"do": "say", "body": ""}, "makes no sense"),
       ({"do": "say", "body": '{"Err": "out of\\u001b[31m luck\\n"}'}, "out of [31m luck"),
       ({"do": "say", "body": "plain words\n", "status": 500}, "plain words"),
       ({"do": "say", "body": "", "status": 503}, "status 503"), ({"do": "die"}, "plugin p-")]


@pytest.mark.parametrize("odd,part", ODD, ids=[str(i) for i in range(len(ODD))])
@pytest.mark.parametrize("method", ["Create", "Mount", "List"])
def test_odd(daemon, plugin, v, method, odd, part):
    cli = clients.cli_or_skip("cleat", daemon)
    cli.ok("volume", "create", "-d", plugin.name, v)
    plugin.odd(**{method: odd})
    if method == "List":
        said = " ".join(daemon.api.ok("GET", "/volumes")["Warnings"])
        assert v in rows(daemon.api) or odd["do"] == "say"
    else:
        done = cli("run", "--rm", "--volume-driver", plugin.name, "-v",
                   (v if method == "Mount" else v + "-new") + ":/d", "busybox", "true")
        assert done.returncode == 125, done
        said = done.stderr
    low = said.lower()
    assert part in low or "connection" in low, said
    assert "\x1b" not in said
    plugin.odd()
    if odd["do"] == "die":
        plugin.stop()
        plugin.start()
    assert cli.ok("run", "--rm", "-v", v + ":/d", "busybox", "echo", "fine") == "fine"
    until(lambda: plugin.ids(v) == [], 10, lambda: plugin.state())


LIES = ["", "relative/path", "/", "/proc/self", "/sys", "/nowhere", "{data}", "{data}/containers",
        "{data}/..", "{exec}/shims", "{top}/link"]


@pytest.mark.parametrize("path", LIES)
def test_mountpoints_that_are_lies(daemon, plugin, v, path, tmp_path):
    cli = clients.cli_or_skip("cleat", daemon)
    os.symlink(daemon.data_root, os.path.join(plugin.top, "link"))
    path = path.format(data=daemon.data_root, exec=daemon.exec_root, top=plugin.top)
    plugin.odd(Mount={"do": "say", "body": json.dumps({"Mountpoint": path})},
               Path={"do": "say", "body": json.dumps({"Mountpoint": path})})
    done = cli("run", "--rm", "--volume-driver", plugin.name, "-v", v + ":/d", "busybox", "ls", "/d")
    assert done.returncode in (125, 127) and done.stdout == "", done  # by the words, as docker
    assert "mountpoint of volume" in done.stderr or "no absolute path" in done.stderr, done


def test_other_lies(daemon, plugin, v):
    cli = clients.cli_or_skip("cleat", daemon)
    cli.ok("volume", "create", "-d", plugin.name, v)
    plugin.odd(Get={"do": "say", "body": '{"Volume": {"Name": "other"}}'})
    assert "told of another" in cli("volume", "inspect", v).stderr
    plugin.odd(Get={"do": "say", "body": json.dumps({"Volume": {
        "Name": v, "CreatedAt": "yesterday", "Status": [1], "Mountpoint": "/a\nb"}})},
        Capabilities={"do": "say", "body": '{"Capabilities": {"Scope": "everywhere"}}'})
    shown, = json.loads(cli.ok("volume", "inspect", v))
    assert shown["Scope"] == "local" and "Status" not in shown and shown["Mountpoint"] == "/a b"
    assert shown["CreatedAt"].startswith("20")
    plugin.odd(List={"do": "say", "body": json.dumps({"Volumes": [
        {"Name": "a\x1b[2Jb"}, {"Name": ""}, None, {"Name": v}]})})
    assert set(rows(daemon.api)) == {v}


def test_not_a_volume_driver(cli, plugin, v):
    plugin.odd(**{"Plugin.Activate": {"do": "say", "body": '{"Implements": ["NetworkDriver"]}'}})
    done = cli("volume", "create", "-d", plugin.name, v)
    assert done.returncode == 1 and "does not implement VolumeDriver" in done.stderr


def test_hanging_unmount(daemon, plugin, v):
    """The container ends all the same, and the next daemon, or a removal, tries again."""
    cli = clients.cli_or_skip("cleat", daemon)
    cli.ok("volume", "create", "-d", plugin.name, v)
    plugin.odd(Unmount={"do": "hang"})
    cli.ok("run", "--rm", "-v", v + ":/d", "busybox", "true")
    assert len(plugin.ids(v)) == 1
    plugin.odd()
    cli.ok("volume", "rm", v)
    assert plugin.state() == {}


def test_slow_plugin_holds_up_nobody(daemon, plugin, v):
    cli = clients.cli_or_skip("cleat", daemon)
    cli.ok("volume", "create", "-d", plugin.name, v)
    plugin.odd(Mount={"do": "hang"})
    slow = cli.popen("run", "--rm", "-v", v + ":/d", "busybox", "true")
    until(lambda: plugin.calls("Mount"), 10)
    for _ in range(3):
        assert cli.ok("run", "--rm", "-v", v + "-local:/d", "busybox", "echo", "1") == "1"
    assert slow.poll() is None
    out, err = slow.communicate(timeout=60)
    assert slow.returncode == 125 and b"timed out" in err


# ---- where they are found ----

@pytest.mark.parametrize("kind", ["spec", "json", "dir", "tcp"])
def test_places(daemon, plugin, sockets, name, v, kind):
    cli = clients.cli_or_skip("cleat", daemon)
    other = "q-" + name
    made = []
    if kind == "dir":
        os.mkdir(sockets / other)
        os.symlink(plugin.socket, sockets / other / (other + ".sock"))
        made.append(sockets / other / (other + ".sock"))
    elif kind == "spec":
        (sockets / (other + ".spec")).write_text("unix://%s\n" % plugin.socket)
    elif kind == "json":
        (sockets / (other + ".json")).write_text(json.dumps(
            {"Name": other, "Addr": "unix://" + plugin.socket}))
    else:
        (sockets / (other + ".spec")).write_text("tcp://127.0.0.1:1\n")
    try:
        done = cli("volume", "create", "-d", other, v)
        if kind == "tcp":
            assert done.returncode == 1 and "Connection refused" in done.stderr
        else:
            assert done.returncode == 0, done
            assert rows(daemon.api)[v]["Driver"] == other
            cli.ok("volume", "rm", v)
    finally:
        for suffix in (".spec", ".json"):
            if (sockets / (other + suffix)).exists():
                (sockets / (other + suffix)).unlink()
        for m in made:
            m.unlink()
            m.parent.rmdir()


@pytest.mark.parametrize("driver,part", [("../x", "not found"), ("a/b", "not found"), ("..", "not found")])
def test_names_that_are_paths(cleat_only, v, driver, part):
    done = cleat_only("volume", "create", "-d", driver, v)
    assert done.returncode == 1 and part in done.stderr


def test_bad_files(daemon, sockets, name, v):
    cli = clients.cli_or_skip("cleat", daemon)
    for text, suffix in (("nothing", ".spec"), ("{", ".json"), ('{"Addr": 5}', ".json"),
                         ("x" * 70000, ".spec"), ("file", ".sock")):
        path = sockets / ("bad-" + name + suffix)
        path.write_text(text)
        done = cli("volume", "create", "-d", "bad-" + name, v)
        assert done.returncode == 1 and "plugin bad-" + name in done.stderr, done
        path.unlink()


# ---- daemons that end ----

@pytest.fixture
def own(own_daemon, sockets, plugin):
    d = own_daemon(args=["--plugin-dir", str(sockets), "--plugin-timeout", str(SECONDS)],
                   build=cleat.BUILD_FAIL or cleat.BUILD)
    d.start()
    fixtures.load(d)
    return d


def run(d, v, plugin, *cmd, cname="ctr-x", **host):
    cid = d.api.ok("POST", "/containers/create", {
        "Image": "busybox", "Cmd": list(cmd), "StopSignal": "SIGKILL",
        "HostConfig": {"Binds": [v + ":/d"], "VolumeDriver": plugin.name, **host}}, name=cname)["Id"]
    d.api.ok("POST", "/containers/%s/start" % cid)
    return cid


@pytest.mark.parametrize("how", ["restart", "crash"])
def test_running_through_a_restart(own, plugin, v, how):
    cid = run(own, v, plugin, "sleep", "1000")
    ids = plugin.ids(v)
    if how == "restart":
        own.restart()
    else:
        own.crash()
        own.start()
    assert plugin.ids(v) == ids and len(ids) == 1
    mount, = own.api.ok("GET", "/containers/%s/json" % cid)["Mounts"]
    assert mount["Source"].endswith("/mnt/" + v)
    own.api.ok("POST", "/containers/%s/stop" % cid, t=0)
    assert plugin.ids(v) == [] and [u["ID"] for u in plugin.calls("Unmount")] == ids
    own.api.ok("DELETE", "/containers/" + cid)
    own.api.ok("DELETE", "/volumes/" + v)
    assert plugin.state() == {}


def test_ended_while_no_daemon_ran(own, plugin, v):
    cid = run(own, v, plugin, "sleep", "1000")
    pid = own.api.ok("GET", "/containers/%s/json" % cid)["State"]["Pid"]
    own.crash()
    pidfd = os.pidfd_open(pid)
    os.kill(pid, 9)
    cleat.select.select([pidfd], [], [], 10)
    os.close(pidfd)
    assert len(plugin.ids(v)) == 1
    own.start()
    until(lambda: plugin.ids(v) == [], 10, lambda: plugin.state())
    assert plugin.calls("Mount") == plugin.calls("Unmount")


def test_daemon_starts_without_its_plugin(own, plugin, v):
    """It is as soon up as ever; what was mounted is taken back by the daemon that can."""
    cid = run(own, v, plugin, "sleep", "1000")
    pid = own.api.ok("GET", "/containers/%s/json" % cid)["State"]["Pid"]
    own.crash()
    os.kill(pid, 9)
    plugin.stop()
    own.start()
    until(lambda: not own.api.ok("GET", "/containers/%s/json" % cid)["State"]["Running"], 10)
    plugin.start()
    own.restart()
    until(lambda: plugin.ids(v) == [], 10, lambda: plugin.state())
    own.api.ok("DELETE", "/containers/" + cid)
    own.api.ok("DELETE", "/volumes/" + v)


def test_stop_does_not_wait_for_a_plugin(own, plugin, v):
    own.api.ok("POST", "/volumes/create", {"Name": v, "Driver": plugin.name})
    cid = run(own, v, plugin, "true")
    own.api.ok("POST", "/containers/%s/wait" % cid)
    own.stop()
    own.args[-1] = "3600"
    plugin.odd(Unmount={"do": "hang"})
    own.start()
    cid = run(own, v, plugin, "true", cname="ctr-y")
    until(lambda: len(plugin.calls("Unmount")) == 2, 10)
    assert own.stop(seconds=20) == 0
    plugin.odd()
    own.start()
    until(lambda: plugin.ids(v) == [], 10, lambda: plugin.state())


POINTS = [p for p in cleat.fail_points()
          if p.startswith(("volume.plugin.", "volume.fill.", "clone.file"))]


def attempt(d, method, path, body=None, **query):
    try:
        return d.api.call(method, path, body, timeout=10, **query).status < 400
    except (OSError, cleat.http.client.HTTPException, ValueError):
        return False


@pytest.mark.parametrize("action", ["crash@1", "error@1", "crash@2"])
@pytest.mark.parametrize("point", POINTS)
def test_fail_points(own_daemon, fail_build, sockets, plugin, v, point, action):
    """Whatever breaks where: in the end nothing is mounted, and everything can be removed."""
    d = own_daemon(args=["--plugin-dir", str(sockets), "--plugin-timeout", str(SECONDS)],
                   build=cleat.BUILD_FAIL)
    d.start()
    fixtures.load(d)
    body = images.docker_archive(["filled:1"], [images.busybox(), images.layer(
        ("data", None, {}), ("data/a", b"first", {}), ("data/b", b"second", {}))], {})
    assert d.api.post("/images/load", body).status == 200
    d.stop()
    d.start(env={"CLEAT_FAIL": "%s=%s" % (point, action)})
    for i in range(2):
        attempt(d, "POST", "/containers/create", {
            "Image": "filled:1", "Cmd": ["true"],
            "HostConfig": {"Binds": [v + ":/data"], "VolumeDriver": plugin.name}}, name="c%d" % i)
        attempt(d, "POST", "/containers/c%d/start" % i)
        attempt(d, "POST", "/containers/c%d/wait" % i)
        attempt(d, "DELETE", "/containers/c%d" % i)
    attempt(d, "DELETE", "/volumes/" + v)
    attempt(d, "POST", "/volumes/create", {"Name": v, "Driver": plugin.name})
    attempt(d, "DELETE", "/volumes/" + v)
    if d.process.poll() is None:
        d.crash()
    d.start()
    until(lambda: not any(s["ids"] for s in plugin.state().values()), 10, lambda: plugin.state())
    for c in d.api.ok("GET", "/containers/json", all=1):
        d.api.ok("DELETE", "/containers/" + c["Id"], force=1, v=1)
    cid = d.api.ok("POST", "/containers/create", {
        "Image": "filled:1", "Cmd": ["cat", "/data/a", "/data/b"],
        "HostConfig": {"Binds": [v + ":/data"], "VolumeDriver": plugin.name}})["Id"]
    d.api.ok("POST", "/containers/%s/start" % cid)
    assert d.api.ok("POST", "/containers/%s/wait" % cid)["StatusCode"] == 0
    d.api.ok("DELETE", "/containers/" + cid)
    for x in d.api.ok("GET", "/volumes")["Volumes"]:
        d.api.ok("DELETE", "/volumes/" + x["Name"])
    assert plugin.state() == {}
