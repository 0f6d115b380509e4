#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "base/auto.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/pool.h"
#include "http/server-priv.h"

/*
 * Replies. A small one leaves in one write, head and body together; a stream is sent as it is
 * written, one chunk per write, since its reader waits for each line.
 */

#define COPY_MAX (64 * 1024)

void resp_done(struct http_resp *resp)
{
    buf_done(&resp->out);
    buf_done(&resp->log);
}

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } reasons[] = {
        {101, "UPGRADED"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {409, "Conflict"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "Unknown";
}

int http_status(enum err_kind kind)
{
    static const int status[] = {
        [ERR_NONE] = 500,         [ERR_SYSTEM] = 500,          [ERR_INVALID] = 400,
        [ERR_UNAUTHORIZED] = 401, [ERR_DENIED] = 403,          [ERR_NOT_FOUND] = 404,
        [ERR_CONFLICT] = 409,     [ERR_NOT_IMPLEMENTED] = 501, [ERR_UNAVAILABLE] = 503,
    };

    return (size_t)kind < sizeof(status) / sizeof(status[0]) ? status[kind] : 500;
}

void http_resp_header(struct http_resp *resp, const char *name, const char *val)
{
    struct arena *a = &resp->req->arena;

    for (size_t i = 0; i < resp->headers.n; i++) {
        if (strcasecmp(resp->headers.v[i].key, name) == 0) {
            resp->headers.v[i].val = arena_strdup(a, val);
            return;
        }
    }
    arena_push(a, resp->headers) = (struct strpair){arena_strdup(a, name), arena_strdup(a, val)};
}

bool http_resp_started(const struct http_resp *resp)
{
    return resp->started;
}

/* A value that came from outside must not end its line. */
static void put_value(struct buf *out, const char *s)
{
    for (; *s; s++)
        buf_putc(out, (unsigned char)*s < 0x20 && *s != '\t' ? ' ' : *s);
}

static void put_date(struct buf *out)
{
    char text[40];
    struct tm tm;
    time_t now = time(NULL);

    gmtime_r(&now, &tm);
    strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    buf_printf(out, "Date: %s\r\n", text);
}

/* Status line and headers into resp->out; framing headers are the caller's last. */
static void put_head(struct http_resp *resp, int status, const char *content_type)
{
    struct buf *out = &resp->out;

    buf_printf(out, "HTTP/1.1 %d %s\r\n", status, http_reason(status));
    for (size_t i = 0; i < resp->headers.n; i++) {
        buf_printf(out, "%s: ", resp->headers.v[i].key);
        put_value(out, resp->headers.v[i].val);
        buf_puts(out, "\r\n");
    }
    if (content_type) {
        buf_puts(out, "Content-Type: ");
        put_value(out, content_type);
        buf_puts(out, "\r\n");
    }
    resp->status = status;
    resp->started = true;
}

static bool is_head_request(const struct http_resp *resp)
{
    return str_eq(resp->req->head.method, "HEAD");
}

/* The connection cannot go on when its client waits for a 100 that will not come. */
static void put_connection(struct http_resp *resp)
{
    if (resp->req->expect)
        resp->close = true;
    put_date(&resp->out);
    if (resp->close)
        buf_puts(&resp->out, "Connection: close\r\n");
    else if (resp->req->head.minor == 0)
        buf_puts(&resp->out, "Connection: keep-alive\r\n");
}

static int flush(struct http_resp *resp, struct err *err)
{
    int r = stream_write(resp->req->conn->s, resp->out.data, resp->out.len);

    buf_clear(&resp->out);
    if (r < 0) {
        resp->failed = true;
        return err_no(err, r, "write reply");
    }
    return 0;
}

static int no_second(struct http_resp *resp, struct err *err)
{
    return resp->started ? err_as(err, ERR_SYSTEM, EALREADY, "the request was answered already")
                         : 0;
}

int http_reply_data(struct http_resp *resp, int status, const char *content_type, const void *p,
                    size_t n)
{
    int r = no_second(resp, NULL);

    if (r < 0)
        return r;
    put_head(resp, status, content_type);
    put_connection(resp);
    if (status != 204 && status != 304)
        buf_printf(&resp->out, "Content-Length: %zu\r\n", n);
    buf_puts(&resp->out, "\r\n");
    resp->ended = true;
    reqlog_keep(&resp->log, resp->req->conn, p, n);
    if (n > 0 && is_head_request(resp))
        n = 0;
    if (n <= COPY_MAX) {
        buf_put(&resp->out, p, n);
        return flush(resp, NULL);
    }
    r = flush(resp, NULL);
    if (r == 0)
        r = stream_write(resp->req->conn->s, p, n);
    resp->failed |= r < 0;
    return r;
}

int http_reply(struct http_resp *resp, int status)
{
    return http_reply_data(resp, status, NULL, "", 0);
}

/* Docker's plain replies keep <, > and & as they are, unlike Go's encoder by default (and ours). */
static void put_unescaped(const struct buf *json, struct buf *out)
{
    static const char *const codes[] = {"003c", "003e", "0026"};
    const char *p = buf_str(json), *end = p + json->len;

    while (p < end) {
        const char *back = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((back ? back : end) - p);
        buf_put(out, p, plain);
        p += plain;
        if (!back)
            return;
        int found = -1;
        for (int i = 0; i < 3 && end - p >= 6 && p[1] == 'u'; i++)
            if (memcmp(p + 2, codes[i], 4) == 0)
                found = i;
        if (found >= 0)
            buf_putc(out, "<>&"[found]);
        else
            buf_put(out, p, 2); /* also of an escaped backslash: what follows it is text */
        p += found >= 0 ? 6 : 2;
    }
}

int http_reply_text(struct http_resp *resp, int status, const struct buf *json)
{
    auto_buf struct buf out = BUF_INIT;

    put_unescaped(json, &out);
    return http_reply_data(resp, status, "application/json", buf_str(&out), out.len);
}

int http_reply_json(struct http_resp *resp, int status, const struct json_type *type,
                    const void *obj)
{
    auto_buf struct buf text = BUF_INIT;

    json_encode(type, obj, &text);
    buf_putc(&text, '\n');
    return http_reply_text(resp, status, &text);
}

int http_reply_error(struct http_resp *resp, const struct err *e)
{
    auto_buf struct buf text = BUF_INIT;

    buf_puts(&text, "{\"message\":");
    json_quote(&text, e->msg, strlen(e->msg));
    buf_puts(&text, "}\n");
    return http_reply_text(resp, http_status(e->kind), &text);
}

/* ---- streams ---- */

int http_resp_start(struct http_resp *resp, int status, const char *content_type, struct err *err)
{
    int r = no_second(resp, err);

    if (r < 0)
        return r;
    resp->chunked = resp->req->head.minor >= 1;
    if (!resp->chunked)
        resp->close = true; /* the end of the connection is the end of the body */
    put_head(resp, status, content_type);
    put_connection(resp);
    buf_puts(&resp->out, resp->chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
    resp->no_body = is_head_request(resp);
    return flush(resp, err);
}

int http_resp_start_sized(struct http_resp *resp, int status, const char *content_type, uint64_t n,
                          struct err *err)
{
    int r = no_second(resp, err);

    if (r < 0)
        return r;
    put_head(resp, status, content_type);
    put_connection(resp);
    buf_printf(&resp->out, "Content-Length: %llu\r\n\r\n", (unsigned long long)n);
    resp->no_body = is_head_request(resp);
    resp->sized = true;
    resp->left = n;
    return flush(resp, err);
}

static int write_chunk(struct http_resp *resp, const void *p, size_t n, struct err *err)
{
    buf_printf(&resp->out, "%zx\r\n", n);
    if (n > COPY_MAX) { /* its end goes with what comes next: nobody waits for that */
        int r = flush(resp, err);
        if (r < 0)
            return r;
        r = stream_write(resp->req->conn->s, p, n);
        resp->failed = r < 0;
        buf_puts(&resp->out, "\r\n");
        return r < 0 ? err_no(err, r, "write reply") : 0;
    }
    buf_put(&resp->out, p, n);
    buf_puts(&resp->out, "\r\n");
    return flush(resp, err);
}

int http_resp_write(struct http_resp *resp, const void *p, size_t n, struct err *err)
{
    if (resp->failed)
        return err_no(err, EPIPE, "write reply");
    if (n == 0 || resp->no_body)
        return 0;
    reqlog_keep(&resp->log, resp->req->conn, p, n);
    if (resp->chunked)
        return write_chunk(resp, p, n, err);
    if (resp->sized && n > resp->left)
        return err_as(err, ERR_SYSTEM, EOVERFLOW, "more body than announced");
    resp->left -= resp->sized ? n : 0;
    int r = stream_write(resp->req->conn->s, p, n);
    if (r < 0) {
        resp->failed = true;
        return err_no(err, r, "write reply");
    }
    return 0;
}

int http_resp_end(struct http_resp *resp, struct err *err)
{
    if (resp->ended)
        return 0;
    if (resp->failed)
        return err_no(err, EPIPE, "write reply");
    if (resp->sized && resp->left > 0 && !resp->no_body) {
        resp->failed = true;
        return err_as(err, ERR_SYSTEM, EOVERFLOW, "less body than announced");
    }
    resp->ended = true;
    if (!resp->chunked || resp->no_body)
        return 0;
    buf_puts(&resp->out, "0\r\n\r\n");
    return flush(resp, err);
}
