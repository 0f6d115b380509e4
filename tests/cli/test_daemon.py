"""The daemon dies and comes back: containers run on, logs lose nothing, ps is right."""
import os
import random
import shutil
import signal
import socket
import subprocess
import threading

import pytest

import cleat
import fixtures
from cleat import demux, until


@pytest.fixture
def daemon2(own_daemon):
    d = own_daemon().start()
    fixtures.load(d)
    return d


def create(d, *cmd, start=True, **body):
    cid = d.api.ok("POST", "/containers/create",
                   {"Image": "busybox", "Cmd": list(cmd), "StopSignal": "SIGKILL", **body})["Id"]
    if start:
        d.api.ok("POST", "/containers/%s/start" % cid)
    return cid


def state(d, cid):
    return d.api.ok("GET", "/containers/%s/json" % cid)["State"]


def out(d, cid):
    return demux(d.api.get("/containers/%s/logs" % cid, stdout=1).body)[0]


def clean(d):
    fixtures.prove_clean(d)


def test_killed_daemon_leaves_containers_running(daemon2):
    d = daemon2
    d.firewall = None
    cid = create(d, "sh", "-c", "i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done",
                 ExposedPorts={"80/tcp": {}},
                 HostConfig={"PortBindings": {"80/tcp": [{"HostPort": "18099"}]}})
    stopped = create(d, "true", start=False)
    before = d.api.ok("GET", "/containers/%s/json" % cid)
    until(lambda: b"5\n" in out(d, cid))
    d.crash()
    os.kill(before["State"]["Pid"], 0)  # lives
    d.start()
    after = d.api.ok("GET", "/containers/%s/json" % cid)
    assert after["State"]["Pid"] == before["State"]["Pid"] and after["State"]["Running"]
    assert after["State"]["StartedAt"] == before["State"]["StartedAt"]
    assert after["NetworkSettings"] == before["NetworkSettings"]
    assert after["Config"] == before["Config"] and after["HostConfig"] == before["HostConfig"]
    assert state(d, stopped)["Status"] == "created"
    # it can be used as before
    ex = d.api.ok("POST", "/containers/%s/exec" % cid, {"Cmd": ["echo", "x"],
                                                       "AttachStdout": True})["Id"]
    with d.api.hijack("/exec/%s/start" % ex, {}) as a:
        assert demux(a.all())[0] == b"x\n"
    seen = out(d, cid).split()
    until(lambda: len(out(d, cid).split()) > len(seen))
    d.api.ok("POST", "/containers/%s/kill" % cid)
    until(lambda: state(d, cid)["Status"] == "exited")
    assert state(d, cid)["ExitCode"] == 137
    numbers = [int(x) for x in out(d, cid).split()]
    assert numbers == list(range(len(numbers)))  # no gap, nothing twice
    clean(d)


def test_exit_while_the_daemon_was_away(daemon2, tmp_path):
    d = daemon2
    d.firewall = None
    go = tmp_path / "go"
    cid = create(d, "sh", "-c", "until [ -e /t/go ]; do sleep 0.01; done; echo last; exit 42",
                 HostConfig={"Binds": ["%s:/t" % tmp_path]})
    gone = create(d, "sh", "-c", "until [ -e /t/go ]; do sleep 0.01; done",
                  HostConfig={"Binds": ["%s:/t" % tmp_path], "AutoRemove": True})
    pids = [state(d, c)["Pid"] for c in (cid, gone)]
    d.crash()
    go.write_text("")
    for pid in pids:
        until(lambda p=pid: not os.path.exists("/proc/%d" % p))
    d.start()
    s = until(lambda: (lambda s: s["Status"] == "exited" and s)(state(d, cid)))
    assert s["ExitCode"] == 42 and s["FinishedAt"] > s["StartedAt"] and out(d, cid) == b"last\n"
    until(lambda: d.api.get("/containers/%s/json" % gone).status == 404)
    clean(d)


def test_attached_session_survives_the_daemon(daemon2):
    d = daemon2
    d.firewall = None
    cid = create(d, "sh", Tty=True, OpenStdin=True)
    direct = cleat.Api(d.socket)  # without the proxy: it would die with its connection
    with direct.hijack("/containers/%s/attach" % cid, stream=1, stdin=1, stdout=1) as a:
        a.send(b"echo a$((1+1))\n")
        a.until(b"a2")
        d.crash()
        a.send(b"echo b$((2+2))\n")
        a.until(b"b4")
    d.start()
    d.api.ok("DELETE", "/containers/" + cid, force=1)
    clean(d)


