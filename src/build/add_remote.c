#include "build/add.h"

#include <string.h>

#include "base/hash.h"
#include "base/str.h"
#include "build/builder-priv.h"
#include "build/materials.h"
#include "build/solve-priv.h"

static bool is_whole_commit(const char *text)
{
    size_t n = text ? strlen(text) : 0;

    return (n == 40 || n == 64) && git_commit_prefix_valid(text);
}

bool add_is_pinned(const struct add_remote *r, struct arena *a)
{
    struct git_url u;

    if (!git_url_is(r->source))
        return r->checksum && digest_valid(r->checksum);
    return git_url_parse(r->source, a, &u, NULL) >= 0 &&
           (is_whole_commit(u.ref) || is_whole_commit(u.commit) || is_whole_commit(r->checksum));
}

static int get_git(const struct fetcher *f, const struct add_remote *r, struct arena *a,
                   struct fetched *ret, struct err *err)
{
    struct git_url u;
    int rc = git_url_parse(r->source, a, &u, err);

    if (rc < 0)
        return rc;
    if (r->checksum && !git_commit_prefix_valid(r->checksum))
        return err_invalid(err, "invalid checksum \"%.100s\"", r->checksum);
    if (r->checksum && u.commit && strcmp(u.commit, r->checksum) != 0)
        return err_invalid(err, "checksum conflict: \"%s\" vs \"%s\"", u.commit, r->checksum);
    u.keep_git_dir |= r->keep_git_dir;
    u.commit = r->checksum ? (char *)r->checksum : u.commit;
    return fetch_git(f, &u, a, ret, err);
}

int add_fetch(struct stage *st, const struct add_remote *r, struct fetched *ret,
              struct tree_item *ret_item, struct err *err)
{
    struct build *b = st->b;
    const struct fetcher f = {.web = b->host->web,
                              .tmp_fd = b->builder->tmp_fd,
                              .gone_fd = &b->cancel_rd,
                              .ssh_agent = build_default_agent(b->rq),
                              .secrets = b->rq->secrets.v,
                              .nsecrets = b->rq->secrets.n};
    bool git = git_url_is(r->source);

    *ret = (struct fetched){.fd = -1};
    int rc = git ? get_git(&f, r, &st->a, ret, err)
                 : fetch_http(&f, r->source, r->checksum, &st->a, ret, err);
    if (rc < 0)
        return rc;
    material_remote(st, r, ret->id);
    *ret_item = (struct tree_item){.path = ret->path, .name = ret->path, .dir = git};
    return 0;
}
