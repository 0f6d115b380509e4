"""HTTP proxies: absolute URLs for http, CONNECT for https, passwords, exceptions."""
import base64
import http.client
import select
import socket
import urllib.parse

import pytest

import cleat
import secure
from test_hostile import error_of, pull
from test_pull import layers
from test_secure import Guarded, header


class Proxy(secure.Server):
    """Forwards what it is asked; wants "user:word" if @password."""

    def __init__(self, password=None):
        self.password = password
        super().__init__(self.forward)

    def forward(self, req):
        if self.password:
            want = "Basic " + base64.b64encode(self.password.encode()).decode()
            if req.headers.get("Proxy-Authorization") != want:
                return req.reply(407, b"who are you")
        if req.command == "CONNECT":
            return self.tunnel(req)
        to = urllib.parse.urlparse(req.path)
        assert to.scheme == "http", req.path
        conn = http.client.HTTPConnection(to.hostname, to.port or 80)
        conn.request(req.command, to.path + ("?" + to.query if to.query else ""), req.body,
                     {k: v for k, v in req.headers.items() if not k.startswith("Proxy-")})
        reply = conn.getresponse()
        return req.reply(reply.status, reply.read(), **{
            k: v for k, v in reply.getheaders() if k.lower() not in ("content-length", "date")})

    def tunnel(self, req):
        host, port = req.path.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as there:
            req.send_response(200)
            req.end_headers()
            here = req.connection
            while True:
                ready, _, _ = select.select([here, there], [], [])
                for s in ready:
                    data = s.recv(65536)
                    if not data:
                        req.close_connection = True
                        return
                    (there if s is here else here).sendall(data)


@pytest.fixture(scope="module")
def guarded(daemon, authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("behind")
    users = secure.htpasswd(str(path / "htpasswd"), alice="s3cret")
    g = Guarded(daemon, path, authority, "auth:\n  htpasswd: {realm: r, path: %s}\n" % users)
    authority.trust(g.host)
    yield g
    g.close()


@pytest.fixture
def behind(own_daemon):
    def make(env, *args):
        d = own_daemon(env=env, args=args)
        d.others |= cleat.namespace_mates()
        return d.start()
    return make


def test_connect(behind, guarded, name):
    """TLS goes through as it is: the proxy sees neither path nor password."""
    proxy = Proxy("user:word")
    digest, _ = guarded.put_image(name, "latest", layers(name))
    d = behind({"HTTPS_PROXY": "http://user:word@127.0.0.1:%d" % proxy.port})
    reply = d.api.post("/images/create", fromImage="%s/%s" % (guarded.host, name), tag="latest",
                       headers=header(username="alice", password="s3cret"))
    assert reply.lines[-2] == {"status": "Digest: " + digest}
    assert {r[0] for r in proxy.requests} == {"CONNECT"}
    assert {r[1] for r in proxy.requests} == {guarded.host}
    assert all("Authorization" not in r[2] for r in proxy.requests)
    assert d.api.ok("GET", "/info")["HttpsProxy"] == "http://xxxxx:xxxxx@127.0.0.1:%d" % proxy.port
    proxy.close()


def test_refused(behind, guarded, name):
    proxy = Proxy("user:word")
    guarded.put_image(name, "latest", layers(name))
    d = behind({"HTTPS_PROXY": "http://user:wrong@127.0.0.1:%d" % proxy.port})
    assert "the proxy answered 407" in error_of(pull(d, "%s/%s" % (guarded.host, name)))
    proxy.close()
    d.stop()
    d = behind({"HTTPS_PROXY": "http://127.0.0.1:1"})
    assert "proxyconnect: dial tcp 127.0.0.1:1" in error_of(
        pull(d, "%s/%s" % (guarded.host, name)))


def test_absolute_urls_and_exceptions(behind, guarded, name):
    """Plain http by absolute URLs; daemon.json or environment; NO_PROXY goes around it."""
    proxy = Proxy()
    guarded.put_image(name, "latest", layers(name))
    ref = "%s:%d/%s" % (secure.HOST, guarded.back.port, name)
    env = {"HTTP_PROXY": "http://127.0.0.1:%d" % proxy.port}
    d = behind(env, "--insecure-registry", secure.HOST)
    assert not error_of(pull(d, ref))
    assert proxy.requests[0][1].startswith("http://%s:%d/v2/%s/" % (
        secure.HOST, guarded.back.port, name))
    d.stop()
    del proxy.requests[:]
    d = behind({**env, "NO_PROXY": "other.example,.test"}, "--insecure-registry", secure.HOST)
    assert not error_of(pull(d, ref))
    assert not proxy.requests
    proxy.close()


def test_settings_in_the_file(behind, guarded, name, tmp_path):
    proxy = Proxy()
    guarded.put_image(name, "latest", layers(name))
    conf = tmp_path / "daemon.json"
    conf.write_text('{"insecure-registries": ["10.99.0.0/16"], "max-concurrent-downloads": 1, '
                    '"proxies": {"http-proxy": "http://127.0.0.1:%d", "no-proxy": "x"}}' %
                    proxy.port)
    d = behind({}, "--config-file", str(conf))
    assert not error_of(pull(d, "%s:%d/%s" % (secure.ADDRESS, guarded.back.port, name)))
    assert proxy.requests
    shown = d.api.ok("GET", "/info")
    assert shown["RegistryConfig"]["InsecureRegistryCIDRs"] == ["::1/128", "127.0.0.0/8",
                                                                "10.99.0.0/16"]
    assert shown["RegistryConfig"]["IndexConfigs"]["docker.io"]["Official"]
    proxy.close()
    d.stop()
    d = behind({}, "--http-proxy", "http://127.0.0.1:1", "--insecure-registry=10.99.0.1")
    assert "proxyconnect" in error_of(pull(d, "%s:%d/%s" % (
        secure.ADDRESS, guarded.back.port, name), tag="other"))
    d.stop()
    for bad in ('{"max-concurrent-downloads": -1}', '{"max-download-attempts": 0}','{"registry-mirrors": ["nonsense"]}', '{"proxies": {"http-proxy": "ftp://x"}}',
                '{"insecure-registries": ["http://x"]}'):
        conf.write_text(bad)
        with pytest.raises(AssertionError, match="cleatd ended with 1"):
            behind({}, "--config-file", str(conf))
