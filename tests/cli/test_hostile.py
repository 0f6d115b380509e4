"""Archives that nobody should trust: each gets an error, and nothing is left of it anywhere."""
import gzip
import hashlib
import io
import json
import os
import socket
import struct
import tarfile
import threading

import pytest

import images
from cleat import until

SMALL = images.layer(("hostile", b"no other test has this", {}))


def census(daemon):
    """Everything below the data root but the catalog, so that what an archive left shows."""
    return sorted(os.path.join(base, n) for base, dirs, files in os.walk(daemon.data_root)
                  for n in dirs + files if not n.endswith(("-wal", "-shm", "-journal")))


def known_images(daemon):
    return sorted((i["Id"], i["RepoTags"]) for i in daemon.api.ok("GET", "/images/json", all=1))


def refused(daemon, body):
    """Load must fail, by status or in its stream; the message."""
    before, known = census(daemon), known_images(daemon)
    r = daemon.api.post("/images/load", body, headers={"Content-Type": "application/x-tar"})
    if r.status == 200:
        errors = [m["errorDetail"]["message"] for m in r.lines if "errorDetail" in m]
        assert errors, r
        message = errors[0]
    else:
        assert r.status in (400, 500), r
        message = r.message
    assert message and known_images(daemon) == known
    assert census(daemon) == before, set(census(daemon)) ^ set(before)
    return message


def with_layer(*members):
    return images.docker_archive(["hostile:1"], [images.busybox(), images.layer(*members)])


SYM, LNK = tarfile.SYMTYPE, tarfile.LNKTYPE
ESCAPES = {
    "dotdot": [("../../../../../../%s", b"x", {})],
    "inner dotdot": [("etc/../../../../../..%s", b"x", {})],
    "hard link out": [("h", b"", {"type": LNK, "linkname": "../../../../../../etc/passwd"})],
    "through a symlink": [("out", b"", {"type": SYM, "linkname": "/tmp"}), ("out/%s", b"x", {})],
    "through a relative symlink": [("out", b"", {"type": SYM, "linkname": "../../../../../tmp"}),
                                   ("out/%s", b"x", {})],
    "hard link through a symlink": [
        ("out", b"", {"type": SYM, "linkname": "/etc"}),
        ("h", b"", {"type": LNK, "linkname": "out/passwd"})],
    "hard link to nothing": [("h", b"", {"type": LNK, "linkname": "nope"})],
    "whiteout of dotdot": [(".wh...", b"", {})],
    "whiteout of dot": [(".wh..", b"", {})],
    "whiteout without name": [(".wh.", b"", {})],
}


@pytest.mark.parametrize("kind", ESCAPES)
def test_members_that_lead_out(daemon, kind, tmp_path):
    """Refused, or kept inside the image: never seen outside."""
    canary = "cleat-canary-%d" % os.getpid()
    members = [(n.replace("%s", ("/tmp/" if "dotdot" in kind else "") + canary), d, a)
               for n, d, a in ESCAPES[kind]]
    nlink = os.stat("/etc/passwd").st_nlink
    r = daemon.api.post("/images/load", with_layer(*members))
    assert not os.path.exists("/tmp/" + canary)
    assert not os.path.exists(os.path.join(daemon.data_root, "..", canary))
    assert os.stat("/etc/passwd").st_nlink == nlink
    if r.status == 200 and b"errorDetail" not in r.body:
        daemon.api.ok("DELETE", "/images/hostile:1")
    else:
        assert r.status in (200, 400, 500)
    for base, _, files in os.walk(daemon.data_root):
        assert canary not in files or "/out" in base or "/tmp" in base, base


def test_absolute_names_stay_inside(daemon):
    body = with_layer(("/abs/file", b"inside", {}))
    r = daemon.api.post("/images/load", body)
    assert r.status == 200 and not os.path.exists("/abs")
    if b"errorDetail" not in r.body:
        daemon.api.ok("DELETE", "/images/hostile:1")


def test_setuid_and_devices_do_not_work_outside(daemon):
    """Devices are made with their numbers, as Docker does, but below a root only root enters."""
    body = with_layer(("dev/mem2", b"", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 1}))
    r = daemon.api.post("/images/load", body)
    assert r.status == 200
    assert os.stat(daemon.data_root).st_mode & 0o007 in (0, 1)
    if b"errorDetail" not in r.body:
        daemon.api.ok("DELETE", "/images/hostile:1")


# ---- broken containers of bytes ----

def damaged(data, at, new):
    return data[:at] + new + data[at + len(new):]


