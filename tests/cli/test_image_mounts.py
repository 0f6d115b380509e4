"""Images as mounts: another image's tree in a container, read-only, whole or in part."""
import json
import tarfile

import pytest

import fixtures
import images

TAG = "mounted:1"


def archive(tag=TAG, text=b"from the image"):
    """Two layers, of which the upper takes a file of the lower away and hides a directory's rest."""
    low = images.layer(("tool", None, {"mode": 0o755}),
                       ("tool/run", b"#!/bin/sh\necho ran\n", {"mode": 0o755}),
                       ("tool/old", b"old", {}), ("data", None, {"mode": 0o750, "uid": 1000}),
                       ("data/f", text, {"uid": 1000}))
    top = images.layer(("tool/.wh.old", b"", {}), ("tool/new", b"new", {}))
    return images.docker_archive([tag], [low, top], {"Cmd": ["/tool/run"]})


@pytest.fixture(scope="module")
def image(daemon):
    assert daemon.api.post("/images/load", archive()).status == 200
    yield TAG
    daemon.api.delete("/images/" + TAG, force=1)


def mount(more="", source=TAG, target="/m"):
    return "type=image,source=%s,target=%s%s" % (source, target, more)


def shown(cli, c):
    return json.loads(cli.ok("inspect", c))[0]["Mounts"]


def test_tree_of_all_layers(cli, image):
    out = cli.ok("run", "--rm", "--mount", mount(), "busybox", "sh", "-c",
                 "ls /m/tool; cat /m/data/f; stat -c ' %u %a' /m/data; /m/tool/run")
    assert out == "new\nrun\nfrom the image 1000 750\nran"


def test_nobody_writes(cli, image):
    for extra in ("", ",readonly=false"):
        r = cli("run", "--rm", "--privileged", "--mount", mount(extra), "busybox", "sh", "-c",
                "echo x > /m/tool/new")
        assert r.returncode == 1 and "Read-only file system" in r.stderr, r
    assert cli.ok("run", "--rm", "--mount", mount(), "busybox", "cat", "/m/tool/new") == "new"


def test_part_of_an_image(cli, image, daemon):
    assert cli.ok("run", "--rm", "--mount", mount(",image-subpath=tool"), "busybox", "ls",
                  "/m") == "new\nrun"
    assert cli.ok("run", "--rm", "--mount", mount(",image-subpath=data/f"), "busybox", "cat",
                  "/m") == "from the image"
    r = cli("run", "--rm", "--mount", mount(",image-subpath=none"), "busybox", "true")
    assert r.returncode in (125, 127) and "No such file" in r.stderr
    for bad in ("/tool", "../tool", "tool/../.."):
        r = cli("create", "--mount", mount(",image-subpath=" + bad), "busybox", "true")
        assert r.returncode != 0 and "subpath must be a relative path" in r.stderr, r


def test_an_image_without_layers(daemon, cli):
    tag = "mounted-none:1"
    assert daemon.api.post("/images/load", images.docker_archive([tag], [])).status == 200
    try:
        out = cli("run", "--rm", "--mount", mount(source=tag), "busybox", "sh", "-c",
                  "ls /m; touch /m/x")
        assert out.returncode == 1 and out.stdout == "" and "Read-only" in out.stderr, out
    finally:
        daemon.api.delete("/images/" + tag, force=1)


def test_links_stay_inside(daemon, cli):
    tag = "mounted-links:1"
    top = images.layer(("in", None, {"mode": 0o755}), ("in/f", b"inside", {}))
    links = images.layer(*[(n, b"", {"type": tarfile.SYMTYPE, "linkname": to}) for n, to in
                           (("out", "/etc"), ("up", "../../../etc"), ("good", "/in"))])
    body = images.docker_archive([tag], [top, links])
    assert daemon.api.post("/images/load", body).status == 200
    try:
        assert cli.ok("run", "--rm", "--mount", mount(",image-subpath=good", tag), "busybox", "cat",
                      "/m/f") == "inside"
        for bad in ("out", "up"):
            r = cli("run", "--rm", "--mount", mount(",image-subpath=" + bad, tag), "busybox", "ls",
                    "/m")
            assert r.returncode in (125, 127) and "No such file" in r.stderr, r
    finally:
        daemon.api.delete("/images/" + tag, force=1)


def test_what_inspect_says(cli, box, image, daemon):
    c = box()
    cli.ok("create", "--name", c, "--mount", mount(",image-subpath=tool"), "busybox", "true")
    image_id = daemon.api.ok("GET", "/images/%s/json" % image)["Id"]
    m, = shown(cli, c)
    assert (m["Type"], m["Name"], m["Source"], m["Destination"]) == ("image", image, image_id, "/m")
    assert (m["RW"], m["Mode"], m["Propagation"]) == (False, "", "")
    spec, = json.loads(cli.ok("inspect", c))[0]["HostConfig"]["Mounts"]
    assert spec["Type"] == "image" and spec["ImageOptions"] == {"Subpath": "tool"}


