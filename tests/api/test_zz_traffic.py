"""Runs last: every exchange of this session against the API definition; then the end, which
must leave nothing."""
import pytest

import schema
from fixtures import prove_clean

# What the engine must serve by now; every one must have been answered with success above.
BUILT = """
GET /_ping
HEAD /_ping
GET /version
GET /info
GET /events
GET /containers/json
POST /containers/create
GET /containers/{id}/json
GET /containers/{id}/top
GET /containers/{id}/logs
GET /containers/{id}/stats
POST /containers/{id}/resize
POST /containers/{id}/start
POST /containers/{id}/stop
POST /containers/{id}/restart
POST /containers/{id}/kill
POST /containers/{id}/rename
POST /containers/{id}/pause
POST /containers/{id}/unpause
POST /containers/{id}/attach
POST /containers/{id}/wait
DELETE /containers/{id}
POST /containers/prune
POST /containers/{id}/exec
POST /exec/{id}/start
POST /exec/{id}/resize
GET /exec/{id}/json
GET /images/json
POST /images/create
GET /images/{name}/json
GET /images/{name}/history
POST /images/{name}/tag
DELETE /images/{name}
POST /images/prune
GET /images/{name}/get
GET /images/get
POST /images/load
POST /containers/{id}/update
GET /networks
GET /networks/{id}
"""


@pytest.fixture(scope="module")
def result(daemon):
    return schema.report(daemon.exchanges())


def test_every_answer_follows_the_definition(result):
    bad, hit, never = result
    print("%d endpoints hit, %d never:" % (len(hit), len(never)))
    print(*("%s %s" % x for x in sorted(never, key=lambda x: x[1])), sep="\n")
    assert not bad, "\n".join("%d x %s" % (n, text) for text, n in sorted(bad.items()))


def test_every_endpoint_was_hit(result, request):
    if request.config.getoption("-k") or len(request.session.items) < 100:
        pytest.skip("only a part of the tests was run")
    wanted = {tuple(line.split()) for line in BUILT.split("\n") if line}
    known = {(e["method"], e["path"]) for e in schema.Schema().endpoints}
    assert wanted <= known, wanted - known
    assert wanted <= result[1], "never hit: %s" % sorted(wanted - result[1])


def test_nothing_is_left(daemon):
    prove_clean(daemon)
