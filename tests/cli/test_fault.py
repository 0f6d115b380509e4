"""kill -9 at every fail point, and an error there: the next daemon finds a consistent world.

Needs a build with -Dfailpoints=true; CLEAT_BUILD_FAIL names its directory.
"""
import http.client
import os
import threading

import pytest

import cleat
import fixtures
import images
from cleat import until

# Those of registries are passed in tests/registry, those of builds in tests/build, those of volume
# plugins in test_volume_plugins.py.
POINTS = [p for p in cleat.fail_points()
          if not p.startswith(("image.pull.", "image.push.", "volume.plugin.", *cleat.OF_BUILDS))]
BROKEN = (OSError, http.client.HTTPException, AssertionError, ValueError)

pytestmark = pytest.mark.usefixtures("fail_build")


def attempt(work):
    """A call that the crash may break; True when it was answered with success."""
    try:
        return work().status < 400
    except BROKEN:
        return False


def day(d):
    """Something of everything; goes on as far as the daemon lets it. True when all went well."""
    api = cleat.Api(d.socket)
    body = images.docker_archive(["day:1"], [images.busybox(), images.layer(("new", b"1", {}))])
    fine = attempt(lambda: api.post("/images/load", body, timeout=10))
    fine &= attempt(lambda: api.post("/images/busybox/tag", repo="day", tag="2", timeout=10))
    fine &= attempt(lambda: api.post("/volumes/create", {"Name": "day-v"}, timeout=10))
    for name, cmd in (("day-a", ["sleep", "1000"]), ("day-b", ["true"])):
        fine &= attempt(lambda: api.post("/containers/create", {
            "Image": "busybox", "Cmd": cmd, "StopSignal": "SIGKILL",
            "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/etc": {}}, "HostConfig": {
                "Binds": ["day-v:/v"], "PublishAllPorts": True, "Memory": 64 << 20}}, name=name, timeout=10))
        fine &= attempt(lambda: api.post("/containers/%s/start" % name, timeout=10))
    fine &= attempt(lambda: exec_true(api, "day-a"))
    fine &= attempt(lambda: api.post("/commit", container="day-a", repo="day", tag="3",
                                     timeout=10))
    for call in ("pause", "unpause", "rename?name=day-c", ):
        fine &= attempt(lambda: api.post("/containers/day-a/" + call, timeout=10))
    fine &= attempt(lambda: api.post("/containers/day-c/restart?t=0", timeout=10))
    fine &= attempt(lambda: api.post("/containers/day-c/stop", timeout=10))
    fine &= attempt(lambda: api.delete("/containers/day-c", v=1, timeout=10))
    fine &= attempt(lambda: api.post("/containers/prune", timeout=10))
    fine &= attempt(lambda: api.delete("/volumes/day-v", timeout=10))
    fine &= attempt(lambda: api.delete("/images/day:1", timeout=10))
    fine &= attempt(lambda: api.delete("/images/day:2", timeout=10))
    fine &= attempt(lambda: api.delete("/images/day:3", timeout=10))
    return fine


def exec_true(api, name):
    ex = api.ok("POST", "/containers/%s/exec" % name, {"Cmd": ["true"]}, timeout=10)["Id"]
    return api.post("/exec/%s/start" % ex, {"Detach": True}, timeout=10)


def check_world(d):
    """After the restart: lists work, states are true, everything can be removed and made anew."""
    api = d.api
    running = {i for _, i in cleat.processes_of(
        [c["Id"] for c in api.ok("GET", "/containers/json", all=1)])}
    for c in api.ok("GET", "/containers/json", all=1):
        state = api.ok("GET", "/containers/%s/json" % c["Id"])["State"]
        assert state["Status"] in ("created", "running", "paused", "exited"), state
        assert state["Running"] == (state["Pid"] > 0) == (c["Id"] in running), (state, running)
        api.ok("DELETE", "/containers/" + c["Id"], force=1, v=1)
    for image in api.ok("GET", "/images/json", all=1):
        api.ok("GET", "/images/%s/json" % image["Id"])
        if not any("busybox" in t for t in image["RepoTags"]):
            api.delete("/images/" + image["Id"], force=1)
    for v in api.ok("GET", "/volumes")["Volumes"]:
        assert os.path.isdir(v["Mountpoint"]), v
        api.ok("DELETE", "/volumes/" + v["Name"])
    fixtures.load(d)
    cid = api.ok("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"]})["Id"]
    api.ok("POST", "/containers/%s/start" % cid)
    assert api.ok("POST", "/containers/%s/wait" % cid)["StatusCode"] == 0
    api.ok("DELETE", "/containers/" + cid, force=1)
    until(lambda: not stray_things(d), 10, lambda: stray_things(d))


