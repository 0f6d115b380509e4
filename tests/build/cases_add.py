"""ADD."""
import bz2
import gzip
import lzma

from cases import Case
from images import layer, zstd

TAR = layer(("t/", None, {"mode": 0o750, "uid": 5, "gid": 6}),
            ("t/a", b"in a tar\n", {"mode": 0o640, "uid": 7, "gid": 8}))
WANT = {"x/t": "dir 0750 5:6", "x/t/a": "0640 7:8 in a tar\n"}

CASES = [
    Case("add_file", "FROM busybox\nADD f /x/\n", {"f": "f"}, tree={"x/f": "0644 0:0 f"}),
    Case("add_tar", "FROM busybox\nADD a.tar /x\n", {"a.tar": TAR}, tree=WANT, gone=["x/a.tar"]),
    Case("add_tar_gz", "FROM busybox\nADD a.tgz /x/\n", {"a.tgz": gzip.compress(TAR)}, tree=WANT),
    Case("add_tar_bz2", "FROM busybox\nADD a /x/\n", {"a": bz2.compress(TAR)}, tree=WANT),
    Case("add_tar_xz", "FROM busybox\nADD a.txz /x/\n", {"a.txz": lzma.compress(TAR)}, tree=WANT),
    Case("add_tar_zstd", "FROM busybox\nADD a.tzst /x/\n", {"a.tzst": zstd(TAR)}, tree=WANT),
    Case("add_gz_that_is_no_tar", "FROM busybox\nADD a.gz /x/\n", {"a.gz": gzip.compress(b"no tar")},
         tree={"x/a.gz": "~"}),
    Case("copy_does_not_unpack", "FROM busybox\nCOPY a.tar /x/\n", {"a.tar": TAR},
         tree={"x/a.tar": "~"}, gone=["x/t"]),
    Case("add_unpack_false", "FROM busybox\nADD --unpack=false a.tar /x/\n", {"a.tar": TAR},
         tree={"x/a.tar": "~"}, gone=["x/t"]),
    Case("add_several", "FROM busybox\nADD a.tar f /x/\n", {"a.tar": TAR, "f": "f"},
         tree={**WANT, "x/f": "0644 0:0 f"}),
]
