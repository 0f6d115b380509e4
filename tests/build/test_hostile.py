"""Contexts and Dockerfiles that nobody means well with."""
import gzip
import http.client
import io
import os
import socket
import tarfile
import threading

import pytest

from cleat import until
from images import add

TAR = {"Content-Type": "application/x-tar"}


def tar_of(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data, attributes in members:
            add(tar, name, data, **attributes)
    return out.getvalue()


def link(name, target, kind=tarfile.SYMTYPE):
    return name, b"", {"type": kind, "linkname": target}


def dockerfile(text):
    return "Dockerfile", text.encode(), {}


def build(api, *members, **query):
    return send(api, tar_of(*members), **query)


def send(api, body, **query):
    return api.post("/build", body, headers=TAR, networkmode="none", timeout=30, **query)


def failed(reply, text):
    """As a status, or as the last message of the stream."""
    body = reply.body.decode(errors="replace")
    assert reply.status >= 400 or "errorDetail" in body, body
    assert text in body, body


@pytest.fixture(autouse=True)
def nothing_is_left(daemon):
    yield
    tmp = os.path.join(daemon.data_root, "build", "tmp")
    until(lambda: not os.listdir(tmp), 5, lambda: os.listdir(tmp))
    layers = os.path.join(daemon.data_root, "layers")
    assert not [x for x in os.listdir(layers) if x.startswith("tmp-")]
    assert daemon.api.get("/containers/json", all=1).json == []


def test_names_out_of_the_context(api):
    secret = "/tmp/cleat-build-escape-%d" % os.getpid()
    for name in ("../../../../../.." + secret, secret):
        build(api, dockerfile("FROM busybox\n"), (name, b"out", {}))
        assert not os.path.exists(secret)


def test_links_out_of_the_context(api):
    """They lead to the context's own root."""
    for target in ("/etc/hostname", "../../../../../../../etc/hostname"):
        failed(build(api, dockerfile("FROM busybox\nCOPY x /x\n"), link("x", target)), "not found")
        failed(build(api, dockerfile("FROM busybox\nCOPY d/hostname /x\n"), link("d", "/etc")),
               "not found")


def test_a_dockerfile_that_is_a_link_out(api):
    failed(build(api, link("Dockerfile", "/etc/passwd")), "failed to read dockerfile")


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_a_dockerfile_that_is_no_file(api, kind):
    reply = build(api, ("Dockerfile", b"", {"type": kind, "devmajor": 1, "devminor": 5}))
    assert reply.status == 400, reply


def test_an_ignore_file_that_is_no_file(api):
    build(api, dockerfile("FROM busybox\nCOPY . /x\n"), (".dockerignore", b"", {"type": tarfile.FIFOTYPE}))


def test_odd_files_are_copied_or_left(api, name):
    reply = build(api, dockerfile("FROM busybox\nCOPY . /x\nRUN test -p /x/p\n"),
                  ("p", b"", {"type": tarfile.FIFOTYPE}),
                  ("n" * 255, b"x", {}), link("loop", "loop"), t=name)
    assert b"errorDetail" not in reply.body, reply.body
    api.delete("/images/" + name, force=1)


def test_link_loops_are_an_error(api):
    failed(build(api, dockerfile("FROM busybox\nCOPY loop /x\n"), link("loop", "loop")), "not found")


@pytest.mark.parametrize("body", [b"", b"x" * 10000, gzip.compress(b"x" * 100)[:20]])
def test_contexts_that_are_none(api, body):
    assert send(api, body).status in (400, 500)


def test_a_context_that_is_cut_off(api):
    whole = tar_of(dockerfile("FROM busybox\n"), ("f", b"x" * 100000, {}))
    failed(send(api, whole[:50000]), "unexpected EOF")


def test_deep_trees(api):
    path = "/".join("d" * 1 for _ in range(300))
    reply = build(api, dockerfile("FROM busybox\nCOPY . /x\n"), (path + "/f", b"x", {}))
    failed(reply, "too deep")


@pytest.mark.parametrize("text,error", [
    ("FROM busybox\nENV A=xxxxxxxxxxxxxxxx\n" + "ENV A=$A$A$A$A$A$A$A$A\n" * 30, "too"),
    ("FROM busybox\n" + "ENV A=" + "x" * (2 << 20) + "\n", ""),
    ("FROM busybox\nCOPY " + "*" * 5000 + "x /y/\n", ""),
    ("FROM busybox AS a\nFROM a AS a\n" * 200 + "FROM nope-nope\n", ""),
    ("FROM busybox\nONBUILD ONBUILD RUN x\n", "isn't allowed"),
    ("\x00\x01\x02", ""),
])
def test_dockerfiles_that_try(api, text, error):
    failed(build(api, dockerfile(text)), error)


def test_archives_that_lead_out(api):
    bad = tar_of(("ok", b"1", {}), link("l", "/etc"), ("l/planted", b"x", {}))
    build(api, dockerfile("FROM busybox\nADD a.tar /x\n"), ("a.tar", bad, {}))
    assert not os.path.exists("/etc/planted")


def test_a_stage_cannot_plant_links_for_copy(api):
    """Where a COPY goes is decided inside the image."""
    reply = build(api, dockerfile("FROM busybox\nRUN rm -r /home && ln -s /../../../../../../../etc "
                                  "/home\nCOPY f /home/planted\nRUN test -e /etc/planted\n"),
                  ("f", b"x", {}))
    assert b"errorDetail" not in reply.body, reply.body
    assert not os.path.exists("/etc/planted")


@pytest.mark.parametrize("query,error", [
    ({"buildargs": "[]"}, "it is no object"), ({"buildargs": "{"}, "buildargs"),
    ({"buildargs": '{"a": 1}'}, "is no string"), ({"labels": "x"}, "labels"),
    ({"cachefrom": "{}"}, "it is no list"), ({"memory": "x"}, "memory"),
    ({"ulimits": "[{\"Name\": \"nope\", \"Soft\": 1, \"Hard\": 1}]"}, "invalid ulimit type"),
    ({"t": "UPPER"}, "must be lowercase"), ({"t": "a:b:c"}, "invalid reference"),
    ({"version": "2"}, "DOCKER_BUILDKIT=0"), ({"version": "9"}, "invalid version"),
    ({"remote": "http://127.0.0.1:1/x"}, ""), ({"platform": "a/b/c/d"}, ""),
    ({"dockerfile": "../../../etc/passwd"}, "failed to read dockerfile"),
])
def test_bad_parameters(api, query, error):
    failed(build(api, dockerfile("FROM busybox\nRUN true\n"), nocache=1, **query), error)


def test_a_client_that_leaves_ends_the_build(daemon):
    body = tar_of(dockerfile("FROM busybox\nRUN echo started; sleep 1000\n"))
    class Conn(http.client.HTTPConnection):
        def connect(self):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(daemon.socket)
    conn = Conn("x")
    conn.request("POST", "/v1.41/build?networkmode=none", body, TAR)
    reply = conn.getresponse()
    text = b""
    while b"started" not in text:
        text += reply.read1(1000)
    conn.sock.shutdown(socket.SHUT_RDWR)
    conn.close()
    folder = os.path.join(daemon.data_root, "containers")
    until(lambda: not os.listdir(folder), 10, lambda: os.listdir(folder))


def test_builds_side_by_side(daemon, name):
    """The same build twenty times at once: one runs, the others take what it made."""
    text = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /%s\n" % name
    replies = []

    def one():
        replies.append(build(daemon.api, dockerfile(text), q=1))
    threads = [threading.Thread(target=one) for _ in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len({r.body for r in replies}) == 1 and b"sha256:" in replies[0].body, replies
    daemon.api.delete("/images/" + replies[0].json["stream"].strip(), force=1)
