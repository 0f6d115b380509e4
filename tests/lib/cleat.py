"""A daemon of its own for the tests: start, talk, stop, and prove that nothing was left behind.

The test process first moves itself into new network and mount namespaces (enter_sandbox), so the
daemon, its containers and the clients share a machine without an uplink, two runs never meet, and
whatever a failed test leaves dies with the process.
"""
import ctypes
import fcntl
import glob
import http.client
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("CLEAT_BUILD", os.path.join(ROOT, "build")))
BUILD_FAIL = os.environ.get("CLEAT_BUILD_FAIL", "")
SANITIZED = bool(os.environ.get("CLEAT_SANITIZED"))
REPORTS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:",
           "WARNING: ThreadSanitizer", "ThreadSanitizer: ")
PATIENCE = max(1.0, int(os.environ.get("CLEAT_TEST_SECONDS", "60")) / 60)
NO_INIT = "a sanitized cleat-init is not static and finds no libraries in the container"
CLONE_NEWNS, CLONE_NEWNET, MS_PRIVATE_REC = 0x20000, 0x40000000, 0x44000
_outer_net = -1


def until(check, seconds=10.0, what=None):
    """Poll @check until it returns something true; that is returned.

    @seconds: how long at most; longer where everything is slow (CLEAT_TEST_SECONDS)
    @what: text, or a call that tells how things stand
    """
    end = time.monotonic() + seconds * PATIENCE
    while True:
        got = check()
        if got:
            return got
        if time.monotonic() > end:
            shown = what() if callable(what) else what
            raise AssertionError("not within %g s: %s" % (seconds, shown))
        time.sleep(0.01)


def wait_for(process, seconds):
    """The exit code of a subprocess.Popen, at once when it ends: its own wait() with a limit sleeps
    and looks again."""
    if process.poll() is None:
        pidfd = os.pidfd_open(process.pid)
        try:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            if not poll.poll(seconds * PATIENCE * 1000):
                raise subprocess.TimeoutExpired(process.args, seconds)
        finally:
            os.close(pidfd)
    return process.wait()


# ---- the sandbox ----

def _link_up(name):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        req = struct.pack("16sh14x", name.encode(), 0)
        flags, = struct.unpack_from("h", fcntl.ioctl(s, 0x8913, req), 16)
        fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", name.encode(), flags | 1))


def in_sandbox():
    return os.environ.get("CLEAT_TEST_SANDBOX") == str(os.getpid())


def enter_sandbox():
    """New network and mount namespaces for this process; must come before any thread is made."""
    if in_sandbox():
        return
    global _outer_net
    _outer_net = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS | CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    if libc.mount(None, b"/", None, MS_PRIVATE_REC, None) != 0:
        raise OSError(ctypes.get_errno(), "make / private")
    _link_up("lo")
    os.environ["CLEAT_TEST_SANDBOX"] = str(os.getpid())


def outside():
    """For preexec_fn: a child that may use the machine's network (to fetch packages)."""
    if _outer_net >= 0:
        ctypes.CDLL(None).setns(_outer_net, CLONE_NEWNET)


