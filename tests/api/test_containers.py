"""Containers: create, inspect, list, start to remove, with Docker's statuses and messages."""
import json
import re
import threading
import time

import pytest

from cleat import demux, until


def inspect(api, cid):
    return api.ok("GET", "/containers/%s/json" % cid)


def wait(api, cid):
    return api.ok("POST", "/containers/%s/wait" % cid)["StatusCode"]


def exited(api, cid):
    return until(lambda: inspect(api, cid)["State"]["Status"] == "exited")


# ---- create ----

def test_create_answers_id_and_warnings(api, make, name):
    r = api.post("/containers/create", {"Image": "busybox", "Cmd": ["true"]}, name=name)
    assert r.status == 201 and re.fullmatch("[0-9a-f]{64}", r.json["Id"])
    assert r.json["Warnings"] == []
    api.ok("DELETE", "/containers/" + name)


def test_created_container(api, make, name):
    cid = make(cname=name, Cmd=["sh", "-c", "exit 3"], Env=["A=1"], Labels={"x": "y"})
    c = inspect(api, cid)
    assert c["Id"] == cid and c["Name"] == "/" + name
    assert (c["Path"], c["Args"]) == ("sh", ["-c", "exit 3"])
    assert re.match(r"\d{4}-\d\d-\d\dT.*Z$", c["Created"])
    state = c["State"]
    assert (state["Status"], state["Running"], state["Pid"], state["ExitCode"]) == \
        ("created", False, 0, 0)
    assert state["StartedAt"] == state["FinishedAt"] == "0001-01-01T00:00:00Z"
    config = c["Config"]
    assert config["Hostname"] == cid[:12] and config["Image"] == "busybox"
    assert config["Env"][0] == "A=1" and any(e.startswith("PATH=") for e in config["Env"])
    assert config["Labels"] == {"x": "y"} and config["Cmd"] == ["sh", "-c", "exit 3"]
    assert config["Entrypoint"] is None and config["Volumes"] is None
    assert "ExposedPorts" not in config and "Healthcheck" not in config
    assert c["Image"].startswith("sha256:") and c["ExecIDs"] is None and c["Mounts"] == []
    host = c["HostConfig"]
    assert host["NetworkMode"] in ("default", "bridge") and not host["PortBindings"]
    assert host["LogConfig"] == {"Type": "json-file", "Config": {}}
    assert host["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0} or \
        host["RestartPolicy"]["Name"] == ""
    assert host["ShmSize"] == 64 << 20 and host["IpcMode"] == "private"
    assert "/proc/kcore" in host["MaskedPaths"] and "/proc/sys" in host["ReadonlyPaths"]
    assert host["ConsoleSize"] == [0, 0]
    assert c["Platform"] == "linux" and c["GraphDriver"]["Name"]
    assert c["NetworkSettings"]["Ports"] == {}


def test_image_settings_are_inherited(api, make):
    c = inspect(api, make(Image="cleat-test:cfg", Env=["MINE=1"]))
    config = c["Config"]
    assert (c["Path"], c["Args"]) == ("/bin/echo", ["entry", "cmd"])
    assert config["WorkingDir"] == "/home/web" and config["User"] == "web"
    assert set(config["ExposedPorts"]) == {"80/tcp", "53/udp"}
    assert config["Labels"]["from.image"] == "yes" and config["StopSignal"] == "SIGINT"
    assert {"MINE=1", "FROM_IMAGE=yes"} <= set(config["Env"])
    assert [m["Destination"] for m in c["Mounts"]] == ["/data"]
    # an entrypoint of one's own drops the image's command
    c = inspect(api, make(Image="cleat-test:cfg", Entrypoint=["/bin/ls"]))
    assert (c["Path"], c["Args"], c["Config"]["Cmd"]) == ("/bin/ls", [], None)


def test_command_as_a_string(api, make):
    cid = make(Cmd="true", Entrypoint=[])
    assert inspect(api, cid)["Config"]["Cmd"] == ["true"]


def test_id_prefix_and_name_find_it(api, make, name):
    cid = make(cname=name)
    for key in (cid, cid[:12], cid[:20], name):
        assert inspect(api, key)["Id"] == cid


@pytest.mark.parametrize("bad", ["-x", "a/b", "a b", "", "x" * 300 + "/", "ä"])
def test_invalid_names(api, bad):
    if not bad:
        pytest.skip("no name is a name of the engine's choice")
    r = api.post("/containers/create", {"Image": "busybox"}, name=bad)
    assert r.status == 400 and "Invalid container name (%s)" % bad in r.message
    assert "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed" in r.message


def test_name_conflict(api, make, name):
    cid = make(cname=name)
    r = api.post("/containers/create", {"Image": "busybox"}, name=name)
    assert r.status == 409 and r.message == (
        'Conflict. The container name "/%s" is already in use by container "%s". You have to '
        'remove (or rename) that container to be able to reuse that name.' % (name, cid))


def test_image_missing(api):
    r = api.post("/containers/create", {"Image": "nope"})
    assert r.status == 404 and r.message == "No such image: nope:latest"


@pytest.mark.parametrize("body,part", [
    ({"HostConfig": {"Memory": 1000}}, "Minimum memory limit allowed is 6MB"),
    ({"HostConfig": {"NanoCpus": -1}}, "CPU"),
    ({"HostConfig": {"NanoCpus": 10**15}}, "Range of CPUs"),
    ({"HostConfig": {"CpuPeriod": 1}}, "CPU cfs period"),
    ({"HostConfig": {"CpuQuota": 1}}, "CPU cfs quota"),
    ({"HostConfig": {"CpusetCpus": "x"}}, "Invalid value x for cpuset cpus"),
    ({"HostConfig": {"ShmSize": -1}}, "SHM size can not be less than 0"),
    ({"HostConfig": {"OomScoreAdj": 5000}}, "Invalid value 5000, range for oom score adj"),
    ({"HostConfig": {"RestartPolicy": {"Name": "sometimes"}}}, "invalid restart policy"),
    ({"HostConfig": {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}}},
     "maximum retry count"),
    ({"HostConfig": {"AutoRemove": True, "RestartPolicy": {"Name": "always"}}},
     "can't create 'AutoRemove' container with restart policy"),
    ({"HostConfig": {"LogConfig": {"Type": "paper"}}}, "paper"),
    ({"HostConfig": {"CapAdd": ["CAP_FLY"]}}, "CAP_FLY"),
    ({"HostConfig": {"Binds": ["relative:/x:rw:ro:z"]}}, "invalid"),
    ({"HostConfig": {"Binds": ["/a:relative"]}}, "relative"),
    ({"HostConfig": {"Mounts": [{"Type": "bind", "Target": "/x"}]}}, "Source"),
    ({"HostConfig": {"Mounts": [{"Type": "paper", "Target": "/x"}]}}, "paper"),
    ({"HostConfig": {"Mounts": [{"Type": "bind", "Source": "/nope", "Target": "/x"}]}},
     "bind source path does not exist: /nope"),
    ({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "99999"}]}}}, "99999"),
    ({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "x"}]}}}, "x"),
    ({"HostConfig": {"NetworkMode": "host", "Links": ["a:b"]}}, "links"),
    ({"StopSignal": "SIGNOPE"}, "SIGNOPE"), ({"WorkingDir": "relative"}, "relative"),
    ({"Env": ["=x"]}, "invalid environment variable"),
    ({"Healthcheck": {"Test": ["CMD", "x"], "Interval": -1}}, "Interval"),
])
def test_invalid_settings(api, body, part):
    r = api.post("/containers/create", {"Image": "busybox", "Cmd": ["true"], **body})
    if r.status == 201:
        api.delete("/containers/" + r.json["Id"], force=1)
    # docker sends 500 for a bind that it cannot parse
    assert r.status in ((400, 500) if "Binds" in str(body) else (400,)), r
    assert part.lower() in r.message.lower(), r


