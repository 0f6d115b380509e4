/*
 * A call goes through three loops, from the outside in: endpoints (dist_send), tries at one
 * endpoint (send_often), and redirects and challenges of one try (send_once).
 *
 * An endpoint that has ever answered is "proven". Others are passed over when they do not answer;
 * a proven one is not: somebody who breaks connections must not be able to push us from https to
 * http.
 */
#include "distribution/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/rand.h"
#include "distribution/error.h"
#include "distribution/session-priv.h"

#define REDIRECTS_MAX 10
#define PAUSE_MS 250
#define PAUSE_MAX_MS 5000
#define RETRY_AFTER_MAX_S 30 /* a registry that wants more patience is told of to the user */
#define REST_MAX 65536

/* ---- pauses ---- */

unsigned dist_tries(const struct dist_session *s)
{
    unsigned n = transport_config(s->t)->tries;

    return n ? n : 1;
}

bool dist_transient(int r)
{
    return r == -ECONNRESET || r == -ECONNREFUSED || r == -EPIPE || r == -ETIMEDOUT ||
           r == -EPROTO /* TLS that ends without saying so */ || r == -ENODATA ||
           r == -EHOSTUNREACH || r == -ENETUNREACH || r == -ECONNABORTED;
}

int dist_pause(struct dist_session *s, unsigned n, struct err *err)
{
    unsigned char dice;
    unsigned ms = PAUSE_MS;

    for (unsigned i = 1; i < n && ms < PAUSE_MAX_MS; i++)
        ms *= 2;
    if (ms > PAUSE_MAX_MS)
        ms = PAUSE_MAX_MS;
    rand_bytes(&dice, 1); /* so that many who failed together do not come again together */
    return transport_wait(s->t, ms / 2 + ms / 2 * dice / 255, err);
}

/* ---- one try: redirects and challenges ---- */

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool is_read(const struct dist_call *call)
{
    return strcmp(call->method, "GET") == 0 || strcmp(call->method, "HEAD") == 0;
}

/* What is left of an answer nobody wants, so that its connection can be used again. */
static void discard(struct http_reply *r)
{
    auto_buf struct buf rest = BUF_INIT;

    (void)!http_reply_all(r, REST_MAX, &rest, NULL);
    http_reply_free(r);
}

/* Where a redirect leads. Never to plain http from https: the content is proven by its digest, but
 * the request's own secrets would be in the open. */
static int next_url(const struct url *from, struct http_reply *reply, struct arena *a,
                    struct url *ret, struct err *err)
{
    const char *location = http_reply_header(reply, "Location");

    if (str_empty(location))
        return err_as(err, ERR_UNAVAILABLE, EBADMSG, "redirect without a location from %s",
                      from->host);
    int r = url_resolve(from, location, a, ret, err);
    if (r < 0)
        return err_wrap(err, r, "redirect from %s", from->host);
    if (from->https && !ret->https)
        return err_as(err, ERR_UNAVAILABLE, EBADMSG,
                      "refusing a redirect from https to http: %s -> %s", from->host, ret->host);
    ret->user = NULL;
    return 0;
}

static int send_to(struct dist_session *s, const struct endpoint *e, const struct dist_call *call,
                   const struct url *u, const char *authorization, struct http_reply **ret,
                   struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct http_call c = {.method = call->method,
                          .headers = call->headers,
                          .body = call->body,
                          .body_len = call->body_len,
                          .body_fn = call->body_fn,
                          .body_arg = call->body_arg,
                          .sized = call->body_fn != NULL,
                          .body_size = call->body_size,
                          .content_type = call->content_type,
                          .once = call->once};

    if (authorization && url_same_origin(u, &e->base)) {
        c.headers = (struct strmap){0};
        for (size_t i = 0; i < call->headers.n; i++)
            strmap_set(&a, &c.headers, call->headers.v[i].key, call->headers.v[i].val);
        strmap_set(&a, &c.headers, "Authorization", authorization);
    }
    return transport_send(s->t, u, &c, ret, err);
}

static int follow(struct dist_session *s, const struct endpoint *e, const struct dist_call *call,
                  const char *authorization, struct dist_reply *reply, struct err *err)
{
    for (int hops = 0;; hops++) {
        int r = send_to(s, e, call, &reply->url, authorization, &reply->http, err);
        if (r < 0 || !is_redirect(http_reply_status(reply->http)) || !is_read(call))
            return r;
        if (hops == REDIRECTS_MAX)
            return err_as(err, ERR_UNAVAILABLE, ELOOP, "stopped after %d redirects from %s",
                          REDIRECTS_MAX, e->base.host);
        r = next_url(&reply->url, reply->http, &reply->mem, &reply->url, err);
        discard(take_ptr(&reply->http));
        if (r < 0)
            return r;
    }
}

/* Return: 1: there is a new Authorization to try; 0: none. */
static int answer(struct endpoint *e, const struct dist_call *call, const struct http_reply *reply,
                  const char *used, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv headers = http_reply_headers(reply, "WWW-Authenticate", &a);
    struct challenges c = {0};

    for (size_t i = 0; i < headers.n; i++)
        if (challenge_parse(headers.v[i], &a, &c, NULL) < 0)
            break; /* what was understood will do */
    return auth_answer(e->auth, &c, &call->scopes, used, err);
}

static struct dist_reply *reply_new(const struct dist_session *s, const struct endpoint *e,
                                    const struct dist_call *call)
{
    struct dist_reply *reply = xnew(struct dist_reply);

    reply->endpoint = (size_t)(e - s->endpoints.v);
    reply->mirror = e->mirror;
    reply->url = call->place ? call->place->url : e->base;
    reply->url.target = call->place ? arena_strdup(&reply->mem, call->place->url.target)
                                    : arena_printf(&reply->mem, "%s%s%s", e->base.target,
                                                   str_or(call->version, "v2/"), call->path);
    return reply;
}

