/*
 * Secrets of a build that let git in: a token, or a whole header. They hold for the server of the
 * repository alone; submodules and redirections elsewhere do not get them.
 *
 * Source: BuildKit, source/git: names of the secrets, "x-access-token" as the user of a token.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "build/build.h"
#include "build/fetch.h"

static const struct build_secret *find(const struct fetcher *f, const char *id)
{
    for (size_t i = 0; i < f->nsecrets; i++)
        if (strcmp(f->secrets[i].id, id) == 0)
            return &f->secrets[i];
    return NULL;
}

/* That of the host goes before that of all. */
static const struct build_secret *find_for(const struct fetcher *f, const char *id,
                                           const char *host, struct arena *a)
{
    const struct build_secret *own = find(f, arena_printf(a, "%s.%s", id, host));

    return own ? own : find(f, id);
}

/* "https://host:1" of "https://user@host:1/x.git", which is shown without its user; NULL: no web.
 */
static char *server_of(const char *shown, const char **ret_host, struct arena *a)
{
    const char *rest = str_starts(shown, "https://");

    rest = rest ? rest : str_starts(shown, "http://");
    if (!rest)
        return NULL;
    size_t n = strcspn(rest, "/");
    *ret_host = arena_strndup(a, rest, n);
    return arena_strndup(a, shown, (size_t)(rest - shown) + n);
}

/* One line of what a header may have. */
static int text_of(const struct build_secret *s, struct arena *a, char **ret, struct err *err)
{
    const char *p = s->data;
    size_t n = s->len;

    while (n && (p[n - 1] == '\n' || p[n - 1] == '\r'))
        n--;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)p[i] < ' ' || p[i] == 127)
            return err_invalid(err, "secret %s is no line of text", s->id);
    *ret = arena_strndup(a, p, n);
    return 0;
}

static char *basic(const char *token, struct arena *a)
{
    auto_buf struct buf out = BUF_INIT;
    const char *pair = arena_printf(a, "x-access-token:%s", token);

    base64_encode(pair, strlen(pair), false, &out);
    return arena_printf(a, "basic %s", buf_str(&out));
}

int git_auth_header(const struct fetcher *f, const struct git_url *u, struct arena *a,
                    char **ret_key, char **ret_val, struct err *err)
{
    const char *host = NULL;
    char *server = server_of(u->shown, &host, a), *text = NULL;
    const struct build_secret *header = server ? find_for(f, "GIT_AUTH_HEADER", host, a) : NULL;
    const struct build_secret *token = server ? find_for(f, "GIT_AUTH_TOKEN", host, a) : NULL;

    if (!header && !token)
        return 0;
    int r = text_of(header ? header : token, a, &text, err);
    if (r < 0)
        return r;
    *ret_key = arena_printf(a, "http.%s/.extraHeader", server);
    *ret_val = arena_printf(a, "Authorization: %s", header ? text : basic(text, a));
    return 1;
}