@pytest.mark.parametrize("body", [
    {"HostConfig": {"Ulimits": [{"Name": "flights", "Soft": 1, "Hard": 1}]}},
    {"HostConfig": {"PidMode": "elsewhere"}}, {"HostConfig": {"IpcMode": "elsewhere"}}])
def test_invalid_settings_that_may_show_at_start(api, body):
    r = api.post("/containers/create", {"Image": "busybox", "Cmd": ["true"], **body})
    if r.status == 201:
        cid = r.json["Id"]
        r = api.post("/containers/%s/start" % cid)
        api.ok("DELETE", "/containers/" + cid, force=1)
    assert r.status in (400, 500), r


# ---- start, stop, kill ----

def test_start_stop_states(api, make):
    cid = make(start=True, Cmd=["sleep", "1000"], StopSignal="SIGKILL")
    state = inspect(api, cid)["State"]
    assert (state["Status"], state["Running"], state["Paused"]) == ("running", True, False)
    assert state["Pid"] > 1 and state["StartedAt"] > "2020"
    assert api.post("/containers/%s/start" % cid).status == 304
    assert api.post("/containers/%s/stop" % cid).status == 204
    state = inspect(api, cid)["State"]
    assert (state["Status"], state["Running"], state["Pid"]) == ("exited", False, 0)
    assert state["ExitCode"] == 137 and state["FinishedAt"] > state["StartedAt"]
    assert not state["OOMKilled"] and state["Error"] == ""
    assert api.post("/containers/%s/stop" % cid).status == 304
    assert api.post("/containers/%s/start" % cid).status == 204  # again
    api.ok("POST", "/containers/%s/kill" % cid)


