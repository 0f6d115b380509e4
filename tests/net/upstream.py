"""A name server for tests, of the kind that stands behind a container's own: it answers from a
table, by UDP and TCP, and keeps a log of what it was asked."""
import selectors
import socket
import struct
import threading

TYPES = {1: "A", 28: "AAAA", 12: "PTR", 16: "TXT", 15: "MX"}


def encode_name(name):
    return b"".join(bytes([len(p)]) + p.encode() for p in name.strip(".").split(".")) + b"\0"


def read_question(data):
    """(name, type, end of the question)"""
    at, parts = 12, []
    while data[at]:
        parts.append(data[at + 1:at + 1 + data[at]].decode("latin-1"))
        at += 1 + data[at]
    kind, = struct.unpack_from(">H", data, at + 1)
    return ".".join(parts), TYPES.get(kind, str(kind)), at + 5


class Upstream:
    """@place: where it listens; @table: {(name, type): [address or texts]}. Names that are in it
    with another type exist; all others do not."""

    def __init__(self, place, addr, table):
        self.table, self.log, self.peers = table, [], set()
        self.selector = selectors.DefaultSelector()
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            s = place.socket(socket.AF_INET, kind)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((addr, 53))
            if kind == socket.SOCK_STREAM:
                s.listen(16)
            self.selector.register(s, selectors.EVENT_READ)
        self.wake, self.waker = socket.socketpair()
        self.selector.register(self.wake, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def asked(self, name):
        """[(type, protocol)] of the questions for a name."""
        return [(t, p) for n, t, p in self.log if n.lower() == name.lower()]

    def close(self):
        self.waker.close()
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()

    def _serve(self):
        while True:
            for key, _ in self.selector.select():
                s = key.fileobj
                if s is self.wake:
                    return
                try:
                    self._udp(s) if s.type == socket.SOCK_DGRAM else self._tcp(s)
                except OSError:
                    pass  # whoever asked has gone

    def _udp(self, s):
        data, peer = s.recvfrom(4096)
        self.peers.add(peer[0])
        answer = self.answer(data, "udp")
        if len(answer) > 512:  # truncated, whatever the client could take
            _, _, end = read_question(data)
            answer = answer[:2] + struct.pack(">HHHHH", 0x8780, 1, 0, 0, 0) + data[12:end]
        s.sendto(answer, peer)

    def _tcp(self, s):
        conn, peer = s.accept()
        self.peers.add(peer[0])
        with conn:
            conn.settimeout(5)
            size, = struct.unpack(">H", conn.recv(2, socket.MSG_WAITALL))
            answer = self.answer(conn.recv(size, socket.MSG_WAITALL), "tcp")
            conn.sendall(struct.pack(">H", len(answer)) + answer)

    def answer(self, data, proto):
        name, kind, end = read_question(data)
        self.log.append((name, kind, proto))
        rows = self.table.get((name.lower(), kind), [])
        known = any(n == name.lower() for n, _ in self.table)
        out = data[:2] + struct.pack(">HHHHH", 0x8180 if known else 0x8183, 1, len(rows), 0, 0)
        out += data[12:end]
        for row in rows:
            if kind == "A":
                rdata = socket.inet_pton(socket.AF_INET, row)
            elif kind == "AAAA":
                rdata = socket.inet_pton(socket.AF_INET6, row)
            elif kind == "PTR":
                rdata = encode_name(row)
            else:
                rdata = bytes([len(row)]) + row.encode()
            number, = [k for k, v in TYPES.items() if v == kind]
            out += struct.pack(">HHHIH", 0xC00C, number, 1, 30, len(rdata)) + rdata
        return out
