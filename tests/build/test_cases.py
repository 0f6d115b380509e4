"""Every case of cases_*.py, through each client."""
import pytest

import builds
import cases_add
import cases_config
import cases_copy
import cases_errors
import cases_expand
import cases_flags
import cases_heredoc
import cases_ignore
import cases_run
import cases_stages

TOPICS = (cases_config, cases_copy, cases_add, cases_run, cases_stages, cases_errors, cases_heredoc,
          cases_expand, cases_ignore, cases_flags)
ALL = [c for m in TOPICS for c in m.CASES]
PAIRS = [(client, case) for case in ALL for client in builds.CLIENTS
         if case.only in (None, client)]


def test_names_are_unique():
    names = [c.name for c in ALL]
    assert len(names) == len(set(names)), sorted(n for n in names if names.count(n) > 1)


def check_tree(want, gone, tree):
    for path, text in want.items():
        assert path in tree, (path, sorted(tree)[:200])
        got = str(tree[path])
        if text.startswith("~"):
            assert text[1:] in got, (path, got)
        else:
            assert got == text, (path, got)
    for path in gone:
        assert path not in tree, path


def check_config(want, config):
    for key, value in want.items():
        got = config.get(key)
        if isinstance(value, dict) and isinstance(got, dict):
            assert {k: got.get(k) for k in value} == value, (key, got)
        else:
            assert got == value, (key, got)


@pytest.mark.parametrize("build,case", PAIRS, indirect=["build"],
                         ids=["%s-%s" % (c.name, client) for client, c in PAIRS])
def test_case(build, case):
    fresh = ["--no-cache"] if case.says else []  # else the other client's step speaks no more
    done = build(case.dockerfile, case.files, *case.args, *fresh)
    if case.error:
        assert done.code != 0 and case.error in done.out, done.out
        assert not build.daemon.api.get("/images/%s/json" % build.tag).status == 200
        return
    done.ok()
    for text in case.says:
        assert text in done.out, done.out
    check_config(case.config, done.config)
    if case.tree or case.gone:
        check_tree(case.tree, case.gone, done.tree())
    if case.history:
        by = [h["CreatedBy"] for h in reversed(done.history())][-len(case.history):]
        assert all(w in got for w, got in zip(case.history, by)), by