def test_exit_code(api, make):
    cid = make(start=True, Cmd=["sh", "-c", "exit 37"])
    assert wait(api, cid) == 37
    exited(api, cid)
    assert inspect(api, cid)["State"]["ExitCode"] == 37


def test_stop_signal_is_sent(api, make):
    cid = make(start=True, Cmd=["sh", "-c", "trap 'exit 9' USR1; echo up; while :; do sleep 0.05; "
                                "done"], StopSignal="SIGUSR1")
    until(lambda: b"up" in api.get("/containers/%s/logs" % cid, stdout=1).body)
    api.ok("POST", "/containers/%s/stop" % cid)
    assert inspect(api, cid)["State"]["ExitCode"] == 9


def test_stop_kills_after_the_timeout(api, make):
    cid = make(start=True, Cmd=["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"])
    until(lambda: b"up" in api.get("/containers/%s/logs" % cid, stdout=1).body)
    begin = time.monotonic()
    api.ok("POST", "/containers/%s/stop" % cid, t=1)
    assert 0.9 < time.monotonic() - begin < 5
    assert inspect(api, cid)["State"]["ExitCode"] == 137


@pytest.mark.parametrize("signal,code", [("SIGTERM", 143), ("KILL", 137), ("9", 137), ("", 137),
                                         ("SIGINT", 130)])
def test_kill(api, make, signal, code):
    cid = make(start=True, Cmd=["sh", "-c", "sleep 1000 & wait"], HostConfig={"Init": True})
    # init, sh and sleep: a first process that has not set its handlers yet ignores all but KILL
    until(lambda: len(api.ok("GET", "/containers/%s/top" % cid)["Processes"]) == 3)
    query = {"signal": signal} if signal else {}
    api.ok("POST", "/containers/%s/kill" % cid, **query)
    assert wait(api, cid) == code


def test_kill_of_a_stopped_one(api, make):
    cid = make()
    r = api.post("/containers/%s/kill" % cid)
    assert r.status == 409 and "is not running" in r.message and "cannot kill" in r.message.lower()


def test_kill_with_no_such_signal(api, sleeper):
    for bad in ("SIGNOPE", "99", "-1"):
        r = api.post("/containers/%s/kill" % sleeper, signal=bad)
        assert r.status in (400, 500) and "signal" in r.message.lower(), r
    assert inspect(api, sleeper)["State"]["Running"]


def test_restart(api, sleeper):
    before = inspect(api, sleeper)["State"]
    assert api.post("/containers/%s/restart" % sleeper, t=0).status == 204
    after = inspect(api, sleeper)
    assert after["State"]["Running"] and after["State"]["Pid"] != before["Pid"]
    assert after["RestartCount"] == 0
    assert after["State"]["StartedAt"] > before["StartedAt"]


