#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/auto.h"
#include "http/query.h"
#include "http/server-priv.h"

/* The request as a handler sees it: path, query, headers, body, peer. */

#define JSON_BODY_MAX (16 * 1024 * 1024)

/* Cut "/v1.41" off the front of the path; anything else stays a path. */
static void split_version(struct http_req *req)
{
    const char *p = req->path;
    unsigned major = 0, minor = 0;
    int n = 0;

    if (sscanf(p, "/v%3u.%3u%n", &major, &minor, &n) != 2 || (p[n] != '/' && p[n] != '\0') ||
        strspn(p + 2, "0123456789.") + 2 != (size_t)n)
        return;
    req->version = API(major, minor);
    req->path = p[n] ? p + n : "/";
}

int req_init(struct http_req *req, struct http_conn *c, const char *text, size_t n, struct err *err)
{
    char *path = NULL;

    req->conn = c;
    int r = h1_parse_request(text, n, &req->arena, &req->head, err);
    if (r < 0)
        return r;
    h1_body_init(&req->body, req->head.length);
    req->expect = req->head.expect && req->head.length != 0;
    const char *q = strchrnul(req->head.target, '?');
    req->query_str = *q ? q + 1 : "";
    r = query_unescape(req->head.target, (size_t)(q - req->head.target), false, &req->arena, &path,
                       err);
    if (r < 0 || (r = query_parse(req->query_str, &req->arena, &req->query, err)) < 0)
        return r;
    req->path = path;
    split_version(req);
    return 0;
}

void req_done(struct http_req *req)
{
    arena_done(&req->arena);
    buf_done(&req->log);
}

const char *http_method(const struct http_req *req)
{
    return req->head.method;
}

const char *http_path(const struct http_req *req)
{
    return req->path;
}

unsigned http_api_version(const struct http_req *req)
{
    return req->version;
}

void http_set_api_version(struct http_req *req, unsigned version)
{
    req->version = version;
}

struct arena *http_arena(struct http_req *req)
{
    return &req->arena;
}

const char *http_param(const struct http_req *req, const char *name)
{
    const char *v = strmap_get(&req->params, name);

    return v ? v : "";
}

const char *http_header(const struct http_req *req, const char *name)
{
    return h1_header(&req->head, name);
}

const char *http_query(const struct http_req *req, const char *key)
{
    return strmap_get(&req->query, key);
}

struct strv http_query_all(struct http_req *req, const char *key)
{
    struct strv v = {0};

    for (size_t i = 0; i < req->query.n; i++)
        if (str_eq(req->query.v[i].key, key))
            strv_push(&req->arena, &v, req->query.v[i].val);
    return v;
}

bool http_query_bool(const struct http_req *req, const char *key, bool otherwise)
{
    static const char *const no[] = {"", "0", "no", "false", "none"};
    const char *v = http_query(req, key);

    if (!v)
        return otherwise;
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        if (strcasecmp(v, no[i]) == 0)
            return false;
    return true;
}

int http_query_i64(const struct http_req *req, const char *key, int64_t *ret, struct err *err)
{
    const char *v = http_query(req, key);

    if (str_empty(v))
        return 0;
    if (str_to_i64(v, ret) < 0)
        return err_invalid(err, "invalid value \"%s\" for %s: want a number", v, key);
    return 0;
}

const char *http_query_str(const struct http_req *req)
{
    return req->query_str;
}

/* ---- body ---- */

bool http_has_body(const struct http_req *req)
{
    return req->head.length != 0;
}

static int send_continue(struct http_req *req, struct err *err)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (!req->expect || req->body.ended)
        return 0;
    req->expect = false;
    int r = stream_write(req->conn->s, line, sizeof(line) - 1);
    return r < 0 ? err_no(err, r, "send 100 Continue") : 0;
}

ssize_t http_body_read(struct http_req *req, void *p, size_t n, struct err *err)
{
    int r = send_continue(req, err);

    if (r < 0)
        return r;
    ssize_t got = h1_body_read(&req->body, &req->conn->in, p, n, err);
    if (got > 0)
        reqlog_keep(&req->log, req->conn, p, (size_t)got);
    return got;
}

int http_body_all(struct http_req *req, size_t limit, struct buf *out, struct err *err)
{
    char tmp[8192];
    ssize_t n;

    while ((n = http_body_read(req, tmp, sizeof(tmp), err)) > 0) {
        if (out->len + (size_t)n > limit)
            return err_as(err, ERR_INVALID, E2BIG, "request body too large");
        buf_put(out, tmp, (size_t)n);
    }
    return (int)n;
}

static int check_json_type(const struct http_req *req, struct err *err)
{
    const char *type = http_header(req, "Content-Type");
    size_t n = type ? strcspn(type, "; \t") : 0;

    if (n == 16 && strncasecmp(type, "application/json", n) == 0)
        return 0;
    if (n == 0)
        return err_invalid(err, "malformed Content-Type header (): mime: no media type");
    return err_invalid(err, "unsupported Content-Type header (%s): must be 'application/json'",
                       type);
}

int http_body_json(struct http_req *req, const struct json_type *type, void *out, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;

    if (!http_has_body(req))
        return 0;
    int r = check_json_type(req, err);
    if (r < 0 || (r = http_body_all(req, JSON_BODY_MAX, &text, err)) < 0)
        return r;
    if (text.len == 0)
        return 0;
    r = json_decode(type, text.data, text.len, &req->arena, out, JSON_NOCASE, err);
    return r < 0 ? r : 1;
}

/* ---- peer ---- */

int http_peer_cred(const struct http_req *req, struct ucred *ret)
{
    socklen_t len = sizeof(*ret);

    if (!req->conn->local)
        return -EOPNOTSUPP;
    if (getsockopt(req->conn->fd, SOL_SOCKET, SO_PEERCRED, ret, &len) < 0)
        return -errno;
    return 0;
}

int http_client_gone_fd(const struct http_req *req)
{
    struct http_server *s = req->conn->server;

    atomic_store(&req->conn->watched, true);
    if (server_stopping(s)) /* stopping looked before we were marked */
        (void)shutdown(req->conn->fd, SHUT_RD);
    return req->conn->fd;
}

bool http_client_gone(const struct http_req *req)
{
    struct pollfd p = {.fd = http_client_gone_fd(req), .events = POLLRDHUP};

    return poll(&p, 1, 0) > 0 && (p.revents & HTTP_GONE_EVENTS) != 0;
}
