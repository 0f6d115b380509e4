"""Certificates, passwords and tokens: what a registry that guards its images needs."""
import base64
import ctypes
import http.server
import json
import os
import ssl
import subprocess
import threading
import time
import urllib.parse
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import crypt

ADDRESS = "10.99.0.1"  # on lo of the test's namespace; loopback addresses may be insecure
HOST, TOKEN_HOST = "registry.test", "token.test"


def openssl(*args, data=None):
    return subprocess.run(["openssl", *map(str, args)], input=data, capture_output=True,
                          check=True).stdout


def own_etc(path):
    """An /etc that tests may write to: an overlay in the mount namespace of the test."""
    for d in ("upper", "work"):
        os.makedirs(os.path.join(path, d))
    libc = ctypes.CDLL(None, use_errno=True)
    options = "lowerdir=/etc,upperdir=%s/upper,workdir=%s/work" % (path, path)
    if libc.mount(b"overlay", b"/etc", b"overlay", 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), "overlay on /etc")
    subprocess.run(["ip", "addr", "add", ADDRESS + "/32", "dev", "lo"], check=True)
    with open("/etc/hosts", "a", encoding="utf-8") as f:
        f.write("%s %s %s\n" % (ADDRESS, HOST, TOKEN_HOST))


class Authority:
    """A CA of the test's own."""

    def __init__(self, path):
        self.dir = str(path)
        self.key, self.cert = self.dir + "/ca.key", self.dir + "/ca.crt"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key, "-out",
                self.cert, "-days", "2", "-subj", "/CN=test authority")

    def issue(self, name, *sans, client=False):
        """(cert, key) as files."""
        base = os.path.join(self.dir, name)
        with open(base + ".ext", "w", encoding="utf-8") as f:
            f.write("subjectAltName=%s\n" % ",".join(sans or ["DNS:" + name]))
            if client:
                f.write("extendedKeyUsage=clientAuth\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", base + ".key", "-out",
                base + ".csr", "-subj", "/CN=" + name)
        openssl("x509", "-req", "-in", base + ".csr", "-CA", self.cert, "-CAkey", self.key,
                "-CAcreateserial", "-days", "2", "-extfile", base + ".ext", "-out", base + ".crt")
        return base + ".crt", base + ".key"

    def trust(self, host):
        """Let the daemon trust this authority for a host."""
        d = "/etc/docker/certs.d/" + host
        os.makedirs(d, exist_ok=True)
        with open(self.cert, encoding="utf-8") as f, open(d + "/ca.crt", "w",
                                                          encoding="utf-8") as out:
            out.write(f.read())
        return d


def htpasswd(path, **users):
    with open(path, "w", encoding="utf-8") as f:
        for user, password in users.items():
            salt = crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=1 << 5)
            f.write("%s:%s\n" % (user, crypt.crypt(password, salt)))
    return path


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class Server:
    """An HTTP(S) server in a thread; @handle(request) answers, all requests are recorded."""

    def __init__(self, handle, cert=None, address="127.0.0.1"):
        outer = self
        self.requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                n = int(self.headers.get("Content-Length") or 0)
                self.body = self.rfile.read(n) if n else b""
                outer.requests.append((self.command, self.path, dict(self.headers), self.body))
                try:
                    handle(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = answer

            def reply(self, status, body=b"", **headers):
                if isinstance(body, (dict, list)):
                    body = json.dumps(body).encode()
                self.send_response(status)
                headers.setdefault("Content-Length", len(body))
                for k, v in headers.items():
                    self.send_header(k.replace("_", "-"), str(v))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Threads(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_):
                pass  # a client that hung up

        self.httpd = Threads((address, 0), Handler)
        self.port = self.httpd.server_address[1]
        if cert:
            ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            ctx.load_cert_chain(*cert)
            self.httpd.socket = ctx.wrap_socket(self.httpd.socket, server_side=True,
                                                do_handshake_on_connect=False)
        threading.Thread(target=self.httpd.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()


class TokenServer(Server):
    """Signs tokens that docker-registry takes; users by Basic, or by a refresh token (OAuth2)."""

    def __init__(self, authority, users, cert, life=300):
        self.key, self.users, self.life = authority.key, users, life
        pem = open(authority.cert, encoding="utf-8").read()
        self.x5c = "".join(x for x in pem.splitlines() if not x.startswith("-"))
        self.refresh = {"refresh-" + u: u for u in users}
        super().__init__(self.handle, cert, ADDRESS)

    def token(self, user, scopes):
        access = []
        for scope in scopes:
            kind, name, actions = scope.rsplit(":", 2) if scope.count(":") > 1 else (scope, "", "")
            allowed = [a for a in actions.split(",")
                       if user or (a == "pull" and name.startswith("public/"))]
            access.append({"type": kind, "name": name, "actions": allowed})
        now = int(time.time())
        claims = {"iss": "test", "sub": user or "", "aud": "test-service", "exp": now + self.life,
                  "nbf": now - 10, "iat": now, "jti": "1", "access": access}
        head = {"typ": "JWT", "alg": "RS256", "x5c": [self.x5c]}
        text = b64(json.dumps(head).encode()) + b"." + b64(json.dumps(claims).encode())
        return (text + b"." + b64(openssl("dgst", "-sha256", "-sign", self.key,
                                          data=text))).decode()

    def handle(self, req):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(req.path).query)
        user = None
        if req.command == "POST":
            query = urllib.parse.parse_qs(req.body.decode())
            user = self.refresh.get(query["refresh_token"][0])
            if not user:
                return req.reply(401, {"details": "refresh token is not valid"})
            query["scope"] = query.get("scope", [""])[0].split(" ")
        elif req.headers.get("Authorization"):
            user, _, password = base64.b64decode(
                req.headers["Authorization"].split()[1]).decode().partition(":")
            if self.users.get(user) != password:
                return req.reply(401, {"details": "incorrect username or password"})
        assert query["service"] == ["test-service"], query
        scopes = [s for s in query.get("scope", []) if s]
        out = {"token": self.token(user, scopes), "expires_in": self.life}
        if "offline_token" in query and user:
            out["refresh_token"] = "refresh-" + user
        return req.reply(200, out)
