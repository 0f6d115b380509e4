"""The default bridge for real: containers, the host, published ports, from every side."""
import os
import re
import shutil
import socket
import subprocess
import threading

import pytest

import cleat
from cleat import demux, links, nft_ruleset, until


def inspect(daemon, cid):
    return daemon.api.ok("GET", "/containers/%s/json" % cid)


def address(daemon, cid):
    return inspect(daemon, cid)["NetworkSettings"]["IPAddress"]


def bound(daemon, cid, port):
    return int(inspect(daemon, cid)["NetworkSettings"]["Ports"][port][0]["HostPort"])


GET = b"GET /index.html HTTP/1.0\r\n\r\n"


def talk(addr, port, data=GET, family=socket.AF_INET, kind=socket.SOCK_STREAM, seconds=5):
    with socket.socket(family, kind) as s:
        s.settimeout(seconds)
        s.connect((addr, port))
        s.send(data)
        out = s.recv(1000)
        while kind == socket.SOCK_STREAM and (piece := s.recv(1000)):
            out += piece
        return out


def reaches(addr, port):
    try:
        return talk(addr, port)
    except OSError:
        return b""


SERVE = ["sh", "-c", "mkdir /w; echo served >/w/index.html; exec httpd -f -p 80 -h /w"]

@pytest.fixture
def web(daemon, make):
    def start(**host):
        cid = make(start=True, Cmd=SERVE, StopSignal="SIGKILL", ExposedPorts={"80/tcp": {}},
                   HostConfig=host)
        if host.get("NetworkMode", "bridge") == "bridge":
            until(lambda: reaches(address(daemon, cid), 80))
        return cid
    return start


def within(daemon, cid, *cmd):
    ex = daemon.api.ok("POST", "/containers/%s/exec" % cid,
                       {"Cmd": list(cmd), "AttachStdout": True, "AttachStderr": True})["Id"]
    with daemon.api.hijack("/exec/%s/start" % ex, {}) as a:
        out = b"".join(demux(a.all()))
    return daemon.api.ok("GET", "/exec/%s/json" % ex)["ExitCode"], out


def settled(daemon):
    """The links, once the kernel has dropped those of containers that ended."""
    def all_accounted_for():
        running = [c for c in daemon.api.ok("GET", "/containers/json")
                   if c["NetworkSettings"]["Networks"].get("bridge", {}).get("IPAddress")]
        return len([x for x in links() if x.startswith("veth")]) == len(running)
    until(all_accounted_for, what=links)
    return links()


def test_addresses(daemon, sleeper):
    net = inspect(daemon, sleeper)["NetworkSettings"]
    assert re.fullmatch(r"172\.\d+\.\d+\.\d+", net["IPAddress"]) and net["IPPrefixLen"] == 16
    assert re.fullmatch("([0-9a-f]{2}:){5}[0-9a-f]{2}", net["MacAddress"])
    bridge = net["Networks"]["bridge"]
    for key in ("IPAddress", "Gateway", "MacAddress", "EndpointID", "IPPrefixLen"):
        assert bridge[key] == net[key]
    assert len(bridge["NetworkID"]) == 64 and len(net["SandboxID"]) == 64 and net["SandboxKey"]
    code, out = within(daemon, sleeper, "sh", "-c", "ip -o -4 addr show eth0; ip route; "
                       "cat /sys/class/net/eth0/address; cat /etc/hosts")
    text = out.decode()
    assert "inet %s/16" % net["IPAddress"] in text and net["MacAddress"] in text
    assert "default via %s dev eth0" % net["Gateway"] in text
    assert re.search(r"%s\s+%s" % (re.escape(net["IPAddress"]), sleeper[:12]), text)
    daemon.api.ok("POST", "/containers/%s/stop" % sleeper)
    net = inspect(daemon, sleeper)["NetworkSettings"]
    assert (net["IPAddress"], net["MacAddress"]) == ("", "")


def test_host_reaches_container(daemon, web):
    assert b"served" in talk(address(daemon, web()), 80)


