"""TLS, passwords, tokens, mirrors: who may be talked to how, and who gets to see secrets."""
import base64
import json
import os
import shutil

import pytest

import cleat
import images
import registry
import secure
from test_pull import layers, pull
from secure import HOST, TOKEN_HOST

TLS = """  tls: {certificate: %s, key: %s}
"""
HTPASSWD = """auth:
  htpasswd: {realm: basic-realm, path: %s}
"""
TOKEN = """auth:
  token: {realm: "%s", service: test-service, issuer: test, rootcertbundle: %s}
"""


class Guarded(registry.Registry):
    """One with TLS at a name that is not loopback; filled through a back door without any."""

    def __init__(self, daemon, path, authority, auth):
        self.back = registry.Registry(daemon, path)
        self.put_image = self.back.put_image
        front = path / "front"
        front.mkdir()
        (front / "data").symlink_to(path / "data")
        super().__init__(daemon, front, TLS % authority.issue(HOST) + auth, "https", HOST)

    def close(self):
        super().close()
        self.back.close()


@pytest.fixture(scope="module")
def basic(daemon, authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("basic")
    users = secure.htpasswd(str(path / "htpasswd"), alice="s3cret:with:colons")
    g = Guarded(daemon, path, authority, HTPASSWD % users)
    g.trust = authority.trust(g.host)
    yield g
    g.close()


@pytest.fixture(scope="module")
def tokens(authority):
    t = secure.TokenServer(authority, {"bob": "hunter2"}, authority.issue(TOKEN_HOST))
    authority.trust("%s:%d" % (TOKEN_HOST, t.port))
    yield t
    t.close()


@pytest.fixture(scope="module")
def bearer(daemon, authority, tokens, tmp_path_factory):
    path = tmp_path_factory.mktemp("bearer")
    realm = "https://%s:%d/token" % (TOKEN_HOST, tokens.port)
    g = Guarded(daemon, path, authority, TOKEN % (realm, authority.cert))
    authority.trust(g.host)
    yield g
    g.close()


@pytest.fixture
def logged_out(daemon):
    """Nobody's credentials are left in the clients' configuration."""
    path = os.path.join(daemon.dir, ".docker")
    shutil.rmtree(path, ignore_errors=True)
    yield os.path.join(path, "config.json")
    shutil.rmtree(path, ignore_errors=True)


def header(**auth):
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(auth).encode()).decode()}


# ---- TLS ----

def test_unknown_authority(daemon, basic, name):
    basic.put_image(name, "latest", layers(name))
    os.rename(basic.trust + "/ca.crt", basic.trust + "/ca.away")
    try:
        reply = daemon.api.post("/images/create", fromImage="%s/%s" % (basic.host, name),
                                tag="latest", headers=header(username="alice", password="x"))
    finally:
        os.rename(basic.trust + "/ca.away", basic.trust + "/ca.crt")
    assert reply.status >= 400 and "failed to verify certificate" in reply.message, reply


def test_wrong_name(daemon, basic, authority, name):
    authority.trust("%s:%d" % (secure.ADDRESS, basic.port))
    reply = daemon.api.post("/images/create", fromImage="%s:%d/%s" % (
        secure.ADDRESS, basic.port, name), tag="latest")
    assert reply.status >= 400 and "failed to verify certificate" in reply.message, reply


def test_no_plain_http_to_strangers(daemon, basic, own_daemon, name):
    """Without TLS only where it is allowed."""
    basic.put_image(name, "latest", layers(name))
    ref = "%s:%d/%s" % (HOST, basic.back.port, name)
    reply = daemon.api.post("/images/create", fromImage=ref, tag="latest")
    assert reply.status >= 400 and 'Get "https://' in reply.message, reply
    for allowed in ("%s:%d" % (HOST, basic.back.port), HOST):
        d = own_daemon(args=["--insecure-registry", allowed])
        d.others |= cleat.namespace_mates()
        d.start()
        assert "Downloaded newer" in pull(d.api, ref)[-1]["status"]
        d.stop()


# ---- passwords ----

def test_no_credentials(basic, cli, logged_out, name):
    basic.put_image(name, "latest", layers(name))
    done = cli("pull", "%s/%s" % (basic.host, name))
    assert done.returncode == 1
    assert "unauthorized: authentication required" in done.stderr or \
        "no basic auth credentials" in done.stderr, done


def test_login_pull_logout(basic, cli, logged_out, name):
    basic.put_image(name, "latest", layers(name))
    done = cli("login", basic.host, "-u", "alice", "--password-stdin", stdin="wrong\n")
    assert done.returncode == 1
    assert "login attempt to https://%s/v2/ failed with status: 401 Unauthorized" % basic.host in \
        done.stderr, done
    assert not os.path.exists(logged_out) or \
        basic.host not in json.load(open(logged_out, encoding="utf-8")).get("auths", {})
    done = cli("login", basic.host, "-u", "alice", "--password-stdin",
               stdin="s3cret:with:colons\n")
    assert done.returncode == 0 and "Login Succeeded" in done.stdout, done
    assert basic.host in json.load(open(logged_out, encoding="utf-8"))["auths"]
    cli.ok("pull", "%s/%s" % (basic.host, name))
    assert cli.ok("run", "--rm", "%s/%s" % (basic.host, name), "cat", "/own/" + name) == name
    cli.ok("logout", basic.host)
    assert cli("pull", "%s/%s:other" % (basic.host, name)).returncode == 1


