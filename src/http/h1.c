#include "http/h1.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

/*
 * A head is copied into the arena once and cut up in place: names and values point into the copy.
 * Framing is decided after all headers are known, in one place, so that no order of headers gives
 * another answer.
 */

size_t h1_head_end(const char *p, size_t n, size_t *scan)
{
    if (n >= 1 && p[0] == '\n')
        return 1;
    if (n >= 2 && p[0] == '\r' && p[1] == '\n')
        return 2;
    for (size_t i = *scan; i < n;) {
        const char *lf = memchr(p + i, '\n', n - i);
        if (!lf)
            break;
        size_t at = (size_t)(lf - p);
        if (at + 1 < n && p[at + 1] == '\n')
            return at + 2;
        if (at + 2 < n && p[at + 1] == '\r' && p[at + 2] == '\n')
            return at + 3;
        if (at + 2 >= n) { /* the next bytes decide */
            *scan = at;
            return 0;
        }
        i = at + 1;
    }
    *scan = n;
    return 0;
}

static bool is_token(const char *s)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    if (!*s)
        return false;
    for (; *s; s++) {
        char c = *s;
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && !strchr(marks, c))
            return false;
    }
    return true;
}

/* Text of a header value or reason: no control characters but tab. */
static bool is_text(const char *s)
{
    for (; *s; s++)
        if (((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7f)
            return false;
    return true;
}

static bool is_target(const char *s)
{
    if (!*s)
        return false;
    for (; *s; s++)
        if ((unsigned char)*s <= 0x20 || *s == 0x7f)
            return false;
    return true;
}

static char *trim(char *s)
{
    while (*s == ' ' || *s == '\t')
        s++;
    size_t n = strlen(s);
    while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
        s[--n] = '\0';
    return s;
}

/* Cut the next line off *@p; NULL at the end. The text is NUL-terminated and holds no other NUL. */
static char *next_line(char **p)
{
    char *line = *p, *lf = strchr(line, '\n');

    if (!lf)
        return NULL;
    *p = lf + 1;
    *lf = '\0';
    if (lf > line && lf[-1] == '\r')
        lf[-1] = '\0';
    return line;
}

static int parse_field(char *line, struct arena *a, struct h1_head *h, struct err *err)
{
    char *colon = strchr(line, ':');

    if (!colon)
        return err_invalid(err, "malformed header line");
    *colon = '\0';
    if (!is_token(line)) /* also folded lines and blanks before the colon */
        return err_invalid(err, "malformed header name");
    char *val = trim(colon + 1);
    if (!is_text(val))
        return err_invalid(err, "malformed value of header %s", line);
    if (h->headers.n == H1_HEADERS_MAX)
        return err_as(err, ERR_INVALID, E2BIG, "more than %d headers", H1_HEADERS_MAX);
    arena_push(a, h->headers) = (struct h1_field){line, val};
    return 0;
}

static int parse_fields(char *p, struct arena *a, struct h1_head *h, struct err *err)
{
    char *line;

    while ((line = next_line(&p)) && *line) {
        int r = parse_field(line, a, h, err);
        if (r < 0)
            return r;
    }
    return line ? 0 : err_invalid(err, "truncated message head");
}

const char *h1_header(const struct h1_head *h, const char *name)
{
    for (size_t i = 0; i < h->headers.n; i++)
        if (strcasecmp(h->headers.v[i].name, name) == 0)
            return h->headers.v[i].val;
    return NULL;
}

static size_t count(const struct h1_head *h, const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < h->headers.n; i++)
        n += strcasecmp(h->headers.v[i].name, name) == 0;
    return n;
}

bool h1_token_in(const char *list, const char *token)
{
    size_t n = strlen(token);

    for (const char *p = list; p && *p; p += *p == ',') {
        p += strspn(p, " \t,");
        size_t len = strcspn(p, ",");
        size_t word = len;
        while (word > 0 && (p[word - 1] == ' ' || p[word - 1] == '\t'))
            word--;
        if (word == n && strncasecmp(p, token, n) == 0)
            return true;
        p += len;
    }
    return false;
}

static bool connection_has(const struct h1_head *h, const char *token)
{
    for (size_t i = 0; i < h->headers.n; i++)
        if (strcasecmp(h->headers.v[i].name, "Connection") == 0 &&
            h1_token_in(h->headers.v[i].val, token))
            return true;
    return false;
}

static int parse_length(const char *s, int64_t *ret, struct err *err)
{
    uint64_t v;

    if (str_to_u64(s, &v) < 0 || v > INT64_MAX)
        return err_invalid(err, "bad Content-Length \"%s\"", s);
    *ret = (int64_t)v;
    return 0;
}

/* Where the body ends. @none is the length when no header tells. */
static int parse_framing(struct h1_head *h, int64_t none, struct err *err)
{
    const char *te = h1_header(h, "Transfer-Encoding"), *cl = h1_header(h, "Content-Length");

    h->upgrade = connection_has(h, "upgrade");
    h->keep_alive = h->minor >= 1 ? !connection_has(h, "close") : connection_has(h, "keep-alive");
    h->length = none;
    if (te && cl)
        return err_invalid(err, "both Transfer-Encoding and Content-Length given");
    if (count(h, "Transfer-Encoding") > 1 || count(h, "Content-Length") > 1)
        return err_invalid(err, "repeated body length");
    if (cl)
        return parse_length(cl, &h->length, err);
    if (!te)
        return 0;
    if (h->minor < 1)
        return err_invalid(err, "Transfer-Encoding in an HTTP/1.0 message");
    if (strcasecmp(te, "chunked") != 0)
        return err_as(err, ERR_NOT_IMPLEMENTED, EPROTONOSUPPORT, "unsupported transfer encoding");
    h->length = H1_LENGTH_CHUNKED;
    return 0;
}

static int parse_version(const char *s, struct h1_head *h, struct err *err)
{
    if (str_eq(s, "HTTP/1.1"))
        h->minor = 1;
    else if (str_eq(s, "HTTP/1.0"))
        h->minor = 0;
    else if (str_starts(s, "HTTP/"))
        return err_as(err, ERR_NOT_IMPLEMENTED, EPROTONOSUPPORT, "unsupported protocol version");
    else
        return err_invalid(err, "malformed HTTP version");
    return 0;
}

static int copy_text(const char *text, size_t n, struct arena *a, char **ret, struct err *err)
{
    if (n > H1_HEAD_MAX)
        return err_as(err, ERR_INVALID, E2BIG, "message head too large");
    if (memchr(text, '\0', n))
        return err_invalid(err, "NUL byte in message head");
    *ret = arena_strndup(a, text, n);
    return 0;
}

/* "http://host/path" names the same as "/path". */
static const char *origin_form(const char *target)
{
    const char *rest = str_starts(target, "http://");

    rest = rest ? rest : str_starts(target, "https://");
    if (!rest)
        return target;
    const char *path = strchr(rest, '/');
    return path ? path : "/";
}

static int parse_request_line(char *line, struct h1_head *h, struct err *err)
{
    char *target = strchr(line, ' ');
    char *version = target ? strchr(target + 1, ' ') : NULL;

    if (!version)
        return err_invalid(err, "malformed request line");
    *target++ = '\0';
    *version++ = '\0';
    int r = parse_version(version, h, err);
    if (r < 0)
        return r;
    if (!is_token(line) || !is_target(target))
        return err_invalid(err, "malformed request line");
    h->method = line;
    h->target = origin_form(target);
    return 0;
}

int h1_parse_request(const char *text, size_t n, struct arena *a, struct h1_head *ret,
                     struct err *err)
{
    struct h1_head h = {0};
    char *p = NULL;
    int r = copy_text(text, n, a, &p, err);

    if (r < 0)
        return r;
    char *line = next_line(&p);
    if (!line)
        return err_invalid(err, "truncated message head");
    if ((r = parse_request_line(line, &h, err)) < 0 || (r = parse_fields(p, a, &h, err)) < 0 ||
        (r = parse_framing(&h, 0, err)) < 0)
        return r;
    size_t hosts = count(&h, "Host");
    if (hosts > 1 || (hosts == 0 && h.minor >= 1))
        return err_invalid(err, hosts ? "too many Host headers" : "missing required Host header");
    h.expect = h.minor >= 1 && h1_token_in(h1_header(&h, "Expect"), "100-continue");
    *ret = h;
    return 0;
}

static int parse_status_line(char *line, struct h1_head *h, struct err *err)
{
    char *code = strchr(line, ' ');

    if (!code)
        return err_invalid(err, "malformed status line");
    *code++ = '\0';
    int r = parse_version(line, h, err);
    if (r < 0)
        return r;
    char *reason = code + strcspn(code, " ");
    if (*reason)
        *reason++ = '\0';
    uint64_t status;
    if (strlen(code) != 3 || str_to_u64(code, &status) < 0 || status < 100 || !is_text(reason))
        return err_invalid(err, "malformed status line");
    h->status = (int)status;
    h->reason = reason;
    return 0;
}

int h1_parse_response(const char *text, size_t n, const char *request, struct arena *a,
                      struct h1_head *ret, struct err *err)
{
    struct h1_head h = {0};
    char *p = NULL;
    int r = copy_text(text, n, a, &p, err);

    if (r < 0)
        return r;
    char *line = next_line(&p);
    if (!line)
        return err_invalid(err, "truncated message head");
    if ((r = parse_status_line(line, &h, err)) < 0 || (r = parse_fields(p, a, &h, err)) < 0 ||
        (r = parse_framing(&h, H1_LENGTH_TO_END, err)) < 0)
        return r;
    bool none = h.status < 200 || h.status == 204 || h.status == 304 || str_eq(request, "HEAD");
    if (none)
        h.length = 0;
    if (h.length == H1_LENGTH_TO_END)
        h.keep_alive = false;
    *ret = h;
    return 0;
}
