"""Command line tests: the cleat and docker programs and docker-py against one daemon."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from fixtures import *  # noqa: E402,F401,F403
import clients  # noqa: E402
from clients import cli_or_skip  # noqa: E402


@pytest.fixture(params=["cleat", "docker"])
def cli(request, daemon):
    """Each test runs with our program and with the real docker."""
    return cli_or_skip(request.param, daemon)


@pytest.fixture
def cleat_only(daemon):
    return cli_or_skip("cleat", daemon)


@pytest.fixture
def both(daemon):
    """(cleat, docker) of the version whose output ours must equal."""
    version = clients.docker_version()
    if not version or version[0] != 28:
        pytest.skip("needs docker 28 to compare with, found %s" % (version,))
    return cli_or_skip("cleat", daemon), cli_or_skip("docker", daemon)


@pytest.fixture(params=["cleat", "docker", "docker-py"])
def client(request, daemon):
    """Each test runs through all three clients."""
    if request.param == "docker-py":
        pytest.importorskip("docker")
        return clients.DockerPy(daemon.url)
    return cli_or_skip(request.param, daemon)
