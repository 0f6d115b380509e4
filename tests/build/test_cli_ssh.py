"""cleat build --ssh: steps ask the agent of whoever builds, for keys and signatures and no more."""
import os
import re
import shutil
import socket
import struct
import subprocess
import threading

import pytest

import builds
import registry
from cleat import until

MOUNT = "RUN --mount=type=ssh"


@pytest.fixture
def agent(tmp_path):
    """A real agent with one key; its environment."""
    registry.need("ssh-agent", "ssh-add", "ssh-keygen")
    path = str(tmp_path / "agent.sock")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        env = {**os.environ, "SSH_AUTH_SOCK": path}
        key = str(tmp_path / "key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "key-of-test", "-f",
                        key], check=True)
        subprocess.run(["ssh-add", "-q", key], check=True, env=env)
        yield {"SSH_AUTH_SOCK": path}
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@pytest.fixture
def build(daemon, tmp_path, name):
    """Its context has ssh-add and what that needs."""
    made = builds.Builder(daemon, "cleat", tmp_path, name)
    yield made
    made.close()


@pytest.fixture
def tools(build):
    program = shutil.which("ssh-add")
    root = os.path.join(build.context, "root")
    libs = re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", program], capture_output=True,
                                                   text=True, check=True).stdout)
    for path in [program, *libs]:
        to = os.path.join(root, path.lstrip("/"))
        os.makedirs(os.path.dirname(to), exist_ok=True)
        shutil.copy(os.path.realpath(path), to)
    return "FROM busybox\nCOPY root/ /\n"


def test_a_step_sees_the_keys(build, tools, agent):
    out = build(tools + MOUNT + " ssh-add -l\n", None, "--ssh", "default", "--no-cache",
                env=agent).ok().out
    assert "key-of-test (ED25519)" in out, out
    assert os.listdir(os.path.join(build.daemon.exec_root, "build")) == []


def test_an_agent_by_its_id_and_place(build, tools, agent):
    out = build(tools + MOUNT + ",id=mine,target=/agent SSH_AUTH_SOCK=/agent ssh-add -l\n", None,
                "--ssh", "mine=" + agent["SSH_AUTH_SOCK"], "--no-cache").ok().out
    assert "key-of-test (ED25519)" in out, out


def test_users_of_a_step(build, tools, agent):
    out = build(tools + "USER 1000\n" + MOUNT + " ssh-add -l\n", None, "--ssh", "default",
                "--no-cache", env=agent).ok().out
    assert "key-of-test (ED25519)" in out, out


def test_many_programs_at_once(build, tools, agent):
    out = build(tools + MOUNT + " for i in 1 2 3 4 5 6 7 8; do ssh-add -l & done; wait\n", None,
                "--ssh", "default", "--no-cache", env=agent).ok().out
    assert len(re.findall(r"^#\d+ \d.*key-of-test", out, re.M)) == 8, out


def test_a_step_cannot_remove_keys(build, tools, agent):
    done = build(tools + MOUNT + " ssh-add -D\n", None, "--ssh", "default", "--no-cache", env=agent)
    assert done.code == 1, done.out
    assert "key-of-test" in subprocess.run(["ssh-add", "-l"], capture_output=True, text=True,
                                           env={**os.environ, **agent}).stdout


def test_steps_without_the_mount_have_none(build, agent):
    out = build("FROM busybox\nRUN ls /run/buildkit; echo sock=$SSH_AUTH_SOCK.\n", None, "--ssh",
                "default", "--no-cache", "--progress=plain", env=agent).ok().out
    assert "sock=.\n" in out


def test_without_an_agent(build, tmp_path):
    done = build("FROM busybox\n" + MOUNT + ",required true\n")
    assert done.code == 1 and 'no SSH key "default" forwarded' in done.out
    done = build(None, None, "--ssh", "default", env={"SSH_AUTH_SOCK": ""})
    assert done.code == 1 and "SSH_AUTH_SOCK is not set" in done.out
    done = build(None, None, "--ssh", "default=%s" % tmp_path)
    assert done.code == 1 and "neither a socket nor a key" in done.out
    done = build(None, None, "--ssh", "default=/no/such")
    assert done.code == 1 and "/no/such: no such file" in done.out


