#include "build/kept_context.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/dir.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/time.h"
#include "build/builder-priv.h"
#include "build/kept_list.h"

#define KEEP_NS (CONTEXT_KEEP_DAYS * INT64_C(86400) * NS_PER_S)
#define CLAIM_MAX 80

struct kept_context {
    struct builder *b;
    char key[65]; /* "" for one that goes with its build */
    char name[65];
    int fd;
    char *path;
    bool whole; /* there is no list */
    struct context_list list;
};

/* ---- whose it is ---- */

static char *claim_of(const char *key, char out[CLAIM_MAX])
{
    (void)snprintf(out, CLAIM_MAX, "context:%s", key);
    return out;
}

bool context_try_claim(struct builder *b, const char *key)
{
    char claim[CLAIM_MAX];

    return builder_try_claim(b, claim_of(key, claim));
}

void context_release(struct builder *b, const char *key)
{
    char claim[CLAIM_MAX];

    builder_release(b, claim_of(key, claim));
}

/* ---- complete ---- */

int context_complete(struct kept_context *c, struct err *err)
{
    FAIL_POINT("build.context.sent", err);
    if (c->whole)
        return 0;
    int r = context_fit(&c->list, c->fd, true, err);

    for (size_t i = 0; r >= 0 && i < c->list.n; i++)
        if (!c->list.there[i])
            r = context_mismatch(c->list.v[i]->path, err);
    return r;
}

/* ---- opening and closing ---- */

static int fd_of(const struct kept_context *c)
{
    return *c->key ? c->b->contexts_fd : c->b->tmp_fd;
}

/* Those that nobody has built for long. What stands in the way is in use. */
static void sweep(struct builder *b)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv names = {0};
    int64_t now = now_ns();
    struct stat st;

    if (dir_names(b->contexts_fd, &a, &names, NULL) < 0)
        return;
    for (size_t i = 0; i < names.n; i++) {
        if (fstatat(b->contexts_fd, names.v[i], &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            now - st.st_mtim.tv_sec * NS_PER_S < KEEP_NS || !context_try_claim(b, names.v[i]))
            continue;
        (void)!remove_tree_at(b->contexts_fd, names.v[i], NULL); /* the next build tries again */
        context_release(b, names.v[i]);
    }
}

static int open_tree(struct kept_context *c, struct err *err)
{
    int at = fd_of(c);

    if (mkdirat(at, c->name, 0755) < 0 && errno != EEXIST)
        return err_sys(err, "make the context's directory");
    c->fd = openat(at, c->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (c->fd < 0)
        return err_sys(err, "open the context's directory");
    c->path =
        xasprintf("%s/%s/%s", c->b->host->data_path, *c->key ? BUILD_CONTEXTS : BUILD_TMP, c->name);
    return 0;
}

void context_missing(const struct kept_context *c, struct arena *a,
                     struct build_context_response *ret)
{
    for (size_t i = 0; i < c->list.n; i++)
        if (c->list.missing[i])
            arena_push(a, ret->missing) = (int64_t)i;
}

static int fill(struct kept_context *c, struct err *err)
{
    int r = open_tree(c, err);

    if (r < 0)
        return r;
    FAIL_POINT("build.context.opened", err);
    r = context_fit(&c->list, c->fd, false, err);
    if (r < 0)
        return r;
    FAIL_POINT("build.context.fits", err);
    return context_make_rest(&c->list, c->fd, err);
}

int context_open(struct builder *b, const struct build_context_request *rq, struct arena *a,
                 struct kept_context **ret, struct err *err)
{
    struct context_list list = {0};
    int r = context_list_check(rq, a, &list, err);

    if (r < 0)
        return r;
    struct kept_context *c = xnew(struct kept_context);
    *c = (struct kept_context){.b = b, .fd = -1, .list = list};
    sweep(b);
    if (context_try_claim(b, rq->key))
        memcpy(c->key, rq->key, sizeof(c->key));
    if (*c->key)
        memcpy(c->name, c->key, sizeof(c->name));
    else
        rand_hex(c->name, 16);
    r = fill(c, err);
    if (r < 0) {
        context_close(c);
        return err_wrap(err, r, "build context");
    }
    *ret = c;
    return 0;
}

int context_whole(struct builder *b, struct kept_context **ret, struct err *err)
{
    struct kept_context *c = xnew(struct kept_context);

    *c = (struct kept_context){.b = b, .fd = -1, .whole = true};
    rand_hex(c->name, 16);
    int r = open_tree(c, err);
    if (r < 0) {
        context_close(c);
        return err_wrap(err, r, "build context");
    }
    *ret = c;
    return 0;
}

int context_fd(const struct kept_context *c)
{
    return c->fd;
}

const char *context_path(const struct kept_context *c)
{
    return c->path;
}

bool context_kept(const struct kept_context *c)
{
    return *c->key;
}

/* Its time says when it was used last. */
void context_close(struct kept_context *c)
{
    if (!c)
        return;
    if (*c->key && c->fd >= 0)
        (void)futimens(c->fd, NULL);
    close_fd(&c->fd);
    if (*c->key)
        context_release(c->b, c->key);
    else
        (void)!remove_tree_at(c->b->tmp_fd, c->name, NULL); /* else the next start does it */
    free(c->path);
    free(c);
}