def test_pause(api, sleeper):
    assert api.post("/containers/%s/pause" % sleeper).status == 204
    state = inspect(api, sleeper)["State"]
    assert (state["Status"], state["Running"], state["Paused"]) == ("paused", True, True)
    r = api.post("/containers/%s/pause" % sleeper)
    assert r.status == 409 and "is already paused" in r.message
    r = api.post("/containers/%s/exec" % sleeper, {"Cmd": ["true"]})
    assert r.status == 409 and "is paused, unpause the container before exec" in r.message
    assert api.post("/containers/%s/start" % sleeper).status == 409
    assert api.post("/containers/%s/unpause" % sleeper).status == 204
    r = api.post("/containers/%s/unpause" % sleeper)
    assert r.status == 500 and "is not paused" in r.message
    assert inspect(api, sleeper)["State"]["Status"] == "running"


def test_pause_of_a_stopped_one(api, make):
    cid = make()
    r = api.post("/containers/%s/pause" % cid)
    assert r.status == 409 and "is not running" in r.message


def test_stop_of_a_paused_one(api, sleeper):
    api.ok("POST", "/containers/%s/pause" % sleeper)
    api.ok("POST", "/containers/%s/stop" % sleeper, t=1)
    assert inspect(api, sleeper)["State"]["Status"] == "exited"


# ---- wait ----

def test_wait_for_a_stopped_one_answers_at_once(api, make):
    assert wait(api, make()) == 0


def test_wait_next_exit(api, make):
    cid = make(Cmd=["sh", "-c", "exit 4"])
    codes = []

    def waiter():
        codes.append(api.ok("POST", "/containers/%s/wait" % cid,
                            condition="next-exit")["StatusCode"])
    t = threading.Thread(target=waiter)
    t.start()
    # next-exit must not answer for the never started container
    t.join(0.2)
    assert not codes
    api.ok("POST", "/containers/%s/start" % cid)
    t.join(10)
    assert codes == [4]


def test_wait_answers_headers_before_the_exit(api, sleeper):
    conn, resp = api.stream("POST", "/containers/%s/wait" % sleeper, condition="next-exit")
    assert resp.status == 200  # arrives while the container still runs
    api.ok("POST", "/containers/%s/kill" % sleeper)
    assert b'"StatusCode":137' in resp.read()
    conn.close()


def test_wait_removed(api, make):
    cid = make(Cmd=["sh", "-c", "exit 5"], HostConfig={"AutoRemove": True})
    conn, resp = api.stream("POST", "/containers/%s/wait" % cid, condition="removed")
    api.ok("POST", "/containers/%s/start" % cid)
    assert b'"StatusCode":5' in resp.read()
    conn.close()
    assert api.get("/containers/%s/json" % cid).status == 404


def test_wait_with_a_bad_condition(api, make):
    r = api.post("/containers/%s/wait" % make(), condition="tomorrow")
    assert r.status == 400 and 'invalid condition: "tomorrow"' in r.message


# ---- rename, remove ----

def test_rename(api, make, name):
    cid = make(cname=name)
    other = make(cname=name + "-o")
    assert api.post("/containers/%s/rename" % name, name=name + "-new").status == 204
    assert inspect(api, name + "-new")["Id"] == cid
    assert api.get("/containers/%s/json" % name).status == 404
    r = api.post("/containers/%s/rename" % cid, name=name + "-o")
    assert r.status == 409 and 'by container "%s"' % other in r.message
    r = api.post("/containers/%s/rename" % cid, name=name + "-new")
    assert r.status == 400 and "same name" in r.message
    assert api.post("/containers/%s/rename" % cid, name="/../x").status == 400
    assert api.post("/containers/%s/rename" % cid).status in (400, 500)
    assert inspect(api, cid)["Name"] == "/%s-new" % name


def test_remove(api, make, name):
    cid = make(cname=name)
    assert api.delete("/containers/" + name).status == 204
    assert api.get("/containers/%s/json" % cid).status == 404
    assert api.delete("/containers/" + cid).status == 404
    make(cname=name)  # the name is free again


def test_remove_of_a_running_one(api, sleeper):
    r = api.delete("/containers/" + sleeper)
    assert r.status == 409 and "running" in r.message and "force" in r.message
    assert api.delete("/containers/" + sleeper, force=1).status == 204
    assert api.get("/containers/%s/json" % sleeper).status == 404


