"""cleat build: its options, the forms of a context and of a Dockerfile, how progress is shown."""
import io
import json
import os
import re
import signal
import subprocess
import tarfile

import pytest

import builds
from cleat import until
from remotes import needs_git

RUN_ECHO = "FROM busybox\nRUN echo to-the-log\n"


@pytest.fixture
def build(daemon, tmp_path, name):
    made = builds.Builder(daemon, "cleat", tmp_path, name)
    yield made
    made.close()


def image_id(build):
    return build.cli.ok("image", "inspect", "-f", "{{.Id}}", build.tag)


def label(build, key):
    return build.cli.ok("image", "inspect", "-f", '{{index .Config.Labels "%s"}}' % key, build.tag)


# ---- progress ----

def test_plain_is_as_buildkits(build):
    out = build("FROM busybox AS base\nRUN echo one; echo two >&2; printf three\n", None,
                "--progress", "plain").ok().out
    assert re.search(r"^#\d+ \[base 2/2\] RUN echo one; echo two >&2; printf three$", out, re.M), out
    step = re.search(r"^#(\d+) \[base 2/2\]", out, re.M)[1]
    for word in ("one", "two", "three"):
        assert re.search(r"^#%s \d+\.\d{3} %s$" % (step, word), out, re.M), out
    assert re.search(r"^#%s DONE \d+\.\ds$" % step, out, re.M), out


def test_plain_says_cached(build):
    build(RUN_ECHO).ok()
    out = build(RUN_ECHO, None, "--progress=plain").ok().out
    assert re.search(r"^#\d+ CACHED$", out, re.M) and "to-the-log" not in out.split("RUN", 1)[1]\
        .split("\n", 1)[1], out


def test_an_error_ends_with_1_output_and_excerpt(build):
    done = build("FROM busybox\nRUN echo last-words; exit 3\nRUN true\n", None, "--progress=plain")
    assert done.code == 1
    assert re.search(r"^#\d+ ERROR: ", done.out, re.M), done.out
    assert "------\n > [2/3] RUN echo last-words; exit 3:\nlast-words\n------\n" in done.out
    assert "Dockerfile:2\n" in done.out and ">>> RUN echo last-words; exit 3" in done.out
    assert done.out.rstrip().split("\n")[-1].startswith("ERROR: failed to build: "), done.out


def test_rawjson_is_one_object_per_line(build):
    done = build(RUN_ECHO, None, "--progress=rawjson", "--no-cache").ok()
    objects = [json.loads(line) for line in done.out.splitlines()]
    assert any(v.get("name", "").startswith("[2/2]")
               for o in objects for v in o.get("vertexes", []))
    assert any("logs" in o for o in objects)


def test_quiet_prints_the_id_alone(build):
    done = build.cli
    build(RUN_ECHO).ok()
    out = done("build", "-q", "--network=none", "-t", build.tag, build.context)
    assert (out.returncode, out.stderr) == (0, "")
    assert out.stdout.strip() == image_id(build)
    for mode in ("quiet", "none"):
        out = done("build", "--progress", mode, "--network=none", build.context)
        assert (out.returncode, out.stdout, out.stderr) == (0, "", "")


