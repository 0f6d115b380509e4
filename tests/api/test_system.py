"""Ping, versions and negotiation, info, the shape of every error, events."""
import json
import threading
import time

import pytest

from cleat import until


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_ping(api, method):
    r = api.call(method, "/_ping")
    assert r.status == 200 and r.body == (b"OK" if method == "GET" else b"")
    assert r.headers["Api-Version"] == "1.51"
    assert r.headers["Ostype"] == "linux"
    assert r.headers["Docker-Experimental"] == "false"
    assert "no-cache" in r.headers["Cache-Control"]
    assert r.headers["Content-Type"].startswith("text/plain")
    assert r.headers["Server"]


def test_version(api):
    v = api.ok("GET", "/version")
    assert (v["ApiVersion"], v["MinAPIVersion"], v["Os"]) == ("1.51", "1.24", "linux")
    assert v["Arch"] in ("amd64", "arm64") and v["KernelVersion"]
    engine = v["Components"][0]
    assert engine["Name"] == "Engine" and engine["Version"] == v["Version"]
    assert engine["Details"]["ApiVersion"] == "1.51"


@pytest.mark.parametrize("minor", [24, 30, 41, 42, 43, 44, 47, 50, 51])
def test_every_version_is_served(api, minor):
    old = api.at("1.%d" % minor)
    assert old.get("/_ping").status == 200
    assert old.get("/containers/json").status == 200
    assert old.get("/info").status == 200


@pytest.mark.parametrize("version,text", [
    ("1.52", "client version 1.52 is too new. Maximum supported API version is 1.51"),
    ("1.23", "client version 1.23 is too old. Minimum supported API version is 1.24, please "
             "upgrade your client to a newer version")])
def test_versions_out_of_range(api, version, text):
    r = api.at(version).get("/containers/json")
    assert r.status == 400 and r.message == text
    assert r.headers["Api-Version"] == "1.51"


def test_info(api, daemon):
    info = api.ok("GET", "/info")
    assert info["DockerRootDir"] == daemon.data_root
    assert info["OSType"] == "linux" and info["NCPU"] >= 1 and info["MemTotal"] > 1 << 26
    assert info["Images"] >= 2 and info["LoggingDriver"] == "json-file"
    assert info["CgroupDriver"] in ("cgroupfs", "systemd") and info["CgroupVersion"] in "12"
    assert any("seccomp" in x for x in info["SecurityOptions"])
    assert info["Swarm"]["LocalNodeState"] == "inactive"
    assert "bridge" in info["Plugins"]["Network"] and "json-file" in info["Plugins"]["Log"]
    assert info["DefaultRuntime"] in info["Runtimes"]


def test_info_counts_containers(api, make, sleeper):
    before = api.ok("GET", "/info")
    make(Cmd=["true"])
    api.ok("POST", "/containers/%s/pause" % sleeper)
    after = api.ok("GET", "/info")
    api.ok("POST", "/containers/%s/unpause" % sleeper)
    assert after["Containers"] == before["Containers"] + 1
    assert after["ContainersPaused"] == before["ContainersPaused"] + 1
    assert after["ContainersStopped"] >= 1


@pytest.mark.parametrize("method,path", [
    ("GET", "/nope"), ("GET", "/v1.43/nope"), ("DELETE", "/version"), ("POST", "/containers/json"),
    ("GET", "/v1.x/info"), ("GET", "/")])
