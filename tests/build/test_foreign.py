"""RUN of another platform through binfmt_misc: the kernel finds an interpreter, the build need not
know. The entry of this test matches its own program only, by bytes of the header that nobody else
has there."""
import os
import subprocess

import pytest

import builds
from test_platforms import ok

BINFMT = "/proc/sys/fs/binfmt_misc"
PAD = b"cleat\x01\x02"  # in the padding of e_ident, where others have zeros
HEAD = b"\x7fELF\x02\x01\x01\x00\x00" + PAD + (2).to_bytes(2, "little") + (183).to_bytes(2, "little")
INTERPRETER = r"""
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    int fd = open("/ran", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    const char *what = argc > 1 ? argv[1] : "nothing";
    return fd < 0 || write(fd, what, strlen(what)) < 0;
}
"""


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


@pytest.fixture
def interpreter(tmp_path, name):
    """An entry of binfmt_misc, kept by the kernel while the test runs."""
    if os.geteuid() != 0 or not os.path.isdir(BINFMT):
        pytest.skip("no binfmt_misc")
    source, program = tmp_path / "i.c", str(tmp_path / "i")
    source.write_text(INTERPRETER)
    subprocess.run(["gcc", "-static", "-O", "-o", program, str(source)], check=True)
    entry = "cleat-%s-%d" % (name, os.getpid())
    escaped = "".join("\\x%02x" % b for b in HEAD)
    rule = ":%s:M::%s::%s:F" % (entry, escaped, program)
    # The mount is seen by this process alone, the entry by the kernel, as long as the mount is there.
    script = "mount -t binfmt_misc none %s && printf %%s '%s' > %s/register && echo set && read x" \
        % (BINFMT, rule, BINFMT)
    keeper = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", script],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if keeper.stdout.readline() != b"set\n":
        pytest.skip("binfmt_misc takes no entry: " + keeper.communicate()[1].decode())
    yield
    keeper.communicate(b"\n", timeout=20)


def test_a_foreign_command_runs(daemon, tmp_path, name, interpreter):
    build = builds.Builder(daemon, "cleat", str(tmp_path), name)
    head = HEAD + (1).to_bytes(4, "little")
    builds.write_tree(build.context, {"prog": builds.Mode(head + bytes(4000), 0o755), "Dockerfile":
                                      "FROM scratch\nCOPY prog /\nRUN [\"/prog\", \"x\"]\n"})
    try:
        done = ok(build, "-t", build.tag, "--no-cache", "--progress=plain", "--platform", "linux/arm64,linux/amd64")
        assert "[linux/arm64 3/3] RUN" in done.stderr
        for p in ("linux/arm64", "linux/amd64"):
            ok(build, "--platform", p, "-o", str(tmp_path / p.replace("/", "_")))
            assert (tmp_path / p.replace("/", "_") / "ran").read_text() == "/prog"
    finally:
        build.close()
