"""One container's life, and one image's, through each of the three clients."""
import pytest

import clients
import fixtures
import images
from cleat import until


def test_life_of_a_container(client, box):
    name, new = box(), box("-new")
    cid = client.create("busybox", "sh", "-c", "echo out; echo err >&2; sleep 1000", name=name)
    assert client.inspect(name)["State"]["Status"] == "created"
    client.start(name)
    assert client.inspect(name)["State"]["Status"] == "running"
    until(lambda: client.logs(name) == (b"out\n", b"err\n"))
    assert client.exec(name, "sh", "-c", "echo in; exit 7") == (7, b"in\n")
    until(lambda: "sleep 1000" in client.top(name))
    assert int(client.stats(name)) >= 1
    client.pause(name)
    assert client.inspect(name)["State"]["Paused"]
    client.unpause(name)
    client.rename(name, new)
    assert client.inspect(new)["Id"] == cid and client.ps(name=new) == [cid]
    client.restart(new)
    assert client.inspect(new)["State"]["Running"]
    client.stop(new)
    assert client.wait(new) == client.inspect(new)["State"]["ExitCode"] == 137
    client.start(new)
    client.kill(new)
    until(lambda: client.inspect(new)["State"]["Status"] == "exited")
    client.rm(new)
    assert client.ps(name=new) == []


def test_run(client):
    assert client.run("busybox", "echo", "hi") == (0, b"hi\n")
    assert client.run("busybox", "sh", "-c", "exit 9")[0] == 9


def test_force_removal(client, box):
    name = box()
    client.create("busybox", "sleep", "1000", name=name)
    client.start(name)
    client.rm(name, force=True)
    assert client.ps(name=name) == []


def test_life_of_an_image(client, name):
    first, second = name + ":one", name + ":two"
    conf = {"Labels": {"life": name}}
    client.load(images.docker_archive([first], [images.busybox()], conf))
    iid = images.image_id(None, [images.busybox()], conf)[7:]
    assert iid in client.images()
    client.tag(first, second)
    assert client.history(second) == 1
    assert client.run(second, "true") == (0, b"")
    data = client.save(second)
    client.rmi(first)
    client.rmi(second)
    assert iid not in client.images()
    client.load(data)
    assert iid in client.images()
    client.rmi(second)


def test_three_clients_see_one_engine(daemon, box):
    pytest.importorskip("docker")
    ours, docker = clients.cli_or_skip("cleat", daemon), clients.cli_or_skip("docker", daemon)
    py = clients.DockerPy(daemon.url)
    name = box()
    cid = ours.create("busybox", "sleep", "1000", name=name)
    docker.start(name)
    assert py.exec(name, "echo", "x") == (0, b"x\n")
    assert ours.inspect(name) == docker.inspect(name) == py.inspect(name)
    assert ours.ps(id=cid) == docker.ps(id=cid) == py.ps(id=cid) == [cid]
    py.kill(name)
    until(lambda: docker.inspect(name)["State"]["Status"] == "exited")
    ours.rm(name)


def test_restart_with_rm(cli, box):
    """The end within a restart does not remove it; the next one does."""
    c = box()
    cli.ok("run", "-d", "--rm", "--stop-signal", "KILL", "--name", c, "busybox", "sleep", "1000")
    for i in range(3):
        assert cli.ok("exec", c, "sh", "-c", "echo %d >> /kept; wc -l < /kept" % i) == str(i + 1)
        cli.ok("restart", c)
    assert cli.ok("inspect", "-f", "{{.State.Status}}", c) == "running"
    cli.ok("stop", c)
    until(lambda: cli.ok("ps", "-aq", "--filter", "name=" + c) == "")


def test_prune_everything(own_daemon):
    """A daemon of its own: nothing of other tests goes."""
    d = own_daemon().start()
    fixtures.load(d)
    for program in ("cleat", "docker"):
        cli = clients.cli_or_skip(program, d)
        cli.ok("create", "--name", "old", "-v", "/anon", "busybox")
        out = cli.ok("system", "prune", "-f", "--volumes")
        assert "Deleted Containers:" in out and "Total reclaimed space:" in out
        assert cli.ok("ps", "-aq") == cli.ok("volume", "ls", "-q") == ""
        assert cli.ok("network", "prune", "-f") == ""
        done = cli("swarm", "init") if program == "docker" else None
        assert not done or (done.returncode == 1 and "not a swarm manager" in done.stderr)
