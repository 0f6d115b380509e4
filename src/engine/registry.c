/*
 * The engine's side of registries: settings, credentials, and the sessions that pull, push, login,
 * search and inspection run on. What they do is image/'s and distribution/'s business.
 */
#include "engine/registry-priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "distribution/config.h"
#include "image/transfers.h"

#define COUNT_MAX 1000

static void add_all(struct arena *a, struct strv *to, const struct strv *from)
{
    for (size_t i = 0; i < from->n; i++)
        strv_push(a, to, from->v[i]);
}

static int check_counts(const struct engine_config *c, struct err *err)
{
    const struct {
        const char *what;
        int64_t n, least;
    } counts[] = {{"concurrent downloads", c->max_concurrent_downloads, 0},
                  {"concurrent uploads", c->max_concurrent_uploads, 0},
                  {"download attempts", c->max_download_attempts, 1}};

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        if (counts[i].n < counts[i].least || counts[i].n > COUNT_MAX)
            return err_invalid(err, "invalid max %s: %lld", counts[i].what, (long long)counts[i].n);
    return 0;
}

int registries_new(const struct engine_config *c, struct registries **ret, struct err *err)
{
    int rc = check_counts(c, err);
    if (rc < 0)
        return rc;
    struct registries *r = xnew(struct registries);
    struct dist_config *d = &r->config;

    dist_config_defaults(d, &r->mem);
    add_all(&r->mem, &d->mirrors, &c->registry_mirrors);
    add_all(&r->mem, &d->insecure, &c->insecure_registries);
    if (!str_empty(c->proxies.http))
        d->http_proxy = c->proxies.http;
    if (!str_empty(c->proxies.https))
        d->https_proxy = c->proxies.https;
    if (!str_empty(c->proxies.no))
        d->no_proxy = c->proxies.no;
    d->tries = (unsigned)c->max_download_attempts;
    rc = dist_config_check(d, err);
    if (rc < 0) {
        registries_free(r);
        return rc;
    }
    r->web = *d;
    r->web.verify_all = true;
    r->transfers =
        transfers_new((unsigned)c->max_concurrent_downloads, (unsigned)c->max_concurrent_uploads);
    *ret = r;
    return 0;
}

void registries_free(struct registries *r)
{
    if (!r)
        return;
    transfers_free(r->transfers);
    arena_done(&r->mem);
    free(r);
}

int registry_session(struct engine *e, const char *registry, const struct auth_config *auth,
                     enum registry_use use, int gone_fd, struct dist_session **ret, struct err *err)
{
    struct dist_credentials cred = {0};
    struct dist_session_opts o = {.config = &e->registries->config,
                                  .registry = registry,
                                  .cred = &cred,
                                  .mirrors = use == REGISTRY_PULL,
                                  .push = use == REGISTRY_PUSH,
                                  .gone_fd = gone_fd};

    if (auth)
        cred = (struct dist_credentials){auth->username, auth->password, auth->identity_token,
                                         auth->registry_token};
    return dist_session_new(&o, ret, err);
}

const char *registry_of(const struct reference *ref, struct arena *a)
{
    return arena_strndup(a, ref->name, ref->domain_len);
}

static struct registry_index *index_of(const char *name, bool secure, struct arena *a)
{
    struct registry_index *x = arena_new(a, struct registry_index);

    x->name = arena_strdup(a, name);
    x->secure = secure;
    x->official = str_eq(name, DIST_HUB);
    return x;
}

static void add_index(struct registry_service_config *c, struct registry_index *x, struct arena *a)
{
    typeof(&c->index_configs.v[0]) slot = &arena_push(a, c->index_configs);

    slot->key = x->name;
    slot->val = x;
}

/* "http://user:word@host" is nobody's business. */
static char *shown_proxy(const char *text, struct arena *a)
{
    const char *at = text ? strrchr(text, '@') : NULL, *scheme = text ? strstr(text, "://") : NULL;

    if (!at)
        return arena_strdup(a, str_or(text, ""));
    return arena_printf(a, "%.*sxxxxx:xxxxx%s", scheme ? (int)(scheme + 3 - text) : 0, text, at);
}

void registry_describe(struct engine *e, struct arena *a, struct system_info *ret)
{
    const struct dist_config *d = &e->registries->config;
    struct registry_service_config *c = arena_new(a, struct registry_service_config);
    struct registry_index *hub = index_of(DIST_HUB, true, a);

    c->mirrors = hub->mirrors = dist_mirrors(d, DIST_HUB, a);
    add_index(c, hub, a);
    strv_push(a, &c->insecure_cidrs, "::1/128");
    strv_push(a, &c->insecure_cidrs, "127.0.0.0/8");
    for (size_t i = 0; i < d->insecure.n; i++) {
        if (strchr(d->insecure.v[i], '/'))
            strv_push(a, &c->insecure_cidrs, d->insecure.v[i]);
        else
            add_index(c, index_of(d->insecure.v[i], false, a), a);
    }
    ret->registry_config = c;
    ret->http_proxy = shown_proxy(d->http_proxy, a);
    ret->https_proxy = shown_proxy(d->https_proxy, a);
    ret->no_proxy = arena_strdup(a, str_or(d->no_proxy, ""));
}
