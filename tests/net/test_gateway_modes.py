"""Gateway modes: who reaches a container at its own address, and with which address it goes out."""
import pytest

import cleat
import fixtures
import world
from conftest import end, inspect
from world import check_table

SLEEP = {"Cmd": ["sleep", "1000"], "StopSignal": "SIGKILL"}
BOTH = ("tcp", "udp")
MODE = "com.docker.network.bridge.gateway_mode_ipv%d"


def modes(v4, v6=None):
    return {MODE % 4: v4, MODE % 6: v6 or v4}


def publish(**binding):
    keys = ["80/%s" % p for p in BOTH]
    return {"ExposedPorts": {k: {} for k in keys}}, {k: [dict(binding)] for k in keys}


class Street:
    """Containers that answer at the ports 80 and 81, and a second host that routes to them."""

    def __init__(self, daemon, make, networks, place, answers, host, far):
        self.daemon, self.host, self.far = daemon, host, far
        self.make, self.networks, self.at, self.answers = make, networks, place, answers
        self.net, self.id, self.place = {}, {}, {}
        far.ip("route", "add", "default", "via", far.ours)
        far.ip("-6", "route", "add", "default", "via", far.ours6)
        answers.everywhere([far, host], 80)

    def network(self, label, **body):
        self.net[label] = self.networks(EnableIPv6=True, **body)

    def container(self, label, net, published=None):
        exposed, ports = published or ({}, {})
        c = self.make(start=True, cname="%s-%s" % (self.net[net], label), **SLEEP, **exposed,
                      HostConfig={"NetworkMode": self.net[net], "PortBindings": ports})
        self.id[label], self.place[label] = c, self.at(c, label)
        for port in (80, 81):
            self.answers.everywhere([self.place[label]], port)

    def addresses(self, label, net):
        e = end(self.daemon, self.id[label], self.net[net])
        return e["IPAddress"], e["GlobalIPv6Address"]

    def ports(self, label):
        return inspect(self.daemon, self.id[label])["NetworkSettings"]["Ports"]

    def rows(self, src, label, net, port, good):
        """From a place to a container's own addresses."""
        src = self.place.get(src, src)
        return [(src, a, port, p, label if good else None)
                for a in self.addresses(label, net) for p in BOTH]


@pytest.fixture
def street(daemon, make, networks, place, answers, host, second_host):
    return Street(daemon, make, networks, place, answers, host, second_host())


def by_host(far):
    return far.ours, far.ours6


def pings(place, addr):
    return "1 packets received" in place.run("busybox", "ping", "-c1", "-W1", addr, check=False)


def test_routed(street):
    """Published ports are open at the container's address, from everywhere but internal networks;
    nothing is translated, and no port of the host is taken."""
    far, host = street.far, street.host
    street.network("red")
    street.network("open", Options=modes("routed"))
    street.network("dark", Internal=True)
    street.container("web", "open", publish(HostPort="7401"))
    street.container("quiet", "open")
    street.container("red1", "red", publish(HostPort="7402"))
    street.container("dark1", "dark")
    street.answers.everywhere([host], 7401)  # free: it can be bound
    rows = []
    for src in (far, "red1", host, "quiet"):
        rows += street.rows(src, "web", "open", 80, True)
    for src in (far, "red1"):
        rows += street.rows(src, "web", "open", 81, False)
        rows += street.rows(src, "quiet", "open", 80, False)
    rows += street.rows("quiet", "web", "open", 81, True)
    rows += street.rows("dark1", "web", "open", 80, False)
    rows += street.rows("web", "red1", "red", 80, False)
    rows += street.rows(far, "red1", "red", 80, False)
    rows += [(far, a, 7401, p, "host") for a in by_host(far) for p in BOTH]
    rows += [(street.place["web"], a, 7402, p, "red1") for a in by_host(far) for p in BOTH]
    check_table(rows)
    for ours, theirs, theirs_far in zip(street.addresses("web", "open"), (far.addr, far.addr6),
                                        by_host(far)):
        assert far.ask(ours, 80) == "web|" + theirs
        assert street.place["web"].ask(theirs, 80) == "%s|%s" % (far.label, ours)
        assert street.place["red1"].ask(theirs, 80) == "%s|%s" % (far.label, theirs_far)
    # Answers to what is not a connection come, too: path MTU and the like are ICMP.
    assert all(pings(far, a) for a in street.addresses("quiet", "open"))
    assert not any(pings(far, a) for a in street.addresses("red1", "red"))
    assert street.ports("web") == {"80/" + p: [{"HostIp": "0.0.0.0", "HostPort": ""},
                                               {"HostIp": "::", "HostPort": ""}] for p in BOTH}


