#include "client/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/mem.h"
#include "http/query.h"
#include "wire/system.h"

#define TEXT_MAX (1024UL * 1024 * 1024)
#define ERROR_MAX (1024 * 1024)

struct client {
    struct http_client *http;
    char *host, *version;
};

int client_new(const struct client_opts *opts, struct client **ret, struct err *err)
{
    struct http_client *http = NULL;
    struct addr a;
    int r = addr_parse(opts->host, opts->tls ? 2376 : 2375, &a, err);

    if (r < 0)
        return r;
    const struct tls_opts *tls = a.kind == ADDR_TCP ? opts->tls : NULL;
    struct tls_opts plain = {.verify = true};
    if (!tls && a.https)
        tls = &plain;
    r = http_client_new(&a, tls, &http, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < opts->headers.n; i++)
        http_client_header(http, opts->headers.v[i].key, opts->headers.v[i].val);
    http_client_header(http, "User-Agent", opts->user_agent);
    struct client *c = xnew(struct client);
    c->http = http;
    c->host = xstrdup(opts->host);
    c->version = opts->version ? xstrdup(opts->version) : NULL;
    *ret = c;
    return 0;
}

void client_free(struct client *c)
{
    if (!c)
        return;
    http_client_free(c->http);
    free(c->host);
    free(c->version);
    free(c);
}

const char *client_host(const struct client *c)
{
    return c->host;
}

void client_path(struct client *c, struct buf *out, const char *fmt, ...)
{
    va_list ap;

    if (c->version)
        buf_printf(out, "/v%s", c->version);
    va_start(ap, fmt);
    for (; *fmt; fmt++) {
        if (*fmt != '%')
            buf_putc(out, *fmt);
        else
            query_escape_path(out, va_arg(ap, const char *), *++fmt == 'r');
    }
    va_end(ap);
}

/* ---- errors ---- */

static enum err_kind kind_of(int status)
{
    static const struct {
        int status;
        enum err_kind kind;
    } kinds[] = {
        {400, ERR_INVALID},     {401, ERR_UNAUTHORIZED}, {403, ERR_DENIED},
        {404, ERR_NOT_FOUND},   {409, ERR_CONFLICT},     {501, ERR_NOT_IMPLEMENTED},
        {503, ERR_UNAVAILABLE},
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].status == status)
            return kinds[i].kind;
    return ERR_SYSTEM;
}

static int no_of(enum err_kind kind)
{
    static const int no[] = {
        [ERR_SYSTEM] = EREMOTEIO,       [ERR_INVALID] = EINVAL,     [ERR_UNAUTHORIZED] = EACCES,
        [ERR_DENIED] = EPERM,           [ERR_NOT_FOUND] = ENOENT,   [ERR_CONFLICT] = EEXIST,
        [ERR_NOT_IMPLEMENTED] = ENOSYS, [ERR_UNAVAILABLE] = EAGAIN,
    };

    return no[kind];
}

int client_status_err(struct http_reply *r, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf text = BUF_INIT;
    struct error_body body = {0};
    enum err_kind kind = kind_of(http_reply_status(r));

    (void)!http_reply_all(r, ERROR_MAX, &text, NULL);
    const char *msg = NULL;
    if (json_decode(&error_body_type, buf_str(&text), text.len, &a, &body, 0, NULL) == 0)
        msg = body.message;
    if (str_empty(msg)) {
        while (text.len > 0 && text.data[text.len - 1] == '\n')
            text.data[--text.len] = '\0';
        msg = text.len > 0 ? text.data : NULL;
    }
    if (!msg)
        return err_as(err, kind, no_of(kind),
                      "request returned status %d; check if the server supports the requested API "
                      "version",
                      http_reply_status(r));
    return err_as(err, kind, no_of(kind), "Error response from daemon: %s", msg);
}

/* What a failed connection looks like to the user. */
static int explain(struct client *c, int r, struct err *err)
{
    char why[sizeof(err->msg)];

    if (!err || err->kind == ERR_NOT_IMPLEMENTED)
        return r;
    if (r == -EACCES) {
        (void)snprintf(why, sizeof(why), "%s", err->msg);
        return err_as(err, ERR_DENIED, EACCES,
                      "permission denied while trying to connect to the Cleat daemon socket at %s: "
                      "%s",
                      c->host, why);
    }
    if (r == -ENOENT || r == -ECONNREFUSED || r == -EHOSTUNREACH || r == -ETIMEDOUT ||
        r == -ENETUNREACH)
        return err_as(err, ERR_UNAVAILABLE, -r,
                      "Cannot connect to the Cleat daemon at %s. Is the cleatd daemon running?",
                      c->host);
    if (r == -EPROTO || r == -ECONNRESET || r == -EPIPE || r == -EINVAL)
        return err_wrap(err, r, "error during connect: %s", c->host);
    return r;
}

