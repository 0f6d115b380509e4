"""Names in networks, asked the container's own server with a real client."""
import re
import shutil
import subprocess

import pytest

import fixtures
from conftest import end, inspect, within
from upstream import Upstream
from world import Place

SLEEP = {"Cmd": ["sleep", "1000"], "StopSignal": "SIGKILL"}
LONG = ["long text number %d, so that no datagram holds all of them" % i for i in range(20)]
TABLE = {("outside.test", "A"): ["198.51.100.7"], ("outside.test", "AAAA"): ["2001:db8::7"],
         ("long.test", "TXT"): LONG, ("7.100.51.198.in-addr.arpa", "PTR"): ["outside.test"],
         ("fresh.test", "A"): ["198.51.100.9"], ("only4.test", "A"): ["198.51.100.8"]}


class Answer:
    def __init__(self, text):
        found = re.search(r"status: (\w+)", text)
        assert found, text
        self.status, self.text = found.group(1), text
        self.flags = re.search(r"Flags: ([a-z ]*)", text).group(1).split()
        self.rows = sorted(line.split(None, 4)[4] for line in text.splitlines()
                           if line and not line.startswith(";"))

    def __repr__(self):
        return self.text


def dig(place, name, kind="A", *options):
    return Answer(place.run("kdig", "@127.0.0.11", "+noall", "+header", "+answer", "+retry=0",
                            "+timeout=8", *options, *(("-x", name) if kind == "PTR"
                                                      else ("-t", kind, "-q", name))))


@pytest.fixture(autouse=True)
def needs_kdig():
    if not shutil.which("kdig"):
        pytest.skip("no kdig (knot-dnsutils)")


@pytest.fixture
def upstream(second_host):
    far = second_host()
    made = Upstream(far, far.addr, TABLE)
    made.addr, made.place = far.addr, far
    yield made
    made.close()


def run(make, net, aliases=(), cname=None, **host):
    return make(start=True, cname=cname, **SLEEP,
                HostConfig={"NetworkMode": net, **host},
                NetworkingConfig={"EndpointsConfig": {net: {"Aliases": list(aliases)}}})


def test_names(daemon, make, networks, place, name):
    net = networks(EnableIPv6=True)
    a = run(make, net, ["db", "Data.Base"], name + "-a")
    b = run(make, net, ["db"], name + "-b")
    here = place(b)
    e = {c: end(daemon, c, net) for c in (a, b)}
    for n in (name + "-a", a[:12], "data.base", (name + "-a").upper(), name + "-a."):
        got = dig(here, n)
        assert (got.status, got.rows) == ("NOERROR", [e[a]["IPAddress"]]), (n, got)
        assert "qr" in got.flags and "ra" in got.flags
        got = dig(here, n, "AAAA")
        assert (got.status, got.rows) == ("NOERROR", [e[a]["GlobalIPv6Address"]]), (n, got)
    both = dig(here, "db")
    assert both.rows == sorted(x["IPAddress"] for x in e.values())
    assert dig(here, name + "-b").rows == [e[b]["IPAddress"]]  # itself
    for addr in (e[a]["IPAddress"], e[a]["GlobalIPv6Address"]):
        got = dig(here, addr, "PTR")
        assert got.rows[0].rstrip(".") in (name + "-a", "%s-a.%s" % (name, net)), got
    for option in ("+tcp", "+edns", "+bufsize=4096", "+dnssec", "+noedns"):
        got = dig(here, name + "-a", "A", option)
        assert (got.status, got.rows) == ("NOERROR", [e[a]["IPAddress"]]), (option, got)
    assert dig(here, name + "-a", "MX").rows == []
    assert (e[a]["DNSNames"][0], a[:12] in e[a]["DNSNames"]) == (name + "-a", True)
    # By the containers' own resolvers, too.
    code, out = within(daemon, b, "ping", "-c1", "-W5", "db")
    assert code == 0, out
    code, out = within(daemon, b, "nslookup", name + "-a")
    assert code == 0 and e[a]["IPAddress"] in out and e[a]["GlobalIPv6Address"] in out


def test_resolv_conf(daemon, make, networks):
    c = run(make, networks(), Dns=["192.0.2.200"], DnsSearch=["example.test"], DnsOptions=["ndots:2"])
    _, out = within(daemon, c, "cat", "/etc/resolv.conf")
    lines = [x for x in out.splitlines() if x and not x.startswith("#")]
    assert "nameserver 127.0.0.11" in lines and "search example.test" in lines
    assert any("ndots:2" in x for x in lines) and "nameserver 192.0.2.200" not in lines


def test_ipv4_only_name_has_an_empty_aaaa(daemon, make, networks, place, name, upstream):
    net = networks()
    run(make, net, [], name + "-a")
    here = place(run(make, net, Dns=[upstream.addr]))
    got = dig(here, name + "-a", "AAAA")
    assert (got.status, got.rows) == ("NOERROR", [])
    assert not upstream.asked(name + "-a")


