"""Mounts and their options, masked and read-only paths, devices, the root."""
import os
import subprocess

import pytest


def mount_of(box, path, *more):
    return box.lines("mounts " + path, *more)


def test_default_mounts(box):
    box.namespaces(drop=("cgroup",))
    out = box.lines("mounts /proc", "mounts /dev", "mounts /dev/pts", "mounts /dev/shm",
                    "mounts /dev/mqueue", "mounts /sys", "mounts /sys/fs/cgroup")
    kinds = [line.split(" - ")[1].split()[0] for line in out]
    assert kinds[:6] == ["proc", "tmpfs", "devpts", "tmpfs", "mqueue", "sysfs"]
    assert kinds[6] in ("tmpfs", "cgroup2")
    assert "nosuid,noexec" in out[2] and "ro,nosuid" in out[5]


@pytest.mark.parametrize("options, want", [
    (["bind", "ro"], "ro,"), (["bind", "nosuid"], "nosuid"), (["bind", "nodev"], "nodev"),
    (["bind", "noexec"], "noexec"), (["rbind", "rro"], "ro,"), (["bind", "noatime"], "noatime"),
    (["bind", "nosymfollow"], "nosymfollow"), (["bind", "nodiratime"], "nodiratime"),
])
def test_bind_options(box, tmp_path, options, want):
    (tmp_path / "src").mkdir()
    box.bind(tmp_path / "src", "/data", *options)
    assert want in mount_of(box, "/data")[0]


def test_bind_file_makes_its_target(box, tmp_path):
    (tmp_path / "f").write_text("hello\n")
    box.bind(tmp_path / "f", "/etc/deep/er/file", "bind", "ro")
    assert box.lines("cat /etc/deep/er/file", "write /etc/deep/er/file x") == \
        ["hello", "/etc/deep/er/file: EROFS"]


def test_bind_is_relative_to_the_bundle(box):
    (box.bundle / "here").mkdir()
    (box.bundle / "here" / "f").write_text("x")
    box.bind("here", "/data", "bind")
    assert box.lines("ls /data") == ["f "]


def test_missing_bind_source(box):
    box.bind("/nosuch", "/data", "bind")
    r = box.run("id")
    assert r.code == 1 and "/nosuch" in r.err and "No such file" in r.err


@pytest.mark.parametrize("prop, want", [
    ("rprivate", None), ("rshared", "shared:"), ("rslave", "master:"), ("runbindable", "unbindable"),
])
def test_propagation(box, tmp_path, prop, want):
    src = tmp_path / "src"
    src.mkdir()
    script = "mount --bind {0} {0} && mount --make-shared {0} && exec \"$@\"".format(src)
    box.bind(src, "/data", "rbind", prop)
    box.args("mounts /data")
    box.save()
    p = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", box.runtime, "--root",
                        box.state, "run", "--bundle", str(box.bundle), "c"],
                       capture_output=True, text=True, timeout=box.seconds)
    assert p.returncode == 0, p.stderr
    assert (want in p.stdout) if want else ("shared" not in p.stdout and "master" not in p.stdout)


def test_shared_bind_reaches_the_host(box, tmp_path):
    """rootfsPropagation=shared: a mount made inside appears outside."""
    src = tmp_path / "src"
    (src / "m").mkdir(parents=True)
    script = ("mount --bind {0} {0} && mount --make-shared {0} && \"$@\" && "
              "grep -c {0}/m /proc/self/mountinfo").format(src)
    box.config["linux"]["rootfsPropagation"] = "rshared"
    box.bind(src, "/data", "rbind", "rshared")
    caps = box.config["process"]["capabilities"]
    for name in ("bounding", "effective", "permitted"):
        caps[name].append("CAP_SYS_ADMIN")
    box.args("mount /data/m")
    box.save()
    p = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", box.runtime, "--root",
                        box.state, "run", "--bundle", str(box.bundle), "c"],
                       capture_output=True, text=True, timeout=box.seconds)
    assert p.returncode == 0 and p.stdout.split()[-1] == "1", p


def test_tmpfs(box):
    box.bind("tmpfs", "/data", "size=1m", "mode=1777", "noexec", kind="tmpfs")
    out = box.lines("mounts /data", "stat /data")
    assert "size=1024k" in out[0] and "noexec" in out[0]
    assert out[1].startswith("dir 1777")


def test_tmpfs_takes_the_mode_of_what_it_hides(box):
    os.chmod(box.rootfs / "data", 0o2750)
    box.bind("tmpfs", "/data", kind="tmpfs")
    assert box.lines("stat /data")[0].startswith("dir 2750")


def test_tmpcopyup(box):
    (box.rootfs / "data" / "sub").mkdir()
    (box.rootfs / "data" / "sub" / "f").write_text("copied\n")
    os.chown(box.rootfs / "data" / "sub" / "f", 12, 13)
    os.symlink("sub/f", box.rootfs / "data" / "l")
    box.bind("tmpfs", "/data", "tmpcopyup", kind="tmpfs")
    out = box.lines("cat /data/l", "stat /data/sub/f", "write /data/sub/f X", "cat /data/l")
    assert out[0] == "copied" and " 12:13 " in out[1]
    assert (box.rootfs / "data" / "sub" / "f").read_text() == "copied\n"