def test_attach_in_the_middle_of_a_start(own_daemon, tmp_path):
    """A client that comes when the shim is on its way already waits for this start, not the next."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    shutil.copy(os.path.join(cleat.BUILD, "cleatd"), tmp_path / "cleatd")
    shim = tmp_path / "cleat-shim"
    shim.write_text("#!/bin/sh\nread x <%s\nexec %s \"$@\"\n"
                    % (gate, os.path.realpath(os.path.join(cleat.BUILD, "cleat-shim"))))
    shim.chmod(0o755)
    d = own_daemon(build=str(tmp_path)).start()
    d.firewall = None
    fixtures.load(d)
    cid = create(d, "sh", "-c", "while :; do echo tick; sleep 0.1; done", start=False)
    start = threading.Thread(target=d.api.ok, args=("POST", "/containers/%s/start" % cid))
    start.start()
    until(lambda: os.listdir(os.path.join(d.exec_root, "shims")), 10, "the start is under way")
    go = os.open(gate, os.O_WRONLY)  # returns when the shim's stand-in reads
    with d.api.hijack("/containers/%s/attach" % cid, stream=1, stdout=1) as a:
        os.close(go)
        assert a.frame() == (1, b"tick\n")
    start.join()
    clean(d)


def test_a_deaf_shim_does_not_keep_the_daemon_down(daemon2):
    """It holds a socket and never answers: that is told, and everything else works."""
    d = daemon2
    d.firewall = None
    cid = create(d, "true", start=False)
    assert d.stop() == 0
    run = os.path.join(d.exec_root, "shims", cid)
    os.mkdir(run, 0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as deaf:
        deaf.bind(os.path.join(run, "sock"))
        deaf.listen()
        d.start()
        assert "container %s: the shim does not answer" % cid in d.log()
        assert d.api.ok("GET", "/containers/%s/json" % cid)["State"]["Status"] == "created"
        other = create(d, "true")
        assert d.api.ok("POST", "/containers/%s/wait" % other)["StatusCode"] == 0
    shutil.rmtree(run)  # nobody else knows whether it is still of use
    clean(d)


@pytest.mark.parametrize("policy,exit_code,runs", [
    ("no", 0, False), ("always", 0, True), ("unless-stopped", 0, True), ("on-failure", 1, True)])
def test_restart_policy_after_a_clean_restart(daemon2, policy, exit_code, runs):
    d = daemon2
    d.firewall = None
    cid = create(d, "sleep", "1000", HostConfig={"RestartPolicy": {"Name": policy}})
    by_hand = create(d, "sleep", "1000", HostConfig={"RestartPolicy": {"Name": policy}})
    d.api.ok("POST", "/containers/%s/stop" % by_hand)
    d.restart()
    if runs and policy != "on-failure":
        until(lambda: state(d, cid)["Running"])
    assert state(d, by_hand)["Running"] == (policy == "always") or \
        until(lambda: state(d, by_hand)["Running"] == (policy == "always"))
    clean(d)


def test_policy_works_without_interruption(daemon2):
    """The new daemon takes over restarting what the old one had started."""
    d = daemon2
    d.firewall = None
    cid = create(d, "sleep", "1000", HostConfig={"RestartPolicy": {"Name": "always"}})
    d.crash()
    os.kill(state_pid(d, cid), signal.SIGKILL)
    d.start()
    until(lambda: state(d, cid)["Running"] and state(d, cid)["Pid"] > 0)
    clean(d)


def state_pid(d, cid):
    """Pid of the container's first process, from what was last recorded."""
    rows = [r for r in cleat.processes_of([cid])]
    assert rows
    return min(pid for pid, _ in rows)


def test_killed_at_random_moments(daemon2):
    """Clients create, start, exec and remove while the daemon dies again and again."""
    d = daemon2
    d.firewall = None
    dice = random.Random(int(os.environ.get("CLEAT_SEED", "7")))
    stop = threading.Event()
    direct = cleat.Api(d.socket)

    def work(n):
        i = 0
        while not stop.is_set():
            i += 1
            name = "w%d-%d" % (n, i)
            try:
                r = direct.post("/containers/create", {"Image": "busybox", "Cmd": ["true"]},
                                name=name, timeout=10)
                if r.status == 201:
                    direct.post("/containers/%s/start" % name, timeout=10)
                    direct.post("/containers/%s/wait" % name, timeout=10)
                    direct.delete("/containers/" + name, timeout=10, force=1)
            except Exception:  # the connection broke: that is the point
                stop.wait(0.01)
    workers = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for w in workers:
        w.start()
    try:
        for _ in range(int(os.environ.get("CLEAT_KILLS", "8"))):
            stop.wait(dice.uniform(0.02, 0.4))
            d.crash()
            d.start()
    finally:
        stop.set()
        for w in workers:
            w.join(40)
    for c in d.api.ok("GET", "/containers/json", all=1):
        s = state(d, c["Id"])
        assert s["Status"] in ("created", "running", "exited"), s
        assert s["Running"] == (s["Pid"] > 0)
        d.api.ok("DELETE", "/containers/" + c["Id"], force=1)
    # crashed half-way objects are gone too: ids that were never acknowledged leave no trace
    until(lambda: not strays(d), what=lambda: strays(d))
    assert d.stop() == 0


