#include "base/test.h"

#include <errno.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/mem.h"
#include "build/dockerfile.h"

static void put_heredoc(struct buf *out, const struct df_heredoc *h)
{
    buf_printf(out, " <%d:%s:%s:", h->fd, h->name, h->expand ? "expand" : "raw");
    for (const char *p = h->body; *p; p++)
        buf_puts(out, *p == '\n' ? "\\n" : *p == '\t' ? "\\t" : (char[]){*p, 0});
    buf_putc(out, '>');
}

/* "1-2 RUN|echo a" and what else a line has; or the error's text. */
static char *parse_n(struct arena *a, const char *text, size_t len)
{
    auto_buf struct buf out = BUF_INIT;
    struct dockerfile d = {0};
    struct err e = {0};

    if (dockerfile_parse(text, len, a, &d, &e) < 0)
        return arena_strdup(a, e.msg);
    for (size_t i = 0; i < d.code.n; i++) {
        const struct df_line *l = d.code.v[i];
        buf_printf(&out, "%s%u-%u %s|%s", i ? "\n" : "", l->line, l->end_line, l->keyword, l->rest);
        if (l->blank_inside)
            buf_puts(&out, " blank");
        if (l->comment)
            buf_printf(&out, " (%s)", l->comment);
        for (size_t k = 0; k < l->heredocs.n; k++)
            put_heredoc(&out, l->heredocs.v[k]);
    }
    return arena_strdup(a, buf_str(&out));
}

static char *parse(struct arena *a, const char *text)
{
    return parse_n(a, text, strlen(text));
}

