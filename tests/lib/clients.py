"""The three clients behind one small interface, and a terminal to run the interactive ones in."""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

import pytest

from cleat import BUILD

DOCKER = shutil.which("docker", path="/usr/local/bin:/usr/bin:/bin")


class Cli:
    """A command line client; every call is a new process."""

    def __init__(self, program, url, home):
        self.program, self.home = program, home
        self.env = {**os.environ, "DOCKER_HOST": url, "CLEAT_HOST": url, "HOME": home,
                    "DOCKER_CONFIG": os.path.join(home, ".docker"), "LC_ALL": "C.UTF-8",
                    "DOCKER_CLI_HINTS": "false", "TERM": "xterm"}
        self.env.pop("DOCKER_CONTEXT", None)

    def __call__(self, *args, stdin=None, timeout=50, env=None):
        """Run to the end; nothing is asserted. The result has returncode, stdout, stderr."""
        return subprocess.run([self.program, *map(str, args)], input=stdin, capture_output=True,
                              text=not isinstance(stdin, bytes), timeout=timeout,
                              env={**self.env, **(env or {})},
                              **({} if stdin is not None else {"stdin": subprocess.DEVNULL}))

    def ok(self, *args, **kw):
        """Run what must succeed; its standard output without the last newline."""
        done = self(*args, **kw)
        assert done.returncode == 0, (args, done)
        return done.stdout.rstrip("\n") if isinstance(done.stdout, str) else done.stdout

    def popen(self, *args, **kw):
        kw.setdefault("stdin", subprocess.PIPE)
        return subprocess.Popen([self.program, *map(str, args)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=self.env, **kw)

    def terminal(self, *args, rows=24, columns=80):
        return Terminal([self.program, *map(str, args)], self.env, rows, columns)

    # ---- the common interface ----

    def create(self, image, *cmd, name=None):
        return self.ok("create", *(["--name", name] if name else []), image, *cmd)

    def start(self, c):
        assert self.ok("start", c) == c

    def stop(self, c, seconds=0):
        assert self.ok("stop", "-t", seconds, c) == c

    def kill(self, c):
        assert self.ok("kill", c) == c

    def restart(self, c):
        assert self.ok("restart", "-t", "0", c) == c

    def pause(self, c):
        assert self.ok("pause", c) == c

    def unpause(self, c):
        assert self.ok("unpause", c) == c

    def rename(self, c, new):
        assert self.ok("rename", c, new) == ""

    def rm(self, c, force=False):
        assert self.ok("rm", *(["-f"] if force else []), c) == c

    def wait(self, c):
        return int(self.ok("wait", c))

    def logs(self, c):
        done = self("logs", c)
        assert done.returncode == 0, done
        return done.stdout.encode(), done.stderr.encode()

    def exec(self, c, *cmd):
        done = self("exec", c, *cmd)
        return done.returncode, done.stdout.encode()

    def top(self, c):
        return [line.split(None, 7)[-1] for line in self.ok("top", c).splitlines()[1:]]

    def inspect(self, c):
        return json.loads(self.ok("inspect", c))[0]

    def ps(self, **filters):
        args = [x for k, v in filters.items() for x in ("--filter", "%s=%s" % (k, v))]
        return self.ok("ps", "-a", "-q", "--no-trunc", *args).split()

    def stats(self, c):
        return json.loads(self.ok("stats", "--no-stream", "--format", "json", c))["PIDs"]

    def run(self, image, *cmd):
        done = self("run", "--rm", image, *cmd)
        return done.returncode, done.stdout.encode()

    def images(self):
        return [i[7:] for i in self.ok("images", "-q", "--no-trunc").split()]

    def tag(self, image, ref):
        assert self.ok("tag", image, ref) == ""

    def rmi(self, ref):
        self.ok("rmi", ref)

    def load(self, data):
        done = self("load", stdin=data)
        assert done.returncode == 0, done

    def save(self, ref):
        done = self("save", ref, stdin=b"")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def history(self, ref):
        return len(self.ok("history", "-q", ref).splitlines())


class DockerPy:
    """The same interface on docker-py."""

    def __init__(self, url):
        import docker
        self.client = docker.DockerClient(base_url=url, version="auto", timeout=50)
        self.api = self.client.api

    def create(self, image, *cmd, name=None):
        return self.client.containers.create(image, list(cmd), name=name).id

    def start(self, c):
        self.api.start(c)

    def stop(self, c, seconds=0):
        self.api.stop(c, timeout=seconds)

    def kill(self, c):
        self.api.kill(c)

    def restart(self, c):
        self.api.restart(c, timeout=0)

    def pause(self, c):
        self.api.pause(c)

    def unpause(self, c):
        self.api.unpause(c)

    def rename(self, c, new):
        self.api.rename(c, new)

    def rm(self, c, force=False):
        self.api.remove_container(c, force=force)

    def wait(self, c):
        return self.api.wait(c)["StatusCode"]

    def logs(self, c):
        return self.api.logs(c, stderr=False), self.api.logs(c, stdout=False)

    def exec(self, c, *cmd):
        code, out = self.client.containers.get(c).exec_run(list(cmd))
        return code, out

    def top(self, c):
        return [p[-1] for p in self.api.top(c)["Processes"]]

    def inspect(self, c):
        return self.api.inspect_container(c)

    def ps(self, **filters):
        return [c["Id"] for c in self.api.containers(all=True, filters=filters)]

    def stats(self, c):
        return str(self.api.stats(c, stream=False)["pids_stats"]["current"])

    def run(self, image, *cmd):
        import docker
        try:
            return 0, self.client.containers.run(image, list(cmd), remove=True)
        except docker.errors.ContainerError as e:
            return e.exit_status, b""

    def images(self):
        return [i.id[7:] for i in self.client.images.list()]

    def tag(self, image, ref):
        self.api.tag(image, *ref.split(":"))

    def rmi(self, ref):
        self.api.remove_image(ref)

    def load(self, data):
        self.client.images.load(data)

    def save(self, ref):
        return b"".join(self.api.get_image(ref))

    def history(self, ref):
        return len(self.api.history(ref))


class Terminal:
    """A program on a pseudo terminal of its own; what it prints is read by patterns."""

    def __init__(self, argv, env, rows, columns):
        self.master, slave = pty.openpty()
        self.resize(rows, columns)

        def session():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=env,
                                        preexec_fn=session)
        os.close(slave)
        self.seen = b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if hasattr(self, "process"):
            self.process.send_signal(signal.SIGWINCH)

    def send(self, data):
        os.write(self.master, data)

    def expect(self, pattern, seconds=15):
        """Read until @pattern (bytes) was printed; what stood before and in it is consumed."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.seen)):
            if not self._read(end - time.monotonic()):
                raise AssertionError("%r did not come: %r" % (pattern, self.seen))
        out, self.seen = self.seen[:found.end()], self.seen[found.end():]
        return out

    def _read(self, seconds):
        ready, _, _ = select.select([self.master], [], [], max(seconds, 0))
        if not ready:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO: the other side is closed
            return False
        self.seen += data
        return bool(data)

    def end(self, seconds=15):
        """Read to the end; (exit code, what was still printed)."""
        stop = time.monotonic() + seconds
        while self._read(stop - time.monotonic()):
            pass
        code = self.process.wait(max(stop - time.monotonic(), 0.1))
        out, self.seen = self.seen, b""
        return code, out

    def attributes(self):
        return termios.tcgetattr(self.master)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def cleat_cli(daemon):
    return Cli(os.path.join(BUILD, "cleat"), daemon.url, daemon.dir)


def docker_cli(daemon):
    return Cli(DOCKER, daemon.url, daemon.dir)


def cli_or_skip(kind, daemon):
    if kind == "docker":
        if not DOCKER:
            pytest.skip("no docker program")
        return docker_cli(daemon)
    if not os.access(os.path.join(BUILD, "cleat"), os.X_OK):
        pytest.skip("no cleat program in %s" % BUILD)
    return cleat_cli(daemon)


def docker_version():
    """(major, minor) of the docker program, or None."""
    if not DOCKER:
        return None
    found = re.search(r"version (\d+)\.(\d+)", subprocess.run(
        [DOCKER, "--version"], capture_output=True, text=True).stdout)
    return tuple(map(int, found.groups())) if found else None
