"""Attach, exec and logs: the hijacked connection, its frames, stdin, terminals, detaching."""
import calendar
import glob
import re
import threading
import time

import pytest

from cleat import demux, until

MUX = "application/vnd.docker.multiplexed-stream"
RAW = "application/vnd.docker.raw-stream"


def inspect(api, cid):
    return api.ok("GET", "/containers/%s/json" % cid)


def finish(api, cid):
    api.ok("POST", "/containers/%s/start" % cid)
    api.ok("POST", "/containers/%s/wait" % cid)


# ---- attach ----

@pytest.mark.parametrize("upgrade", [True, False])
def test_attach_frames(api, make, upgrade):
    cid = make(Cmd=["sh", "-c", "echo out; echo err >&2"])
    with api.hijack("/containers/%s/attach" % cid, stream=1, stdout=1, stderr=1,
                    upgrade=upgrade) as a:
        assert a.status == (101 if upgrade else 200) and a.headers["content-type"] == MUX
        if upgrade:
            assert a.headers["upgrade"].lower() == "tcp"
            assert a.headers["connection"].lower() == "upgrade"
        api.ok("POST", "/containers/%s/start" % cid)
        frames = []
        while frame := a.frame():
            frames.append(frame)
    assert sorted(frames) == [(1, b"out\n"), (2, b"err\n")]


def test_attach_content_type_of_old_versions(api, make):
    cid = make(Cmd=["true"])
    with api.at("1.41").hijack("/containers/%s/attach" % cid, stream=1, stdout=1) as a:
        assert a.headers["content-type"] == RAW


def test_attach_stdin(api, make):
    cid = make(Cmd=["cat"], OpenStdin=True, StdinOnce=True)
    with api.hijack("/containers/%s/attach" % cid, stream=1, stdin=1, stdout=1) as a:
        api.ok("POST", "/containers/%s/start" % cid)
        a.send(b"hello")
        assert a.frame() == (1, b"hello")
        a.done_sending()  # half-close is the end of stdin
        assert a.frame() is None
    assert api.ok("POST", "/containers/%s/wait" % cid)["StatusCode"] == 0


def test_attach_of_much_data(api, make):
    cid = make(Cmd=["cat"], OpenStdin=True, StdinOnce=True)
    data = bytes(range(256)) * 8192  # 2 MiB: more than any buffer on the way
    with api.hijack("/containers/%s/attach" % cid, stream=1, stdin=1, stdout=1) as a:
        api.ok("POST", "/containers/%s/start" % cid)

        def send():
            a.send(data)
            a.done_sending()
        writer = threading.Thread(target=send)
        writer.start()
        out, _ = demux(a.all())
        writer.join()
    assert out == data


def test_attach_with_a_terminal(api, make):
    cid = make(Cmd=["sh"], Tty=True, OpenStdin=True, StdinOnce=True)
    with api.hijack("/containers/%s/attach" % cid, stream=1, stdin=1, stdout=1, stderr=1) as a:
        assert a.headers["content-type"] == RAW
        api.ok("POST", "/containers/%s/start" % cid)
        a.send(b"tty; exit 6\n")
        out = a.all()
    assert b"/dev/pts/0\r\n" in out and b"\x01\x00\x00\x00" not in out
    assert api.ok("POST", "/containers/%s/wait" % cid)["StatusCode"] == 6


@pytest.mark.parametrize("keys,sent", [("", b"\x10\x11"), ("ctrl-a,x", b"\x01x")])
def test_detach_keys(api, make, keys, sent):
    cid = make(start=True, Cmd=["sh"], Tty=True, OpenStdin=True, StopSignal="SIGKILL")
    since = time.time()
    query = {"detachKeys": keys} if keys else {}
    with api.hijack("/containers/%s/attach" % cid, stream=1, stdin=1, stdout=1, **query) as a:
        a.send(b"echo a$((1+1))b\n")
        a.until(b"a2b")
        a.send(sent)
        a.all()  # ends
    assert inspect(api, cid)["State"]["Running"]
    def detached():
        return [e["Action"] for e in api.get("/events", since="%.9f" % since,
                until="%.9f" % time.time(), filters={"container": [cid]}).lines]
    until(lambda: "detach" in detached(), what=detached)