def test_unknown_routes(api, method, path):
    r = api.call(method, path)
    assert r.status == 404 and r.message == "page not found"
    assert r.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("method,path,text", [
    ("GET", "/containers/nope/json", "No such container: nope"),
    ("POST", "/containers/nope/start", "No such container: nope"),
    ("POST", "/containers/nope/stop", "No such container: nope"),
    ("POST", "/containers/nope/kill", "No such container: nope"),
    ("POST", "/containers/nope/pause", "No such container: nope"),
    ("POST", "/containers/nope/wait", "No such container: nope"),
    ("GET", "/containers/nope/logs?stdout=1", "No such container: nope"),
    ("GET", "/containers/nope/top", "No such container: nope"),
    ("GET", "/containers/nope/stats?stream=0", "No such container: nope"),
    ("POST", "/containers/nope/rename?name=x", "No such container: nope"),
    ("DELETE", "/containers/nope", "No such container: nope"),
    ("GET", "/exec/nope/json", "No such exec instance: nope"),
    ("GET", "/images/nope/json", "No such image: nope:latest"),
    ("GET", "/images/nope:1/history", "No such image: nope:1"),
    ("DELETE", "/images/nope", "No such image: nope:latest"),
    ("POST", "/images/nope/tag?repo=x", "No such image: nope:latest")])
def test_not_found(api, method, path, text):
    r = api.call(method, path)
    assert r.status == 404 and r.message.endswith(text), r


def test_attach_to_nothing(api):
    r = api.post("/containers/nope/attach?stream=1")  # docker's answer is plain text here
    assert r.status == 404 and b"No such container: nope" in r.body


BODIES = [b"{", b"[]", b"nonsense", b"", b'{"Image": 5}', b'{"Image": "busybox", "Cmd": {}}',
          b'{"Image": "busybox", "HostConfig": {"Memory": "1g"}}',
          b'{"Image": "busybox", "HostConfig": []}', b'{"Image": "busybox", "Env": [1]}',
          b'{"Image": "busybox"} {"x": 1}', b'{"Image": "a", "Image": "b"}',
          b'{"Image": "busy\xffbox"}', b'{"a":' * 100000, b"[" * 100000,
          b'{"Image": "busybox", "HostConfig": {"Memory": 1e400}}',
          b'{"Image": "busybox", "HostConfig": {"Memory": 99999999999999999999}}',
          b'{"Image": "busybox", "Labels": {"a": 1}}', b"{}", b"null"]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_malformed_bodies(api, body):
    r = api.post("/containers/create", body, headers={"Content-Type": "application/json"})
    assert r.status == 400 and r.message, r


def test_body_of_another_type(api):
    r = api.post("/containers/create", b"{}", headers={"Content-Type": "text/plain"})
    assert r.status == 400 and "Content-Type" in r.message


def test_names_of_10_megabytes(api):
    r = api.post("/containers/create", {"Image": "x" * 10_000_000})
    assert r.status in (400, 404, 413) and len(r.body) < 100_000
    r = api.post("/containers/create", {"Image": "busybox", "Hostname": "h" * 10_000_000})
    assert r.status in (201, 400, 413), r
    if r.status == 201:
        api.ok("DELETE", "/containers/" + r.json["Id"])


def test_long_header_and_path(api):
    r = api.get("/containers/" + "x" * 100_000 + "/json")
    assert r.status in (400, 404, 414, 431)
    r = api.get("/info", headers={"X-Long": "y" * 200_000})
    assert r.status in (200, 400, 431)


# ---- events ----

def test_events_of_a_life(api, make, name):
    since = time.time()
    cid = make(start=True, cname=name, Cmd=["true"], Labels={"colour": "red"})
    api.ok("POST", "/containers/%s/wait" % cid)
    until(lambda: not api.ok("GET", "/containers/%s/json" % cid)["State"]["Running"])
    api.ok("DELETE", "/containers/" + cid)
    r = api.get("/events", since="%.9f" % since, until="%.9f" % time.time(),
                filters={"container": [name]})
    assert r.headers["Content-Type"].startswith("application/json")
    events = r.lines
    assert [e["Action"] for e in events] == ["create", "start", "die", "destroy"]
    for e in events:
        assert e["Type"] == "container" and e["scope"] == "local" and e["Actor"]["ID"] == cid
        assert e["time"] == e["timeNano"] // 10**9
        assert e["status"] == e["Action"] and e["id"] == cid and e["from"] == "busybox"
        attributes = e["Actor"]["Attributes"]
        assert (attributes["name"], attributes["image"], attributes["colour"]) == \
            (name, "busybox", "red")
    assert events[2]["Actor"]["Attributes"]["exitCode"] == "0"
    assert [e["timeNano"] for e in events] == sorted(e["timeNano"] for e in events)