# ---- keys in files ----

def agents():
    """ssh-agents that hold keys of files."""
    out = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                line = f.read()
        except OSError:
            continue
        if b"cleat-ssh-" in line:
            out.append(pid)
    return out


@pytest.fixture
def run_dir(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    yield {"XDG_RUNTIME_DIR": str(path), "SSH_AUTH_SOCK": ""}
    until(lambda: not list(path.iterdir()) and not agents(), 15, lambda: (agents(), os.listdir(path)))


@pytest.mark.parametrize("n", [1, 2])
def test_keys_in_files(build, tools, tmp_path, run_dir, n):
    keys = [str(tmp_path / ("k%d" % i)) for i in range(n)]
    for k in keys:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "of-file", "-f", k],
                       check=True)
    out = build(tools + MOUNT + " ssh-add -l\n", None, "--ssh", "default=" + ",".join(keys),
                "--no-cache", "--progress=plain", env=run_dir).ok().out
    assert len(re.findall(r"of-file \(ED25519\)", out)) == n, out


@pytest.mark.parametrize("text", ["no key at all\n", ""])
def test_a_file_that_is_no_key(build, tmp_path, run_dir, text):
    (tmp_path / "key").write_text(text)
    (tmp_path / "key").chmod(0o600)
    done = build("FROM busybox\n", None, "--ssh", "default=%s" % (tmp_path / "key"), env=run_dir)
    assert done.code == 1 and "ssh-add took no key of it" in done.out, done.out


def test_a_key_and_a_socket(build, agent, tmp_path, run_dir):
    done = build("FROM busybox\n", None, "--ssh", "default=%s,%s" %
                 (tmp_path / "key", agent["SSH_AUTH_SOCK"]), env=run_dir)
    assert done.code == 1 and "only one socket" in done.out


def test_a_client_that_is_killed(build, tmp_path):
    """Its agent goes, too."""
    registry.need("ssh-agent")
    key = str(tmp_path / "key")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    builds.write_tree(build.context, {"Dockerfile": "FROM busybox\nRUN echo begun; sleep 60\n"})
    process = build.cli.popen("build", "--network=none", "--progress=plain", "--no-cache", "--ssh",
                              "default=" + key, build.context)
    with process:
        for line in process.stderr:
            if line.rstrip().endswith(b" begun"):
                break
        assert agents()
        process.kill()
        process.stderr.read()
    until(lambda: not agents(), 20, agents)


def test_the_same_id_twice(build, agent):
    done = build("FROM busybox\n", None, "--ssh", "default", "--ssh", "default", env=agent)
    assert done.code == 1 and "agent default is given twice" in done.out


def test_an_agent_that_hangs_up(build, tools, tmp_path):
    """Its client gets a failure, and the build goes on."""
    path = str(tmp_path / "bad.sock")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()

    def serve():
        while True:
            try:
                conn, _ = server.accept()
            except OSError:
                return
            conn.sendall(struct.pack(">I", 1 << 30))
            conn.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        out = build(tools + MOUNT + " ssh-add -l; echo code=$?\n", None, "--ssh", "default",
                    "--no-cache", "--progress=plain", env={"SSH_AUTH_SOCK": path}).ok().out
        assert re.search(r"code=[12]$", out, re.M), out
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def test_odd_requests(api):
    sid = api.ok("POST", "/build/session", {})["Id"]
    assert api.post("/build/session/%s/ssh" % ("0" * 32), id="x").status == 404
    assert api.post("/build/session/%s/ssh" % sid, id="x" * 256).status == 400
    with api.hijack("/build/session/%s/ssh" % sid, id="x") as raw:
        assert raw.status in (101, 200)
        raw.send(b"nobody asked")
        assert raw.all() == b"", "it is hung up to"
