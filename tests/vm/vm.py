#!/usr/bin/python3
"""Runs a command as root in a virtual machine that has what this one may lack: cgroup v2, AppArmor.

  tests/vm/vm.py -- id                    this tree and its programs are seen below the same paths
  tests/vm/vm.py --out DIR -- COMMAND     what COMMAND leaves in /run/out is copied to DIR
  tests/vm/vm.py --cgroup v1 -- COMMAND
  tests/vm/vm.py --prepare                only fetch and unpack the kernel

The kernel is Debian's for clouds, from its package, without touching this machine's boot; the root
file system is this machine's, read-only below an overlay. No KVM is needed: TCG translates, ten to
thirty times slower. Exit code: the command's; 77 when there can be no machine here, 125 when it
broke or took too long.
"""
import argparse
import ctypes
import glob
import io
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = ROOT / "build-vm"
KERNEL = CACHE / "kernel"
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
# What the first stage needs; everything else is loaded on demand in the guest.
MODULES = ("virtio_pci", "virtio_blk", "virtio_console", "virtiofs", "overlay")
UNAVAILABLE, BROKEN = 77, 125


class Unavailable(Exception):
    """The machine cannot be had here; the text says why."""


def run(*cmd, **kw):
    p = subprocess.run(cmd, capture_output=True, text=True, stdin=subprocess.DEVNULL, **kw)
    if p.returncode:
        raise Unavailable("%s: %s" % (cmd[0], (p.stderr or p.stdout).strip()[-300:]))
    return p.stdout


# ---- the kernel ----

def fetch():
    """Debian's current cloud kernel, as its package in the cache."""
    if not shutil.which("apt-get"):
        raise Unavailable("no apt-get to fetch a kernel with")
    found = [x.split()[1] for x in run("apt-cache", "depends", "linux-image-cloud-amd64").splitlines()
             if "Depends: linux-image-" in x]
    if not found:
        raise Unavailable("apt knows no linux-image-cloud-amd64")
    run("apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", found[0], cwd=CACHE,
        timeout=300)


def prepare():
    """Fetch and unpack the kernel, once. Return: (vmlinuz, version)."""
    if os.uname().machine != "x86_64":
        raise Unavailable("the virtual machine is x86-64 only")
    CACHE.mkdir(exist_ok=True)
    if not (KERNEL / "ready").exists():
        if not glob.glob(str(CACHE / "linux-image-*.deb")):
            fetch()
        shutil.rmtree(KERNEL, ignore_errors=True)
        run("dpkg-deb", "-x", sorted(glob.glob(str(CACHE / "linux-image-*.deb")))[-1], KERNEL)
        version = next((KERNEL / "boot").glob("vmlinuz-*")).name[8:]
        run("busybox", "depmod", "-b", KERNEL, version)
        (KERNEL / "ready").touch()
    vmlinuz = next((KERNEL / "boot").glob("vmlinuz-*"))
    return vmlinuz, vmlinuz.name[8:]


def module_files(version):
    """Paths of MODULES and what they depend on, in the order of loading."""
    top = KERNEL / "lib" / "modules" / version
    deps = {}
    for line in (top / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        deps[path] = rest.split()
    by_name = {os.path.basename(p)[:-3].replace("-", "_"): p for p in deps}
    order = []

    def add(path):
        if path not in order:
            for d in deps[path]:
                add(d)
            order.append(path)
    for name in MODULES:
        if name in by_name:  # else built in
            add(by_name[name])
    return [top / p for p in order]


# ---- the initramfs ----

def newc(out, name, data=b"", mode=0o100755):
    """One member of a cpio archive (the kernel's Documentation/driver-api/early-userspace)."""
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % f for f in fields) + name.encode() + b"\0"
    out.write(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))


def initramfs(version, settings, command):
    out = io.BytesIO()
    for name in ("bin", "dev", "proc", "sys", "run", "host", "scratch", "root", "modules", "cleat"):
        newc(out, name, mode=0o40755)
    modules = module_files(version)
    newc(out, "init", (HERE / "init").read_bytes())
    newc(out, "bin/busybox", pathlib.Path("/bin/busybox").read_bytes())
    for m in modules:
        newc(out, "modules/" + m.name, m.read_bytes())
    newc(out, "modules/order", "".join(m.name + "\n" for m in modules).encode())
    newc(out, "cleat/settings", "".join("%s=%s\n" % (k, shlex.quote(str(v)))
                                        for k, v in settings.items()).encode())
    newc(out, "cleat/command", command.encode())
    newc(out, "TRAILER!!!", mode=0)
    return out.getvalue()


# ---- the machine ----

