"""The same calls to us and to Debian's dockerd: the same statuses, and of what is compared the same
answers. What is known to differ is listed with its reason; a difference that is gone fails, too."""
import os
import shutil
import subprocess
import tempfile

import pytest

import cleat
import images
import world
from cleat import Api, until
from clients import Cli, DOCKER
from peer import VERSION, dockerd

@pytest.fixture(scope="module")
def peer(sandbox):
    """Its API, in a network namespace of its own."""
    with dockerd("peer") as d:
        yield d.api


NET = {"Name": "pa", "CheckDuplicate": True}
C = {"Image": "busybox", "Cmd": ["sleep", "1000"], "StopSignal": "SIGKILL"}
# (method, path, body), one after the other, on both.
STEPS = [
    ("POST", "/networks/create", NET),
    ("POST", "/networks/create", NET),
    ("POST", "/networks/create", {"Name": "bridge"}),
    ("POST", "/networks/create", {"Name": "host"}),
    ("POST", "/networks/create", {"Name": ""}),
    ("POST", "/networks/create", {"Name": "px", "Driver": "no-such-driver"}),
    ("POST", "/networks/create", {"Name": "px", "Driver": "host"}),
    ("POST", "/networks/create", {"Name": "px", "Driver": "null"}),
    ("POST", "/networks/create", {"Name": "px", "Driver": "overlay"}),
    ("POST", "/networks/create", {"Name": "pb", "IPAM": {"Config": [
        {"Subnet": "10.61.0.0/16", "Gateway": "10.61.0.9", "IPRange": "10.61.5.0/24",
         "AuxiliaryAddresses": {"a": "10.61.5.0", "b": "10.61.5.1"}}]},
        "Labels": {"x": "y"}, "Options": {"com.docker.network.bridge.enable_icc": "true"}}),
    ("POST", "/networks/create", {"Name": "px", "IPAM": {"Config": [{"Subnet": "10.61.9.0/24"}]}}),
    ("POST", "/networks/create", {"Name": "px", "IPAM": {"Config": [{"Subnet": "10.62.0.0"}]}}),
    ("POST", "/networks/create", {"Name": "px", "IPAM": {"Config": [
        {"Subnet": "10.62.0.0/24", "Gateway": "10.63.0.1"}]}}),
    ("POST", "/networks/create", {"Name": "px", "IPAM": {"Config": [
        {"Subnet": "10.62.0.0/24"}, {"Subnet": "10.63.0.0/24"}]}}),
    ("POST", "/networks/create", {"Name": "px", "Options": {
        "com.docker.network.bridge.enable_icc": "perhaps"}}),
    ("POST", "/networks/create", {"Name": "pi", "Internal": True, "Attachable": True}),
    ("POST", "/networks/create", {"Name": "pconf", "ConfigOnly": True, "IPAM": {"Config": [
        {"Subnet": "10.64.0.0/24"}]}}),
    ("POST", "/networks/create", {"Name": "pfrom", "ConfigFrom": {"Network": "pconf"}}),
    ("POST", "/networks/create", {"Name": "px", "ConfigFrom": {"Network": "not-there"}}),
    ("DELETE", "/networks/pconf", None),
    ("GET", "/networks/nope", None),
    ("DELETE", "/networks/nope", None),
    ("DELETE", "/networks/bridge", None),
    ("DELETE", "/networks/none", None),
    ("POST", "/containers/create?name=c1", {**C, "HostConfig": {"NetworkMode": "pa"}}),
    ("POST", "/containers/create?name=c2", C),
    ("POST", "/containers/create?name=c3", {**C, "HostConfig": {"NetworkMode": "nope"}}),
    ("POST", "/containers/create?name=c4", {**C, "HostConfig": {"NetworkMode": "host"}}),
    ("POST", "/containers/create?name=c5", {**C, "HostConfig": {"NetworkMode": "none"}}),
    ("POST", "/containers/create?name=c6", {**C, "HostConfig": {"NetworkMode": "container:c1"}}),
    ("POST", "/containers/c1/start", None),
    ("POST", "/containers/c2/start", None),
    ("POST", "/containers/c3/start", None),
    ("POST", "/containers/c4/start", None),
    ("POST", "/containers/c5/start", None),
    ("POST", "/containers/c6/start", None),
    ("DELETE", "/networks/pa", None),
    ("POST", "/networks/pb/connect", {"Container": "c1", "EndpointConfig": {
        "IPAMConfig": {"IPv4Address": "10.61.7.7"}, "Aliases": ["web"]}}),
    ("POST", "/networks/pb/connect", {"Container": "c1"}),
    ("POST", "/networks/pb/connect", {"Container": "c2", "EndpointConfig": {
        "IPAMConfig": {"IPv4Address": "10.61.7.7"}}}),
    ("POST", "/networks/pb/connect", {"Container": "c2", "EndpointConfig": {
        "IPAMConfig": {"IPv4Address": "10.99.7.7"}}}),
    ("POST", "/networks/pa/connect", {"Container": "c2", "EndpointConfig": {
        "IPAMConfig": {"IPv4Address": "172.30.0.5"}}}),
    ("POST", "/networks/bridge/connect", {"Container": "c1", "EndpointConfig": {
        "IPAMConfig": {"IPv4Address": "172.17.0.77"}}}),
    ("POST", "/networks/nope/connect", {"Container": "c1"}),
    ("POST", "/networks/pb/connect", {"Container": "nope"}),
    ("POST", "/networks/host/connect", {"Container": "c1"}),
    ("POST", "/networks/none/connect", {"Container": "c1"}),
    ("POST", "/networks/pa/connect", {"Container": "c4"}),
    ("POST", "/networks/pa/connect", {"Container": "c5"}),
    ("POST", "/networks/pa/connect", {"Container": "c6"}),
    ("POST", "/networks/pconf/connect", {"Container": "c2"}),
    ("POST", "/networks/pi/connect", {"Container": "c2"}),
    ("POST", "/networks/pi/disconnect", {"Container": "c1"}),
    ("POST", "/networks/host/disconnect", {"Container": "c4"}),
    ("POST", "/networks/pi/disconnect", {"Container": "c2"}),
    ("POST", "/networks/nope/disconnect", {"Container": "c2"}),
    ("POST", "/networks/pi/disconnect", {"Container": "nope"}),
    ("POST", "/networks/pb/disconnect", {"Container": "c1"}),
    ("POST", "/networks/prune?filters={\"nothing\":[\"x\"]}", None),
    ("GET", "/networks?filters={\"nothing\":[\"x\"]}", None),
    ("GET", "/networks?filters={\"type\":[\"nothing\"]}", None),
    ("DELETE", "/containers/c6?force=1", None),
    ("DELETE", "/containers/c1?force=1", None),
    ("DELETE", "/networks/pa", None),
    ("DELETE", "/networks/pfrom", None),
    ("DELETE", "/networks/pconf", None),
]
# Number of a step: (their status, ours). One reason for all: 20.10 answers 500, an error of its own,
# where the request is to blame; later releases tell the client so.
BLAMED = {
    4: (500, 400),   # no name
    8: (500, 503),   # swarm
    11: (500, 400),  # a subnet that is none
    12: (500, 400),  # a gateway outside of its subnet
    14: (500, 400),  # a value that an option cannot have
    40: (500, 400),  # an address outside of the subnets
    52: (500, 403),  # not connected
    60: (500, 400),  # a filter's value
}


