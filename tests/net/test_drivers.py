"""Networks other than bridges: macvlan, ipvlan, none, host, another container's."""
import re

import pytest

import world
from cleat import links
from conftest import end, inspect, within
from world import can_make, check_table

SLEEP = {"Cmd": ["sleep", "1000"], "StopSignal": "SIGKILL"}
BOTH = ("tcp", "udp")


@pytest.fixture
def cable(second_host):
    """A second host whose cable's end here is the parent of macvlans: its own address has gone."""
    far = second_host()
    world.ip("addr", "flush", "dev", far.cable)
    far.ip("addr", "add", "10.81.0.1/24", "dev", "eth0")
    far.ip("addr", "add", "fd81::1/64", "dev", "eth0", "nodad")
    return far


def pools(v4, v6=None, gateway=None):
    return {"Config": [{"Subnet": v4, **({"Gateway": gateway} if gateway else {})}] +
            ([{"Subnet": v6, "Gateway": v6.split("/")[0] + "1"}] if v6 else [])}


def test_macvlan(daemon, networks, make, place, answers, cable, host):
    """The containers are neighbours of the second host, and of each other; the host is not."""
    n = networks(Driver="macvlan", EnableIPv6=True, Options={"parent": cable.cable},
                 IPAM=pools("10.81.0.0/24", "fd81::/64", "10.81.0.1"))
    a, b = [make(start=True, **SLEEP, HostConfig={"NetworkMode": n}) for _ in range(2)]
    at = {c: place(c) for c in (a, b)}
    answers.everywhere([*at.values(), cable, host], 80)
    rows = []
    for key in ("IPAddress", "GlobalIPv6Address"):
        for p in BOTH:
            rows += [(at[a], end(daemon, b, n)[key], 80, p, b), (cable, end(daemon, a, n)[key], 80, p, a),
                     (at[a], "10.81.0.1" if key == "IPAddress" else "fd81::1", 80, p, cable.label)]
    rows += [(host, end(daemon, a, n)["IPAddress"], 80, p, None) for p in BOTH]
    check_table(rows)
    assert cable.ask(end(daemon, b, n)["IPAddress"], 80) == b + "|10.81.0.1"  # not translated
    _, out = within(daemon, a, "ip", "route")
    assert "default via 10.81.0.1" in out
    mac = end(daemon, a, n)["MacAddress"]
    assert mac in cable.run("ip", "neigh", "show", end(daemon, a, n)["IPAddress"])
    code, out = within(daemon, a, "ping", "-c1", "-W5", b[:12])  # names work here, too
    assert code == 0, out


def test_macvlan_ports_are_not_published(daemon, networks, make, cable):
    n = networks(Driver="macvlan", Options={"parent": cable.cable}, IPAM=pools("10.81.0.0/24"))
    c = make(start=True, **SLEEP, ExposedPorts={"80/tcp": {}}, HostConfig={
        "NetworkMode": n, "PortBindings": {"80/tcp": [{"HostPort": "17998"}]}})
    assert not inspect(daemon, c)["NetworkSettings"]["Ports"].get("80/tcp")


@pytest.mark.parametrize("mode", ["bridge", "private", "vepa", "passthru"])
def test_macvlan_modes(daemon, networks, make, place, cable, mode):
    n = networks(Driver="macvlan", Options={"parent": cable.cable, "macvlan_mode": mode},
                 IPAM=pools("10.81.0.0/24", gateway="10.81.0.1"))
    c = make(start=True, **SLEEP, HostConfig={"NetworkMode": n})
    out = place(c).run("ip", "-d", "link", "show", "eth0")
    assert re.search(r"macvlan mode " + mode, out), out
    code, out = within(daemon, c, "ping", "-c1", "-W5", "10.81.0.1")
    assert code == 0, out


def test_macvlan_without_a_parent(daemon, networks, make):
    if not can_make("name", "dum9", "type", "dummy"):
        pytest.skip("the kernel has no dummy links")
    n = networks(Driver="macvlan")
    a, b = [make(start=True, **SLEEP, HostConfig={"NetworkMode": n}) for _ in range(2)]
    assert within(daemon, a, "ping", "-c1", "-W5", end(daemon, b, n)["IPAddress"])[0] == 0


