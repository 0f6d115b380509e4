"""Several stages, and what is taken from where."""
from cases import Case

CASES = [
    Case("copy_from_stage", "FROM busybox AS b\nRUN echo x > /x\nFROM busybox\nCOPY --from=b /x /y\n",
         tree={"y": "0644 0:0 x\n"}, gone=["x"]),
    Case("copy_from_number", "FROM busybox\nRUN echo x > /x\nFROM busybox\nCOPY --from=0 /x /y\n",
         tree={"y": "0644 0:0 x\n"}),
    Case("copy_from_image", "FROM scratch\nCOPY --from=busybox /etc/passwd /p\n", tree={"p": "~root"}),
    Case("copy_from_keeps_owner", "FROM busybox AS b\nRUN echo x > /x && chown 5:6 /x\nFROM scratch\n"
         "COPY --from=b /x /\n", tree={"x": "0644 5:6 x\n"}),
    Case("from_stage", "FROM busybox AS b\nENV A=1\nRUN echo x > /x\nFROM b\nRUN echo $A > /y\n",
         tree={"x": "0644 0:0 x\n", "y": "0644 0:0 1\n"}),
    Case("stage_names_in_any_case", "FROM busybox AS Base\nRUN echo x > /x\nFROM base\n",
         tree={"x": "0644 0:0 x\n"}),
    Case("target", "FROM busybox AS a\nENV A=1\nFROM busybox AS b\nRUN false\n",
         args=["--target", "a"], config={"Env": [
             "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "A=1"]}),
    Case("only_what_is_needed", "FROM busybox AS no\nRUN false\nFROM busybox\nRUN echo x > /x\n",
         tree={"x": "0644 0:0 x\n"}),
    Case("args_do_not_pass_stages", "FROM busybox AS a\nARG A=1\nFROM a\nRUN echo =$A= > /o\n",
         tree={"o": "0644 0:0 ==\n"}),
    Case("copy_from_dir", "FROM busybox AS b\nRUN mkdir -p /d/e && echo x > /d/e/f && ln -s e /d/l\n"
         "FROM scratch\nCOPY --from=b /d /n\n", tree={"n/e/f": "0644 0:0 x\n", "n/l": "link:e"}),
    Case("copy_from_hard_links", "FROM busybox AS b\nRUN mkdir /d && echo x > /d/a && ln /d/a /d/b\n"
         "FROM busybox\nCOPY --from=b /d /n\nRUN stat -c %h /n/a > /o\n",
         tree={"o": "0644 0:0 2\n"}),
    Case("copies_are_files_of_their_own", "FROM busybox AS b\nRUN mkdir /d && echo x > /d/a\n"
         "FROM busybox\nCOPY --from=b /d /n\nRUN stat -c %h /n/a > /o\n", tree={"o": "0644 0:0 1\n"}),
    Case("platform_args", "FROM busybox\nARG TARGETOS\nARG TARGETPLATFORM\n"
         "RUN echo $TARGETOS $TARGETPLATFORM > /o\n", tree={"o": "~linux linux/"}),
]
