#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "http/server-priv.h"

/*
 * The request log of test runs: one JSON line per request with both bodies, which the tests check
 * against the API definition. Off (and free of cost) unless a path was given.
 */

int reqlog_open(const char *path, int *ret, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_sys(err, "open request log %s", path);
    *ret = fd;
    return 0;
}

void reqlog_keep(struct buf *log, const struct http_conn *c, const void *p, size_t n)
{
    if (c->server->log_fd < 0 || log->len >= LOG_BODY_MAX)
        return;
    if (n > LOG_BODY_MAX - log->len)
        n = LOG_BODY_MAX - log->len;
    buf_put(log, p, n);
}

/* Only text is worth keeping: archives and container output are left out. */
static void put_body(struct json_w *w, const char *key, const struct buf *body)
{
    json_w_key(w, key);
    if (body->len > 0 && str_valid_utf8(body->data, body->len))
        json_w_strn(w, body->data, body->len);
    else
        json_w_null(w);
}

void reqlog_write(int fd, const struct http_req *req, const struct http_resp *resp)
{
    auto_buf struct buf line = BUF_INIT;
    struct json_w w = {.out = &line};

    json_w_obj(&w);
    json_w_key(&w, "method");
    json_w_str(&w, req->head.method);
    json_w_key(&w, "path");
    json_w_str(&w, req->path);
    json_w_key(&w, "query");
    json_w_str(&w, req->query_str);
    json_w_key(&w, "version");
    json_w_i64(&w, req->version);
    json_w_key(&w, "status");
    json_w_i64(&w, resp->status);
    json_w_key(&w, "hijacked");
    json_w_bool(&w, resp->hijacked);
    json_w_key(&w, "complete");
    json_w_bool(&w, !resp->failed);
    put_body(&w, "request", &req->log);
    put_body(&w, "reply", &resp->log);
    json_w_end_obj(&w);
    buf_putc(&line, '\n');
    (void)!write_full(fd, line.data, line.len); /* one write: lines of threads do not mix */
}