def test_nat_unprotected(street):
    """As ever, and besides every port of every container from outside; not from other networks."""
    far = street.far
    street.network("red")
    street.network("wide", Options=modes("nat-unprotected"))
    street.container("web", "wide", publish(HostPort="7401"))
    street.container("quiet", "wide")
    street.container("red1", "red")
    rows = []
    for port in (80, 81):
        for label in ("web", "quiet"):
            rows += street.rows(far, label, "wide", port, True)
            rows += street.rows(street.host, label, "wide", port, True)
            rows += street.rows("red1", label, "wide", port, False)
    rows += [(src, a, 7401, p, "web") for a in by_host(far) for p in BOTH
             for src in (far, street.place["red1"])]
    rows += street.rows("web", "red1", "red", 80, False)
    check_table(rows)
    for theirs, ours in zip((far.addr, far.addr6), by_host(far)):
        assert street.place["web"].ask(theirs, 80) == "%s|%s" % (far.label, ours)
    assert [b["HostPort"] for b in street.ports("web")["80/tcp"]] == ["7401", "7401"]


def test_internal_networks_stay_shut(street):
    far = street.far
    for mode in ("routed", "nat-unprotected"):
        street.network(mode, Internal=True, Options=modes(mode))
        street.container(mode, mode, publish(HostPort=""))
        check_table(street.rows(far, mode, mode, 80, False) +
                    [(street.place[mode], a, 80, p, None) for a in (far.addr, far.addr6)
                     for p in BOTH])


def test_a_family_each(street):
    """NAT for IPv4, routed IPv6: the example of Docker's manual, and the other way round."""
    far = street.far
    street.network("six", Options=modes("nat", "routed"))
    street.network("four", Options=modes("routed", "nat"))
    street.container("six", "six", publish(HostPort="7401"))
    street.container("four", "four", publish(HostPort="7402"))
    assert street.ports("six")["80/tcp"] == [{"HostIp": "0.0.0.0", "HostPort": "7401"},
                                             {"HostIp": "::", "HostPort": ""}]
    assert sorted(map(str, street.ports("four")["80/tcp"])) == sorted(map(str, [
        {"HostIp": "0.0.0.0", "HostPort": ""}, {"HostIp": "::", "HostPort": "7402"}]))
    rows = []
    for label, port, translated in (("six", 7401, 0), ("four", 7402, 1)):
        own, host = street.addresses(label, label), by_host(far)
        for p in BOTH:
            rows += [(far, host[translated], port, p, label),
                     (far, host[1 - translated], port, p, None),
                     (far, own[translated], 80, p, None),
                     (far, own[1 - translated], 80, p, label)]
    check_table(rows)


def test_a_host_address_only_tells_the_family(street):
    """... and one on loopback, which nobody outside can mean, opens nothing."""
    far = street.far
    street.network("open", Options=modes("routed"))
    for label, ip in (("four", "0.0.0.0"), ("six", "::"), ("one", far.ours), ("local", "127.0.0.1"),
                      ("local6", "::1")):
        street.container(label, "open", publish(HostIp=ip, HostPort="7401"))
    rows = []
    for label, good in (("four", (1, 0)), ("six", (0, 1)), ("one", (1, 0)), ("local", (0, 0)),
                        ("local6", (0, 0))):
        for addr, yes in zip(street.addresses(label, "open"), good):
            rows += [(far, addr, 80, p, label if yes else None) for p in BOTH]
            rows.append((street.host, addr, 80, "tcp", label))
    check_table(rows)
    assert street.ports("one")["80/tcp"] == [{"HostIp": far.ours, "HostPort": ""}]
    assert not street.ports("local")["80/tcp"]


def test_no_ipv6_in_a_routed_network(street):
    """IPv6 of the host has nothing to lead to."""
    n = street.networks(Options=modes("routed"))
    exposed, ports = publish(HostPort="7401")
    c = street.make(start=True, **SLEEP, **exposed,
                    HostConfig={"NetworkMode": n, "PortBindings": ports})
    assert inspect(street.daemon, c)["NetworkSettings"]["Ports"]["80/tcp"] == [
        {"HostIp": "0.0.0.0", "HostPort": ""}]


def test_every_routed_network_is_open(street):
    """Ports of the host follow the default route; those of routed networks are open in each."""
    d, far = street.daemon, street.far
    for label, mode in (("base", "nat"), ("one", "routed"), ("two", "routed")):
        street.network(label, Options=modes(mode))
    before = cleat.nft_ruleset()
    street.container("web", "base", publish(HostPort="7401"))
    for label in ("one", "two"):
        d.api.ok("POST", "/networks/%s/connect" % street.net[label],
                 {"Container": street.id["web"], "EndpointConfig": {"GwPriority": -1}})
    direct = {n: street.rows(far, "web", n, 80, n != "base") for n in ("base", "one", "two")}
    host = [(far, a, 7401, p, "web") for a in by_host(far) for p in BOTH]
    check_table([*host, *street.rows("web", "web", "one", 80, True), *direct["base"]])
    for n in ("one", "two"):
        for addr in street.addresses("web", n):
            assert far.ask(addr, 80)
    shown = [(b["HostIp"], b["HostPort"]) for b in street.ports("web")["80/tcp"]]
    assert shown == [("0.0.0.0", "7401"), ("::", "7401"), ("0.0.0.0", ""), ("::", "")]
    gone = street.addresses("web", "one")
    d.api.ok("POST", "/networks/%s/disconnect" % street.net["one"], {"Container": street.id["web"]})
    rules = "".join(cleat.nft_ruleset())
    assert not any(a in rules for a in gone)
    assert all(a in rules for a in street.addresses("web", "two"))
    d.api.ok("POST", "/containers/%s/stop" % street.id["web"])
    assert cleat.nft_ruleset() == before