def test_bad_detach_keys(api, make):
    cid = make(Tty=True, OpenStdin=True)
    r = api.post("/containers/%s/attach" % cid, stream=1, stdin=1, detachKeys="ctrl-nope")
    assert r.status == 400


def test_two_clients_see_the_same(api, make):
    cid = make(start=True, Cmd=["sh", "-c", "read x; echo got $x"], OpenStdin=True)
    with api.hijack("/containers/%s/attach" % cid, stream=1, stdout=1) as one, \
            api.hijack("/containers/%s/attach" % cid, stream=1, stdin=1, stdout=1) as two:
        two.send(b"it\n")
        assert demux(one.all())[0] == demux(two.all())[0] == b"got it\n"


def test_attach_to_what_was_said_before(api, make):
    cid = make(Cmd=["echo", "early"])
    finish(api, cid)
    with api.hijack("/containers/%s/attach" % cid, logs=1, stdout=1) as a:
        assert demux(a.all())[0] == b"early\n"


def test_attach_survives_a_client_that_leaves(api, make):
    cid = make(start=True, Cmd=["sh", "-c", "while :; do echo x; done"], StopSignal="SIGKILL",
               HostConfig={"LogConfig": {"Type": "none"}})
    a = api.hijack("/containers/%s/attach" % cid, stream=1, stdout=1)
    a.exactly(1000)
    a.close()
    assert inspect(api, cid)["State"]["Running"]


# ---- exec ----

def execute(api, cid, *cmd, **body):
    ex = api.ok("POST", "/containers/%s/exec" % cid,
                {"Cmd": list(cmd), "AttachStdout": True, "AttachStderr": True, **body})["Id"]
    assert re.fullmatch("[0-9a-f]{64}", ex)
    return ex


def test_exec(api, sleeper):
    ex = execute(api, sleeper, "sh", "-c", "echo out; echo err >&2; exit 12")
    i = api.ok("GET", "/exec/%s/json" % ex)
    assert i["ExitCode"] is None and not i["Running"] and i["ContainerID"] == sleeper
    assert i["ProcessConfig"]["entrypoint"] == "sh"
    assert i["ProcessConfig"]["arguments"] == ["-c", "echo out; echo err >&2; exit 12"]
    with api.hijack("/exec/%s/start" % ex, {"Detach": False, "Tty": False}) as a:
        assert a.status == 101 and a.headers["content-type"] == MUX
        assert demux(a.all()) == (b"out\n", b"err\n")
    i = api.ok("GET", "/exec/%s/json" % ex)
    assert (i["ExitCode"], i["Running"], i["ID"]) == (12, False, ex) and i["Pid"] > 0
    r = api.post("/exec/%s/start" % ex, {})
    assert r.status == 409 and "has already run" in r.message


def test_exec_without_upgrade(api, sleeper):
    ex = execute(api, sleeper, "echo", "x")
    with api.hijack("/exec/%s/start" % ex, {}, upgrade=False) as a:
        assert a.status == 200 and demux(a.all())[0] == b"x\n"


def test_exec_stdin(api, sleeper):
    ex = execute(api, sleeper, "cat", AttachStdin=True)
    with api.hijack("/exec/%s/start" % ex, {}) as a:
        a.send(b"data")
        assert a.frame() == (1, b"data")
        a.done_sending()
        assert a.frame() is None
    assert api.ok("GET", "/exec/%s/json" % ex)["ExitCode"] == 0


def test_exec_terminal_and_resize(api, sleeper):
    ex = execute(api, sleeper, "sh", AttachStdin=True, Tty=True)
    with api.hijack("/exec/%s/start" % ex, {"Tty": True, "ConsoleSize": [20, 70]}) as a:
        assert a.headers["content-type"] == RAW
        a.send(b"stty size\n")
        a.until(b"20 70")
        assert api.post("/exec/%s/resize" % ex, h=21, w=71).status == 200
        a.send(b"stty size; exit\n")
        a.until(b"21 71")
        a.all()


def test_exec_settings(api, sleeper):
    ex = execute(api, sleeper, "sh", "-c", "id -u; id -g; pwd; echo $X", User="web",
                 WorkingDir="/tmp", Env=["X=val"])
    with api.hijack("/exec/%s/start" % ex, {}) as a:
        assert demux(a.all())[0] == b"1000\n1001\n/tmp\nval\n"


