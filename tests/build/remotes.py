"""Servers of this test alone: files by HTTP, and Git repositories by git:// and HTTP."""
import http.server
import os
import shutil
import socket
import subprocess
import threading

import pytest

from cleat import until

needs_git = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")

GIT_ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
           "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org",
           "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org",
           "GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000",
           "GIT_ALLOW_PROTOCOL": "file:git:http"}


class Web:
    """pages: {path: bytes, (status, {header: value}, bytes), or a function(handler)}"""

    def __init__(self, folder=None):
        self.pages, self.asked, self.folder = {}, [], folder
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                web.asked.append((self.path, dict(self.headers)))
                page = web.pages.get(self.path)
                if callable(page):
                    return page(self)
                if page is None:
                    page = web.file(self.path.partition("?")[0])
                status, headers, body = page if isinstance(page, tuple) else (200, {}, page)
                self.send_response(status)
                for k, v in headers.items():
                    self.send_header(k, v)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def file(self, path):
        full = os.path.join(self.folder or "/nonexistent", path.lstrip("/"))
        if not os.path.isfile(full):
            return 404, {}, b"no such page"
        with open(full, "rb") as f:
            return f.read()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Repo:
    """A repository in @folder/@name.git, with work in @folder/@name."""

    def __init__(self, folder, name):
        self.name = name
        self.work = os.path.join(folder, name)
        self.bare = self.work + ".git"
        os.makedirs(self.work)
        self.git("init", "-q", "-b", "main", ".")

    def git(self, *args, cwd=None):
        return subprocess.run(["git", *args], cwd=cwd or self.work, env=GIT_ENV, check=True,
                              capture_output=True, text=True, timeout=30).stdout.strip()

    def commit(self, text="x"):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", text)
        return self.git("rev-parse", "HEAD")

    def publish(self):
        """Make it what servers show."""
        if not os.path.exists(self.bare):
            self.git("clone", "-q", "--bare", self.work, self.bare)
        self.git("push", "-q", "--mirror", self.bare)
        self.git("update-server-info", cwd=self.bare)


class GitServer:
    def __init__(self, folder):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.url = "git://127.0.0.1:%d" % self.port
        self.process = subprocess.Popen(
            ["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", "--port=%d" % self.port,
             "--base-path=" + folder, "--export-all"], env=GIT_ENV, stderr=subprocess.DEVNULL,
            start_new_session=True)
        until(self.answers, 10)

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def close(self):
        os.killpg(self.process.pid, 15)
        self.process.wait(10)
