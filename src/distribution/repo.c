#include "distribution/repo-priv.h"

#include "base/buf.h"
#include "http/query.h"

char *repo_path(struct arena *a, const char *repo, const char *kind, const char *ref)
{
    auto_buf struct buf b = BUF_INIT;

    query_escape_path(&b, repo, true);
    buf_printf(&b, "/%s/", kind);
    query_escape_path(&b, ref, false);
    return arena_strdup(a, buf_str(&b));
}
