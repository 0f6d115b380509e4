"""Runs last: every exchange of this session against the API definition; then the end, which must
leave nothing."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "api"))

import schema  # noqa: E402
from fixtures import prove_clean  # noqa: E402


# Every one must have been answered with success above.
BUILT = """
GET /networks
POST /networks/create
GET /networks/{id}
DELETE /networks/{id}
POST /networks/{id}/connect
POST /networks/{id}/disconnect
POST /networks/prune
"""


def test_every_answer_follows_the_definition(daemon, request):
    rows = daemon.exchanges()
    if not rows:
        pytest.skip("no traffic was recorded")
    bad, hit, _ = schema.report(rows)
    print("%d exchanges, %d endpoints hit" % (len(rows), len(hit)))
    assert not bad, "\n".join("%d x %s" % (n, text) for text, n in sorted(bad.items()))
    if len(request.session.items) > 100:  # else only a part of the tests was run
        wanted = {tuple(line.split()) for line in BUILT.split("\n") if line}
        assert wanted <= hit, "never hit: %s" % sorted(wanted - hit)


def test_nothing_is_left(daemon):
    prove_clean(daemon)
