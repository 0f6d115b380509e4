"""Archives that are odd or hostile, each with what must become of it: a clear error that leaves
nothing, or exactly this tree. A case is a layer's tar; it comes into the store by load (both
formats) or import, is looked at by export, saved byte for byte, and removed without a trace.
"""
import bz2
import gzip
import hashlib
import http.client
import io
import json
import lzma
import os
import re
import tarfile
import typing

import pytest

import cleat
import hostile
import images
import rawtar as t
from cleat import until
from rawtar import BLK, CHAR, DIR, END, FIFO, FILE, HARD, SYM, base256, file, folder, hard, node, \
    pax, pax_raw, record, sym, tar


# ---- expectations ----

class Node(typing.NamedTuple):
    """What export must show; attributes that are not named may be anything."""
    kind: bytes
    data: object = None
    attributes: dict = {}


def F(data=b"x", **attributes):
    return Node(FILE, data, attributes)


def D(**attributes):
    return Node(DIR, None, attributes)


def L(target, **attributes):
    return Node(SYM, target, attributes)


def H(target):
    return Node(HARD, target)


def N(kind, major=0, minor=0, **attributes):
    return Node(kind, None, {"devmajor": major, "devminor": minor, **attributes})


class Refused(typing.NamedTuple):
    pattern: str


class Case(typing.NamedTuple):
    layer: object  # bytes, or a call that makes them
    want: object   # Refused, or {name: Node}
    over: bool = False  # lies over BASE, and @want names what is different; None: gone


BASE = tar(folder(b"etc/"), file(b"etc/keep", b"kept"), file(b"etc/gone", b"gone"),
           folder(b"dir/"), file(b"dir/a", b"A"), folder(b"dir/sub/"), file(b"dir/sub/b", b"B"),
           file(b"file", b"F"), sym(b"todir", b"dir"))
BASE_TREE = {"etc": D(), "etc/keep": F(b"kept"), "etc/gone": F(b"gone"), "dir": D(),
             "dir/a": F(b"A"), "dir/sub": D(), "dir/sub/b": F(b"B"), "file": F(b"F"),
             "todir": L("dir")}

HEADER = "invalid tar header"
EOF = "unexpected EOF"
CANARY = b"cleat-canary-%d" % os.getpid()
LONG = b"n" * 200
PATH = b"/".join([b"d" * 90] * 20)  # 1819 bytes
X = "SCHILY.xattr."
GOOD = tar(file(b"good", b"1"))


def xattrs(name, *pairs, kind=FILE):
    return tar(pax(**{X + k: v for k, v in pairs}), t.header(name, kind), file(b"after"))


def deep(n, name=b"a"):
    return b"/".join([name] * n)


DEEPER = "i=0; while [ $i -lt 1200 ]; do mkdir d && cd -P d || exit 1; i=$((i + 1)); done"