def test_upstream(daemon, make, networks, place, upstream):
    here = place(run(make, networks(), Dns=[upstream.addr]))
    assert dig(here, "outside.test").rows == ["198.51.100.7"]
    assert dig(here, "outside.test", "AAAA").rows == ["2001:db8::7"]
    assert dig(here, "198.51.100.7", "PTR").rows == ["outside.test."]
    got = dig(here, "only4.test", "AAAA")
    assert (got.status, got.rows) == ("NOERROR", [])
    assert dig(here, "nothing.test").status == "NXDOMAIN"
    cut = dig(here, "long.test", "TXT", "+notcp", "+ignore")
    whole = dig(here, "long.test", "TXT", "+tcp")
    assert len(whole.rows) == len(LONG) and "tc" not in whole.flags
    assert "tc" in cut.flags or len(cut.rows) == len(LONG)
    assert ("TXT", "tcp") in upstream.asked("long.test")
    assert ("A", "udp") in upstream.asked("outside.test")


def test_own_names_never_go_upstream(daemon, make, networks, place, name, upstream):
    net = networks()
    a = run(make, net, ["db"], name + "-a")
    here = place(run(make, net, Dns=[upstream.addr]))
    for n in (name + "-a", "db", a[:12]):
        assert dig(here, n).rows == [end(daemon, a, net)["IPAddress"]]
    dig(here, end(daemon, a, net)["IPAddress"], "PTR")
    assert dig(here, "fresh.test").rows == ["198.51.100.9"]  # no other test has it cached
    assert {n for n, _, _ in upstream.log} == {"fresh.test"}


def test_internal_network_never_asks(daemon, make, networks, place, name, upstream):
    net = networks(Internal=True)
    run(make, net, [], name + "-a")
    here = place(run(make, net, Dns=[upstream.addr]))
    assert dig(here, name + "-a").status == "NOERROR"
    for n in ("outside.test", "secret.leaks.test"):
        assert dig(here, n).rows == []
    assert not upstream.log


def test_leaving_for_an_internal_network_ends_asking(daemon, make, networks, place, upstream):
    open_net, inner = networks(), networks(Internal=True)
    c = run(make, open_net, Dns=[upstream.addr])
    here = place(c)
    assert dig(here, "outside.test").rows == ["198.51.100.7"]
    daemon.api.ok("POST", "/networks/%s/connect" % inner, {"Container": c})
    assert dig(here, "only4.test").rows == ["198.51.100.8"]
    daemon.api.ok("POST", "/networks/%s/disconnect" % open_net, {"Container": c})
    upstream.log.clear()
    assert dig(here, "outside.test").rows == []
    assert dig(here, "nothing.test").rows == []
    assert not upstream.log


# ---- where servers are asked from ----

def test_asked_from_the_containers_network(daemon, make, networks, place, upstream):
    """With the container's address, by its routes, and past its own rules; UDP and TCP."""
    net = networks(Options={"com.docker.network.bridge.gateway_mode_ipv4": "routed"})
    c = run(make, net, Dns=[upstream.addr])
    here = place(c)
    upstream.place.ip("route", "add", "default", "via", upstream.place.ours)
    assert dig(here, "outside.test").rows == ["198.51.100.7"]
    assert len(dig(here, "long.test", "TXT", "+tcp").rows) == len(LONG)
    assert upstream.peers == {end(daemon, c, net)["IPAddress"]}
    upstream.log.clear()
    here.run("nft", "add table inet own; add chain inet own out { type filter hook output priority 0; };"
             " add rule inet own out ip daddr %s drop" % upstream.addr)
    assert dig(here, "fresh.test").status == "SERVFAIL"
    assert not upstream.log
    # Another container, which has no such rule, is asked for itself and gets its answer.
    assert dig(place(run(make, net, Dns=[upstream.addr])), "fresh.test").rows == ["198.51.100.9"]


def test_no_container_gets_what_another_was_told(daemon, make, networks, place, upstream):
    net = networks()
    for n in (1, 2):
        here = place(run(make, net, Dns=[upstream.addr]))
        for _ in range(2):
            assert dig(here, "fresh.test").rows == ["198.51.100.9"]
        assert len(upstream.asked("fresh.test")) == n


def test_a_server_within_the_container(daemon, make, networks, place):
    """--dns 127.0.0.1 is the container's own loopback."""
    here = place(run(make, networks(), Dns=["127.0.0.1"]))
    own = Upstream(here, "127.0.0.1", {("mine.test", "A"): ["203.0.113.9"]})
    try:
        assert dig(here, "mine.test").rows == ["203.0.113.9"]
    finally:
        own.close()