def test_auto_remove(api, make):
    cid = make(start=True, Cmd=["true"], HostConfig={"AutoRemove": True})
    until(lambda: api.get("/containers/%s/json" % cid).status == 404)


def test_prune(api, make):
    keep = make(Labels={"prune": "me"}, start=True, Cmd=["sleep", "1000"], StopSignal="SIGKILL")
    gone = [make(Labels={"prune": "me"}) for _ in range(2)]
    other = make(Labels={"prune": "not"})
    r = api.ok("POST", "/containers/prune", filters={"label": ["prune=me"]})
    assert sorted(r["ContainersDeleted"]) == sorted(gone) and r["SpaceReclaimed"] >= 0
    assert inspect(api, keep) and inspect(api, other)
    r = api.ok("POST", "/containers/prune", filters={"until": ["1h"], "label": ["prune=not"]})
    assert not r["ContainersDeleted"] and inspect(api, other)
    assert api.post("/containers/prune", filters={"colour": ["red"]}).status == 400


# ---- failures of start ----

@pytest.mark.parametrize("cmd,code,part", [
    (["nope"], 127, r"executable file not found in \$PATH"),
    (["/nope"], 127, "no such file or directory"),
    (["/etc/notexec"], 126, "permission denied"), (["/etc"], 126, "permission denied|directory")])
def test_start_of_what_is_no_program(api, make, cmd, code, part):
    cid = make(Cmd=cmd)
    r = api.post("/containers/%s/start" % cid)
    assert r.status == 400 and re.search(part, r.message), r
    state = inspect(api, cid)["State"]
    assert state["ExitCode"] == code and state["Error"] and not state["Running"]
    assert state["Status"] == "created"


def test_start_with_a_missing_user(api, make):
    cid = make(Cmd=["true"], User="nosuchuser")
    r = api.post("/containers/%s/start" % cid)
    assert r.status in (400, 500) and "unable to find user nosuchuser" in r.message
    assert not inspect(api, cid)["State"]["Running"]


# ---- list ----

def listed(api, **query):
    return [c["Id"] for c in api.ok("GET", "/containers/json", **query)]