def test_a_terminal_is_drawn_in_place(build):
    builds.write_tree(build.context, {"Dockerfile": RUN_ECHO})
    code, out = build.cli.terminal("build", "--network=none", "--no-cache", "-t", build.tag,
                                   build.context, columns=50).end(30)
    assert code == 0, out
    out = out.decode()
    assert "[+] Building" in out and "FINISHED" in out, out
    assert re.search(r"\x1b\[\d+A", out), out
    for line in re.split(r"\r?\n", re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", out)):
        assert len(line.strip("\r")) <= 50, line


def test_a_terminal_is_not_led_astray(build):
    """Output is cut to the width whatever it consists of, and cannot move the cursor."""
    text = "FROM busybox\nRUN printf '\\033[2J\\033[10A%s\\rover\\n' ; " \
           "echo " + "\u4e2d" * 60 + "; sleep 0.5\n"
    builds.write_tree(build.context, {"Dockerfile": text})
    code, out = build.cli.terminal("build", "--network=none", "--no-cache", "-t", build.tag,
                                   build.context, columns=40).end(30)
    assert code == 0, out
    assert b"\x1b[2J" not in out and b"\x1b[10A" not in out
    lines = re.split(r"\r?\n", re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", out.decode()))
    assert len(re.findall("Building 0\\.[1-4]s", out.decode())) >= 2, "time goes on meanwhile"
    assert any("# over" in line for line in lines), lines
    for line in lines:
        assert sum(1 + (c > "\u2e7f") for c in line.strip("\r")) <= 40, line


def test_progress_of_an_unknown_kind_is_refused(build):
    done = build(RUN_ECHO, None, "--progress=loud")
    assert done.code == 1 and "invalid progress mode loud" in done.out


def test_progress_comes_from_the_environment(build):
    out = build(RUN_ECHO, None, env={"BUILDKIT_PROGRESS": "rawjson"}).ok().out
    assert all(line.startswith("{") for line in out.splitlines())


# ---- where the context and the Dockerfile are ----

def tar_of(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for path, text in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(text)
            t.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def built_from_stdin(build, data, *args, context="-"):
    done = build.cli("build", "--network=none", "-t", build.tag, *args, context, stdin=data)
    return builds.Built(build, subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()))


@pytest.mark.parametrize("compress", ["none", "gzip"])
def test_a_tar_on_stdin(build, compress):
    data = tar_of({"Dockerfile": "FROM busybox\nCOPY f /f\n", "f": "from tar\n"})
    if compress == "gzip":
        import gzip
        data = gzip.compress(data)
    built_from_stdin(build, data).ok()
    assert build.cli.ok("run", "--rm", "--network=none", build.tag, "cat", "/f") == "from tar"


def test_a_tar_on_stdin_with_another_dockerfile(build):
    data = tar_of({"d/Other": "FROM busybox\nLABEL which=other\n"})
    built_from_stdin(build, data, "-f", "d/Other").ok()
    assert label(build, "which") == "other"


def test_a_dockerfile_on_stdin_without_a_context(build):
    built_from_stdin(build, b"FROM busybox\nLABEL which=stdin\n").ok()
    assert label(build, "which") == "stdin"


def test_a_dockerfile_on_stdin_with_a_context(build):
    builds.write_tree(build.context, {"f": "content", "Dockerfile": "FROM nowhere\n"})
    built_from_stdin(build, b"FROM busybox\nCOPY . /all\n", "-f", "-", context=build.context).ok()
    names = set(builds.Built(build, subprocess.CompletedProcess([], 0, "", "")).tree())
    assert {"all/f", "all/Dockerfile"} <= names
    assert not [n for n in names if ".dockerfile." in n]


@pytest.mark.parametrize("args,data,says", [
    (["-f", "-"], b"x", "can't use stdin for both"),
    (["-f", "x"], b"FROM busybox\n", "ambiguous Dockerfile source"),
    ([], b"", "is empty"),
])
def test_stdin_that_cannot_be(build, args, data, says):
    done = built_from_stdin(build, data, *args)
    assert done.code == 1 and says in done.out


def test_a_dockerfile_outside_of_the_context(build, tmp_path):
    builds.write_tree(str(tmp_path), {"other/My.Dockerfile": "FROM busybox\nCOPY . /all\nRUN false\n",
                                      "other/My.Dockerfile.dockerignore": "secret\n"})
    files = {"f": "1", "secret": "2", ".dockerignore": "f\n"}
    done = build(None, files, "-f", str(tmp_path / "other/My.Dockerfile"))
    assert "My.Dockerfile:3\n" in done.out, done.out
    (tmp_path / "other/My.Dockerfile").write_text("FROM busybox\nCOPY . /all\n")
    tree = build(None, None, "-f", str(tmp_path / "other/My.Dockerfile")).ok().tree()
    assert "all/f" in tree and "all/secret" not in tree
    assert not [n for n in tree if ".dockerfile." in n]


def test_a_dockerfile_in_the_context_by_another_name(build):
    files = {"deep/D": "FROM busybox\nLABEL which=deep\n", ".dockerignore": "deep\n"}
    build(None, files, "-f", os.path.join(build.context, "deep/D")).ok()
    assert label(build, "which") == "deep"


def test_what_is_missing_is_named(build):
    assert "failed to read dockerfile: open Dockerfile: no such file" in build().out
    done = build(context="/no/such/dir")
    assert done.code == 1 and 'unable to prepare context: path "/no/such/dir" not found' in done.out
    builds.write_tree(build.context, {"file": "x"})
    assert "context must be a directory" in build(context=os.path.join(build.context, "file")).out


def test_an_unreadable_file_ends_the_build(build):
    builds.write_tree(build.context, {"Dockerfile": "FROM busybox\nCOPY . /x\n"})
    deep = build.context
    for _ in range(300):  # deeper than is packed
        deep = os.path.join(deep, "d")
    os.makedirs(deep)
    done = build()
    assert done.code == 1 and "send the build context" in done.out and "too deep" in done.out
    assert build.daemon.api.get("/images/%s/json" % build.tag).status == 404


def test_ignored_files_do_not_travel(build):
    files = {"big": os.urandom(4 << 20), ".dockerignore": "big\n", "f": "x"}
    before = sent(build)
    build("FROM busybox\nCOPY . /x\n", files).ok()
    assert sent(build) - before < 1 << 20


def sent(build):
    """Bytes that the daemon has read from its clients: what its process read in all."""
    with open("/proc/%d/io" % build.daemon.process.pid) as f:
        return int(re.search(r"rchar: (\d+)", f.read())[1])


# ---- options ----

def test_arguments_and_labels(build):
    build("FROM busybox\nARG A\nARG B=default\nARG C\nLABEL got=$A-$B-$C\n", None,
          "--build-arg", "A=1", "--build-arg", "C", "--build-arg", "B", "--label", "own=x",
          env={"C": "of env"}).ok()
    assert label(build, "got") == "1-default-of env"
    assert label(build, "own") == "x"


def test_names(build):
    other = build.tag + "-two:v1"
    build(RUN_ECHO, None, "-t", other).ok()
    try:
        assert build.cli.ok("image", "inspect", "-f", "{{.Id}}", other) == image_id(build)
    finally:
        build.daemon.api.delete("/images/" + other, force=1)
    done = build(RUN_ECHO, None, "-t", "UPPER")
    assert done.code == 1 and "invalid tag \"UPPER\"" in done.out


def test_iidfile_and_metadata(build, tmp_path):
    iid, meta = str(tmp_path / "iid"), str(tmp_path / "meta")
    build(RUN_ECHO, None, "--iidfile", iid, "--metadata-file", meta).ok()
    with open(iid) as f:
        assert f.read() == image_id(build)
    with open(meta) as f:
        got = json.load(f)
    assert got["containerimage.config.digest"] == image_id(build)
    assert got["image.name"] == "docker.io/library/%s:latest" % build.tag
    assert build("FROM busybox\nRUN false\n", None, "--iidfile", iid).code == 1
    assert not os.path.exists(iid), "that of an earlier build stays"


def test_no_cache_and_stages_without(build):
    text = "FROM busybox AS one\nRUN cat /proc/sys/kernel/random/uuid > /u\n" \
           "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /v\nCOPY --from=one /u /u\n"

    def uuids(*args):
        tree = build(text, None, *args).ok().tree()
        return tree["u"].data, tree["v"].data

    u, v = uuids()
    assert uuids() == (u, v)
    u2, v2 = uuids("--no-cache-filter", "one")
    assert u2 != u and v2 == v
    u3, v3 = uuids("--no-cache")
    assert u3 != u2 and v3 != v2


def test_hosts_limits_and_shm(build):
    out = build("FROM busybox\nRUN cat /etc/hosts; ulimit -n; df -k /dev/shm | tail -n1\n", None,
                "--add-host", "one:10.9.8.7", "--add-host", "two=10.9.8.6",
                "--ulimit", "nofile=77:88", "--shm-size", "3m", "--memory", "64m",
                "--cpu-shares", "300", "--progress=plain").ok().out
    assert "10.9.8.7\tone" in out and "10.9.8.6\ttwo" in out, out
    assert re.search(r" 77$", out, re.M) and re.search(r"\b3072\b", out), out


def test_check_builds_nothing(build):
    done = build("FROM busybox AS Upper\nRUN false\n", None, "--check")
    assert done.code == 1
    assert "WARNING: StageNameCasing" in done.out and "Dockerfile:1" in done.out
    assert "Check complete, 1 warning has been found!" in done.out
    done = build("FROM busybox\nRUN false\n", None, "--call=check")
    assert done.code == 0 and "Check complete, no warnings found." in done.out
    assert build.daemon.api.get("/images/%s/json" % build.tag).status == 404


def test_warnings_stand_at_the_end(build):
    out = build("FROM busybox AS Upper\n").ok().out
    assert "1 warning found" in out and " - StageNameCasing: " in out and "(line 1)" in out


@pytest.mark.parametrize("args,what", [
    (["--attest", "type=sbom,generator=x"], "--attest with \"generator=x\""),
    (["--cache-from", "type=gha"], "--cache-from type=gha"),
    (["--cache-from", "type=registry,ref=x,mode=max"], "--cache-from mode=max"),
    (["--cache-to", "type=s3,bucket=x"], "--cache-to"),
    (["--provenance", "mode=max,version=v1"], "version=v1"), (["--builder", "mine"], "--builder"),
    (["--isolation", "hyperv"], "--isolation"), (["--call", "targets"], "--call"),
])
def test_what_is_missing_is_refused_by_name(build, args, what):
    done = build(RUN_ECHO, None, *args)
    assert done.code == 1 and what in done.out and "not built yet" in done.out, done.out


@pytest.mark.parametrize("args", [
    ["--provenance=false"], ["--sbom=false"], ["--attest", "type=provenance,disabled=true"],
    ["--builder", "default"], ["--isolation", "default"], ["--load"], ["--rm=false"],
    ["--force-rm"], ["--compress"], ["--disable-content-trust=false"],
])
def test_what_asks_for_what_is_anyway(build, args):
    build(RUN_ECHO, None, *args).ok()


@pytest.mark.parametrize("command", [["image", "build"], ["builder", "build"], ["buildx", "build"],
                                     ["buildx", "b"]])
def test_other_names_of_the_command(build, command):
    builds.write_tree(build.context, {"Dockerfile": RUN_ECHO})
    build.cli.ok(*command, "--network=none", "-t", build.tag, build.context)
    assert image_id(build)


def test_an_address_is_fetched_by_the_daemon(build):
    done = build(context="https://example.invalid/x.git")
    assert done.code == 1 and "fetch https://example.invalid/x.git" in done.out


def test_no_daemon(build):
    builds.write_tree(build.context, {"Dockerfile": RUN_ECHO})
    done = build.cli("-H", "unix:///no/such.sock", "build", build.context)
    assert done.returncode == 1 and "/no/such.sock" in done.stderr


@pytest.mark.parametrize("form", ["%s", "type=registry,ref=%s"])
def test_a_cache_inside_an_image(build, form):
    text = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /u\n"
    uuid = build(text, None, "--no-cache", "--cache-to", "type=inline").ok().tree()["u"].data
    saved = build.cli("save", build.tag, stdin=b"").stdout
    build.close()
    build.daemon.api.ok("POST", "/build/prune", all=1)
    build.daemon.api.ok("POST", "/images/load", saved,
                        headers={"Content-Type": "application/x-tar"})
    done = build(text, None, "--progress=plain", "--cache-from", form % build.tag).ok()
    assert "CACHED" in done.out and done.tree()["u"].data == uuid


# ---- secrets ----

SECRET = "hush-4c1d-never-on-a-disk"
USES_SECRET = "FROM busybox\nRUN --mount=type=secret,id=s cat /run/secrets/s | wc -c > /n\n"


def holders(roots, *needles):
    """Files below @roots that have one of the texts in them."""
    out = []
    for root in roots:
        for path, _, names in os.walk(root):
            for name in names:
                full = os.path.join(path, name)
                if os.path.isfile(full) and not os.path.islink(full):
                    with open(full, "rb") as f:
                        data = f.read()
                    out += [full for n in needles if n in data]
    return out


@pytest.mark.parametrize("form", ["src=%s", "source=%s", "type=file,src=%s", "type=file,source=%s"])
def test_a_secret_of_a_file(build, tmp_path, form):
    (tmp_path / "secret").write_text(SECRET + form)
    tree = build(USES_SECRET, None, "--no-cache", "--secret",
                 "id=s," + form % (tmp_path / "secret")).ok().tree()
    assert int(tree["n"].data) == len(SECRET + form)


@pytest.mark.parametrize("form", ["env=NAME", "type=env,src=NAME", "type=env,env=NAME"])
def test_a_secret_of_a_variable(build, form):
    tree = build(USES_SECRET, None, "--no-cache", "--secret", "id=s," + form,
                 env={"NAME": SECRET}).ok().tree()
    assert int(tree["n"].data) == len(SECRET)


def test_a_secret_by_its_id_alone(build, tmp_path):
    build(USES_SECRET, None, "--no-cache", "--secret", "id=s", env={"s": SECRET}).ok()
    done = build(USES_SECRET, None, "--no-cache", "--secret", "id=s")
    assert "secret s: open s: no such file or directory" in done.out


@pytest.mark.parametrize("spec,says", [
    ("src=x", "needs an id"), ("id=s,what=x", "unexpected key 'what'"), ("id", "key=value"),
    ("id=s,type=odd", 'unsupported type "odd"'), ("id=s,env=NOWHERE_SET", "no variable NOWHERE_SET"),
    ("id=s,src=/dev/zero", "larger than 500 KiB"),
])
def test_secrets_that_are_none(build, spec, says):
    done = build(USES_SECRET, None, "--secret", spec)
    assert done.code == 1 and says in done.out, done.out


def test_the_same_secret_twice(build):
    done = build(USES_SECRET, None, "--secret", "id=s,env=A", "--secret", "id=s,env=A",
                 env={"A": "x"})
    assert done.code == 1 and "secret s is given twice" in done.out


def test_a_required_secret_that_is_missing(build):
    done = build("FROM busybox\nRUN --mount=type=secret,id=no,required true\n")
    assert done.code == 1 and "secret no: not found" in done.out


@pytest.mark.parametrize("way", ["file", "env"])
@pytest.mark.parametrize("fails", [False, True])
def test_nothing_of_a_secret_stays(build, way, fails):
    secret = "%s-%s-%s" % (SECRET, way, fails)
    mount = "type=secret,id=s" + (",env=S" if way == "env" else "")
    use = 'test ${#S} = %d' % len(secret) if way == "env" else "cat /run/secrets/s > /dev/null"
    done = build("FROM busybox\nRUN --mount=%s %s%s\n" % (mount, use, " && false" if fails else ""),
                 None, "--no-cache", "--secret", "id=s,env=MY", env={"MY": secret})
    assert done.code == int(fails), done.out
    import base64
    d = build.daemon
    assert not holders([d.data_root, d.exec_root], secret.encode(),
                       base64.b64encode(secret.encode()))
    assert secret not in d.log() and secret not in done.out
    if not fails:
        assert secret not in json.dumps(done.history()) + json.dumps(done.inspect())
    for row in d.exchanges():  # a body is where it may be, once
        assert secret not in json.dumps([row["path"], row.get("query"), row.get("request_headers")])


def test_an_interrupted_build_leaves_nothing(build):
    builds.write_tree(build.context, {"Dockerfile": "FROM busybox\nRUN --mount=type=secret,id=s "
                                      "echo begun; sleep 40\n"})
    process = build.cli.popen("build", "--network=none", "--progress=plain", "--no-cache",
                              "--secret", "id=s,env=HOME", build.context)
    with process:
        for line in process.stderr:
            if line.rstrip().endswith(b" begun"):
                break
        process.send_signal(signal.SIGINT)
        process.wait(10)
        process.stderr.read()
    d = build.daemon
    until(lambda: not os.listdir(os.path.join(d.exec_root, "build")), 10)
    until(lambda: not os.listdir(os.path.join(d.data_root, "build/tmp")), 10)
    until(lambda: not d.leftovers(), 10, d.leftovers)


def session(api, *secrets):
    import base64
    return api.post("/build/session", {"Secrets": [
        {"ID": k, "Data": base64.b64encode(v).decode()} for k, v in secrets]})


def test_a_session_serves_one_build(build, api):
    reply = session(api, ("s", b"12345"))
    assert reply.status == 201
    body = tar_of({"Dockerfile": USES_SECRET})

    def post(**query):
        return api.call("POST", "/build", body, headers={"Content-Type": "application/x-tar"},
                        networkmode="none", nocache=1, session=reply.json["Id"], **query)

    assert "Successfully built" in post().body.decode()
    again = post()
    assert again.status == 404 and "no such build session" in again.message


def test_limits_of_sessions(api):
    big = b"x" * (500 << 10)
    assert session(api, ("a", big)).status == 201
    assert session(api, ("a", big + b"x")).status == 400
    assert session(api, *[("n%d" % i, b"") for i in range(64)]).status == 201
    assert session(api, *[("n%d" % i, b"") for i in range(65)]).status == 400
    assert session(api, ("", b"x")).status == 400
    assert session(api, ("a" * 256, b"x")).status == 400
    assert api.post("/build/session", {"Secrets": [{"ID": "x", "Data": "*"}]}).status == 400
    assert api.post("/build/session", {"Secrets": [{"Data": ""}]}).status == 400
    assert api.post("/build/session", [1]).status == 400


# ---- options that pass through ----

def test_security_options_and_networks(build):
    look = "FROM busybox\nRUN grep Seccomp: /proc/self/status\n"
    out = build(look, None, "--no-cache", "--security-opt", "seccomp=unconfined").ok().out
    assert "Seccomp:\t0" in out
    text = "FROM busybox\nRUN --network=host ls /sys/class/net\n"
    done = build(text)
    assert done.code == 1 and "network.host" in done.out
    build(text, None, "--allow", "network.host").ok()


def test_target(build):
    build("FROM busybox AS one\nLABEL which=one\nFROM one\nLABEL which=two\n", None, "--target",
          "one").ok()
    assert label(build, "which") == "one"


@pytest.mark.parametrize("pull", [[], ["--pull"]])
def test_bases_of_a_registry_that_wants_a_password(build, tmp_path, pull):
    import base64
    import images
    import registry
    import secure
    registry.need("docker-registry")
    path = tmp_path / "reg"
    path.mkdir()
    users = secure.htpasswd(str(path / "htpasswd"), alice="s3cret")
    back = registry.Registry(build.daemon, path)
    front = path / "front"
    front.mkdir()
    (front / "data").symlink_to(path / "data")
    reg = registry.Registry(build.daemon, front,
                            "auth:\n  htpasswd: {realm: basic-realm, path: %s}\n" % users)
    try:
        back.put_image("base", "v1", [images.busybox()])
        text = "FROM %s/base:v1\nRUN true\n" % reg.host
        assert build(text, None, *pull).code == 1
        os.makedirs(os.path.join(build.cli.home, ".docker"))
        with open(os.path.join(build.cli.home, ".docker/config.json"), "w") as f:
            json.dump({"auths": {reg.host: {"auth": base64.b64encode(b"alice:s3cret").decode()}}},
                      f)
        build(text, None, *pull).ok()
        build.daemon.api.delete("/images/%s/base:v1" % reg.host, force=1)
    finally:
        reg.close()
        back.close()


@needs_git
def test_a_repository(build, repo, git):
    builds.write_tree(repo.work, {"Dockerfile": "FROM scratch\nCOPY f /f\n"})
    repo.commit()
    repo.publish()
    tree = build(context="%s/r.git" % git.url).ok().tree()
    assert tree["f"].data == b"second\n"


def test_variables_that_the_base_has_not(build):
    """Of an image that is here its environment is known."""
    text = "FROM busybox\nENV A=$PATH B=$NOWHERE_TO_BE_SEEN\n"
    assert "Usage of undefined variable '$NOWHERE_TO_BE_SEEN'" in build(text, None, "--check").out
    assert "'$PATH'" not in build(text, None, "--check").out
    text = "ARG I=busybox\nFROM $I\nENV B=$NOWHERE_TO_BE_SEEN\n"
    assert "UndefinedVar" not in build(text, None, "--check").out
