"""The API beside its unix socket: TCP, TLS with and without client certificates, passed sockets."""
import os
import shutil
import socket
import subprocess

import pytest

import cleat
import fixtures
from clients import cli_or_skip


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def openssl(*args):
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def certificate(folder, name, subject, extensions):
    """A key and a certificate by the authority in @folder, as docker names them."""
    key, request, conf = (folder / (name + x) for x in ("-key.pem", ".csr", ".cnf"))
    conf.write_text(extensions)
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj",
            "/CN=" + subject)
    openssl("x509", "-req", "-in", request, "-CA", folder / "ca.pem", "-CAkey",
            folder / "ca-key.pem", "-CAcreateserial", "-days", "2", "-extfile", conf, "-out",
            folder / (name + ".pem"))


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certs")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test ca",
            "-keyout", folder / "ca-key.pem", "-out", folder / "ca.pem")
    certificate(folder, "server", "localhost",
                "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth")
    certificate(folder, "client", "client", "extendedKeyUsage=clientAuth")
    return folder


def tls_flags(certs, *who):
    """The flags of both programs: the daemon's for "server", a client's for "client"."""
    out = ["--tlscacert", certs / "ca.pem"]
    for name in who:
        out += ["--tlscert", certs / (name + ".pem"), "--tlskey", certs / (name + "-key.pem")]
    return [str(x) for x in out]


@pytest.fixture(params=["cleat", "docker"])
def program(request):
    return request.param


def use(cli):
    """What a session is made of: plain calls, a stream each way, a hijacked terminal."""
    assert cli.ok("version", "--format", "{{.Server.Os}}") == "linux"
    done = cli("run", "--rm", "-i", "busybox", "cat", stdin="in and out\n" * 5000)
    assert (done.returncode, done.stdout) == (0, "in and out\n" * 5000), done.stderr
    with cli.terminal("run", "--rm", "-it", "busybox", "sh", "-c", "tty && echo $((6*7))") as t:
        assert "42" in t.end()[1].decode()
    assert cli("run", "--rm", "busybox", "sh", "-c", "exit 9").returncode == 9
    assert "busybox" in cli.ok("images")
    assert cli.ok("ps", "-aq") == ""


def test_plain_tcp(own_daemon, program):
    url = "tcp://127.0.0.1:%d" % free_port()
    d = own_daemon(args=["-H", url]).start()
    fixtures.load(d)
    assert "anybody who can reach this address is root" in d.log()
    cli = cli_or_skip(program, d)
    cli.env["DOCKER_HOST"] = cli.env["CLEAT_HOST"] = url
    use(cli)


def test_tls_asks_for_certificates(own_daemon, program, certs):
    url = "tcp://127.0.0.1:%d" % free_port()
    d = own_daemon(args=["-H", url, "--tlsverify", *tls_flags(certs, "server")]).start()
    fixtures.load(d)
    cli = cli_or_skip(program, d)
    cli.env["DOCKER_HOST"] = cli.env["CLEAT_HOST"] = url
    plain = cli("version")
    assert plain.returncode != 0  # no TLS at all
    stranger = cli("--tls", "--tlscacert", certs / "ca.pem", "version")
    assert stranger.returncode != 0 and "certificate" in stranger.stderr, stranger
    home = os.path.join(cli.home, "tls")
    os.makedirs(home, exist_ok=True)
    for ours, theirs in (("ca.pem", "ca.pem"), ("client.pem", "cert.pem"),
                         ("client-key.pem", "key.pem")):
        shutil.copy(certs / ours, os.path.join(home, theirs))
    cli.env.update({"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": home})
    use(cli)


def test_tls_server_must_be_who_it_says(own_daemon, program, certs, tmp_path):
    url = "tcp://127.0.0.1:%d" % free_port()
    d = own_daemon(args=["-H", url, "--tls", *tls_flags(certs, "server")]).start()
    cli = cli_or_skip(program, d)
    cli.env["DOCKER_HOST"] = cli.env["CLEAT_HOST"] = url
    other = tmp_path / "other-ca.pem"
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=other",
            "-keyout", tmp_path / "other-key.pem", "-out", other)
    done = cli("--tlsverify", "--tlscacert", other, "version")
    assert done.returncode != 0 and "certificate" in done.stderr, done
    trusted = cli("--tlsverify", "--tlscacert", certs / "ca.pem", "version")
    assert trusted.returncode == 0, trusted  # nobody is asked who he is


def start_with(d, passed, pid=None):
    """cleatd as systemd starts it, with @passed sockets at 3, 4 ..."""
    def prepare():
        copies = [os.dup(s.fileno()) for s in passed]  # above all targets
        for i, fd in enumerate(copies):
            os.dup2(fd, 3 + i)

    program = os.path.join(d.build, "cleatd")
    script = 'export LISTEN_PID=%s LISTEN_FDS=%d; exec "$0" "$@"' % (pid or "$$", len(passed))
    args = ["-H", "fd://", "--data-root", d.data_root, "--exec-root", d.exec_root, "--pidfile",
            os.path.join(d.dir, "cleatd.pid"), "--cgroup-parent", "/" + d.cgroup, *d.args]
    with open(d.log_path, "ab") as log:
        return subprocess.Popen(["sh", "-c", script, program, *args], stdin=subprocess.DEVNULL,
                                stdout=log, stderr=log, preexec_fn=prepare,
                                pass_fds=range(3, 3 + len(passed)))


def test_passed_sockets(own_daemon, certs):
    d = own_daemon(args=["--tlsverify", *tls_flags(certs, "server")])
    with socket.socket(socket.AF_UNIX) as local, socket.socket() as tcp:
        local.bind(d.socket)
        local.listen()
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        d.stopped = False
        d.process = start_with(d, [local, tcp])
        cleat.until(d.answers, 20, d.log)
        with socket.create_connection(tcp.getsockname()) as s:
            s.settimeout(20)
            s.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            try:
                answer = s.recv(1000)
            except ConnectionResetError:
                answer = b""
            assert b"200" not in answer  # TLS is for every socket that others can reach
        done = subprocess.run(
            ["openssl", "s_client", "-quiet", "-connect", "127.0.0.1:%d" % tcp.getsockname()[1],
             "-CAfile", certs / "ca.pem", "-cert", certs / "client.pem", "-key",
             certs / "client-key.pem"], input=b"GET /_ping HTTP/1.0\r\n\r\n", capture_output=True,
            timeout=30)
        assert b" 200 OK" in done.stdout and done.stdout.endswith(b"OK"), done
        assert d.stop() == 0
    assert os.path.exists(d.socket)  # systemd's, not ours to delete


def test_no_sockets_were_passed(own_daemon):
    d = own_daemon()
    d.stopped = False
    with socket.socket() as tcp:
        d.process = start_with(d, [tcp], pid=1)
        assert d.process.wait(20) == 1
    assert "no sockets found via socket activation" in d.log()


def test_group_of_the_socket(own_daemon):
    d = own_daemon(args=["--group", "daemon"]).start()
    st = os.stat(d.socket)
    assert (st.st_gid, st.st_mode & 0o777) == (1, 0o660)
    other = own_daemon(args=["--group", "no-such-group"]).start(wait=False)
    assert other.process.wait(20) == 1 and "group no-such-group not found" in other.log()


def test_who_may_not_connect(own_daemon):
    """Another user finds a closed door."""
    d = own_daemon().start()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(d.socket)
        except PermissionError:
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
