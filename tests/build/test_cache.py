"""What is not done again, and what is."""
import builds
import pytest

both = pytest.mark.parametrize("build", builds.CLIENTS, indirect=True)
docker = pytest.mark.parametrize("build", ["docker"], indirect=True)


def cached(done):
    """How many steps came from the cache."""
    return done.ok().out.count("Using cache") + done.out.count("CACHED")


@both
def test_second_build_is_the_same_image(build):
    text = "FROM busybox AS b\nRUN echo %s > /x\nFROM busybox\nWORKDIR /w\nCOPY f .\n" \
           "COPY --from=b /x /y\nRUN echo hi > o\nCMD a\n" % build.tag
    first = build(text, {"f": "f"}).ok().id
    again = build(text)
    assert cached(again) == 5 and again.id == first


@both
def test_what_changed_and_all_behind_it(build):
    text = "FROM busybox\nRUN echo %s > /a\nCOPY f /f\nRUN cat /f > /b\nRUN true\n" % build.tag
    build(text, {"f": "one"}).ok()
    done = build(text, {"f": "two"})
    assert cached(done) == 1
    assert str(done.tree()["b"]) == "0644 0:0 two"
    back = build(text, {"f": "one"})
    assert cached(back) == 4 and str(back.tree()["b"]) == "0644 0:0 one"


@docker
def test_times_of_files_do_not_count(build):
    text = "FROM busybox\nCOPY f /f-%s\n" % build.tag
    build(text, {"f": builds.Mode("x", 0o644, 1000)}).ok()
    assert cached(build(text, {"f": builds.Mode("x", 0o644, 2000)})) == 1
    assert cached(build(text, {"f": builds.Mode("x", 0o755, 2000)})) == 0


@docker
def test_args_count_where_they_are_used(build):
    text = "FROM busybox\nRUN echo %s > /a\nARG V\nRUN echo $V > /b\n" % build.tag
    build(text, None, "--build-arg", "V=1").ok()
    assert cached(build(text, None, "--build-arg", "V=1")) == 2
    assert cached(build(text, None, "--build-arg", "V=2")) == 1


@docker
def test_proxies_do_not_count(build):
    text = "FROM busybox\nRUN echo %s > /a\n" % build.tag
    build(text, None, "--build-arg", "HTTP_PROXY=http://a").ok()
    assert cached(build(text, None, "--build-arg", "HTTP_PROXY=http://b")) == 1


@both
def test_no_cache(build):
    text = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /u\n"
    first = build(text).ok().tree()["u"].data
    assert build(text).ok().tree()["u"].data == first
    assert build(text, None, "--no-cache").ok().tree()["u"].data != first


@docker
def test_copy_from_a_stage_counts_by_content(build):
    text = "FROM busybox AS b\nRUN echo %s > /other && echo same > /x\nFROM busybox\n" \
           "COPY --from=b /x /" + build.tag + "\nRUN true\n"
    build(text % 1).ok()
    assert cached(build(text % 2)) == 2  # the stage was made again, what is taken from it not


@both
def test_files_have_one_name(build):
    """Also where stages copy the same context at once: some programs refuse others."""
    text = "FROM busybox AS b\nCOPY . /b-%s\nFROM busybox\nCOPY . /a\nCOPY --from=b /b-%s /c\n" \
           % (build.tag, build.tag)
    done = build(text, {"d/f%d" % i: "%d" % i for i in range(300)}).ok()
    assert done.run("find", "/a", "/c", "-type", "f", "-links", "+1") == ""
    assert done.run("diff", "-r", "/a/d", "/c/d") == ""


@docker
def test_pruned_cache_is_gone(build):
    text = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /u\n"
    build(text).ok()
    kept = build.daemon.api.get("/system/df").json["BuildCache"]
    assert any(k["Type"] == "regular" for k in kept)  # other cases have left mounts, too
    done = build.daemon.api.ok("POST", "/build/prune", all=1)
    assert sorted(done["CachesDeleted"]) == sorted(k["ID"] for k in kept)
    assert build.daemon.api.get("/system/df").json["BuildCache"] == []
    assert cached(build(text)) == 0


@docker
def test_prune_keeps_what_images_have(build):
    build("FROM busybox\nRUN echo %s > /u\n" % build.tag).ok()
    before = build.daemon.api.get("/system/df").json["BuildCache"]
    build.daemon.api.ok("POST", "/build/prune")
    after = {k["ID"] for k in build.daemon.api.get("/system/df").json["BuildCache"]}
    assert {k["ID"] for k in before if k["Shared"]} == after and after


@docker
def test_cache_travels_in_an_image(build, name):
    text = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /u\nWORKDIR /w\n"
    first = build(text, None, "--build-arg", "BUILDKIT_INLINE_CACHE=1").ok().tree()["u"].data
    build.daemon.api.ok("POST", "/build/prune", all=1)
    done = build(text, None, "--cache-from", build.tag)
    assert cached(done) == 2 and done.tree()["u"].data == first
    build.daemon.api.ok("POST", "/build/prune", all=1)
    done = build(text, None, "--cache-from", "nope/nowhere")
    assert cached(done) == 0 and "cache of nope/nowhere" in done.out


@docker
def test_same_input_same_digest(build, own_daemon, tmp_path):
    """Two machines, as far as the store goes: the same times, owners and names."""
    from fixtures import load
    text = "FROM busybox AS b\nRUN mkdir -p /d/e && echo x > /d/e/f && ln -s f /d/e/l\n" \
           "FROM busybox\nWORKDIR /w\nCOPY . .\nCOPY --from=b /d /d\nRUN echo hi > o; mkdir -p q/r\n" \
           "CMD a\n"
    args = ["--build-arg", "SOURCE_DATE_EPOCH=1700000000"]
    files = {"a": builds.Mode("a", 0o644, 1600000000), "s/b": builds.Mode("b", 0o755, 1600000000)}
    first = build(text, files, *args).ok()
    other = own_daemon().start()
    load(other)
    second = builds.Builder(other, "docker", tmp_path / "other", build.tag)
    twin = second(text, files, *args).ok()
    assert twin.layers == first.layers and twin.id == first.id
    assert all(h["Created"] <= 1700000000 for h in first.history()[:5])


def test_too_much_is_collected(own_daemon, tmp_path, name):
    """What was not used for the longest time goes, as long as builds keep more than they may."""
    import fixtures
    from cleat import until
    conf = tmp_path / "daemon.json"
    conf.write_text('{"builder": {"gc": {"defaultKeepStorage": "500kb"}}}')
    d = own_daemon(args=["--config-file", str(conf)])
    d.start()
    fixtures.load(d)
    for what in ("first", "second"):
        b = builds.Builder(d, "docker", tmp_path / what, name)
        b("FROM busybox\nRUN head -c 1000000 /dev/urandom > /%s\n" % what).ok()
        b.close()
        if what == "first":
            d.restart()  # it looks once in ten minutes, and first after the first build

    def kept():
        return sorted(k["Description"] for k in d.api.get("/system/df").json["BuildCache"])
    until(lambda: len(kept()) == 1, 10, kept)
    assert "/second" in kept()[0]


@pytest.mark.parametrize("text", ["1x", "-1", "0"])
def test_limits_that_are_none(own_daemon, tmp_path, text):
    conf = tmp_path / "daemon.json"
    conf.write_text('{"builder": {"gc": {"defaultKeepStorage": "%s"}}}' % text)
    d = own_daemon(args=["--config-file", str(conf)])
    d.start(wait=False)
    assert d.process.wait(10) != 0 and "builder.gc" in d.log()
    d.stopped = True