def header(name, size, kind=b"0", extra=b""):
    """A raw tar header with a right checksum and any nonsense inside."""
    block = bytearray(512)
    block[0:len(name)] = name
    block[100:108], block[108:116], block[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    block[124:136] = size if isinstance(size, bytes) else b"%011o\0" % size
    block[136:148], block[156:157] = b"00000000000\0", kind
    block[257:265] = b"ustar\x0000"
    block[157:157 + len(extra)] = extra
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


GOOD = images.docker_archive(["hostile:1"], [SMALL])


def archive(**files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            images.add(tar, name.replace("__", "/").replace("_json", ".json"), data)
    return out.getvalue()


def manifest(**changes):
    conf = json.dumps(images.config([SMALL])).encode()
    row = {"Config": "c.json", "RepoTags": ["hostile:1"], "Layers": ["l.tar"], **changes}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        images.add(tar, "c.json", conf)
        images.add(tar, "l.tar", SMALL)
        images.add(tar, "manifest.json", json.dumps([row]).encode())
    return out.getvalue()


def oci(change):
    """An OCI layout after change(files)."""
    with tarfile.open(fileobj=io.BytesIO(images.oci_archive("hostile:1", [SMALL]))) as tar:
        files = {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}
    change(files)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            images.add(tar, name, data)
    return out.getvalue()


def flip_last_blob(files):
    name = sorted(n for n in files if n.startswith("blobs/"))[-1]
    files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])


def wrong_size(files):
    index = json.loads(files["index.json"])
    index["manifests"][0]["size"] += 1
    files["index.json"] = json.dumps(index).encode()


def evil_digest(files):
    index = json.loads(files["index.json"])
    index["manifests"][0]["digest"] = "sha256:../../../../etc/passwd"
    files["index.json"] = json.dumps(index).encode()