static int send_once(struct dist_session *s, struct endpoint *e, const struct dist_call *call,
                     struct dist_reply **ret, struct err *err)
{
    for (int round = 0;; round++) {
        auto_arena struct arena a = ARENA_INIT;
        auto_dist_reply struct dist_reply *reply = reply_new(s, e, call);
        char *authorization = NULL;
        int r = auth_header(e->auth, &call->scopes, &a, &authorization, err);

        if (r >= 0)
            r = follow(s, e, call, authorization, reply, err);
        if (r < 0)
            return r;
        if (http_reply_status(reply->http) != 401 || call->body_fn || round == 2 ||
            !url_same_origin(&reply->url, &e->base)) {
            *ret = take_ptr(&reply);
            return 0;
        }
        r = answer(e, call, reply->http, authorization, err);
        if (r < 0)
            return r;
        if (r == 0) {
            *ret = take_ptr(&reply);
            return 0;
        }
        discard(take_ptr(&reply->http));
    }
}

/* ---- tries ---- */

static bool is_passing(int status)
{
    return status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

static bool wanted(const struct dist_call *call, int status)
{
    for (size_t i = 0; i < sizeof(call->also) / sizeof(call->also[0]); i++)
        if (call->also[i] && call->also[i] == status)
            return true;
    return status >= 200 && status < 300;
}

static void prove(struct dist_session *s, struct endpoint *e)
{
    (void)pthread_mutex_lock(&s->lock);
    e->proven = true;
    (void)pthread_mutex_unlock(&s->lock);
}

static bool is_proven(struct dist_session *s, const struct endpoint *e)
{
    (void)pthread_mutex_lock(&s->lock);
    bool yes = e->proven;
    (void)pthread_mutex_unlock(&s->lock);
    return yes;
}

/* Return: 1: try again after the pause that it made; 0: do not. */
static int be_patient(struct dist_session *s, struct http_reply *reply, unsigned n, struct err *err)
{
    const char *text = http_reply_header(reply, "Retry-After");
    uint64_t after = 0;

    if (text && str_to_u64(text, &after) >= 0 && after > RETRY_AFTER_MAX_S)
        return 0;
    int r = after ? transport_wait(s->t, (unsigned)after * 1000, err) : dist_pause(s, n, err);
    return r < 0 ? r : 1;
}

/* Return: 0 with a reply of any status. */
static int send_often(struct dist_session *s, struct endpoint *e, const struct dist_call *call,
                      struct dist_reply **ret, struct err *err)
{
    unsigned tries = call->body_fn || call->once || e->mirror ? 1 : dist_tries(s);

    for (unsigned n = 1;; n++) {
        struct err why = {0};
        int r = send_once(s, e, call, ret, &why);
        if (r >= 0) {
            int status = http_reply_status((*ret)->http);
            prove(s, e);
            if (n >= tries || !is_passing(status) || wanted(call, status))
                return 0;
            r = be_patient(s, (*ret)->http, n, err);
            if (r <= 0)
                return r;
            dist_reply_free(take_ptr(ret));
            continue;
        }
        if (n >= tries || !dist_transient(r) || !is_proven(s, e)) {
            if (err)
                *err = why;
            return r;
        }
        r = dist_pause(s, n, err);
        if (r < 0)
            return r;
    }
}

/* ---- the call ---- */

static bool is_alive(struct dist_session *s, const struct endpoint *e)
{
    (void)pthread_mutex_lock(&s->lock);
    bool yes = !e->dead;
    (void)pthread_mutex_unlock(&s->lock);
    return yes;
}

/* An endpoint that never answered is not asked again; the last one always is. */
static bool pass_over(struct dist_session *s, struct endpoint *e, bool last)
{
    bool pass = false;

    (void)pthread_mutex_lock(&s->lock);
    if (!last && !e->proven)
        pass = e->dead = true;
    (void)pthread_mutex_unlock(&s->lock);
    return pass || (e->mirror && !last);
}

/* Return: 0 with a wanted reply; 1: ask the next endpoint; -errno. */
static int ask(struct dist_session *s, struct endpoint *e, bool last, const struct dist_call *call,
               struct dist_reply **ret, struct err *err)
{
    auto_dist_reply struct dist_reply *reply = NULL;
    int r = send_often(s, e, call, &reply, err);

    if (r < 0) {
        if (r == -ECANCELED || !pass_over(s, e, last))
            return r;
        return 1;
    }
    if (!wanted(call, http_reply_status(reply->http))) {
        if (e->mirror && !last)
            return 1;
        return dist_refused(reply->http, reply->url.host, err);
    }
    /* A mirror need not have what the registry has. */
    if (e->mirror && !last && http_reply_status(reply->http) == 404)
        return 1;
    *ret = take_ptr(&reply);
    return 0;
}

int dist_send(struct dist_session *s, const struct dist_call *call, struct dist_reply **ret,
              struct err *err)
{
    if (call->place)
        return ask(s, &s->endpoints.v[call->place->endpoint], true, call, ret, err);
    for (size_t i = 0; i < s->endpoints.n; i++) {
        struct endpoint *e = &s->endpoints.v[i];
        bool last = i + 1 == s->endpoints.n || (!e->mirror && is_proven(s, e));
        if (!last && !is_alive(s, e))
            continue;
        int r = ask(s, e, last, call, ret, err);
        if (r <= 0)
            return r;
        err_clear(err);
    }
    return err_as(err, ERR_SYSTEM, ENOENT, "no endpoint"); /* the last one always answers */
}
