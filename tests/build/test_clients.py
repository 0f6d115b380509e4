"""docker-py, docker-compose 1.29, and docker's CLI as people call it."""
import io
import os
import shutil
import subprocess

import pytest

import builds
from clients import DOCKER, Cli

docker = pytest.importorskip("docker")


@pytest.fixture
def py(daemon):
    c = docker.DockerClient(base_url=daemon.url, version="auto", timeout=30)
    yield c
    c.close()


def test_dockerpy(py, tmp_path, name):
    builds.write_tree(tmp_path, {"Dockerfile": "FROM busybox\nARG A\nCOPY f /f\nRUN cat /f\n"
                                               "LABEL a=$A\n", "f": "from py\n"})
    image, log = py.images.build(path=str(tmp_path), tag=name, buildargs={"A": "1"},
                                 network_mode="none", labels={"b": "2"}, rm=True)
    text = "".join(x.get("stream", "") for x in log)
    assert "from py" in text and "Successfully built" in text
    assert image.labels == {"a": "1", "b": "2"} and image.tags == [name + ":latest"]
    py.images.remove(name, force=True)


def test_dockerpy_file_without_context(py, name):
    image, _ = py.images.build(fileobj=io.BytesIO(b"FROM busybox\nENV A=1\n"), tag=name)
    assert "A=1" in image.attrs["Config"]["Env"]
    py.images.remove(name, force=True)


def test_dockerpy_errors(py, name):
    with pytest.raises(docker.errors.BuildError) as e:
        py.images.build(fileobj=io.BytesIO(b"FROM busybox\nRUN exit 7\n"), tag=name,
                        network_mode="none")
    assert "returned a non-zero code: 7" in str(e.value)
    with pytest.raises(docker.errors.APIError) as e:
        py.images.build(fileobj=io.BytesIO(b"FOO\n"), tag=name)
    assert "unknown instruction: FOO" in str(e.value) and e.value.response.status_code == 400


def test_compose_build(daemon, tmp_path, name):
    compose = shutil.which("docker-compose")
    if not compose:
        pytest.skip("docker-compose is not installed")
    builds.write_tree(tmp_path, {
        "docker-compose.yml": "version: '3.8'\nservices:\n  a:\n    image: %s\n    build:\n"
        "      context: ./ctx\n      dockerfile: D\n      args: {V: '5'}\n      target: one\n"
        "      network: none\n" % name,
        "ctx/D": "FROM busybox AS one\nARG V\nENV V=$V\nFROM one\nRUN false\n"})
    done = subprocess.run([compose, "build"], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "DOCKER_HOST": daemon.url, "DOCKER_BUILDKIT": "0"},
                          timeout=50)
    assert done.returncode == 0, done
    assert "V=5" in daemon.api.ok("GET", "/images/%s/json" % name)["Config"]["Env"]
    daemon.api.delete("/images/" + name, force=1)


def test_docker_without_being_told(daemon, tmp_path, name):
    """Without buildx, docker takes the classic builder by itself."""
    cli = Cli(DOCKER, daemon.url, str(tmp_path))
    builds.write_tree(tmp_path, {"c/Dockerfile": "FROM busybox\nRUN true\n"})
    cli.ok("build", "--network", "none", "-t", name, tmp_path / "c")
    assert cli.ok("image", "inspect", name)
    daemon.api.delete("/images/" + name, force=1)


def test_docker_exits_with_the_commands_code(daemon, tmp_path):
    cli = Cli(DOCKER, daemon.url, str(tmp_path))
    builds.write_tree(tmp_path, {"Dockerfile": "FROM busybox\nRUN exit 42\n"})
    done = cli("build", "--network", "none", tmp_path, env={"DOCKER_BUILDKIT": "0"})
    assert done.returncode == 42


def test_iidfile_and_quiet(daemon, tmp_path):
    cli = Cli(DOCKER, daemon.url, str(tmp_path))
    builds.write_tree(tmp_path, {"Dockerfile": "FROM busybox\nRUN echo loud\n"})
    out = cli.ok("build", "-q", "--network", "none", "--iidfile", tmp_path / "id", tmp_path,
                 env={"DOCKER_BUILDKIT": "0"})
    assert out == (tmp_path / "id").read_text().strip() and out.startswith("sha256:")
    daemon.api.delete("/images/" + out, force=1)