def dies_with_us():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def start_files(tmp):
    """virtiofsd over a read-only view of the root, in a mount namespace of its own. Only the
    root's own file system is seen, and this tree's if it lies on another."""
    view, sock = tmp / "view", tmp / "fs.sock"
    view.mkdir()
    mounts = ["/"] + ([str(ROOT)] if os.stat("/").st_dev != os.stat(ROOT).st_dev else [])
    script = "".join("mount --bind {0} {1} && mount -o remount,bind,ro {1} && ".format(
        shlex.quote(m), shlex.quote(str(view) + m.rstrip("/"))) for m in mounts)
    # One write of "always": nothing below changes while the guest runs, as far as it cares.
    script += shlex.join(["exec", VIRTIOFSD, "-f", "--socket-path=%s" % sock, "--rlimit-nofile=0",
                          "-o", "source=%s,cache=always,xattr,log_level=warn" % view])
    p = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
                         stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                         preexec_fn=dies_with_us)
    end = time.monotonic() + 20
    while not sock.exists():
        if p.poll() is not None or time.monotonic() > end:
            p.kill()
            raise Unavailable("virtiofsd does not start: " + p.stderr.read()[-300:])
        time.sleep(0.01)
    return p, sock


def qemu(args, tmp, vmlinuz, sock):
    def port(name, chardev):
        return ["-chardev", chardev + ",id=" + name,
                "-device", "virtserialport,chardev=%s,name=cleat.%s" % (name, name)]
    return ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-machine", "q35",
            "-smp", str(args.cpus), "-m", str(args.memory), "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot", "-kernel", str(vmlinuz),
            "-initrd", str(tmp / "initramfs"), "-append",
            "console=ttyS0 quiet panic=-1 random.trust_cpu=on apparmor=1 security=apparmor "
            + args.append,
            "-object", "memory-backend-memfd,id=mem,size=%dM,share=on" % args.memory,
            "-numa", "node,memdev=mem",
            "-chardev", "socket,id=fs,path=%s" % sock,
            "-device", "vhost-user-fs-pci,chardev=fs,tag=host",
            "-drive", "file=%s,if=virtio,format=raw,cache=unsafe" % (tmp / "scratch"),
            "-chardev", "file,id=console,path=%s" % args.console, "-serial", "chardev:console",
            "-device", "virtio-serial-pci", *port("out", "stdio,signal=off"),
            *port("code", "file,path=%s" % (tmp / "code")),
            *port("files", "file,path=%s" % (tmp / "files"))]


def finish(p):
    if p.poll() is None:
        p.kill()
    p.wait()


def boot(args, tmp):
    vmlinuz, version = prepare()
    command = "cd %s && exec %s\n" % (shlex.quote(os.getcwd()), shlex.join(args.command))
    settings = {"CGROUP": args.cgroup, "TREE": ROOT, "CODE": HERE,
                "MODULES": KERNEL / "lib" / "modules"}
    (tmp / "initramfs").write_bytes(initramfs(version, settings, command))
    with open(tmp / "scratch", "wb") as f:
        f.truncate(16 << 30)  # sparse
    run("/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", tmp / "scratch")
    files, sock = start_files(tmp)
    try:
        # A pipe: at the end of its input qemu would take the port for disconnected.
        machine = subprocess.Popen(qemu(args, tmp, vmlinuz, sock), stdin=subprocess.PIPE,
                                   preexec_fn=dies_with_us)
        try:
            machine.wait(args.timeout)
        finally:
            finish(machine)
    finally:
        finish(files)


def collect(args, tmp):
    """The command's exit code, after unpacking what it left."""
    code = (tmp / "code").read_text().strip() if (tmp / "code").exists() else ""
    if not code:
        tail = pathlib.Path(args.console).read_text(errors="replace")[-3000:]
        print("vm: the guest ended without an exit code; its console:\n" + tail, file=sys.stderr)
        return BROKEN
    if args.out:
        with tarfile.open(tmp / "files") as tar:
            tar.extractall(args.out)
    return int(code)


def check():
    if os.geteuid() != 0:
        raise Unavailable("needs root")
    for tool in ("qemu-system-x86_64", VIRTIOFSD, "busybox", "unshare"):
        if not shutil.which(tool):
            raise Unavailable("no " + tool)


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--prepare", action="store_true", help="only fetch and unpack the kernel")
    p.add_argument("--cgroup", choices=["v2", "v1"], default="v2")
    p.add_argument("--cpus", type=int, default=2)
    p.add_argument("--memory", type=int, default=2048, metavar="MIB")
    p.add_argument("--timeout", type=float, default=600, metavar="SECONDS")
    p.add_argument("--append", default="", metavar="ARGS", help="more kernel parameters")
    p.add_argument("--console", default=str(CACHE / "console.log"), help="the kernel's messages")
    p.add_argument("--out", metavar="DIR", help="where to copy the guest's /run/out")
    p.add_argument("command", nargs="*")
    return p.parse_args()


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(BROKEN))
    try:
        check()
        prepare()
        if args.prepare:
            return 0
        with tempfile.TemporaryDirectory(prefix="cleat-vm-") as tmp:
            boot(args, pathlib.Path(tmp))
            return collect(args, pathlib.Path(tmp))
    except Unavailable as e:
        print("vm: not available: %s" % e, file=sys.stderr)
        return UNAVAILABLE
    except subprocess.TimeoutExpired:
        print("vm: not done within %g s; the guest was ended" % args.timeout, file=sys.stderr)
    return BROKEN


if __name__ == "__main__":
    sys.exit(main())