def test_events_of_the_network(api, make):
    since = time.time()
    cid = make(start=True, Cmd=["true"])
    api.ok("POST", "/containers/%s/wait" % cid)

    def seen():
        return [(e["Action"], e["Actor"]["Attributes"].get("name"))
                for e in api.get("/events", since="%.9f" % since, until="%.9f" % time.time(),
                                 filters={"type": ["network"]}).lines
                if e["Actor"]["Attributes"].get("container") == cid]
    until(lambda: seen() == [("connect", "bridge"), ("disconnect", "bridge")], what=seen)


def test_events_stream_as_they_happen(api, make):
    conn, resp = api.stream("GET", "/events", filters={"event": {"create": True}},
                            timeout=10)
    got = []

    def read():
        got.append(json.loads(resp.readline()))
    reader = threading.Thread(target=read)
    reader.start()
    cid = make(Cmd=["true"])
    reader.join(10)
    conn.close()
    assert got and got[0]["Action"] == "create" and got[0]["id"] == cid


@pytest.mark.parametrize("filters,want", [
    ({"event": ["start"]}, ["start"]), ({"label": ["kind=a"]}, ["create", "start", "die"]),
    ({"label": ["kind=b"]}, []), ({"image": ["busybox"]}, ["create", "start", "die"]),
    ({"type": ["image"]}, []), ({"scope": ["swarm"]}, [])])
def test_events_filters(api, make, filters, want):
    since = time.time()
    cid = make(start=True, Cmd=["true"], Labels={"kind": "a"})
    api.ok("POST", "/containers/%s/wait" % cid)
    until(lambda: api.ok("GET", "/containers/%s/json" % cid)["State"]["Status"] == "exited")
    rows = api.get("/events", since="%.9f" % since, until="%.9f" % time.time(),
                   filters=filters).lines
    assert [e["Action"] for e in rows if e["Actor"]["ID"] == cid] == want


def test_events_bad_arguments(api):
    for query in ({"since": "yesterday"}, {"filters": "{"}, {"since": "20", "until": "10"}):
        assert api.get("/events", **query).status in (400, 500), query


# ---- networks that are always there ----

def test_predefined_networks(api, sleeper):
    found = {n["Name"]: n for n in api.ok("GET", "/networks")}
    assert set(found) == {"bridge", "host", "none"}
    assert len({n["Id"][:12] for n in found.values()}) == 3  # what a command line shows of an id
    bridge = api.ok("GET", "/networks/" + found["bridge"]["Id"])
    assert bridge == api.ok("GET", "/networks/bridge") and sleeper in bridge["Containers"]
    subnet = bridge["IPAM"]["Config"][0]["Subnet"]
    address = bridge["Containers"][sleeper]["IPv4Address"]
    assert address.split("/")[1] == subnet.split("/")[1]
    assert [n["Name"] for n in api.ok("GET", "/networks", filters={"driver": ["host"]})] == ["host"]
    r = api.delete("/networks/host")
    assert r.status == 403 and "is a pre-defined network and cannot be removed" in r.message
    r = api.get("/networks/nope")
    assert r.status == 404 and r.message == "network nope not found"
    assert api.ok("POST", "/networks/prune") == {"NetworksDeleted": None}


def test_nothing_to_list_or_prune(api):
    assert api.ok("GET", "/plugins") == []
    assert api.ok("POST", "/build/prune")["SpaceReclaimed"] == 0
    for method, path in (("GET", "/swarm"), ("POST", "/swarm/init"), ("GET", "/nodes")):
        r = api.call(method, path)
        assert r.status == 503 and "not a swarm manager" in r.message
