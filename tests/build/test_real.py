"""Builds as people have them: compilers and package managers in one stage, little in the last."""
import os
import shutil
import subprocess
import tarfile

import pytest

import builds
import cleat
import fixtures
import images
from test_contexts import tar_of

HOST = {"networkmode": "host", "allow": '["network.host"]'}


def reaches(host, port):
    """Can the machine's network, outside of the tests' own, reach it?"""
    code = ("import socket; socket.create_connection((%r, %d), 10).close()" % (host, port))
    return subprocess.run(["python3", "-c", code], preexec_fn=cleat.outside,
                          capture_output=True, timeout=60).returncode == 0


@pytest.fixture(scope="module")
def online(sandbox):
    """A daemon in the machine's network, which RUN --network=host has, too."""
    d = cleat.Daemon(args=["--bridge=none", "--iptables=false"], online=True)
    try:
        d.start()
        fixtures.load_busybox(d)
        yield d
    finally:
        fixtures.close(d)


@pytest.fixture(scope="module")
def debian(online):
    path, why = images.debian_tar()
    if not path:
        pytest.skip(why)
    with open(path, "rb") as f:
        r = online.api.post("/images/create", f, fromSrc="-", repo="debian", tag="test", timeout=100,
                            headers={"Content-Type": "application/x-tar"})
    assert r.status == 200 and "errorDetail" not in r.lines[-1], r
    return "debian:test"


def build(daemon, body, tag, **query):
    reply = daemon.api.post("/build", body, headers={"Content-Type": "application/x-tar"}, t=tag,
                            timeout=280, **query)
    assert reply.status == 200 and b"errorDetail" not in reply.body, reply.body[-3000:].decode()
    return reply.body.decode()


def output(daemon, tag, **settings):
    """What the image says when it is run."""
    api = daemon.api
    cid = api.ok("POST", "/containers/create", {
        "Image": tag, "HostConfig": {"NetworkMode": "none"}, **settings})["Id"]
    try:
        api.ok("POST", "/containers/%s/start" % cid)
        code = api.ok("POST", "/containers/%s/wait" % cid)["StatusCode"]
        out = cleat.demux(api.get("/containers/%s/logs" % cid, stdout=1, stderr=1).body)
        return code, b"".join(out).decode()
    finally:
        api.delete("/containers/" + cid, force=1)


APT = """FROM debian:test AS build
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \\
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked <<EOF
set -e
apt-get update
apt-get install -y --no-install-recommends make gcc libc6-dev
EOF
WORKDIR /src
COPY Makefile *.c *.h ./
ARG CFLAGS=-O2
RUN make CFLAGS="$CFLAGS" && ./hello

FROM scratch
COPY --from=build --chmod=755 /src/hello /hello
USER 65534
ENTRYPOINT ["/hello"]
"""
C_FILES = {"Makefile": "hello: main.o greet.o\n\t$(CC) -static -o $@ $^\n%.o: %.c greet.h\n"
                       "\t$(CC) $(CFLAGS) -c -o $@ $<\n",
           "main.c": '#include "greet.h"\nint main(int n, char **v) { return greet(n > 1 ? v[1] : "all"); }\n',
           "greet.h": "int greet(const char *who);\n",
           "greet.c": '#include <stdio.h>\n#include <unistd.h>\n#include "greet.h"\n'
                      'int greet(const char *who) { printf("hello %s, I am %d\\n", who, (int)getuid()); '
                      'return 0; }\n'}


@pytest.mark.seconds(400)
def test_c_project(online, debian, name):
    if not reaches("deb.debian.org", 80):
        pytest.skip("no Debian mirror within reach")
    build(online, tar_of({"Dockerfile": APT, **C_FILES}), name, **HOST)
    config = online.api.ok("GET", "/images/%s/json" % name)
    assert len(config["RootFS"]["Layers"]) == 1 and config["Size"] < 2 << 20
    assert output(online, name, Cmd=["you"]) == (0, "hello you, I am 65534\n")
    # A change of a source: the packages are not installed again.
    changed = {**C_FILES, "main.c": C_FILES["main.c"].replace('"all"', '"everybody"')}
    said = build(online, tar_of({"Dockerfile": APT, **changed}), name, **HOST)
    assert "Setting up" not in said and said.count("Using cache") >= 2
    assert output(online, name) == (0, "hello everybody, I am 65534\n")
    online.api.delete("/images/" + name, force=1)


