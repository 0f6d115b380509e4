"""Images: load, import, list, inspect, tag, remove, history, save, prune."""
import gzip
import hashlib
import io
import json
import re
import shutil
import tarfile
import time

import pytest

import images
from cleat import demux, until

SMALL = images.layer(("etc", None, {"mode": 0o755}), ("etc/marker", b"small\n", {}))


def load(api, body, **query):
    r = api.post("/images/load", body, headers={"Content-Type": "application/x-tar"}, **query)
    assert r.status == 200, r
    return r.lines


@pytest.fixture
def image(api, name):
    """A small image of its own: (reference, id); removed after the test."""
    ref = name + ":1"
    conf = {"Labels": {"test": name}}
    load(api, images.docker_archive([ref], [SMALL], conf))
    iid = images.image_id([ref], [SMALL], conf)
    yield ref, iid
    api.delete("/images/" + iid, force=1)


def run(api, ref, *cmd):
    cid = api.ok("POST", "/containers/create", {"Image": ref, "Cmd": list(cmd)})["Id"]
    try:
        api.ok("POST", "/containers/%s/start" % cid)
        code = api.ok("POST", "/containers/%s/wait" % cid)["StatusCode"]
        return code, demux(api.get("/containers/%s/logs" % cid, stdout=1, stderr=1).body)[0]
    finally:
        api.delete("/containers/" + cid, force=1)


# ---- load ----

@pytest.mark.parametrize("squeeze", ["", "gzip", "zstd"])
def test_load_docker_archive(api, name, squeeze):
    if squeeze == "zstd" and not shutil.which("zstd"):
        pytest.skip("no zstd program to compress with")
    data = images.docker_archive([name + ":a", name + ":b"], [images.busybox(), SMALL])
    data = {"": bytes, "gzip": gzip.compress, "zstd": images.zstd}[squeeze](data)
    text = "".join(m.get("stream", "") for m in load(api, data))
    assert "Loaded image: %s:a" % name in text and "Loaded image: %s:b" % name in text
    assert run(api, name + ":b", "cat", "/etc/marker") == (0, b"small\n")
    api.ok("DELETE", "/images/%s:a" % name)
    api.ok("DELETE", "/images/%s:b" % name)


@pytest.mark.parametrize("squeeze", ["", "gzip", "zstd"])
def test_load_oci_layout(api, name, squeeze):
    if squeeze == "zstd" and not shutil.which("zstd"):
        pytest.skip("no zstd program to compress with")
    ref = name + ":oci"
    load(api, images.oci_archive(ref, [images.busybox(), SMALL], compress=squeeze))
    assert run(api, ref, "cat", "/etc/marker") == (0, b"small\n")
    api.ok("DELETE", "/images/" + ref)


def test_load_untagged_names_the_id(api, name):
    conf = {"Labels": {"untagged": name}}
    text = "".join(m.get("stream", "") for m in
                   load(api, images.docker_archive(None, [SMALL], conf)))
    iid = images.image_id(None, [SMALL], conf)
    assert "Loaded image ID: " + iid in text
    assert api.ok("GET", "/images/%s/json" % iid)["RepoTags"] == []
    api.ok("DELETE", "/images/" + iid)


def test_load_quiet(api, name):
    rows = load(api, images.docker_archive([name + ":q"], [SMALL]), quiet=1)
    assert all("progressDetail" not in m for m in rows)
    api.ok("DELETE", "/images/%s:q" % name)


def test_whiteouts(api, name):
    upper = images.layer(("etc", None, {"mode": 0o755}), ("etc/.wh.group", b"", {}),
                         ("home", None, {"mode": 0o755}), ("home/.wh..wh..opq", b"", {}))
    ref = name + ":wh"
    load(api, images.docker_archive([ref], [images.busybox(), upper]))
    code, out = run(api, ref, "sh", "-c", "ls /etc; ls -A /home | wc -l")
    assert code == 0 and b"passwd" in out and b"group" not in out and out.endswith(b"0\n")
    api.ok("DELETE", "/images/" + ref)


