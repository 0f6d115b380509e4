"""run, exec, attach: exit codes, streams, options, terminals, signals, detaching."""
import os
import re
import signal
import subprocess
import termios

import pytest

import cleat
from cleat import until


def run(cli, *args, **kw):
    if "--init" in args and cleat.SANITIZED:
        pytest.skip(cleat.NO_INIT)
    return cli("run", "--rm", *args, **kw)


# ---- exit codes and messages ----

def test_output_and_code(cli):
    done = run(cli, "busybox", "sh", "-c", "echo out; echo err >&2; exit 5")
    assert (done.returncode, done.stdout, done.stderr) == (5, "out\n", "err\n")


@pytest.mark.parametrize("args,code,part", [
    (["busybox", "nope"], 127, "executable file not found in \\$PATH"),
    (["busybox", "/nope"], 127, "no such file or directory"),
    (["busybox", "/etc/notexec"], 126, "permission denied"),
    (["busybox", "/etc"], 126, "permission denied|is a directory"),
    (["no-such-image-here", "true"], 125, "Unable to find image 'no-such-image-here:latest'"),
    (["--no-such-flag", "busybox"], 125, "unknown flag: --no-such-flag"),
    (["--memory", "x", "busybox"], 125, "invalid argument \"x\" for \"-m, --memory\" flag"),
    (["--memory", "1k", "busybox"], 125, "Minimum memory limit allowed is 6MB"),
    (["-p", "x:y", "busybox"], 125, "invalid"),
    (["--network", "no-such-net", "busybox"], 125, "network no-such-net not found"),
    (["--user", "ghost", "busybox"], 125, "unable to find user ghost"),
    (["-v", "/a:/b:zz", "busybox"], 125, "invalid"),
    (["--restart", "always", "busybox"], 125, "--restart|conflicting"),
    (["--cap-add", "FLY", "busybox"], 125, "(?i)fly"),
    (["UPPER", "true"], 125, "must be lowercase")])
def test_failures(cli, args, code, part):
    done = run(cli, *args)
    assert done.returncode == code and re.search(part, done.stderr), done
    assert cli.ok("ps", "-aq", "--filter", "status=created") == ""


def test_arguments_missing(cli):
    done = cli("run")
    # docker says 1 for a wrong number of arguments
    assert done.returncode == 1 and "requires at least 1 argument" in done.stderr


@pytest.mark.parametrize("sig,code", [("KILL", 137), ("SEGV", 139), ("ABRT", 134)])
def test_death_by_signal(cli, sig, code):
    script = "sh -c 'kill -%s $$'; exit $?" % sig
    assert run(cli, "--init", "busybox", "sh", "-c", script).returncode == code


def test_rm_removes(cli, box):
    name = box()
    assert run(cli, "--name", name, "busybox", "true").returncode == 0
    assert cli.ok("ps", "-aq", "--filter", "name=" + name) == ""


def test_detached(cli, box):
    name = box()
    cid = cli.ok("run", "-d", "--name", name, "busybox", "sh", "-c", "echo x; exit 3")
    assert re.fullmatch("[0-9a-f]{64}", cid)
    assert cli.ok("wait", name) == "3"
    assert cli.ok("logs", name) == "x"


@pytest.mark.skipif(cleat.SANITIZED, reason="the sanitizers bring libraries of their own")
def test_starts_with_the_c_library_alone():
    """Each library more is paid at every start: libcrypto doubled the time of `cleat ps`."""
    done = subprocess.run(["readelf", "-d", os.path.join(cleat.BUILD, "cleat")],
                          capture_output=True, text=True, check=True, timeout=20)
    assert re.findall(r"\(NEEDED\).*\[(.*)\]", done.stdout) == ["libc.so.6"], done.stdout


def test_no_daemon(cli):
    done = cli("ps", env={"DOCKER_HOST": "unix:///nope.sock", "CLEAT_HOST": "unix:///nope.sock"})
    assert done.returncode == 1 and re.search(
        r"Cannot connect to the (Docker|Cleat) daemon at unix:///nope.sock. "
        r"Is the (docker|cleatd) daemon running\?", done.stderr)