def strays(d):
    """Container directories, cgroups, processes and links that no container owns."""
    known = {c["Id"] for c in d.api.ok("GET", "/containers/json", all=1)}
    out = []
    for top in (d.data_root, d.exec_root):
        for base, dirs, _ in os.walk(top):
            if os.path.basename(base) == "containers":
                out += [os.path.join(base, x) for x in dirs if x not in known]
    own = {d.process.pid, d.proxy.pid}
    if not known:
        out += ["process %s" % cleat.cmdline(p)
                for p in cleat.namespace_mates() - d.others - own]
        out += [x for x in cleat.links() if x.startswith("veth")] + d.cgroups()
    return out


def test_stop_right_after_a_removal(daemon2):
    """The shim of a removed container still tidies up: the daemon waits, and nothing is left."""
    d = daemon2
    d.firewall = None
    for _ in range(5):
        ids = [create(d, "sleep", "1000") for _ in range(3)]
        for cid in ids:
            d.api.ok("DELETE", "/containers/" + cid, force=1)
        assert d.stop() == 0
        # Nobody is left to tidy up but the kernel, which takes its time with interfaces.
        until(lambda: not d.leftovers(running=False), 10, lambda: d.leftovers(running=False))
        d.start()
    clean(d)


def test_second_daemon_on_the_same_root_is_refused(daemon2):
    d = daemon2
    d.firewall = None
    done = subprocess.run([os.path.join(d.build, "cleatd"), "-H", "unix://%s/two.sock" % d.dir,
                           "--data-root", d.data_root, "--exec-root", d.exec_root, "--pidfile",
                           os.path.join(d.dir, "cleatd.pid")], capture_output=True, text=True,
                          timeout=20)
    assert done.returncode == 1 and done.stderr
    assert d.api.get("/_ping").status == 200
    clean(d)


def test_damaged_filter_is_made_again(daemon2):
    """Compiled seccomp filters outlive the daemon; one that a power loss cut short does not count."""
    d = daemon2
    d.firewall = None

    def mode():
        cid = create(d, "grep", "Seccomp:", "/proc/self/status")
        assert d.api.ok("POST", "/containers/%s/wait" % cid)["StatusCode"] == 0
        return out(d, cid).split()[-1]
    assert mode() == b"2"
    folder = os.path.join(d.data_root, "seccomp")
    kept, = os.listdir(folder)
    with open(os.path.join(folder, kept), "rb") as f:
        good = f.read()
    for bad in (good[:-8], b"", good[:100] + bytes([good[100] ^ 1]) + good[101:]):
        d.stop()
        with open(os.path.join(folder, kept), "wb") as f:
            f.write(bad)
        d.start()
        assert mode() == b"2"
        with open(os.path.join(folder, kept), "rb") as f:
            assert f.read() == good
    clean(d)


def bridge_of(d):
    options = d.api.ok("GET", "/networks/bridge")["Options"]
    return options["com.docker.network.bridge.name"]


def test_daemons_do_not_share_a_bridge(daemon2, own_daemon):
    """The second would replace the first one's packet filter and delete its bridge."""
    d = daemon2
    d.firewall = None
    cid = create(d, "sleep", "1000")
    rules, name = cleat.nft_ruleset(), bridge_of(d)
    named = own_daemon(args=["--bridge", name]).start(wait=False)
    assert named.process.wait(20) == 1
    assert "bridge %s: in use by another daemon" % name in named.log()
    other = own_daemon().start()
    assert bridge_of(other) != name
    own = bridge_of(other)
    other.crash()  # its bridge stays, and is taken neither by a third one
    third = own_daemon().start()
    assert bridge_of(third) not in (name, own)
    assert third.stop() == 0
    other.start()  # nor lost to itself
    assert bridge_of(other) == own
    assert other.stop() == 0
    assert cleat.nft_ruleset() == rules and state(d, cid)["Running"]
    for x in (third, other, named):
        x.close()
    clean(d)


@pytest.mark.parametrize("text,part", [
    ("{", "daemon.json"), ('{"no-such-key": 1}', "no-such-key"), ('{"debug": "yes"}', "debug"),
    ('{"log-level": "loud"}', "loud")])
def test_bad_configuration_file(sandbox, tmp_path, text, part):
    conf = tmp_path / "daemon.json"
    conf.write_text(text)
    done = subprocess.run([os.path.join(cleat.BUILD, "cleatd"), "--config-file", str(conf), "-H",
                           "unix://%s/s" % tmp_path, "--data-root", str(tmp_path / "d"),
                           "--exec-root", str(tmp_path / "e"), "--pidfile",
                           str(tmp_path / "p")], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and part in done.stderr, done


def test_validate_and_version(sandbox, tmp_path):
    conf = tmp_path / "daemon.json"
    conf.write_text('{"debug": true}')
    program = os.path.join(cleat.BUILD, "cleatd")
    done = subprocess.run([program, "--validate", "--config-file", str(conf)],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and "configuration OK" in done.stdout + done.stderr
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and "version" in done.stdout
    done = subprocess.run([program, "--nope"], capture_output=True, text=True, timeout=20)
    assert done.returncode != 0 and "unknown flag: --nope" in done.stderr