def test_run_with_credentials(basic, cli, logged_out, name):
    """The image that "run" misses is pulled with what login kept."""
    basic.put_image(name, "latest", layers(name))
    cli.ok("login", basic.host, "-u", "alice", "-p", "s3cret:with:colons")
    assert cli.ok("run", "--rm", "%s/%s" % (basic.host, name), "cat", "/own/" + name) == name


def test_docker_py_login(basic, docker_py, name):
    _, image = basic.put_image(name, "latest", layers(name))
    got = docker_py.login("alice", "s3cret:with:colons", registry=basic.host, reauth=True)
    assert got["Status"] == "Login Succeeded"
    assert docker_py.images.pull("%s/%s" % (basic.host, name), tag="latest").id == image


def test_bad_auth_header(daemon, basic, name):
    for bad in ("%%%", base64.b64encode(b"{").decode(), "e30="):
        reply = daemon.api.post("/images/create", fromImage="%s/%s" % (basic.host, name),
                                tag="latest", headers={"X-Registry-Auth": bad})
        assert reply.status == 500 and "unauthorized" in reply.message, reply


HELPER = """#!/bin/sh
echo "$1" >>"$HOME/helper.log"
case "$1" in
get) read host; [ -f "$HOME/kept-$(echo $host | tr -c a-z0-9 _)" ] || {
        echo "credentials not found in native keychain"; exit 1; }
     cat "$HOME/kept-$(echo $host | tr -c a-z0-9 _)";;
store) read json; host=$(echo "$json" | sed 's/.*"ServerURL":"\\([^"]*\\)".*/\\1/')
       echo "$json" >"$HOME/kept-$(echo $host | tr -c a-z0-9 _)";;
erase) read host; rm -f "$HOME/kept-$(echo $host | tr -c a-z0-9 _)";;
esac
"""


@pytest.mark.parametrize("how", ["credsStore", "credHelpers"])
def test_credential_helpers(basic, cli, logged_out, daemon, name, how):
    basic.put_image(name, "latest", layers(name))
    bin_dir = os.path.join(daemon.dir, "bin")
    os.makedirs(bin_dir, exist_ok=True)
    path = os.path.join(bin_dir, "docker-credential-keep")
    with open(path, "w", encoding="utf-8") as f:
        f.write(HELPER)
    os.chmod(path, 0o755)
    os.makedirs(os.path.dirname(logged_out))
    with open(logged_out, "w", encoding="utf-8") as f:
        json.dump({how: "keep" if how == "credsStore" else {basic.host: "keep"}}, f)
    env = {"PATH": bin_dir + ":" + os.environ["PATH"]}
    done = cli("login", basic.host, "-u", "alice", "-p", "s3cret:with:colons", env=env)
    assert done.returncode == 0, done
    kept = json.load(open(logged_out, encoding="utf-8"))
    assert not kept.get("auths", {}).get(basic.host), kept
    assert "s3cret" not in json.dumps(kept)
    cli.ok("pull", "%s/%s" % (basic.host, name), env=env)
    cli.ok("logout", basic.host, env=env)
    assert cli("pull", "%s/%s" % (basic.host, name), env=env).returncode == 1
    log = open(os.path.join(daemon.dir, "helper.log"), encoding="utf-8").read().split()
    assert {"get", "store", "erase"} <= set(log)


# ---- tokens ----

def test_anonymous_token(daemon, bearer, tokens, name):
    bearer.put_image("public/" + name, "latest", layers(name))
    del tokens.requests[:]
    pull(daemon.api, "%s/public/%s" % (bearer.host, name))
    asked = [r for r in tokens.requests]
    assert len(asked) == 1, asked  # one token serves manifest, config and layers
    assert "scope=repository%%3Apublic%%2F%s%%3Apull" % name in asked[0][1], asked
    assert "Authorization" not in asked[0][2]


def test_private_repository(daemon, bearer, tokens, cli, logged_out, name):
    bearer.put_image("private/" + name, "latest", layers(name))
    ref = "%s/private/%s" % (bearer.host, name)
    done = cli("pull", ref)
    assert done.returncode == 1
    assert "unauthorized" in done.stderr or "denied" in done.stderr, done
    done = cli("login", bearer.host, "-u", "bob", "-p", "wrong")
    assert done.returncode == 1 and "incorrect username or password" in done.stderr, done
    cli.ok("login", bearer.host, "-u", "bob", "-p", "hunter2")
    entry = json.load(open(logged_out, encoding="utf-8"))["auths"][bearer.host]
    assert entry.get("identitytoken") == "refresh-bob", entry  # no password is kept
    del tokens.requests[:]
    cli.ok("pull", ref)
    assert [r[0] for r in tokens.requests] == ["POST"]


