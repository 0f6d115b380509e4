"""The history of builds: what is written down of them, and what is not."""
import json
import os
import re

import pytest

import builds
import cleat
import fixtures
from test_cli_build import SECRET, holders
from test_fault import storecheck


@pytest.fixture
def build(daemon, tmp_path, name):
    made = builds.Builder(daemon, "cleat", tmp_path, name)
    yield made
    made.close()


def history(b, *args):
    return b.cli.ok("buildx", "history", *args)


def newest(b):
    return json.loads(history(b, "inspect", "--format", "json"))


def test_a_build_that_went_well(build):
    text = "FROM busybox AS s\nRUN echo said-%s\nARG A\nRUN true\n" % build.tag
    done = build(text, None, "--no-cache", "--build-arg", "A=1", "--build-arg", "API_TOKEN=t",
                 "--label", "l=x", "--target", "s").ok()
    r = newest(build)
    assert (r["Status"], r["Name"], r["Image"]) == ("completed", build.tag, done.id)
    assert (r["TotalSteps"], r["CompletedSteps"], r["CachedSteps"]) == (3, 3, 0)
    assert r["BuildArgs"] == {"A": "1", "API_TOKEN": "***"} and r["Labels"] == {"l": "x"}
    assert r["Target"] == "s" and r["Duration"] > 0 and r["Names"] == [build.tag]
    assert [s["Name"] for s in r["Steps"]][1] == "[s 2/3] RUN echo said-%s" % build.tag
    build(text, None, "--build-arg", "A=1", "--target", "s").ok()
    assert newest(build)["CachedSteps"] == 2


