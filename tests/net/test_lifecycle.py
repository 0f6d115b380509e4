"""Networks from creation to removal, by three clients; what is refused, with Docker's statuses."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

import cleat
from clients import DockerPy
from cleat import links
from conftest import end, inspect, within

SLEEP = {"Cmd": ["sleep", "1000"], "StopSignal": "SIGKILL"}
BRIDGE = "com.docker.network.bridge."


# ---- the three clients, as far as networks go ----

def create(client, name, **o):
    """@o: subnet=[...], gateway=[...], ip_range=[...], aux={name: ip}, ipv6, internal, attachable,
    labels={}, options={}, driver"""
    if isinstance(client, DockerPy):
        return create_py(client, name, o)
    args = []
    for key, flag in (("subnet", "--subnet"), ("gateway", "--gateway"), ("ip_range", "--ip-range")):
        args += [x for v in o.get(key, []) for x in (flag, v)]
    for key, flag in (("aux", "--aux-address"), ("labels", "--label"), ("options", "--opt")):
        args += [x for k, v in o.get(key, {}).items() for x in (flag, "%s=%s" % (k, v))]
    for key in ("ipv6", "internal", "attachable"):
        args += ["--" + key] if o.get(key) else []
    args += ["--driver", o["driver"]] if "driver" in o else []
    return client.ok("network", "create", *args, name)


def create_py(client, name, o):
    from docker.types import IPAMConfig, IPAMPool
    pools, v4 = [], 0
    for i, subnet in enumerate(o.get("subnet", [])):
        pick = lambda key: next((x for x in o.get(key, []) if (":" in x) == (":" in subnet)), None)
        pools.append(IPAMPool(subnet, pick("ip_range"), pick("gateway"),
                              {k: v for k, v in o.get("aux", {}).items()
                               if (":" in v) == (":" in subnet)} or None))
    return client.api.create_network(
        name, driver=o.get("driver"), options=o.get("options"),
        ipam=IPAMConfig(pool_configs=pools) if pools else None, internal=o.get("internal", False),
        labels=o.get("labels"), enable_ipv6=o.get("ipv6", False),
        attachable=o.get("attachable"))["Id"]


def look(client, name):
    if isinstance(client, DockerPy):
        return client.api.inspect_network(name)
    return json.loads(client.ok("network", "inspect", name))[0]


def ids(client, **filters):
    if isinstance(client, DockerPy):
        return {n["Id"] for n in client.api.networks(filters=filters)}
    args = [x for k, v in filters.items() for x in ("--filter", "%s=%s" % (k, v))]
    return set(client.ok("network", "ls", "-q", "--no-trunc", *args).split())


def connect(client, net, c, **o):
    if isinstance(client, DockerPy):
        return client.api.connect_container_to_network(
            c, net, ipv4_address=o.get("ip"), aliases=o.get("alias"))
    args = ["--ip", o["ip"]] if "ip" in o else []
    args += [x for a in o.get("alias", []) for x in ("--alias", a)]
    return client.ok("network", "connect", *args, net, c)


def disconnect(client, net, c):
    if isinstance(client, DockerPy):
        return client.api.disconnect_container_from_network(c, net)
    return client.ok("network", "disconnect", net, c)


def remove(client, net):
    if isinstance(client, DockerPy):
        return client.api.remove_network(net)
    return client.ok("network", "rm", net)


def test_everything_that_can_be_said(client, networks, daemon):
    n, link = networks.name(), "tb%d" % (len(networks.prefix) * 1000 % 997)
    nid = create(client, n, subnet=["10.91.0.0/16", "fd91::/64"], gateway=["10.91.0.254", "fd91::fe"],
                 ip_range=["10.91.5.0/24"], aux={"printer": "10.91.5.1", "six": "fd91::9"}, ipv6=True,
                 attachable=True, labels={"a": "1", "b": ""},
                 options={BRIDGE + "name": link, BRIDGE + "enable_icc": "false",
                          "com.docker.network.driver.mtu": "1400"})
    got = look(client, n)
    assert re.fullmatch("[0-9a-f]{64}", nid) and got["Id"] == nid and got["Name"] == n
    assert (got["Driver"], got["Scope"], got["Internal"], got["Attachable"], got["Ingress"],
            got["EnableIPv6"], got["ConfigOnly"]) == ("bridge", "local", False, True, False, True, False)
    assert got["Labels"] == {"a": "1", "b": ""} and got["Containers"] == {}
    assert got["Options"][BRIDGE + "enable_icc"] == "false"
    pools = {p["Subnet"]: p for p in got["IPAM"]["Config"]}
    assert got["IPAM"]["Driver"] == "default" and set(pools) == {"10.91.0.0/16", "fd91::/64"}
    four, six = pools["10.91.0.0/16"], pools["fd91::/64"]
    assert (four["Gateway"], four["IPRange"]) == ("10.91.0.254", "10.91.5.0/24")
    aux = four.get("AuxiliaryAddresses") or four.get("AuxAddress")
    assert aux == {"printer": "10.91.5.1"} and six["Gateway"] == "fd91::fe"
    shown = json.loads(subprocess.run(["ip", "-j", "addr", "show", link], capture_output=True,
                                      check=True).stdout)[0]
    have = {(a["local"], a["prefixlen"]) for a in shown["addr_info"]}
    assert {("10.91.0.254", 16), ("fd91::fe", 64)} <= have and "UP" in shown["flags"]
    remove(client, n)
    assert link not in links() and nid not in ids(client)


def test_addresses_are_chosen_from_the_range(client, networks, make, daemon):
    n = networks.name()
    create(client, n, subnet=["10.92.0.0/16"], ip_range=["10.92.7.8/30"], aux={"x": "10.92.7.9"})
    got = sorted(end(daemon, make(start=True, **SLEEP, HostConfig={"NetworkMode": n}), n)["IPAddress"]
                 for _ in range(3))
    assert got == ["10.92.7.8", "10.92.7.10", "10.92.7.11"] or \
        got == ["10.92.7.10", "10.92.7.11", "10.92.7.8"]
    c = make(**SLEEP, HostConfig={"NetworkMode": n})
    r = daemon.api.post("/containers/%s/start" % c)
    assert r.status >= 400 and "no available IP" in r.message, r


def test_defaults(client, networks):
    one, two = networks.name(), networks.name()
    create(client, one), create(client, two)
    subnets = []
    for n in (one, two):
        got = look(client, n)
        pool, = got["IPAM"]["Config"]
        assert re.fullmatch(r"172\.\d+\.0\.0/16|192\.168\.\d+\.0/20", pool["Subnet"])
        assert pool["Gateway"] and "br-" + got["Id"][:12] in links()
        subnets.append(pool["Subnet"])
    assert len(set(subnets)) == 2


def test_list_filters(client, networks, make):
    mine = {}
    for key, o in (("plain", {}), ("labelled", {"labels": {"team": "x"}}),
                   ("inner", {"internal": True}), ("used", {})):
        n = networks.name()
        mine[key] = create(client, n, **o)
        mine[key + " name"] = n
    make(start=True, **SLEEP, HostConfig={"NetworkMode": mine["used name"]})
    own = {v for k, v in mine.items() if not k.endswith("name")}
    builtin = {look(client, n)["Id"] for n in ("bridge", "host", "none")}

    def having(**f):
        return ids(client, **f) & (own | builtin)
    assert having() == own | builtin
    assert having(name=mine["plain name"]) == {mine["plain"]}
    assert having(id=mine["plain"][:20]) == {mine["plain"]}
    assert having(label="team") == having(label="team=x") == {mine["labelled"]}
    assert having(label="team=y") == set()
    assert having(type="builtin") == builtin and having(type="custom") == own
    assert having(driver="host") == {look(client, "host")["Id"]}
    assert having(driver="null") == {look(client, "none")["Id"]}
    assert own < having(driver="bridge") and having(scope="local") == own | builtin
    assert having(scope="swarm") == set()
    assert having(dangling="true") == own - {mine["used"]}
    assert having(dangling="false") == builtin | {mine["used"]}


def test_connect_and_disconnect(client, networks, make, daemon, name):
    one, two = networks(), networks.name()
    create(client, two, subnet=["10.93.0.0/24"])
    running = make(start=True, cname=name + "-run", **SLEEP, HostConfig={"NetworkMode": one})
    stopped = make(cname=name + "-stop", **SLEEP, HostConfig={"NetworkMode": one})
    for c, addr in ((running, "10.93.0.50"), (stopped, "10.93.0.51")):
        connect(client, two, c, ip=addr, alias=["web"])
        assert set(inspect(daemon, c)["NetworkSettings"]["Networks"]) == {one, two}
    assert end(daemon, running, two)["IPAddress"] == "10.93.0.50"
    assert "web" in end(daemon, running, two)["Aliases"]
    _, out = within(daemon, running, "ip", "-o", "-4", "addr")
    assert "10.93.0.50/24" in out and "eth1" in out
    assert set(look(client, two)["Containers"]) == {running}
    entry = look(client, two)["Containers"][running]
    assert (entry["Name"], entry["IPv4Address"]) == (name + "-run", "10.93.0.50/24")
    daemon.api.ok("POST", "/containers/%s/start" % stopped)
    assert end(daemon, stopped, two)["IPAddress"] == "10.93.0.51"
    for c in (running, stopped):
        disconnect(client, two, c)
        assert set(inspect(daemon, c)["NetworkSettings"]["Networks"]) == {one}
        assert "10.93" not in within(daemon, c, "ip", "addr")[1]
        assert "eth0" in within(daemon, c, "ip", "addr")[1]
    disconnect(client, one, running)  # the last one
    assert inspect(daemon, running)["NetworkSettings"]["Networks"] == {}
    assert "eth0" not in within(daemon, running, "ip", "addr")[1]
    connect(client, one, running)
    assert "eth0" in within(daemon, running, "ip", "addr")[1]
    assert "default via" in within(daemon, running, "ip", "route")[1]


def test_prune(daemon, networks, make):
    """By label, so that nothing of the other tests goes."""
    label = networks.prefix
    free, used, wanted, other = [networks(Labels={"t": label} if i < 3 else {}) for i in range(4)]
    make(start=True, **SLEEP, HostConfig={"NetworkMode": used})
    make(**SLEEP, HostConfig={"NetworkMode": wanted})
    got = daemon.api.ok("POST", "/networks/prune", filters={"label": ["t=" + label]})
    assert got["NetworksDeleted"] == [free]
    assert daemon.api.get("/networks/" + free).status == 404
    for n in (used, wanted, other):
        assert daemon.api.get("/networks/" + n).status == 200
    until_long_ago = daemon.api.ok("POST", "/networks/prune", filters={"until": ["1h"],
                                                                    "label": ["t=" + label]})
    assert not until_long_ago["NetworksDeleted"]


def test_prune_by_command_line(cli, networks):
    n = networks(Labels={"t": networks.prefix})
    out = cli.ok("network", "prune", "-f", "--filter", "label=t=" + networks.prefix)
    assert out.split() == ["Deleted", "Networks:", n]


def test_rm_several_and_missing(cli, networks):
    one, two = networks(), networks()
    done = cli("network", "rm", one, "no-such-net", two)
    assert done.returncode == 1 and done.stdout.split() == [one, two]
    assert "no-such-net not found" in done.stderr
    assert cli("network", "rm", "-f", "no-such-net").returncode == 0


def test_ls_as_a_table(cli, networks, daemon):
    n = networks()
    nid = daemon.api.ok("GET", "/networks/" + n)["Id"]
    rows = [line.split() for line in cli.ok("network", "ls").splitlines()]
    assert rows[0] == ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"]
    assert [nid[:12], n, "bridge", "local"] in rows
    shown = cli.ok("network", "ls", "--format", "{{.Name}}|{{.Driver}}|{{.Internal}}|{{.IPv6}}",
                   "--filter", "name=" + n)
    assert shown == n + "|bridge|false|false"


# ---- a container's ends ----

def test_run_with_several(cli, networks, box, daemon):
    one = networks(IPAM={"Config": [{"Subnet": "10.94.0.0/24"}]})
    two = networks(IPAM={"Config": [{"Subnet": "10.95.0.0/24"}]})
    c = box()
    cli.ok("run", "-d", "--name", c, "--stop-signal", "KILL", "--network",
           "name=%s,ip=10.94.0.77,alias=a1,alias=a2,mac-address=02:11:22:33:44:55" % one,
           "--network", "name=%s,driver-opt=com.docker.network.endpoint.ifname=uplink0,gw-priority=9,"
           "\"driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1,"
           "net.ipv4.conf.IFNAME.forwarding=0\"" % two, "busybox", "sleep", "1000")
    e = end(daemon, c, one)
    assert (e["IPAddress"], e["MacAddress"]) == ("10.94.0.77", "02:11:22:33:44:55")
    assert {"a1", "a2"} <= set(e["Aliases"]) and {c, "a1", "a2"} <= set(e["DNSNames"])
    assert end(daemon, c, two)["GwPriority"] == 9
    _, out = within(daemon, c, "sh", "-c", "ip -o addr; ip route; cat /sys/class/net/eth0/address "
                    "/proc/sys/net/ipv4/conf/uplink0/log_martians "
                    "/proc/sys/net/ipv4/conf/uplink0/forwarding")
    assert re.search(r"eth0\s+inet 10\.94\.0\.77/24", out) and "uplink0" in out
    assert "default via 10.95.0.1 dev uplink0" in out and "default via 10.94" not in out
    assert out.split()[-3:] == ["02:11:22:33:44:55", "1", "0"]


def test_the_default_route_moves(daemon, networks, make):
    """To the first by priority, then by name; and back when that one goes."""
    a, b = networks(), networks()
    c = make(start=True, **SLEEP, HostConfig={"NetworkMode": b})

    def gateway():
        return re.search(r"default via (\S+)", within(daemon, c, "ip", "route")[1]).group(1)
    assert gateway() == end(daemon, c, b)["Gateway"]
    daemon.api.ok("POST", "/networks/%s/connect" % a, {"Container": c})
    assert gateway() == end(daemon, c, a)["Gateway"]  # its name sorts first
    daemon.api.ok("POST", "/networks/%s/disconnect" % a, {"Container": c})
    assert gateway() == end(daemon, c, b)["Gateway"]
    daemon.api.ok("POST", "/networks/%s/connect" % a, {
        "Container": c, "EndpointConfig": {"GwPriority": -1}})
    assert gateway() == end(daemon, c, b)["Gateway"]


def test_interface_prefix_and_mtu(daemon, networks, make):
    n = networks(Options={"com.docker.network.container_iface_prefix": "lan",
                          "com.docker.network.driver.mtu": "1280"})
    c = make(start=True, **SLEEP, HostConfig={"NetworkMode": n})
    _, out = within(daemon, c, "ip", "link")
    assert re.search(r"lan0@?\S*: .* mtu 1280 ", out)


def test_static_addresses_survive(daemon, networks, make):
    n = networks(EnableIPv6=True, IPAM={"Config": [{"Subnet": "10.96.0.0/24"},
                                                   {"Subnet": "fd96::/64"}]})
    c = make(start=True, **SLEEP, HostConfig={"NetworkMode": n}, NetworkingConfig={
        "EndpointsConfig": {n: {"IPAMConfig": {"IPv4Address": "10.96.0.9", "IPv6Address": "fd96::99"},
                                "MacAddress": "02:00:00:00:00:09"}}})

    def now():
        e = end(daemon, c, n)
        return e["IPAddress"], e["GlobalIPv6Address"], e["MacAddress"]
    want = ("10.96.0.9", "fd96::99", "02:00:00:00:00:09")
    assert now() == want
    daemon.api.ok("POST", "/containers/%s/restart" % c, t=0)
    assert now() == want
    assert end(daemon, c, n)["IPAMConfig"] == {"IPv4Address": want[0], "IPv6Address": want[1]}


def test_a_stopped_containers_end_is_empty(daemon, networks, make):
    n = networks()
    c = make(start=True, **SLEEP, HostConfig={"NetworkMode": n})
    nid = daemon.api.ok("GET", "/networks/" + n)["Id"]
    assert end(daemon, c, n)["NetworkID"] == nid
    daemon.api.ok("POST", "/containers/%s/stop" % c)
    e = end(daemon, c, n)
    assert (e["IPAddress"], e["Gateway"], e["MacAddress"], e["EndpointID"]) == ("", "", "", "")
    assert daemon.api.ok("GET", "/networks/" + n)["Containers"] == {}
    daemon.api.ok("DELETE", "/networks/" + n)  # nobody has an end in it
    r = daemon.api.post("/containers/%s/start" % c)
    assert r.status == 404 and n in r.message and "not found" in r.message, r


def test_config_only(daemon, networks, make):
    source = networks(ConfigOnly=True, Labels={"from": "source"},
                      IPAM={"Config": [{"Subnet": "10.97.0.0/24", "Gateway": "10.97.0.7"}]},
                      Options={BRIDGE + "enable_icc": "false"})
    before = bridges()
    n = networks(ConfigFrom={"Network": source})
    assert len(bridges()) == len(before) + 1
    got = daemon.api.ok("GET", "/networks/" + n)
    assert got["ConfigFrom"] == {"Network": source} and not got["ConfigOnly"]
    assert got["IPAM"]["Config"][0]["Subnet"] == "10.97.0.0/24"
    assert got["Options"] == {BRIDGE + "enable_icc": "false"}
    assert daemon.api.ok("GET", "/networks/" + source)["ConfigOnly"]
    r = daemon.api.delete("/networks/" + source)
    assert r.status == 403 and "in use" in r.message
    c = make(**SLEEP, HostConfig={"NetworkMode": n})
    daemon.api.ok("POST", "/containers/%s/start" % c)
    assert end(daemon, c, n)["Gateway"] == "10.97.0.7"
    r = daemon.api.post("/networks/%s/connect" % source, {"Container": c})
    assert r.status == 403, r


def test_ids_and_prefixes(daemon, networks, make):
    n = networks()
    nid = daemon.api.ok("GET", "/networks/" + n)["Id"]
    for way in (n, nid, nid[:12], nid[:5]):
        assert daemon.api.ok("GET", "/networks/" + way)["Id"] == nid
    c = make(start=True, **SLEEP, HostConfig={"NetworkMode": nid[:12]})
    assert list(inspect(daemon, c)["NetworkSettings"]["Networks"]) == [n]


# ---- refusals ----

def bridges():
    """All links but those of containers, of which one may have just ended."""
    return [x for x in links() if not x.startswith("veth")]


@pytest.mark.parametrize("body, status, words", [
    ({"Name": "bridge"}, 403, "operation is not permitted on predefined bridge network"),
    ({"Name": "host"}, 403, "predefined host network"),
    ({"Name": ""}, 400, "network name"),
    ({"Name": "x/y"}, 400, "invalid"),
    ({"Driver": "nothing-like-it"}, 404, "plugin"),
    ({"Driver": "host"}, 403, "only one instance of \"host\" network is allowed"),
    ({"Driver": "null"}, 403, "only one instance of \"null\" network is allowed"),
    ({"Driver": "overlay"}, 503, "swarm"),
    ({"EnableIPv4": False}, 400, "IPv4 or IPv6 must be enabled"),
    ({"IPAM": {"Config": [{"Subnet": "10.98.0.0"}]}}, 400, "invalid subnet 10.98.0.0"),
    ({"IPAM": {"Config": [{"Subnet": "10.98.0.1/24"}]}}, 400, "it should be 10.98.0.0/24"),
    ({"IPAM": {"Config": [{"Subnet": "10.98.0.0/24", "Gateway": "10.99.0.1"}]}}, 400, "10.99.0.1"),
    ({"IPAM": {"Config": [{"Subnet": "10.98.0.0/24", "Gateway": "10.98.0.1/24"}]}}, 400, "gateway"),
    ({"IPAM": {"Config": [{"Subnet": "10.98.0.0/24", "IPRange": "10.99.0.0/28"}]}}, 400, "ip-range"),
    ({"IPAM": {"Config": [{"Subnet": "10.98.0.0/24", "AuxiliaryAddresses": {"a": "10.99.0.3"}}]}},
     400, "auxiliary address"),
    ({"IPAM": {"Config": [{"Subnet": "fd98::/64"}]}}, 400, "IPv6"),
    ({"IPAM": {"Driver": "nothing"}}, 400, "ipam"),
    ({"IPAM": {"Config": [{"Subnet": "10.98.0.0/24"}, {"Subnet": "10.98.1.0/24"}]}}, 403, "subnet"),
    ({"Options": {"com.docker.network.driver.mtu": "big"}}, 400, "mtu"),
    ({"Options": {BRIDGE + "enable_icc": "perhaps"}}, 400, "enable_icc"),
    ({"Options": {BRIDGE + "name": "a-name-that-is-too-long"}}, 400, "name"),
    ({"ConfigFrom": {"Network": "not-there"}}, 404, "not-there"),
])
def test_create_refuses(daemon, networks, body, status, words):
    body = {"Name": networks.name(), **body}
    before = bridges(), cleat.nft_ruleset()
    r = daemon.api.post("/networks/create", body)
    assert (r.status, words in r.message) == (status, True), r
    assert (bridges(), cleat.nft_ruleset()) == before
    if body["Name"] in networks.names:
        assert daemon.api.get("/networks/" + body["Name"]).status == 404


def test_taken(daemon, networks):
    n = networks(IPAM={"Config": [{"Subnet": "10.100.0.0/24"}]}, Options={BRIDGE + "name": "tkn0"})
    r = daemon.api.post("/networks/create", {"Name": n})
    assert (r.status, r.message) == (409, "network with name %s already exists" % n)
    other = networks.name()
    for subnet in ("10.100.0.0/24", "10.100.0.128/25", "10.0.0.0/8"):
        r = daemon.api.post("/networks/create", {"Name": other, "IPAM": {"Config": [
            {"Subnet": subnet}]}})
        assert r.status == 403 and "Pool overlaps with other one on this address space" in r.message
    r = daemon.api.post("/networks/create", {"Name": other, "Options": {BRIDGE + "name": "tkn0"}})
    assert r.status == 403 and "same bridge name" in r.message


def test_unknown(daemon, make):
    c = make(**SLEEP)
    for r in (daemon.api.get("/networks/nope"), daemon.api.delete("/networks/nope"),
              daemon.api.post("/networks/nope/connect", {"Container": c}),
              daemon.api.post("/networks/nope/disconnect", {"Container": c})):
        assert (r.status, r.message) == (404, "network nope not found")
    r = daemon.api.post("/networks/bridge/connect", {"Container": "nope"})
    assert (r.status, r.message) == (404, "No such container: nope")
    lost = make(**SLEEP, HostConfig={"NetworkMode": "nope"})
    r = daemon.api.post("/containers/%s/start" % lost)
    assert r.status == 404 and "network nope not found" in r.message


def test_in_use_and_predefined(daemon, networks, make):
    n = networks()
    c = make(start=True, **SLEEP, HostConfig={"NetworkMode": n})
    r = daemon.api.delete("/networks/" + n)
    assert r.status == 403 and "has active endpoints" in r.message
    assert daemon.api.ok("GET", "/networks/" + n)["Containers"][c]
    for p in ("bridge", "host", "none"):
        r = daemon.api.delete("/networks/" + p)
        assert (r.status, r.message) == (
            403, p + " is a pre-defined network and cannot be removed")


def test_addresses_that_cannot_be(daemon, networks, make):
    n = networks(IPAM={"Config": [{"Subnet": "10.101.0.0/24", "AuxiliaryAddresses": {
        "x": "10.101.0.40"}}]})
    auto = networks()
    make(start=True, **SLEEP, HostConfig={"NetworkMode": n}, NetworkingConfig={
        "EndpointsConfig": {n: {"IPAMConfig": {"IPv4Address": "10.101.0.9"}}}})
    for addr, words in (("10.101.0.9", "Address already in use"), ("10.101.0.1", "Address already"),
                        ("10.101.0.40", "Address already"), ("10.102.0.9", "subnet"),
                        ("10.101.0.300", "invalid"), ("fd00::1", "invalid")):
        c = make(start=True, **SLEEP)
        before = within(daemon, c, "ip", "addr")[1]
        r = daemon.api.post("/networks/%s/connect" % n, {
            "Container": c, "EndpointConfig": {"IPAMConfig": {"IPv4Address": addr}}})
        assert r.status in (400, 403, 500) and words in r.message, (addr, r)
        assert within(daemon, c, "ip", "addr")[1] == before
        assert set(inspect(daemon, c)["NetworkSettings"]["Networks"]) == {"bridge"}
    c = make(**SLEEP)
    r = daemon.api.post("/networks/bridge/connect", {
        "Container": c, "EndpointConfig": {"IPAMConfig": {"IPv4Address": "172.17.0.99"}}})
    assert r.status == 400 and "user defined networks only" in r.message
    r = daemon.api.post("/networks/bridge/connect", {"Container": c, "EndpointConfig": {
        "Aliases": ["a"]}})
    assert r.status == 400 and "user defined networks" in r.message
    r = daemon.api.post("/networks/%s/connect" % auto, {"Container": c, "EndpointConfig": {
        "MacAddress": "02:zz"}})
    assert r.status == 400 and "MAC" in r.message


def test_connect_refuses(daemon, networks, make):
    n = networks()
    c = make(start=True, **SLEEP, HostConfig={"NetworkMode": n})

    def call(what, net, c, **more):
        return daemon.api.post("/networks/%s/%s" % (net, what), {"Container": c, **more})
    r = call("connect", n, c)
    assert r.status == 403 and "already exists in network " + n in r.message
    r = call("disconnect", "bridge", c)
    assert r.status == 403 and "is not connected to" in r.message
    r = call("connect", "host", c)
    assert r.status == 400 and "host network" in r.message
    r = call("connect", "none", c)
    assert r.status == 400 and "none" in r.message
    for mode in ("host", "none", "container:" + c):
        other = make(start=True, **SLEEP, HostConfig={"NetworkMode": mode})
        r = call("connect", n, other)
        assert r.status == 400, (mode, r)
    r = call("disconnect", "host", make(start=True, **SLEEP, HostConfig={"NetworkMode": "host"}))
    assert r.status == 400 and "host network" in r.message
    assert call("disconnect", n, "gone", Force=True).status in (200, 404)


def test_published_ports_need_a_way(daemon, networks, make):
    """Where nothing can be published, nothing is; and the container starts."""
    n = networks(Internal=True)
    c = make(start=True, **SLEEP, ExposedPorts={"80/tcp": {}}, HostConfig={
        "NetworkMode": n, "PortBindings": {"80/tcp": [{"HostPort": "17999"}]}})
    assert not inspect(daemon, c)["NetworkSettings"]["Ports"].get("80/tcp")


def test_a_network_is_free_when_its_container_has_ended(daemon, networks, make):
    """As soon as anybody can see that it has, and not when its ports are unpublished later."""
    ports = {"%d/tcp" % p: [{"HostPort": ""}] for p in range(100, 200)}
    for _ in range(5):
        n = networks()
        c = make(start=True, **SLEEP, ExposedPorts={p: {} for p in ports},
                 HostConfig={"NetworkMode": n, "PortBindings": ports})
        os.kill(inspect(daemon, c)["State"]["Pid"], signal.SIGKILL)
        while inspect(daemon, c)["State"]["Running"]:
            pass
        daemon.api.ok("DELETE", "/networks/" + n)


# ---- events ----

def test_events(daemon, networks, make):
    since = time.time()
    n = networks()
    c = make(start=True, **SLEEP, HostConfig={"NetworkMode": n})
    other = networks()
    daemon.api.ok("POST", "/networks/%s/connect" % other, {"Container": c})
    daemon.api.ok("POST", "/networks/%s/disconnect" % other, {"Container": c})
    daemon.api.ok("POST", "/containers/%s/stop" % c)
    daemon.api.ok("DELETE", "/networks/" + other)
    got = daemon.api.get("/events", since="%.9f" % since, until="%.9f" % time.time(),
                         filters={"type": ["network"]}).lines
    seen = [(e["Action"], e["Actor"]["Attributes"]["name"], e["Actor"]["Attributes"].get("container"))
            for e in got if e["Actor"]["Attributes"].get("name") in (n, other)]
    assert seen == [("create", n, None), ("connect", n, c), ("create", other, None),
                    ("connect", other, c), ("disconnect", other, c), ("disconnect", n, c),
                    ("destroy", other, None)]
