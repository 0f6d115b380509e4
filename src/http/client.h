/*
 * HTTP/1.1 client, blocking. One struct http_client is one server, reached directly or through a
 * proxy. Any number of threads may call at once: each call has a connection of its own, and some
 * are kept for later calls when their answers were read to the end.
 */
#pragma once

#include "http/addr.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "http/tls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct http_client;
struct http_reply;

/* Supplies body bytes; Return: bytes, 0 at the end, -errno. */
typedef ssize_t http_body_fn(void *arg, void *p, size_t n);

/* Writes body bytes by calls of http_push(); Return: 0, or -errno, which ends the call. */
struct http_pusher;
typedef int http_push_fn(void *arg, struct http_pusher *to, struct err *err);
/** http_push() - the next bytes of a body. Return: 0; -EPIPE the server wants no more. */
int http_push(struct http_pusher *to, const void *p, size_t n, struct err *err) MUST;

struct http_call {
    const char *method;
    const char *target;    /* path and query, ready to send */
    struct strmap headers; /* sent besides Host, User-Agent and framing */
    const void *body;      /* @body_len bytes, or NULL */
    size_t body_len;
    http_body_fn *body_fn; /* sent chunked, when @body is NULL */
    http_push_fn *push_fn; /* instead of body_fn, for who writes rather than is read; chunked */
    void *body_arg;
    const char *content_type;
    bool once;          /* never sent again, not even when a kept connection turns out dead */
    bool sized;         /* @body_fn gives exactly @body_size bytes: sent with Content-Length */
    uint64_t body_size; /* fewer are an error (-ENODATA), and the connection is cut */
};

struct http_client_opts {
    struct addr addr;
    const struct tls_opts *tls;   /* TLS to @addr (tcp only), or NULL */
    const struct addr *proxy;     /* tcp; asked for http by absolute URL, for TLS by CONNECT */
    const char *proxy_auth;       /* value of Proxy-Authorization, or NULL */
    unsigned connect_ms, idle_ms; /* time-outs; idle: nothing moves. 0: none */
    unsigned call_ms;             /* a whole call, to the end of its answer. 0: no limit */
    unsigned keep;                /* idle connections kept; 0: one */
    const int *gone_fd;           /* calls end with -ECANCELED when it hangs up; may be NULL */
};

/**
 * http_client_new() - no connection is made yet
 * @tls: options when TLS is wanted (tcp only), or NULL
 */
int http_client_new(const struct addr *addr, const struct tls_opts *tls, struct http_client **ret,
                    struct err *err) MUST;
/** http_client_open() - the same with all options, which are copied. */
int http_client_open(const struct http_client_opts *o, struct http_client **ret,
                     struct err *err) MUST;
/** http_client_free() - after all of its replies have been freed. */
void http_client_free(struct http_client *c);
/** http_client_header() - add to every request (copied); before the first call. */
void http_client_header(struct http_client *c, const char *name, const char *val);

/**
 * http_send() - send a request and read the answer's head
 * A kept connection that the server closed meanwhile is replaced once, silently.
 * Return: 0; -ECONNREFUSED, -ENOENT, -EACCES ... of kind unavailable when nobody listens.
 */
int http_send(struct http_client *c, const struct http_call *call, struct http_reply **ret,
              struct err *err) MUST;
int http_reply_status(const struct http_reply *r);
const char *http_reply_header(const struct http_reply *r, const char *name);
/** http_reply_headers() - all values of a header that may be repeated; copies in @a. */
struct strv http_reply_headers(const struct http_reply *r, const char *name, struct arena *a);
/** http_reply_length() - bytes of the body as announced, or -1. */
int64_t http_reply_length(const struct http_reply *r);
/** http_reply_read() - Return: bytes, 0 at the end, -errno. */
ssize_t http_reply_read(struct http_reply *r, void *p, size_t n, struct err *err) MUST;
/** http_reply_all() - the rest of the body, at most @limit bytes. */
int http_reply_all(struct http_reply *r, size_t limit, struct buf *out, struct err *err) MUST;
/** http_reply_fd() - the socket, for poll(2) beside other descriptors; see http_reply_pending(). */
int http_reply_fd(const struct http_reply *r);
/** http_reply_pending() - bytes are buffered: do not poll, read. */
bool http_reply_pending(const struct http_reply *r);
/** http_reply_free() - NULL is fine. Keeps the connection if the body is at its end. */
void http_reply_free(struct http_reply *r);

/* A connection turned into a raw stream in both directions. */
struct http_raw {
    struct stream *s;
    struct buf early; /* bytes that came with the head: read them first */
    size_t early_off;
    int status;
    char content_type[64];
};

/**
 * http_upgrade() - send with "Upgrade: tcp"; 101 and 200 give a raw stream
 * Return: 1 upgraded; 0 the server refused: @ret_reply holds its answer; -errno.
 */
int http_upgrade(struct http_client *c, const struct http_call *call, struct http_raw *ret,
                 struct http_reply **ret_reply, struct err *err) MUST;
ssize_t http_raw_read(struct http_raw *raw, void *p, size_t n) MUST;
/** http_raw_read_full() - exactly @n bytes. Return: 0, -ENODATA on an early end, -errno. */
int http_raw_read_full(struct http_raw *raw, void *p, size_t n) MUST;
void http_raw_done(struct http_raw *raw);
