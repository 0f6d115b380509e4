"""Errors and crashes at every named fail point: nothing is left, or a forced delete clears it."""
import os
import subprocess

import pytest

BUILD = os.environ.get("CLEAT_BUILD_FAIL", "")
CREATE = ["oci.create.clone", "oci.create.cloned", "oci.create.root", "oci.create.cgroup",
          "oci.create.joined", "oci.create.net", "cgroup.create.first", "cgroup.create.next",
          "cgroup.create.next@3", "cgroup.apply.first", "cgroup.apply.common",
          "cgroup.apply.limits", "cgroup.apply.done"]


@pytest.fixture
def broken(box):
    for path in ("cleat-oci", "src/oci/cleat-oci"):
        if BUILD and os.access(os.path.join(BUILD, path), os.X_OK):
            box.runtime = os.path.join(BUILD, path)
            return box
    pytest.skip("no build with fail points (CLEAT_BUILD_FAIL)")


def fail(point, action):
    name, _, at = point.partition("@")
    return {**os.environ, "CLEAT_FAIL": "%s=%s%s" % (name, action, "@" + at if at else "")}


def need_hierarchies(point):
    """A point that is passed once per hierarchy cannot fail at the third where there is one."""
    if "@" in point and os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        pytest.skip("cgroup v2 is a single hierarchy")


@pytest.mark.parametrize("point", CREATE)
def test_error_in_create(broken, point):
    need_hierarchies(point)
    broken.args("id")
    assert broken.create(check=False, env=fail(point, "error")) == 1
    assert broken.oci("state", "c").code == 1
    assert not [d for d in broken.cgroup_dirs() if os.path.exists(d + "/c")]


@pytest.mark.parametrize("point", CREATE)
def test_crash_in_create(broken, point):
    need_hierarchies(point)
    broken.args("id")
    assert broken.create(check=False, env=fail(point, "crash")) == -9
    assert broken.create(check=False) == 1
    broken.ok("delete", "--force", "c")
    broken.create()
    broken.ok("start", "c")


def test_error_in_start(broken):
    broken.args("pause")
    broken.create()
    assert broken.oci("start", "c", env=fail("oci.start.go", "error")).code == 1
    broken.ok("delete", "--force", "c")


@pytest.mark.parametrize("point", ["cgroup.delete.first", "cgroup.delete.next",
                                   "cgroup.delete.next@4"])
@pytest.mark.parametrize("action", ["error", "crash"])
def test_delete_can_be_repeated(broken, point, action):
    need_hierarchies(point)
    broken.start("pause")
    broken.ok("kill", "c", "KILL")
    assert broken.oci("delete", "--force", "c", env=fail(point, action)).code != 0
    broken.ok("delete", "--force", "c")


def test_no_process_survives(broken):
    broken.args("pause")
    for point in CREATE[1:6]:
        broken.create(check=False, env=fail(point, "crash"))
        broken.oci("delete", "--force", "c")
    left = subprocess.run(["pgrep", "-f", str(broken.bundle)], capture_output=True, text=True)
    assert left.stdout == ""