def test_container_reaches_container_and_host(daemon, web, sleeper):
    ip = address(daemon, web())
    assert within(daemon, sleeper, "wget", "-qO-", "http://%s/" % ip) == (0, b"served\n")
    gateway = inspect(daemon, sleeper)["NetworkSettings"]["Gateway"]
    with socket.create_server((gateway, 0)) as server:
        server.settimeout(5)
        port = server.getsockname()[1]
        peers = []

        def accept():
            conn, peer = server.accept()
            peers.append(peer[0])
            conn.sendall(b"from host\n")
            conn.close()
        t = threading.Thread(target=accept)
        t.start()
        code, out = within(daemon, sleeper, "nc", gateway, str(port))
        t.join()
    assert out == b"from host\n" and peers == [address(daemon, sleeper)]


def test_published_port(daemon, web):
    cid = web(PortBindings={"80/tcp": [{"HostPort": "18081"}]})
    gateway = inspect(daemon, cid)["NetworkSettings"]["Gateway"]
    for addr in ("127.0.0.1", gateway, "127.0.0.2"):
        assert b"served" in talk(addr, 18081), addr
    ports = inspect(daemon, cid)["NetworkSettings"]["Ports"]["80/tcp"]
    assert {"HostIp": "0.0.0.0", "HostPort": "18081"} in ports
    c, = [c for c in daemon.api.ok("GET", "/containers/json") if c["Id"] == cid]
    assert {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 18081, "Type": "tcp"} in c["Ports"]
    daemon.api.ok("POST", "/containers/%s/stop" % cid)
    with pytest.raises(OSError):
        talk("127.0.0.1", 18081)


def test_published_port_from_containers(daemon, web, sleeper):
    """Through the host's address: from another container and from the container itself."""
    cid = web(PortBindings={"80/tcp": [{"HostPort": "18082"}]})
    gateway = inspect(daemon, cid)["NetworkSettings"]["Gateway"]
    url = "http://%s:18082/" % gateway
    assert within(daemon, sleeper, "wget", "-qO-", url) == (0, b"served\n")
    assert within(daemon, cid, "wget", "-qO-", url) == (0, b"served\n")


def test_published_on_one_address_only(daemon, web):
    cid = web(PortBindings={"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18083"}]})
    assert b"served" in talk("127.0.0.1", 18083)
    with pytest.raises(OSError):
        talk(inspect(daemon, cid)["NetworkSettings"]["Gateway"], 18083, seconds=1)


def test_free_port_is_chosen(daemon, web):
    one = web(PortBindings={"80/tcp": [{"HostPort": ""}]})
    two = web(PublishAllPorts=True)
    ports = {bound(daemon, c, "80/tcp") for c in (one, two)}
    assert len(ports) == 2 and min(ports) > 1024
    for p in ports:
        assert b"served" in talk("127.0.0.1", p)


def test_port_range(daemon, web):
    one = web(PortBindings={"80/tcp": [{"HostPort": "18090-18091"}]})
    two = web(PortBindings={"80/tcp": [{"HostPort": "18090-18091"}]})
    assert {bound(daemon, c, "80/tcp") for c in (one, two)} == {18090, 18091}


@pytest.fixture(scope="session")
def udpecho(tmp_path_factory):
    out = str(tmp_path_factory.mktemp("bin") / "udpecho")
    if not shutil.which("gcc"):
        pytest.skip("no gcc to make the UDP server with")
    subprocess.run(["gcc", "-O1", "-static", "-o", out,
                    os.path.join(cleat.HERE, "udpecho.c")], check=True)
    return out


def test_udp_port(daemon, make, udpecho):
    cid = make(start=True, Cmd=["/udpecho", "53"], StopSignal="SIGKILL",
               ExposedPorts={"53/udp": {}}, HostConfig={
                   "Binds": [udpecho + ":/udpecho:ro"],
                   "PortBindings": {"53/udp": [{"HostPort": "15353"}]}})
    until(lambda: b"up" in daemon.api.get("/containers/%s/logs" % cid, stdout=1).body)
    gateway = inspect(daemon, cid)["NetworkSettings"]["Gateway"]
    for addr in ("127.0.0.1", gateway):
        assert talk(addr, 15353, b"ping", kind=socket.SOCK_DGRAM) == b"ping", addr


def test_port_in_use(daemon, web, make):
    web(PortBindings={"80/tcp": [{"HostPort": "18084"}]})
    before = nft_ruleset()
    veths = settled(daemon)
    cid = make(Cmd=SERVE, ExposedPorts={"80/tcp": {}},
               HostConfig={"PortBindings": {"80/tcp": [{"HostPort": "18084"}]}})
    r = daemon.api.post("/containers/%s/start" % cid)
    assert r.status == 500 and "port is already allocated" in r.message
    assert inspect(daemon, cid)["State"]["Status"] in ("created", "exited")
    assert settled(daemon) == veths and nft_ruleset() == before


