/*
 * Connections to all the hosts that one session talks to: the registry, its mirrors, token servers,
 * blob stores behind redirects. Decides for each host about TLS, certificates and proxies, and
 * keeps connections. Sends what it is given: knows no credentials. Thread-safe.
 */
#pragma once

#include "base/err.h"
#include "distribution/config.h"
#include "http/client.h"
#include "http/url.h"

struct transport;

/** transport_new() - @c, and what @gone_fd points to, must outlive it; calls end with -ECANCELED
 * when that descriptor hangs up (-1: never). */
struct transport *transport_new(const struct dist_config *c, const int *gone_fd);
/** transport_free() - after all replies. NULL is fine. */
void transport_free(struct transport *t);
const struct dist_config *transport_config(const struct transport *t);

/**
 * transport_send() - one request to one host; no redirect is followed, nothing is tried again
 * @call: target is ignored, that of @u is used
 * Return: 0 with an answer of any status; -errno: no answer ('Get "URL": why').
 */
int transport_send(struct transport *t, const struct url *u, const struct http_call *call,
                   struct http_reply **ret, struct err *err) MUST;

/** transport_wait() - wait @ms. Return: 0, -ECANCELED. */
int transport_wait(struct transport *t, unsigned ms, struct err *err) MUST;
