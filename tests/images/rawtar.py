"""Tar archives byte by byte: everything that Python's tarfile is too polite to write."""
import struct

BLOCK = 512
END = b"\0" * 2 * BLOCK
DIR, FILE, HARD, SYM, CHAR, BLK, FIFO = b"5", b"0", b"1", b"2", b"3", b"4", b"6"
NUMBERS = {"mode": (100, 8), "uid": (108, 8), "gid": (116, 8), "size": (124, 12),
           "mtime": (136, 12), "major": (329, 8), "minor": (337, 8)}


def padded(data):
    return data + b"\0" * (-len(data) % BLOCK)


def octal(value, width):
    return value if isinstance(value, bytes) else b"%0*o\0" % (width - 1, value)


def base256(value, width):
    """GNU's way for numbers that octal digits cannot say: two's complement behind a set bit."""
    raw = bytearray(value.to_bytes(width, "big", signed=True))
    raw[0] |= 0x80
    return bytes(raw)


def header(name, kind=FILE, link=b"", magic=b"ustar\x0000", prefix=b"", checksum=None, at=(),
           **numbers):
    """One block. Numbers: an int is written in octal, bytes as they are; @at: (offset, bytes)"""
    block = bytearray(BLOCK)
    block[0:min(len(name), 100)] = name[:100]
    for field, (start, width) in NUMBERS.items():
        value = numbers.get(field, {"mode": 0o755 if kind == DIR else 0o644}.get(field, 0))
        text = octal(value, width)
        block[start:start + len(text)] = text
    block[156:157] = kind
    block[157:157 + min(len(link), 100)] = link[:100]
    block[257:265] = magic
    block[345:345 + len(prefix)] = prefix
    for offset, data in at:
        block[offset:offset + len(data)] = data
    block[148:156] = b" " * 8
    block[148:156] = checksum or b"%06o\0 " % sum(block)
    return bytes(block)


def record(key, value):
    """"LENGTH KEY=VALUE\\n", where LENGTH counts itself."""
    body = b" " + key + b"=" + value + b"\n"
    n = len(body)
    while len(b"%d" % n) + len(body) != n:
        n = len(b"%d" % n) + len(body)
    return b"%d" % n + body


def pax_raw(data, kind=b"x", **kw):
    """A pax header with these bytes as its records."""
    return header(b"pax", kind, size=kw.pop("size", len(data)), **kw) + padded(data)


def pax(**records):
    """Keys with dots and colons are passed by **{"SCHILY.xattr.user.x": b"v"}."""
    return pax_raw(b"".join(record(k.encode(), v) for k, v in records.items()))


def gnu_long(kind, text):
    """GNU's long name (b"L") or long link target (b"K") for the next header."""
    return header(b"././@LongLink", kind, size=len(text) + 1) + padded(text + b"\0")


def file(name, data=b"x", **kw):
    return header(name, size=kw.pop("size", len(data)), **kw) + padded(data)


def folder(name, **kw):
    return header(name, DIR, **kw)


def sym(name, target, **kw):
    return header(name, SYM, link=target, **kw)


def hard(name, target, **kw):
    return header(name, HARD, link=target, **kw)


def node(name, kind, major=0, minor=0, **kw):
    return header(name, kind, major=major, minor=minor, **kw)


def tar(*parts):
    return b"".join(parts) + END


def sparse_gnu(name, extents, data, real, more=()):
    """Old GNU format: four extents in the header, @more in an extension block."""
    text = b"".join(octal(a, 12) + octal(b, 12) for a, b in extents)
    head = header(name, b"S", magic=b"ustar  \0", size=len(data),
                  at=((386, text), (482, b"\1" if more else b"\0"), (483, octal(real, 12))))
    if more:
        head += b"".join(octal(a, 12) + octal(b, 12) for a, b in more).ljust(BLOCK, b"\0")
    return head + padded(data)


def sparse_00(name, extents, data, real):
    """pax 0.0: a pair of records per extent."""
    records = record(b"GNU.sparse.size", b"%d" % real) + \
        record(b"GNU.sparse.numblocks", b"%d" % len(extents))
    for a, b in extents:
        records += record(b"GNU.sparse.offset", b"%d" % a) + \
            record(b"GNU.sparse.numbytes", b"%d" % b)
    return pax_raw(records) + file(name, data)


def sparse_01(name, extents, data, real):
    """pax 0.1: one record with all of them."""
    text = b",".join(b"%d,%d" % x for x in extents)
    return pax_raw(record(b"GNU.sparse.size", b"%d" % real) +
                   record(b"GNU.sparse.numblocks", b"%d" % len(extents)) +
                   record(b"GNU.sparse.map", text)) + file(name, data)


def sparse_10(name, extents, data, real, text=None):
    """pax 1.0: the map as text in front of the content."""
    if text is None:
        text = b"%d\n" % len(extents) + b"".join(b"%d\n%d\n" % x for x in extents)
    return pax_raw(record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.minor", b"0") +
                   record(b"GNU.sparse.name", name) +
                   record(b"GNU.sparse.realsize", b"%d" % real)) + \
        file(b"GNUSparseFile.0/" + name, padded(text) + data)


def capability(permitted):
    """A value of security.capability: version 2, effective."""
    return struct.pack("<IIIII", 0x02000001, permitted, 0, 0, 0)
