/* Connecting for http/client.c. */
#pragma once

#include "http/client.h"

/** dial_gone_fd() - who must still be there, or -1. */
static inline int dial_gone_fd(const struct http_client_opts *o)
{
    return o->gone_fd ? *o->gone_fd : -1;
}

/** dial_is_guarded() - is the stream of http_dial() one that stream_guard_set() takes? */
static inline bool dial_is_guarded(const struct http_client_opts *o)
{
    return o->idle_ms || o->call_ms || o->gone_fd;
}

/** addr_put_authority() - "host:port" or "[host]:port". */
void addr_put_authority(struct buf *out, const struct addr *a);

/**
 * http_dial() - connect, through the proxy if there is one, and shake hands
 * @tls: NULL for none
 * Blocks as long as @o allows. Return: 0, -errno (kind unavailable: the proxy refused).
 */
int http_dial(const struct http_client_opts *o, struct tls_ctx *tls, struct stream **ret,
              struct err *err) MUST;