def test_exec_detached(api, sleeper):
    ex = execute(api, sleeper, "sh", "-c", "exit 8")
    assert api.post("/exec/%s/start" % ex, {"Detach": True}).status == 200
    until(lambda: api.ok("GET", "/exec/%s/json" % ex)["ExitCode"] == 8)
    assert ex in (inspect(api, sleeper)["ExecIDs"] or [ex])


def test_exec_running(api, sleeper):
    ex = execute(api, sleeper, "sleep", "100")
    with api.hijack("/exec/%s/start" % ex, {}):
        i = until(lambda: (lambda x: x["Running"] and x)(api.ok("GET", "/exec/%s/json" % ex)))
        assert i["ExitCode"] is None
        assert inspect(api, sleeper)["ExecIDs"] == [ex]
        top = api.ok("GET", "/containers/%s/top" % sleeper)
        assert "sleep 100" in [p[-1] for p in top["Processes"]]


def test_exec_errors(api, make, sleeper):
    r = api.post("/containers/%s/exec" % sleeper, {})
    assert r.status == 400 and r.message == "No exec command specified"
    stopped = make()
    r = api.post("/containers/%s/exec" % stopped, {"Cmd": ["true"]})
    assert r.status == 409 and r.message.lower() == "container %s is not running" % stopped
    assert api.post("/containers/nope/exec", {"Cmd": ["true"]}).status == 404
    assert api.post("/exec/nope/start", {}).message == "No such exec instance: nope"
    assert api.post("/exec/nope/resize", h=1, w=1).status == 404


@pytest.mark.parametrize("cmd,code,part", [
    ("nope", 127, b"executable file not found in $PATH"), ("/nope", 127, b"no such file"),
    ("/etc/notexec", 126, b"permission denied")])
def test_exec_of_what_is_no_program(api, sleeper, cmd, code, part):
    ex = execute(api, sleeper, cmd)
    a = api.hijack("/exec/%s/start" % ex, {})
    text = a.all()
    a.close()
    assert part in text
    assert api.ok("GET", "/exec/%s/json" % ex)["ExitCode"] == code
    assert inspect(api, sleeper)["State"]["Running"]


def test_exec_as_a_missing_user(api, sleeper):
    ex = execute(api, sleeper, "true", User="ghost")
    a = api.hijack("/exec/%s/start" % ex, {})
    assert b"unable to find user ghost" in a.all()
    a.close()


def test_execs_end_with_the_container(api, make):
    cid = make(start=True, Cmd=["sleep", "1000"], StopSignal="SIGKILL")
    ex = execute(api, cid, "sleep", "1000")
    with api.hijack("/exec/%s/start" % ex, {}) as a:
        api.ok("POST", "/containers/%s/kill" % cid)
        a.all()  # closed, not hung


# ---- logs ----

SCRIPT = "echo one; echo two >&2; echo three; printf four"


def logs(api, cid, **query):
    query = {"stdout": 1, "stderr": 1, **query}
    r = api.get("/containers/%s/logs" % cid, **query)
    assert r.status == 200, r
    return r.body


@pytest.fixture
def talker(api, make):
    cid = make(Cmd=["sh", "-c", SCRIPT])
    finish(api, cid)
    return cid


def test_logs(api, talker):
    r = api.get("/containers/%s/logs" % talker, stdout=1, stderr=1)
    assert r.headers["Content-Type"] == MUX
    assert demux(r.body) == (b"one\nthree\nfour", b"two\n")
    assert demux(logs(api, talker, stderr=0)) == (b"one\nthree\nfour", b"")
    assert demux(logs(api, talker, stdout=0)) == (b"", b"two\n")
    old = api.at("1.41").get("/containers/%s/logs" % talker, stdout=1)
    assert old.headers["Content-Type"] == RAW


def test_logs_need_a_stream(api, talker):
    r = api.get("/containers/%s/logs" % talker)
    assert r.status == 400
    assert r.message == "Bad parameters: you must choose at least one stream"


@pytest.mark.parametrize("tail,want", [("0", b""), ("1", b"four"), ("2", b"three\nfour"),
                                       ("all", b"one\nthree\nfour"), ("99", b"one\nthree\nfour"),
                                       ("x", b"one\nthree\nfour"), ("-1", b"one\nthree\nfour")])
def test_logs_tail(api, make, tail, want):
    cid = make(Cmd=["sh", "-c", "echo one; echo three; printf four"])
    finish(api, cid)
    assert demux(logs(api, cid, tail=tail))[0] == want


