/*
 * HTTP server. Idle connections wait in the event loop and cost no thread; when a request's head is
 * complete the connection is handed to a thread of the pool, where the handler runs with blocking
 * I/O; afterwards the connection returns to the loop.
 *
 * Knows nothing of the API: paths and methods come as a table, struct api is only passed on.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

struct api; /* whoever owns the routes; never looked into */
struct loop;
struct pool;
struct tls_ctx;
struct http_server;
struct http_req;
struct http_resp;

#define API(major, minor) ((major)*1000 + (minor)) /* as in wire/version.h */

/**
 * http_handler - answers one request
 * Return: >= 0 when it has replied; on a negative errno with nothing sent yet the server replies
 * with the status of err->kind and {"message": err->msg}; with a stream already begun it cuts the
 * connection, so that the client does not take the body for complete.
 */
typedef int http_handler(struct api *api, struct http_req *req, struct http_resp *resp,
                         struct err *err);

/* ---- routes ---- */

struct http_route {
    const char *method;  /* exact; a HEAD route is a route of its own */
    const char *pattern; /* "/containers/{id}/json", "/images/{name:.*}/json" (matches slashes) */
    http_handler *fn;
    unsigned min_api; /* API(1, 25); 0: all */
    unsigned flags;   /* the caller's */
};

struct http_routes {
    const struct http_route *v;
    size_t n;
};

/**
 * http_route_find() - the route of a request, searched in order; fills http_param()
 * Return: NULL when path or method are unknown.
 */
const struct http_route *http_route_find(const struct http_routes *tables, size_t ntables,
                                         struct http_req *req);

/* ---- server ---- */

struct http_server_opts {
    struct loop *loop;
    struct pool *pool;
    struct api *api;
    http_handler *dispatch;   /* called for every request, on a thread of the pool */
    const char *log_path;     /* tests: append each request and reply as one JSON line; or NULL */
    unsigned head_timeout_ms; /* a head must be complete after this; 0: 5 minutes */
};

int http_server_new(const struct http_server_opts *opts, struct http_server **ret,
                    struct err *err) MUST;

/**
 * http_server_listen() - serve an address
 * @addr: "unix:///path", "tcp://host:port", "fd://" (all sockets systemd passed), "fd://3",
 *   "fd://name"
 * @mode, @gid: of a unix socket; gid -1 leaves the group
 * @tls: for TCP (also of sockets that were passed); NULL: plain. Stays the caller's and must
 * outlive the server.
 */
int http_server_listen(struct http_server *s, const char *addr, unsigned mode, int gid,
                       struct tls_ctx *tls, struct err *err) MUST;

/**
 * http_server_stop() - close listeners and idle connections, tell streaming handlers that their
 * client is gone, wait until active requests end or @timeout_ms is over. Not in the loop's thread
 * while it runs handlers that need the loop; may be called after loop_run() returned.
 * Return: requests still running.
 */
size_t http_server_stop(struct http_server *s, unsigned timeout_ms);
/** http_server_free() - after http_server_stop() returned 0 and the loop ended. */
void http_server_free(struct http_server *s);

/* ---- request ---- */

const char *http_method(const struct http_req *req);
/** http_path() - decoded path without the /vX.Y prefix. */
const char *http_path(const struct http_req *req);
/** http_api_version() - API(1, 41) of the /v1.41 prefix, 0 without one. */
unsigned http_api_version(const struct http_req *req);
/** http_set_api_version() - what handlers shall see when the path had no prefix. */
void http_set_api_version(struct http_req *req, unsigned version);
/** http_arena() - memory that lives until the reply is sent. */
struct arena *http_arena(struct http_req *req);
/** http_param() - value of a {name} of the pattern; never NULL for names that are in it. */
const char *http_param(const struct http_req *req, const char *name);
/** http_header() - request header in any case, or NULL. */
const char *http_header(const struct http_req *req, const char *name);

/** http_query() - first value of a key, or NULL; "" when given without one. */
const char *http_query(const struct http_req *req, const char *key);
/** http_query_all() - every value of a repeated key. */
struct strv http_query_all(struct http_req *req, const char *key);
/** http_query_bool() - Docker's rule: absent, "", "0", "no", "false", "none" are false. */
bool http_query_bool(const struct http_req *req, const char *key, bool otherwise);
/** http_query_i64() - 0 with *ret untouched when absent or ""; -EINVAL when it is no number. */
int http_query_i64(const struct http_req *req, const char *key, int64_t *ret, struct err *err) MUST;
/** http_query_str() - raw query text, "" when there is none. */
const char *http_query_str(const struct http_req *req);

