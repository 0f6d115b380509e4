"""docker-py (Debian's python3-docker) drives the engine as its own users would."""
import pytest

import images

docker = pytest.importorskip("docker")


@pytest.fixture(scope="module")
def client(daemon):
    c = docker.DockerClient(base_url=daemon.url, version="auto", timeout=30)
    yield c
    c.close()


def test_negotiation(client):
    assert client.ping() and client.version()["ApiVersion"] == "1.51"
    assert client.info()["OSType"] == "linux"


def test_run(client):
    assert client.containers.run("busybox", ["echo", "hi"], remove=True) == b"hi\n"
    with pytest.raises(docker.errors.ContainerError) as e:
        client.containers.run("busybox", ["sh", "-c", "echo no >&2; exit 3"], remove=True)
    assert e.value.exit_status == 3 and e.value.stderr == b"no\n"


def test_lifecycle(client, name):
    c = client.containers.create("busybox", "sleep 1000", name=name, labels={"py": "1"},
                                 stop_signal="SIGKILL")
    assert c.status == "created"
    c.start()
    c.reload()
    assert c.status == "running" and c.labels == {"py": "1"}
    assert [x.id for x in client.containers.list(filters={"label": "py=1"})] == [c.id]
    assert c.top()["Titles"][-1] == "CMD"
    code, out = c.exec_run(["sh", "-c", "echo out; exit 5"])
    assert (code, out) == (5, b"out\n")
    code, (out, err) = c.exec_run(["sh", "-c", "echo out; echo err >&2"], demux=True)
    assert (code, out, err) == (0, b"out\n", b"err\n")
    c.pause()
    c.reload()
    assert c.status == "paused"
    c.unpause()
    c.rename(name + "-new")
    c.restart(timeout=0)
    assert c.stats(stream=False)["memory_stats"]["usage"] > 0
    c.stop()
    assert c.wait()["StatusCode"] == 137
    c.remove()
    with pytest.raises(docker.errors.NotFound):
        client.containers.get(name + "-new")


def test_exec_output_is_never_lost(client, name):
    """docker-py drops what comes in one packet with the response head."""
    c = client.containers.run("busybox", ["sleep", "1000"], name=name, detach=True,
                              stop_signal="SIGKILL")
    try:
        for _ in range(200):
            assert tuple(c.exec_run(["sh", "-c", "echo out; exit 5"])) == (5, b"out\n")
    finally:
        c.remove(force=True)


def test_logs_and_attach(client):
    c = client.containers.run("busybox", ["sh", "-c", "echo a; echo b >&2"], detach=True)
    try:
        c.wait()
        assert c.logs(stdout=True, stderr=False) == b"a\n"
        assert c.logs(stdout=False, stderr=True) == b"b\n"
        assert c.logs(tail=1, timestamps=True).count(b"Z ") == 1
        assert list(c.logs(stream=True, follow=True, stderr=False)) == [b"a\n"]
    finally:
        c.remove(force=True)


def test_attach_socket(client):
    c = client.containers.create("busybox", "cat", stdin_open=True, tty=True)
    try:
        s = c.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
        c.start()
        s._sock.sendall(b"line\n")
        got = b""
        while got.count(b"line\r\n") < 2:
            got += s._sock.recv(100)
        c.resize(30, 90)
        s.close()
    finally:
        c.remove(force=True)


def test_images(client, name):
    image, = client.images.load(images.docker_archive([name + ":py"], [images.busybox()],
                                                      {"Labels": {"n": name}}))
    assert image.tags == [name + ":py"] and image.labels == {"n": name}
    assert image.tag(name, "two")
    assert [i.id for i in client.images.list(name)] == [image.id]
    assert image.history()[0]["CreatedBy"] == "step 0"
    data = b"".join(image.save(named=True))
    assert len(data) > 1_000_000
    client.images.remove(name + ":two")
    client.images.remove(name + ":py")
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get(name + ":py")
    out = client.api.import_image_from_data(images.busybox(), repository=name, tag="imp")
    assert "sha256:" in out
    assert client.containers.run(name + ":imp", "true", remove=True) == b""
    client.images.remove(name + ":imp")


def test_errors(client):
    with pytest.raises(docker.errors.ImageNotFound):
        client.api.create_container("no-such-image", "x")
    with pytest.raises(docker.errors.APIError) as e:
        client.api.create_container("busybox", "x", name="bad name")
    assert e.value.status_code == 400
    c = client.containers.create("busybox", "nope")
    try:
        with pytest.raises(docker.errors.APIError) as e:
            c.start()
        assert "executable file not found" in e.value.explanation
    finally:
        c.remove()


def test_limits_and_ports(client):
    c = client.containers.run("busybox", "sleep 1000", detach=True, mem_limit="64m",
                              nano_cpus=500_000_000, pids_limit=50, ports={"80/tcp": None},
                              tmpfs={"/scratch": "size=1m"}, read_only=True, cap_drop=["ALL"],
                              stop_signal="SIGKILL")
    try:
        c.reload()
        host = c.attrs["HostConfig"]
        assert host["Memory"] == 64 << 20 and host["NanoCpus"] == 500_000_000
        assert host["PidsLimit"] == 50 and host["ReadonlyRootfs"]
        assert int(c.ports["80/tcp"][0]["HostPort"]) > 1024
        assert c.exec_run("touch /x")[0] != 0 and c.exec_run("touch /scratch/x")[0] == 0
    finally:
        c.remove(force=True)


def test_prune_and_events(client):
    stream = client.events(decode=True, filters={"event": "destroy"})
    c = client.containers.create("busybox", "true", labels={"prune": "py"})
    r = client.containers.prune(filters={"label": "prune=py"})
    assert r["ContainersDeleted"] == [c.id]
    event = next(iter(stream))
    stream.close()
    assert event["id"] == c.id