def stray_things(d):
    own = {d.process.pid, d.proxy.pid}
    out = ["process %d %s" % (p, cleat.cmdline(p))
           for p in cleat.namespace_mates() - d.others - own]
    out += ["link " + x for x in cleat.links() if x.startswith("veth")]
    out += ["cgroup " + x for x in d.cgroups()]
    for base, dirs, files in os.walk(d.data_root):
        if os.path.basename(base) in ("containers", "volumes", "trash"):
            out += ["directory " + os.path.join(base, x) for x in dirs]
        out += ["file " + os.path.join(base, x) for x in files + dirs
                if x.endswith(".tmp") or x.startswith((".tmp", "tmp-"))]
    return out


@pytest.mark.parametrize("action", ["crash@1", "error@1"])
@pytest.mark.parametrize("point", POINTS)
def test_fail_point(own_daemon, point, action):
    d = own_daemon(build=cleat.BUILD_FAIL)
    d.start()
    fixtures.load(d)
    d.stop()
    d.start(wait=False, env={"CLEAT_FAIL": "%s=%s" % (point, action)})
    came_up = True
    try:
        until(d.answers, 10)
    except AssertionError:
        came_up = False
    fine = came_up and day(d)
    if d.process.poll() is None:
        d.crash()
    d.start()
    check_world(d)
    if fine:
        pytest.skip("a day's work does not pass this point")


FILES = ["f%d" % i for i in range(4)]


def fill(d, name, **kw):
    """A container whose volume @name is filled from the image; False when that breaks."""
    return attempt(lambda: d.api.post("/containers/create", {
        "Image": "filled:1", "Cmd": ["ls", "/data"], "HostConfig": {"Binds": [name + ":/data"]}},
        name=kw.get("cname", "filler"), timeout=10))


def filled_daemon(own_daemon):
    d = own_daemon(build=cleat.BUILD_FAIL)
    d.start()
    layer = images.layer(("data", None, {}), *[("data/" + f, f.encode(), {}) for f in FILES])
    assert d.api.post("/images/load", images.docker_archive(
        ["filled:1"], [images.busybox(), layer], {})).status == 200
    d.stop()
    return d


def content(d, volume):
    return sorted(os.listdir(os.path.join(d.data_root, "volumes", volume, "_data")))


@pytest.mark.parametrize("point", ["volume.fill.begin", "clone.file@1", "clone.file@3",
                                   "clone.file@4", "volume.fill.done"])
def test_a_volume_is_never_half_full(own_daemon, point):
    """A daemon is killed while it fills one: the next has it empty or complete, and in the end a
    container finds all of it."""
    d = filled_daemon(own_daemon)
    name, _, at = point.partition("@")
    d.start(env={"CLEAT_FAIL": "%s=crash@%s" % (name, at or 1)})
    assert not fill(d, "half")
    d.process.wait()
    if name == "clone.file":
        assert content(d, "half") == FILES[:int(at)]
    d.start()
    assert content(d, "half") in ([], FILES)
    assert fill(d, "half", cname="second")
    assert content(d, "half") == FILES
    for v in d.api.ok("GET", "/containers/json", all=1):
        d.api.ok("DELETE", "/containers/" + v["Id"])
    d.api.ok("DELETE", "/volumes/half")


def test_what_others_wrote_stays(own_daemon):
    """While a volume was filled somebody else put a file into it; then the daemon died."""
    d = filled_daemon(own_daemon)
    d.start(env={"CLEAT_FAIL": "clone.file=stop@3"})
    thread = threading.Thread(target=fill, args=(d, "half"))
    thread.start()
    until(lambda: cleat.process_state(d.process.pid) == "T", 10)
    own = os.path.join(d.data_root, "volumes", "half", "_data", "own")
    with open(own, "w", encoding="utf-8") as f:
        f.write("mine")
    d.crash()
    thread.join()
    d.start()
    assert content(d, "half") == ["own"]
    assert fill(d, "half", cname="second")
    assert content(d, "half") == ["own"]  # it is not empty


def test_an_error_leaves_it_empty(own_daemon):
    d = filled_daemon(own_daemon)
    d.start(env={"CLEAT_FAIL": "clone.file=error@3"})
    assert not fill(d, "half") and content(d, "half") == []
    assert fill(d, "half") and content(d, "half") == FILES
