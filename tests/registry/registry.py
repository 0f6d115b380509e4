"""Registries for the tests: Debian's docker-registry, and what the tests put into it."""
import gzip
import hashlib
import json
import os
import shutil
import socket
import subprocess
import urllib.request

import pytest

import cleat
import images

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."
CONFIG = """version: 0.1
log: {level: warn}
storage:
  filesystem: {rootdirectory: %(root)s}
  delete: {enabled: true}
  cache: {}
http:
  addr: 0.0.0.0:%(port)d
  secret: test
%(more)s"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def need(*programs):
    for p in programs:
        if not shutil.which(p):
            pytest.skip("no %s program" % p)


class Registry:
    """docker-registry serve, as a child of the test."""

    def __init__(self, daemon, path, more="", scheme="http", host="127.0.0.1"):
        need("docker-registry")
        self.dir, self.port, self.scheme = str(path), free_port(), scheme
        self.host = "%s:%d" % (host, self.port)
        self.url = "%s://%s" % (scheme, self.host)
        conf = os.path.join(self.dir, "registry.yml")
        self.log = os.path.join(self.dir, "registry.log")
        with open(conf, "w", encoding="utf-8") as f:
            f.write(CONFIG % {"root": os.path.join(self.dir, "data"), "port": self.port,
                              "more": more})
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", conf], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL)
        daemon.others.add(self.process.pid)
        cleat.until(self.answers, 20, "the registry answers; its log: " + self.log)

    def answers(self):
        assert self.process.poll() is None, open(self.log, encoding="utf-8").read()[-2000:]
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def close(self):
        self.process.terminate()
        self.process.wait(10)

    # ---- content, by the API itself ----

    def call(self, method, path, body=None, headers=None):
        url = path if "://" in path else self.url + path
        req = urllib.request.Request(url, data=body, method=method, headers=headers or {})
        with urllib.request.urlopen(req, timeout=20) as r:
            return r.status, dict(r.headers), r.read()

    def put_blob(self, repo, data):
        digest = sha(data)
        _, headers, _ = self.call("POST", "/v2/%s/blobs/uploads/" % repo, b"")
        place = headers["Location"]
        self.call("PUT", place + ("&" if "?" in place else "?") + "digest=" + digest, data,
                  {"Content-Type": "application/octet-stream"})
        return digest

    def put_manifest(self, repo, ref, doc, media_type=None):
        body = doc if isinstance(doc, bytes) else json.dumps(doc).encode()
        media_type = media_type or json.loads(body)["mediaType"]
        self.call("PUT", "/v2/%s/manifests/%s" % (repo, ref), body, {"Content-Type": media_type})
        return sha(body)

    def put_image(self, repo, ref, layers, compress="gzip", oci=True, settings=None, **top):
        """Blobs and manifest of an image; (manifest digest, image id)."""
        conf = json.dumps(images.config(layers, settings, **top)).encode()
        blobs = [squeeze(x, compress) for x in layers]
        manifest = manifest_of(conf, blobs, compress, oci)
        for data in [conf, *blobs]:
            self.put_blob(repo, data)
        digest = self.put_manifest(repo, ref or sha(json.dumps(manifest).encode()), manifest)
        return digest, sha(conf)

    def manifest(self, repo, ref):
        accept = ", ".join([OCI + "manifest.v1+json", OCI + "index.v1+json",
                            DOCKER + "distribution.manifest.v2+json",
                            DOCKER + "distribution.manifest.list.v2+json"])
        _, headers, body = self.call("GET", "/v2/%s/manifests/%s" % (repo, ref),
                                     headers={"Accept": accept})
        return headers["Docker-Content-Digest"], json.loads(body)


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def squeeze(data, compress):
    return {"gzip": lambda x: gzip.compress(x, 1, mtime=0), "zstd": images.zstd,
            "": bytes}[compress](data)


def manifest_of(conf, blobs, compress="gzip", oci=True):
    suffix = "+" + compress if compress else ""
    if oci:
        kinds = OCI + "manifest.v1+json", OCI + "config.v1+json", OCI + "layer.v1.tar" + suffix
    else:
        kinds = (DOCKER + "distribution.manifest.v2+json", DOCKER + "container.image.v1+json",
                 DOCKER + "image.rootfs.diff.tar" + suffix.replace("+", "."))
    return {"schemaVersion": 2, "mediaType": kinds[0],
            "config": descriptor(conf, kinds[1]),
            "layers": [descriptor(b, kinds[2]) for b in blobs]}


def descriptor(data, media_type, **more):
    return {"mediaType": media_type, "digest": sha(data), "size": len(data), **more}


def index_of(entries, oci=True):
    """entries: (manifest as bytes, its media type, platform dict)"""
    kind = OCI + "index.v1+json" if oci else DOCKER + "distribution.manifest.list.v2+json"
    return {"schemaVersion": 2, "mediaType": kind,
            "manifests": [descriptor(doc, media_type, platform=platform)
                          for doc, media_type, platform in entries]}