def many():
    """100,000 names; most are links, since making a file can take a third of a millisecond."""
    return tar(*[hard(b"m/%d/%d" % (i // 1000, i), b"m/%d/%d" % (i // 1000, i // 1000 * 1000))
                 if i % 1000 else file(b"m/%d/%d" % (i // 1000, i)) for i in range(100000)])


LAYERS = {
    # names
    "dotdot": (tar(file(b"../" + CANARY)), Refused("outside of")),
    "dotdot inside": (tar(folder(b"a/"), file(b"a/b/../c")), {"a": D(), "a/c": F()}),
    "dotdot in the middle": (tar(file(b"a/../../" + CANARY)), Refused("outside of")),
    "many dotdots": (tar(file(b"../" * 30 + b"tmp/" + CANARY)), Refused("outside of")),
    "dotdot alone": (tar(folder(b"..")), Refused("outside of")),
    "absolute": (tar(file(b"/abs/f")), {"abs": D(), "abs/f": F()}),
    "absolute with dotdot": (tar(file(b"/../f")), Refused("outside of")),
    "many slashes": (tar(file(b"//a///b//c")), {"a": D(), "a/b": D(), "a/b/c": F()}),
    "dot": (tar(folder(b"."), file(b"f")), {"f": F()}),
    "dot slash": (tar(folder(b"./", mode=0o700), file(b"./f")), {"f": F()}),
    "root as a file": (tar(file(b".")), Refused("no name of a file")),
    "root as a link": (tar(sym(b"./", b"/etc")), Refused("no name of a file")),
    "empty name": (tar(file(b"")), Refused("no name of a file")),
    "empty name of a directory": (tar(folder(b"", mode=0o700), file(b"f")), {"f": F()}),
    "empty pax path": (tar(pax(path=b""), file(b"f")), {"f": F()}),
    "newline": (tar(file(b"a\nb")), {"a\nb": F()}),
    "invalid utf-8": (tar(file(b"\xff\xfe")), {os.fsdecode(b"\xff\xfe"): F()}),
    "invalid utf-8 by pax": (tar(pax(path=b"\xc3("), file(b"-")), {os.fsdecode(b"\xc3("): F()}),
    "control characters": (tar(file(b"\x1b[2J\r\x07")), {"\x1b[2J\r\x07": F()}),
    "backslash": (tar(file(b"..\\..\\f")), {"..\\..\\f": F()}),
    "prefix": (tar(t.header(b"name", prefix=b"some/prefix")),
               {"some": D(), "some/prefix": D(), "some/prefix/name": F(b"")}),
    "gnu magic has no prefix": (tar(t.header(b"name", magic=b"ustar  \0",
                                             prefix=b"00000000000\0")),
                                {"name": F(b"")}),
    "v7 directory": (tar(t.header(b"d/", b"\0", magic=b"\0" * 8)), {"d": D()}),
    "file with a slash at its end": (tar(file(b"d/", b"1")), {"d": F(b"1")}),
    "component of 255": (tar(pax(path=b"n" * 255), file(b"-")), {"n" * 255: F()}),
    "component of 256": (tar(pax(path=b"n" * 256), file(b"-")), Refused("too long")),
    "long path by pax": (tar(pax(path=PATH), file(b"-")),
                         {**{"/".join(["d" * 90] * i): D() for i in range(1, 20)},
                          PATH.decode(): F()}),
    "long path by gnu": (tar(t.gnu_long(b"L", LONG), file(b"cut")), {LONG.decode(): F()}),
    "long link by gnu": (tar(t.gnu_long(b"K", LONG), sym(b"l", b"cut")), {"l": L(LONG.decode())}),
    "both gnu and pax": (tar(t.gnu_long(b"L", b"gnu"), pax(path=b"pax"), file(b"-")),
                         {"gnu": F()}),
    "gnu long name with a NUL": (tar(t.gnu_long(b"L", b"ab\0cd"), file(b"-")), {"ab": F()}),
    "gnu long name is empty": (tar(t.gnu_long(b"L", b""), file(b"f")), {"f": F()}),
    "path of 5000": (tar(pax(path=deep(2500)), file(b"-")), Refused("longer than")),
    "link of 5000": (tar(pax(linkpath=b"x" * 5000), sym(b"l", b"-")), Refused("longer than")),
    "gnu long name of a gigabyte": (
        tar(t.header(b"././@LongLink", b"L", size=1 << 30)), Refused("too long")),

    # links
    "through a link to the root": (tar(sym(b"r", b"/"), file(b"r/f")), {"r": L("/"), "f": F()}),
    "through a link to dotdot": (tar(sym(b"r", b"../../.."), file(b"r/f")),
                                 {"r": L("../../.."), "f": F()}),
    "through a link to tmp": (tar(sym(b"r", b"/tmp"), file(b"r/" + CANARY)),
                              Refused("File exists|No such file")),
    "through a link into proc": (tar(sym(b"r", b"/proc/self/root/tmp"), file(b"r/" + CANARY)),
                                 Refused("File exists|No such file")),
    "through a dangling link": (tar(sym(b"r", b"nope"), file(b"r/f")),
                                Refused("File exists|No such file")),
    "through a loop": (tar(sym(b"a", b"b"), sym(b"b", b"a"), file(b"a/f")),
                       Refused("levels of symbolic links")),
    "through itself": (tar(sym(b"a", b"a"), file(b"a/f")), Refused("levels of symbolic links")),
    "through a chain": (tar(folder(b"d/"), sym(b"a", b"b"), sym(b"b", b"/d"), file(b"a/f")),
                        {"d": D(), "a": L("b"), "b": L("/d"), "d/f": F()}),
    "a link replaced while it is used": (
        tar(folder(b"d/"), folder(b"e/"), sym(b"l", b"d"), file(b"l/1"), sym(b"l", b"e"),
            file(b"l/2")),
        {"d": D(), "e": D(), "l": L("e"), "d/1": F(), "e/2": F()}),
    "link with an empty target": (tar(sym(b"l", b"")), Refused("No such file")),
    "link of 4095": (tar(pax(linkpath=b"x" * 4095), sym(b"l", b"-")), {"l": L("x" * 4095)}),
    "link with content": (tar(t.header(b"l", SYM, link=b"t", size=600), file(b"f")),
                          {"l": L("t"), "f": F()}),
    "hard link out": (tar(hard(b"h", b"../../../../../etc/passwd")), Refused("invalid hardlink")),
    "hard link to an absolute name": (tar(file(b"f"), hard(b"h", b"/f")),
                                      {"f": F(), "h": H("f")}),
    "hard link to the host's file": (tar(hard(b"h", b"/etc/passwd")), Refused("No such file")),
    "hard link through a link": (tar(sym(b"l", b"/etc"), hard(b"h", b"l/passwd")),
                                 Refused("No such file")),
    "hard link to a link": (tar(sym(b"l", b"/etc/passwd"), hard(b"m", b"l")),
                            {"l": L("/etc/passwd"), "m": Node(None, "/etc/passwd")}),
    "hard link to a later entry": (tar(hard(b"h", b"f"), file(b"f")), Refused("No such file")),
    "hard link to itself": (tar(file(b"f"), hard(b"f", b"f")), Refused("No such file")),
    "hard link to nothing": (tar(hard(b"h", b"f")), Refused("No such file")),
    "hard link to a directory": (tar(folder(b"d/"), hard(b"h", b"d")), Refused("not permitted")),
    "hard link to the root": (tar(hard(b"h", b".")), Refused("invalid hardlink")),
    "hard link without a target": (tar(hard(b"h", b"")), Refused("invalid hardlink")),
    "hard link to a fifo": (tar(node(b"p", FIFO), hard(b"q", b"p")),
                            {"p": N(FIFO), "q": Node(None)}),
    "hard link with content": (tar(file(b"f"), t.header(b"h", HARD, link=b"f", size=600),
                                   file(b"g")), {"f": F(), "h": H("f"), "g": F()}),
    "hard link over its target's directory": (
        tar(folder(b"d/"), file(b"d/f"), hard(b"d", b"d/f")), Refused("No such file")),
    "hard link over a directory": (
        tar(folder(b"d/"), file(b"d/g"), file(b"f"), hard(b"d", b"f")), {"d": F(), "f": H("d")}),

    # names used twice
    "file twice": (tar(file(b"f", b"1"), file(b"f", b"22")), {"f": F(b"22")}),
    "link target replaced": (tar(file(b"f", b"1"), hard(b"h", b"f"), file(b"f", b"2")),
                             {"f": F(b"2"), "h": F(b"1")}),
    "file becomes a directory": (tar(file(b"d"), folder(b"d/"), file(b"d/f")),
                                 {"d": D(), "d/f": F()}),
    "directory becomes a file": (tar(folder(b"d/"), file(b"d/a/b"), file(b"d", b"f")),
                                 {"d": F(b"f")}),
    "link becomes a directory": (tar(folder(b"e/"), sym(b"d", b"e"), folder(b"d/"), file(b"d/f")),
                                 {"e": D(), "d": D(), "d/f": F()}),
    "directory becomes a link": (tar(folder(b"d/"), file(b"d/f"), sym(b"d", b"/")),
                                 {"d": L("/")}),
    "file becomes a fifo": (tar(file(b"f"), node(b"f", FIFO)), {"f": N(FIFO)}),
    "directory twice": (tar(folder(b"d/", mode=0o700), file(b"d/f"), folder(b"d/", mode=0o711)),
                        {"d": D(mode=0o711), "d/f": F()}),
    "below a file": (tar(file(b"f"), file(b"f/g")), Refused("Not a directory")),
    "below a fifo": (tar(node(b"f", FIFO), file(b"f/g/h")), Refused("Not a directory")),

    # pax records
    "pax length too long": (tar(pax_raw(b"99 path=x\n"), file(b"f")), Refused(HEADER)),
    "pax length too short": (tar(pax_raw(b"5 path=x\n"), file(b"f")), Refused(HEADER)),
    "pax length zero": (tar(pax_raw(b"0 path=x\n"), file(b"f")), Refused(HEADER)),
    "pax length negative": (tar(pax_raw(b"-9 path=x\n"), file(b"f")), Refused(HEADER)),
    "pax length overflows": (tar(pax_raw(b"18446744073709551625 path=x\n"), file(b"f")),
                             Refused(HEADER)),
    "pax without newline": (tar(pax_raw(b"9 path=xy"), file(b"f")), Refused(HEADER)),
    "pax without equals": (tar(pax_raw(b"8 pathx\n"), file(b"f")), Refused(HEADER)),
    "pax without key": (tar(pax_raw(b"5 =x\n"), file(b"f")), Refused(HEADER)),
    "pax without space": (tar(pax_raw(b"9path=xy\n"), file(b"f")), Refused(HEADER)),
    "pax of zeros": (tar(pax_raw(b"\0" * 20), file(b"f")), Refused(HEADER)),
    "pax with a NUL in the path": (tar(pax(path=b"a\0b"), file(b"f")), Refused(HEADER)),
    "pax with a NUL in the key": (tar(pax_raw(record(b"pa\0th", b"x")), file(b"f")),
                                  Refused(HEADER)),
    "pax with a NUL in a number": (tar(pax(uid=b"1\0"), file(b"f")), Refused(HEADER)),
    "pax of a gigabyte": (tar(pax_raw(b"", size=1 << 30)), Refused("too long")),
    "pax of nothing": (tar(pax_raw(b""), file(b"f")), {"f": F()}),
    "pax with an unknown key": (tar(pax(**{"VENDOR.x": b"\0\xff"}), file(b"f")), {"f": F()}),
    "pax twice the same key": (tar(pax_raw(record(b"path", b"a") + record(b"path", b"b")),
                                   file(b"f")), {"b": F()}),
    "pax negative size": (tar(pax(size=b"-1"), file(b"f")), Refused(HEADER)),
    "pax huge size": (tar(pax(size=b"9223372036854775807"), file(b"f")), Refused(EOF)),
    "pax size beyond 63 bits": (tar(pax(size=b"9223372036854775808"), file(b"f")),
                                Refused(HEADER)),
    "pax size rules": (tar(pax(size=b"3"), t.header(b"f", size=0) + t.padded(b"abc")),
                       {"f": F(b"abc")}),
    "pax negative uid": (tar(pax(uid=b"-1"), file(b"f")), Refused(HEADER)),
    "pax uid of 32 bits": (tar(pax(uid=b"4294967294", gid=b"4294967293"), file(b"f")),
                           {"f": F(uid=4294967294, gid=4294967293)}),
    "pax uid minus one": (tar(pax(uid=b"4294967295"), file(b"f")), Refused(HEADER)),
    "pax uid beyond 32 bits": (tar(pax(uid=b"4294967296"), file(b"f")), Refused(HEADER)),
    "pax mtime is no number": (tar(pax(mtime=b"now"), file(b"f")), Refused(HEADER)),
    "pax mtime far away": (tar(pax(mtime=b"99999999999999999"), file(b"f")), {"f": F()}),
    "pax mtime before the epoch": (tar(pax(mtime=b"-1000000"), file(b"f")),
                                   {"f": F(mtime=0)}),
    "pax mtime in nanoseconds": (tar(pax(mtime=b"1000.999999999"), file(b"f")),
                                 {"f": F(mtime=1000)}),
    "global pax": (tar(pax_raw(record(b"path", b"g"), b"g"), file(b"f")), {"f": F()}),
    "pax and no entry": (pax(path=b"a"), Refused(EOF)),
    "pax and the end": (tar(pax(path=b"a")), Refused(HEADER)),
    "pax chain": (tar(pax(path=b"a") * 40, file(b"f")), Refused("too many headers")),
    "pax: megabytes of records": (
        lambda: tar(pax_raw(record(b"comment", b"x" * 1000000)) * 3, file(b"f")),
        Refused("too long")),
    "pax: a megabyte of records": (tar(pax_raw(record(b"comment", b"x" * 1000000)), file(b"f")),
                                   {"f": F()}),

    # sparse files
    **{"sparse %s" % k: (tar(make(b"s", [(0, 3), (4096, 3)], b"abcdef", 10000), file(b"z")),
                         {"s": F(b"abc" + b"\0" * 4093 + b"def" + b"\0" * 5901), "z": F()})
       for k, make in (("gnu", t.sparse_gnu), ("0.0", t.sparse_00), ("0.1", t.sparse_01),
                       ("1.0", t.sparse_10))},
    **{"sparse %s %s" % (k, what): (tar(make(b"s", extents, data, real), file(b"z")),
                                    Refused(HEADER))
       for k, make in (("gnu", t.sparse_gnu), ("0.0", t.sparse_00), ("0.1", t.sparse_01),
                       ("1.0", t.sparse_10))
       for what, extents, data, real in (
           ("overlapping", [(0, 4), (2, 4)], b"abcdefgh", 100),
           ("unordered", [(50, 4), (0, 4)], b"abcdefgh", 100),
           ("beyond its end", [(98, 4)], b"abcd", 100),
           ("with too little", [(0, 4), (8, 4)], b"abcd", 100),
           ("with too much", [(0, 4)], b"abcdefgh", 100))},
    "sparse gnu with more": (
        tar(t.sparse_gnu(b"s", [(i * 8, 1) for i in range(4)], b"abcdef", 100,
                         [(32, 1), (40, 1)]), file(b"z")),
        {"s": F(b"".join(bytes([c]) + b"\0" * 7 for c in b"abcdef").ljust(100, b"\0")),
         "z": F()}),
    "sparse gnu cut in its map": (tar(t.sparse_gnu(b"s", [(0, 1)] * 4, b"", 10, [(1, 1)]))[:520],
                                  Refused(EOF)),
    "sparse of nothing": (tar(t.sparse_10(b"s", [], b"", 5000)), {"s": F(b"\0" * 5000)}),
    "sparse offset overflows": (tar(t.sparse_01(b"s", [((1 << 63) - 1, 4)], b"abcd", 100)),
                                Refused(HEADER)),
    "sparse length overflows": (tar(t.sparse_01(b"s", [(4, (1 << 64) - 4)], b"abcd", 100)),
                                Refused(HEADER)),
    "sparse larger than a file can be": (tar(t.sparse_01(b"s", [(0, 4)], b"abcd", 1 << 62)),
                                         Refused("File too large|No space")),
    "sparse larger than 63 bits": (tar(t.sparse_01(b"s", [(0, 4)], b"abcd", (1 << 64) - 1)),
                                   Refused(HEADER)),
    "sparse map of letters": (tar(t.sparse_10(b"s", [], b"", 10, b"x\n")), Refused(HEADER)),
    "sparse map that never ends": (tar(t.sparse_10(b"s", [], b"", 10, b"9" * 512)),
                                   Refused(HEADER)),
    "sparse map longer than the file": (tar(t.sparse_10(b"s", [], b"", 10, b"100\n0\n1\n")),
                                        Refused(HEADER)),
    "sparse map of odd length": (tar(pax(**{"GNU.sparse.map": b"0,1,2"}), file(b"s")),
                                 Refused(HEADER)),
    "sparse with 70000 extents": (
        lambda: tar(t.sparse_01(b"s", [(i, 0) for i in range(70000)], b"", 70000)),
        Refused(HEADER)),

    # numbers
    "base 256 size": (tar(t.header(b"f", size=base256(3, 12)) + t.padded(b"abc")),
                      {"f": F(b"abc")}),
    "base 256 negative size": (tar(t.header(b"f", size=base256(-3, 12))), Refused(HEADER)),
    "base 256 size beyond 64 bits": (tar(t.header(b"f", size=base256(1 << 80, 12))),
                                     Refused(HEADER)),
    "base 256 size of 2^62": (tar(t.header(b"f", size=base256(1 << 62, 12))), Refused(EOF)),
    "base 256 uid": (tar(t.header(b"f", uid=base256(3000000, 8))), {"f": F(b"", uid=3000000)}),
    "base 256 negative uid": (tar(t.header(b"f", uid=base256(-1, 8))), Refused(HEADER)),
    "base 256 negative mtime": (tar(t.header(b"f", mtime=base256(-5, 12))),
                                {"f": F(b"", mtime=0)}),
    "size of eight gigabytes": (tar(t.header(b"f", size=0o77777777777)), Refused(EOF)),
    "size is no number": (tar(t.header(b"f", size=b"zzzzzzzzzzz\0")), Refused(HEADER)),
    "size has a nine": (tar(t.header(b"f", size=b"00000000009\0")), Refused(HEADER)),
    "size with blanks": (tar(t.header(b"f", size=b"          3 ") + t.padded(b"abc")),
                         {"f": F(b"abc")}),
    "mode with a file type": (tar(t.header(b"f", mode=0o120644)), {"f": F(b"", mode=0o644)}),

    # where it ends
    "no end": (file(b"f"), {"f": F()}),
    "one empty block": (file(b"f") + END[:512], {"f": F()}),
    "something behind one empty block": (file(b"f") + END[:512] + file(b"g"), Refused(HEADER)),
    "something behind the end": (tar(file(b"f")) + b"garbage, not in blocks", {"f": F()}),
    "another archive behind the end": (tar(file(b"f")) + tar(file(b"g")), {"f": F()}),
    "nothing but the end": (END, {}),
    "cut in a header": (file(b"f")[:100] + b"", Refused("%s|is no layer|not.*layer" % EOF)),
    "cut behind a header": (file(b"f")[:512], Refused(EOF)),
    "cut in content": (file(b"f", b"y" * 900)[:800], Refused(EOF)),
    "cut in padding": (file(b"f")[:600], Refused(EOF)),
    "cut in the second header": (file(b"f") + file(b"g")[:300], Refused(EOF)),
    "cut in pax": (pax(path=b"a" * 600)[:700], Refused(EOF)),
    "cut behind pax": (file(b"e") + pax(path=b"a"), Refused(EOF)),
    "bad checksum": (file(b"f") + t.header(b"g", checksum=b"000000\0 "), Refused(HEADER)),
    "checksum is no number": (file(b"f") + t.header(b"g", checksum=b"zzzzzz\0 "),
                              Refused(HEADER)),
    "unknown type": (tar(t.header(b"f", b"Z")), Refused("unhandled tar header type")),
    "contiguous file": (tar(file(b"f", kind=b"7")), {"f": F()}),
    "text behind a header": (file(b"e") + b"no tar at all\n" * 100, Refused(HEADER)),

    # compression
    "gzip": (gzip.compress(GOOD), {"good": F(b"1")}),
    "gzip in two members": (gzip.compress(GOOD[:700]) + gzip.compress(GOOD[700:]),
                            {"good": F(b"1")}),
    "gzip with an empty member": (gzip.compress(b"") + gzip.compress(GOOD), {"good": F(b"1")}),
    "gzip cut": (gzip.compress(GOOD)[:-20], Refused(EOF)),
    "gzip without its sum": (gzip.compress(GOOD)[:-8], Refused(EOF)),
    "gzip with a wrong sum": (gzip.compress(GOOD)[:-8] + b"\0" * 8, Refused("invalid checksum")),
    "gzip with a wrong length": (gzip.compress(GOOD)[:-4] + b"\1\0\0\0",
                                 Refused("invalid checksum|corrupt")),
    "gzip corrupt": (gzip.compress(GOOD)[:20] + b"\xff" * 20, Refused("gzip: |" + EOF)),
    "gzip and garbage": (gzip.compress(GOOD) + b"garbage" * 10, Refused("gzip: invalid header")),
    "gzip of gzip": (gzip.compress(gzip.compress(GOOD)), Refused(HEADER + "|" + EOF)),
    "gzip bomb": (lambda: gzip.compress(tar(file(b"f", b"\0" * (64 << 20)))),
                  {"f": F(b"\0" * (64 << 20))}),
    "zstd": (images.zstd(GOOD), {"good": F(b"1")}),
    "zstd in two frames": (images.zstd(GOOD[:700]) + images.zstd(GOOD[700:]), {"good": F(b"1")}),
    "zstd with a skippable frame": (images.zstd(GOOD) + b"\x50\x2a\x4d\x18\4\0\0\0abcd",
                                    {"good": F(b"1")}),
    "zstd cut": (images.zstd(GOOD)[:-5], Refused(EOF)),
    "zstd with a wrong sum": (images.zstd(GOOD)[:-1] + b"\0", Refused("zstd: ")),
    "zstd corrupt": (images.zstd(GOOD)[:12] + b"\xff" * 20, Refused("zstd: |" + EOF)),
    "zstd with a window of 2 GiB": (b"\x28\xb5\x2f\xfd\x00\xa8" + b"\1\0\0", Refused("zstd: ")),
    "xz": (lzma.compress(GOOD), {"good": F(b"1")}),
    "xz cut": (lzma.compress(GOOD)[:-10], Refused(EOF + "|corrupt")),
    "bzip2": (bz2.compress(GOOD), {"good": F(b"1")}),
    "bzip2 cut": (bz2.compress(GOOD)[:-4], Refused(EOF)),

    # kinds and attributes
    "devices": (tar(node(b"c", CHAR, 1, 3, mode=0o666), node(b"b", BLK, 7, 200),
                    node(b"p", FIFO)),
                {"c": N(CHAR, 1, 3, mode=0o666), "b": N(BLK, 7, 200), "p": N(FIFO)}),
    "device number too large": (tar(node(b"c", CHAR, 0o7777777, 0)), Refused(HEADER)),
    "device major of 13 bits": (tar(node(b"c", CHAR, 5000, 0)), Refused("Invalid argument")),
    "socket": (tar(t.header(b"s", b"8")), Refused("unhandled tar header type")),
    "set-id bits": (tar(file(b"f", mode=0o6755), folder(b"d/", mode=0o3777)),
                    {"f": F(mode=0o6755), "d": D(mode=0o3777)}),
    "set-id bits and an owner": (tar(file(b"f", mode=0o4755, uid=1000, gid=1000)),
                                 {"f": F(mode=0o4755, uid=1000, gid=1000)}),
    "no rights": (tar(folder(b"d/", mode=0), file(b"d/f", mode=0, uid=5), folder(b"d/e/", mode=0o600),
                      file(b"d/e/g")),
                  {"d": D(mode=0), "d/f": F(mode=0, uid=5), "d/e": D(mode=0o600), "d/e/g": F()}),
    "times of directories": (
        tar(folder(b"d/", mtime=1000), file(b"d/f"), folder(b"d/e/", mtime=2000),
            file(b"d/e/i/f"), file(b"d/g"), file(b"d/f"), hard(b"d/h", b"d/g"),
            sym(b"l", b"d"), file(b"l/e/k"), node(b"d/e/p", FIFO)),
        {"d": D(mtime=1000), "d/f": F(), "d/e": D(mtime=2000), "d/e/i": D(), "d/e/i/f": F(),
         "d/g": F(), "d/h": H("d/g"), "l": L("d"), "d/e/k": F(), "d/e/p": N(FIFO)}),
    "times of a directory that is cleared": (
        tar(folder(b"d/", mtime=1000), folder(b"d/e/"), file(b"d/e/f"), file(b"d/e", b"n")),
        {"d": D(mtime=1000), "d/e": F(b"n")}),
    "time of a link": (tar(sym(b"l", b"x", mtime=1234)), {"l": L("x", mtime=1234)}),
    "xattr user": (xattrs(b"f", ("user.a", b"\0v\xff")),
                   {"f": F(b"", xattrs={"user.a": b"\0v\xff"}), "after": F()}),
    "xattr capability": (xattrs(b"f", ("security.capability", t.capability(1 << 10))),
                         {"f": F(b"", xattrs={"security.capability": t.capability(1 << 10)}),
                          "after": F()}),
    "xattr capability of a directory": (
        xattrs(b"d", ("security.capability", t.capability(1)), kind=DIR),
        {"d": D(), "after": F()}),
    "xattr capability of nonsense": (xattrs(b"f", ("security.capability", b"zz")),
                                     Refused("Invalid argument")),
    "xattrs of overlay": (
        xattrs(b"d", ("trusted.overlay.opaque", b"y"), ("trusted.overlay.redirect", b"/etc"),
               ("user.overlay.whiteout", b"y"), ("trusted.overlay.metacopy", b""), kind=DIR),
        {"d": D(xattrs={}), "after": F()}),
    "xattr of a link": (tar(pax(**{X + "user.a": b"v"}), sym(b"l", b"t")), {"l": L("t")}),
    "xattr without a namespace": (xattrs(b"f", ("nonsense", b"v")), {"f": F(b""), "after": F()}),
    "xattr with a long name": (xattrs(b"f", ("user." + "n" * 251, b"v")), Refused(HEADER)),
    "xattr without a name": (xattrs(b"f", ("", b"v")), Refused(HEADER)),
    "xattr of 70000 bytes": (lambda: xattrs(b"f", ("user.a", b"v" * 70000)), Refused(HEADER)),
    "xattrs of a megabyte": (
        lambda: xattrs(b"f", *[("user.%d" % i, b"v" * 60000) for i in range(16)]),
        Refused("No space|Argument list|set user")),
    "acl": (xattrs(b"f", ("system.posix_acl_access", bytes.fromhex(
        "02000000 01000600 ffffffff 02000400 01000000 04000400 ffffffff 10000400 ffffffff"
        "20000400 ffffffff"))), {"f": F(b""), "after": F()}),
    "acl of nonsense": (xattrs(b"f", ("system.posix_acl_access", b"zzzz")),
                        {"f": F(b""), "after": F()}),
    "acl as text": (tar(pax(**{"SCHILY.acl.access": b"user::rwx,group::r--,other::---"}),
                        file(b"f")), {"f": F()}),

    # whiteouts
    "whiteout": (tar(file(b"etc/.wh.gone", b"")), {"etc/gone": None}, True),
    "whiteout of a directory": (tar(file(b".wh.dir", b"")),
                                {"dir": None, "dir/a": None, "dir/sub": None, "dir/sub/b": None},
                                True),
    "whiteout with later content": (
        tar(file(b".wh.dir", b""), folder(b"dir/"), file(b"dir/new", b"n")),
        {"dir/a": None, "dir/sub": None, "dir/sub/b": None, "dir/new": F(b"n")}, True),
    "whiteout after content": (
        tar(folder(b"dir/"), file(b"dir/new", b"n"), file(b".wh.dir", b"")),
        {"dir/a": None, "dir/sub": None, "dir/sub/b": None, "dir/new": F(b"n")}, True),
    "whiteout and a file": (tar(file(b".wh.file", b""), file(b"file", b"n")), {"file": F(b"n")},
                            True),
    "whiteout of what is not there": (tar(file(b"etc/.wh.nope", b"")), {}, True),
    "whiteout below nothing": (tar(file(b"new/.wh.x", b"")), {"new": D()}, True),
    "whiteout twice": (tar(file(b".wh.file", b""), file(b".wh.file", b"")), {"file": None}, True),
    "whiteout below a whiteout": (tar(file(b".wh.dir", b""), file(b"dir/.wh.a", b"")),
                                  Refused("Not a directory|File exists"), True),
    "whiteout with content": (tar(file(b".wh.file", b"y" * 600), file(b"z")),
                              {"file": None, "z": F()}, True),
    "whiteout by a device": (tar(node(b"file", CHAR, 0, 0)), {"file": None}, True),
    "whiteout through a link": (tar(sym(b"d", b"/etc"), file(b"etc/x"), file(b"d/.wh.gone", b"")),
                                {"d": L("/etc"), "etc/x": F(), "etc/gone": None}, True),
    "whiteout of dotdot": (tar(file(b"etc/.wh...", b"")), Refused("invalid whiteout"), True),
    "whiteout of dot": (tar(file(b"etc/.wh..", b"")), Refused("invalid whiteout"), True),
    "whiteout of nothing": (tar(file(b"etc/.wh.", b"")), Refused("invalid whiteout"), True),
    "opaque": (tar(folder(b"dir/"), file(b"dir/.wh..wh..opq", b""), file(b"dir/n")),
               {"dir/a": None, "dir/sub": None, "dir/sub/b": None, "dir/n": F()}, True),
    "opaque without its directory": (
        tar(file(b"dir/.wh..wh..opq", b"")),
        {"dir/a": None, "dir/sub": None, "dir/sub/b": None}, True),
    "opaque below nothing": (tar(file(b"new/.wh..wh..opq", b"")), {"new": D()}, True),
    "opaque is last": (tar(folder(b"dir/"), file(b"dir/n"), file(b"dir/.wh..wh..opq", b"")),
                       {"dir/a": None, "dir/sub": None, "dir/sub/b": None, "dir/n": F()}, True),
    "metadata of aufs": (tar(file(b".wh..wh.aufs", b""), folder(b".wh..wh.plnk/"),
                             file(b".wh..wh.plnk/1.2", b""), folder(b".wh..wh.orph/"),
                             file(b"f")), {"f": F()}, True),
    "a directory becomes a file": (tar(file(b"dir", b"n")),
                                   {"dir": F(b"n"), "dir/a": None, "dir/sub": None,
                                    "dir/sub/b": None}, True),
    "a file becomes a directory": (tar(folder(b"file/"), file(b"file/n")),
                                   {"file": D(), "file/n": F()}, True),
    "below a link of the layer below": (tar(file(b"todir/n")), {"todir": D(), "todir/n": F()},
                                        True),

    # a lot
    "deeper than a name is long": (
        tar(pax(path=deep(2000) + b"/x"), file(b"-"), pax(linkpath=deep(2000)), sym(b"l", b"-"),
            pax(path=b"l/" + deep(2000) + b"/x"), file(b"-")), Refused("cannot name the place")),
    "100000 entries": (many, {"m": D(), **{"m/%d" % i: D() for i in range(100)},
                              **{"m/%d/%d" % (i // 1000, i): Node(None) for i in range(100000)}}),
    "200 levels": (tar(pax(path=deep(200)), file(b"-")),
                   {**{deep(i).decode(): D() for i in range(1, 200)}, deep(200).decode(): F()}),
    "2000 levels replaced by a file": (
        tar(pax(path=deep(2000)), file(b"-"), file(b"a", b"f")), {"a": F(b"f")}),
    "the same directory 20000 times": (
        lambda: tar(pax(path=PATH + b"/"), folder(b"-"))[:-1024] * 20000 + END,
        {"/".join(["d" * 90] * i): D() for i in range(1, 21)}),
}
CASES = {name: Case(*x) for name, x in LAYERS.items()}


# ---- documents: what names the layers, and what they promise ----

ONE, TWO = tar(file(b"one", b"1")), tar(file(b"two", b"2"))
CONFIG = images.config([ONE])


def dump(x):
    return x if isinstance(x, bytes) else json.dumps(x).encode()


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def archive(manifest=None, config=None, row=None, more=(), layer=ONE):
    """A docker-archive of one image, or with what is given instead of its documents."""
    row = {"Config": "c.json", "RepoTags": ["torture:doc"], "Layers": ["l.tar"], **(row or {})}
    members = [("c.json", dump(CONFIG if config is None else config), {}), ("l.tar", layer, {})]
    members.append(("manifest.json", dump([row] if manifest is None else manifest), {}))
    return images.layer(*members, *more)


def descriptor(data, **changes):
    return {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(data),
            "size": len(data), **changes}


def layout(index=None, manifest=None, config=None, more=(), blobs=(), at=None, layer=ONE):
    """An OCI layout of one image; @manifest, @config: changes; @at: changes of the descriptor."""
    conf = dump({**CONFIG, **(config or {})})
    man = dump({"schemaVersion": 2, "config": descriptor(conf), "layers": [descriptor(layer)],
                **(manifest or {})})
    top = {"schemaVersion": 2, "manifests": [descriptor(
        man, annotations={"io.containerd.image.name": "docker.io/library/torture:doc"},
        **(at or {}))]}
    files = [("oci-layout", b'{"imageLayoutVersion":"1.0.0"}', {}),
             ("index.json", index if isinstance(index, bytes) else dump({**top, **(index or {})}),
              {})]
    files += [("blobs/sha256/" + digest(x)[7:], x, {}) for x in (conf, man, layer, *blobs)]
    return images.layer(*files, *more)


def nested(depth, width=1):
    """Indexes in indexes; each names the next one @width times."""
    conf = dump(CONFIG)
    doc = dump({"schemaVersion": 2, "config": descriptor(conf), "layers": [descriptor(ONE)]})
    blobs = [doc]
    for _ in range(depth):
        doc = dump({"schemaVersion": 2, "manifests": [descriptor(doc)] * width})
        blobs.append(doc)
    return layout(index={"manifests": [descriptor(doc)]}, blobs=blobs)


LINK = {"type": SYM}
LOADED = "torture:doc"
ARCHIVES = {
    "good": (archive(), LOADED), "good layout": (layout(), LOADED),
    "manifest is null": (archive(manifest=b"null"), Refused("cannot be null")),
    "manifest is an empty list": (archive(manifest=[]), Refused("no images")),
    "manifest of null": (archive(manifest=[None]), Refused("invalid manifest|Config")),
    "manifest of numbers": (archive(manifest=[1]), Refused("invalid manifest")),
    "manifest with bytes behind it": (archive(manifest=b"[] []"), Refused("invalid manifest")),
    "manifest with a NUL": (archive(manifest=b"[\0]"), Refused("invalid manifest")),
    "manifest is a layer": (archive(manifest=TWO), Refused("no document")),
    "manifest is gzip": (archive(manifest=gzip.compress(b"[]")), Refused(EOF)),
    "manifest is a directory": (images.layer(("manifest.json/", None, {})),
                                Refused("manifest.json: no such file")),
    "manifest is a link out": (
        images.layer(("manifest.json", b"", {**LINK, "linkname": "../../../etc/passwd"})),
        Refused("no such file")),
    "manifest is a link to itself": (
        images.layer(("manifest.json", b"", {**LINK, "linkname": "manifest.json"})),
        Refused("no such file")),
    "manifest outside": (images.layer(("../manifest.json", b"[]", {})), Refused("no such file")),
    "manifest twice, the last counts": (
        images.layer(("manifest.json", b"nonsense", {}))[:-10240 + 1024][:1024] + archive(),
        LOADED),
    "config without a name": (archive(row={"Config": ""}), Refused("no such file|Config")),
    "config is null": (archive(row={"Config": None}), Refused("Config|no such file")),
    "config is no json": (archive(config=b"config"), Refused("invalid image config")),
    "config is a list": (archive(config=[]), Refused("invalid image config")),
    "config is empty": (archive(config=b""), Refused("invalid image config")),
    "config of nothing": (archive(config={}), Refused("no RootFS")),
    "config without layers": (archive(config={**CONFIG, "rootfs": {"type": "layers"}}),
                              Refused("length mismatch: expected 1, got 0|expected 1")),
    "config of another system": (archive(config={**CONFIG, "os": "windows"}),
                                 Refused("cannot load windows image on linux")),
    "config of wrong types": (archive(config={**CONFIG, "config": {"Env": {"A": "b"}}}),
                              Refused("invalid image config.*Env")),
    "config with numbers for text": (archive(config={**CONFIG, "config": {"User": 0}}),
                                     Refused("invalid image config.*User")),
    "config nested deep": (archive(config=b'{"x":' + b"[" * 20000), Refused("invalid image conf")),
    "config of nine megabytes": (
        lambda: archive(config={**CONFIG, "comment": "x" * (9 << 20)}), Refused("not a layer")),
    **{"diff ID %r" % d: (archive(config={**CONFIG, "rootfs": {"type": "layers", "diff_ids": [d]}}),
                          Refused("invalid diffID|invalid image config"))
       for d in ("", "sha256:", "sha256:../../../../etc", "sha256:" + "0" * 64, digest(TWO),
                 digest(ONE).upper(), digest(ONE)[:-1], "sha512:" + "0" * 128, "a" * 100000)},
    "diff ID null": (archive(config={**CONFIG, "rootfs": {"type": "layers", "diff_ids": [None]}}),
                     Refused("invalid")),
    "more layers than diff IDs": (archive(row={"Layers": ["l.tar", "l.tar"]}), Refused("mismatch")),
    "more diff IDs than layers": (archive(config=images.config([ONE, TWO])), Refused("mismatch")),
    "layers in the wrong order": (
        archive(config=images.config([ONE, TWO]), row={"Layers": ["m.tar", "l.tar"]},
                more=[("m.tar", TWO, {})]), Refused("invalid diffID for layer 0")),
    "layers are null": (archive(row={"Layers": None}), Refused("mismatch")),
    "layer is a document": (archive(row={"Layers": ["c.json"]}), Refused("c.json is no layer")),
    "layer is a link to another": (
        archive(row={"Layers": ["m.tar"]}, more=[("m.tar", b"", {**LINK, "linkname": "l.tar"})]),
        LOADED),
    "layer is a hard link to another": (
        archive(row={"Layers": ["m.tar"]},
                more=[("m.tar", b"", {"type": HARD, "linkname": "l.tar"})]), LOADED),
    "layer is a fifo": (archive(row={"Layers": ["m.tar"]}, more=[("m.tar", None, {"type": FIFO})]),
                        Refused("no such file")),
    "layer twice, the last counts": (archive(layer=TWO, more=[("l.tar", ONE, {})]), LOADED),
    "the same image 5000 times": (
        lambda: archive(manifest=[{"Config": "c.json", "RepoTags": [], "Layers": ["l.tar"]}] * 5000),
        Refused("more than 4096 images")),
    "one good image, one bad": (
        archive(manifest=[{"Config": "c.json", "RepoTags": ["torture:doc"], "Layers": ["l.tar"]},
                          {"Config": "nope", "Layers": []}]), Refused("open nope: no such file")),
    "tags are null": (archive(row={"RepoTags": None}), None),
    **{"tag %r" % n: (archive(row={"RepoTags": [n]}), Refused("invalid|no tag"))
       for n in ("", ":", "a:", ":b", "UPPER:x", "a b:c", "../x:y", "x", "x@" + digest(ONE),
                 "x:" + "t" * 200, "/x:y", "x:\0")},
    "a good tag, then a bad one": (archive(row={"RepoTags": ["torture:doc", "BAD"]}),
                                   Refused("invalid")),
    "more than 100000 members": (
        lambda: images.layer(*[("d%d" % i, b"", {}) for i in range(100001)]), Refused("members")),
    "documents of more than 64 MiB": (
        lambda: images.layer(*[("d%d" % i, b"x" * (1 << 20), {}) for i in range(65)]),
        Refused("documents are larger")),
    "outer archive in gzip": (gzip.compress(archive()), LOADED),
    "outer archive in zstd": (images.zstd(archive()), LOADED),
    "outer archive in xz": (lzma.compress(archive()), LOADED),
    "outer archive cut in a layer": (archive()[:512 * 4], Refused(EOF)),
    "outer archive cut behind a layer": (archive()[:512 * 6], Refused(EOF + "|no such file")),

    # both, and layouts
    "manifest and index, the manifest counts": (
        archive(more=[("index.json", b"nonsense", {})]), LOADED),
    "a bad manifest and a good index": (layout(more=[("manifest.json", b"{}", {})]),
                                        Refused("invalid manifest")),
    "index is null": (layout(index=b"null"), Refused("invalid index")),
    "index is a list": (layout(index=b"[]"), Refused("invalid index")),
    "index without a version": (layout(index=b'{"manifests":[]}'), Refused("invalid index")),
    "index of nothing": (layout(index={"manifests": []}), Refused("no images")),
    "index of null": (layout(index={"manifests": [None]}), Refused("invalid index")),
    "index without digests": (layout(index={"manifests": [{"size": 1}]}), Refused("invalid index")),
    "index names itself": (lambda: self_index(), Refused("has the digest|no such file")),
    "index in an index": (nested(2), None),
    "index nested too deep": (nested(9), Refused("nested too deep")),
    "index that names one image 4 x 10^12 times": (
        lambda: nested(4, 1500), Refused("more than 4096 images|nested too deep")),
    "index names the config": (
        layout(index={"manifests": [descriptor(dump(CONFIG))]}), Refused("invalid manifest")),
    "index names a layer": (layout(index={"manifests": [descriptor(ONE)]}), Refused("no document")),
    "index with annotations of numbers": (
        layout(index={"manifests": [{**descriptor(b""), "annotations": {"a": 1}}]}),
        Refused("invalid index")),
    **{"manifest's %s" % what: (layout(at=at), Refused(text)) for what, at, text in (
        ("size lies", {"size": 5}, "expected 5 bytes"),
        ("size is negative", {"size": -1}, "expected -1 bytes"),
        ("size is a text", {"size": "5"}, "invalid index"),
        ("size is huge", {"size": 1 << 62}, "expected 4611686018427387904 bytes"),
        ("digest lies", {"digest": digest(b"other")}, "no such file"),
        ("digest is sha512", {"digest": "sha512:" + "0" * 128}, "invalid digest"),
        ("digest leads out", {"digest": "sha256:../../../../etc/passwd"}, "invalid digest"),
        ("digest is in capitals", {"digest": "sha256:" + "A" * 64}, "invalid digest"),
        ("digest is empty", {"digest": ""}, "invalid digest|invalid index"))},
    "manifest's media type is another": (layout(at={"mediaType": "text/plain"}), LOADED),
    "manifest has no config": (layout(manifest={"config": None}), Refused("no config")),
    "manifest has no layers": (layout(manifest={"layers": []}), Refused("mismatch")),
    "manifest names a document as layer": (
        layout(manifest={"layers": [descriptor(dump(CONFIG))]}), Refused("is no layer")),
    "manifest names a layer as config": (layout(manifest={"config": descriptor(ONE)}),
                                         Refused("no document")),
    "manifest's layer has another size": (
        layout(manifest={"layers": [descriptor(ONE, size=1)]}), Refused("expected 1 bytes")),
    "layer's media type is another": (
        layout(manifest={"layers": [descriptor(ONE, mediaType="text/plain")]}), LOADED),
    "layer's blob has another content": (
        images.layer(*[(n, TWO if d == ONE else d, {}) for n, d in
                       ((m.name, tarfile.open(fileobj=io.BytesIO(layout())).extractfile(m).read())
                        for m in tarfile.open(fileobj=io.BytesIO(layout())))]),
        Refused("has the digest")),
    "layout's config of wrong types": (layout(config={"rootfs": []}), Refused("invalid image conf")),
    "layout's diff ID lies": (
        layout(config={"rootfs": {"type": "layers", "diff_ids": [digest(TWO)]}}),
        Refused("invalid diffID")),
    "blob is a link out of the layout": (
        layout(manifest={"layers": [descriptor(TWO)]},
               more=[("blobs/sha256/" + digest(TWO)[7:], b"",
                      {**LINK, "linkname": "/etc/passwd"})]), Refused("no such file")),
    "annotation is no name": (
        layout(index={"manifests": [descriptor(
            dump({"schemaVersion": 2, "config": descriptor(dump(CONFIG)),
                  "layers": [descriptor(ONE)]}),
            annotations={"io.containerd.image.name": "NO NAME:x"})]}), Refused("invalid")),
}


def self_index():
    """No document can hold its own digest; this one pretends."""
    own = "sha256:" + "5" * 64
    doc = dump({"schemaVersion": 2, "manifests": [{"mediaType": "", "digest": own, "size": 1}]})
    return images.layer(("oci-layout", b"{}", {}), ("index.json", doc, {}),
                        ("blobs/sha256/" + "5" * 64, doc, {}))


# ---- driving the daemon ----

def census(d):
    """Everything below the data root but the catalog, so that what an archive left shows."""
    return sorted(os.path.join(base, n) for base, dirs, files in os.walk(d.data_root)
                  for n in dirs + files if not n.endswith(("-wal", "-shm", "-journal")))


def known_images(d):
    return sorted((i["Id"], tuple(i["RepoTags"])) for i in d.api.ok("GET", "/images/json", all=1))


def remove_new(d, known):
    for image, _ in set(known_images(d)) - set(known):
        d.api.ok("DELETE", "/images/" + image, force=1)


def error_of(reply):
    """The message of a load, an import or a pull that failed, by status or in its stream; or ""."""
    if reply.status != 200:
        assert reply.status in (400, 500), reply
        return reply.message
    errors = [m["errorDetail"]["message"] for m in reply.lines if "errorDetail" in m]
    return errors[0] if errors else ""


def squeezed(data):
    return data.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh"))


def plain(data):
    """A layer as a diff ID counts it; what cannot be unpacked counts as it is."""
    try:
        if data[:2] == b"\x1f\x8b":
            return gzip.decompress(data)
        if data[:4] == b"\x28\xb5\x2f\xfd":
            return images.unzstd(data)
        if data[:6] == b"\xfd7zXZ\0":
            return lzma.decompress(data)
        return bz2.decompress(data) if data[:3] == b"BZh" else data
    except (OSError, EOFError, lzma.LZMAError, ValueError):
        return data


def by_load(d, tag, layers):
    """docker-archive: manifest.json, the layers as they are."""
    conf = json.dumps(images.config([plain(x) for x in layers])).encode()
    row = {"Config": "c.json", "RepoTags": [tag], "Layers": ["%d.tar" % i
                                                             for i in range(len(layers))]}
    members = [("c.json", conf, {})] + [("%d.tar" % i, x, {}) for i, x in enumerate(layers)] + \
        [("manifest.json", json.dumps([row]).encode(), {})]
    return d.api.post("/images/load", images.layer(*members), timeout=50)


def by_layout(d, tag, layers):
    """An OCI layout, its layers compressed if they were not."""
    body = images.oci_archive(tag, [plain(x) for x in layers], compress="gzip",
                              blobs=[x if squeezed(x) else gzip.compress(x) for x in layers])
    return d.api.post("/images/load", body, timeout=50)


def by_import(d, tag, layers):
    assert len(layers) == 1
    repo, version = tag.split(":")
    return d.api.post("/images/create", layers[0], fromSrc="-", repo=repo, tag=version, timeout=50)


def exported(d, image):
    """The tree of a container of @image, as export tells it: {name: Node}."""
    cid = d.api.ok("POST", "/containers/create", {"Image": image, "Cmd": ["x"]})["Id"]
    try:
        reply = d.api.get("/containers/%s/export" % cid, timeout=50)
        assert reply.status == 200, reply
        with tarfile.open(fileobj=io.BytesIO(reply.body)) as tf:
            return {m.name.rstrip("/"): as_node(tf, m) for m in tf}
    finally:
        d.api.ok("DELETE", "/containers/" + cid, force=1)


def as_node(tf, m):
    data = tf.extractfile(m).read() if m.isreg() else m.linkname if m.issym() or m.islnk() else None
    return Node(m.type, data, {
        "mode": m.mode & 0o7777, "uid": m.uid, "gid": m.gid, "mtime": int(m.mtime),
        "devmajor": m.devmajor, "devminor": m.devminor,
        "xattrs": {k[len(X):]: v.encode("utf-8", "surrogateescape")
                   for k, v in m.pax_headers.items() if k.startswith(X)}})


def check_node(name, got, want):
    assert want.kind in (None, got.kind), (name, got)
    if want.data is not None:
        same = got.data == want.data
        assert same, (name, str(got)[:300], str(want)[:300])
    for key, value in want.attributes.items():
        assert got.attributes[key] == value, (name, key, got)


def check_tree(got, want):
    assert set(got) == set(want), {k: str(got.get(k) or want.get(k))[:200]
                                   for k in set(got) ^ set(want)}
    for name, node_ in want.items():
        check_node(name, got[name], node_)


@pytest.fixture(scope="module")
def engine_makes(daemon):
    """Names that every container has, whatever its image."""
    assert not error_of(by_load(daemon, "torture:base", [END]))
    names = set(exported(daemon, "torture:base"))
    daemon.api.ok("DELETE", "/images/torture:base")
    until(lambda: not os.listdir(os.path.join(daemon.data_root, "trash")))
    return names


def saved_layers(d, image):
    """The layers of save, in order."""
    reply = d.api.get("/images/%s/get" % image, timeout=50)
    assert reply.status == 200, reply
    with tarfile.open(fileobj=io.BytesIO(reply.body)) as tf:
        row = json.loads(tf.extractfile("manifest.json").read())[0]
        return [tf.extractfile(x).read() for x in row["Layers"]]


WAYS = {"load": by_load, "layout": by_layout, "import": by_import}


def check_image(d, case, layers, engine_makes):
    want = {k: v for k, v in {**(BASE_TREE if case.over else {}), **case.want}.items() if v}
    got = exported(d, "torture:1")
    check_tree({k: v for k, v in got.items() if k not in engine_makes or k in want}, want)
    same = saved_layers(d, "torture:1") == [plain(x) for x in layers]
    assert same, "save gives other bytes than those that came"


def try_case(d, case, way, engine_makes):
    data = case.layer() if callable(case.layer) else case.layer
    layers = [BASE, data] if case.over else [data]
    before, known = census(d), known_images(d)
    error = error_of(way(d, "torture:1", layers))
    try:
        if isinstance(case.want, Refused):
            assert re.search(case.want.pattern, error), (error, case.want.pattern)
        else:
            assert not error, error
            check_image(d, case, layers, engine_makes)
    finally:
        remove_new(d, known)
    assert known_images(d) == known
    until(lambda: census(d) == before, 10, lambda: set(census(d)) ^ set(before))
    for place in ("/tmp", "/", os.path.dirname(d.data_root), d.data_root):
        assert CANARY.decode() not in os.listdir(place)


def ways_of(case):
    """What is large goes one way only; import makes an image of one layer."""
    if callable(case.layer):
        return ["load"]
    return [w for w in WAYS if w != "import" or not case.over]


@pytest.mark.parametrize("name,way", [(n, w) for n, c in CASES.items() for w in ways_of(c)])
def test_layer(daemon, engine_makes, name, way):
    try_case(daemon, CASES[name], WAYS[way], engine_makes)


PULLED = ["through a link to the root", "through a link to tmp", "many dotdots", "hard link out",
          "hard link to the host's file", "file becomes a directory", "pax length overflows",
          "sparse 1.0", "sparse 1.0 overlapping", "base 256 size of 2^62", "cut in content",
          "something behind the end", "devices", "xattr capability", "xattrs of overlay",
          "whiteout of a directory", "whiteout of dotdot", "opaque is last", "200 levels"]


@pytest.fixture(scope="module")
def fake():
    reg = hostile.FakeRegistry()
    yield reg
    reg.close()


@pytest.mark.parametrize("compress", ["gzip", "zstd"])
@pytest.mark.parametrize("name", PULLED)
def test_pulled_layer(daemon, fake, engine_makes, name, compress):
    def by_pull(d, tag, layers):
        fake.put_image("torture", "latest", layers, compress)
        reply = d.api.post("/images/create", fromImage=fake.host + "/torture", tag="latest",
                           timeout=50)
        if not error_of(reply):
            d.api.ok("POST", "/images/%s/torture/tag" % fake.host, repo="torture", tag="1")
        return reply
    try_case(daemon, CASES[name], by_pull, engine_makes)


@pytest.mark.parametrize("name", ARCHIVES)
def test_documents(daemon, name):
    body, want = ARCHIVES[name]
    before, known = census(daemon), known_images(daemon)
    reply = daemon.api.post("/images/load", body() if callable(body) else body, timeout=50)
    error = error_of(reply)
    try:
        if isinstance(want, Refused):
            assert re.search(want.pattern, error), (error, want.pattern)
            assert known_images(daemon) == known
        else:
            assert not error, error
            new = set(known_images(daemon)) - set(known)
            assert [tags for _, tags in new] == [(want,) if want else ()]
    finally:
        remove_new(daemon, known)
    until(lambda: census(daemon) == before, 10, lambda: set(census(daemon)) ^ set(before))


def test_very_deep_trees(own_daemon, daemon):
    """More levels than a process has descriptors: the image works, what would have to walk all of
    it says that it cannot, and removing it leaves nothing, also for a daemon that starts."""
    d = own_daemon()
    d.others |= cleat.namespace_mates()
    d.start()
    before = {x for x in census(d) if "/seccomp/" not in x}
    data = tar(pax(path=deep(2000)), file(b"-"))
    assert not error_of(by_load(d, "torture:1", [data, images.busybox()]))
    same = saved_layers(d, "torture:1")[0] == data
    assert same
    cid = d.api.ok("POST", "/containers/create", {
        "Image": "torture:1", "Cmd": ["sh", "-c", DEEPER]})["Id"]
    with pytest.raises(http.client.IncompleteRead):
        d.api.get("/containers/%s/export" % cid)
    d.api.ok("POST", "/containers/%s/start" % cid)
    assert d.api.ok("POST", "/containers/%s/wait" % cid)["StatusCode"] == 0
    for reply in (d.api.get("/containers/%s/changes" % cid),
                  d.api.post("/commit", container=cid, repo="torture", tag="2")):
        assert "too deep" in reply.message
    d.crash()
    d.start()
    d.api.ok("DELETE", "/containers/" + cid, force=1)
    d.api.ok("DELETE", "/images/torture:1", force=1)
    until(lambda: {x for x in census(d) if "/seccomp/" not in x} == before, 30,
          lambda: str(set(census(d)) ^ before)[:1000])
