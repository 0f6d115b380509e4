"""What is wrong, and what the user is told."""
from cases import Case

CASES = [
    Case("unknown_instruction", "FROM busybox\nFOO x\n", error="unknown instruction: FOO"),
    Case("empty_file", "", error="the Dockerfile (Dockerfile) cannot be empty"),
    Case("no_from", "RUN x\n", error="no build stage in current context"),
    Case("copy_missing", "FROM busybox\nCOPY nope /x\n", error="\"/nope\": not found"),
    Case("copy_out_of_context", "FROM busybox\nCOPY ../../etc/passwd /x\n", error="not found"),
    Case("copy_ignored", "FROM busybox\nCOPY a /x\n", {"a": "a", ".dockerignore": "a\n"},
         error="\"/a\": not found"),
    Case("run_fails", "FROM busybox\nRUN exit 3\n",
         error="The command '/bin/sh -c exit 3' returned a non-zero code: 3"),
    Case("run_not_found", 'FROM busybox\nRUN ["/nope"]\n', error="no such file or directory"),
    Case("target_missing", "FROM busybox\n", args=["--target", "x"],
         error="target stage \"x\" could not be found"),
    Case("chown_unknown", "FROM busybox\nCOPY --chown=nobodyhere f /x\n", {"f": "f"},
         error="no such user: nobodyhere"),
    Case("copy_several_to_file", "FROM busybox\nCOPY a b /x\n", {"a": "a", "b": "b"},
         error="the destination must be a directory and end with a /"),
    Case("copy_dir_over_file", "FROM busybox\nRUN echo > /x\nCOPY d /x\n", {"d/a": "a"},
         error="cannot copy to non-directory"),
    Case("required_variable", 'FROM busybox\nENV A="${B:?must be set}"\n', error="must be set"),
    Case("bad_platform", "FROM --platform=$NOPE busybox\n", error=""),
    Case("blank_base", "ARG X\nFROM $X\n", error="should not be blank"),
    Case("onbuild_chain", "FROM busybox\nONBUILD ONBUILD RUN x\n",
         error="Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
    Case("bad_tar", "FROM busybox\nADD a.tar /x\n",
         {"a.tar": b"a" + b"\0" * 99 + b"0000644\0" + b"\0" * 16 + b"00000000001\0" * 2
          + b"000000 \0" + b"0" * 400}, tree={}),
]
CASES = [c for c in CASES if c.name not in ("bad_platform", "bad_tar")]
