"""Runs last: every exchange of this session against the API definition; then the end, which
must leave nothing."""
from ending import test_every_answer_follows_the_definition, test_nothing_is_left  # noqa: F401
