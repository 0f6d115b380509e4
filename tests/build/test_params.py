"""What docker's classic command line cannot ask for: entitlements, checks; and child builds."""
import os
import re
import threading

import pytest

from test_contexts import post, tar_of  # noqa: F401

HOST_NETWORK = "FROM busybox\nRUN --network=host cat /proc/sys/kernel/random/uuid; readlink /proc/self/ns/net\n"


def dockerfile(text, **files):
    return tar_of({"Dockerfile": text, **files})


def test_host_network_wants_an_entitlement(post):  # noqa: F811
    post(dockerfile(HOST_NETWORK)).failed("network.host is not allowed")
    post(dockerfile(HOST_NETWORK), allow='["security.insecure"]').failed("network.host is not allowed")
    post(dockerfile(HOST_NETWORK), allow='["network.host"]').ok()
    assert os.readlink("/proc/%d/ns/net" % post.daemon.process.pid) in post.reply.body.decode()


def test_insecure_wants_an_entitlement(post):  # noqa: F811
    text = "FROM busybox\nRUN --security=%s grep CapEff /proc/self/status\n"
    post(dockerfile(text % "insecure")).failed("security.insecure is not allowed")
    caps = []
    for security in ("insecure", "sandbox"):
        post(dockerfile(text % security), allow='["security.insecure"]').ok()
        caps.append(int(re.search(r"CapEff:\\t([0-9a-f]+)", post.reply.body.decode())[1], 16))
    assert caps[0] & caps[1] == caps[1] and caps[0] & (1 << 21) and not caps[1] & (1 << 21)


def test_a_budget_for_all_variables(post):  # noqa: F811
    """Each result is within its limit."""
    line = "ENV B%d=" + "$A" * 15 + "\n"
    text = "FROM busybox\nENV A=" + "x" * 60000 + "\n" + "".join(line % i for i in range(100))
    post(dockerfile(text)).failed("too")


def test_triggers_run_in_a_child(post, daemon, name):  # noqa: F811
    parent = name + "-parent"
    reply = daemon.api.post("/build", dockerfile(
        "FROM busybox\nONBUILD ARG V=1\nONBUILD ENV V=$V\nONBUILD COPY f /f\nONBUILD RUN echo $V > /v\n"
        "ONBUILD COPY --from=tools /t /t\n"), networkmode="none", t=parent, timeout=30)
    assert b"errorDetail" not in reply.body, reply
    try:
        child = "FROM busybox AS tools\nRUN echo tool > /t\nFROM %s\nRUN cp /v /w\n" % parent
        tree = post(dockerfile(child, f="f"), buildargs='{"V": "7"}').ok().tree()
        assert [str(tree[n]) for n in "fvwt"] == ["0644 0:0 f", "0644 0:0 7\n", "0644 0:0 7\n",
                                                 "0644 0:0 tool\n"]
        assert not daemon.api.get("/images/%s/json" % name).json["Config"].get("OnBuild")
        grandchild = tar_of({"Dockerfile": "FROM %s\nRUN true\n" % name})
        post(grandchild).ok()
        post(dockerfile("FROM %s\n" % parent)).failed("not found")
    finally:
        daemon.api.delete("/images/" + parent, force=1)


@pytest.mark.parametrize("sharing,most", [("shared", 2), ("private", 2), ("locked", 1)])
def test_sharing_of_a_cache(daemon, name, sharing, most):
    """Two builds at once, each with a mark in the cache while it is there, and one in a shared cache
    by which it waits for the other; where they cannot be there together, only for itself."""
    text = ("FROM busybox\nARG ME\nRUN --mount=type=cache,target=/c,id=%s,sharing=%s "
            "--mount=type=cache,target=/s,id=%s-sign "
            "touch /c/in-$ME /s/here-$ME; i=0; "
            "while [ $i -lt 30 ] && [ $(ls /s | wc -l) -lt %d ]; do sleep 0.1; i=$((i+1)); done; "
            "echo saw=$(ls /c | wc -l) met=$(ls /s | wc -l); rm /c/in-$ME; %s\n"
            % (name, sharing, name, most, "rm /s/here-$ME" if most == 1 else "true"))
    replies = []

    def one(me):
        replies.append(daemon.api.post("/build", dockerfile(text), networkmode="none", timeout=50,
                                       nocache=1, buildargs='{"ME": "%s"}' % me).body.decode())
    threads = [threading.Thread(target=one, args=(m,)) for m in "ab"]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    saw = sorted(re.search(r"saw=(\d)", r)[1] for r in replies)
    met = [re.search(r"met=(\d)", r)[1] for r in replies]
    if sharing == "locked":
        assert saw == ["1", "1"] and met == ["1", "1"], replies
    else:
        assert "2" in met, replies
        assert saw == ["1", "1"] if sharing == "private" else "2" in saw, replies


def test_checks_are_told(post):  # noqa: F811
    post(dockerfile("FROM busybox as a\nCMD a\nCMD b\n")).ok()
    body = post.reply.body.decode()
    assert "FromAsCasing" in body and "MultipleInstructionsDisallowed" in body
    post(dockerfile("# check=skip=FromAsCasing\nFROM busybox as a\n")).ok()
    assert "FromAsCasing" not in post.reply.body.decode()