def test_layer_attributes(api, name):
    same = {"mode": 0o4751, "uid": 12, "gid": 34, "mtime": 1000000000}
    upper = images.layer(
        ("f", b"x", same), ("hard", b"", {"type": tarfile.LNKTYPE, "linkname": "f", **same}),
        ("sym", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        ("fifo", b"", {"type": tarfile.FIFOTYPE, "mode": 0o600}),
        ("long/" + "d" * 90 + "/" + "n" * 200, b"deep", {}))
    ref = name + ":attr"
    load(api, images.docker_archive([ref], [images.busybox(), upper]))
    code, out = run(api, ref, "sh", "-c",
                    "stat -c '%a %u %g %Y %h' /f; readlink /sym; test -p /fifo && cat /long/*/n*")
    assert code == 0 and out == b"4751 12 34 1000000000 2\n/etc/passwd\ndeep"
    api.ok("DELETE", "/images/" + ref)


# ---- import ----

def test_import(api, name):
    r = api.post("/images/create", images.busybox(), fromSrc="-", repo=name, tag="imp",
                 message="by hand", changes='CMD ["cat", "/etc/passwd"]',
                 headers={"Content-Type": "application/x-tar"})
    assert r.status == 200, r
    iid = r.lines[-1]["status"]
    assert re.fullmatch("sha256:[0-9a-f]{64}", iid)
    i = api.ok("GET", "/images/%s:imp/json" % name)
    assert i["Id"] == iid and i["Comment"] == "by hand"
    assert i["Config"]["Cmd"] == ["cat", "/etc/passwd"]
    assert run(api, name + ":imp", "true") == (0, b"")
    api.ok("DELETE", "/images/%s:imp" % name)


# ---- list, inspect, history ----

def test_list_entry(api, image):
    ref, iid = image
    i, = [x for x in api.ok("GET", "/images/json") if x["Id"] == iid]
    assert i["RepoTags"] == [ref] and i["RepoDigests"] == [] and i["ParentId"] == ""
    assert i["Labels"] == {"test": ref[:-2]} and i["Containers"] == -1 and i["SharedSize"] == -1
    assert i["Created"] == 1704164645 and 0 < i["Size"] < 100_000
    assert "VirtualSize" not in i
    i, = [x for x in api.at("1.43").ok("GET", "/images/json") if x["Id"] == iid]
    assert i["VirtualSize"] == i["Size"]


def test_list_filters(api, image, name):
    ref, iid = image
    load(api, images.docker_archive([name + ":2"], [SMALL], {"Labels": {"second": name}}))

    def ids(**filters):
        return [x["Id"] for x in api.ok("GET", "/images/json", filters=filters)]
    repo = ref.split(":")[0]
    assert iid in ids(reference=[ref]) and iid in ids(reference=[repo])
    assert iid in ids(reference=[repo[:-1] + "*"]) and iid not in ids(reference=["nope"])
    assert ids(label=["test=" + repo]) == [iid] and ids(label=["test=x"]) == []
    assert iid in ids(dangling=["false"]) and iid not in ids(dangling=["true"])
    r = api.get("/images/json", filters={"colour": ["red"]})
    assert r.status == 400 and r.message == "invalid filter 'colour'"
    r = api.get("/images/json", filters={"dangling": ["maybe"]})
    assert r.status == 400 and r.message == "invalid filter 'dangling=[maybe]'"
    api.ok("DELETE", "/images/%s:2" % name)


def test_inspect(api):
    i = api.ok("GET", "/images/cleat-test:cfg/json")
    assert i["RepoTags"] == ["cleat-test:cfg"] and i["Os"] == "linux"
    assert i["Architecture"] in ("amd64", "arm64") and i["Created"] == "2023-05-06T07:08:09Z"
    config = i["Config"]
    assert config["Entrypoint"] == ["/bin/echo", "entry"] and config["Cmd"] == ["cmd"]
    assert config["User"] == "web" and config["Volumes"] == {"/data": {}}
    assert i["RootFS"]["Type"] == "layers" and len(i["RootFS"]["Layers"]) == 1
    digest = hashlib.sha256(images.busybox()).hexdigest()
    assert i["RootFS"]["Layers"] == ["sha256:" + digest]
    assert i["GraphDriver"]["Name"] and "LastTagTime" in i["Metadata"]


def test_inspect_by_every_name(api, image):
    ref, iid = image
    for key in (ref, iid, iid[7:], iid[7:19], "docker.io/library/" + ref, "library/" + ref):
        assert api.ok("GET", "/images/%s/json" % key)["Id"] == iid, key


def test_history(api):
    rows = api.ok("GET", "/images/busybox/history")
    assert rows[0]["Id"].startswith("sha256:") and "busybox:latest" in rows[0]["Tags"]
    assert rows[0]["CreatedBy"] == "step 0" and rows[0]["Created"] == 1704164645
    assert sum(r["Size"] for r in rows) > 1_000_000


# ---- tag, remove ----

def test_tag(api, image, name):
    ref, iid = image
    r = api.post("/images/%s/tag" % ref, repo="reg.example:5000/x/" + name, tag="t1")
    assert r.status == 201
    i = api.ok("GET", "/images/%s/json" % iid)
    assert sorted(i["RepoTags"]) == sorted([ref, "reg.example:5000/x/%s:t1" % name])
    api.ok("POST", "/images/%s/tag" % ref, repo=name + "-b")
    assert api.ok("GET", "/images/%s-b:latest/json" % name)["Id"] == iid
    assert api.ok("GET", "/images/%s/json" % iid)["Metadata"]["LastTagTime"] > "2020"
    # a tag moves; without tags the image stays, nameless, until removed by id
    api.ok("POST", "/images/busybox/tag", repo=name + "-b")
    assert api.ok("GET", "/images/%s-b/json" % name)["Id"] != iid
    r = api.ok("DELETE", "/images/%s-b" % name)
    assert r == [{"Untagged": name + "-b:latest"}]
    for bad in ("UPPER", "a b", "a/" * 200, "-x", ""):
        r = api.post("/images/%s/tag" % ref, repo=bad)
        assert r.status == 400, (bad, r)
    assert api.post("/images/%s/tag" % ref, repo="x", tag="bad tag").status == 400


def test_remove(api, image, name):
    ref, iid = image
    api.ok("POST", "/images/%s/tag" % ref, repo=name, tag="other")
    r = api.delete("/images/" + iid)
    assert r.status == 409 and "is referenced in multiple repositories" in r.message or \
        "must be forced" in r.message
    assert api.ok("DELETE", "/images/%s:other" % name) == [{"Untagged": name + ":other"}]
    rows = api.ok("DELETE", "/images/" + ref)
    assert rows[0] == {"Untagged": ref} and {"Deleted": iid} in rows
    assert api.get("/images/%s/json" % iid).status == 404


def test_remove_while_in_use(api, image, make, name):
    ref, iid = image
    cid = make(Image=ref, Cmd=["x"], cname=name)
    r = api.delete("/images/" + iid)
    assert r.status == 409 and cid[:12] in r.message and "conflict" in r.message
    r = api.delete("/images/" + ref)
    assert r.status == 409 and "is using its referenced image" in r.message
    assert api.ok("DELETE", "/images/" + ref, force=1)[0] == {"Untagged": ref}
    assert api.ok("GET", "/containers/%s/json" % cid)["Image"] == iid


def test_remove_of_a_running_containers_image(api, name, make):
    ref = name + ":run"
    load(api, images.docker_archive([ref], [images.busybox(), SMALL], {"Labels": {"r": name}}))
    iid = api.ok("GET", "/images/%s/json" % ref)["Id"]
    cid = make(start=True, Image=ref, Cmd=["sleep", "1000"], StopSignal="SIGKILL")
    r = api.delete("/images/" + iid, force=1)
    assert r.status == 409 and "cannot be forced" in r.message
    assert "is being used by running container " + cid[:12] in r.message
    api.ok("DELETE", "/containers/" + cid, force=1)
    api.ok("DELETE", "/images/" + ref)


def test_prune(api, name):
    conf = {"Labels": {"prune": name}}
    load(api, images.docker_archive([name + ":keep"], [SMALL], conf))
    other = {"Labels": {"prune": name, "n": "2"}}
    load(api, images.docker_archive(None, [SMALL], other))
    gone = images.image_id(None, [SMALL], other)
    r = api.ok("POST", "/images/prune", filters={"label": ["prune=" + name]})
    assert {"Deleted": gone} in r["ImagesDeleted"] and r["SpaceReclaimed"] >= 0
    assert api.get("/images/%s:keep/json" % name).status == 200
    r = api.ok("POST", "/images/prune", filters={"dangling": ["false"],
                                                 "label": ["prune=" + name]})
    assert {"Untagged": name + ":keep"} in r["ImagesDeleted"]


# ---- save ----

def saved(body):
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}


