"""A recording proxy between clients and the daemon's socket.

Bytes go through unchanged in both directions, half-close included; what passes is also fed to a
parser that writes one JSON line per exchange. So all clients (docker, docker-py, cleat, raw
sockets) are recorded alike, and the recording cannot change what they see. After an upgrade the
bytes are no longer HTTP, and the parser stops.

    python3 proxy.py LISTEN_SOCKET DAEMON_SOCKET TRAFFIC_FILE
"""
import fcntl
import struct
import asyncio
import json
import os
import sys
from urllib.parse import parse_qs, urlsplit

BODY_MAX = 1 << 20  # more of a body is not kept
NO_BODY = (204, 304)
RAW_TYPES = ("application/vnd.docker.raw-stream", "application/vnd.docker.multiplexed-stream")


SIOCOUTQ = 0x5411


class Reader:
    """Messages of one direction, from bytes that come in any pieces."""

    def __init__(self, on_message, is_request):
        self.on_message, self.is_request = on_message, is_request
        self.methods = []  # of the requests that still wait for an answer
        self.data = b""
        self.state, self.left, self.stopped = "head", 0, False
        self.message = None

    def feed(self, piece):
        if self.stopped:
            return
        self.data += piece
        while not self.stopped and getattr(self, "on_" + self.state)():
            pass

    def close(self):
        """End of stream: a body without a length is complete now, a streamed one as far as it
        went."""
        if self.message:
            self.done()

    def done(self):
        message, self.message, self.state = self.message, None, "head"
        self.on_message(message)

    def keep(self, body):
        room = BODY_MAX - len(self.message["body"])
        self.message["body"] += body[:max(room, 0)]
        self.message["cut"] |= len(body) > room

    def line(self):
        end = self.data.find(b"\r\n")
        if end < 0:
            return None
        line, self.data = self.data[:end], self.data[end + 2:]
        return line

    def on_head(self):
        end = self.data.find(b"\r\n\r\n")
        if end < 0:
            return False
        head, self.data = self.data[:end].decode("latin-1"), self.data[end + 4:]
        first, *lines = head.split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        self.message = {"first": first.split(" ", 2), "headers": headers, "body": b"",
                        "cut": False}
        if not self.is_request and self.message["first"][1:2] == ["100"]:
            self.message = None
            return True
        self.choose_body(headers)
        return True

    def choose_body(self, headers):
        if not self.is_request:
            status = int(self.message["first"][1])
            method = self.methods.pop(0) if self.methods else "GET"
            if status == 101 or (status == 200 and headers.get("content-type") in RAW_TYPES
                                 and "content-length" not in headers
                                 and "transfer-encoding" not in headers):
                self.message["hijack"] = True
                self.done()
                self.stopped = True
                return
            if status in NO_BODY or method == "HEAD":
                self.done()
                return
        if headers.get("transfer-encoding", "").lower() == "chunked":
            self.state = "size"
        elif "content-length" in headers:
            self.left = int(headers["content-length"])
            self.state = "length"
        elif self.is_request:
            self.done()
        else:
            self.state = "rest"

    def on_length(self):
        take, self.data = self.data[:self.left], self.data[self.left:]
        self.left -= len(take)
        self.keep(take)
        if self.left > 0:
            return False
        self.done()
        return True

    def on_rest(self):
        self.keep(self.data)
        self.data = b""
        return False

    def on_size(self):
        line = self.line()
        if line is None:
            return False
        self.left = int(line.split(b";")[0] or b"0", 16)
        self.state = "chunk" if self.left else "trailer"
        return True

    def on_chunk(self):
        take, self.data = self.data[:self.left], self.data[self.left:]
        self.left -= len(take)
        self.keep(take)
        if self.left > 0 or len(self.data) < 2:
            return False
        self.data = self.data[2:]
        self.state = "size"
        return True

    def on_trailer(self):
        line = self.line()
        if line == b"":
            self.done()
        return line is not None


def values(message):
    """The JSON values of a body: one, or one per line; None when it is not JSON."""
    body = message["body"]
    if not body or "json" not in message["headers"].get("content-type", ""):
        return None
    out, decode, text, at = [], json.JSONDecoder(), body.decode("utf-8", "replace"), 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        try:
            value, at = decode.raw_decode(text, at)
        except (ValueError, RecursionError):
            if not message["cut"]:
                out.append({"__not_json__": text[at:at + 200]})
            break
        out.append(value)
    return out


class Exchange:
    """Both directions of one connection; pairs each request with its answer."""

    def __init__(self, log):
        self.log, self.requests = log, []
        self.up = Reader(self.on_request, True)
        self.down = Reader(self.on_response, False)

    def on_request(self, message):
        self.requests.append(message)
        self.down.methods.append(message["first"][0])

    def on_response(self, message):
        # An answer may come before the request's body has ended (an error, a duplex stream).
        request = self.requests.pop(0) if self.requests else self.up.message
        if request is None:
            return
        url = urlsplit(request["first"][1])
        row = {"method": request["first"][0], "path": url.path,
               "query": {k: v[-1] for k, v in parse_qs(url.query, True).items()},
               "status": int(message["first"][1]),
               "type": message["headers"].get("content-type", ""),
               "req": (values(request) or [None])[0], "resp": values(message),
               "hijack": message.get("hijack", False)}
        self.log.write(json.dumps(row) + "\n")
        self.log.flush()


async def taken(writer):
    """Waits until the client has read a hijack's head: what follows must not come along with it,
    or docker-py loses it. The daemon does the same; without this we would undo it."""
    sock, left = writer.get_extra_info("socket"), 10000
    while left and struct.unpack("i", fcntl.ioctl(sock.fileno(), SIOCOUTQ, b"\0" * 4))[0]:
        left -= 1
        await asyncio.sleep(0.00005)


async def pump(reader, writer, parser):
    broken = False
    try:
        while piece := await reader.read(65536):
            if not broken:
                try:
                    parser.feed(piece)
                except (ValueError, IndexError):
                    broken = True  # not HTTP: the tests send such things on purpose
            if piece.startswith(b"HTTP/1.1 101"):
                head, end, piece = piece.partition(b"\r\n\r\n")
                writer.write(head + end)
                await writer.drain()
                await taken(writer)
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        pass


async def serve(listen, target, log):
    alive = set()  # asyncio itself holds tasks only weakly: without this, some vanish

    async def one(reader, writer):
        task = asyncio.current_task()
        alive.add(task)
        task.add_done_callback(alive.discard)
        try:
            up_reader, up_writer = await asyncio.open_unix_connection(target)
        except OSError:
            writer.close()
            return
        exchange = Exchange(log)
        up = asyncio.ensure_future(pump(reader, up_writer, exchange.up))
        # When the daemon has closed, the connection is over, whatever the client still wants.
        await pump(up_reader, writer, exchange.down)
        exchange.down.close()
        if not up.done():
            up.cancel()
        for w in (writer, up_writer):
            w.close()

    server = await asyncio.start_unix_server(one, listen, backlog=256)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    if os.path.exists(sys.argv[1]):
        os.unlink(sys.argv[1])
    with open(sys.argv[3], "a", encoding="utf-8") as traffic:
        asyncio.run(serve(sys.argv[1], sys.argv[2], traffic))
