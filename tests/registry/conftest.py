"""Registry tests: real registries on loopback, hostile ones made of Python, real clients."""
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, HERE)

from fixtures import *  # noqa: E402,F401,F403
import clients  # noqa: E402
import registry  # noqa: E402
import secure  # noqa: E402
from clients import cli_or_skip  # noqa: E402


@pytest.fixture(scope="session")
def plain(daemon, tmp_path_factory):
    """Debian's registry without TLS and passwords."""
    r = registry.Registry(daemon, tmp_path_factory.mktemp("plain"))
    yield r
    r.close()


@pytest.fixture(scope="session")
def authority(daemon, tmp_path_factory):
    """A CA that the daemon can be made to trust, and names that are not loopback."""
    registry.need("openssl", "ip")
    secure.own_etc(str(tmp_path_factory.mktemp("etc")))
    return secure.Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(params=["cleat", "docker"])
def cli(request, daemon):
    return cli_or_skip(request.param, daemon)


@pytest.fixture
def cleat_only(daemon):
    return cli_or_skip("cleat", daemon)


@pytest.fixture
def docker_py(daemon):
    pytest.importorskip("docker")
    return clients.DockerPy(daemon.url).client


@pytest.fixture(autouse=True)
def no_images_left(request):
    """Every test begins with the same images, and leaves no container."""
    yield
    if "daemon" not in request.fixturenames:
        return
    d = request.getfixturevalue("daemon")
    if d.stopped:
        return
    for c in d.api.get("/containers/json", all=1).json:
        d.api.delete("/containers/" + c["Id"], force=1, v=1)
    for image in d.api.get("/images/json", all=1).json:
        names = image["RepoTags"] or []
        if not {"busybox:latest", "cleat-test:cfg", "cleat/hello:latest"} & set(names):
            assert d.api.delete("/images/" + image["Id"], force=1).status == 200
        else:
            for n in names:
                if ":5" in n.split("/")[0] or n.startswith(("127.0.0.1", "localhost")):
                    d.api.delete("/images/" + n)
