#include "base/str.h"
#include "http/server-priv.h"

/*
 * Patterns are matched as they are written: a few hundred short comparisons per request cost less
 * than the system call that read it. "{name:.*}" takes as much as it can, so image names may hold
 * slashes and even words that look like the end of the route.
 */

static bool match(struct http_req *req, const char *pat, const char *path);

/* @pat stands behind the closing brace; the value starts at @path and is at most @max long. */
static bool match_value(struct http_req *req, const char *name, size_t name_len, const char *pat,
                        const char *path, size_t max)
{
    size_t mark = req->params.n;

    for (size_t n = max; n > 0; n--) {
        if (path[n] != *pat) /* the rest cannot begin here */
            continue;
        arena_push(&req->arena, req->params) = (struct strpair){
            arena_strndup(&req->arena, name, name_len), arena_strndup(&req->arena, path, n)};
        if (match(req, pat, path + n))
            return true;
        req->params.n = mark;
    }
    return false;
}

static bool match(struct http_req *req, const char *pat, const char *path)
{
    for (; *pat && *pat != '{'; pat++, path++)
        if (*pat != *path)
            return false;
    if (!*pat)
        return !*path;
    const char *name = pat + 1;
    size_t name_len = strcspn(name, ":}");
    bool any = name[name_len] == ':';
    size_t max = any ? strlen(path) : strcspn(path, "/");
    return match_value(req, name, name_len, strchr(pat, '}') + 1, path, max);
}

const struct http_route *http_route_find(const struct http_routes *tables, size_t ntables,
                                         struct http_req *req)
{
    for (size_t t = 0; t < ntables; t++) {
        for (size_t i = 0; i < tables[t].n; i++) {
            const struct http_route *r = &tables[t].v[i];
            req->params.n = 0;
            if (str_eq(r->method, req->head.method) && match(req, r->pattern, req->path))
                return r;
        }
    }
    return NULL;
}
