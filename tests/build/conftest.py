"""Builds: cases of Dockerfiles through the command lines, their cache, and what goes wrong."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
for _folder in (HERE, os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "registry")):
    sys.path.insert(0, _folder)

from fixtures import *  # noqa: E402,F401,F403

import pytest  # noqa: E402

import builds  # noqa: E402


@pytest.fixture
def build(request, daemon, tmp_path, name):
    """build(dockerfile, files, *args): by the client that the test is parametrized with."""
    client = getattr(request, "param", builds.CLIENTS[0])
    made = builds.Builder(daemon, client, tmp_path, name)
    yield made
    made.close()
