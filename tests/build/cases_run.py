"""RUN."""
from cases import Case

CASES = [
    Case("run_shell", "FROM busybox\nRUN echo hi > /o\n", tree={"o": "0644 0:0 hi\n"},
         history=["RUN /bin/sh -c echo hi > /o"]),
    Case("run_exec", 'FROM busybox\nRUN ["touch", "/a b"]\n', tree={"a b": "0644 0:0 "}),
    Case("run_output", "FROM busybox\nRUN echo to-out; echo to-err >&2\n", says=["to-out", "to-err"]),
    Case("run_sees_env_and_args", "FROM busybox\nARG A=1\nENV B=2\nRUN echo $A$B$C > /o\n",
         tree={"o": "0644 0:0 12\n"}),
    Case("run_args_are_in_history", "FROM busybox\nARG A=1\nRUN true\n",
         history=["RUN |1 A=1 /bin/sh -c true"]),
    Case("run_user", "FROM busybox\nUSER web\nRUN id -u > /tmp/o; id -g >> /tmp/o\n",
         tree={"tmp/o": "0644 1000:1001 1000\n1001\n"}),
    Case("run_workdir", "FROM busybox\nWORKDIR /w\nRUN pwd > o\n", tree={"w/o": "0644 0:0 /w\n"}),
    Case("run_shell_instruction", 'FROM busybox\nSHELL ["/bin/sh", "-euc"]\nRUN echo $- > /o\n',
         tree={"o": "~u"}),
    Case("run_removes", "FROM busybox\nRUN rm /etc/group && rm -r /home\n", gone=["etc/group", "home"]),
    Case("run_replaces_dir", "FROM busybox\nRUN rm -r /home && mkdir /home && echo x > /home/n\n",
         tree={"home/n": "0644 0:0 x\n"}, gone=["home/web"]),
    Case("run_leaves_no_mount_points", "FROM scratch\nCOPY --from=busybox /bin /bin\nRUN echo x > /o\n",
         tree={"o": "0644 0:0 x\n"}, gone=["proc", "sys", "dev", "etc", "etc/hosts"]),
    Case("run_continued", "FROM busybox\nRUN echo a \\\n    b \\\n # comment\n && echo c\n",
         says=["a b"]),
    Case("run_modes_and_links", "FROM busybox\nRUN echo a > /a && chmod 4755 /a && ln /a /b && "
         "ln -s a /c && mkfifo /p && chown 5:6 /b\n",
         tree={"a": "~5:6", "b": "~5:6 a", "c": "link:a"}),
    Case("run_proxy_is_not_kept", "FROM busybox\nRUN echo $HTTP_PROXY > /o\n",
         args=["--build-arg", "HTTP_PROXY=http://p"], tree={"o": "0644 0:0 http://p\n"},
         history=["RUN /bin/sh -c echo $HTTP_PROXY > /o"]),
    Case("run_no_network", "FROM busybox\nRUN ip -o link | wc -l > /o\n", tree={"o": "0644 0:0 1\n"}),
    Case("run_isolated", "FROM busybox\nRUN grep -E 'Seccomp:|NoNewPrivs|CapEff' /proc/self/status\n",
         says=["Seccomp:\t2"]),
    Case("run_heredoc_script", "FROM busybox\nRUN <<EOF\necho one > /o\necho two >> /o\nEOF\n",
         tree={"o": "0644 0:0 one\ntwo\n"}),
    Case("run_heredoc_input", "FROM busybox\nRUN cat <<EOF > /o\nhello\nEOF\n",
         tree={"o": "0644 0:0 hello\n"}),
    Case("run_heredoc_interpreter", "FROM busybox\nRUN <<EOF\n#!/bin/sh -e\necho $0 > /o\nEOF\n",
         tree={"o": "~EOF"}, gone=["dev/pipes"]),
    Case("run_mount_tmpfs", "FROM busybox\nRUN --mount=type=tmpfs,target=/t echo x > /t/f && "
         "grep ' /t ' /proc/mounts\n", says="tmpfs", gone=["t/f", "t"]),
    Case("run_mount_context", "FROM busybox\nRUN --mount=target=/c cat /c/f > /o && ! touch /c/g\n",
         {"f": "from context\n"}, tree={"o": "0644 0:0 from context\n"}, gone=["c"]),
    Case("run_mount_context_rw", "FROM busybox\nRUN --mount=target=/c,rw echo x > /c/g && cp /c/g /o\n"
         "RUN --mount=target=/c ! test -e /c/g\n", {"f": "f"}, tree={"o": "0644 0:0 x\n"}),
    Case("run_mount_file", "FROM busybox\nRUN --mount=source=d/f,target=/m cat /m > /o\n",
         {"d/f": "one file\n"}, tree={"o": "0644 0:0 one file\n"}, gone=["m"]),
    Case("run_mount_stage", "FROM busybox AS b\nRUN mkdir -p /d/e && echo x > /d/e/f\nFROM busybox\n"
         "RUN --mount=from=b,source=/d,target=/m cp /m/e/f /o\n", tree={"o": "0644 0:0 x\n"},
         gone=["m", "d"]),
    Case("run_mount_image", "FROM scratch\nRUN --mount=from=busybox,source=/bin,target=/b "
         '["/b/busybox", "mkdir", "/made"]\n', tree={"made": "dir 0755 0:0"}, gone=["b"]),
]
