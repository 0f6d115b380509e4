"""What a folder of tests ends with, in its test_zz_end.py: every exchange of the session against the
API definition, and an end that leaves nothing."""
import os
import sys

import pytest

from fixtures import prove_clean

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "api"))

import schema  # noqa: E402


def check_traffic(daemon, wanted=""):
    """@wanted: "METHOD path" lines, each of which must have been answered with success."""
    rows = daemon.exchanges()
    if not rows:
        pytest.skip("no traffic was recorded")
    bad, hit, _ = schema.report(rows)
    print("%d exchanges, %d endpoints hit" % (len(rows), len(hit)))
    assert not bad, "\n".join("%d x %s" % (n, text) for text, n in sorted(bad.items()))
    never = {tuple(line.split()) for line in wanted.split("\n") if line} - hit
    assert not never, "never hit: %s" % sorted(never)


def test_every_answer_follows_the_definition(daemon):
    check_traffic(daemon)


def test_nothing_is_left(daemon):
    prove_clean(daemon)
