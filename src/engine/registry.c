/*
 * The engine's side of registries: settings, credentials, and the sessions that pull, push, login,
 * search and inspection run on. What they do is image/'s and distribution/'s business.
 */
#include "engine/registry-priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "distribution/config.h"
#include "image/transfers.h"

static void add_all(struct arena *a, struct strv *to, const struct strv *from)
{
    for (size_t i = 0; i < from->n; i++)
        strv_push(a, to, from->v[i]);
}

int registries_new(const struct engine_config *c, struct registries **ret, struct err *err)
{
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
    if (c->max_download_attempts > 0)
        d->tries = (unsigned)c->max_download_attempts;
    int rc = dist_config_check(d, err);
    if (rc < 0) {
        registries_free(r);
        return rc;
    }
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
