"""Networks of one's own: three clients, second hosts, and everything that may or may not pass."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from fixtures import *  # noqa: E402,F401,F403
import cleat  # noqa: E402
import clients  # noqa: E402
import world  # noqa: E402
from clients import cli_or_skip  # noqa: E402


@pytest.fixture(params=["cleat", "docker"])
def cli(request, daemon):
    """Each test runs with our program and with the real docker."""
    return cli_or_skip(request.param, daemon)


@pytest.fixture(params=["cleat", "docker", "docker-py"])
def client(request, daemon):
    """Each test runs through all three clients."""
    if request.param == "docker-py":
        pytest.importorskip("docker")
        return clients.DockerPy(daemon.url)
    return cli_or_skip(request.param, daemon)


@pytest.fixture
def py(daemon):
    """docker-py."""
    docker = pytest.importorskip("docker")
    return docker.DockerClient(base_url=daemon.url, version="auto", timeout=50)


class Networks:
    """networks(Driver=..., Options=...) makes a network and returns its name; networks.name() is
    only a name. What has it is removed after the test."""

    def __init__(self, request, prefix):
        self.request, self.prefix, self.names = request, prefix, []

    @property
    def api(self):
        return self.request.getfixturevalue("daemon").api

    def name(self):
        self.names.append("%s-n%d" % (self.prefix, len(self.names)))
        return self.names[-1]

    def __call__(self, **body):
        body.setdefault("Name", self.name())
        self.api.ok("POST", "/networks/create", body)
        return body["Name"]

    def remove(self):
        for n in reversed(self.names):
            reply = self.api.delete("/networks/" + n)
            assert reply.status in (204, 404), (n, reply)


@pytest.fixture(autouse=True)
def networks(request, name):
    """Of its own accord, so that it comes before the containers of a test and goes after them."""
    made = Networks(request, name)
    yield made
    made.remove()


@pytest.fixture
def second_host(sandbox):
    """Machines at the other end of cables of their own."""
    made = []

    def new():
        made.append(world.Host(len(made) + 1))
        return made[-1]
    yield new
    for h in made:
        h.close()


@pytest.fixture
def answers():
    servers = world.Answers()
    yield servers
    servers.close()


@pytest.fixture
def host(sandbox):
    return world.Place("host")


@pytest.fixture
def place(daemon):
    """place(container) is where it lives."""
    def of(c, label=None):
        return world.Place(label or c, "/proc/%d/ns/net" % inspect(daemon, c)["State"]["Pid"])
    return of


def inspect(daemon, c):
    return daemon.api.ok("GET", "/containers/%s/json" % c)


def end(daemon, c, network):
    """What inspect says of a container's end in a network."""
    return inspect(daemon, c)["NetworkSettings"]["Networks"][network]


def within(daemon, c, *cmd):
    """(exit code, output) of a command in a container."""
    ex = daemon.api.ok("POST", "/containers/%s/exec" % c,
                       {"Cmd": list(cmd), "AttachStdout": True, "AttachStderr": True})["Id"]
    with daemon.api.hijack("/exec/%s/start" % ex, {}) as a:
        out = b"".join(cleat.demux(a.all()))
    return daemon.api.ok("GET", "/exec/%s/json" % ex)["ExitCode"], out.decode()