def test_clients_show_them(cli, networks, name):
    net = networks(Options=modes("routed"))
    done = cli("run", "-d", "--name", name, "--network", net, "-p", "8080:80", "busybox", "sleep",
               "1000")
    assert done.returncode == 0, done
    assert cli("port", name).stdout.strip() == "80/tcp -> 0.0.0.0:"
    assert "80/tcp" in cli("ps", "--filter", "name=" + name, "--format", "{{.Ports}}").stdout
    assert cli("rm", "-f", name).returncode == 0


def test_restart(own_daemon, second_host, answers):
    """A later daemon finds the ports open, changes nothing, and shuts them at the end."""
    d, far = own_daemon(), second_host()
    d.start()
    fixtures.load(d)
    d.api.ok("POST", "/networks/create", {"Name": "open", "Options": modes("routed")})
    before = cleat.nft_ruleset()
    exposed, ports = publish(HostPort="")
    c = d.api.ok("POST", "/containers/create", {
        "Image": "busybox", **SLEEP, **exposed,
        "HostConfig": {"NetworkMode": "open", "PortBindings": ports}})["Id"]
    d.api.ok("POST", "/containers/%s/start" % c)
    addr = end(d, c, "open")["IPAddress"]
    far.ip("route", "add", "default", "via", far.ours)
    here = world.Place("web", "/proc/%d/ns/net" % inspect(d, c)["State"]["Pid"])
    answers.everywhere([here], 80)
    rules = cleat.nft_ruleset()
    assert rules != before
    d.crash()
    d.start()
    assert cleat.nft_ruleset() == rules
    check_table([(far, addr, 80, p, "web") for p in BOTH])
    assert inspect(d, c)["NetworkSettings"]["Ports"]["80/tcp"] == [
        {"HostIp": "0.0.0.0", "HostPort": ""}]
    d.api.ok("DELETE", "/containers/" + c, force=1)
    assert cleat.nft_ruleset() == before
    d.api.ok("DELETE", "/networks/open")


TRUSTED = "com.docker.network.bridge.trusted_host_interfaces"


def test_trusted_interfaces(street):
    """Published ports, at the container's own address, from the links that the network names."""
    far = street.far
    street.network("near", Options={TRUSTED: "none0:" + far.cable})
    street.network("plain")
    street.container("web", "near", publish(HostPort="7401"))
    street.container("local", "near", publish(HostIp="127.0.0.1", HostPort="7402"))
    street.container("quiet", "near")
    street.container("other", "plain", publish(HostPort="7403"))
    rows = [(far, a, 7401, p, "web") for a in by_host(far) for p in BOTH]
    rows += street.rows(far, "web", "near", 80, True)
    rows += street.rows(far, "web", "near", 81, False)
    rows += street.rows(far, "quiet", "near", 80, False)
    rows += street.rows(far, "local", "near", 80, False)
    rows += street.rows(far, "other", "plain", 80, False)
    rows += street.rows("other", "web", "near", 80, False)
    check_table(rows)
    assert [b["HostPort"] for b in street.ports("web")["80/tcp"]] == ["7401", "7401"]
    open_now = cleat.nft_ruleset()
    street.daemon.restart()
    assert cleat.nft_ruleset() == open_now
    street.daemon.api.ok("DELETE", "/containers/" + street.id["web"], force=1)
    check_table([(far, a, 80, p, None) for a in street.addresses("quiet", "near") for p in BOTH])


@pytest.mark.parametrize("value", ["eth0:", ":eth0", "a/b", "x" * 16, 'a"b', ":".join("e%d" % i
                                                                             for i in range(17))])
def test_wrong_trusted_interfaces(daemon, value):
    answer = daemon.api.post("/networks/create", {"Name": "wrong", "Options": {TRUSTED: value}})
    assert answer.status == 400 and "invalid value for " + TRUSTED in answer.message


@pytest.fixture
def own_addresses():
    own = ("198.51.100.7", "2001:db8:77::7")
    for a in own:
        world.ip("addr", "add", a, "dev", "lo")
    yield own
    for a in own:
        world.ip("addr", "del", a, "dev", "lo")


def test_source_addresses(street, own_addresses):
    """What leaves has the address that the network names, of each family."""
    far, own = street.far, own_addresses
    street.network("out", Options={"com.docker.network.host_ipv4": own[0],
                                   "com.docker.network.host_ipv6": own[1]})
    street.container("c", "out")
    for theirs, ours in zip((far.addr, far.addr6), own):
        assert street.place["c"].ask(theirs, 80) == "%s|%s" % (far.label, ours)
    wrong = street.daemon.api.post("/networks/create", {
        "Name": "wrong", "Options": {"com.docker.network.host_ipv6": own[0]}})
    assert wrong.status == 400