static const struct {
    const char *text, *want;
} cases[] = {
    {"FROM a\nRUN b", "1-1 FROM|a\n2-2 RUN|b"},
    {"\xef\xbb\xbf"
     "FROM a\r\nRUN b\r\n",
     "1-1 FROM|a\n2-2 RUN|b"},
    {"  \tFROM \t a  \n\n\n run b", "1-1 FROM|a\n4-4 run|b"},
    {"FROM", "1-1 FROM|"},
    /* continuations */
    {"RUN a \\\n  b \\  \n\tc\n", "1-3 RUN|a   b \tc"},
    {"RUN a\\\nb", "1-2 RUN|ab"},
    {"RUN a \\\\\nRUN b", "1-1 RUN|a \\\\\n2-2 RUN|b"},
    {"RUN a \\", "1-1 RUN|a"},
    {"RUN a \\\n", "1-2 RUN|a"},
    {"RUN \\\n\\\n\\\na", "1-4 RUN|a"},
    {"\\\nRUN a", "1-2 RUN|a"},
    {"\\\n\\\n", "file with no instructions"},
    {"RUN a \\\r\n b\r\n", "1-2 RUN|a  b"},
    {"R\\\nUN a", "1-2 RUN|a"},
    /* comments */
    {"# x\nRUN a # b\n  # c\nRUN d", "2-2 RUN|a # b (x)\n4-4 RUN|d (c)"},
    {"RUN a \\\n# x\n  # y \\\n b", "1-4 RUN|a  b"},
    {"RUN a \\\n#x\n\n b", "1-4 RUN|a  b blank"},
    {"RUN a \\\n\n\n b", "1-4 RUN|a  b blank"},
    {"RUN a \\\n  \n", "1-3 RUN|a blank"},
    {"# one\n# two\nRUN a", "3-3 RUN|a (one\ntwo)"},
    {"# one\n\nRUN a", "3-3 RUN|a"},
    {"# one\n#\n# two\nRUN a", "4-4 RUN|a (two)"},
    {"# x \\\nRUN a", "2-2 RUN|a (x \\)"},
    /* directives */
    {"# escape=`\nRUN a `\n b \\", "2-3 RUN|a  b \\"},
    {"#ESCAPE = ` \nRUN a `\n b", "2-3 RUN|a  b"},
    {"# escape=\\\nRUN a \\\n b", "2-3 RUN|a  b"},
    {"# escape=x\nRUN a",
     "dockerfile parse error on line 1: invalid escape token 'x' does not match ` or \\"},
    {"# escape=`\n# escape=`\nRUN a",
     "dockerfile parse error on line 2: only one escape parser directive can be used"},
    {"# syntax=a\n# syntax=b\nRUN a",
     "dockerfile parse error on line 2: only one syntax parser directive can be used"},
    {"# hello\n# escape=`\nRUN a `\nRUN b", "3-3 RUN|a ` (hello\nescape=`)\n4-4 RUN|b"},
    {"\n# escape=`\nRUN a `", "3-3 RUN|a ` (escape=`)"},
    {"# what=x\n# escape=`\nRUN a \\\n b", "3-4 RUN|a  b (what=x\nescape=`)"},
    {"#!/bin/x\n# escape=`\nRUN a `\n b", "3-4 RUN|a  b"},
    /* nothing */
    {"", "file with no instructions"},
    {"# only\n\n", "file with no instructions"},
    /* heredocs */
    {"RUN <<EOF\na\nb\nEOF\nRUN c", "1-4 RUN|<<EOF <0:EOF:expand:a\\nb\\n>\n5-5 RUN|c"},
    {"RUN <<EOF cat\nEOF", "1-2 RUN|<<EOF cat <0:EOF:expand:>"},
    {"RUN <<-EOF\n\ta\n\t\tb\n c\n\tEOF", "1-5 RUN|<<-EOF <0:EOF:expand:a\\nb\\n c\\n>"},
    {"RUN <<EOF\n\tEOF\nEOF", "1-3 RUN|<<EOF <0:EOF:expand:\\tEOF\\n>"},
    {"COPY <<'EOF' /x\n$a\nEOF", "1-3 COPY|<<'EOF' /x <0:EOF:raw:$a\\n>"},
    {"ADD <<\"EOF\" /x\n$a\nEOF", "1-3 ADD|<<\"EOF\" /x <0:EOF:raw:$a\\n>"},
    {"copy <<a <<b /x\n1\na\n2\nb", "1-5 copy|<<a <<b /x <0:a:expand:1\\n> <0:b:expand:2\\n>"},
    {"RUN cat 3<<E <<F\nE\nF", "1-3 RUN|cat 3<<E <<F <3:E:expand:> <0:F:expand:>"},
    {"RUN a \\\n <<E\n# no comment\n\\\nE", "1-5 RUN|a  <<E <0:E:expand:# no comment\\n\\\\n>"},
    {"ONBUILD RUN <<E\na\nE", "1-3 ONBUILD|RUN <<E <0:E:expand:a\\n>"},
    {"RUN <<E\r\na\r\nE\r\nRUN b", "1-3 RUN|<<E <0:E:expand:a\r\\n>\n4-4 RUN|b"},
    {"RUN --mount=type=bind <<E\nE", "1-2 RUN|--mount=type=bind <<E <0:E:expand:>"},
    {"RUN <<E", "dockerfile parse error on line 1: unterminated heredoc"},
    {"FROM a\nRUN b \\\n<<E\nRUN c\n e\n",
     "dockerfile parse error on line 2: unterminated heredoc"},
    {"RUN [\"<<E\"]\nRUN x", "1-1 RUN|[\"<<E\"]\n2-2 RUN|x"},
    {"RUN --network=none [\"a\", \"<<E\"]", "1-1 RUN|--network=none [\"a\", \"<<E\"]"},
    {"RUN echo \"<<E\" '<<F'", "1-1 RUN|echo \"<<E\" '<<F'"},
    {"RUN a <<< b", "1-1 RUN|a <<< b"},
    {"RUN a<<E", "1-1 RUN|a<<E"},
    {"RUN echo $((1<<2)) << 3", "1-1 RUN|echo $((1<<2)) << 3"},
    {"RUN echo \"open <<E", "1-1 RUN|echo \"open <<E"},
    {"ENV a=<<E", "1-1 ENV|a=<<E"},
    {"CMD <<E", "1-1 CMD|<<E"},
    /* what is no instruction is still a line */
    {"FOO <<E bar", "1-1 FOO|<<E bar"},
};

TEST(lines)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        auto_arena struct arena a = ARENA_INIT;
        printf("# %zu\n", i);
        CHECK_STR(parse(&a, cases[i].text), cases[i].want);
    }
}

