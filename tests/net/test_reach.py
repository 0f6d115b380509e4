"""Who reaches whom: every pair of places, tcp and udp, IPv4 and IPv6."""
import json
import subprocess

import pytest

import cleat
import world
from cleat import until
from conftest import end, inspect, within
from world import attempt, check_table

SLEEP = {"Cmd": ["sleep", "1000"], "StopSignal": "SIGKILL"}
BOTH = ("tcp", "udp")


def addresses(daemon, c, network):
    e = end(daemon, c, network)
    return [a for a in (e["IPAddress"], e["GlobalIPv6Address"]) if a]


def bindings(port, *hosts):
    """PortBindings and ExposedPorts of one container port, tcp and udp: (host ip, host port)."""
    keys = ["%d/%s" % (port, p) for p in BOTH]
    return {"ExposedPorts": {k: {} for k in keys}}, {
        k: [{"HostIp": h, "HostPort": str(n)} for h, n in hosts] for k in keys}


class Town:
    """Containers on some networks with servers in each, a host, and two second hosts."""

    def __init__(self, daemon, make, networks, place, answers, host, second_host):
        self.daemon, self.answers, self.host = daemon, answers, host
        self.far, self.other_far = second_host(), second_host()
        self.net = {}
        for label, body in (("red", {}), ("blue", {}), ("dark", {"Internal": True}),
                            ("shy", {"Options": {
                                "com.docker.network.bridge.enable_icc": "false"}})):
            self.net[label] = networks(EnableIPv6=True, **body)
        self.place, self.ips, self.id = {}, {}, {}
        self._make, self._place = make, place
        for label in ("red1", "red2", "blue1", "dark1", "dark2", "shy1", "shy2"):
            self.add(label, label[:-1])
        answers.everywhere([*self.place.values(), host, self.far, self.other_far], 80)

    def add(self, label, net, ports=None, exposed=None):
        net = self.net[net]
        c = self._make(start=True, cname="%s-%s" % (net, label), **SLEEP, **(exposed or {}),
                       HostConfig={"NetworkMode": net, **({"PortBindings": ports} if ports else {})})
        self.id[label], self.place[label] = c, self._place(c, label)
        self.ips[label] = addresses(self.daemon, c, net)

    def gateways(self, label):
        e = end(self.daemon, self.id[label], self.net[label[:-1]])
        return [a for a in (e["Gateway"], e["IPv6Gateway"]) if a]


@pytest.fixture
def town(daemon, make, networks, place, answers, host, second_host):
    t = Town(daemon, make, networks, place, answers, host, second_host)
    for far in (t.far, t.other_far):
        far.ip("route", "add", "default", "via", far.ours)
        far.ip("-6", "route", "add", "default", "via", far.ours6)
    return t


def test_every_pair(town):
    """Same network yes, another no, internal only within, no inter-container communication where
    it is off; a second host reaches no container although it routes their subnets to us."""
    rows = []

    def want(src, dst, good):
        for addr in town.ips[dst] if dst in town.ips else ():
            rows.extend((src, addr, 80, p, dst if good else None) for p in BOTH)
    for label, src in town.place.items():
        for dst in town.place:
            net = label[:-1]
            same = net == dst[:-1]
            want(src, dst, label == dst or (same and net != "shy"))
        for addr in (town.far.addr, town.far.addr6):
            good = label[:-1] != "dark"
            rows.extend((src, addr, 80, p, town.far.label if good else None) for p in BOTH)
    for dst in town.place:
        want(town.host, dst, True)
        want(town.far, dst, False)
    assert len(rows) > 250 and all(len(v) == 2 for v in town.ips.values())
    check_table(rows)


def test_to_the_host(town):
    """By the network's gateway, also from an internal network; by another address not from there."""
    rows = []
    for label in ("red1", "blue1", "dark1", "shy1"):
        src = town.place[label]
        for addr in town.gateways(label):
            rows += [(src, addr, 80, p, "host") for p in BOTH]
    for addr in (town.far.ours, town.far.ours6):
        rows += [(town.place["red1"], addr, 80, p, "host") for p in BOTH]
        rows += [(town.place["dark1"], addr, 80, p, None) for p in BOTH]
    check_table(rows)


def test_outside_sees_the_hosts_address(town):
    """Masquerading; and no packet of an internal network gets out."""
    for addr, ours in ((town.far.addr, town.far.ours), (town.far.addr6, town.far.ours6)):
        for proto in BOTH:
            assert town.place["red1"].ask(addr, 80, proto) == "%s|%s" % (town.far.label, ours)