@pytest.mark.parametrize("path", ["/images/%s/get", "/images/get"])
def test_save(api, image, path):
    ref, iid = image
    r = api.get(path % ref) if "%" in path else api.get(path, names=ref)
    assert r.status == 200 and r.headers["Content-Type"] == "application/x-tar"
    files = saved(r.body)
    manifest, = json.loads(files["manifest.json"])
    assert manifest["RepoTags"] == [ref]
    assert "sha256:" + hashlib.sha256(files[manifest["Config"]]).hexdigest() == iid
    assert [files[x] for x in manifest["Layers"]] == [SMALL]  # byte for byte
    index = json.loads(files["index.json"])
    assert index["manifests"][0]["digest"].replace(":", "/") in \
        [n[6:] for n in files if n.startswith("blobs/")]
    assert json.loads(files["oci-layout"])["imageLayoutVersion"]


def test_save_and_load_again(api, image):
    ref, iid = image
    body = api.get("/images/%s/get" % ref).body
    api.ok("DELETE", "/images/" + ref)
    assert "Loaded image: " + ref in "".join(m.get("stream", "") for m in load(api, body))
    assert api.ok("GET", "/images/%s/json" % ref)["Id"] == iid


def test_save_of_several(api, image):
    ref, _ = image
    conn, resp = api.stream("GET", "/images/get?names=%s&names=busybox" % ref)
    files = saved(resp.read())
    conn.close()
    tags = [t for m in json.loads(files["manifest.json"]) for t in m["RepoTags"]]
    assert sorted(tags) == sorted([ref, "busybox:latest"])


def test_save_of_a_missing_image(api):
    r = api.get("/images/nope/get")
    assert r.status == 404 and "nope" in r.message


def test_events_of_images(api, name):
    since = time.time()
    load(api, images.docker_archive([name + ":e"], [SMALL], {"Labels": {"e": name}}))
    api.ok("POST", "/images/%s:e/tag" % name, repo=name, tag="f")
    api.ok("DELETE", "/images/%s:e" % name)
    api.ok("DELETE", "/images/%s:f" % name)

    def actions():
        rows = api.get("/events", since="%.9f" % since, until="%.9f" % time.time(),
                       filters={"type": ["image"]}).lines
        return [e["Action"] for e in rows]
    until(lambda: set(actions()) >= {"load", "tag", "untag", "delete"}, what=actions)