# ---- options, as seen from inside ----

@pytest.mark.parametrize("args,cmd,want", [
    (["-e", "A=1", "-e", "B=x y"], "echo $A$B", "1x y"),
    (["-w", "/tmp"], "pwd", "/tmp"), (["-w", "/new/dir"], "pwd", "/new/dir"),
    (["--hostname", "box"], "hostname; cat /etc/hostname; grep -c box /etc/hosts", "box\nbox\n1"),
    (["-u", "web"], "id", "uid=1000(web) gid=1001(web) groups=50(staff),1001(web)"),
    (["-u", "web:staff"], "id -u; id -g", "1000\n50"), (["-u", "12:34"], "id -u; id -g", "12\n34"),
    (["-u", "1000"], "echo $HOME", "/home/web"), ([], "echo $HOME; id -u", "/root\n0"),
    (["--group-add", "staff", "-u", "web"], "id -G", "1001 50"),
    (["--label", "a=b"], "echo ok", "ok"), (["--init"], "readlink /proc/1/exe | grep -c init", "1"),
    (["--entrypoint", "echo"], None, "-c x"),
    (["--tmpfs", "/t:size=64k"], "df -k /t | tail -1 | awk '{print $2}'", "64"),
    (["--shm-size", "1m"], "df -k /dev/shm | tail -1 | awk '{print $2}'", "1024"),
    (["--ulimit", "nofile=100:200"], "ulimit -n; ulimit -Hn", "100\n200"),
    (["--add-host", "peer:10.1.2.3"], "grep peer /etc/hosts", "10.1.2.3\tpeer"),
    (["--dns", "10.9.8.7"], "grep nameserver /etc/resolv.conf", "nameserver 10.9.8.7"),
    (["--domainname", "example.org", "--hostname", "h"], "cat /proc/sys/kernel/domainname",
     "example.org"),
    (["--sysctl", "net.ipv4.ip_default_ttl=77"], "cat /proc/sys/net/ipv4/ip_default_ttl", "77"),
    (["--oom-score-adj", "300"], "cat /proc/self/oom_score_adj", "300"),
    (["--stop-signal", "USR1"], "echo ok", "ok")])
def test_options(cli, args, cmd, want):
    rest = ["-c", "x"] if cmd is None else ["sh", "-c", cmd]
    done = run(cli, *args, "busybox", *rest)
    assert done.returncode == 0 and done.stdout == want + "\n", done


def test_supplementary_groups_order(cli):
    out = run(cli, "-u", "web", "busybox", "id", "-G").stdout
    assert sorted(out.split()) == ["1001", "50"]


def test_image_settings(cli):
    assert run(cli, "cleat-test:cfg").stdout == "entry cmd\n"
    assert run(cli, "cleat-test:cfg", "other").stdout == "entry other\n"
    out = run(cli, "--entrypoint", "/bin/sh", "cleat-test:cfg", "-c",
              "pwd; id -un; echo $FROM_IMAGE").stdout
    assert out == "/home/web\nweb\nyes\n"


def test_files_for_options(cli, tmp_path, box):
    env, labels, cid = tmp_path / "env", tmp_path / "labels", tmp_path / "cid"
    env.write_text("# comment\nA=from file\nHOME\n\n")
    labels.write_text("l1=v1\nl2\n")
    name = box()
    out = cli.ok("run", "--name", name, "--env-file", env, "--label-file", labels, "--cidfile",
                 cid, "busybox", "sh", "-c", "echo $A")
    assert out == "from file"
    c = cli.inspect(name)
    assert c["Config"]["Labels"] == {"l1": "v1"} and c["Id"] == cid.read_text()
    done = cli("run", "--cidfile", cid, "busybox", "true")
    assert done.returncode == 125 and "container ID file found" in done.stderr


