"""Debian's dockerd beside ours, for tests that compare the two."""
import contextlib
import os
import shutil
import subprocess
import tempfile

import pytest

import cleat
import images
from cleat import Api, until

VERSION = "1.41"  # of Debian's dockerd 20.10


class Dockerd:
    def __init__(self, path):
        self.socket, self.url, self.api = path, "unix://" + path, Api(path, VERSION)


@contextlib.contextmanager
def dockerd(tag):
    """One in a network namespace of its own, with busybox. Skips the test where it cannot run."""
    if os.environ.get("CLEAT_SANITIZED"):
        pytest.skip("runs once, without sanitizers")
    program = shutil.which("dockerd")
    if not program:
        pytest.skip("no dockerd")
    folder, netns = tempfile.mkdtemp(prefix="cleat-peer-"), "%s-%d" % (tag, os.getpid())
    path = folder + "/sock"
    subprocess.run(["ip", "netns", "add", netns], check=True)
    subprocess.run(["ip", "-n", netns, "link", "set", "lo", "up"], check=True)
    # With mounts of its own, too: nobody takes its processes for leftovers of ours. ("ip netns
    # exec" would hide the cgroups from it.)
    with open(folder + "/log", "wb") as log:
        process = subprocess.Popen(
            ["nsenter", "--net=/run/netns/" + netns, "unshare", "--mount", program, "--data-root",
             folder + "/data", "--exec-root", folder + "/exec", "-p", folder + "/pid", "-H",
             "unix://" + path], stdout=log, stderr=subprocess.STDOUT)
    try:
        def answers():
            if process.poll() is not None:
                with open(folder + "/log", encoding="utf-8", errors="replace") as f:
                    pytest.skip("dockerd does not start here: " + f.read()[-300:])
            try:
                return cleat.connects(path) and Api(path).get("/_ping").status == 200
            except OSError:  # it does not serve yet
                return False
        until(answers, 30, "dockerd answers")
        d = Dockerd(path)
        d.api.ok("POST", "/images/load", images.docker_archive(["busybox:latest"], [images.busybox()]),
                 headers={"Content-Type": "application/x-tar"})
        yield d
        for c in d.api.ok("GET", "/containers/json", all=1):
            d.api.delete("/containers/" + c["Id"], force=1)
    finally:
        process.terminate()
        process.wait(30)
        cleat.unmount_below(folder)
        subprocess.run(["ip", "netns", "del", netns], check=False)
        shutil.rmtree(folder, ignore_errors=True)
