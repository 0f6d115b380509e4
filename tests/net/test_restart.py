"""A daemon that ends, in peace or not, under containers that go on; and the next one."""
import socket
import struct
import subprocess
import threading

import pytest

import cleat
import fixtures
import world
from cleat import links, until
from conftest import end, inspect

SLEEP = {"Cmd": ["sleep", "1000"], "StopSignal": "SIGKILL"}


class Monitor:
    """Everything that is changed in the packet filter, as nft tells it."""

    def __init__(self):
        self.process = subprocess.Popen(["nft", "-j", "monitor"], stdout=subprocess.PIPE, text=True)
        self.lines = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        until(lambda: self._marked("probe"), 10, "nft monitor runs")

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def _marked(self, word):
        """Make a table and take it away: it must be seen, and so must all that came before."""
        name = "monitor-" + word
        subprocess.run(["nft", "add table inet %s; delete table inet %s" % (name, name)], check=True)
        return any(name in x for x in self.lines)

    def end(self):
        """What was seen, without our own marks."""
        until(lambda: self._marked("end"), 10, "nft monitor tells all")
        self.process.terminate()
        self.process.wait()
        self.thread.join()
        return [x for x in self.lines if "monitor-" not in x]


class Streams:
    """Connections that talk all the time: one line there and back, as often as asked."""

    def __init__(self):
        self.pairs = []

    def add(self, src, dst, addr, port):
        with dst.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("0.0.0.0", port))
            s.listen(1)
            c = src.socket(socket.AF_INET, socket.SOCK_STREAM)
            c.settimeout(10)
            c.connect(addr)
            peer, _ = s.accept()
            peer.settimeout(10)
            self.pairs.append((c, peer))

    def talk(self):
        for i, (a, b) in enumerate(self.pairs):
            for x, y in ((a, b), (b, a)):
                x.sendall(b"line %d\n" % i)
                assert y.recv(100) == b"line %d\n" % i

    def close(self):
        """Hard: an orphan that still tries to say good-bye would keep its namespace."""
        for s in (s for pair in self.pairs for s in pair):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
        self.pairs.clear()


@pytest.fixture
def streams():
    s = Streams()
    yield s
    s.close()


def rulesets():
    return cleat.nft_ruleset()


def start_some(d, second):
    """Three containers on three networks, of which one is internal and one has ports; one network
    that nobody uses, one that only keeps a configuration."""
    api = d.api
    for name, more in (("front", {"EnableIPv6": True}), ("back", {"Internal": True}), ("idle", {}),
                       ("fixed", {"IPAM": {"Config": [{"Subnet": "10.77.0.0/24"}]}}),
                       ("source", {"ConfigOnly": True})):
        api.ok("POST", "/networks/create", {"Name": name, **more})
    ids = {}
    for name, net, more in (("web", "front", {"PortBindings": {
            "80/tcp": [{"HostPort": "7100"}], "81/udp": [{"HostIp": second.ours,
                                                          "HostPort": "7101"}]}}),
                            ("db", "back", {}), ("own", "fixed", {})):
        ids[name] = api.ok("POST", "/containers/create", {
            "Image": "busybox", **SLEEP, "ExposedPorts": {"80/tcp": {}, "81/udp": {}},
            "HostConfig": {"NetworkMode": net, **more}, "NetworkingConfig": {"EndpointsConfig": {
                "fixed": {"IPAMConfig": {"IPv4Address": "10.77.0.77"}}}} if net == "fixed" else {}},
            name=name)["Id"]
        api.ok("POST", "/containers/%s/start" % ids[name])
    api.ok("POST", "/networks/back/connect", {"Container": "web"})
    api.ok("POST", "/networks/front/connect", {"Container": "own"})
    return ids


def described(d):
    return {c: {n: {k: v for k, v in e.items()}
                for n, e in inspect(d, c)["NetworkSettings"]["Networks"].items()}
            for c in ("web", "db", "own")}, \
        {n["Name"]: n for n in d.api.ok("GET", "/networks") if n["Name"] not in (
            "bridge", "host", "none")}, inspect(d, "web")["NetworkSettings"]["Ports"]