def play(api):
    out = []
    for method, path, body in STEPS:
        path, _, query = path.partition("?")
        query = dict(x.split("=", 1) for x in query.split("&")) if query else {}
        out.append(api.call(method, path, body, **query))
    return out


@pytest.fixture(scope="module")
def played(peer, own):
    return play(peer), play(own)


@pytest.fixture(scope="module")
def own(sandbox):
    """A daemon of ours for this alone: names and subnets of the other tests are not in the way."""
    import fixtures
    d = cleat.Daemon()
    try:
        d.start()
        fixtures.load(d)
        yield d.api.at(VERSION)
        for c in d.api.ok("GET", "/containers/json", all=1):
            d.api.delete("/containers/" + c["Id"], force=1)
    finally:
        d.close()


def test_statuses(played):
    wrong = []
    for i, (step, theirs, ours) in enumerate(zip(STEPS, *played)):
        if (theirs.status, ours.status) != BLAMED.get(i, (theirs.status, theirs.status)):
            wrong.append("%d %s: docker %r, we %r" % (i, step, theirs, ours))
    assert not wrong, "\n".join(wrong)


def pick(n):
    """What must be equal of a network's inspect."""
    return {k: n.get(k) for k in ("Name", "Scope", "Driver", "EnableIPv6", "Internal", "Attachable",
                                  "Ingress", "ConfigFrom", "ConfigOnly", "Options", "Labels")} | {
        "IPAM": {"Driver": n["IPAM"]["Driver"], "Config": n["IPAM"]["Config"]}}


