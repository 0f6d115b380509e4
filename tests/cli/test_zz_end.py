"""Runs last: every exchange of this session against the API definition; then the end, which
must leave nothing."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "api"))

import schema  # noqa: E402
from fixtures import prove_clean  # noqa: E402


# Besides those of the API suite; every one must have been answered with success above.
BUILT = """
GET /containers/{id}/changes
GET /containers/{id}/export
GET /containers/{id}/archive
HEAD /containers/{id}/archive
PUT /containers/{id}/archive
POST /commit
GET /volumes
POST /volumes/create
GET /volumes/{name}
DELETE /volumes/{name}
POST /volumes/prune
GET /system/df
"""


def test_every_answer_follows_the_definition(daemon, request):
    rows = daemon.exchanges()
    if not rows:
        pytest.skip("no traffic was recorded")
    bad, hit, _ = schema.report(rows)
    print("%d exchanges, %d endpoints hit" % (len(rows), len(hit)))
    assert not bad, "\n".join("%d x %s" % (n, text) for text, n in sorted(bad.items()))
    if len(request.session.items) > 500:  # else only a part of the tests was run
        wanted = {tuple(line.split()) for line in BUILT.split("\n") if line}
        assert wanted <= hit, "never hit: %s" % sorted(wanted - hit)


def test_nothing_is_left(daemon):
    prove_clean(daemon)
