"""Places that talk to each other: the host, second hosts, containers.

A place is a network namespace. Sockets are made inside it and used from here: whether a packet
arrives is the kernel's and the daemon's doing, and a table of two hundred pairs takes a second
instead of two hundred processes.
"""
import contextlib
import ctypes
import errno
import itertools
import json
import os
import select
import selectors
import socket
import subprocess
import threading
import time

from cleat import PATIENCE, until

_libc = ctypes.CDLL(None, use_errno=True)
_number = itertools.count(1)
KIND = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
IP_PKTINFO = 8
QUIET = 0.4 * PATIENCE  # how long silence must last to be believed
AGAIN = 0.4  # a datagram that nobody answered is sent again


@contextlib.contextmanager
def inside(path):
    """This thread steps into a network namespace and back."""
    back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(there, 0x40000000) != 0:
            raise OSError(ctypes.get_errno(), "setns " + path)
        try:
            yield
        finally:
            if _libc.setns(back, 0x40000000) != 0:
                os._exit(99)  # nothing that follows would be where it thinks it is
    finally:
        os.close(there)
        os.close(back)


def family_of(addr):
    return socket.AF_INET6 if ":" in addr else socket.AF_INET


class Place:
    """A network namespace with a name."""

    def __init__(self, label, path="/proc/self/ns/net"):
        self.label, self.path = label, path

    def socket(self, family, kind):
        with inside(self.path):
            return socket.socket(family, kind | socket.SOCK_CLOEXEC)

    def run(self, *cmd, check=True):
        """A program of the machine in this place; its standard output."""
        done = subprocess.run(["nsenter", "--net=" + self.path, "--", *map(str, cmd)],
                              capture_output=True, text=True, timeout=50)
        assert not check or done.returncode == 0, (self.label, cmd, done)
        return done.stdout

    def ask(self, addr, port, proto="tcp", seconds=5):
        """The label of who answers there, or None."""
        return attempt([(self, addr, port, proto)], seconds * PATIENCE)[0]


class Host(Place):
    """A second host, at the end of a cable to the test's own namespace."""

    def __init__(self, number):
        self.name = "cleat-%d-%d" % (os.getpid(), next(_number))
        super().__init__("second host %d" % number, "/run/netns/" + self.name)
        self.cable = "cab%d" % number  # our end
        self.ours, self.addr = "192.0.2.%d" % (number * 4 + 1), "192.0.2.%d" % (number * 4 + 2)
        self.ours6, self.addr6 = "2001:db8:%d::1" % number, "2001:db8:%d::2" % number
        ip("netns", "add", self.name)
        ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        for end, v4, v6, way in ((self.cable, self.ours, self.ours6, ()),
                                 ("eth0", self.addr, self.addr6, ("-n", self.name))):
            with inside(self.path if way else "/proc/self/ns/net"):
                write("/proc/sys/net/ipv6/conf/%s/accept_dad" % end, "0")
            ip(*way, "addr", "add", v4 + "/30", "dev", end)
            ip(*way, "addr", "add", v6 + "/64", "dev", end, "nodad")
            ip(*way, "link", "set", end, "up")
        ip("-n", self.name, "link", "set", "lo", "up")
        until(lambda: is_up(self.cable) and is_up("eth0", "-n", self.name), 5, "the cable is up")

    def ip(self, *args):
        ip("-n", self.name, *args)

    def close(self):
        subprocess.run(["ip", "link", "del", self.cable], stderr=subprocess.DEVNULL)
        ip("netns", "del", self.name)


def is_up(link, *way):
    out = subprocess.run(["ip", *way, "-j", "link", "show", link], capture_output=True, check=True)
    return json.loads(out.stdout)[0]["operstate"] == "UP"