@pytest.mark.parametrize("how", ["stop", "crash"])
def test_restart_under_running_containers(own_daemon, second_host, streams, answers, host, how):
    far = second_host()
    d = own_daemon(args=["--live-restore"])
    d.start()
    fixtures.load(d)
    start_some(d, far)
    at = {c: world.Place(c, "/proc/%d/ns/net" % inspect(d, c)["State"]["Pid"])
          for c in ("web", "db", "own")}
    ip = {(c, n): e["IPAddress"] for c, nets in described(d)[0].items() for n, e in nets.items()}
    streams.add(at["web"], at["db"], (ip["db", "back"], 5000), 5000)
    streams.add(at["own"], at["web"], (ip["web", "front"], 5000), 5000)
    streams.add(far, at["web"], (far.ours, 7100), 80)
    streams.add(host, at["web"], ("127.0.0.1", 7100), 80)
    streams.add(at["web"], far, (far.addr, 5000), 5000)
    streams.talk()
    before, rules, ours = described(d), rulesets(), links()
    monitor = Monitor()
    getattr(d, how)()
    streams.talk()
    assert links() == ours and rulesets() == rules
    d.start()
    streams.talk()
    assert monitor.end() == []
    assert described(d) == before and rulesets() == rules and links() == ours
    # And it still works: a new connection, another container, the next address.
    answers.everywhere([at["web"]], 80)
    world.check_table([(far, far.ours, 7100, "tcp", "web"), (at["own"], ip["web", "front"], 80,
                                                              "udp", "web")])
    taken = set(ip.values())
    new = d.api.ok("POST", "/containers/create", {"Image": "busybox", **SLEEP,
                                                  "HostConfig": {"NetworkMode": "front"}})["Id"]
    d.api.ok("POST", "/containers/%s/start" % new)
    assert end(d, new, "front")["IPAddress"] not in taken
    r = d.api.post("/containers/create", {"Image": "busybox", **SLEEP, "HostConfig": {
        "PortBindings": {"80/tcp": [{"HostPort": "7100"}]}}, "ExposedPorts": {"80/tcp": {}}})
    r = d.api.post("/containers/%s/start" % r.json["Id"])
    assert r.status == 500 and "already allocated" in r.message
    streams.close()  # a socket keeps its namespace, and that its link
    answers.close()
    for c in d.api.ok("GET", "/containers/json", all=1):
        d.api.ok("DELETE", "/containers/" + c["Id"], force=1)
    for n in ("front", "back", "idle", "fixed", "source"):
        d.api.ok("DELETE", "/networks/" + n)
    until(lambda: not [x for x in links() if x.startswith(("veth", "br-"))], 10, links)


def test_unused_networks_are_there_again(own_daemon):
    """Links and rules go with the daemon, when nothing runs, and come back with the next."""
    d = own_daemon()
    d.start()
    d.api.ok("POST", "/networks/create", {"Name": "n1", "EnableIPv6": True, "Labels": {"a": "b"},
                                          "Options": {"com.docker.network.bridge.name": "idle0"}})
    d.api.ok("POST", "/networks/create", {"Name": "n2", "Internal": True})
    before = {n["Id"]: n for n in d.api.ok("GET", "/networks", filters={"type": ["custom"]})}
    rules = rulesets()
    assert d.stop() == 0
    assert "idle0" not in links() and not cleat.nft_tables() - d.tables
    d.start()
    assert "idle0" in links() and rulesets() == rules
    now = {n["Id"]: n for n in d.api.ok("GET", "/networks", filters={"type": ["custom"]})}
    assert now == before
    d.crash()
    d.start()
    assert {n["Id"]: n for n in d.api.ok("GET", "/networks", filters={
        "type": ["custom"]})} == before and rulesets() == rules
    for n in ("n1", "n2"):
        d.api.ok("DELETE", "/networks/" + n)
    assert "idle0" not in links()


def test_a_container_that_ended_meanwhile(own_daemon):
    """Its addresses, elements and names are free again, although nobody was there to see."""
    d = own_daemon(args=["--live-restore"])
    d.start()
    fixtures.load(d)
    empty = rulesets()
    d.api.ok("POST", "/networks/create", {"Name": "n1", "IPAM": {"Config": [
        {"Subnet": "10.78.0.0/24"}]}})
    bare = rulesets()
    body = {"Image": "busybox", **SLEEP, "ExposedPorts": {"80/tcp": {}}, "HostConfig": {
        "NetworkMode": "n1", "PortBindings": {"80/tcp": [{"HostPort": "7200"}]}},
        "NetworkingConfig": {"EndpointsConfig": {"n1": {"IPAMConfig": {
            "IPv4Address": "10.78.0.78"}}}}}
    d.api.ok("POST", "/containers/create", body, name="c1")
    d.api.ok("POST", "/containers/c1/start")
    pid = inspect(d, "c1")["State"]["Pid"]
    d.crash()
    subprocess.run(["kill", "-9", str(pid)], check=True)
    until(lambda: not [x for x in links() if x.startswith("veth")], 10, links)
    d.start()
    until(lambda: not inspect(d, "c1")["State"]["Running"], 10, "it is seen to have ended")
    until(lambda: rulesets() == bare, 10, rulesets)
    d.api.ok("POST", "/containers/create", body, name="c2")
    d.api.ok("POST", "/containers/c2/start")  # the same address, the same port
    for c in ("c1", "c2"):
        d.api.ok("DELETE", "/containers/" + c, force=1)
    d.api.ok("DELETE", "/networks/n1")
    until(lambda: rulesets() == empty, 10, rulesets)