def test_logs_timestamps_since_until(api, talker):
    rows = demux(logs(api, talker, stderr=0, timestamps=1))[0].splitlines()
    stamp = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z "
    assert len(rows) == 3 and all(re.match(stamp, row) for row in rows)
    assert logs(api, talker, since=int(time.time()) + 100) == b""
    assert demux(logs(api, talker, since=int(time.time()) - 100))[0] == b"one\nthree\nfour"
    assert logs(api, talker, until=1) == b""
    whole, rest = rows[1].split()[0].decode().rstrip("Z").split(".")
    third = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    assert demux(logs(api, talker, stderr=0, since="%d.%s" % (third, rest)))[0] == b"three\nfour"


def test_logs_details(api, make):
    cid = make(Cmd=["echo", "x"], Labels={"a": "b", "other": "c"}, Env=["E=f"],
               HostConfig={"LogConfig": {"Type": "json-file",
                                         "Config": {"labels": "a", "env": "E"}}})
    finish(api, cid)
    line = demux(logs(api, cid, details=1))[0]
    assert line == b"E=f,a=b x\n"


def test_logs_follow(api, make):
    cid = make(start=True, OpenStdin=True,
               Cmd=["sh", "-c", "echo first; read x; echo second $x"])
    conn, resp = api.stream("GET", "/containers/%s/logs" % cid, stdout=1, follow=1)
    assert resp.read(14) == b"\x01\x00\x00\x00\x00\x00\x00\x06first\n"
    with api.hijack("/containers/%s/attach" % cid, stream=1, stdin=1) as a:
        a.send(b"word\n")
        rest = resp.read()  # ends with the container
    conn.close()
    assert demux(rest)[0] == b"second word\n"


def test_logs_follow_a_stopped_one_ends(api, talker):
    assert demux(logs(api, talker, follow=1))[0] == b"one\nthree\nfour"


def test_logs_of_a_terminal_are_raw(api, make):
    cid = make(Cmd=["echo", "x"], Tty=True)
    finish(api, cid)
    r = api.get("/containers/%s/logs" % cid, stdout=1)
    assert r.headers["Content-Type"] == RAW and r.body == b"x\r\n"


def test_logs_of_a_never_started_one(api, make):
    assert logs(api, make()) == b""


def test_logs_over_restarts(api, make):
    cid = make(Cmd=["echo", "x"])
    finish(api, cid)
    until(lambda: not inspect(api, cid)["State"]["Running"])
    finish(api, cid)
    assert demux(logs(api, cid))[0] == b"x\nx\n"


def test_logs_of_long_lines_and_bytes(api, make):
    cid = make(Cmd=["sh", "-c", "head -c 100000 /dev/zero | tr '\\0' a; echo; "
                                "printf '\\377\\n\"q\"\\t<&>\\n'"])
    finish(api, cid)
    out, _ = demux(logs(api, cid))
    assert out.startswith(b"a" * 100000 + b"\n") and out.endswith(b"\"q\"\t<&>\n")


def test_logs_lose_nothing(api, make):
    cid = make(Cmd=["seq", "1", "20000"])
    finish(api, cid)
    out, _ = demux(logs(api, cid))
    assert out == b"".join(b"%d\n" % i for i in range(1, 20001))
    tail, _ = demux(logs(api, cid, tail="3"))
    assert tail == b"19998\n19999\n20000\n"


def test_logs_rotate(api, make):
    cid = make(Cmd=["seq", "1", "30000"], HostConfig={"LogConfig": {
        "Type": "json-file", "Config": {"max-size": "1m", "max-file": "3"}}})
    finish(api, cid)
    path = inspect(api, cid)["LogPath"]
    assert len(glob.glob(path + "*")) > 1
    out, _ = demux(logs(api, cid))
    rows = [int(x) for x in out.split()]
    assert rows == list(range(rows[0], 30001))  # the end is whole, without a gap


def test_logs_of_driver_none(api, make):
    cid = make(Cmd=["echo", "x"], HostConfig={"LogConfig": {"Type": "none"}})
    finish(api, cid)
    r = api.get("/containers/%s/logs" % cid, stdout=1)
    assert r.status >= 400 or r.body == b""
    assert inspect(api, cid)["LogPath"] == ""
