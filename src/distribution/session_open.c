/* Opening a session: who may answer for a registry, in the order to be asked. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/mem.h"
#include "distribution/session-priv.h"

static void add_endpoint(struct dist_session *s, const struct url *u, bool mirror,
                         const struct dist_credentials *cred)
{
    size_t n = strlen(u->target);
    struct endpoint *e = &arena_push(&s->mem, s->endpoints);

    *e = (struct endpoint){.base = *u, .mirror = mirror};
    e->base.target =
        arena_printf(&s->mem, "%s%s", u->target, n && u->target[n - 1] == '/' ? "" : "/");
    e->auth = auth_new(s->t, u, mirror ? NULL : cred);
}

static int add_mirrors(struct dist_session *s, const struct dist_session_opts *o, struct err *err)
{
    struct strv urls = dist_mirrors(o->config, o->registry, &s->mem);
    struct url u;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < urls.n; i++) {
        r = url_parse(urls.v[i], &s->mem, &u, err);
        if (r >= 0 && (u.https || dist_is_insecure(o->config, &u)))
            add_endpoint(s, &u, true, NULL);
    }
    return r;
}

static int add_registry(struct dist_session *s, const struct dist_session_opts *o, struct err *err)
{
    bool hub = str_eq(o->registry, DIST_HUB);
    struct url u;
    int r = url_parse(arena_printf(&s->mem, "https://%s/", hub ? DIST_HUB_HOST : o->registry),
                      &s->mem, &u, err);

    if (r < 0)
        return err_wrap(err, r, "registry %s", o->registry);
    bool insecure = dist_is_insecure(o->config, &u);
    add_endpoint(s, &u, false, o->cred);
    r = url_parse(arena_printf(&s->mem, "http://%s/", o->registry), &s->mem, &u, err);
    if (r >= 0 && !hub && (insecure || dist_is_insecure(o->config, &u)))
        add_endpoint(s, &u, false, o->cred);
    return r;
}

int dist_session_new(const struct dist_session_opts *o, struct dist_session **ret, struct err *err)
{
    auto_dist_session struct dist_session *s = xnew(struct dist_session);
    int r = 0;

    s->gone_fd = o->gone_fd;
    s->push = o->push;
    (void)pthread_mutex_init(&s->lock, NULL);
    s->t = transport_new(o->config, &s->gone_fd);
    if (o->mirrors)
        r = add_mirrors(s, o, err);
    if (r >= 0)
        r = add_registry(s, o, err);
    if (r < 0)
        return r;
    *ret = take_ptr(&s);
    return 0;
}

void dist_session_free(struct dist_session *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->endpoints.n; i++)
        auth_free(s->endpoints.v[i].auth);
    transport_free(s->t);
    (void)pthread_mutex_destroy(&s->lock);
    arena_done(&s->mem);
    free(s);
}

static struct endpoint *own(struct dist_session *s)
{
    struct endpoint *first = NULL;

    for (size_t i = 0; i < s->endpoints.n; i++) {
        struct endpoint *e = &s->endpoints.v[i];
        if (e->mirror)
            continue;
        if (e->proven)
            return e;
        first = first ? first : e;
    }
    return first;
}

char *dist_session_refresh_token(struct dist_session *s, struct arena *a)
{
    return auth_refresh_token(own(s)->auth, a);
}

char *dist_session_url(struct dist_session *s, struct arena *a)
{
    return arena_printf(a, "%sv2/", url_text(&own(s)->base, a));
}

struct strv dist_scope(const struct dist_session *s, const char *repo, struct arena *a)
{
    struct strv v = {0};

    strv_push(a, &v, arena_printf(a, "repository:%s:%s", repo, s->push ? "pull,push" : "pull"));
    return v;
}