def test_identity_and_registry_tokens(daemon, bearer, tokens, name):
    bearer.put_image("private/" + name, "latest", layers(name))
    ref = "%s/private/%s" % (bearer.host, name)
    del tokens.requests[:]
    reply = daemon.api.post("/images/create", fromImage=ref, tag="latest",
                            headers=header(identitytoken="refresh-bob"))
    assert reply.status == 200, reply
    assert tokens.requests[0][0] == "POST" and b"grant_type=refresh_token" in tokens.requests[0][3]
    reply = daemon.api.post("/images/create", fromImage=ref, tag="latest",
                            headers=header(identitytoken="refresh-eve"))
    assert reply.status == 500 and "refresh token is not valid" in reply.message, reply
    del tokens.requests[:]
    token = tokens.token("bob", ["repository:private/%s:pull" % name])
    reply = daemon.api.post("/images/create", fromImage=ref, tag="latest",
                            headers=header(registrytoken=token))
    assert reply.status == 200 and not tokens.requests, reply


def test_password_stays_off_plain_realms(daemon, authority, name):
    """A realm without TLS elsewhere gets nothing, not even a question."""
    realm = secure.Server(lambda req: req.reply(200, {"token": "x"}), address=secure.ADDRESS)
    challenge = 'Bearer realm="http://%s:%d/token",service="s"' % (TOKEN_HOST, realm.port)
    reg = secure.Server(lambda req: req.reply(401, b"", WWW_Authenticate=challenge),
                        authority.issue(HOST), secure.ADDRESS)
    authority.trust("%s:%d" % (HOST, reg.port))
    reply = daemon.api.post("/images/create", fromImage="%s:%d/x" % (HOST, reg.port), tag="latest",
                            headers=header(username="alice", password="s3cret"))
    assert reply.status == 500 and "has no TLS" in reply.message, reply
    assert realm.requests == []
    assert all("Authorization" not in r[2] for r in reg.requests)
    realm.close()
    reg.close()


# ---- mirrors and search ----

def test_mirrors(daemon, own_daemon, plain, name):
    """docker.io by a mirror: the first is dead, the second lacks it, the third has it."""
    empty = secure.Server(lambda req: req.reply(404, {"errors": []}))
    digest, image = plain.put_image("library/" + name, "latest", layers(name))
    d = own_daemon(args=["--registry-mirror", "http://127.0.0.1:1", "--registry-mirror",
                         "http://127.0.0.1:%d" % empty.port, "--registry-mirror", plain.url])
    d.others |= cleat.namespace_mates()
    d.start()
    reply = d.api.post("/images/create", fromImage=name, tag="latest",
                       headers=header(username="alice", password="s3cret"))
    got = reply.lines
    assert got[0]["status"] == "Pulling from library/" + name
    assert got[-1]["status"] == "Status: Downloaded newer image for %s:latest" % name
    shown = d.api.ok("GET", "/images/%s/json" % name)
    assert shown["Id"] == image and shown["RepoDigests"] == ["%s@%s" % (name, digest)]
    assert empty.requests and all("Authorization" not in r[2] for r in empty.requests)
    empty.close()


HITS = {"num_results": 2, "query": "x", "results": [
    {"name": "one", "description": "The first", "star_count": 5, "is_official": True,
     "is_automated": False},
    {"name": "team/two", "description": "The second", "star_count": 50, "is_official": False}]}


def test_search(daemon, cli):
    index = secure.Server(lambda req: req.reply(200, HITS, Content_Type="application/json"))
    out = cli.ok("search", "127.0.0.1:%d/thing" % index.port).splitlines()
    assert out[0].split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]
    assert [x.split()[0] for x in out[1:]] == ["one", "team/two"]
    assert index.requests[-1][1] == "/v1/search?q=thing&n=25"
    out = cli.ok("search", "--filter", "stars=10", "--format", "{{.Name}} {{.StarCount}}",
                 "127.0.0.1:%d/thing" % index.port)
    assert out == "team/two 50"
    reply = daemon.api.get("/images/search", term="127.0.0.1:%d/x" % index.port, limit=101)
    assert reply.status == 400 and "outside the range of [1, 100]" in reply.message
    index.close()


def test_distribution_inspect(daemon, plain, docker_py, name):
    digest, _ = plain.put_image(name, "latest", layers(name))
    got = daemon.api.ok("GET", "/distribution/%s/%s:latest/json" % (plain.host, name))
    assert got["Descriptor"]["digest"] == digest
    assert got["Descriptor"]["mediaType"] == registry.OCI + "manifest.v1+json"
    arch = images.config([])["architecture"]
    assert got["Platforms"] == [{"architecture": arch, "os": "linux"}]
    data = docker_py.images.get_registry_data("%s/%s" % (plain.host, name))
    assert data.id == digest and data.has_platform("linux/" + arch)