def test_names_lead_there(town):
    """The same by name, through the containers' own resolvers."""
    d = town.daemon
    for src, dst in (("red1", "red2"), ("red1", "red1"), ("dark1", "dark2")):
        name = "%s-%s" % (town.net[dst[:-1]], dst)
        code, out = within(d, town.id[src], "nc", name, "80")
        assert code == 0 and out.startswith(dst + "|"), (src, dst, out)
    code, out = within(d, town.id["red1"], "nc", "-w1",
                       "%s-blue1" % town.net["blue"], "80")
    assert code != 0


# ---- published ports ----

@pytest.fixture
def shop(town):
    """Containers with published ports: on all addresses, on one, on localhost, on an internal
    network."""
    for i, (label, net, hosts) in enumerate((
            ("all", "red", [("", 7001)]), ("one", "blue", [(town.far.ours, 7002)]),
            ("six", "blue", [(town.far.ours6, 7006)]),
            ("local", "red", [("127.0.0.1", 7003)]), ("inner", "dark", [("", 7004)]))):
        exposed, ports = bindings(80, *hosts)
        town.add(label, net, ports, exposed)
        town.answers.everywhere([town.place[label]], 80)
    return town


def test_published(shop):
    far, other, host = shop.far, shop.other_far, shop.host
    rows = []

    def want(src, addr, port, who):
        rows.extend((src, addr, port, p, who) for p in BOTH)
    for src in (host, far, other):
        for addr in (far.ours, far.ours6, other.ours, other.ours6):
            want(src, addr, 7001, "all")
            want(src, addr, 7002, "one" if addr == far.ours else None)
            want(src, addr, 7006, "six" if addr == far.ours6 else None)
            want(src, addr, 7003, None)
            want(src, addr, 7004, None)
    for addr in ("127.0.0.1", "127.0.0.2"):
        want(host, addr, 7001, "all")
        want(host, addr, 7002, None)
        want(host, addr, 7003, "local" if addr == "127.0.0.1" else None)
    # Published or not: nobody comes by the container's own address.
    for label in ("all", "one", "local"):
        for addr in shop.ips[label]:
            want(far, addr, 80, None)
            want(host, addr, 80, label)
    # Hairpin: from the same network, from another one, from itself.
    for label in ("red2", "blue1", "all", "one", "shy1"):
        for addr in (far.ours, far.ours6):
            want(shop.place[label], addr, 7001, "all")
        want(shop.place[label], far.ours, 7002, "one")
        want(shop.place[label], far.ours6, 7006, "six")
    for addr in shop.gateways("red1"):
        want(shop.place["red2"], addr, 7001, "all")
        want(shop.place["all"], addr, 7001, "all")
    want(shop.place["dark1"], far.ours, 7001, None)
    check_table(rows)


def test_published_is_at_localhost_by_ipv6_too(shop):
    check_table([(shop.host, "::1", 7001, p, "all") for p in BOTH])


def test_localhost_only_means_it(shop):
    """A neighbour that routes 127.0.0.0/8 to us gets neither at the port nor at our own servers."""
    far = shop.far
    far.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
    far.ip("addr", "del", "127.0.0.1/8", "dev", "lo")
    far.ip("route", "flush", "table", "local", "127.0.0.0/8")
    far.ip("route", "add", "127.0.0.0/8", "via", far.ours, "src", far.addr)
    assert shop.host.ask("127.0.0.1", 7003)
    counter = rx_packets(far.cable)
    check_table([(far, "127.0.0.1", port, p, None) for port in (80, 7001, 7003) for p in BOTH])
    assert rx_packets(far.cable) > counter  # they did arrive at the cable
    # The same from a container, whose bridge has route_localnet: a raw neighbour on the bridge.
    red = shop.place["red1"]
    red.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1", "net.ipv4.conf.eth0.route_localnet=1")
    red.run("ip", "addr", "del", "127.0.0.1/8", "dev", "lo")
    red.run("ip", "route", "flush", "table", "local", "127.0.0.0/8")
    red.run("ip", "route", "add", "127.0.0.0/8", "via", shop.gateways("red1")[0], "src",
            shop.ips["red1"][0])
    check_table([(red, "127.0.0.1", port, p, None) for port in (80, 7003) for p in BOTH])