/* ---- calls ---- */

int client_open(struct client *c, const struct http_call *call, struct http_reply **ret,
                struct err *err)
{
    struct http_reply *reply = NULL;
    int r = http_send(c->http, call, &reply, err);

    if (r < 0)
        return explain(c, r, err);
    if (http_reply_status(reply) >= 400) {
        r = client_status_err(reply, err);
        http_reply_free(reply);
        return r;
    }
    *ret = reply;
    return http_reply_status(reply);
}

static void put_body(struct http_call *call, const struct json_type *type, const void *in,
                     struct buf *body)
{
    if (!type)
        return;
    json_encode(type, in, body);
    call->body = body->data;
    call->body_len = body->len;
    call->content_type = "application/json";
}

int client_text(struct client *c, const char *method, const char *target,
                const struct json_type *in_type, const void *in, struct buf *out, struct err *err)
{
    auto_buf struct buf body = BUF_INIT;
    struct http_call call = {.method = method, .target = target};
    struct http_reply *reply = NULL;

    put_body(&call, in_type, in, &body);
    int status = client_open(c, &call, &reply, err);
    if (status < 0)
        return status;
    int r = http_reply_all(reply, TEXT_MAX, out, err);
    http_reply_free(reply);
    return r < 0 ? r : status;
}

int client_call(struct client *c, const char *method, const char *target,
                const struct json_type *in_type, const void *in, const struct json_type *out_type,
                void *out, struct arena *a, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int status = client_text(c, method, target, in_type, in, &text, err);

    if (status < 0 || !out_type || text.len == 0)
        return status;
    int r = json_decode(out_type, text.data, text.len, a, out, 0, err);
    return r < 0 ? err_wrap(err, r, "answer of the daemon") : status;
}

int client_upgrade(struct client *c, const char *target, const struct json_type *in_type,
                   const void *in, struct http_raw *ret, struct err *err)
{
    auto_buf struct buf body = BUF_INIT;
    struct http_call call = {.method = "POST", .target = target};
    struct http_reply *refused = NULL;

    put_body(&call, in_type, in, &body);
    int r = http_upgrade(c->http, &call, ret, &refused, err);
    if (r < 0)
        return explain(c, r, err);
    if (r > 0)
        return 0;
    r = client_status_err(refused, err);
    http_reply_free(refused);
    return r;
}

/* ---- streams ---- */

/* End of the JSON value at the start of @p: 0 when it is not complete. Only nesting and strings
 * matter here; whether it is valid is the parser's business. */
static size_t value_end(const char *p, size_t n)
{
    size_t depth = 0;
    bool in_str = false;

    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        if (in_str) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_str = false;
        } else if (c == '"') {
            in_str = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (depth > 0 && --depth == 0)
                return i + 1;
        } else if (c == '\n' && depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

static void skip_blanks(struct buf *b)
{
    size_t n = b->len ? strspn(b->data, " \t\r\n") : 0;

    if (n > 0)
        buf_drop(b, n);
}

int json_stream_next(struct json_stream *s, const char **ret, size_t *ret_len, struct err *err)
{
    buf_drop(&s->buf, s->used);
    s->used = 0;
    for (;;) {
        skip_blanks(&s->buf);
        size_t n = s->buf.len ? value_end(s->buf.data, s->buf.len) : 0;
        if (n > 0) {
            *ret = s->buf.data;
            *ret_len = s->used = n;
            return 1;
        }
        ssize_t got = http_reply_read(s->reply, buf_room(&s->buf, 16384), 16384, err);
        if (got < 0)
            return (int)got;
        if (got == 0)
            return s->buf.len == 0 ? 0 : err_invalid(err, "unexpected end of the daemon's answer");
        buf_commit(&s->buf, (size_t)got);
    }
}

/* The line's end behind a value is nothing. */
bool json_stream_pending(const struct json_stream *s)
{
    size_t from = s->used;

    while (from < s->buf.len && strchr(" \t\r\n", s->buf.data[from]))
        from++;
    return from < s->buf.len || http_reply_pending(s->reply);
}

void json_stream_done(struct json_stream *s)
{
    http_reply_free(s->reply);
    s->reply = NULL;
    buf_done(&s->buf);
}
