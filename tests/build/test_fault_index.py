"""kill -9 and errors at the fail points of a build for several platforms with attestations: nothing of
an index is left that no name means, and the same build then goes through."""
import json

import pytest

import cleat
import test_fault as fault
from cleat import until
from test_fault import context, leftovers

POINTS = [p for p in cleat.fail_points() if p.startswith((
    "build.result.", "image.packed.", "image.create.", "image.insert", "image.tag", "layer.settle",
    "blob.publish", "store.gc"))]
EXPORT = json.dumps({"Provenance": "max", "SBOM": True,
                     "Annotations": [{"Level": "index", "Key": "a", "Value": "b"}]})

pytestmark = pytest.mark.usefixtures("fail_build")


def build(api, tag="fault:1"):
    reply = api.post("/build", context(), headers={"Content-Type": "application/x-tar"}, t=tag,
                     networkmode="none", platform="linux/amd64,linux/arm64", timeout=30,
                     export=EXPORT, dockerfile="two")
    return reply.status == 200 and b"errorDetail" not in reply.body


@pytest.fixture(autouse=True)
def two(monkeypatch):
    """Without commands: they would be foreign ones."""
    import io
    import tarfile
    from images import add

    def made():
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            add(tar, "two", b"FROM scratch\nARG TARGETARCH\nENV A=$TARGETARCH\nCOPY f /\n")
            add(tar, "f", b"f\n")
        return out.getvalue()
    monkeypatch.setattr(fault, "context", made)
    monkeypatch.setitem(globals(), "context", made)


@pytest.mark.parametrize("action", ["crash@1", "error@1", "crash@2"])
@pytest.mark.parametrize("point", POINTS)
def test_fail_point(own_daemon, point, action):
    d, fine = fault.break_at(own_daemon, point, action,
                             [build, lambda a: build(a, ""), fault.remove, build])
    assert build(d.api), d.log()[-2000:]
    shown = d.api.ok("GET", "/images/fault:1/json", manifests=1)
    assert [m["Kind"] for m in shown["Manifests"]] == ["image"] * 2 + ["attestation"] * 2
    assert all(m["Available"] for m in shown["Manifests"])
    assert d.api.delete("/images/fault:1").status == 200
    for i in d.api.ok("GET", "/images/json", all=1):
        if not i["RepoTags"]:
            d.api.delete("/images/" + i["Id"], force=1)
    d.api.ok("POST", "/build/prune", all=1)
    until(lambda: not leftovers(d), 10, lambda: leftovers(d))
    assert len(d.api.ok("GET", "/images/json", all=1)) == 3  # what fixtures.load() brought, hello
    if fine:
        pytest.skip("no build comes by this point")