def machines_node(path):
    """Node and npm of this machine, with the libraries they want, as a tar; or the reason why not."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return "node and npm are not installed"
    root = os.path.realpath(npm)
    if not root.endswith("/npm/bin/npm-cli.js"):
        return "npm is not where it comes with node"
    libraries = [w for line in subprocess.run(["ldd", node], capture_output=True, text=True).stdout.splitlines()
                 for w in line.split() if w.startswith("/")]
    with tarfile.open(path, "w", dereference=True) as t:
        t.add(os.path.realpath(node), "usr/bin/node")
        t.add(os.path.dirname(os.path.dirname(root)), "usr/lib/node_modules/npm")
        for lib in libraries:
            t.add(os.path.realpath(lib), lib.lstrip("/"))
        for certs in ["/etc/ssl/certs/ca-certificates.crt"]:
            if os.path.exists(certs):
                t.add(certs, "certs.pem")
    return None


NODE = """FROM busybox AS node
ADD node.tar /
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/bin/npm && ln -s /bin/env /usr/bin/env
ENV NODE_EXTRA_CA_CERTS=/certs.pem

FROM node AS deps
WORKDIR /app
COPY package.json ./
RUN --mount=type=cache,target=/root/.npm npm install --no-audit --no-fund --omit=dev && mkdir -p node_modules

FROM node
WORKDIR /app
COPY --from=deps /app/node_modules node_modules
COPY main.js .
CMD ["node", "main.js"]
"""


@pytest.mark.seconds(300)
def test_node_project(online, tmp_path, name):
    if not reaches("registry.npmjs.org", 443):
        pytest.skip("the npm registry is not within reach")
    why = machines_node(tmp_path / "node.tar")
    if why:
        pytest.skip(why)
    builds.write_tree(tmp_path, {
        "Dockerfile": NODE, "package.json": '{"name": "a", "version": "1.0.0", "dependencies": {"is-odd": "3.0.1"}}',
        "main.js": "console.log('odd:', require('is-odd')(7));\n"})
    context = tmp_path / "context.tar"
    with tarfile.open(context, "w") as t:
        for f in ("Dockerfile", "package.json", "main.js", "node.tar"):
            t.add(tmp_path / f, f)
    with open(context, "rb") as f:
        build(online, f, name, **HOST)
    assert output(online, name) == (0, "odd: true\n")
    online.api.delete("/images/" + name, force=1)


MEET = "RUN --mount=type=cache,id=%s,target=/s touch /s/%s && n=0 && until [ $(ls /s | wc -l) = 3 ]; do " \
       "n=$((n+1)); [ $n -lt 300 ] || exit 9; usleep 100000; done; echo %s > /%s\n"


def test_stages_run_at_the_same_time(daemon, name):
    """Each waits for the others' signs: they can only end when all three run at once."""
    text = "".join("FROM busybox AS %s\n" % s + MEET % (name, s, s, s) for s in "abc")
    text += "FROM scratch\n" + "".join("COPY --from=%s /%s /\n" % (s, s) for s in "abc")
    build(daemon, tar_of({"Dockerfile": text}), name, networkmode="none")
    made = builds.Built.__new__(builds.Built)
    made.builder = type("B", (), {"daemon": daemon, "tag": name})
    assert {p: str(m)[-2:] for p, m in made.tree().items()
            if p in ("a", "b", "c")} == {s: s + "\n" for s in "abc"}
    daemon.api.delete("/images/" + name, force=1)


def test_stages_that_are_not_needed_do_not_run(daemon, name):
    text = "FROM busybox AS a\nRUN echo a > /a\nFROM busybox AS b\nRUN exit 1\nFROM scratch\nCOPY --from=a /a /\n"
    said = build(daemon, tar_of({"Dockerfile": text}), name, networkmode="none")
    assert "exit 1" not in said
    daemon.api.delete("/images/" + name, force=1)
