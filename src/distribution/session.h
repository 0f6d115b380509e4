/*
 * One registry as one user sees it: the endpoints in the order to try (mirrors for pulls, then the
 * registry itself by https, then by http where that is allowed), tokens, redirects, and trying
 * again what failed in passing. Thread-safe.
 */
#pragma once

#include "base/arena.h"
#include "base/auto.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "distribution/auth.h"
#include "distribution/config.h"
#include "http/client.h"

#include <stdbool.h>
#include <stdint.h>

struct dist_session;
struct dist_reply;

struct dist_session_opts {
    const struct dist_config *config; /* must outlive the session */
    const char *registry; /* as references name it: "docker.io", "reg:5000", "[::1]:5000" */
    const struct dist_credentials *cred; /* NULL: nobody. Never sent to mirrors */
    bool mirrors;                        /* reading: mirrors may answer */
    bool push;                           /* tokens shall allow writing, too */
    int gone_fd;                         /* calls end when this hangs up; -1: never */
};

int dist_session_new(const struct dist_session_opts *o, struct dist_session **ret,
                     struct err *err) MUST;
/** dist_session_free() - after all replies, fetches and uploads. NULL is fine. */
void dist_session_free(struct dist_session *s);
/** dist_session_refresh_token() - what the token server gave at login, in @a, or NULL. */
char *dist_session_refresh_token(struct dist_session *s, struct arena *a);
/** dist_session_url() - of the registry's API: "https://reg:5000/v2/", in @a. */
char *dist_session_url(struct dist_session *s, struct arena *a);

/* A place the registry named, for the next call of an upload. */
struct dist_place {
    struct url url;
    size_t endpoint;
};

struct dist_call {
    const char *method;
    const char *path;               /* behind "/v2/", escaped: "library/busybox/manifests/latest" */
    const char *version;            /* NULL: "v2/"; search is "v1/" */
    const struct dist_place *place; /* instead of @path */
    bool once;                      /* not to be sent again by itself: it may have been done */
    struct strv scopes;             /* "repository:library/busybox:pull" */
    struct strmap headers;
    const void *body; /* @body_len bytes, or NULL */
    size_t body_len;
    http_body_fn *body_fn; /* @body_size bytes; such a call is never sent twice */
    void *body_arg;
    uint64_t body_size;
    const char *content_type;
    int also[3]; /* statuses that are answers besides 2xx: 404 ... */
};

/**
 * dist_send() - one call to the registry
 * Follows redirects of GET and HEAD (credentials stay behind when the host changes; never from
 * https to http), answers challenges, and tries again after 429, 5xx and broken connections.
 * Return: 0 with a reply of 2xx or a status in @call->also; errors as in error.h; -ECANCELED;
 *   -ELOOP too many redirects; -errno of the connection.
 */
int dist_send(struct dist_session *s, const struct dist_call *call, struct dist_reply **ret,
              struct err *err) MUST;
int dist_reply_status(const struct dist_reply *r);
const char *dist_reply_header(const struct dist_reply *r, const char *name);
int64_t dist_reply_length(const struct dist_reply *r); /* as announced, or -1 */
/** dist_reply_read(), dist_reply_all() - as http_reply_read() and http_reply_all(). */
ssize_t dist_reply_read(struct dist_reply *r, void *p, size_t n, struct err *err) MUST;
int dist_reply_all(struct dist_reply *r, size_t limit, struct buf *out, struct err *err) MUST;
/** dist_reply_place() - what its Location names; the URL lives in @a. -EBADMSG: none, or one
 * without TLS.
 */
int dist_reply_place(const struct dist_reply *r, struct arena *a, struct dist_place *ret,
                     struct err *err) MUST;
/** dist_reply_is_mirror() - a mirror answered, not the registry. */
bool dist_reply_is_mirror(const struct dist_reply *r);
void dist_reply_free(struct dist_reply *r); /* NULL is fine */
/** dist_reply_cut() - hang up: a read by another thread, which still frees it, ends with an error.
 */
void dist_reply_cut(const struct dist_reply *r);

/** dist_scope() - what a token must allow for a call on a repository, in @a. */
struct strv dist_scope(const struct dist_session *s, const char *repo, struct arena *a);
/** dist_pause() - wait before trying for the @n-th time (from 1), with jitter. Return: 0,
 * -ECANCELED. */
int dist_pause(struct dist_session *s, unsigned n, struct err *err) MUST;
/** dist_tries() - how often something is tried. */
unsigned dist_tries(const struct dist_session *s);
/** dist_transient() - may the error @r be gone when it is tried again? */
bool dist_transient(int r);

static inline void dist_session_freep_(struct dist_session **s)
{
    dist_session_free(*s);
}
static inline void dist_reply_freep_(struct dist_reply **r)
{
    dist_reply_free(*r);
}
#define auto_dist_session AUTO(dist_session_freep_)
#define auto_dist_reply AUTO(dist_reply_freep_)