TEST(directives_are_kept)
{
    auto_arena struct arena a = ARENA_INIT;
    static const char text[] = "# syntax = docker/dockerfile:1\n#check=skip=all;error=true\nRUN a";
    struct dockerfile d = {0};
    struct err e = {0};

    CHECK_OK(dockerfile_parse(text, strlen(text), &a, &d, &e));
    CHECK_STR(d.syntax, "docker/dockerfile:1");
    CHECK_STR(d.check, "skip=all;error=true");
    CHECK_INT(d.escape, '\\');
    CHECK_INT(d.lines.n, 3);
    CHECK_STR(d.code.v[0]->comment, NULL);
}

static int parse_code(const char *text, size_t len)
{
    auto_arena struct arena a = ARENA_INIT;
    struct dockerfile d = {0};
    struct err e = {0};
    int r = dockerfile_parse(text, len, &a, &d, &e);

    if (r < 0)
        CHECK_INT(e.kind, ERR_INVALID);
    return r;
}

/* @n bytes: @start, then @fill over and over. */
static int parse_filled(const char *start, const char *fill, size_t n)
{
    auto_free char *text = xmalloc(n);
    size_t len = strlen(start), step = strlen(fill);

    for (size_t i = 0; i < n; i++)
        text[i] = i < len ? start[i] : fill[(i - len) % step];
    return parse_code(text, n);
}

TEST(limits)
{
    CHECK_INT(parse_filled("RUN ", "a", DOCKERFILE_LINE_MAX - 10), 0);
    CHECK_INT(parse_filled("RUN ", "a", DOCKERFILE_LINE_MAX + 1), -E2BIG);
    CHECK_INT(parse_filled("RUN ", "a\\\n", DOCKERFILE_MAX), -E2BIG);
    CHECK_INT(parse_filled("RUN <<E\n", "aaaaaaa\n", DOCKERFILE_LINE_MAX + 10), -E2BIG);
    CHECK_INT(parse_filled("", "RUN a\n", 100 << 20), -E2BIG);
    CHECK_INT(parse_filled("RUN ", "a", 100 << 20), -E2BIG);
    CHECK_INT(parse_filled("", "A\n", 2 * DOCKERFILE_CODE_MAX), 0);
    CHECK_INT(parse_filled("", "A\n", 2 * DOCKERFILE_CODE_MAX + 2), -E2BIG);
    CHECK_INT(parse_filled("", "\n", DOCKERFILE_MAX), -EINVAL);
    CHECK_INT(parse_code("RUN a\0b", 7), -EINVAL);
}

static char *excerpt(struct arena *a, const char *text, unsigned line, unsigned end)
{
    struct dockerfile d = {0};
    struct err e = {0};

    CHECK_OK(dockerfile_parse(text, strlen(text), a, &d, &e));
    return dockerfile_excerpt(&d, "Dockerfile", line, end, a);
}

TEST(excerpts)
{
    auto_arena struct arena a = ARENA_INIT;

    CHECK_STR(excerpt(&a, "FROM alpine\n\nRUN false", 3, 3),
              "Dockerfile:3\n--------------------\n   1 |     FROM alpine\n   2 |     \n"
              "   3 | >>> RUN false\n--------------------\n");
    CHECK_STR(excerpt(&a, "# a\n# b\n\nFROM x\nRUN y\n", 1, 1),
              "Dockerfile:1\n--------------------\n   1 | >>> # a\n   2 |     # b\n"
              "   3 |     \n--------------------\n");
    CHECK_STR(excerpt(&a, "1\n2\n3\n4\n5\n6\n7\n8\n", 4, 5),
              "Dockerfile:4\n--------------------\n   3 |     3\n   4 | >>> 4\n   5 | >>> 5\n"
              "   6 |     6\n--------------------\n");
    CHECK_STR(excerpt(&a, "1\n2\n3\n4\n5\n6\n7\n8\n", 4, 4),
              "Dockerfile:4\n--------------------\n   2 |     2\n   3 |     3\n   4 | >>> 4\n"
              "   5 |     5\n   6 |     6\n--------------------\n");
    CHECK_STR(excerpt(&a, "1\r\n2", 1, 9),
              "Dockerfile:1\n--------------------\n   1 | >>> 1\n   2 | >>> 2\n"
              "--------------------\n");
    CHECK_STR(excerpt(&a, "1\n2", 5, 5), "");
}
