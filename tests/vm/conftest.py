"""Tests that only some kernels can run: they skip elsewhere, and the virtual machine runs them all."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import cleat  # noqa: E402
from fixtures import *  # noqa: E402,F401,F403


@pytest.fixture
def run(daemon, make):
    """run("script", HostConfig settings) starts a shell in a container; its id."""
    def start(script="sleep 1000", body=None, **settings):
        return make(start=True, Cmd=["sh", "-c", script], StopSignal="SIGKILL",
                    HostConfig=settings, **(body or {}))
    return start


@pytest.fixture
def output(daemon, run):
    """output("script", settings): what it prints; its exit code must be @code."""
    def collect(script, code=0, **settings):
        cid = run(script, **settings)
        got = daemon.api.ok("POST", "/containers/%s/wait" % cid)["StatusCode"]
        out, err = cleat.demux(daemon.api.get("/containers/%s/logs" % cid, stdout=1,
                                              stderr=1).body)
        assert got == code, (got, out, err)
        return out.decode()
    return collect


@pytest.fixture
def execute(daemon):
    """execute(cid, "script"): (exit code, output) of an exec."""
    def call(cid, script, **body):
        eid = daemon.api.ok("POST", "/containers/%s/exec" % cid, {
            "Cmd": ["sh", "-c", script], "AttachStdout": True, "AttachStderr": True, **body})["Id"]
        with daemon.api.hijack("/exec/%s/start" % eid, {}) as a:
            out = b"".join(cleat.demux(a.all()))
        return daemon.api.ok("GET", "/exec/%s/json" % eid)["ExitCode"], out.decode()
    return call
