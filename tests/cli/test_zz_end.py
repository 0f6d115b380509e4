"""Runs last: every exchange of this session against the API definition; then the end, which
must leave nothing."""
from ending import check_traffic, test_nothing_is_left  # noqa: F401

# Besides those of the API suite. Every one must have been answered with success above.
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
    whole = len(request.session.items) > 500  # else only a part of the tests was run
    check_traffic(daemon, BUILT if whole else "")