def test_start_right_after_a_failed_one(daemon, make):
    """The shim of the failed start must be gone: it would delete the new one's cgroup."""
    with socket.socket() as s:
        s.bind(("0.0.0.0", 0))
        s.listen()
        port = str(s.getsockname()[1])
        cid = make(Cmd=["sleep", "1000"], StopSignal="SIGKILL", ExposedPorts={"80/tcp": {}},
                   HostConfig={"PortBindings": {"80/tcp": [{"HostPort": port}]}})
        for _ in range(10):
            assert daemon.api.post("/containers/%s/start" % cid).status == 500
    free = make(Cmd=["nope"])
    for _ in range(10):
        r = daemon.api.post("/containers/%s/start" % free)
        assert r.status == 400 and "executable file not found" in r.message, r
    assert daemon.api.post("/containers/%s/start" % cid).status == 204
    assert daemon.api.ok("GET", "/containers/%s/json" % cid)["State"]["Running"]


def test_port_taken_by_a_program_of_the_host(daemon, make):
    with socket.create_server(("0.0.0.0", 18085)):
        cid = make(Cmd=SERVE, ExposedPorts={"80/tcp": {}},
                   HostConfig={"PortBindings": {"80/tcp": [{"HostPort": "18085"}]}})
        r = daemon.api.post("/containers/%s/start" % cid)
        assert r.status == 500 and "address already in use" in r.message
    assert daemon.api.post("/containers/%s/start" % cid).status == 204  # free now


def test_restart_keeps_the_port(daemon, web):
    cid = web(PortBindings={"80/tcp": [{"HostPort": "18086"}]})
    daemon.api.ok("POST", "/containers/%s/restart" % cid, t=0)
    until(lambda: b"served" in reaches("127.0.0.1", 18086))


def test_links_go_with_the_container(daemon, make):
    before = settled(daemon)
    cid = make(start=True, Cmd=["sleep", "1000"], StopSignal="SIGKILL")
    assert len(links()) == len(before) + 1
    daemon.api.ok("POST", "/containers/%s/stop" % cid)
    until(lambda: links() == before)


def test_container_mode_shares_the_address(daemon, web, make):
    cid = web()
    other = make(start=True, Cmd=["wget", "-qO-", "http://127.0.0.1/"],
                 HostConfig={"NetworkMode": "container:" + cid})
    daemon.api.ok("POST", "/containers/%s/wait" % other)
    assert demux(daemon.api.get("/containers/%s/logs" % other, stdout=1).body)[0] == b"served\n"


def test_many_get_different_addresses(daemon, make):
    ids = [make(start=True, Cmd=["sleep", "1000"], StopSignal="SIGKILL") for _ in range(10)]
    assert len({address(daemon, c) for c in ids}) == 10


def test_icmp_and_mtu(daemon, sleeper):
    gateway = inspect(daemon, sleeper)["NetworkSettings"]["Gateway"]
    code, out = within(daemon, sleeper, "ping", "-c1", "-W2", gateway)
    assert code == 0, out


def test_no_ipv6_where_the_network_has_none(daemon, make):
    """As Docker: not even a link-local address, whose traffic would reach every neighbour."""
    def addresses(cid, dev):
        return within(daemon, cid, "ip", "-6", "-o", "addr", "show", "dev", dev)[1].decode()
    cid = make(start=True, Cmd=["sleep", "1000"], StopSignal="SIGKILL")
    assert addresses(cid, "eth0") == "" and "::1/128" in addresses(cid, "lo")
    net = daemon.api.ok("POST", "/networks/create", {"Name": "with-six", "EnableIPv6": True})["Id"]
    try:
        daemon.api.ok("POST", "/networks/%s/connect" % net, {"Container": cid})
        assert "scope global" in addresses(cid, "eth1") and "fe80::" in addresses(cid, "eth1")
        assert addresses(cid, "eth0") == ""
    finally:
        daemon.api.ok("POST", "/networks/%s/disconnect" % net, {"Container": cid})
        daemon.api.ok("DELETE", "/networks/" + net)
