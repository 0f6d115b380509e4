"""Containers that share another one's IPC or process ids."""
import json
import os
import re

import pytest

import cleat
import fixtures


def pid_of(cli, c):
    return json.loads(cli.ok("inspect", c))[0]["State"]["Pid"]


@pytest.fixture
def donor(cli, box):
    """A running container that lets others into its IPC namespace."""
    c = box("-donor")
    cli.ok("run", "-d", "--name", c, "--ipc", "shareable", "busybox", "sleep", "1000")
    return c


def test_ipc_of_another(cli, donor):
    cli.ok("exec", donor, "sh", "-c", "echo shared > /dev/shm/f; touch /dev/mqueue/q")
    out = cli.ok("run", "--rm", "--ipc", "container:" + donor, "busybox", "sh", "-c",
                 "cat /dev/shm/f; ls /dev/mqueue; echo back > /dev/shm/g; "
                 "readlink /proc/self/ns/ipc; readlink /proc/self/ns/mnt")
    assert out.split()[:3] == ["shared", "q", os.readlink("/proc/%d/ns/ipc" % pid_of(cli, donor))]
    assert out.split()[3] != os.readlink("/proc/%d/ns/mnt" % pid_of(cli, donor))
    assert cli.ok("exec", donor, "cat", "/dev/shm/g") == "back"


def test_memory_is_one(cli, box, donor):
    """One file system, whose size is the donor's; who joins a joiner has the same."""
    one = box("-one")
    cli.ok("run", "-d", "--name", one, "--ipc", "container:" + donor, "busybox", "sleep", "1000")
    stat = ("stat", "-c", "%d:%i", "/dev/shm")
    seen = {cli.ok("exec", donor, *stat), cli.ok("exec", one, *stat)}
    seen.add(cli.ok("run", "--rm", "--shm-size", "1m", "--ipc", "container:" + one, "busybox", *stat))
    assert len(seen) == 1, seen


def test_ipc_survives_the_donor(cli, box, donor):
    one = box("-one")
    cli.ok("exec", donor, "sh", "-c", "echo kept > /dev/shm/f")
    cli.ok("run", "-d", "--name", one, "--ipc", "container:" + donor, "busybox", "sleep", "1000")
    cli.ok("kill", donor)
    assert cli.ok("exec", one, "cat", "/dev/shm/f") == "kept"
    r = cli("restart", "-t", "0", one)
    assert r.returncode == 1 and "non running container" in r.stderr, r
    cli.ok("start", donor)
    cli.ok("start", one)
    assert cli("exec", one, "cat", "/dev/shm/f").returncode == 1  # a new run, a new memory


@pytest.mark.parametrize("mode", ["private", "none"])
def test_ipc_that_is_not_shared(cli, box, mode):
    c = box()
    cli.ok("run", "-d", "--name", c, "--ipc", mode, "busybox", "sleep", "1000")
    r = cli("run", "--rm", "--ipc", "container:" + c, "busybox", "true")
    assert r.returncode == 125 and "non-shareable IPC" in r.stderr, r


@pytest.mark.parametrize("flag", ["--ipc", "--pid"])
def test_whom_nobody_can_join(cli, box, flag):
    r = cli("run", "--rm", flag, "container:none-such", "busybox", "true")
    assert r.returncode == 125 and "No such container: none-such" in r.stderr, r
    c, one = box(), box("-one")
    cli.ok("create", "--name", c, "--ipc", "shareable", "busybox", "true")
    r = cli("run", "--rm", flag, "container:" + c, "busybox", "true")
    assert r.returncode == 125 and re.search(
        "cannot join (ipc|pid) namespace of a non running container: [0-9a-f]{64}", r.stderr), r
    cli.ok("create", "--name", one, flag, "container:" + one, "busybox", "true")
    r = cli("start", one)
    assert r.returncode == 1 and "cannot join its own" in r.stderr, r


