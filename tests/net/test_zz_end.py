"""Runs last: every exchange of this session against the API definition; then the end, which
must leave nothing."""
from ending import check_traffic, test_nothing_is_left  # noqa: F401

# What this folder is about. Every one must have been answered with success above.
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
    whole = len(request.session.items) > 100  # else only a part of the tests was run
    check_traffic(daemon, BUILT if whole else "")
