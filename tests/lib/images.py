"""Image archives made on the spot: busybox from the machine's own static binary, variants of it,
a Debian root file system when debootstrap is there, and archives that no daemon should trust."""
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile

from cleat import BUILD, outside

BUSYBOX = "/bin/busybox"
PATH_ENV = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n" \
         "web:x:1000:1001:web:/home/web:/bin/sh\n"
GROUP = "root:x:0:\nnogroup:x:65534:\nweb:x:1001:\nstaff:x:50:web\n"


def add(tar, name, data=None, mode=0o644, **attributes):
    """One member; @data None makes a directory unless a type is given."""
    info = tarfile.TarInfo(name)
    info.mode = mode
    if data is None:
        info.type = tarfile.DIRTYPE
    for key, value in attributes.items():
        setattr(info, key, value)
    if data is not None and info.type == tarfile.REGTYPE:
        info.size = len(data)
    tar.addfile(info, io.BytesIO(data) if data else None)


def layer(*members):
    """A layer of (name, data, {attributes}) members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data, attributes in members:
            add(tar, name, data, **attributes)
    return out.getvalue()


def busybox_layer():
    with open(BUSYBOX, "rb") as f:
        binary = f.read()
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True,
                             check=True).stdout.split()
    members = [(d, None, {"mode": m}) for d, m in
               (("bin", 0o755), ("etc", 0o755), ("home", 0o755), ("home/web", 0o755),
                ("root", 0o700), ("tmp", 0o1777), ("usr", 0o755), ("usr/bin", 0o755),
                ("usr/sbin", 0o755), ("sbin", 0o755), ("var", 0o755), ("proc", 0o755),
                ("sys", 0o755), ("dev", 0o755))]
    members += [("bin/busybox", binary, {"mode": 0o755}),
                ("etc/passwd", PASSWD.encode(), {}), ("etc/group", GROUP.encode(), {}),
                ("etc/notexec", b"#!/bin/sh\n", {})]
    members += [("bin/" + a, b"", {"type": tarfile.SYMTYPE, "linkname": "busybox"})
                for a in applets if a != "busybox"]
    return layer(*members)


def config(layers, settings=None, **top):
    digests = ["sha256:" + hashlib.sha256(x).hexdigest() for x in layers]
    return {"architecture": "arm64" if os.uname().machine == "aarch64" else "amd64",
            "os": "linux", "created": "2024-01-02T03:04:05Z",
            "config": {"Env": [PATH_ENV], "Cmd": ["sh"], **(settings or {})},
            "rootfs": {"type": "layers", "diff_ids": digests},
            "history": [{"created": "2024-01-02T03:04:05Z", "created_by": "step %d" % i}
                        for i in range(len(layers))], **top}


def docker_archive(tags, layers, settings=None, **top):
    """What "docker save" of old wrote: manifest.json, a config, one directory per layer."""
    conf = json.dumps(config(layers, settings, **top)).encode()
    name = hashlib.sha256(conf).hexdigest() + ".json"
    paths = [hashlib.sha256(b"%d" % i + x).hexdigest() + "/layer.tar"
             for i, x in enumerate(layers)]
    manifest = [{"Config": name, "RepoTags": tags, "Layers": paths}]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        add(tar, name, conf)
        for path, data in zip(paths, layers):
            add(tar, os.path.dirname(path), mode=0o755)
            add(tar, path, data)
        add(tar, "manifest.json", json.dumps(manifest).encode())
    return out.getvalue()


def image_id(tags, layers, settings=None, **top):
    del tags
    conf = json.dumps(config(layers, settings, **top)).encode()
    return "sha256:" + hashlib.sha256(conf).hexdigest()


def oci_archive(ref, layers, settings=None, compress="gzip", blobs=None):
    """An OCI image layout as a tar, layers plain, gzip or zstd.

    @blobs: the layers as they are to be in it, instead
    """
    ready, blobs = blobs, {}

    def blob(data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}

    squeeze = {"gzip": gzip.compress, "zstd": zstd, "": bytes}[compress]
    suffix = "+" + compress if compress else ""
    manifest = {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(json.dumps(config(layers, settings)).encode(),
                       "application/vnd.oci.image.config.v1+json"),
        "layers": [blob(x, "application/vnd.oci.image.layer.v1.tar" + suffix)
                   for x in ready or map(squeeze, layers)]}
    top = blob(json.dumps(manifest).encode(), manifest["mediaType"])
    top["annotations"] = {"io.containerd.image.name": "docker.io/library/" + ref,
                          "org.opencontainers.image.ref.name": ref.split(":")[1]}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
             "manifests": [top]}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        add(tar, "index.json", json.dumps(index).encode())
        add(tar, "blobs", mode=0o755)
        add(tar, "blobs/sha256", mode=0o755)
        for digest, data in blobs.items():
            add(tar, "blobs/sha256/" + digest, data)
    return out.getvalue()


def zstd(data):
    return subprocess.run(["zstd", "-c", "-q"], input=data, capture_output=True,
                          check=True).stdout


def unzstd(data):
    """Raises ValueError when it is damaged."""
    done = subprocess.run(["zstd", "-d", "-c", "-q"], input=data, capture_output=True)
    if done.returncode:
        raise ValueError(done.stderr)
    return done.stdout


_cache = {}


def busybox():
    if "layer" not in _cache:
        _cache["layer"] = busybox_layer()
    return _cache["layer"]


SETTINGS = {"Env": [PATH_ENV, "FROM_IMAGE=yes"], "Entrypoint": ["/bin/echo", "entry"],
            "Cmd": ["cmd"], "WorkingDir": "/home/web", "User": "web", "StopSignal": "SIGINT",
            "ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "Volumes": {"/data": {}},
            "Labels": {"from.image": "yes", "purpose": "test"}}


def debian_tar():
    """Path of a Debian minbase root file system as a tar, made once; or the reason why not."""
    path = os.path.join(BUILD, "test-cache", "debian.tar")
    if os.path.exists(path):
        return path, None
    if not shutil.which("debootstrap"):
        return None, "debootstrap is not installed"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    packages = path + ".pkgs.tgz"  # debootstrap goes by the name
    made = subprocess.run(["debootstrap", "--variant=minbase", "--make-tarball=" + packages,
                           "bookworm", path + ".root"], capture_output=True, text=True,
                          preexec_fn=outside)
    if made.returncode == 0:
        made = subprocess.run(["debootstrap", "--variant=minbase", "--unpack-tarball=" + packages,
                               "bookworm", path + ".root"], capture_output=True, text=True)
    if made.returncode == 0:
        made = subprocess.run(["tar", "-C", path + ".root", "--numeric-owner", "--exclude=./dev/*",
                               "--exclude=./proc/*", "--exclude=./sys/*", "-cf", path + ".part",
                               "."], capture_output=True, text=True)
    shutil.rmtree(path + ".root", ignore_errors=True)
    if os.path.exists(packages):
        os.unlink(packages)
    if made.returncode != 0:
        return None, "debootstrap failed: " + (made.stderr or made.stdout)[-300:]
    os.rename(path + ".part", path)
    return path, None
