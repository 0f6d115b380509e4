/*
 * TLS 1.2 and 1.3 by OpenSSL, for both ends. libssl is opened with dlopen(3) when the first context
 * is made: neither the command line's start nor the idle daemon pays for it without need.
 */
#pragma once

#include "base/err.h"
#include "http/stream.h"

#include <stdbool.h>

struct tls_ctx;

struct tls_opts {
    const char *ca_file;              /* PEM; NULL: the system's store (client), none (server) */
    const char *const *more_ca_files; /* client: PEM, trusted besides; NULL-terminated, or NULL */
    const char *cert_file; /* PEM chain; the server's own, or the client's (may be NULL) */
    const char *key_file;
    bool verify; /* server: demand a client certificate; client: verify the server's and its name */
};

int tls_ctx_new(bool server, const struct tls_opts *opts, struct tls_ctx **ret,
                struct err *err) MUST;
void tls_ctx_free(struct tls_ctx *t);
/** tls_accept() - shake hands as the server; @fd becomes the stream's on success. Blocks. */
int tls_accept(struct tls_ctx *ctx, int fd, struct stream **ret, struct err *err) MUST;
/** tls_connect() - as the client; @host is checked against the certificate. @fd as above. */
int tls_connect(struct tls_ctx *ctx, int fd, const char *host, struct stream **ret,
                struct err *err) MUST;