def can_make(*link):
    """Has the kernel links of such a kind?"""
    made = subprocess.run(["ip", "link", "add", *link], stderr=subprocess.DEVNULL).returncode == 0
    if made:
        ip("link", "del", link[link.index("name") + 1])
    return made


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def ip(*args):
    done = subprocess.run(["ip", *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, (args, done.stderr)


class Answers:
    """Servers in places: each answers with its place's label and the address it was asked from."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.wake, self.waker = socket.socketpair()
        self.selector.register(self.wake, selectors.EVENT_READ, None)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def add(self, place, port, proto="tcp", addr="0.0.0.0"):
        s = place.socket(family_of(addr), KIND[proto])
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family_of(addr) == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if proto == "udp":
            s.setsockopt(*((socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO)
                           if family_of(addr) == socket.AF_INET6 else (socket.IPPROTO_IP, IP_PKTINFO)), 1)
        s.bind((addr, port))
        if proto == "tcp":
            s.listen(64)
        s.setblocking(False)
        self.selector.register(s, selectors.EVENT_READ, place.label)
        self.waker.send(b"x")
        return s.getsockname()[1]

    def everywhere(self, places, port):
        for place in places:
            for proto in KIND:
                self.add(place, port, proto)
                self.add(place, port, proto, "::")

    def _serve(self):
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.wake:
                    if not self.wake.recv(100):
                        return
                else:
                    self._answer(key.fileobj, key.data)

    @staticmethod
    def _answer(s, label):
        try:
            if s.type == socket.SOCK_DGRAM:  # from the address that was asked, of several
                _, to, _, peer = s.recvmsg(2048, 200)
                s.sendmsg([("%s|%s" % (label, peer[0])).encode()], to, 0, peer)
            else:
                conn, peer = s.accept()
                conn.sendall(("%s|%s" % (label, peer[0])).encode())
                conn.close()
        except OSError:
            pass  # whoever asked has gone

    def close(self):
        self.waker.close()
        self.thread.join()
        for key in list((self.selector.get_map() or {}).values()):
            key.fileobj.close()
        self.selector.close()


class _Try:
    def __init__(self, place, addr, port, proto):
        self.answer, self.done = None, False
        self.socket = place.socket(family_of(addr), KIND[proto])
        self.socket.setblocking(False)
        self.udp, self.sent = proto == "udp", time.monotonic()
        try:
            self.socket.connect((addr, port))
            if self.udp:
                self.socket.send(b"who")
        except BlockingIOError:
            pass
        except OSError:
            self.done = True  # no route, or refused at once

    def again(self):
        if self.udp and time.monotonic() > self.sent + AGAIN:
            self.sent = time.monotonic()
            with contextlib.suppress(OSError):  # refused: go_on() sees that too
                self.socket.send(b"who")

    def go_on(self):
        try:
            data = self.socket.recv(200)
            self.answer = data.decode() or None
        except BlockingIOError:
            return
        except OSError as e:
            if e.errno == errno.ENOTCONN:
                return
        self.done = True


def attempt(what, seconds=QUIET):
    """All of [(place, address, port, proto)] at once; the answers "label|asker", None for none.

    @seconds: how long one is waited for at most
    """
    tries = [_Try(*w) for w in what]
    end = time.monotonic() + seconds
    while (left := [t for t in tries if not t.done]) and time.monotonic() < end:
        ready, _, _ = select.select([t.socket for t in left], [], [], 0.05)
        for t in left:
            t.go_on() if t.socket in ready else t.again()
    for t in tries:
        t.socket.close()
    return [t.answer for t in tries]


def check_table(rows):
    """@rows: (place, address, port, proto, wanted label or None). One message for all that differ.

    What shall be answered is asked first, and has its time (an ARP request that came before the
    other end was ready is repeated after a second); after that silence is soon believed.
    """
    rows = sorted(rows, key=lambda r: r[4] is None)
    good = sum(r[4] is not None for r in rows)
    got = attempt([r[:4] for r in rows[:good]], 5 * PATIENCE) + \
        attempt([r[:4] for r in rows[good:]])
    wrong = []
    for row, answer in zip(rows, got):
        who = answer.split("|")[0] if answer else None
        if who != row[4]:
            wrong.append("%s -> [%s]:%d/%s: answered by %s, wanted %s" % (
                row[0].label, row[1], row[2], row[3], who, row[4]))
    assert not wrong, "%d of %d:\n%s" % (len(wrong), len(rows), "\n".join(wrong))
