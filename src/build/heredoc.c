#include "build/heredoc-priv.h"

#include <ctype.h>

#include "base/buf.h"

#define HEREDOC_FD_MAX 9999

/* The name without its quotes and escapes. Return: false when it is no single word. */
static bool unquote(const char *s, struct buf *name, bool *ret_quoted)
{
    char quote = '\0';

    *ret_quoted = false;
    for (; *s; s++) {
        if (*s == '\\' && quote != '\'' && s[1]) {
            *ret_quoted = true;
            buf_putc(name, *++s);
        } else if (*s == quote) {
            quote = '\0';
        } else if (!quote && (*s == '"' || *s == '\'')) {
            *ret_quoted = true;
            quote = *s;
        } else if (*s == '<' || (!quote && isspace((unsigned char)*s))) {
            return false;
        } else {
            buf_putc(name, *s);
        }
    }
    return !quote && name->len > 0;
}

struct df_heredoc *heredoc_word(struct arena *a, const char *word, bool *ret_tabs)
{
    auto_buf struct buf name = BUF_INIT;
    bool quoted = false;
    int fd = 0;

    for (; isdigit((unsigned char)*word) && fd <= HEREDOC_FD_MAX; word++)
        fd = fd * 10 + (*word - '0');
    const char *rest = str_starts(word, "<<");
    if (!rest)
        return NULL;
    bool tabs = *rest == '-';
    if (!unquote(rest + tabs, &name, &quoted))
        return NULL;
    struct df_heredoc *h = arena_new(a, struct df_heredoc);
    h->name = arena_strdup(a, buf_str(&name));
    h->fd = fd;
    h->expand = !quoted;
    if (ret_tabs)
        *ret_tabs = tabs;
    return h;
}