def test_binds(cli, tmp_path):
    (tmp_path / "f").write_text("host")
    out = run(cli, "-v", "%s:/m" % tmp_path, "busybox", "sh", "-c",
              "cat /m/f; echo back >/m/g")
    assert out.returncode == 0 and out.stdout == "host" and (tmp_path / "g").read_text() == "back\n"
    out = run(cli, "-v", "%s:/m:ro" % tmp_path, "busybox", "touch", "/m/x")
    assert out.returncode == 1 and "Read-only file system" in out.stderr
    out = run(cli, "--mount", "type=bind,src=%s,dst=/m,readonly" % tmp_path, "busybox", "touch",
              "/m/x")
    assert out.returncode == 1
    out = run(cli, "--mount", "type=bind,src=/no/such,dst=/m", "busybox", "true")
    assert out.returncode == 125 and "bind source path does not exist: /no/such" in out.stderr


# ---- stdin ----

def test_stdin(cli):
    assert run(cli, "-i", "busybox", "cat", stdin="a\nb").stdout == "a\nb"
    assert run(cli, "busybox", "cat", stdin="ignored").stdout == ""


def test_much_stdin(cli):
    data = os.urandom(1 << 20)
    assert run(cli, "-i", "busybox", "cat", stdin=data).stdout == data


def test_exec(cli, box):
    name = box()
    cli.ok("run", "-d", "--name", name, "busybox", "sleep", "1000")
    done = cli("exec", name, "sh", "-c", "echo o; echo e >&2; exit 4")
    assert (done.returncode, done.stdout, done.stderr) == (4, "o\n", "e\n")
    assert cli.ok("exec", "-i", name, "cat", stdin="in") == "in"
    assert cli.ok("exec", "-e", "X=1", "-w", "/tmp", "-u", "web", name, "sh", "-c",
                  "echo $X; pwd; id -un") == "1\n/tmp\nweb"
    assert cli("exec", name, "nope").returncode == 127
    assert cli("exec", name, "/etc/notexec").returncode == 126
    assert cli.ok("exec", "-d", name, "touch", "/made") == ""
    until(lambda: cli("exec", name, "test", "-e", "/made").returncode == 0)
    cli.ok("kill", name)
    until(lambda: cli.inspect(name)["State"]["Status"] == "exited")
    done = cli("exec", name, "true")
    assert done.returncode == 1 and "is not running" in done.stderr
    done = cli("exec", "no-such", "true")
    assert done.returncode == 1 and "No such container: no-such" in done.stderr


# ---- terminals ----

def test_terminal(cli):
    with cli.terminal("run", "--rm", "-it", "busybox", "sh", rows=31, columns=101) as t:
        t.expect(rb"# ")
        t.send(b"stty size; tty; echo $TERM\n")
        t.expect(rb"31 101\r\n/dev/pts/0\r\nxterm\r\n")
        t.resize(40, 120)
        t.send(b"until stty size | grep -q '40 120'; do :; done; echo resi''zed\n")
        t.expect(rb"resized")
        t.send(b"exit 7\n")
        assert t.end()[0] == 7


def test_terminal_is_restored(cli):
    with cli.terminal("run", "--rm", "-it", "busybox", "true") as t:
        before = t.attributes()
        assert t.end()[0] == 0
        after = t.attributes()
        assert (before[3] & termios.ECHO, before[3] & termios.ICANON) == \
            (after[3] & termios.ECHO, after[3] & termios.ICANON)


def test_ctrl_c_reaches_the_foreground(cli):
    with cli.terminal("run", "--rm", "-it", "busybox", "sh") as t:
        t.expect(rb"# ")
        t.send(b"sh -c 'trap \"echo caug\"\"ht; exit\" INT; echo rea\"\"dy; "
               b"while :; do sleep 0.05; done'\n")
        t.expect(rb"ready")
        t.send(b"\x03")
        t.expect(rb"caught")
        t.send(b"exit\n")
        t.end()