def test_the_hosts_own_server(daemon, make, networks, place, host, tmp_path):
    """One on loopback in the host's resolv.conf is asked there, but not for an internal network."""
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 127.0.0.53\n")
    up = Upstream(host, "127.0.0.53", TABLE)
    subprocess.run(["mount", "--bind", str(conf), "/etc/resolv.conf"], check=True)
    try:
        open_net, inner = networks(), networks(Internal=True)
        assert dig(place(run(make, open_net)), "outside.test").rows == ["198.51.100.7"]
        assert up.peers == {"127.0.0.1"}
        up.log.clear()
        assert dig(place(run(make, inner)), "outside.test").rows == []
        assert not up.log
    finally:
        subprocess.run(["umount", "/etc/resolv.conf"], check=True)
        up.close()


def test_no_name_of_another_network(daemon, make, networks, place, name, upstream):
    one, two = networks(), networks()
    run(make, one, ["db"], name + "-a")
    here = place(run(make, two, Dns=[upstream.addr]))
    for n in (name + "-a", "db"):
        assert dig(here, n).rows == []


def test_default_bridge_has_no_names(daemon, make, networks):
    c = make(start=True, **SLEEP)
    _, out = within(daemon, c, "cat", "/etc/resolv.conf")
    assert "127.0.0.11" not in out


def test_a_server_of_the_containers_own(daemon, make, networks, place, name, upstream):
    """Port 53 on all addresses is free for it, and ours goes on answering on 127.0.0.11."""
    net = networks()
    a = run(make, net, [], name + "-a")
    here = place(a)
    own = Upstream(here, "0.0.0.0", {("mine.test", "A"): ["203.0.113.9"]})
    try:
        b = place(run(make, net))
        out = b.run("kdig", "@" + end(daemon, a, net)["IPAddress"], "+short", "mine.test")
        assert out.strip() == "203.0.113.9"
        for option in ("+notcp", "+tcp"):
            assert dig(here, name + "-a", "A", option).rows == [end(daemon, a, net)["IPAddress"]]
            assert here.run("kdig", "@127.0.0.1", "+short", option, "mine.test").strip() == \
                "203.0.113.9"
    finally:
        own.close()


def test_names_follow(daemon, make, networks, place, name, upstream):
    """Rename, connect, disconnect, stop, start."""
    one, two = networks(), networks()
    a = run(make, one, ["db"], name + "-a")
    b = run(make, two, [], name + "-b", Dns=[upstream.addr])
    here = place(b)
    assert dig(here, name + "-a").rows == []
    daemon.api.ok("POST", "/networks/%s/connect" % two, {
        "Container": a, "EndpointConfig": {"Aliases": ["web"]}})
    addr = [end(daemon, a, two)["IPAddress"]]
    assert dig(here, name + "-a").rows == dig(here, "web").rows == dig(here, a[:12]).rows == addr
    assert dig(here, "db").rows == []  # an alias of the other network
    daemon.api.ok("POST", "/containers/%s/rename" % a, name=name + "-new")
    assert dig(here, name + "-new").rows == addr and dig(here, name + "-a").rows == []
    assert name + "-new" in end(daemon, a, two)["DNSNames"]
    daemon.api.ok("POST", "/containers/%s/stop" % a)
    for n in (name + "-new", "web", a[:12]):
        assert dig(here, n).rows == []
    daemon.api.ok("POST", "/containers/%s/start" % a)
    assert dig(here, "web").rows == [end(daemon, a, two)["IPAddress"]]
    daemon.api.ok("POST", "/networks/%s/disconnect" % two, {"Container": a})
    assert dig(here, name + "-new").rows == dig(here, "web").rows == []
    assert dig(place(a), "db").rows == [end(daemon, a, one)["IPAddress"]]


@pytest.mark.parametrize("how", ["stop", "crash"])
def test_names_outlive_the_daemon(own_daemon, second_host, how):
    far = second_host()
    up = Upstream(far, far.addr, TABLE)
    d = own_daemon(args=["--live-restore"])
    d.start()
    fixtures.load(d)
    try:
        d.api.ok("POST", "/networks/create", {"Name": "n1"})
        ids = [d.api.ok("POST", "/containers/create", {
            "Image": "busybox", **SLEEP, "HostConfig": {"NetworkMode": "n1", "Dns": [far.addr]},
            "NetworkingConfig": {"EndpointsConfig": {"n1": {"Aliases": ["db"]}}}},
            name=x)["Id"] for x in ("one", "two")]
        for c in ids:
            d.api.ok("POST", "/containers/%s/start" % c)
        here = Place("one", "/proc/%d/ns/net" % inspect(d, "one")["State"]["Pid"])
        before = [dig(here, n).rows for n in ("one", "two", "db", "outside.test")]
        assert all(before) and len(before[2]) == 2
        getattr(d, how)()
        d.start()
        assert [dig(here, n).rows for n in ("one", "two", "db", "outside.test")] == before
        d.api.ok("POST", "/containers/two/stop")
        assert dig(here, "db").rows == before[0] and dig(here, "two").rows == []
        for c in ids:
            d.api.ok("DELETE", "/containers/" + c, force=1)
        d.api.ok("DELETE", "/networks/n1")
    finally:
        up.close()
