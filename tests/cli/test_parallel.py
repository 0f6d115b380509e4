"""Many at once: 20 parallel "run --rm", and many containers that run together."""
import os
import signal
import threading

import cleat
import fixtures
from cleat import until

ROUNDS = int(os.environ.get("CLEAT_PARALLEL_ROUNDS", "3" if cleat.SANITIZED else "50"))
CROWD = int(os.environ.get("CLEAT_CROWD", "200"))


def together(count, work):
    """Run work(i) in @count threads; the exceptions they raised."""
    bad = []

    def one(i):
        try:
            work(i)
        except BaseException as e:  # noqa: B902, every failure is shown
            bad.append(repr(e))
    threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return bad


def test_20_parallel_runs(cleat_only, daemon):
    def run(i):
        done = cleat_only("run", "--rm", "busybox", "sh", "-c", "echo %d; exit %d" % (i, i))
        assert (done.returncode, done.stdout) == (i, "%d\n" % i), done
    for _ in range(ROUNDS):
        signal.alarm(fixtures.TEST_SECONDS)  # for each round
        assert not (bad := together(20, run)), "\n".join(bad[:3])
    until(lambda: not daemon.leftovers(), 10, daemon.leftovers)


def test_a_crowd_runs_together(daemon):
    api, ids = daemon.api, []

    def start(i):
        for _ in range(i, CROWD, 8):
            cid = api.ok("POST", "/containers/create",
                         {"Image": "busybox", "Cmd": ["sleep", "1000"], "StopSignal": "SIGKILL",
                          "Labels": {"crowd": ""}}, timeout=60)["Id"]
            ids.append(cid)
            api.ok("POST", "/containers/%s/start" % cid, timeout=60)

    def stop(i):
        for cid in ids[i::8]:
            api.ok("POST", "/containers/%s/stop" % cid, timeout=60)
            api.ok("DELETE", "/containers/" + cid, timeout=60)
    try:
        assert not (bad := together(8, start)), "\n".join(bad[:3])
        rows = api.ok("GET", "/containers/json", filters={"label": ["crowd"]})
        assert len(rows) == CROWD
        addresses = {c["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] for c in rows}
        assert len(addresses) == CROWD
        assert not (bad := together(8, stop)), "\n".join(bad[:3])
        until(lambda: not daemon.leftovers(), 20, daemon.leftovers)
    finally:
        for cid in ids:
            api.delete("/containers/" + cid, force=1)


def test_one_container_pulled_from_all_sides(daemon, make):
    """Contradicting calls at once: each gets a proper answer, the end state is consistent."""
    cid = make(Cmd=["sleep", "1000"], StopSignal="SIGKILL")
    calls = ["start", "stop", "kill", "restart", "pause", "unpause"]

    def work(i):
        for j in range(10):
            r = daemon.api.post("/containers/%s/%s" % (cid, calls[(i + j) % len(calls)]), t=0)
            assert r.status in (204, 304, 409, 500), r
            if r.status == 500:
                assert "is not paused" in r.message, r
    assert not (bad := together(6, work)), "\n".join(bad[:3])
    s = daemon.api.ok("GET", "/containers/%s/json" % cid)["State"]
    assert s["Running"] == (s["Pid"] > 0)
    daemon.api.ok("DELETE", "/containers/" + cid, force=1)


def test_parallel_removal_of_one(daemon, make):
    cid = make(start=True, Cmd=["sleep", "1000"], StopSignal="SIGKILL")
    got = []
    together(8, lambda i: got.append(daemon.api.delete("/containers/" + cid, force=1).status))
    assert 204 in got and set(got) <= {204, 404, 409}, got


def test_parallel_names(daemon, name):
    got = []

    def create(i):
        r = daemon.api.post("/containers/create", {"Image": "busybox"}, name=name)
        got.append(r.status)
    together(8, create)
    daemon.api.ok("DELETE", "/containers/" + name)
    assert sorted(got) == [201] + [409] * 7
