/*
 * What the administrator decides about registries: mirrors, which may be talked to without TLS,
 * certificates, proxies, limits. Read only once it is made, so all threads share it.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "http/url.h"

#include <stdbool.h>

#define DIST_HUB "docker.io"                 /* how references name Docker Hub */
#define DIST_HUB_HOST "registry-1.docker.io" /* where its registry is */
#define DIST_HUB_INDEX "index.docker.io"     /* where its index (search, v1) is */

struct dist_config {
    struct strv mirrors;    /* "URL" (of docker.io) or "REGISTRY=URL", in the order to try */
    struct strv insecure;   /* "host", "host:port", "10.0.0.0/8" */
    bool verify_all;        /* there are no insecure ones: for hosts that are no registries */
    struct strv certs_dirs; /* directories with HOST[:PORT]/{*.crt,*.cert,*.key} */
    const char *http_proxy, *https_proxy, *no_proxy; /* as in the environment; NULL: none */
    const char *user_agent;
    unsigned connect_ms, idle_ms; /* time-outs of one connection */
    unsigned tries;               /* of one request, the first included */
};

/** dist_config_defaults() - no mirrors, the usual directories, the environment's proxies. */
void dist_config_defaults(struct dist_config *c, struct arena *a);
/** dist_config_check() - are all mirrors, insecure registries and proxies well-formed? */
int dist_config_check(const struct dist_config *c, struct err *err) MUST;

/** dist_is_insecure() - may @u be talked to by http, or by TLS with any certificate? Loopback is so
 * by default, as with Docker. Names are compared, not looked up. */
bool dist_is_insecure(const struct dist_config *c, const struct url *u);

/** dist_mirrors() - URLs of the mirrors of a registry, in @a. */
struct strv dist_mirrors(const struct dist_config *c, const char *registry, struct arena *a);

/** dist_proxy() - the proxy for @u, or NULL: from the proxy settings and their exceptions. */
const char *dist_proxy(const struct dist_config *c, const struct url *u);

/* Certificates for one host. */
struct dist_certs {
    struct strv ca;         /* *.crt */
    const char *cert, *key; /* a pair X.cert, X.key, or NULL */
};

/** dist_certs_find() - what the directories hold for @u; a missing directory is no error. */
int dist_certs_find(const struct dist_config *c, const struct url *u, struct arena *a,
                    struct dist_certs *ret, struct err *err) MUST;
