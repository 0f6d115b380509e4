/*
 * What the server's files share: connections, and the state of one request and its reply. server.c
 * owns listeners and idle connections, conn.c runs requests, req.c and resp.c serve handlers.
 */
#pragma once

#include "http/h1.h"
#include "http/server.h"

#include <pthread.h>
#include <stdatomic.h>

struct loop_source;

enum conn_state { CONN_IDLE, CONN_ACTIVE };

struct http_conn {
    struct http_server *server;
    struct stream *s;    /* NULL until the TLS handshake, and after a hijack */
    struct tls_ctx *tls; /* of its listener */
    struct loop_source *source;
    struct h1_in in;
    size_t scan;           /* how far the head in @in was searched */
    enum conn_state state; /* under the server's lock */
    bool local;            /* a unix socket: the peer has credentials */
    atomic_bool watched;   /* its handler waits for the client's hang-up */
    int fd;
    int64_t since; /* when an incomplete head began, 0: none; under the server's lock */
    struct http_conn *prev, *next;
};

struct http_server {
    struct http_server_opts opts;
    pthread_mutex_t lock; /* guards everything below, and conn->state, ->since */
    pthread_cond_t ended; /* a request ended */
    struct listener *listeners;
    struct http_conn *conns;
    size_t active;
    bool stopping;
    struct loop_source *head_timer;
    bool head_timer_set;
    int log_fd;
};

#define LOG_BODY_MAX (4 * 1024 * 1024)

struct http_req {
    struct http_conn *conn;
    struct h1_head head;
    struct arena arena;
    const char *path, *query_str;
    unsigned version;
    struct strmap query, params;
    struct h1_body body;
    bool expect; /* the client waits for "100 Continue" */
    struct buf log;
};

struct http_resp {
    struct http_req *req;
    struct strmap headers;
    struct buf out;
    int status;
    bool started, ended, chunked, no_body, failed, close, hijacked;
    uint64_t left; /* of a sized body */
    bool sized;
    struct buf log;
};

/* conn.c */
void conn_serve(void *conn);
/* server.c */
void conn_park(struct http_conn *c);
void conn_close(struct http_conn *c);
bool server_stopping(struct http_server *s);
/* req.c */
int req_init(struct http_req *req, struct http_conn *c, const char *text, size_t n,
             struct err *err) MUST;
void req_done(struct http_req *req);
/* resp.c */
void resp_done(struct http_resp *resp);
const char *http_reason(int status);
/* reqlog.c */
int reqlog_open(const char *path, int *ret, struct err *err) MUST;
void reqlog_write(int fd, const struct http_req *req, const struct http_resp *resp);
void reqlog_keep(struct buf *log, const struct http_conn *c, const void *p, size_t n);