def logs(b, *args):
    done = b.cli("buildx", "history", "logs", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_what_it_said(build):
    build("FROM busybox\nRUN echo out-%s; echo err >&2\n" % build.tag, None, "--no-cache").ok()
    text = logs(build)
    assert re.search(r"^#2 [0-9.]+ out-%s$" % build.tag, text, re.M) and "DONE" in text
    raw = [json.loads(x) for x in logs(build, "--progress", "rawjson").splitlines()]
    assert any("logs" in x for x in raw)


def test_a_build_that_failed(build):
    done = build("FROM busybox\nRUN echo last words; exit 7\n", None, "--no-cache")
    assert done.code == 1
    r = newest(build)
    assert r["Status"] == "error" and "non-zero code: 7" in r["Error"]
    assert ">>> RUN echo last words" in r["Excerpt"] and "Image" not in r
    assert r["Steps"][1]["Error"] and (r["TotalSteps"], r["CompletedSteps"]) == (2, 1)
    assert "last words" in logs(build)
    shown = history(build, "inspect")
    assert "Error: " in shown and "Status:         Error" in shown
    assert build("FROM busybox\nWHAT\n").code == 1
    assert "unknown instruction" in newest(build)["Error"]


def test_lists(build):
    build("FROM busybox\nRUN echo %s\n" % build.tag).ok()
    r = newest(build)
    rows = history(build, "ls").splitlines()
    assert rows[0].split() == ["BUILD", "ID", "NAME", "STATUS", "CREATED", "AT", "DURATION"]
    assert rows[1].split()[:3] == [r["Id"][:12], build.tag, "Completed"]
    assert history(build, "ls", "-q").split()[0] == r["Id"]
    assert history(build, "ls", "--no-trunc").splitlines()[1].startswith(r["Id"])
    one = json.loads(history(build, "ls", "--format", "json").splitlines()[0])
    assert one["Ref"] == r["Id"] and one["Steps"].startswith("2/2")
    assert history(build, "ls", "--format", "{{.Status}}", "--filter", "ref=" + r["Id"][:8]) \
        .split() == ["Completed"]
    assert history(build, "ls", "-q", "--filter", "status=running") == ""
    assert history(build, "ls", "-q", "--filter", "name=" + build.tag).split() == [r["Id"]]
    for group in ("builder", "build"):
        assert build.cli.ok(group, "history", "ls", "-q").split()[0] == r["Id"]
    assert "is not built" not in build.cli("buildx", "history", "ls", "--local").stderr


def test_which_one(build):
    for i in range(2):
        build("FROM busybox\nRUN echo %s %d\n" % (build.tag, i)).ok()
    ids = history(build, "ls", "-q").split()
    for ref, want in (("^0", ids[0]), ("^1", ids[1]), (ids[1][:10], ids[1]), (ids[1], ids[1])):
        assert json.loads(history(build, "inspect", "--format", "json", ref))["Id"] == want
    for ref in ("^9999", "nope", "^x"):
        done = build.cli("buildx", "history", "inspect", ref)
        assert done.returncode == 1 and ref in done.stderr
    assert history(build, "inspect", "--format", "{{.Status}} {{.Name}}").split() == \
        ["completed", build.tag]


def test_removed(build):
    build("FROM busybox\nRUN echo %s\n" % build.tag).ok()
    one = newest(build)["Id"]
    log = os.path.join(build.daemon.data_root, "build/history", one)
    assert os.path.exists(log)
    assert build.cli("buildx", "history", "rm").returncode == 1
    assert build.cli("buildx", "history", "rm", "--all", one).returncode == 1
    history(build, "rm", one)
    assert not os.path.exists(log) and build.cli("buildx", "history", "rm", one).returncode == 1
    history(build, "rm", "--all")
    assert history(build, "ls", "-q") == ""
    assert build.cli("buildx", "history", "inspect").returncode == 1
    assert os.listdir(os.path.dirname(log)) == []


def test_a_check_is_none(build):
    build("FROM busybox\nRUN echo %s\n" % build.tag).ok()
    before = newest(build)["Id"]
    build("FROM busybox\n", None, "--check")
    assert newest(build)["Id"] == before


def test_one_that_runs_and_is_left(build):
    builds.write_tree(build.context, {"Dockerfile": "FROM busybox\nRUN echo begun; sleep 60\n"})
    process = build.cli.popen("build", "--network=none", "--progress=plain", "--no-cache",
                              build.context)
    with process:
        for line in process.stderr:
            if line.rstrip().endswith(b" begun"):
                break
        one = history(build, "ls", "-q", "--filter", "status=running").split()
        assert len(one) == 1
        done = build.cli("buildx", "history", "rm", one[0])
        assert done.returncode == 1 and "is running" in done.stderr
        process.terminate()
        process.wait(10)
        process.stderr.read()
    cleat.until(lambda: newest(build)["Status"] == "canceled", 10)
    assert "begun" in logs(build, one[0])


def test_docker_builds_are_in_it(daemon, tmp_path, name):
    b = builds.Builder(daemon, "docker", tmp_path, name)
    b("FROM busybox\nRUN echo %s\n" % name, None).ok()
    records = daemon.api.get("/build/history").json
    assert records[0]["Name"] == name and records[0]["Status"] == "completed"
    assert "Steps" not in records[0]
    b.close()


# ---- limits and secrets ----

def test_much_output_is_cut(build):
    build("FROM busybox\nRUN head -c 4000000 /dev/zero | tr '\\0' x | fold -w 999\n", None,
          "--no-cache", "-q").ok()
    r = newest(build)
    assert r["LogCut"] and 1500000 < r["LogSize"] <= 2 << 20
    size = os.path.getsize(os.path.join(build.daemon.data_root, "build/history", r["Id"]))
    assert size < 200000


@pytest.mark.parametrize("fails", ["", "; exit 1"])
def test_secrets_are_struck_out(build, fails):
    """Also when a step prints one, in pieces, or it is a build argument, too."""
    half = len(SECRET) // 2
    text = "FROM busybox\nARG WORD\nLABEL l=$WORD\n" \
           "RUN --mount=type=secret,id=s s=$(cat /run/secrets/s); echo now $s; " \
           "echo -n $s | head -c %d; sleep 0.1; echo $s | tail -c +%d%s\n" % (half, half + 1, fails)
    build(text, None, "--no-cache", "--secret", "id=s,env=S", "--build-arg", "WORD=" + SECRET,
          "--label", "k=" + SECRET, env={"S": SECRET + "\n"})
    r = newest(build)
    assert SECRET not in json.dumps(r) and r["BuildArgs"]["WORD"] == "*" * len(SECRET)
    shown = logs(build)
    assert SECRET not in shown and "now " + "*" * len(SECRET) in shown
    where = os.path.join(build.daemon.data_root, "build/history")
    import gzip
    assert all(SECRET.encode() not in gzip.open(os.path.join(where, f)).read()
               for f in os.listdir(where))
    assert holders([where], SECRET.encode()) == []


@pytest.mark.parametrize("remote,want", [
    ("https://user:word@example.invalid/x.git#main", "https://example.invalid/x.git#main"),
    ("http://example.invalid/x.tar?token=hush", "http://example.invalid/x.tar"),
    ("git@example.invalid:x.git", "git@example.invalid:x.git")])
def test_addresses_without_what_lets_in(daemon, remote, want):
    daemon.api.post("/build", b"", remote=remote)
    r = daemon.api.get("/build/history").json[0]
    assert r["Context"] == want and r["Status"] == "error"


# ---- what breaks ----

def test_a_daemon_that_is_killed(own_daemon, tmp_path, name):
    d = own_daemon().start()
    fixtures.load(d)
    b = builds.Builder(d, "cleat", tmp_path, name)
    builds.write_tree(b.context, {"Dockerfile": "FROM busybox\nRUN echo begun; sleep 60\n"})
    process = b.cli.popen("build", "--network=none", "--progress=plain", b.context)
    with process:
        for line in process.stderr:
            if line.rstrip().endswith(b" begun"):
                break
        d.crash()
        process.stderr.read()
    d.start()
    r = newest(b)
    assert r["Status"] == "error" and "the daemon ended" in r["Error"]
    assert "has no log" in b.cli("buildx", "history", "logs").stderr


@pytest.mark.parametrize("action", ["crash@1", "crash@2", "error@1", "error@2"])
@pytest.mark.parametrize("point", ["build.record.put", "build.record.log", "build.record.delete"])
@pytest.mark.usefixtures("fail_build")
def test_fail_point(own_daemon, tmp_path, name, point, action):
    d = own_daemon(build=cleat.BUILD_FAIL)
    d.start()
    fixtures.load(d)
    d.stop()
    d.start(env={"CLEAT_FAIL": "%s=%s" % (point, action)})
    b = builds.Builder(d, "cleat", tmp_path, name)
    for _ in range(2):
        b("FROM busybox\nRUN echo %s\n" % name)
    b.cli("buildx", "history", "rm", "--all")
    if d.process.poll() is None:
        d.stop()
    d.stopped = True
    d.start()
    assert not storecheck.problems(d.data_root) + d.leftovers()
    assert all(r["Status"] in ("completed", "error") for r in d.api.get("/build/history").json)
    b("FROM busybox\nRUN echo %s\n" % name).ok()
    history(b, "rm", "--all")
    assert history(b, "ls", "-q") == "" and \
        os.listdir(os.path.join(d.data_root, "build/history")) == []