/** http_has_body() - the request announced a body (its length may still be 0 when chunked). */
bool http_has_body(const struct http_req *req);
/** http_body_read() - next bytes of the body; sends "100 Continue" at the first call if asked.
 * Return: bytes, 0 at the end, -errno. */
ssize_t http_body_read(struct http_req *req, void *p, size_t n, struct err *err) MUST;
/** http_body_all() - the rest of the body; more than @limit is invalid. */
int http_body_all(struct http_req *req, size_t limit, struct buf *out, struct err *err) MUST;
/**
 * http_body_json() - decode the body (at most 16 MiB, keys in any case) into @out in the request's
 * arena. Content-Type must be JSON when there is a body.
 * Return: 1 decoded; 0 no body at all (@out untouched); -errno.
 */
int http_body_json(struct http_req *req, const struct json_type *type, void *out,
                   struct err *err) MUST;

/** http_peer_cred() - who is at the other end of a unix socket; -EOPNOTSUPP on TCP. */
int http_peer_cred(const struct http_req *req, struct ucred *ret) MUST;

/* A streaming handler waits in poll(2) on its source and on this descriptor with these events. */
#define HTTP_GONE_EVENTS (POLLRDHUP | POLLHUP | POLLERR)
int http_client_gone_fd(const struct http_req *req);
/** http_client_gone() - has the client hung up? Does not block. */
bool http_client_gone(const struct http_req *req);

/* ---- reply ---- */

/** http_resp_header() - set a response header (replaces one of the same name); copied. */
void http_resp_header(struct http_resp *resp, const char *name, const char *val);
/** http_resp_started() - the status line is out. */
bool http_resp_started(const struct http_resp *resp);

/** http_reply() - status without a body. */
int http_reply(struct http_resp *resp, int status) MUST;
/** http_reply_data() - a complete body. */
int http_reply_data(struct http_resp *resp, int status, const char *content_type, const void *p,
                    size_t n) MUST;
/** http_reply_json() - an object by its descriptor. */
int http_reply_json(struct http_resp *resp, int status, const struct json_type *type,
                    const void *obj) MUST;
/** http_reply_text() - JSON text that is ready (lists built with the writer). */
int http_reply_text(struct http_resp *resp, int status, const struct buf *json) MUST;
/** http_reply_error() - {"message": ...} with the status of the kind. */
int http_reply_error(struct http_resp *resp, const struct err *e) MUST;
/** http_status() - HTTP status of an error kind. */
int http_status(enum err_kind kind);

/** http_resp_start() - begin a body of unknown length (chunked; to the end for HTTP/1.0). */
int http_resp_start(struct http_resp *resp, int status, const char *content_type,
                    struct err *err) MUST;
/** http_resp_start_sized() - begin a body of exactly @n bytes. */
int http_resp_start_sized(struct http_resp *resp, int status, const char *content_type, uint64_t n,
                          struct err *err) MUST;
/** http_resp_write() - send now; Return: 0, -EPIPE when the client is gone, -errno. */
int http_resp_write(struct http_resp *resp, const void *p, size_t n, struct err *err) MUST;
/** http_resp_end() - the body is complete. */
int http_resp_end(struct http_resp *resp, struct err *err) MUST;

/* ---- hijack ---- */

struct http_hijacked {
    int fd; /* the caller's: the client's socket itself, or for TLS one end of a relayed pair */
    struct buf early; /* bytes the client sent behind its head; give them to the container first */
};

/**
 * http_hijack() - turn the connection into a raw stream
 * Sends "101 UPGRADED" when the client asked by "Upgrade: tcp" (or h2c), else "200 OK", with
 * @content_type ("application/vnd.docker.raw-stream" ...). Afterwards the server has no part in it.
 */
int http_hijack(struct http_resp *resp, const char *content_type, struct http_hijacked *ret,
                struct err *err) MUST;
void http_hijacked_done(struct http_hijacked *h);