def test_inspect(played, peer, own):
    for name in ("pb", "pi"):
        theirs, ours = (pick(api.ok("GET", "/networks/" + name)) for api in (peer, own))
        if name == "pi":
            for x in (theirs, ours):  # each has its own choice
                assert [set(c) for c in x["IPAM"].pop("Config")] == [{"Subnet", "Gateway"}]
        assert ours == theirs, name


def test_list(played, peer, own):
    for filters in ({}, {"type": ["custom"]}, {"type": ["builtin"]}, {"driver": ["bridge"]},
                    {"label": ["x=y"]}, {"label": ["x"]}, {"label": ["z"]}, {"name": ["p"]},
                    {"scope": ["local"]}, {"dangling": ["true"]}, {"dangling": ["false"]}):
        theirs, ours = (sorted(n["Name"] for n in api.ok("GET", "/networks", filters=filters))
                        for api in (peer, own))
        assert ours == theirs, filters


def test_command_line(played, peer, own, tmp_path):
    """docker's own program sees no difference."""
    if not DOCKER:
        pytest.skip("no docker program")
    both = [Cli(DOCKER, "unix://" + api.path, str(tmp_path)) for api in (peer, own)]
    for cli in both:
        cli.env["DOCKER_API_VERSION"] = VERSION
    for args in (("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}} {{.Labels}}"),
                 ("network", "create", "--subnet", "10.66.0.0/24", "--gateway", "10.66.0.5", "cli1",
                  "--label", "a=b", "-o", "com.docker.network.driver.mtu=1400"),
                 ("network", "create", "cli1"), ("network", "rm", "nope"),
                 ("network", "inspect", "nope"), ("network", "rm", "bridge"),
                 ("network", "create", "--subnet", "10.66.0.0/24", "cli2"),
                 ("network", "create", "--subnet", "bad", "cli2"),
                 ("network", "inspect", "-f", "{{json .IPAM.Config}}{{json .Options}}{{json .Labels}}",
                  "cli1"),
                 ("network", "connect", "cli1", "nope"),
                 ("network", "connect", "--ip", "10.66.0.77", "--alias", "al", "cli1", "c2"),
                 ("inspect", "-f", "{{with index .NetworkSettings.Networks \"cli1\"}}{{.IPAddress}} "
                  "{{.Gateway}} {{.IPPrefixLen}} {{json .IPAMConfig}}{{end}}", "c2"),
                 ("network", "connect", "cli1", "c2"), ("network", "rm", "cli1"),
                 ("network", "disconnect", "cli1", "c2"), ("network", "disconnect", "cli1", "c2"),
                 ("network", "rm", "cli1"), ("network", "prune", "-f", "--filter", "label=none")):
        theirs, ours = (cli(*args) for cli in both)
        assert ours.returncode == theirs.returncode, (args, theirs, ours)
        if theirs.returncode == 0 and args[1] != "create":
            assert sorted(ours.stdout.splitlines()) == sorted(theirs.stdout.splitlines()), args