def rx_packets(link):
    out = subprocess.run(["ip", "-s", "-j", "link", "show", link], capture_output=True, check=True)
    return json.loads(out.stdout)[0]["stats64"]["rx"]["packets"]


def test_port_goes_with_the_container(shop):
    assert shop.far.ask(shop.far.ours, 7001).startswith("all|")
    shop.daemon.api.ok("POST", "/containers/%s/stop" % shop.id["all"])
    assert attempt([(shop.far, shop.far.ours, 7001, p) for p in BOTH]) == [None, None]


@pytest.mark.parametrize("tool", ["nft", "iptables"])
def test_the_hosts_own_firewall_keeps_its_say(shop, tool):
    """A drop of the host's, in a table of its own or in iptables' FORWARD, beats our accept."""
    far, red2 = shop.far, shop.place["red2"]
    before = cleat.nft_tables()
    rows = [(far, far.ours, 7001, p, "all") for p in BOTH] + \
        [(far, far.ours6, 7001, p, "all") for p in BOTH]
    check_table(rows)
    if tool == "nft":
        nft("table inet mine { chain f { type filter hook forward priority filter; "
            "policy drop; iifname \"%s\" oifname \"br-*\" meta l4proto udp accept; "
            "ct state established accept; }; }" % far.cable)
        check_table([(*r[:4], "all" if r[3] == "udp" else None) for r in rows])
    else:
        for program in ("iptables-nft", "ip6tables-nft"):
            subprocess.run([program, "-I", "FORWARD", "-i", far.cable, "-p", "tcp", "-j", "DROP"],
                           check=True)
        check_table([(*r[:4], "all" if r[3] == "udp" else None) for r in rows])
    for family, name in cleat.nft_tables() - before:
        nft("delete table %s %s" % (family, name))
    check_table(rows)
    assert red2.ask(shop.ips["red1"][0], 80)


def test_nobody_opens_it_from_inside(town):
    """A rule that somebody puts into the daemon's own table, where its accept would open all, goes
    again, and so does an element."""
    d, far = town.daemon, town.far
    table = next(name for family, name in cleat.nft_tables() if name.startswith("cleat-"))
    before = cleat.nft_ruleset()
    bridge = "br-" + d.api.ok("GET", "/networks/" + town.net["red"])["Id"][:12]
    for harm in ("insert rule inet %s forward accept" % table,
                 "add element inet %s wide4 { \"%s\" }" % (table, bridge)):
        nft(harm)
        until(lambda: cleat.nft_ruleset() == before, 10, harm)
        check_table([(far, a, 80, p, None) for a in town.ips["red1"] for p in BOTH])
    assert "belong in another one" in d.log()


def nft(text):
    subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)


def test_many_ports_at_once(daemon, make, networks, place, answers, host):
    """A range, and free ports that the daemon chooses."""
    net = networks()
    keys = {"%d/tcp" % p: {} for p in range(100, 140)}
    c = make(start=True, **SLEEP, ExposedPorts=keys, HostConfig={
        "NetworkMode": net, "PortBindings": {k: [{"HostPort": ""}] for k in keys}})
    home = place(c, "many")
    ports = inspect(daemon, c)["NetworkSettings"]["Ports"]
    rows = []
    for key, bound in ports.items():
        number = int(key.split("/")[0])
        answers.add(world.Place(str(number), home.path), number)
        rows += [(host, "127.0.0.1", int(b["HostPort"]), "tcp", str(number))
                 for b in bound if ":" not in b["HostIp"]]
    assert len(rows) == 40
    check_table(rows)


def test_connections_die_with_the_network(daemon, make, networks, place, answers):
    """Disconnected is disconnected: an open connection gets no more answers, the other network's
    goes on."""
    one, two = networks(), networks()
    a = make(start=True, **SLEEP, HostConfig={"NetworkMode": one})
    b = make(start=True, **SLEEP, HostConfig={"NetworkMode": one})
    for c in (a, b):
        daemon.api.ok("POST", "/networks/%s/connect" % two, {"Container": c})
    answers.everywhere([place(b, "b")], 80)
    there = {n: end(daemon, b, n)["IPAddress"] for n in (one, two)}
    check_table([(place(a), there[n], 80, p, "b") for n in (one, two) for p in BOTH])
    daemon.api.ok("POST", "/networks/%s/disconnect" % one, {"Container": a})
    check_table([(place(a), there[two], 80, p, "b") for p in BOTH] +
                [(place(a), there[one], 80, p, None) for p in BOTH])
