"""Confinement by AppArmor: the default profile, named ones, none."""
import os
import subprocess

import pytest

import cleat

SECURITYFS = "/sys/kernel/security/apparmor"
PARSER = "/usr/sbin/apparmor_parser"
pytestmark = pytest.mark.skipif(not os.path.exists(SECURITYFS) or not os.path.exists(PARSER),
                                reason="no AppArmor in this kernel, or no apparmor_parser")
LABEL = "cat /proc/self/attr/apparmor/current 2>/dev/null || cat /proc/self/attr/current"


def unload(name):
    with open(SECURITYFS + "/.remove", "w", encoding="utf-8") as f:
        f.write(name)


def loaded(name):
    with open(SECURITYFS + "/profiles", encoding="utf-8") as f:
        return any(line.startswith(name + " (") for line in f)


@pytest.fixture
def profile():
    """A loaded profile that denies one file; its name."""
    name = "cleat-test-%d" % os.getpid()
    subprocess.run([PARSER, "-Kr"], input="profile %s flags=(attach_disconnected,mediate_deleted) "
                   "{ file, capability, network, signal, ptrace, deny /etc/group r, }" % name,
                   text=True, check=True)
    yield name
    unload(name)


def inspect(daemon, cid):
    return daemon.api.ok("GET", "/containers/%s/json" % cid)


def test_info_and_inspect(daemon, run):
    assert "name=apparmor" in daemon.api.ok("GET", "/info")["SecurityOptions"]
    assert inspect(daemon, run())["AppArmorProfile"] == "cleat-default"
    assert inspect(daemon, run(Privileged=True))["AppArmorProfile"] == "unconfined"
    cid = run(SecurityOpt=["apparmor=unconfined"])
    assert inspect(daemon, cid)["AppArmorProfile"] == "unconfined"


@pytest.mark.parametrize("settings,label", [
    ({}, "cleat-default (enforce)\n"), ({"Privileged": True}, "unconfined\n"),
    ({"SecurityOpt": ["apparmor=unconfined"]}, "unconfined\n"),
    ({"SecurityOpt": ["apparmor:unconfined"]}, "unconfined\n"),
    ({"SecurityOpt": ["apparmor=docker-default"]}, "cleat-default (enforce)\n"),
    ({"SecurityOpt": ["no-new-privileges"]}, "cleat-default (enforce)\n")])
def test_processes_and_execs_are_confined(daemon, run, execute, settings, label):
    cid = run(**settings)
    assert execute(cid, LABEL) == (0, label)
    assert execute(cid, LABEL, Privileged=True) == (0, label)  # as docker: the container's own
    assert execute(cid, LABEL, User="1000") == (0, label)
    with open("/proc/%d/attr/current" % inspect(daemon, cid)["State"]["Pid"],
              encoding="utf-8") as f:
        assert f.read() == label


def test_the_default_profile_denies(output):
    """With the read-only mounts and the seccomp filter out of the way, it is the last defence."""
    open_ = ["systempaths=unconfined", "seccomp=unconfined"]
    script = """
        mkdir /m; mount -t tmpfs x /m 2>/dev/null && echo mounted
        mount --bind /etc /m 2>/dev/null && echo bound
        mount -o remount,rw /sys 2>/dev/null && echo remounted
        (echo core >/proc/sys/kernel/core_pattern) 2>/dev/null && echo core_pattern
        (echo 1 >/proc/sys/vm/drop_caches) 2>/dev/null && echo drop_caches
        (echo h >/proc/sysrq-trigger) 2>/dev/null && echo sysrq
        (head -c1 /proc/kcore) >/dev/null 2>&1 && echo kcore
        (ls /sys/firmware/acpi) >/dev/null 2>&1 && echo firmware
        (cat /proc/sys/kernel/shmmax >/tmp/v && cat /tmp/v >/proc/sys/kernel/shmmax) && echo shm
        echo x >/tmp/f && cat /tmp/f && kill -0 1 && echo done"""
    assert output(script, CapAdd=["ALL"], SecurityOpt=open_) == "shm\nx\ndone\n"
    out = output(script, CapAdd=["ALL"], SecurityOpt=open_ + ["apparmor=unconfined"])
    assert {"mounted", "bound", "sysrq", "kcore", "done"} <= set(out.split()), out


def test_signals_between_inside_and_outside(daemon, run, execute):
    cid = run("trap 'echo usr1' USR1; while :; do sleep 0.05; done")
    assert execute(cid, "kill -USR1 1") == (0, "")
    cleat.until(lambda: b"usr1" in daemon.api.get("/containers/%s/logs" % cid, stdout=1).body)
    daemon.api.ok("POST", "/containers/%s/kill" % cid, signal="KILL")
    assert daemon.api.ok("POST", "/containers/%s/wait" % cid)["StatusCode"] == 137


def test_a_named_profile(profile, output, run, execute):
    options = ["apparmor=" + profile]
    assert output(LABEL, SecurityOpt=options) == profile + " (enforce)\n"
    assert output("cat /etc/group 2>/dev/null || echo denied; head -c4 /etc/passwd",
                  SecurityOpt=options) == "denied\nroot"
    assert execute(run(SecurityOpt=options), LABEL) == (0, profile + " (enforce)\n")
    assert output(LABEL, Privileged=True, SecurityOpt=options) == profile + " (enforce)\n"


def test_a_profile_that_is_not_loaded(daemon, make):
    cid = make(Cmd=["true"], HostConfig={"SecurityOpt": ["apparmor=cleat-test-missing"]})
    r = daemon.api.post("/containers/%s/start" % cid)
    assert r.status in (400, 500) and "AppArmor profile cleat-test-missing is not loaded" in r.message
    assert inspect(daemon, cid)["State"]["ExitCode"] == 128


@pytest.mark.parametrize("option", ["apparmor=", "apparmor", "apparmor=a\nb"])
def test_options_that_make_no_sense(daemon, option):
    r = daemon.api.post("/containers/create", {"Image": "busybox", "Cmd": ["true"],
                                               "HostConfig": {"SecurityOpt": [option]}})
    assert r.status == 400 and "--security-opt" in r.message, r


def test_the_default_profile_comes_back(daemon, run, execute):
    """Updates of the distribution's profiles are known to unload those of others."""
    cid = run()
    daemon.api.ok("DELETE", "/containers/" + cid, force=1)
    unload("cleat-default")
    assert not loaded("cleat-default")
    assert execute(run(), LABEL) == (0, "cleat-default (enforce)\n") and loaded("cleat-default")

