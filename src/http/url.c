#include "http/url.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "http/query.h"

static int check_text(const char *text, struct err *err)
{
    size_t n = strnlen(text, URL_MAX + 1);

    if (n > URL_MAX)
        return err_invalid(err, "URL longer than %d bytes", URL_MAX);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
            return err_invalid(err, "invalid character in URL");
    return 0;
}

/* Names, addresses, and what stands between brackets. */
static bool valid_host(const char *s, size_t n, bool brackets)
{
    for (size_t i = 0; i < n; i++) {
        bool ok = isalnum((unsigned char)s[i]) || s[i] == '-' || s[i] == '.' || s[i] == '_';
        if (!ok && !(brackets && (s[i] == ':' || s[i] == '%')))
            return false;
    }
    return n > 0 && n < sizeof(((struct url *)0)->host);
}

static int parse_port(const char *s, size_t n, uint16_t *ret)
{
    unsigned v = 0;

    if (n == 0 || n > 5)
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (!isdigit((unsigned char)s[i]))
            return -EINVAL;
        v = v * 10 + (unsigned)(s[i] - '0');
    }
    if (v == 0 || v > 65535)
        return -EINVAL;
    *ret = (uint16_t)v;
    return 0;
}

/* "host:port" of @n bytes. */
static int parse_authority(const char *s, size_t n, struct url *u, struct err *err)
{
    bool brackets = n > 0 && *s == '[';
    const char *close = brackets ? memchr(s, ']', n) : NULL;
    const char *colon = brackets ? NULL : memchr(s, ':', n);

    if (brackets && !close)
        return err_invalid(err, "invalid host in URL");
    if (brackets && close + 1 < s + n)
        colon = close + 1;
    const char *host = s + brackets;
    size_t len = (size_t)((brackets ? close : colon ? colon : s + n) - host);
    if (!valid_host(host, len, brackets) || (colon && *colon != ':'))
        return err_invalid(err, "invalid host in URL");
    for (size_t i = 0; i < len; i++)
        u->host[i] = (char)tolower((unsigned char)host[i]);
    u->host[len] = '\0';
    if (colon && parse_port(colon + 1, (size_t)(s + n - colon - 1), &u->port) < 0)
        return err_invalid(err, "invalid port in URL");
    return 0;
}

/* Path and query without the fragment; "" is "/". */
static const char *target_of(const char *s, struct arena *a)
{
    size_t n = strcspn(s, "#");

    return arena_printf(a, "%s%.*s", *s == '/' ? "" : "/", (int)n, s);
}

static int parse_behind_scheme(const char *s, struct arena *a, struct url *u, struct err *err)
{
    size_t n = strcspn(s, "/?#");
    const char *at = memchr(s, '@', n);

    for (const char *p = at; p && (p = memchr(p + 1, '@', n - (size_t)(p + 1 - s)));)
        at = p;
    if (at) {
        char *user = NULL;
        int r = query_unescape(s, (size_t)(at - s), false, a, &user, err);
        if (r < 0)
            return r;
        u->user = user;
    }
    const char *host = at ? at + 1 : s;
    u->port = u->https ? 443 : 80;
    u->target = target_of(s + n, a);
    return parse_authority(host, n - (size_t)(host - s), u, err);
}

int url_parse(const char *text, struct arena *a, struct url *ret, struct err *err)
{
    struct url u = {0};
    int r = check_text(text, err);

    if (r < 0)
        return r;
    u.https = strncasecmp(text, "https://", 8) == 0;
    if (!u.https && strncasecmp(text, "http://", 7) != 0)
        return err_invalid(err, "no http or https URL: \"%.100s\"", text);
    r = parse_behind_scheme(text + (u.https ? 8 : 7), a, &u, err);
    if (r < 0)
        return err_wrap(err, r, "\"%.100s\"", text);
    *ret = u;
    return 0;
}

int url_resolve(const struct url *base, const char *location, struct arena *a, struct url *ret,
                struct err *err)
{
    struct url u = *base;
    int r = check_text(location, err);

    if (r < 0)
        return r;
    if (strncasecmp(location, "http://", 7) == 0 || strncasecmp(location, "https://", 8) == 0)
        return url_parse(location, a, ret, err);
    if (strncmp(location, "//", 2) == 0)
        return url_parse(arena_printf(a, "http%s:%s", base->https ? "s" : "", location), a, ret,
                         err);
    size_t scheme = strcspn(location, ":/?#");
    if (location[scheme] == ':')
        return err_invalid(err, "no http or https URL: \"%.100s\"", location);
    size_t path = strcspn(base->target, "?");
    if (*location == '?') {
        u.target = arena_printf(a, "%.*s%s", (int)path, base->target, location);
    } else if (*location == '/') {
        u.target = target_of(location, a);
    } else if (*location) {
        while (path > 0 && base->target[path - 1] != '/')
            path--;
        u.target = arena_printf(a, "%.*s%s", (int)path, base->target, location);
    }
    *ret = u;
    return 0;
}

bool url_same_origin(const struct url *a, const struct url *b)
{
    return a->https == b->https && a->port == b->port && strcmp(a->host, b->host) == 0;
}

char *url_host(const struct url *u, struct arena *a)
{
    bool v6 = strchr(u->host, ':');
    const char *open = v6 ? "[" : "", *close = v6 ? "]" : "";

    if (u->port == (u->https ? 443 : 80))
        return arena_printf(a, "%s%s%s", open, u->host, close);
    return arena_printf(a, "%s%s%s:%u", open, u->host, close, u->port);
}

char *url_text(const struct url *u, struct arena *a)
{
    return arena_printf(a, "http%s://%s%s", u->https ? "s" : "", url_host(u, a), u->target);
}
