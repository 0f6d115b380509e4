"""Runs last: every exchange of this session against the API definition; then the end, which
must leave nothing."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "api"))

import schema  # noqa: E402
from fixtures import prove_clean  # noqa: E402


def test_every_answer_follows_the_definition(daemon):
    rows = daemon.exchanges()
    if not rows:
        pytest.skip("no traffic was recorded")
    bad, hit, _ = schema.report(rows)
    print("%d exchanges, %d endpoints hit" % (len(rows), len(hit)))
    assert not bad, "\n".join("%d x %s" % (n, text) for text, n in sorted(bad.items()))


def test_nothing_is_left(daemon):
    prove_clean(daemon)