def test_list_entry(api, make, name):
    cid = make(start=True, cname=name, Cmd=["sleep", "1000"], StopSignal="SIGKILL",
               Labels={"l": "v"})
    c, = [c for c in api.ok("GET", "/containers/json") if c["Id"] == cid]
    assert c["Names"] == ["/" + name] and c["Image"] == "busybox"
    assert c["ImageID"].startswith("sha256:") and c["Command"] == "sleep 1000"
    assert abs(c["Created"] - time.time()) < 100 and c["State"] == "running"
    assert re.fullmatch(r"Up (Less than a second|\d+ seconds?)", c["Status"])
    assert c["Labels"] == {"l": "v"} and c["Ports"] == [] and c["Mounts"] == []
    assert c["HostConfig"]["NetworkMode"] in ("default", "bridge")
    assert c["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    assert "SizeRw" not in c
    c, = [c for c in api.ok("GET", "/containers/json", size=1) if c["Id"] == cid]
    assert c["SizeRootFs"] > 100_000 and c.get("SizeRw", 0) >= 0


def test_list_all_limit_order(api, make):
    a, b, c = (make(Labels={"order": "x"}) for _ in range(3))
    f = {"label": ["order=x"]}
    assert listed(api, filters=f) == []
    assert listed(api, all=1, filters=f) == [c, b, a]
    assert listed(api, limit=2, filters=f) == [c, b]
    assert listed(api, all=1, filters={**f, "before": [b]}) == [a]
    assert listed(api, all=1, filters={**f, "since": [b]}) == [c]


def test_list_filters(api, make, name):
    run = make(start=True, cname=name + "-run", Cmd=["sleep", "1000"], StopSignal="SIGKILL",
               Labels={"f": "1"}, ExposedPorts={"81/tcp": {}})
    done = make(start=True, cname=name + "-done", Cmd=["sh", "-c", "exit 7"], Labels={"f": "2"})
    wait(api, done)
    exited(api, done)
    new = make(cname=name + "-new", Image="cleat-test:cfg", Labels={"f": "3"})
    mine = {"name": [name]}
    for filters, want in [
            ({}, [new, done, run]), ({"status": ["running"]}, [run]),
            ({"status": ["created", "exited"]}, [new, done]), ({"exited": ["7"]}, [done]),
            ({"exited": ["0"]}, []), ({"id": [run[:20]]}, [run]), ({"label": ["f"]},
                                                                  [new, done, run]),
            ({"label": ["f=2"]}, [done]), ({"label": ["f=1", "f=2"]}, []),
            ({"ancestor": ["busybox"]}, [done, run]), ({"ancestor": ["cleat-test:cfg"]}, [new]),
            ({"ancestor": ["nope"]}, []), ({"network": ["bridge"]}, [new, done, run]),
            ({"network": ["none"]}, []),
            ({"volume": ["/data"]}, [new]),
            ({"expose": ["81/tcp"]}, [run]), ({"expose": ["80-82"]}, [run]),
            ({"health": ["none"]}, [new, done, run]), ({"is-task": ["true"]}, [])]:
        got = listed(api, all=1, filters={**mine, **filters})
        assert sorted(got) == sorted(want), filters
    assert listed(api, all=1, filters={"name": ["^/?%s-(run|new)$" % name]}) == [new, run]
    for bad in ({"colour": ["red"]}, {"status": ["flying"]}, {"exited": ["x"]},
                {"before": ["nope"]}, {"health": ["ill"]}):
        assert api.get("/containers/json", all=1, filters=bad).status in (400, 404, 500), bad
    r = api.get("/containers/json", filters={"colour": ["red"]})
    assert r.message == "invalid filter 'colour'"


def test_status_texts(api, make):
    def status(cid):
        return [c["Status"] for c in api.ok("GET", "/containers/json", all=1)
                if c["Id"] == cid][0]
    cid = make(Cmd=["sh", "-c", "sleep 1000"], StopSignal="SIGKILL")
    assert status(cid) == "Created"
    api.ok("POST", "/containers/%s/start" % cid)
    api.ok("POST", "/containers/%s/pause" % cid)
    assert status(cid).startswith("Up ") and status(cid).endswith(" (Paused)")
    api.ok("POST", "/containers/%s/unpause" % cid)
    api.ok("POST", "/containers/%s/stop" % cid)
    assert re.fullmatch(r"Exited \(137\) (Less than a second|\d+ seconds?) ago", status(cid))


# ---- top, stats, resize, update ----

def test_top(api, make):
    cid = make(start=True, Cmd=["sh", "-c", "sleep 1000 & wait"], StopSignal="SIGKILL")
    until(lambda: "sleep 1000" in [p[7] for p in
                                   api.ok("GET", "/containers/%s/top" % cid)["Processes"]])
    top = api.ok("GET", "/containers/%s/top" % cid)
    assert top["Titles"] == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert all(len(p) == 8 for p in top["Processes"])
    assert top["Processes"][0][1] == str(inspect(api, cid)["State"]["Pid"])
    assert "sleep 1000" in [p[7] for p in top["Processes"]]
    top = api.ok("GET", "/containers/%s/top" % cid, ps_args="-o pid,comm")
    assert top["Titles"] == ["PID", "COMMAND"]


def test_top_of_a_stopped_one(api, make):
    r = api.get("/containers/%s/top" % make())
    assert r.status == 409 and "is not running" in r.message


def test_stats_once(api, sleeper, daemon):
    s = api.ok("GET", "/containers/%s/stats" % sleeper, stream=0, **{"one-shot": 1})
    assert s["id"] == sleeper and s["name"].startswith("/")
    assert s["read"] > "2020" and s["preread"] == "0001-01-01T00:00:00Z"
    assert s["cpu_stats"]["cpu_usage"]["total_usage"] > 0
    assert s["cpu_stats"]["system_cpu_usage"] > 0 and s["cpu_stats"]["online_cpus"] >= 1
    assert s["memory_stats"]["usage"] > 0 and s["memory_stats"]["limit"] > 1 << 26
    assert s["pids_stats"]["current"] == 1
    assert s["networks"]["eth0"]["rx_errors"] == 0


def test_stats_stream(api, sleeper):
    conn, resp = api.stream("GET", "/containers/%s/stats" % sleeper)
    first, second = json.loads(resp.readline()), json.loads(resp.readline())
    conn.close()
    assert second["preread"] == first["read"] and second["read"] > first["read"]
    assert second["precpu_stats"]["cpu_usage"] == first["cpu_stats"]["cpu_usage"]


def test_stats_of_a_stopped_one(api, make):
    s = api.ok("GET", "/containers/%s/stats" % make(), stream=0, **{"one-shot": 1})
    assert s["read"] == "0001-01-01T00:00:00Z" and s["memory_stats"] == {}


def test_resize(api, make):
    cid = make(start=True, Tty=True, OpenStdin=True, Cmd=["sh"], StopSignal="SIGKILL")
    assert api.post("/containers/%s/resize" % cid, h=33, w=99).status == 200
    with api.hijack("/containers/%s/attach" % cid, stream=1, stdin=1, stdout=1) as a:
        a.send(b"stty size\n")
        a.until(b"33 99")
    assert api.post("/containers/%s/resize" % cid, h="x", w=9).status == 400
    stopped = make()
    assert api.post("/containers/%s/resize" % stopped, h=1, w=1).status == 409


def test_update(api, make):
    cid = make(start=True, Cmd=["sleep", "1000"], StopSignal="SIGKILL",
               HostConfig={"Memory": 64 << 20, "MemorySwap": -1})
    r = api.post("/containers/%s/update" % cid, {"Memory": 128 << 20, "MemorySwap": -1,
                                                 "RestartPolicy": {"Name": "on-failure",
                                                                   "MaximumRetryCount": 2}})
    assert r.status == 200, r
    host = inspect(api, cid)["HostConfig"]
    assert host["Memory"] == 128 << 20
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}


