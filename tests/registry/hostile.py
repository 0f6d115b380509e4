"""A registry made of Python that can be told to misbehave in every way a network offers."""
import json
import re
import socket
import struct
import threading
import time
import urllib.parse

import images
import registry
import secure
from registry import sha


class FakeRegistry(secure.Server):
    """Pull and push in memory. @fault(req) answers a request itself and returns True, or lets it
    pass; counters tell what was asked for."""

    def __init__(self, fault=None, ranges=True, **kw):
        self.blobs, self.manifests, self.uploads = {}, {}, {}
        self.rate = 0  # bytes a second; 0: as fast as it goes
        self.referrers, self.page = None, 100  # {digest: [descriptors]}; None: no such API
        self.fault, self.ranges = fault or (lambda req: False), ranges
        self.lock, self.begun = threading.Lock(), 0
        super().__init__(self.serve, **kw)
        self.host = "127.0.0.1:%d" % self.port

    def put_image(self, repo, ref, layers, compress="gzip", diff_ids=None, **top):
        conf = images.config(layers, **top)
        if diff_ids:
            conf["rootfs"]["diff_ids"] = diff_ids
        conf = json.dumps(conf).encode()
        blobs = [registry.squeeze(x, compress) for x in layers]
        doc = json.dumps(registry.manifest_of(conf, blobs, compress)).encode()
        for data in [conf, *blobs]:
            self.blobs[sha(data)] = data
        self.put_manifest(repo, ref, doc)
        return doc, blobs

    def put_manifest(self, repo, ref, doc, media_type=registry.OCI + "manifest.v1+json"):
        self.manifests[repo, ref] = self.manifests[repo, sha(doc)] = (media_type, doc)

    def asked(self, method, text):
        return [r for r in self.requests if r[0] == method and text in r[1]]

    # ---- the protocol ----

    def serve(self, req):
        if self.fault(req):
            return None
        path = req.path.split("?")[0]
        for pattern, handle in ((r"/v2/$", self.get_base),
                                (r"/v2/(.+)/manifests/([^/]+)$", self.do_manifest),
                                (r"/v2/(.+)/referrers/([^/]+)$", self.get_referrers),
                                (r"/v2/(.+)/blobs/uploads/$", self.begin),
                                (r"/v2/(.+)/blobs/uploads/(\w+)$", self.do_upload),
                                (r"/v2/(.+)/blobs/([^/]+)$", self.get_blob)):
            found = re.match(pattern, path)
            if found:
                return handle(req, *found.groups())
        return req.reply(404, {"errors": [{"code": "NAME_UNKNOWN", "message": "no such page"}]})

    def get_base(self, req):
        req.reply(200, b"{}")

    def do_manifest(self, req, repo, ref):
        if req.command == "PUT":
            self.put_manifest(repo, ref, req.body, req.headers["Content-Type"])
            return req.reply(201, Docker_Content_Digest=sha(req.body))
        if (repo, ref) not in self.manifests:
            return req.reply(404, {"errors": [{"code": "MANIFEST_UNKNOWN",
                                               "message": "manifest unknown"}]})
        kind, doc = self.manifests[repo, ref]
        return req.reply(200, doc, Content_Type=kind, Docker_Content_Digest=sha(doc))

    def get_referrers(self, req, repo, digest):
        if self.referrers is None:
            return req.reply(404, b"404 page not found\n", Content_Type="text/plain")
        query = urllib.parse.parse_qs(req.path.partition("?")[2])
        kind, at = query.get("artifactType", [None])[0], int(query.get("at", ["0"])[0])
        found = [d for d in self.referrers.get(digest, [])
                 if kind is None or d.get("artifactType") == kind]
        more = {}
        if at + self.page < len(found):
            more["Link"] = '</v2/%s/referrers/%s?at=%d%s>; rel="next"' % (
                repo, digest, at + self.page, "&artifactType=" + urllib.parse.quote(kind) if kind else "")
        return req.reply(200, {"schemaVersion": 2, "mediaType": registry.OCI + "index.v1+json",
                               "manifests": found[at:at + self.page]},
                         Content_Type=registry.OCI + "index.v1+json", **more)

    def get_blob(self, req, repo, digest):
        del repo
        if digest not in self.blobs:
            return req.reply(404, {"errors": [{"code": "BLOB_UNKNOWN", "message": "no blob"}]})
        return self.send_blob(req, self.blobs[digest])

    def send_blob(self, req, data, upto=None, total=None):
        """@upto: hang up behind so many bytes of the whole; @total: what Content-Length claims"""
        start, end = 0, len(data)
        asked = re.match(r"bytes=(\d+)-(\d*)$", req.headers.get("Range", ""))
        if asked and self.ranges:
            start, end = int(asked[1]), int(asked[2] or end - 1) + 1
        req.send_response(206 if asked and self.ranges else 200)
        if self.ranges:
            req.send_header("Accept-Ranges", "bytes")
        if asked and self.ranges:
            req.send_header("Content-Range", "bytes %d-%d/%d" % (start, end - 1, len(data)))
        length = end if end < len(data) else total or end
        req.send_header("Content-Length", str(length - start))
        req.end_headers()
        if req.command != "HEAD":
            self.send_slowly(req, data[start:end if upto is None else min(end, upto)])
        if upto is not None and upto < len(data):
            req.close_connection = True

    def send_slowly(self, req, data):
        """At @rate bytes a second for each connection, as registries behind long ways do."""
        if not self.rate:
            return req.wfile.write(data)
        began, step = time.monotonic(), max(self.rate // 50, 1)
        for at in range(0, len(data), step):
            req.wfile.write(data[at:at + step])
            ahead = began + at / self.rate - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)  # this is the rate: nothing is waited for
        return None

    def begin(self, req, repo):
        with self.lock:
            self.begun += 1
            name = "u%d" % self.begun
            self.uploads[name] = b""
        req.reply(202, Location="/v2/%s/blobs/uploads/%s" % (repo, name), Range="0-0")

    def do_upload(self, req, repo, name):
        have = self.uploads.get(name)
        if have is None:
            return req.reply(404, {"errors": [{"code": "BLOB_UPLOAD_UNKNOWN", "message": "gone"}]})
        place = {"Location": "/v2/%s/blobs/uploads/%s" % (repo, name)}
        if req.command in ("PATCH", "PUT") and req.body:
            first = int(req.headers.get("Content-Range", "%d-" % len(have)).split("-")[0])
            if first != len(have):
                return req.reply(416, Range="0-%d" % (len(have) - 1), **place)
            have = self.uploads[name] = have + req.body
        if req.command == "DELETE":
            del self.uploads[name]
            return req.reply(204)
        if req.command == "PUT":
            digest = req.path.split("digest=")[1].replace("%3A", ":")
            if sha(have) != digest:
                return req.reply(400, {"errors": [{"code": "DIGEST_INVALID", "message": "no"}]})
            self.blobs[digest] = have
            del self.uploads[name]
            return req.reply(201)
        return req.reply(202 if req.command == "PATCH" else 204,
                         Range="0-%d" % max(len(have) - 1, 0), **place)


def hang_up(req):
    """Close with a reset, as a router does that forgets a connection."""
    req.wfile.flush()
    sock = req.connection
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    req.close_connection = True
