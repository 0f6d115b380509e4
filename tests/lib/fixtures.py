"""Fixtures that tests/api and tests/cli share. One daemon per session and folder; every test gets
names of its own and removes what it made, and at the end the daemon must have left nothing."""
import itertools
import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import cleat  # noqa: E402
import images  # noqa: E402

TEST_SECONDS = int(os.environ.get("CLEAT_TEST_SECONDS", "60"))
_number = itertools.count(1)
_session = []  # the shared daemon while it lives


def pytest_configure(config):
    config.addinivalue_line("markers", "seconds(n): the test may take longer than others")


@pytest.fixture(scope="session")
def sandbox():
    why = cleat.why_not()
    if why:
        pytest.skip(why)
    try:
        cleat.enter_sandbox()
    except OSError as e:
        pytest.skip("no namespaces of its own: %s" % e)


@pytest.fixture(autouse=True)
def time_limit(request):
    """A hung test is a failed test."""
    mark = request.node.get_closest_marker("seconds")
    limit = mark.args[0] if mark else TEST_SECONDS
    def expired(*_):
        raise TimeoutError("test took more than %d s" % limit)
    old = signal.signal(signal.SIGALRM, expired)
    signal.alarm(limit)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)


@pytest.fixture(scope="session")
def daemon(sandbox):
    d = cleat.Daemon()
    try:
        d.start()
        load(d)
        d.firewall = cleat.nft_ruleset()
        _session.append(d)
        yield d
    finally:
        _session.clear()
        close(d)


@pytest.fixture(autouse=True)
def daemon_survives(request):
    """A test that kills the shared daemon fails, and the next one finds a new daemon."""
    yield
    for d in _session:
        if d.process.poll() is not None and not d.stopped:
            code = d.process.returncode
            d.start()
            load(d)
            pytest.fail("the daemon died with %d:\n%s" % (code, d.log()[-3000:]))
        report = d.reports()
        assert not report, report


def close(d):
    """The end of a daemon: no sanitizer may have complained about it or its shims."""
    report = None
    try:
        if d.process and not d.stopped:
            d.stop()
        report = d.reports()
    finally:
        d.close()
    assert not report, report


@pytest.fixture
def own_daemon(sandbox):
    """A daemon that the test may crash: not started yet, images not loaded."""
    made = []

    def make(**kw):
        d = cleat.Daemon(**kw)
        made.append(d)
        return d
    yield make
    for d in made:
        close(d)


def load_image(d, tag, settings, when):
    body = images.docker_archive([tag], [images.busybox()], settings, created=when)
    reply = d.api.post("/images/load", body, headers={"Content-Type": "application/x-tar"})
    assert reply.status == 200 and b"Loaded image" in reply.body, reply


def load_busybox(d):
    load_image(d, "busybox:latest", None, "2024-01-02T03:04:05Z")


def load(d):
    load_busybox(d)
    load_image(d, "cleat-test:cfg", images.SETTINGS, "2023-05-06T07:08:09Z")


def prove_clean(d):
    """Remove all containers and see that nothing of them is left; then the same for the daemon,
    which must be stoppable."""
    for c in d.api.get("/containers/json", all=1).json:
        d.api.delete("/containers/" + c["Id"], force=1, v=1)
    cleat.until(lambda: not d.leftovers(), 10, lambda: d.leftovers())
    if d.firewall is not None:
        assert cleat.nft_ruleset() == d.firewall
    assert d.stop() == 0, d.log()[-2000:]
    cleat.until(lambda: not d.leftovers(running=False), 10, lambda: d.leftovers(running=False))
    assert not os.path.exists(os.path.join(d.dir, "cleatd.pid"))


@pytest.fixture(scope="module")
def fail_build():
    """For tests of crashes and errors, which need a build with fail points."""
    if cleat.SANITIZED:
        pytest.skip("runs once, without sanitizers")
    if not cleat.BUILD_FAIL:
        pytest.skip("CLEAT_BUILD_FAIL names no build with fail points")
    why = cleat.why_not(cleat.BUILD_FAIL)
    if why:
        pytest.skip(why)


@pytest.fixture
def api(daemon):
    return daemon.api


@pytest.fixture
def name():
    """A fresh name for a container or image."""
    return "t%d-%d" % (os.getpid(), next(_number))


@pytest.fixture
def box(daemon, name):
    """Names for containers a test makes by command line; removed afterwards."""
    used = []

    def new(suffix=""):
        used.append(name + suffix)
        return name + suffix
    yield new
    for n in used:
        daemon.api.delete("/containers/" + n, force=1, v=1)


@pytest.fixture
def make(daemon, name):
    """make(Cmd=[...], HostConfig={...}) creates a container and returns its id; start=True starts
    it. All are removed after the test."""
    ids = []

    def create(start=False, cname=None, **body):
        body.setdefault("Image", "busybox")
        if cleat.SANITIZED and body.get("HostConfig", {}).get("Init"):
            pytest.skip(cleat.NO_INIT)
        query = {"name": cname} if cname else {}
        cid = daemon.api.ok("POST", "/containers/create", body, **query)["Id"]
        ids.append(cid)
        if start:
            daemon.api.ok("POST", "/containers/%s/start" % cid)
        return cid
    yield create
    for cid in ids:
        reply = daemon.api.delete("/containers/" + cid, force=1, v=1)
        assert reply.status in (204, 404, 409), reply


@pytest.fixture
def sleeper(make):
    """A running container that ends at once when told to."""
    return make(start=True, Cmd=["sleep", "1000"], StopSignal="SIGKILL")
