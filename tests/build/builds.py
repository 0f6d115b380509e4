"""Contexts, builds and what came of them."""
import io
import json
import os
import stat
import tarfile

from cleat import BUILD
from clients import DOCKER, Cli

CLIENTS = ["docker", "cleat"]


class Link(str):
    """A file of a context: a symbolic link to this."""


class Mode:
    """A file with these permissions and maybe another time."""

    def __init__(self, data, mode, mtime=None):
        self.data, self.mode, self.mtime = data, mode, mtime


def write_tree(root, files):
    """{"a/b": text, bytes, None for a directory, Link, Mode}"""
    for path, what in files.items():
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        if what is None:
            os.makedirs(full, exist_ok=True)
        elif isinstance(what, Link):
            os.symlink(what, full)
        else:
            data = what.data if isinstance(what, Mode) else what
            with open(full, "wb") as f:
                f.write(data if isinstance(data, bytes) else data.encode())
            if isinstance(what, Mode):
                os.chmod(full, what.mode)
                if what.mtime is not None:
                    os.utime(full, (what.mtime, what.mtime))


class Member:
    def __init__(self, info, data):
        self.info, self.data = info, data

    def __str__(self):
        """As cases write it: "0644 0:0 text", "link:target", "dir 0755 0:0"."""
        m = self.info
        if m.issym():
            return "link:" + m.linkname
        owner = "%04o %d:%d" % (stat.S_IMODE(m.mode), m.uid, m.gid)
        return "dir " + owner if m.isdir() else owner + " " + self.data.decode(errors="replace")


class Built:
    """What a build command gave."""

    def __init__(self, builder, done):
        self.builder, self.code = builder, done.returncode
        self.out = done.stdout + done.stderr

    def ok(self):
        assert self.code == 0, self.out
        return self

    @property
    def id(self):
        return self.inspect()["Id"]

    def inspect(self):
        return json.loads(self.builder.cli.ok("image", "inspect", self.builder.tag))[0]

    @property
    def config(self):
        return self.inspect()["Config"]

    @property
    def layers(self):
        return self.inspect()["RootFS"]["Layers"]

    def history(self):
        return self.builder.daemon.api.get("/images/%s/history" % self.builder.tag).json

    def tree(self):
        """{path: Member} of the whole root file system."""
        api = self.builder.daemon.api
        cid = api.ok("POST", "/containers/create", {"Image": self.builder.tag, "Cmd": ["x"]})["Id"]
        try:
            with tarfile.open(fileobj=io.BytesIO(api.get("/containers/%s/export" % cid).body)) as t:
                out = {}
                for m in t:
                    data = t.extractfile(m).read() if m.isreg() or m.islnk() else b""
                    out[m.name.rstrip("/")] = Member(m, data)
                return out
        finally:
            api.delete("/containers/" + cid, force=1)

    def run(self, *cmd):
        return self.builder.cli.ok("run", "--rm", "--network", "none", self.builder.tag, *cmd)


class Builder:
    def __init__(self, daemon, client, tmp_path, name):
        self.daemon, self.client, self.tag = daemon, client, name
        self.context = os.path.join(tmp_path, "context")
        os.makedirs(self.context)
        program = DOCKER if client == "docker" else os.path.join(BUILD, "cleat")
        self.cli = Cli(program, daemon.url, str(tmp_path))
        self.cli.env["DOCKER_BUILDKIT"] = "0"

    def __call__(self, dockerfile=None, files=None, *args, network="none", context=None, **kw):
        """@dockerfile None: the one of @files. "{context}" in @args is the context's path."""
        write_tree(self.context, files or {})
        if dockerfile is not None:
            write_tree(self.context, {"Dockerfile": dockerfile})
        args = [str(x).replace("{context}", self.context) for x in args]
        return Built(self, self.cli("build", "--network", network, "-t", self.tag, *args,
                                    context or self.context, **kw))

    def close(self):
        self.daemon.api.delete("/images/" + self.tag, force=1)

