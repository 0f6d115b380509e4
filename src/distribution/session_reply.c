/* What a call brought back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "distribution/session-priv.h"

int dist_reply_status(const struct dist_reply *r)
{
    return http_reply_status(r->http);
}

const char *dist_reply_header(const struct dist_reply *r, const char *name)
{
    return http_reply_header(r->http, name);
}

int64_t dist_reply_length(const struct dist_reply *r)
{
    return http_reply_length(r->http);
}

ssize_t dist_reply_read(struct dist_reply *r, void *p, size_t n, struct err *err)
{
    return http_reply_read(r->http, p, n, err);
}

int dist_reply_all(struct dist_reply *r, size_t limit, struct buf *out, struct err *err)
{
    return http_reply_all(r->http, limit, out, err);
}

int dist_reply_place(const struct dist_reply *r, struct arena *a, struct dist_place *ret,
                     struct err *err)
{
    const char *location = http_reply_header(r->http, "Location");
    struct dist_place p = {.endpoint = r->endpoint};

    if (str_empty(location))
        return err_as(err, ERR_UNAVAILABLE, EBADMSG, "the registry named no place for the upload");
    int rc = url_resolve(&r->url, location, a, &p.url, err);
    if (rc < 0)
        return err_wrap(err, rc, "place of the upload");
    /* Registries behind a proxy that does their TLS say http; what is secure stays so. */
    if (r->url.https && !p.url.https && strcmp(r->url.host, p.url.host) == 0) {
        p.url.https = true;
        p.url.port = r->url.port;
    }
    if (r->url.https && !p.url.https)
        return err_as(err, ERR_UNAVAILABLE, EBADMSG, "refusing to upload to %s without TLS",
                      p.url.host);
    p.url.user = NULL;
    p.url.target = arena_strdup(a, p.url.target);
    *ret = p;
    return 0;
}

bool dist_reply_is_mirror(const struct dist_reply *r)
{
    return r->mirror;
}

void dist_reply_cut(const struct dist_reply *r)
{
    (void)shutdown(http_reply_fd(r->http), SHUT_RDWR); /* it may be down already */
}

void dist_reply_free(struct dist_reply *r)
{
    if (!r)
        return;
    http_reply_free(r->http);
    arena_done(&r->mem);
    free(r);
}
