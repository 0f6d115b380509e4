"""Bundles without an image: a static init with tiny verbs, and config.json made per test.

Every test gets a Box with a state directory and cgroup parent of its own. At its end the box
removes what the test left running, and fails if anything of it stays: cgroup, state, process.
"""
import copy
import glob
import json
import os
import shutil
import subprocess
import uuid

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("CLEAT_BUILD", os.path.join(ROOT, "build")))
# How long a command may take; more where everything is slow (a virtual machine, a sanitizer).
# Somebody else's network namespaces on their way out can hold up the making of new ones: the kernel
# waits for RCU, under its lock of all links, once for every bridge in them.
SECONDS = 60 * max(1, int(os.environ.get("CLEAT_TEST_SECONDS", "60")) // 60)
DIRS = ("proc", "sys", "dev", "etc", "tmp", "data", "root", "bin")


def find_runtime():
    for path in ("cleat-oci", "src/oci/cleat-oci", "src/main/cleat-oci"):
        full = os.path.join(BUILD, path)
        if os.access(full, os.X_OK):
            return full
    raise RuntimeError("no cleat-oci in %s: build it first" % BUILD)


@pytest.fixture(scope="session")
def init_program(tmp_path_factory):
    out = tmp_path_factory.mktemp("init") / "init"
    subprocess.run(["cc", "-static", "-O1", "-D_GNU_SOURCE", "-o", out,
                    os.path.join(HERE, "init.c")], check=True)
    return out


@pytest.fixture(scope="session")
def example(tmp_path_factory):
    """What "spec" writes, without a terminal and with the root writable."""
    where = tmp_path_factory.mktemp("spec")
    subprocess.run([find_runtime(), "spec", "--bundle", where], check=True)
    config = json.loads((where / "config.json").read_text())
    config["process"]["terminal"] = False
    config["root"]["readonly"] = False
    return config


class Result:
    def __init__(self, p):
        self.code, self.out, self.err = p.returncode, p.stdout, p.stderr
        self.lines = p.stdout.splitlines()

    def __repr__(self):
        return "code %d\n%s\n--- stderr\n%s" % (self.code, self.out, self.err)


class Box:
    def __init__(self, tmp, init, example):
        self.tmp, self.runtime, self.seconds = tmp, find_runtime(), SECONDS
        self.state = str(tmp / "state")
        self.bundle = tmp / "bundle"
        self.rootfs = self.bundle / "rootfs"
        self.cgroup = "/cleat-test-%s" % uuid.uuid4().hex[:8]
        self.config = copy.deepcopy(example)
        self.config["linux"]["cgroupsPath"] = self.cgroup + "/c"
        self.rootfs.mkdir(parents=True)
        os.chmod(self.rootfs, 0o755)
        for d in DIRS:
            (self.rootfs / d).mkdir()
        shutil.copy(init, self.rootfs / "init")

    # ---- configuration ----

    def args(self, *verbs):
        """args("id", "cwd"): each a verb with its arguments in one string or a list."""
        words = []
        for v in verbs:
            words += (["+"] if words else []) + (v.split() if isinstance(v, str) else list(v))
        self.config["process"]["args"] = ["/init", *words]

    def namespaces(self, drop=(), add=()):
        ns = [n for n in self.config["linux"]["namespaces"] if n["type"] not in drop]
        self.config["linux"]["namespaces"] = ns + [dict(n) for n in add]

    def bind(self, source, dest, *options, kind="bind"):
        self.config["mounts"].append({"destination": dest, "type": kind, "source": str(source),
                                      "options": list(options)})

    def save(self):
        (self.bundle / "config.json").write_text(json.dumps(self.config))

    # ---- commands ----

    def oci(self, *args, timeout=SECONDS, **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        return Result(subprocess.run([self.runtime, "--root", self.state, *map(str, args)],
                                     capture_output=True, text=True, timeout=timeout, **kw))

    def ok(self, *args, **kw):
        r = self.oci(*args, **kw)
        assert r.code == 0, r
        return r

    def run(self, *verbs, options=(), **kw):
        if verbs:
            self.args(*verbs)
        self.save()
        return self.oci("run", "--bundle", self.bundle, *options, "c", **kw)

    def lines(self, *verbs, **kw):
        r = self.run(*verbs, **kw)
        assert r.code == 0, r
        return r.lines

    def create(self, *options, check=True, **kw):
        """The container inherits our descriptors, so its output must not be a pipe we wait for."""
        self.save()
        with open(self.tmp / "out", "ab") as out, open(self.tmp / "err", "wb") as err:
            p = subprocess.run([self.runtime, "--root", self.state, "create", "--bundle",
                                str(self.bundle), *map(str, options), "c"], timeout=SECONDS,
                               stdin=subprocess.DEVNULL, stdout=out, stderr=err, **kw)
        assert not check or p.returncode == 0, (self.tmp / "err").read_text()
        return p.returncode

    def start(self, *verbs, options=()):
        self.args(*(verbs or ("pause",)))
        self.create(*options)
        self.ok("start", "c")

    def exec(self, *words, options=(), **kw):
        return self.oci("exec", *options, "c", *words, **kw)

    def output(self):
        return (self.tmp / "out").read_text()

    def get_state(self):
        return json.loads(self.ok("state", "c").out)

    def status(self):
        return self.get_state()["status"]

    # ---- cgroups ----

    def cgroup_dirs(self):
        return glob.glob("/sys/fs/cgroup/*" + self.cgroup) + glob.glob("/sys/fs/cgroup" + self.cgroup)

    def cgroup_read(self, v1, v2):
        """v1: (controller, file); v2: file; contents without the newline, or None."""
        for path in ("/sys/fs/cgroup/%s%s/c/%s" % (v1[0], self.cgroup, v1[1]),
                     "/sys/fs/cgroup%s/c/%s" % (self.cgroup, v2)):
            if os.path.exists(path):
                with open(path) as f:
                    return f.read().strip()
        return None

    def clean(self):
        self.oci("delete", "--force", "c")
        left = [d + "/c" for d in self.cgroup_dirs() if os.path.exists(d + "/c")]
        for d in self.cgroup_dirs():
            os.rmdir(d)
        assert not left, "cgroups left behind: %s" % left
        assert not os.path.exists(self.state) or not os.listdir(self.state)


@pytest.fixture
def box(tmp_path, init_program, example):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.chmod(tmp_path, 0o755)
    for parent in list(tmp_path.parents)[:3]:
        if str(parent).startswith("/tmp/"):
            os.chmod(parent, 0o755)
    b = Box(tmp_path, init_program, example)
    yield b
    b.clean()