def test_vlan(daemon, networks, make, cable):
    """A parent that is not there yet, and goes with its network."""
    if not can_make("link", cable.cable, "name", "v9", "type", "vlan", "id", "9"):
        pytest.skip("the kernel has no VLAN links")
    cable.ip("link", "add", "link", "eth0", "name", "v7", "type", "vlan", "id", "7")
    cable.ip("addr", "add", "10.82.0.1/24", "dev", "v7")
    cable.ip("link", "set", "v7", "up")
    n = networks(Driver="macvlan", Options={"parent": cable.cable + ".7"},
                 IPAM=pools("10.82.0.0/24", gateway="10.82.0.1"))
    c = make(start=True, **SLEEP, HostConfig={"NetworkMode": n})
    assert within(daemon, c, "ping", "-c1", "-W5", "10.82.0.1")[0] == 0
    daemon.api.ok("DELETE", "/containers/" + c, force=1)
    daemon.api.ok("DELETE", "/networks/" + n)
    assert cable.cable + ".7" not in links()


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_a_parent_that_is_not_there(daemon, networks, driver):
    r = daemon.api.post("/networks/create", {"Name": networks.name(), "Driver": driver,
                                             "Options": {"parent": "nolink0"}})
    assert r.status >= 400 and "nolink0" in r.message, r


def lead_by_router(far):
    """Routed by their parent's host, containers answer no ARP: the second host must know the way.
    Its address that they reach."""
    world.ip("addr", "add", far.ours + "/30", "dev", far.cable)
    far.ip("addr", "del", "10.81.0.1/24", "dev", "eth0")
    far.ip("route", "add", "10.81.0.0/24", "via", far.ours)
    return far.addr


@pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
def test_ipvlan(daemon, networks, make, place, answers, cable, mode):
    if not can_make("link", cable.cable, "name", "iv9", "type", "ipvlan", "mode", "l2"):
        pytest.skip("the kernel has no ipvlan")
    outside = "10.81.0.1" if mode == "l2" else lead_by_router(cable)
    n = networks(Driver="ipvlan", Options={"parent": cable.cable, "ipvlan_mode": mode},
                 IPAM=pools("10.81.0.0/24", gateway="10.81.0.1"))
    a, b = [make(start=True, **SLEEP, HostConfig={"NetworkMode": n}) for _ in range(2)]
    at = {c: place(c) for c in (a, b)}
    answers.everywhere([*at.values(), cable], 80)
    check_table([(at[a], end(daemon, b, n)["IPAddress"], 80, p, b) for p in BOTH] +
                [(at[a], outside, 80, p, cable.label) for p in BOTH] +
                [(cable, end(daemon, b, n)["IPAddress"], 80, p, b) for p in BOTH
                 # l3s: the kernel says that a datagram came by the parent, where none can leave.
                 if mode != "l3s" or p == "tcp"])
    out = at[a].run("ip", "-d", "link", "show", "eth0")
    assert re.search(r"ipvlan  ?mode %s " % mode, out), out


def test_ipvlan_where_there_is_none(daemon, networks, make, cable):
    """A clear error, and nothing left."""
    if can_make("link", cable.cable, "name", "iv9", "type", "ipvlan", "mode", "l2"):
        pytest.skip("the kernel has ipvlan")
    n = networks(Driver="ipvlan", Options={"parent": cable.cable}, IPAM=pools("10.81.0.0/24"))
    c = make(**SLEEP, HostConfig={"NetworkMode": n})
    r = daemon.api.post("/containers/%s/start" % c)
    assert r.status >= 400 and "ipvlan" in r.message, r
    daemon.api.ok("DELETE", "/networks/" + n)


def test_none(daemon, make):
    c = make(start=True, **SLEEP, HostConfig={"NetworkMode": "none"})
    _, out = within(daemon, c, "ip", "-o", "link")
    assert len(out.splitlines()) == 1 and "lo:" in out
    e = end(daemon, c, "none")
    assert (e["IPAddress"], e["Gateway"]) == ("", "") and e["NetworkID"]


def test_host(daemon, make, host, answers):
    c = make(start=True, **SLEEP, HostConfig={"NetworkMode": "host"})
    port = answers.add(host, 0)
    code, out = within(daemon, c, "nc", "127.0.0.1", str(port))
    assert code == 0 and out.startswith("host|")
    assert list(inspect(daemon, c)["NetworkSettings"]["Networks"]) == ["host"]
    assert not inspect(daemon, c)["NetworkSettings"]["Ports"]


def test_another_containers(daemon, networks, make, place, answers):
    """On a network of one's own: its address, its names, its resolver."""
    n = networks()
    a = make(start=True, **SLEEP, HostConfig={"NetworkMode": n})
    b = make(start=True, **SLEEP, HostConfig={"NetworkMode": "container:" + a})
    assert within(daemon, a, "ip", "addr")[1] == within(daemon, b, "ip", "addr")[1]
    answers.add(place(a, "a"), 80)
    code, out = within(daemon, b, "nc", a[:12], "80")
    assert code == 0 and out.startswith("a|"), out
    files = [within(daemon, c, "cat", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname")[1]
             for c in (a, b)]
    assert files[0] == files[1]
    assert inspect(daemon, b)["NetworkSettings"]["Networks"] == {}
