"""Builds: cases of Dockerfiles through the command lines, their cache, and what goes wrong."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
for _folder in (HERE, os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "registry")):
    sys.path.insert(0, _folder)

from fixtures import *  # noqa: E402,F401,F403

import pytest  # noqa: E402

import builds  # noqa: E402
import remotes  # noqa: E402


@pytest.fixture
def build(request, daemon, tmp_path, name):
    """build(dockerfile, files, *args): by the client that the test is parametrized with."""
    client = getattr(request, "param", builds.CLIENTS[0])
    made = builds.Builder(daemon, client, tmp_path, name)
    yield made
    made.close()


@pytest.fixture
def web(sandbox, tmp_path):
    w = remotes.Web(str(tmp_path / "repos"))
    yield w
    w.close()


@pytest.fixture
def repo(sandbox, tmp_path):
    r = remotes.Repo(str(tmp_path / "repos"), "r")
    builds.write_tree(r.work, {"f": "first\n", "d/g": "g\n", "d/l": builds.Link("../f"),
                               "out": builds.Link("/etc"), "x.sh": builds.Mode("#!", 0o755)})
    r.first = r.commit()
    r.git("tag", "-a", "-m", "t", "v1")
    r.git("branch", "old")
    builds.write_tree(r.work, {"f": "second\n"})
    r.second = r.commit()
    r.publish()
    return r


@pytest.fixture
def git(repo, tmp_path):
    s = remotes.GitServer(str(tmp_path / "repos"))
    yield s
    s.close()