def test_inspect_with_size(api, make):
    cid = make(start=True, Cmd=["sh", "-c", "dd if=/dev/zero of=/big bs=1k count=100"])
    wait(api, cid)
    c = api.ok("GET", "/containers/%s/json" % cid, size=1)
    assert 100 << 10 <= c["SizeRw"] < 200 << 10 and c["SizeRootFs"] > c["SizeRw"]
    assert "SizeRw" not in inspect(api, cid)


def test_restart_policy_on_failure(api, make):
    cid = make(start=True, Cmd=["sh", "-c", "echo again; exit 1"],
               HostConfig={"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}})
    until(lambda: inspect(api, cid)["RestartCount"] == 2 and
          inspect(api, cid)["State"]["Status"] == "exited")
    out, _ = demux(api.get("/containers/%s/logs" % cid, stdout=1).body)
    assert out == b"again\n" * 3


def test_restart_policy_always_until_stopped(api, make):
    cid = make(start=True, Cmd=["true"], HostConfig={"RestartPolicy": {"Name": "always"}})
    until(lambda: inspect(api, cid)["RestartCount"] >= 2)
    api.ok("POST", "/containers/%s/stop" % cid, status=(204, 304))
    until(lambda: inspect(api, cid)["State"]["Status"] == "exited")
    count = inspect(api, cid)["RestartCount"]
    time.sleep(1)  # nothing to wait for: it must not come back
    assert inspect(api, cid)["RestartCount"] == count


def test_health(api, make):
    cid = make(start=True, Cmd=["sh", "-c", "sleep 1000"], StopSignal="SIGKILL",
               Healthcheck={"Test": ["CMD-SHELL", "echo fine; test -e /ok"], "Retries": 1,
                            "Interval": 100_000_000, "Timeout": 5_000_000_000})
    health = inspect(api, cid)["State"]["Health"]
    assert health["Status"] in ("starting", "unhealthy")
    until(lambda: inspect(api, cid)["State"]["Health"]["Status"] == "unhealthy")
    log = inspect(api, cid)["State"]["Health"]["Log"]
    assert log[-1]["ExitCode"] == 1 and log[-1]["Output"] == "fine\n"
    ex = api.ok("POST", "/containers/%s/exec" % cid, {"Cmd": ["touch", "/ok"]})["Id"]
    api.ok("POST", "/exec/%s/start" % ex, {"Detach": True})
    until(lambda: inspect(api, cid)["State"]["Health"]["Status"] == "healthy")
    status = [c["Status"] for c in api.ok("GET", "/containers/json") if c["Id"] == cid][0]
    assert status.endswith(" (healthy)")