def test_detach_and_attach(cli, box):
    name = box()
    with cli.terminal("run", "-it", "--name", name, "busybox", "sh") as t:
        t.expect(rb"# ")
        t.send(b"V=kept\n")
        t.expect(rb"# ")
        t.send(b"\x10\x11")
        assert t.end()[0] == 0
    assert cli.inspect(name)["State"]["Running"]
    with cli.terminal("attach", "--detach-keys", "ctrl-a,d", name) as t:
        t.send(b"echo $V\n")
        t.expect(rb"kept\r\n")
        t.send(b"\x01d")
        t.end()
    assert cli.inspect(name)["State"]["Running"]
    with cli.terminal("attach", name) as t:
        t.send(b"exit 3\n")
        assert t.end()[0] == 3


def test_exec_terminal(cli, box):
    name = box()
    cli.ok("run", "-d", "--name", name, "busybox", "sleep", "1000")
    with cli.terminal("exec", "-it", name, "sh", rows=20, columns=66) as t:
        t.expect(rb"# ")
        t.send(b"stty size; exit 2\n")
        t.expect(rb"20 66")
        assert t.end()[0] == 2


def test_start_attached(cli, box):
    name = box()
    cli.ok("create", "-i", "--name", name, "busybox", "sh", "-c", "read x; echo got $x; exit 6")
    done = cli("start", "-a", "-i", name, stdin="word\n")
    assert (done.returncode, done.stdout) == (6, "got word\n")


def test_terminal_wanted_without_one(cli):
    done = cli("run", "--rm", "-it", "busybox", "true", stdin="")
    assert done.returncode == 1 and "the input device is not a TTY" in done.stderr


# ---- signals ----

@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_signals_are_passed_on(cli, box, sig):
    name = box()
    script = "for s in INT TERM USR1; do trap \"echo got $s; exit 9\" $s; done; echo up; " \
             "while :; do sleep 0.05; done"
    p = cli.popen("run", "--rm", "--name", name, "busybox", "sh", "-c", script)
    assert p.stdout.readline() == b"up\n"
    p.send_signal(sig)
    assert p.stdout.read() == b"got %s\n" % sig.name[3:].encode() and p.wait(10) == 9


def test_client_killed_container_lives(cli, box):
    name = box()
    p = cli.popen("run", "--name", name, "busybox", "sh", "-c", "echo up; sleep 1000")
    assert p.stdout.readline() == b"up\n"
    p.kill()
    p.wait()
    assert cli.inspect(name)["State"]["Running"]


def test_stop_signal_and_timeout(cli, box):
    name = box()
    cli.ok("run", "-d", "--name", name, "--stop-signal", "USR1", "busybox", "sh", "-c",
           "trap 'exit 21' USR1; echo up; while :; do sleep 0.05; done")
    until(lambda: cli.ok("logs", name) == "up")
    cli.ok("stop", name)
    assert cli.inspect(name)["State"]["ExitCode"] == 21


def test_logs_follow_and_options(cli, box):
    name = box()
    cli.ok("run", "-d", "-i", "--name", name, "busybox", "sh", "-c",
           "echo 1; echo 2; read x; echo 3")
    p = cli.popen("logs", "-f", name)
    assert p.stdout.readline() + p.stdout.readline() == b"1\n2\n"
    assert cli.ok("logs", "-n", "1", name) == "2"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\S+Z 2", cli.ok("logs", "-t", "--tail", "1", name))
    assert cli.ok("logs", "--until", "1", name) == ""
    a = cli.popen("attach", name)
    a.stdin.write(b"\n")
    a.stdin.flush()
    assert p.stdout.read() == b"3\n" and p.wait(10) == 0
    a.communicate(timeout=10)


def test_several_at_once(cli, box):
    names = [box("-%d" % i) for i in range(3)]
    for n in names:
        cli.ok("run", "-d", "--name", n, "--stop-signal", "KILL", "busybox", "sleep", "1000")
    assert cli.ok("stop", *names).split() == names
    done = cli("rm", names[0], "no-such", *names[1:])
    assert done.returncode == 1 and done.stdout.split() == names
    assert "No such container: no-such" in done.stderr

