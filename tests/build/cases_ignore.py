"""What .dockerignore takes away."""
from cases import Case

FILES = {"a.c": "", "b.h": "", "d/a.c": "", "d/e/a.c": "", "d/e/b.h": "", "x y": "", "k/keep": ""}
ALL = "FROM busybox\nCOPY . /i/\n"


def ignore(name, text, there=(), gone=(), files=None, **kw):
    return Case("ignore_" + name, kw.pop("dockerfile", ALL),
                {**FILES, ".dockerignore": text, **(files or {})},
                tree={"i/" + p: "~" for p in there}, gone=["i/" + p for p in gone], **kw)


CASES = [
    ignore("star_is_of_one_level", "*.c\n", ["b.h", "d/a.c"], ["a.c"]),
    ignore("two_stars", "**/*.c\n", ["b.h", "d/e/b.h"], ["a.c", "d/a.c", "d/e/a.c"]),
    ignore("directory", "d\n", ["a.c"], ["d"]),
    ignore("slashes", "/d/\n./a.c\n", ["b.h"], ["d", "a.c"]),
    ignore("comment_and_blanks", "# d\n\n   a.c   \n", ["d/a.c", "b.h"], ["a.c"]),
    ignore("byte_order_mark", b"\xef\xbb\xbfa.c\n".decode(), ["b.h"], ["a.c"]),
    ignore("question_and_class", "?.c\nb.[gh]\n", ["d/a.c"], ["a.c", "b.h"]),
    ignore("exceptions", "*\n!d/e\n", ["d/e/a.c", "d/e/b.h"], ["a.c", "d/a.c", "k"]),
    ignore("order", "!a.c\n*.c\n!d\n", ["d/a.c"], ["a.c"]),
    ignore("last_wins", "*.c\n!a.c\na.c\n", ["b.h"], ["a.c"]),
    ignore("middle", "d/**/b.h\n", ["d/e/a.c", "b.h"], ["d/e/b.h"]),
    ignore("blank_in_name", "x y\n", ["a.c"], ["x y"]),
    ignore("dots", "d/../a.c\n", ["d/a.c"], ["a.c"]),
    ignore("itself", ".dockerignore\nDockerfile\n", ["a.c"],
           ["Dockerfile", ".dockerignore"]),
    ignore("everything", "*\n", dockerfile="FROM busybox\nCOPY . /i/\nRUN ls -A /i | wc -l > /n\n"),
    ignore("wildcard_of_copy", "*.c\n", [], ["a.c"], dockerfile="FROM busybox\nCOPY a* /i/\n",
           error="not found"),
    ignore("mount", "a.c\n", dockerfile="FROM busybox\nRUN --mount=target=/c cat /c/b.h && ls /c > /o\n"),
    Case("ignore_file_of_its_own", None,
         {**FILES, "sub.D": ALL, "Dockerfile": "FROM nope\n", ".dockerignore": "b.h\n",
          "sub.D.dockerignore": "a.c\n"}, args=["-f", "{context}/sub.D"], tree={"i/d/a.c": "~"},
         gone=["i/a.c"]),
]