def why_not(build=BUILD):
    """The reason why no daemon can run here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    if not os.access(os.path.join(build, "cleatd"), os.X_OK):
        return "no cleatd in %s" % build
    return None


# ---- HTTP over the socket ----

class UnixHTTP(http.client.HTTPConnection):
    def __init__(self, path, timeout=30):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Reply:
    """status, headers, body of one answer; .json and .lines decode it."""

    def __init__(self, resp, body):
        self.status, self.headers, self.body = resp.status, resp.headers, body
        self.reason = resp.reason

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def lines(self):
        return [json.loads(x) for x in self.body.splitlines() if x.strip()]

    @property
    def message(self):
        assert list(self.json) == ["message"], self.body
        return self.json["message"]

    def __repr__(self):
        return "<%d %r>" % (self.status, self.body[:500])


class Hijacked:
    """A connection after the upgrade: raw bytes both ways."""

    def __init__(self, sock, status, headers, rest):
        self.sock, self.status, self.headers, self.rest = sock, status, headers, rest

    def recv(self, n=65536):
        if self.rest:
            out, self.rest = self.rest[:n], self.rest[n:]
            return out
        return self.sock.recv(n)

    def exactly(self, n):
        out = b""
        while len(out) < n:
            piece = self.recv(n - len(out))
            if not piece:
                break
            out += piece
        return out

    def all(self):
        out = b""
        while piece := self.recv():
            out += piece
        return out

    def until(self, text):
        """Read until @text was seen; return all that came so far."""
        out = b""
        while text not in out:
            piece = self.recv()
            if not piece:
                raise AssertionError("closed before %r: %r" % (text, out))
            out += piece
        return out

    def frame(self):
        """One frame of a multiplexed stream: (stream, bytes), or None at the end."""
        head = self.exactly(8)
        if len(head) < 8:
            assert head == b"", head
            return None
        stream, zeros, size = struct.unpack(">B3sI", head)
        assert zeros == b"\0\0\0" and stream in (0, 1, 2, 3), head
        body = self.exactly(size)
        assert len(body) == size, (size, body)
        return stream, body

    def send(self, data):
        self.sock.sendall(data)

    def done_sending(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def demux(data):
    """The frames of a finished multiplexed stream, joined: (stdout, stderr)."""
    out, at = {1: b"", 2: b""}, 0
    while at < len(data):
        stream, size = struct.unpack_from(">B3xI", data, at)
        assert stream in out and at + 8 + size <= len(data), (stream, size, len(data), at)
        out[stream] += data[at + 8:at + 8 + size]
        at += 8 + size
    return out[1], out[2]


class Api:
    """Raw calls to one socket, with or without a version in the path."""

    def __init__(self, path, version=None):
        self.path, self.version = path, version

    def at(self, version):
        return Api(self.path, version)

    def url(self, path, query):
        from urllib.parse import urlencode
        flat = {k: json.dumps(v) if isinstance(v, (dict, list)) else
                ("1" if v is True else "0" if v is False else v) for k, v in query.items()}
        prefix = "/v%s" % self.version if self.version else ""
        return prefix + path + ("?" + urlencode(flat) if flat else "")

    def call(self, method, path, /, body=None, headers=None, timeout=30, **query):
        conn = UnixHTTP(self.path, timeout)
        headers = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)) and not hasattr(body, "read"):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        try:
            try:
                conn.request(method, self.url(path, query), body, headers)
            except BrokenPipeError:
                pass  # refused before all was sent: the answer is there all the same
            resp = conn.getresponse()
            return Reply(resp, resp.read())
        finally:
            conn.close()

    def get(self, path, /, **kw):
        return self.call("GET", path, **kw)

    def post(self, path, /, body=None, **kw):
        return self.call("POST", path, body, **kw)

    def delete(self, path, /, **kw):
        return self.call("DELETE", path, **kw)

    def ok(self, method, path, body=None, status=(200, 201, 204), **kw):
        """A call that must succeed; the decoded body, or the reply when it is empty."""
        reply = self.call(method, path, body, **kw)
        assert reply.status in status, (method, path, reply)
        if reply.body and "json" in reply.headers.get("Content-Type", ""):
            return reply.json
        return reply

    def stream(self, method, path, timeout=30, **query):
        """A call whose body is read as it comes: (connection, response); close the former."""
        conn = UnixHTTP(self.path, timeout)
        conn.request(method, self.url(path, query))
        return conn, conn.getresponse()

    def hijack(self, path, body=None, upgrade=True, timeout=30, **query):
        """POST that turns the connection into a raw stream."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        sock.connect(self.path)
        data = json.dumps(body).encode() if body is not None else b""
        head = ["POST %s HTTP/1.1" % self.url(path, query), "Host: localhost",
                "Content-Length: %d" % len(data), "Content-Type: application/json"]
        if upgrade:
            head += ["Connection: Upgrade", "Upgrade: tcp"]
        sock.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + data)
        got = b""
        while b"\r\n\r\n" not in got:
            piece = sock.recv(65536)
            if not piece:
                break
            got += piece
        top, _, rest = got.partition(b"\r\n\r\n")
        lines = top.decode("latin-1").split("\r\n")
        headers = {k.strip().lower(): v.strip() for k, _, v in (x.partition(":")
                                                                 for x in lines[1:])}
        return Hijacked(sock, int(lines[0].split()[1]), headers, rest)


# ---- the daemon ----

