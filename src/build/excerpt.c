#include "build/dockerfile.h"

#include "base/buf.h"

#define AROUND 4       /* lines shown beside one line */
#define AROUND_RANGE 2 /* beside several */

static const char rule[] = "--------------------\n";

char *dockerfile_excerpt(const struct dockerfile *d, const char *name, unsigned line,
                         unsigned end_line, struct arena *a)
{
    auto_buf struct buf out = BUF_INIT;
    size_t n = d->lines.n, from = line, to = end_line > line ? end_line : line;

    if (line < 1 || line > n)
        return arena_strdup(a, "");
    to = to < n ? to : n;
    size_t last = to, want = to == from ? AROUND : AROUND_RANGE;
    /* One above, one below, and one for the round: at an end of the file the other side gets a
     * line more. */
    for (size_t got = 0; got < want; got++) {
        if (from > 1) {
            from--;
            got++;
        }
        if (to < n) {
            to++;
            got++;
        }
    }
    buf_printf(&out, "%s:%u\n%s", name, line, rule);
    for (size_t i = from; i <= to; i++) {
        const char *text = d->lines.v[i - 1];
        buf_printf(&out, " %3zu | %s %.*s\n", i, i >= line && i <= last ? ">>>" : "   ",
                   (int)strcspn(text, "\r"), text);
    }
    buf_puts(&out, rule);
    return arena_strdup(a, buf_str(&out));
}
