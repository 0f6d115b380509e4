#include "distribution/repo-priv.h"

#include <string.h>

#include "base/buf.h"
#include "distribution/session.h"
#include "http/query.h"

/* Only the query is taken: the rest is known, and need not be believed. */
char *repo_next_page(const struct dist_reply *reply, struct arena *a)
{
    const char *link = dist_reply_header(reply, "Link");
    const char *open = link ? strchr(link, '<') : NULL, *close = open ? strchr(open, '>') : NULL;

    if (!close || !strstr(close, "next"))
        return NULL;
    const char *q = memchr(open, '?', (size_t)(close - open));
    return q ? arena_strndup(a, q, (size_t)(close - q)) : NULL;
}

char *repo_path(struct arena *a, const char *repo, const char *kind, const char *ref)
{
    auto_buf struct buf b = BUF_INIT;

    query_escape_path(&b, repo, true);
    buf_printf(&b, "/%s/", kind);
    query_escape_path(&b, ref, false);
    return arena_strdup(a, buf_str(&b));
}
