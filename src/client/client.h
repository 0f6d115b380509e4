/*
 * REST client: calls of the Docker Engine API with typed requests and answers. It speaks to the
 * unversioned paths, which mean the daemon's newest version: so no call is preceded by a /_ping,
 * and a command costs one round trip. A fixed version (DOCKER_API_VERSION) is put into the paths.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "http/client.h"
#include "http/tls.h"

struct client;

struct client_opts {
    const char *host;           /* "unix:///run/cleat/cleat.sock", "tcp://..." */
    const struct tls_opts *tls; /* NULL: none */
    const char *version;        /* "1.41"; NULL: newest */
    const char *user_agent;
    struct strmap headers; /* sent with every request */
};

/** client_new() - connects at the first call. */
int client_new(const struct client_opts *opts, struct client **ret, struct err *err) MUST;
void client_free(struct client *c);
const char *client_host(const struct client *c);

/**
 * client_path() - begin a target: the version prefix and @fmt, in which %s is a piece of the path
 * that is escaped, and %r one whose slashes stay (image names)
 */
void client_path(struct client *c, struct buf *out, const char *fmt, ...);

/**
 * client_call() - one request with a typed body and a typed answer
 * @in_type: NULL: no body; @out_type: NULL: the answer's body is not looked at
 * @out: zeroed struct of @out_type; what it points to lives in @a
 * Return: the HTTP status (200 to 399); on an error status -errno of the kind that fits, with the
 *   message "Error response from daemon: ...".
 */
int client_call(struct client *c, const char *method, const char *target,
                const struct json_type *in_type, const void *in, const struct json_type *out_type,
                void *out, struct arena *a, struct err *err) MUST;
/** client_text() - the same with the answer as text (at most 1 GiB). */
int client_text(struct client *c, const char *method, const char *target,
                const struct json_type *in_type, const void *in, struct buf *out,
                struct err *err) MUST;
/** client_open() - the answer as a stream; the caller frees the reply. Errors as client_call(). */
int client_open(struct client *c, const struct http_call *call, struct http_reply **ret,
                struct err *err) MUST;
/** client_upgrade() - a hijacked connection. Errors as client_call(). */
int client_upgrade(struct client *c, const char *target, const struct json_type *in_type,
                   const void *in, struct http_raw *ret, struct err *err) MUST;

/** client_status_err() - turn an error answer into a struct err; Return: negative errno. */
int client_status_err(struct http_reply *r, struct err *err);

/* ---- streams of JSON values ---- */

struct json_stream {
    struct http_reply *reply;
    struct buf buf;
    size_t used; /* bytes of the value given out last */
};

/** json_stream_next() - the next value (they may share lines, or break over several)
 * @ret: points into the stream's buffer, valid until the next call
 * Return: 1, 0 at the end, -errno. */
int json_stream_next(struct json_stream *s, const char **ret, size_t *ret_len,
                     struct err *err) MUST;
/** json_stream_pending() - something is buffered: do not poll the reply's socket, ask for the next.
 */
bool json_stream_pending(const struct json_stream *s);
void json_stream_done(struct json_stream *s);
