"""What goes through the daemon is large; the daemon stays small."""
import gzip
import hashlib
import json
import os
import re
import signal

import pytest

import cleat
import hostile
import images
import rawtar as t
import registry
from registry import sha
from test_torture import error_of

UNIT, UNITS = 64 << 20, 32  # bytes of one member or frame, and how many: 2 GiB
PEAK = 40 << 10             # kB


def in_units(squeeze):
    """A layer of one file of 2 GiB, a little of it random: (compressed bytes, diff ID). Members
    and frames may be strung together, so one of them serves for all."""
    head, end = t.header(b"big", size=UNIT * UNITS), t.END
    unit = os.urandom(1 << 20) + b"\0" * (UNIT - (1 << 20))
    digest = hashlib.sha256(head)
    for _ in range(UNITS):
        digest.update(unit)
    digest.update(end)
    return squeeze(head) + squeeze(unit) * UNITS + squeeze(end), "sha256:" + digest.hexdigest()


def peak_kb(d):
    with open("/proc/%d/status" % d.process.pid, encoding="utf-8") as f:
        return int(re.search(r"VmHWM:\s+(\d+) kB", f.read())[1])


@pytest.fixture
def small_daemon(own_daemon, daemon):
    if cleat.SANITIZED:
        pytest.skip("sanitizers need memory of their own")
    signal.alarm(600)  # a disk may take its time for two gigabytes
    d = own_daemon()
    d.others |= cleat.namespace_mates()
    return d.start()


@pytest.mark.parametrize("suffix,squeeze", [("+gzip", lambda x: gzip.compress(x, 1)),
                                            ("+zstd", images.zstd)], ids=["gzip", "zstd"])
def test_two_gigabytes(small_daemon, suffix, squeeze):
    """Pulled, and saved again to nowhere: neither a blob nor a tar is ever in memory."""
    d, reg = small_daemon, hostile.FakeRegistry()
    blob, diff = in_units(squeeze)
    conf = json.dumps({**images.config([b""]),
                       "rootfs": {"type": "layers", "diff_ids": [diff]}}).encode()
    doc = {"schemaVersion": 2, "config": registry.descriptor(conf, registry.OCI + "config.v1+json"),
           "layers": [registry.descriptor(blob, registry.OCI + "layer.v1.tar" + suffix)]}
    reg.blobs.update({sha(conf): conf, sha(blob): blob})
    reg.put_manifest("big", "latest", json.dumps(doc).encode())
    try:
        reply = d.api.post("/images/create", fromImage=reg.host + "/big", tag="latest", timeout=300)
        assert not error_of(reply), reply
    finally:
        reg.close()
    conn, resp = d.api.stream("GET", "/images/%s/big/get" % reg.host, timeout=300)
    size = 0
    while piece := resp.read(1 << 20):
        size += len(piece)
    conn.close()
    assert size > UNIT * UNITS
    assert peak_kb(d) < PEAK


class Endless:
    """A file-like body that is made while it is sent."""

    def __init__(self, pieces):
        self.pieces, self.rest = pieces, b""

    def read(self, n):
        while not self.rest:
            self.rest = next(self.pieces, None)
            if self.rest is None:
                self.rest = b""
                return b""
        out, self.rest = self.rest[:n], self.rest[n:]
        return out


def long_names(n):
    """@n times the same directory under the longest name there is, each with its own owner."""
    for i in range(n):
        yield t.pax(path=b"/".join([b"d" * 200] * 20) + b"/", uid=b"%d" % i) + t.folder(b"-")
    yield t.END


def sparse_maps(n):
    """Files of 60,000 extents each."""
    one = t.sparse_01(b"s", [(i * 2, 1) for i in range(60000)], b"x" * 60000, 120000)
    for _ in range(n):
        yield one
    yield t.END


def pax_headers(n):
    """As many records before every entry as there may be."""
    one = t.pax_raw(t.record(b"comment", b"x" * 1000000)) * 2 + t.file(b"f")
    for _ in range(n):
        yield one
    yield t.END


@pytest.mark.parametrize("make", [lambda: long_names(30000), lambda: sparse_maps(50),
                                  lambda: pax_headers(50)], ids=["names", "maps", "records"])
def test_archives_that_want_memory(small_daemon, make):
    d = small_daemon
    reply = d.api.post("/images/create", Endless(make()), fromSrc="-", repo="big", tag="1",
                       timeout=300)
    assert not error_of(reply), reply
    assert peak_kb(d) < PEAK