def test_handed_on_and_copied_from(cli, box, image, tmp_path):
    one = box()
    cli.ok("create", "--name", one, "--mount", mount(), "--mount",
           mount(",image-subpath=tool", target="/t"), "busybox", "sleep", "1000")
    out = cli.ok("run", "--rm", "--volumes-from", one, "busybox", "sh", "-c",
                 "cat /m/data/f; ls /t; touch /t/x 2>/dev/null || echo ' refused'")
    assert out == "from the imagenew\nrun\n refused"
    for running in (False, True):
        if running:
            cli.ok("start", one)
        for path, want in (("/m/data/f", "from the image"), ("/t/new", "new")):
            to = tmp_path / ("%s-%d" % (path.replace("/", "_"), running))
            cli.ok("cp", one + ":" + path, str(to))
            assert to.read_text() == want
        r = cli("cp", str(tmp_path / "_t_new-0"), one + ":/m/tool/y")
        assert r.returncode != 0 and "read-only" in r.stderr.lower(), r
    assert "/m/" not in cli.ok("diff", one)


@pytest.mark.parametrize("args,part", [
    (["source=none:9,target=/m"], "No such image: none:9"),
    (["target=/m"], "Source must not be empty"), (["source=%s,target=m" % TAG], "absolute"),
    (["source=%s,target=/" % TAG], "destination can't be '/'")])
def test_bad_image_mounts(cli, image, args, part):
    r = cli("create", "--mount", "type=image," + args[0], "busybox", "true")
    assert r.returncode != 0 and part in r.stderr, r
    assert cli.ok("ps", "-aq", "-f", "status=created") == ""


def test_image_options_of_another_kind(cli):
    r = cli("create", "--mount", "type=volume,target=/m,image-subpath=x", "busybox", "true")
    assert r.returncode != 0 and ("cannot mix 'image-*' options" in r.stderr or
                                  "image-subpath" in r.stderr), r


def test_it_stays_while_it_is_used(cli, box, name, daemon):
    tag, c = "kept-%s:1" % name, box()
    assert daemon.api.post("/images/load", archive(tag, name.encode())).status == 200
    cli.ok("run", "-d", "--name", c, "--mount", mount(source=tag), "busybox", "sleep", "1000")
    image_id = daemon.api.ok("GET", "/images/%s/json" % tag)["Id"]
    for force in ([], ["-f"]):
        r = cli("rmi", *force, image_id)
        assert r.returncode == 1 and "cannot be forced" in r.stderr, r
    r = cli("rmi", tag)
    assert r.returncode == 1 and "must force" in r.stderr, r
    cli.ok("rmi", "-f", tag)  # the name goes, the image stays
    assert daemon.api.get("/images/%s/json" % tag).status == 404
    cli.ok("image", "prune", "-f")
    cli.ok("restart", "-t", "0", c)
    assert cli.ok("exec", c, "cat", "/m/data/f") == name
    cli.ok("kill", c)
    r = cli("rmi", image_id)
    assert r.returncode == 1 and "must be forced" in r.stderr, r
    cli.ok("rm", c)
    cli.ok("rmi", image_id)
    assert daemon.api.get("/images/%s/json" % image_id).status == 404


def test_gone_by_force(cli, box, name, daemon):
    """Who forces it away from a stopped container finds a start that says so."""
    tag, c = "forced-%s:1" % name, box()
    assert daemon.api.post("/images/load", archive(tag, name.encode())).status == 200
    cli.ok("create", "--name", c, "--mount", mount(source=tag), "busybox", "true")
    image_id = daemon.api.ok("GET", "/images/%s/json" % tag)["Id"]
    cli.ok("rmi", "-f", image_id)
    r = cli("start", c)
    assert r.returncode == 1 and "mount image %s at /m" % tag in r.stderr, r
    assert shown(cli, c)[0]["Source"] == image_id
    cli.ok("rm", c)


def test_a_name_that_moves(own_daemon):
    """What a name meant when the container was made is what it keeps, also for the next daemon."""
    d = own_daemon().start()
    fixtures.load(d)
    api = d.api
    assert api.post("/images/load", archive(text=b"first")).status == 200
    cid = api.ok("POST", "/containers/create", {
        "Image": "busybox", "Cmd": ["grep", "-q", "^first$", "/m/data/f"],
        "HostConfig": {"Mounts": [{"Type": "image", "Source": TAG, "Target": "/m"}]}})["Id"]
    before = api.ok("GET", "/containers/%s/json" % cid)["Mounts"]
    assert api.post("/images/load", archive(text=b"second")).status == 200
    d.crash()
    d.start()
    assert api.ok("GET", "/containers/%s/json" % cid)["Mounts"] == before
    assert api.ok("POST", "/images/prune")["ImagesDeleted"] in (None, [])
    api.ok("POST", "/containers/%s/start" % cid)
    assert api.ok("POST", "/containers/%s/wait" % cid)["StatusCode"] == 0


def test_docker_py(daemon, image):
    docker = pytest.importorskip("docker")
    client = docker.DockerClient(base_url=daemon.url, version="auto")
    out = client.containers.run(
        "busybox", "cat /m/new", remove=True,
        mounts=[{"Type": "image", "Source": image, "Target": "/m", "ImageOptions": {"Subpath": "tool"}}])
    assert out == b"new"