def test_links_in_the_donor_lead_nowhere(daemon, cli, box):
    """The donor's /dev is the donor's: even one that may mount cannot show a joiner the host."""
    c = box()
    cli.ok("run", "-d", "--name", c, "--privileged", "--ipc", "shareable", "busybox", "sleep", "1000")
    cli.ok("exec", c, "sh", "-c", "umount /dev/shm; rmdir /dev/shm; ln -s /%s /dev/shm" %
           os.path.basename(daemon.dir))
    r = cli("run", "--rm", "--ipc", "container:" + c, "busybox", "ls", "/dev/shm")
    assert r.returncode in (125, 127) and "/dev/shm" in r.stderr, r
    cli.ok("exec", c, "sh", "-c", "rm /dev/shm; ln -s /etc /dev/shm")
    r = cli("run", "--rm", "--ipc", "container:" + c, "busybox", "cat", "/dev/shm/notexec")
    assert r.stdout in ("", "#!/bin/sh\n"), r  # its own /etc at the most


def test_own_shm_is_left_alone(cli, donor, tmp_path):
    (tmp_path / "f").write_text("mine")
    assert cli.ok("run", "--rm", "--ipc", "container:" + donor, "-v", "%s:/dev/shm" % tmp_path,
                  "busybox", "cat", "/dev/shm/f") == "mine"


def test_files_while_it_does_not_run(cli, box, donor, tmp_path):
    """cp and diff of such a container need neither the donor nor look into the host's /dev/shm."""
    one = box("-one")
    cli.ok("create", "--name", one, "--ipc", "container:" + donor, "busybox", "true")
    cli.ok("kill", donor)
    assert cli.ok("diff", one) == ""
    host = "/dev/shm/cleat-test-%d" % os.getpid()
    with open(host, "w", encoding="utf-8") as f:
        f.write("the host's")
    try:
        r = cli("cp", one + ":" + host, str(tmp_path / "f"))
        assert r.returncode == 1 and not (tmp_path / "f").exists(), r
    finally:
        os.unlink(host)


def test_processes_of_another(cli, box, donor):
    out = cli.ok("run", "--rm", "--pid", "container:" + donor, "--init", "busybox", "sh", "-c",
                 "tr '\\0' ' ' < /proc/1/cmdline; readlink /proc/self/ns/pid; [ $$ != 1 ] && echo no 1")
    assert out.split("\n") == ["sleep 1000 " + os.readlink("/proc/%d/ns/pid" % pid_of(cli, donor)),
                               "no 1"]
    assert json.loads(cli.ok("inspect", donor))[0]["State"]["Running"]


def test_processes_end_with_the_first(cli, box, donor):
    one = box("-one")
    cli.ok("run", "-d", "--name", one, "--pid", "container:" + donor, "busybox", "sleep", "1000")
    assert cli.ok("exec", one, "sh", "-c", "pidof sleep | wc -w") == "2"
    assert cli.ok("exec", donor, "sh", "-c", "pidof sleep | wc -w") == "2"
    cli.ok("kill", donor)
    assert cli.ok("wait", one) == "137"  # the kernel ends all of them


def test_joiner_ends_alone(cli, box, donor):
    one = box("-one")
    cli.ok("run", "-d", "--name", one, "--pid", "container:" + donor, "busybox", "sh", "-c",
           "sleep 1000 & sleep 1000 & wait")
    def sleepers():  # the first process reaps nobody: those that have ended are still in /proc
        return cli.ok("exec", donor, "sh", "-c", "cat /proc/[0-9]*/cmdline").count("sleep\x001000")
    cleat.until(lambda: sleepers() == 3)
    cli.ok("kill", one)
    cleat.until(lambda: sleepers() == 1, 10, lambda: cli.ok("top", donor))


def test_the_next_daemon(own_daemon):
    """Who is joined is kept by name; containers that share go on over a crash."""
    d = own_daemon().start()
    fixtures.load(d)
    api = d.api

    def make(name, **host):
        cid = api.ok("POST", "/containers/create?name=" + name, {
            "Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": host})["Id"]
        api.ok("POST", "/containers/%s/start" % cid)
        return cid
    make("first", IpcMode="shareable")
    second = make("second", IpcMode="container:first", PidMode="container:first")
    d.crash()
    d.start()
    assert api.ok("GET", "/containers/second/json")["State"]["Running"]
    api.ok("POST", "/containers/%s/restart?t=0" % second)
    pids = [api.ok("GET", "/containers/%s/json" % n)["State"]["Pid"] for n in ("first", "second")]
    for ns in ("ipc", "pid"):
        assert len({os.readlink("/proc/%d/ns/%s" % (p, ns)) for p in pids}) == 1