class Daemon:
    """cleatd on roots and a socket of its own, with the recording proxy in front."""

    def __init__(self, build=BUILD, args=(), env=None, record=None, proxy=True, online=False):
        """@proxy: False for a test of other things than the API, which then starts sooner.
        @online: in the machine's network, to fetch packages; it must have no bridge then."""
        self.online = online
        self.build, self.args, self.env = build, list(args), dict(env or {})
        self.dir = tempfile.mkdtemp(prefix="cleat-test-")
        self.socket = os.path.join(self.dir, "real.sock")
        self.public = os.path.join(self.dir, "api.sock") if proxy else self.socket
        self.traffic = record or os.path.join(self.dir, "traffic.jsonl")
        self.log_path = os.path.join(self.dir, "cleatd.log")
        self.data_root = os.path.join(self.dir, "data")
        self.exec_root = os.path.join(self.dir, "exec")
        self.cgroup = os.path.basename(self.dir)  # the parent of its containers' cgroups
        self.process = self.proxy = None
        self.log_read = 0  # how far reports() has looked
        self.others = namespace_mates()  # what was here before
        self.links, self.tables = set(links()), nft_tables()
        self.url = "unix://" + self.public
        self.api = Api(self.public)

    def start(self, wait=True, env=None):
        self.stopped = False
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [os.path.join(self.build, "cleatd"), "-H", "unix://" + self.socket,
             "--data-root", self.data_root, "--exec-root", self.exec_root,
             "--pidfile", os.path.join(self.dir, "cleatd.pid"),
             "--cgroup-parent", "/" + self.cgroup, *self.args],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            preexec_fn=outside if self.online else None,
            env={**os.environ, **self.env, **(env or {})})
        log.close()
        if not self.proxy and self.public != self.socket:
            self.proxy = subprocess.Popen([sys.executable, os.path.join(HERE, "proxy.py"),
                                           self.public, self.socket, self.traffic])
        if wait:
            until(self.answers, 60, "cleatd answers; its log: " + self.log_path)
            until(lambda: connects(self.public), 10, "the proxy answers")
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError("cleatd ended with %s:\n%s" % (self.process.returncode,
                                                               self.log()[-4000:]))
        if not connects(self.socket):
            return False
        try:
            return Api(self.socket).get("/_ping", timeout=5).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def reports(self):
        """What a sanitizer wrote about the daemon or a shim since the last call, or ""."""
        if not os.path.exists(self.log_path):
            return ""
        text = self.log()[self.log_read:]
        self.log_read += len(text)
        at = min((text.find(x) for x in REPORTS if x in text), default=-1)
        return text[at:at + 6000] if at >= 0 else ""

    def stop(self, seconds=30):
        """SIGTERM; the exit code."""
        self.stopped = True
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return wait_for(self.process, seconds) if self.process else None

    def crash(self):
        """SIGKILL, as the out-of-memory killer would."""
        self.stopped = True
        self.process.kill()
        self.process.wait()

    def restart(self):
        self.stop()
        return self.start()

    def close(self):
        """Stop everything that this daemon started, by pid, and remove its directory."""
        try:
            if self.process and self.process.poll() is None:
                try:
                    self.stop(10)
                except subprocess.TimeoutExpired:
                    self.crash()
            if self.proxy:
                self.proxy.terminate()
                self.proxy.wait()
            for pid in namespace_mates() - self.others | self.contained():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            until(lambda: not self.contained(), 10, "containers end")
            until(lambda: not (namespace_mates() - self.others), 10, "processes end")
        finally:
            self.remove_network()
            unmount_below(self.dir)
            self.remove_cgroups()
            if not os.environ.get("CLEAT_KEEP"):
                shutil.rmtree(self.dir, ignore_errors=True)

    def cgroups(self):
        """The cgroups that exist below this daemon's parent, in all hierarchies."""
        out = []
        for top in glob.glob("/sys/fs/cgroup/" + self.cgroup) + \
                glob.glob("/sys/fs/cgroup/*/" + self.cgroup):
            for base, dirs, _ in os.walk(top):
                out += [os.path.join(base, d) for d in dirs]
        return out

    def contained(self):
        """Processes in those cgroups: containers that no shim and no daemon knows any more."""
        out = set()
        for path in self.cgroups():
            try:
                with open(os.path.join(path, "cgroup.procs"), encoding="utf-8") as f:
                    out |= {int(x) for x in f}
            except OSError:
                pass
        return out - {0}

    def remove_cgroups(self):
        tops = glob.glob("/sys/fs/cgroup/" + self.cgroup) + \
            glob.glob("/sys/fs/cgroup/*/" + self.cgroup)
        for path in sorted(self.cgroups(), key=len, reverse=True) + tops:
            try:
                os.rmdir(path)
            except OSError:
                pass

    def remove_network(self):
        """A crashed daemon's bridge and table would be in the way of the next test's."""
        for name in set(links()) - self.links:
            subprocess.run(["ip", "link", "del", name], stderr=subprocess.DEVNULL)
        for family, name in nft_tables() - self.tables:
            subprocess.run(["nft", "delete", "table", family, name], stderr=subprocess.DEVNULL)

    # ---- what it made, and what is left of it ----

    def container_ids(self):
        return [row["resp"][0]["Id"] for row in self.exchanges()
                if row["path"].endswith("/containers/create") and row["status"] == 201]

    def exchanges(self):
        if not os.path.exists(self.traffic):
            return []
        with open(self.traffic, encoding="utf-8") as f:
            return [json.loads(x) for x in f if x.endswith("\n")]

    def leftovers(self, running=True):
        """What removed containers left behind, as a list of texts; empty is good.

        @running: the daemon itself runs still
        """
        ids = set(self.container_ids())
        out = []
        own = {self.process.pid, self.proxy.pid if self.proxy else 0} if running else {
            self.proxy.pid if self.proxy else 0}
        for pid in sorted(namespace_mates() - self.others - own):
            out.append("process %d: %s" % (pid, cmdline(pid)))
        out += ["process %d in a cgroup of %s" % x for x in processes_of(ids)]
        out += ["cgroup " + d for d in self.cgroups()]
        out += ["mount " + m for m in mounts() if any(i in m for i in ids)]
        out += ["link " + x for x in links() if x.startswith(("veth", "vth", "cl-", "clv"))]
        for top in (self.data_root, self.exec_root):
            for base, dirs, files in os.walk(top):
                out += ["file " + os.path.join(base, n) for n in dirs + files
                        if any(i in n for i in ids) or n.endswith(".tmp")]
        return out