def test_readonly_root(box):
    box.config["root"]["readonly"] = True
    assert box.lines("write /x y", "write /tmp/x y", "write /dev/shm/x y") == \
        ["/x: EROFS", "/tmp/x: EROFS", "/dev/shm/x: ok"]


def test_masked_and_readonly_paths(box):
    (box.rootfs / "data" / "secret").write_text("x")
    (box.rootfs / "data" / "dir").mkdir()
    (box.rootfs / "data" / "dir" / "f").write_text("x")
    box.config["linux"]["maskedPaths"] += ["/data/secret", "/data/dir", "/nosuch"]
    box.config["linux"]["readonlyPaths"] += ["/etc", "/nosuch"]
    out = box.lines("cat /data/secret", "ls /data/dir", "write /data/dir/g x", "write /etc/x y",
                    "write /proc/sys/kernel/hostname x", "cat /proc/keys", "stat /proc/timer_list")
    assert out[:4] == ["", "/data/dir/g: EROFS", "/etc/x: EROFS",
                       "/proc/sys/kernel/hostname: EROFS"]
    assert out[4].startswith("chr ") and "1,3" in out[4]


def test_symlinks_stay_inside(box, tmp_path):
    """A mount target that is a symlink out of the root lands inside the root."""
    outside = tmp_path / "outside"
    outside.mkdir()
    os.symlink(outside, box.rootfs / "trap")
    os.symlink("/../../../../../../../..", box.rootfs / "up")
    box.bind("tmpfs", "/trap/made", kind="tmpfs")
    r = box.run("id")
    assert list(outside.iterdir()) == []
    assert r.code == 1 or os.path.isdir(str(box.rootfs) + str(outside) + "/made")


@pytest.mark.parametrize("name", ["proc", "sys"])
def test_proc_must_be_a_directory(box, name):
    """CVE-2019-19921: /proc as a symlink."""
    (box.rootfs / name).rmdir()
    os.symlink("tmp", box.rootfs / name)
    r = box.run("id")
    assert r.code == 1 and "is not an ordinary directory" in r.err


def test_devices(box):
    want = {"null": "1,3", "zero": "1,5", "full": "1,7", "random": "1,8", "urandom": "1,9",
            "tty": "5,0"}
    out = box.lines(*["stat /dev/" + n for n in want])
    for line, numbers in zip(out, want.values()):
        assert line.startswith("chr 666 0:0 " + numbers), line
    links = box.lines("link /dev/fd", "link /dev/ptmx", "link /dev/stdin")
    assert links == ["/proc/self/fd", "pts/ptmx", "/proc/self/fd/0"]


def test_listed_device(box):
    box.config["linux"]["devices"] = [
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 7,
         "gid": 8},
        {"path": "/dev/sub/fifo", "type": "p", "fileMode": 0o600}]
    out = box.lines("stat /dev/fuse", "stat /dev/sub/fifo")
    assert out[0].startswith("chr 640 7:8 10,229") and out[1].startswith("fifo 600")


def test_device_rules(box):
    box.config["linux"]["devices"] = [{"path": "/dev/fuse", "type": "c", "major": 10,
                                       "minor": 229}]
    out = box.lines("open /dev/fuse 0", "open /dev/null 2", "open /dev/zero 0")
    assert out == ["/dev/fuse: EPERM", "/dev/null: ok", "/dev/zero: ok"]
    box.config["linux"]["resources"]["devices"].append(
        {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "r"})
    assert box.lines("open /dev/fuse 0", "open /dev/fuse 1") == \
        ["/dev/fuse: ok", "/dev/fuse: EPERM"]


def test_bound_dev_is_left_alone(box, tmp_path):
    dev = tmp_path / "dev"
    dev.mkdir()
    box.config["mounts"] = [m for m in box.config["mounts"]
                            if not m["destination"].startswith("/dev")]
    box.bind(dev, "/dev", "bind")
    assert box.lines("ls /dev") == [""]


def test_no_pivot(box):
    assert box.lines("ls /", options=["--no-pivot"])[0].split()[:2] == ["bin", "data"]


def test_nothing_of_the_host_stays(box):
    """After pivot_root no mount of the host is left, and no descriptor but 0, 1, 2."""
    out = box.lines("fds", "cat /proc/self/mountinfo")
    assert out[0].split() == ["0", "1", "2"]
    points = [line.split()[4] for line in out[1:]]
    assert points.count("/") == 1
    assert all(p == "/" or p.startswith(("/proc", "/sys", "/dev")) for p in points), points


def test_unknown_file_system(box):
    box.bind("x", "/data", kind="nosuchfs")
    r = box.run("id")
    assert r.code == 1 and "nosuchfs" in r.err


def test_bad_option_is_named(box):
    box.bind("x", "/data", "nosuchoption=1", kind="tmpfs")
    r = box.run("id")
    assert r.code == 1 and "nosuchoption" in r.err
