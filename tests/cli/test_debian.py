"""A Debian root file system as an image: apt-get, bash pipelines, a service on a port."""
import socket

import pytest

import images
from cleat import demux, until


@pytest.fixture(scope="module")
def debian(daemon):
    path, why = images.debian_tar()
    if not path:
        pytest.skip(why)
    with open(path, "rb") as f:
        r = daemon.api.post("/images/create", f, fromSrc="-", repo="debian", tag="test", timeout=50,
                            changes='CMD ["bash"]', headers={"Content-Type": "application/x-tar"})
    assert r.status == 200 and "errorDetail" not in r.lines[-1], r
    yield "debian:test"
    daemon.api.delete("/images/debian:test", force=1)


def run(daemon, make, image, *cmd, **body):
    cid = make(start=True, Image=image, Cmd=list(cmd), **body)
    code = daemon.api.ok("POST", "/containers/%s/wait" % cid)["StatusCode"]
    return code, demux(daemon.api.get("/containers/%s/logs" % cid, stdout=1).body)[0].decode()


def test_apt_get(daemon, make, debian):
    code, out = run(daemon, make, debian, "apt-get", "--version")
    assert code == 0 and out.startswith("apt ")


def test_bash_pipelines(daemon, make, debian):
    code, out = run(daemon, make, debian, "bash", "-c",
                    "set -o pipefail; seq 1 1000 | sort -rn | head -1 | tee >(cat >/tmp/x); "
                    "diff <(echo a) <(echo a) && echo same; false | true; echo $?")
    assert code == 0 and out == "1000\nsame\n1\n"


def test_dpkg_knows_its_packages(daemon, make, debian):
    code, out = run(daemon, make, debian, "dpkg-query", "-W", "-f", "${Package}\n")
    assert code == 0 and "bash" in out.split() and "libc6" in out.split()


def test_users_and_ownership(daemon, make, debian):
    code, out = run(daemon, make, debian, "bash", "-c",
                    "useradd -m joe && su joe -c 'id -un; touch ~/f; stat -c %U ~/f'")
    assert code == 0 and out == "joe\njoe\n"


def test_service_on_a_port(daemon, make, debian):
    script = "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => 8000, " \
             "Listen => 5, ReuseAddr => 1) or die; " \
             "while (my $c = $s->accept) { print $c \"perl\\n\"; close $c }"
    make(start=True, Image=debian, Cmd=["perl", "-e", script], StopSignal="SIGKILL",
         ExposedPorts={"8000/tcp": {}},
         HostConfig={"PortBindings": {"8000/tcp": [{"HostPort": "18000"}]}})

    def ask():
        try:
            with socket.create_connection(("127.0.0.1", 18000), 2) as s:
                return s.recv(10)
        except OSError:
            return b""
    assert until(ask) == b"perl\n"