def connects(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        try:
            s.connect(path)
            return True
        except OSError:
            return False


def _pids():
    return [int(p) for p in os.listdir("/proc") if p.isdigit()]


def _ns(pid, kind):
    try:
        return os.readlink("/proc/%s/ns/%s" % (pid, kind))
    except OSError:
        return None


def namespace_mates():
    """All other processes that live in the test's mount or network namespace, and those below a
    process that does: the daemon, shims, host-network containers. Nothing outside got in."""
    mine = _ns("self", "mnt"), _ns("self", "net")
    return {pid for pid in _pids() if pid != os.getpid()
            and (_ns(pid, "mnt") == mine[0] or _ns(pid, "net") == mine[1])
            and not _is_zombie(pid)}


def process_state(pid):
    """One letter, as ps has it: "T" for stopped."""
    with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
        return f.read().rpartition(") ")[2][0]


def processes_of(ids):
    """(pid, id) of processes whose cgroup is named after a container."""
    out = []
    for pid in _pids() if ids else ():
        try:
            with open("/proc/%d/cgroup" % pid, encoding="utf-8") as f:
                text = f.read()
        except OSError:
            continue
        out += [(pid, i) for i in ids if i in text]
    return out


def _is_zombie(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="latin-1") as f:
            return f.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


def cmdline(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return f.read().replace(b"\0", b" ").decode("utf-8", "replace")[:200]
    except OSError:
        return "(gone)"


def mounts():
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as f:
        return f.read().splitlines()


def unmount_below(path):
    libc = ctypes.CDLL(None)
    for line in reversed(mounts()):
        where = line.split()[4]
        if where.startswith(path):
            libc.umount2(where.encode(), 2)


def links():
    return [name for _, name in socket.if_nameindex()]


def nft_tables():
    """{(family, name)} of the namespace; empty without nft."""
    if not shutil.which("nft"):
        return set()
    out = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout
    return {tuple(line.split()[1:3]) for line in out.splitlines() if line.startswith("table ")}


def nft_ruleset():
    """The firewall of the test's namespace without counters and handles, or None without nft."""
    if not shutil.which("nft"):
        return None
    out = subprocess.run(["nft", "-j", "list", "ruleset"], capture_output=True, text=True,
                         check=True).stdout
    def strip(node):
        if isinstance(node, dict):
            return {k: strip(v) for k, v in node.items()
                    if k not in ("handle", "counter", "packets", "bytes")}
        return [strip(x) for x in node] if isinstance(node, list) else node
    rows = [strip(x) for x in json.loads(out)["nftables"] if "metainfo" not in x]
    return sorted(json.dumps(x, sort_keys=True) for x in rows)


# Fail points that only a build comes by; tests/build passes them all.
OF_BUILDS = ("build.", "layer.adopt.", "layer.settle.", "image.packed.")


def fail_points():
    """Names of all fail points in the source, in order of appearance."""
    import re
    names = []
    for path in sorted(glob.glob(os.path.join(ROOT, "src", "**", "*.c"), recursive=True)):
        with open(path, encoding="utf-8") as f:
            for name in re.findall(r'FAIL_POINT\(\s*"([^"]+)"', f.read()):
                if name not in names and not os.path.basename(path).startswith("test_"):
                    names.append(name)
    return names
