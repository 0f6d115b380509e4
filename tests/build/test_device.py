"""RUN --device: what the host has below /dev, as far as it is allowed."""
import pytest

import builds


@pytest.fixture
def build(daemon, tmp_path, name):
    made = builds.Builder(daemon, "cleat", tmp_path, name)
    yield made
    made.close()


@pytest.mark.parametrize("allow", ["device", "device=/dev/loop-control"])
@pytest.mark.parametrize("form", ["%s", "%s,required", "name=%s,required=true"])
def test_a_device(build, allow, form):
    text = "FROM busybox\nRUN --device=" + form % "/dev/loop-control" + \
        " test -c /dev/loop-control && echo seen > /n\nRUN test ! -e /dev/loop-control\n"
    assert build(text, None, "--no-cache", "--allow", allow).ok().tree()["n"].data == b"seen\n"


@pytest.mark.parametrize("args,spec,says", [
    ([], "/dev/loop-control", "--allow device=/dev/loop-control"),
    (["--allow", "device=/dev/other"], "/dev/loop-control", "is not allowed"),
    (["--allow", "device"], "/etc/passwd", "is not below /dev"),
    (["--allow", "device"], "/dev/../etc/passwd", "is not below /dev"),
    (["--allow", "device"], "/dev/no-such", "/dev/no-such"),
    (["--allow", "device"], "vendor.com/class=all,required", "CDI is not built yet"),
    (["--allow", "device"], "/dev/full,odd", "invalid --device"),
    (["--allow", "device"], "a,required=maybe", "invalid --device"),
])
def test_devices_that_are_none(build, args, spec, says):
    done = build("FROM busybox\nRUN --device=%s true\n" % spec, None, *args)
    assert done.code == 1 and says in done.out, done.out


def test_one_that_need_not_be_there(build):
    """As where no such device is: the step goes on, and a warning says so."""
    done = build("FROM busybox\nRUN --device=vendor.com/class=all echo %s\n" % build.tag).ok()
    assert "device vendor.com/class=all is left out" in done.out


def test_it_is_part_of_what_a_step_is(build):
    text = "FROM busybox\nARG D\nRUN %secho " + build.tag + "\n"
    build(text % "", None).ok()
    args = ["--allow", "device", "--build-arg", "D=/dev/loop-control"]
    assert "CACHED" not in build(text % "--device=/dev/loop-control ", None, *args).ok().out
    assert "CACHED" in build(text % "--device=/dev/loop-control ", None, *args).ok().out


def test_masked_paths(build):
    """systempaths=unconfined is for the steps what it is for containers."""
    text = "FROM busybox\nRUN grep -c ' /proc/[a-z]' /proc/self/mountinfo > /n; true\n"
    assert build(text, None, "--no-cache").ok().tree()["n"].data != b"0\n"
    done = build(text, None, "--no-cache", "--security-opt", "systempaths=unconfined").ok()
    assert done.tree()["n"].data == b"0\n"
