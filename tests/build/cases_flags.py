"""Flags: what they want, and what is said when they do not get it."""
from builds import Link, Mode
from cases import Case

F = {"f": "f"}


def wrong(name, line, error, files=None):
    return Case("flag_" + name, "FROM busybox\n%s\n" % line, {**F, **(files or {})}, error=error)


CASES = [
    wrong("unknown", "COPY --nope=1 f /f", "unknown flag: --nope"),
    wrong("unknown_run", "RUN --nope true", "unknown flag: --nope"),
    wrong("without_value", "COPY --chown f /f", "--chown"),
    wrong("twice", "COPY --chown=1 --chown=2 f /f", "duplicate flag specified: --chown"),
    wrong("bool", "COPY --link=maybe f /f", "--link"),
    wrong("chmod", "COPY --chmod=999 f /f", "chmod"),
    wrong("from_of_add", "ADD --from=x f /f", "unknown flag: --from"),
    wrong("checksum_of_copy", "COPY --checksum=x f /f", "unknown flag: --checksum"),
    wrong("mount_type", "RUN --mount=type=nope,target=/x true", "unsupported mount type"),
    wrong("mount_key", "RUN --mount=type=tmpfs,target=/x,nope=1 true", "unexpected key 'nope'"),
    wrong("mount_target", "RUN --mount=type=tmpfs true", "target is required"),
    wrong("mount_sharing", "RUN --mount=type=cache,target=/x,sharing=nope true", "sharing"),
    wrong("mount_mode", "RUN --mount=type=cache,target=/x,mode=9 true", "mode"),
    wrong("mount_size", "RUN --mount=type=tmpfs,target=/x,size=nope true", "size"),
    wrong("mount_from", "RUN --mount=from=7,target=/x true", "invalid stage index 7"),
    wrong("mount_source", "RUN --mount=source=nope,target=/x true", "nope"),
    wrong("network", "RUN --network=nope true", "network"),
    wrong("security", "RUN --security=nope true", "security"),
    wrong("network_host", "RUN --network=host true", "network.host"),
    wrong("security_insecure", "RUN --security=insecure true", "security.insecure"),
    wrong("secret", "RUN --mount=type=secret,id=s,required=true true", "secret s: not found"),
    wrong("secret_without_id", "RUN --mount=type=secret true", "id"),
    wrong("ssh", "RUN --mount=type=ssh,required=true true", 'no SSH key "default"'),
    wrong("healthcheck", "HEALTHCHECK --interval=nope CMD true", "invalid duration"),
    wrong("healthcheck_short", "HEALTHCHECK --interval=1us CMD true", "less than 1ms"),
    wrong("healthcheck_retries", "HEALTHCHECK --retries=-1 CMD true", "retries"),
    wrong("healthcheck_none", "HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
    wrong("healthcheck_type", "HEALTHCHECK FOO x", "Unknown type"),
    wrong("healthcheck_empty", "HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
    wrong("copy_one_word", "COPY f", "at least two arguments"),
    wrong("cmd_of_from", "FROM", "FROM requires either one or three arguments"),
    wrong("stage_name", "FROM busybox AS 1x", "invalid name for build stage"),
    wrong("workdir_empty", "WORKDIR", "WORKDIR requires exactly one argument"),
    wrong("env_empty", "ENV", "ENV requires at least one argument"),
    wrong("env_no_value", "ENV A=1 B", "can't find = in \"B\""),
    wrong("expose", "EXPOSE 99999", "99999"),
    wrong("stopsignal", "STOPSIGNAL NOPE", "NOPE"),
    wrong("shell", "SHELL sh", "SHELL requires the arguments to be in JSON form"),
    wrong("onbuild_from", "ONBUILD FROM busybox", "FROM isn't allowed as an ONBUILD trigger"),
    wrong("onbuild_maintainer", "ONBUILD MAINTAINER x", "MAINTAINER isn't allowed as an ONBUILD trigger"),
    wrong("volume_empty", 'VOLUME [""]', "VOLUME specified can not be an empty string"),
    Case("optional_secret_and_agent", "FROM busybox\nRUN --mount=type=secret,id=s --mount=type=ssh "
         "! test -e /run/secrets/s && test -z \"$SSH_AUTH_SOCK\" && echo x > /o\n",
         tree={"o": "0644 0:0 x\n"}),
    Case("network_none", "FROM busybox\nRUN --network=none ip -o link | wc -l > /o\n", args=["--network", "default"],
         tree={"o": "0644 0:0 1\n"}),
    Case("security_sandbox", "FROM busybox\nRUN --security=sandbox echo x > /o\n", tree={"o": "~x"}),
    Case("tmpfs_size", "FROM busybox\nRUN --mount=type=tmpfs,target=/t,size=1m "
         "! dd if=/dev/zero of=/t/f bs=1k count=2000 2>/dev/null && echo x > /o\n", tree={"o": "~x"}, gone=["t"]),
    Case("mount_relative", "FROM busybox\nWORKDIR /w\nRUN --mount=target=m cat m/f > o\n", F,
         tree={"w/o": "0644 0:0 f"}, gone=["w/m"]),
    Case("mount_several", "FROM busybox\nRUN --mount=target=/a,source=f --mount=type=tmpfs,dst=/b "
         "--mount=type=bind,destination=/c,src=.,ro cat /a /c/f > /b/x && cp /b/x /o\n", F,
         tree={"o": "0644 0:0 ff"}, gone=["a", "b", "c"]),
    Case("cache_attributes", "FROM busybox\nRUN --mount=type=cache,target=/c,id=attributes,mode=1750,uid=5,gid=6 "
         "stat -c '%a %u %g' /c > /o\n", tree={"o": "0644 0:0 1750 5 6\n"}, gone=["c"]),
    Case("cache_is_kept", "FROM busybox\nRUN --mount=type=cache,target=/c,id=kept echo x > /c/f\n"
         "RUN --mount=type=cache,target=/d,id=kept cp /d/f /o\n", tree={"o": "0644 0:0 x\n"}),
    Case("cache_ids_differ", "FROM busybox\nRUN --mount=type=cache,target=/c,id=one echo x > /c/f\n"
         "RUN --mount=type=cache,target=/c,id=two ! test -e /c/f\n"),
    Case("cache_id_is_the_target", "FROM busybox\nRUN --mount=type=cache,target=/same echo x > /same/f\n"
         "RUN --mount=type=cache,target=/same/ cp /same/f /o\n", tree={"o": "~x"}),
    Case("cache_readonly", "FROM busybox\nRUN --mount=type=cache,target=/c,id=ro,ro ! touch /c/f\n"),
    Case("cache_from", "FROM busybox AS s\nRUN mkdir /d && echo x > /d/f\nFROM busybox\n"
         "RUN --mount=type=cache,target=/c,id=from,from=s,source=/d cp /c/f /o\n", tree={"o": "~x"}),
    Case("cache_private", "FROM busybox\nRUN --mount=type=cache,target=/c,id=private,sharing=private echo x > /c/f\n"
         "RUN --mount=type=cache,target=/c,id=private,sharing=private cp /c/f /o\n", tree={"o": "~x"}),
    Case("cache_locked", "FROM busybox\nRUN --mount=type=cache,target=/c,id=locked,sharing=locked echo x > /c/f\n"
         "RUN --mount=type=cache,target=/c,id=locked,sharing=locked cp /c/f /o\n", tree={"o": "~x"}),
    Case("chmod_symbolic", "FROM busybox\nCOPY --chmod=u=rwX,go=rX d /d\nCOPY --chmod=a+x f /f\n",
         {**F, "d/x": Mode("x", 0o640), "d/e/y": "y"},
         tree={"d/x": "0644 0:0 x", "d/e": "dir 0755 0:0", "f": "0755 0:0 f"}),
    Case("link", "FROM busybox\nRUN ln -s /etc /l\nCOPY --link f /l/f\n", F, tree={"l/f": "0644 0:0 f"}),
    Case("parents", "FROM busybox\nCOPY --parents a/b/c a/x /p/\nCOPY --parents a/./b/c /q/\n",
         {"a/b/c": "c", "a/x": "x"}, tree={"p/a/b/c": "~c", "p/a/x": "~x", "q/b/c": "~c"}, gone=["q/a"]),
    Case("exclude", "FROM busybox\nCOPY --exclude=*.o --exclude=e d /d\n",
         {"d/a.o": "", "d/a.c": "", "d/e/f": "", "d/g/a.o": ""}, tree={"d/a.c": "~", "d/g/a.o": "~"},
         gone=["d/a.o", "d/e"]),
    Case("copy_link_of_a_dir", "FROM busybox\nCOPY l /l\nCOPY l/a /b\n", {"d/a": "a", "l": Link("d")},
         tree={"l/a": "0644 0:0 a", "b": "0644 0:0 a"}),
    Case("copy_wildcard_of_dirs", "FROM busybox\nCOPY d* /w/\n", {"d1/a": "a", "d2/b": "b", "df": "f"},
         tree={"w/a": "~a", "w/b": "~b", "w/df": "~f"}, gone=["w/d1"]),
    Case("copy_wildcard_deep", "FROM busybox\nCOPY d/*/*.c /w/\nCOPY **/q.h /h/\n",
         {"d/a/x.c": "x", "d/b/y.c": "y", "d/z.c": "z", "d/b/q.h": "q"},
         tree={"w/x.c": "~x", "w/y.c": "~y", "h/q.h": "~q"}, gone=["w/z.c"]),
    Case("copy_wildcard_escaped", "FROM busybox\nCOPY [[]x].c /w/\n", {"[x].c": "x", "x.c": "y"},
         tree={"w/[x].c": "~x"}, gone=["w/x.c"]),
    Case("copy_merges", "FROM busybox\nCOPY a /m\nCOPY b /m\n", {"a/x": "1", "a/d/k": "1", "b/x": "2", "b/d/l": "2"},
         tree={"m/x": "~2", "m/d/k": "~1", "m/d/l": "~2"}),
    Case("copy_file_over_dir", "FROM busybox\nCOPY f /home/web\nCOPY f /etc/new\n", F,
         tree={"home/web/f": "~f", "etc/new": "~f"}),
    Case("copy_dot_dir", "FROM busybox\nWORKDIR /w\nCOPY d/. .\nCOPY ./d/../f ./x/\n", {"d/a": "a", **F},
         tree={"w/a": "~a", "w/x/f": "~f"}),
    Case("copy_variants_of_root", "FROM busybox\nCOPY / /r/\nCOPY /f /g\nCOPY ../../f /h\n", F,
         tree={"r/f": "~f", "g": "~f", "h": "~f"}),
    Case("copy_setuid", "FROM busybox\nCOPY s /s\n", {"s": Mode("s", 0o4755)}, tree={"s": "4755 0:0 s"}),
    Case("copy_time_is_kept", "FROM busybox\nCOPY t /t\nRUN stat -c %Y /t > /o\n", {"t": Mode("t", 0o644, 1500000000)},
         tree={"o": "0644 0:0 1500000000\n"}),
    Case("target_by_number", "FROM busybox\nENV A=1\nFROM busybox\nRUN false\n", args=["--target", "0"],
         config={"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "A=1"]}),
    Case("healthcheck_exec", 'FROM busybox\nHEALTHCHECK --start-interval=2s CMD ["true", "a b"]\n',
         config={"Healthcheck": {"Test": ["CMD", "true", "a b"], "StartInterval": 2 * 10**9}}),
    Case("healthcheck_last_wins", "FROM busybox\nHEALTHCHECK CMD a\nHEALTHCHECK NONE\n",
         config={"Healthcheck": {"Test": ["NONE"]}}),
    Case("from_twice_with_names", "FROM busybox AS a\nFROM a AS b\nFROM b AS c\nRUN echo x > /x\n", tree={"x": "~x"}),
]