BROKEN = {
    "empty": b"", "zeros": b"\0" * 1024, "text": b"this is no archive at all\n" * 100,
    "cut header": GOOD[:300], "cut body": GOOD[:2000], "cut end": GOOD[:len(GOOD) // 2],
    "bad checksum": damaged(GOOD, 150, b"77"), "random": os.urandom(4096),
    "gzip of nothing": gzip.compress(b""), "cut gzip": gzip.compress(GOOD)[:-20],
    "corrupt gzip": damaged(gzip.compress(GOOD), 200, b"\xff\xff\xff"),
    "bad crc": gzip.compress(GOOD)[:-8] + b"\0" * 8, "gzip header only": b"\x1f\x8b\x08",
    "zstd header only": b"\x28\xb5\x2f\xfd", "xz header only": b"\xfd7zXZ\0",
    "bzip2 header only": b"BZh9",
    "huge size": header(b"manifest.json", b"77777777777\0"),
    "huge base 256 size": header(
        b"manifest.json", b"\x80" + b"\0" * 3 + struct.pack(">Q", 1 << 62)),
    "negative size": header(b"manifest.json", b"\xff" * 12),
    "size is no number": header(b"manifest.json", b"zzzzzzzzzzz\0"),
    "huge long name": header(b"././@LongLink", 1 << 33, b"L"),
    "huge pax": header(b"pax", 1 << 33, b"x"),
    "bad pax": header(b"pax", 10, b"x") + b"99 path=x\n".ljust(512, b"\0"),
    "endless pax chain": (header(b"pax", 11, b"x") + b"11 path=abc".ljust(512, b"\0")) * 2000,
    "no manifest": archive(other=b"x"), "manifest is no json": archive(manifest_json=b"{"),
    "manifest is an object": archive(manifest_json=b"{}"),
    "manifest deep": archive(manifest_json=b"[" * 100000),
    "manifest of wrong types": archive(manifest_json=b'[{"Config": 1, "Layers": {}}]'),
    "config missing": manifest(Config="nope.json"),
    "config outside": manifest(Config="../../../../etc/passwd"),
    "config absolute": manifest(Config="/etc/passwd"),
    "layer missing": manifest(Layers=["nope.tar"]), "too many layers": manifest(
        Layers=["l.tar", "l.tar"]), "no layers": manifest(Layers=[]),
    "layer outside": manifest(Layers=["../../../../../etc/passwd"]),
    "bad tag": manifest(RepoTags=["UPPER CASE"]), "tag outside": manifest(
        RepoTags=["../../x:1"]), "config is a layer": manifest(Config="l.tar"),
    "oci: blob changed": oci(flip_last_blob), "oci: size": oci(wrong_size),
    "oci: digest with a path": oci(evil_digest),
    "oci: index is no json": oci(lambda f: f.update({"index.json": b"nope"})),
    "oci: blob missing": oci(lambda f: f.pop(sorted(f)[0])),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_archives(daemon, kind):
    refused(daemon, BROKEN[kind])


def test_layer_of_another_content(daemon):
    """The layer's bytes are not what the configuration promises."""
    promised = images.layer(("promised", b"never sent", {}))
    conf = json.dumps(images.config([promised])).encode()
    other = images.layer(("g", b"other", {}))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        images.add(tar, "c.json", conf)
        images.add(tar, "l.tar", other)
        images.add(tar, "manifest.json", json.dumps([{"Config": "c.json", "Layers": ["l.tar"],
                                                     "RepoTags": ["hostile:1"]}]).encode())
    message = refused(daemon, out.getvalue())
    assert hashlib.sha256(promised).hexdigest()[:12] in message or "digest" in message \
        or "diffid" in message.lower().replace(" ", "")


def test_member_links_in_the_outer_archive(daemon):
    """Symlinks of the archive itself must not make the daemon read the host's files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        images.add(tar, "c.json", b"", type=SYM, linkname="/etc/passwd")
        images.add(tar, "l.tar", b"", type=SYM, linkname="/etc/shadow")
        images.add(tar, "manifest.json", json.dumps([{"Config": "c.json", "Layers": ["l.tar"],
                                                     "RepoTags": ["hostile:1"]}]).encode())
    refused(daemon, out.getvalue())


def test_client_leaves_in_the_middle(daemon):
    """The body ends before its length: the load is undone."""
    before = census(daemon)
    body = images.docker_archive(["hostile:1"], [images.busybox()])
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(daemon.socket)
        s.sendall(b"POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                  % len(body))
        s.sendall(body[:len(body) // 2])
    until(lambda: census(daemon) == before, what=lambda: set(census(daemon)) ^ set(before))
    assert daemon.api.get("/images/hostile:1/json").status == 404


def test_same_image_loaded_at_once(daemon, name):
    body = images.docker_archive([name + ":par"], [images.busybox(), SMALL])
    bad = []

    def load():
        r = daemon.api.post("/images/load", body)
        if r.status != 200 or b"errorDetail" in r.body:
            bad.append(r)
    threads = [threading.Thread(target=load) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not bad
    daemon.api.ok("DELETE", "/images/%s:par" % name)


# ---- bytes that are no HTTP ----

REQUESTS = {
    "nonsense": b"nonsense\r\n\r\n", "no version": b"GET /_ping\r\n\r\n",
    "http 2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "tls": b"\x16\x03\x01\x02\0\x01\0",
    "two lengths": b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                   b"Content-Length: 2\r\n\r\n{}",
    "length and chunks": b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                         b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "negative length": b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "bad chunk": b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json"
                 b"\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "no host": b"GET /_ping HTTP/1.1\r\n\r\n", "nul": b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "folded header": b"GET /_ping HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "space before colon": b"GET /_ping HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_requests_that_are_none(daemon, kind):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(daemon.socket)
        s.sendall(REQUESTS[kind])
        s.shutdown(socket.SHUT_WR)
        got = b""
        try:
            while piece := s.recv(65536):
                got += piece
        except ConnectionResetError:
            pass
    # what two parsers could understand differently must be refused
    wanted = (b"HTTP/1.1 4", b"HTTP/1.0 4") if "length" in kind or kind == "nonsense" \
        else (b"HTTP/1.",)
    assert not got or got.startswith(wanted), got[:200]
    assert daemon.api.get("/_ping").status == 200


def test_slow_clients_do_not_block_others(daemon):
    slow = []
    for _ in range(300):
        s = socket.socket(socket.AF_UNIX)
        s.connect(daemon.socket)
        s.sendall(b"GET /_ping HTTP/1.1\r\nHos")
        slow.append(s)
    assert daemon.api.get("/_ping", timeout=5).status == 200
    for s in slow:
        s.close()


@pytest.mark.parametrize("path", ["/containers/..%2f..%2fetc/json", "/images/../json",
                                  "/containers/%00/json", "/containers/%zz/json",
                                  "/v1.43//containers/json", "/containers/json?filters=%ff",
                                  "/containers/json?all=1&all=%", "/images/a%2fb/json"])
def test_odd_paths(daemon, path):
    assert daemon.api.get(path).status in (200, 301, 400, 404, 500)
    assert daemon.api.get("/_ping").status == 200
