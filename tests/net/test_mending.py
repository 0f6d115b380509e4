"""A bridge that somebody deletes in the very moment in which a container's link is made on it."""
import contextlib
import os
import signal
import subprocess
import threading

import pytest

import cleat
import fixtures
import world
from cleat import links, until
from conftest import end, inspect

SLEEP = {"Cmd": ["sleep", "1000"], "StopSignal": "SIGKILL"}

pytestmark = pytest.mark.usefixtures("fail_build")


def is_stopped(pid):
    with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
        return f.read().rsplit(")", 1)[1].split()[0] in "Tt"


class Call(threading.Thread):
    """A request that waits while the daemon stands still; then its reply."""

    def __init__(self, d, path, body=None):
        super().__init__(daemon=True)
        self.d, self.path, self.body, self.reply = d, path, body, None
        self.start()

    def run(self):
        self.reply = cleat.Api(self.d.socket).call("POST", self.path, self.body)

    def result(self):
        self.join(40 * cleat.PATIENCE)
        assert self.reply is not None, self.path
        return self.reply


@contextlib.contextmanager
def standing_still(d):
    """The daemon has reached the fail point "...=stop"; afterwards it goes on."""
    try:
        until(lambda: is_stopped(d.process.pid), 10, "the daemon stands still")
        yield
    finally:
        os.kill(d.process.pid, signal.SIGCONT)


def start(own_daemon, point):
    d = own_daemon(build=cleat.BUILD_FAIL)
    d.start(env={"CLEAT_FAIL": point + "=stop@1"})
    fixtures.load(d)
    return d


def network(d, name, bridge, **more):
    d.api.ok("POST", "/networks/create", {"Name": name, **more, "Options": {
        "com.docker.network.bridge.name": bridge}})


def create(d, net, **host):
    ports = host.get("PortBindings", {})
    return d.api.ok("POST", "/containers/create", {
        "Image": "busybox", **SLEEP, "ExposedPorts": {k: {} for k in ports},
        "HostConfig": {"NetworkMode": net, **host}})["Id"]


def check_reached(d, c, answers, host, *networks):
    here = world.Place(c, "/proc/%d/ns/net" % inspect(d, c)["State"]["Pid"])
    answers.add(here, 80)
    for n in networks:
        assert (host.ask(end(d, c, n)["IPAddress"], 80) or "").startswith(c), n


def remove(d, c, *networks):
    d.api.ok("DELETE", "/containers/" + c, force=1)
    for n in networks:
        d.api.ok("DELETE", "/networks/" + n)


@pytest.mark.parametrize("ports", [{}, {"80/tcp": [{"HostPort": "7501"}]}],
                         ids=["plain", "published"])
def test_start(own_daemon, answers, host, ports):
    """The plan names bridges that are gone when the shim reads it; twice, of two networks."""
    d = start(own_daemon, "container.start.spawn")
    network(d, "one", "one0")
    network(d, "two", "two0")
    c = create(d, "one", PortBindings=ports)
    d.api.ok("POST", "/networks/two/connect", {"Container": c})
    call = Call(d, "/containers/%s/start" % c)
    with standing_still(d):
        for bridge in ("one0", "two0"):
            world.ip("link", "del", bridge)
    assert call.result().status == 204, (call.reply, d.log()[-2000:])
    check_reached(d, c, answers, host, "one", "two")
    if ports:
        assert host.ask("127.0.0.1", 7501).startswith(c)
    assert "[error]" not in d.log().lower() and " error" not in d.log().lower(), d.log()
    remove(d, c, "one", "two")


def test_connect(own_daemon, answers, host):
    d = start(own_daemon, "network.connect.planned")
    network(d, "one", "one0")
    network(d, "two", "two0")
    c = create(d, "one")
    d.api.ok("POST", "/containers/%s/start" % c)
    call = Call(d, "/networks/two/connect", {"Container": c})
    with standing_still(d):
        world.ip("link", "del", "two0")
    assert call.result().status == 200, (call.reply, d.log()[-2000:])
    check_reached(d, c, answers, host, "one", "two")
    assert set(inspect(d, c)["NetworkSettings"]["Networks"]) == {"one", "two"}
    remove(d, c, "one", "two")


def test_a_bridge_that_is_not_ours_to_make(own_daemon, answers, host):
    """The start fails and says why; when its owner has made it again, it does not."""
    world.ip("link", "add", "theirs0", "type", "bridge")
    d = start(own_daemon, "container.start.spawn")
    network(d, "given", "theirs0")
    c = create(d, "given")
    call = Call(d, "/containers/%s/start" % c)
    with standing_still(d):
        world.ip("link", "del", "theirs0")
    reply = call.result()
    assert reply.status == 500 and "theirs0" in reply.message, reply
    assert not inspect(d, c)["State"]["Running"]
    world.ip("link", "add", "theirs0", "type", "bridge")
    d.api.ok("POST", "/containers/%s/start" % c)
    check_reached(d, c, answers, host, "given")
    remove(d, c, "given")
    world.ip("link", "del", "theirs0")


def test_over_and_over(own_daemon, answers, host):
    """Somebody deletes the bridge as often as it is there, while containers start and networks are
    connected: nothing of it fails, and all of them are reached in the end."""
    d = own_daemon()
    d.start()
    fixtures.load(d)
    network(d, "one", "one0")
    network(d, "two", "two0")
    over, count = threading.Event(), [0]

    def vandal():
        while not over.is_set():
            for bridge in ("one0", "two0"):
                count[0] += subprocess.run(["ip", "link", "del", bridge],
                                           stderr=subprocess.DEVNULL).returncode == 0
    thread = threading.Thread(target=vandal, daemon=True)
    made = [create(d, "one", PortBindings={"80/tcp": [{"HostPort": ""}]}) for _ in range(12)]
    thread.start()
    try:
        for c in made:
            for path, body in (("/containers/%s/start" % c, None),
                               ("/networks/two/connect", {"Container": c})):
                reply = d.api.post(path, body)
                assert reply.status in (200, 204), (reply, count, d.log()[-3000:])
    finally:
        over.set()
        thread.join()
    assert count[0] > 5
    until(lambda: {"one0", "two0"} <= set(links()), 10, "the bridges are there again")
    for c in made:
        check_reached(d, c, answers, host, "one", "two")
    for c in made:
        remove(d, c)
    for n in ("one", "two"):
        d.api.ok("DELETE", "/networks/" + n)
