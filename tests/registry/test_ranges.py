"""Large blobs by several connections: when each of them is slow, not otherwise, and never to the
harm of what comes. The times are printed, not asserted."""
import os
import re
import threading
import time

import pytest

import cleat
import images
import registry
from cleat import until
from registry import sha
from test_blobs import blob_path, part_of
from test_hostile import error_of, fake, pull  # noqa: F401

RATE = 8 << 20  # bytes a second of one connection
SIZE = 64 << 20


@pytest.fixture(scope="module")
def large():
    """(a layer, the same compressed)"""
    layer = images.layer(("large", os.urandom(1 << 20) * (SIZE >> 20), {}))
    return layer, registry.squeeze(layer, "gzip")


@pytest.fixture
def slow(fake, large, name, monkeypatch):  # noqa: F811
    reg = fake()
    monkeypatch.setattr(registry, "squeeze", lambda data, how: large[1])
    reg.put_image(name, "latest", large[:1])
    reg.rate, reg.blob = RATE, sha(large[1])
    reg.ref = "%s/%s" % (reg.host, name)
    return reg


def pieces(reg):
    """The closed ranges that were asked for, as (first, last)."""
    found = [re.fullmatch(r"bytes=(\d+)-(\d+)", r[2].get("Range") or "")
             for r in reg.asked("GET", reg.blob)]
    return sorted((int(m[1]), int(m[2])) for m in found if m)


def check(daemon, reg, large):
    """What came is what was to come, as a layer and as a blob."""
    with open(blob_path(daemon, reg.blob), "rb") as f:
        assert sha(f.read()) == reg.blob
    path = os.path.join(daemon.data_root, "layers", sha(large[0])[7:])
    assert any("large" in names for _, _, names in os.walk(path))


def test_slow_connections(daemon, slow, large):
    began = time.monotonic()
    assert not error_of(pull(daemon, slow.ref))
    several = time.monotonic() - began
    check(daemon, slow, large)
    found = pieces(slow)
    assert len(found) >= 6 and found[-1][1] == len(large[1]) - 1
    assert all(a[1] + 1 == b[0] for a, b in zip(found, found[1:])), found
    print("%.1f s; one connection at its rate: %.1f s" % (several, len(large[1]) / RATE))


def test_a_fast_registry_is_asked_once(daemon, slow, large):
    slow.rate = 0
    assert not error_of(pull(daemon, slow.ref))
    check(daemon, slow, large)
    assert not pieces(slow) and len(slow.asked("GET", slow.blob)) == 1


def test_a_registry_without_ranges(daemon, slow, large):
    slow.ranges = False
    slow.rate = 4 * RATE
    assert not error_of(pull(daemon, slow.ref))
    check(daemon, slow, large)
    assert not pieces(slow) and len(slow.asked("GET", slow.blob)) == 1


def closed(req):
    return re.fullmatch(r"bytes=(\d+)-(\d+)", req.headers.get("Range", ""))


def ignores(reg, req, data):
    """All of it, though it said that it knows ranges."""
    req.send_response(200)
    req.send_header("Content-Length", str(len(data)))
    req.end_headers()
    reg.send_slowly(req, data)


def another_range(reg, req, data):
    first = int(closed(req)[1])
    req.reply(206, data[:100], Content_Range="bytes %d-%d/%d" % (first + 1, first + 100, len(data)))


def another_size(reg, req, data):
    first, last = map(int, closed(req).groups())
    req.reply(206, data[first:last + 1],
              Content_Range="bytes %d-%d/%d" % (first, last, len(data) + 1))


def other_bytes(reg, req, data):
    first, last = map(int, closed(req).groups())
    req.reply(206, bytes(last + 1 - first),
              Content_Range="bytes %d-%d/%d" % (first, last, len(data)))


def forbids(reg, req, data):
    req.reply(403, {"errors": [{"code": "DENIED", "message": "no"}]})


@pytest.mark.parametrize("lie", [ignores, another_range, another_size, other_bytes, forbids])
def test_a_registry_that_lies(daemon, slow, large, lie):
    """One stream does it then, from where it was, or from the beginning if the bytes were wrong."""
    lied = []

    def fault(req):
        if slow.blob not in req.path or not closed(req):
            return False
        lied.append(1)
        slow.rate = 0  # what follows may be fast
        lie(slow, req, large[1])
        return True
    slow.fault = fault
    assert not error_of(pull(daemon, slow.ref))
    check(daemon, slow, large)
    assert lied


def test_pieces_that_break(daemon, slow, large):
    """Each goes on where it was."""
    broken = set()

    def fault(req):
        asked = closed(req)
        if slow.blob not in req.path or not asked or int(asked[1]) in broken:
            return False
        first, last = map(int, asked.groups())
        if last - first < 1 << 20:
            return False
        broken.add(first)
        slow.send_blob(req, large[1], upto=first + (1 << 20))
        req.close_connection = True
        return True
    slow.fault = fault
    assert not error_of(pull(daemon, slow.ref))
    check(daemon, slow, large)
    assert len(broken) >= 4 and broken < {first for first, _ in pieces(slow)}


def test_interrupted(own_daemon, daemon, slow, large):
    """A daemon that is stopped meanwhile ends at once, and the next pull goes on with what was read
    in order. Nothing else is left."""
    d = own_daemon()
    d.others |= cleat.namespace_mates()
    d.start()
    client = threading.Thread(target=lambda: pull(d, slow.ref), daemon=True)
    client.start()
    until(lambda: len(pieces(slow)) > 5, 20, "pieces are asked for")
    assert d.stop(20) == 0
    client.join(20)
    size = part_of(d, slow.blob)
    assert RATE // 2 < size < len(large[1])
    slow.rate, before = 0, len(slow.asked("GET", slow.blob))
    d.start()
    assert not error_of(pull(d, slow.ref))
    check(d, slow, large)
    later = slow.asked("GET", slow.blob)[before:]
    assert [r[2].get("Range") for r in later] == ["bytes=%d-" % size]


def test_memory(own_daemon, daemon, slow, large):
    if cleat.SANITIZED:
        pytest.skip("sanitizers need memory of their own")
    d = own_daemon()
    d.others |= cleat.namespace_mates()
    d.start()
    assert not error_of(pull(d, slow.ref))
    assert pieces(slow)
    with open("/proc/%d/status" % d.process.pid, encoding="utf-8") as f:
        peak = int(re.search(r"VmHWM:\s+(\d+) kB", f.read())[1])
    print("peak %d kB" % peak)
    assert peak < 40 << 10, peak
