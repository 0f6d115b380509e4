#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli/specs.h"

/* Ports; go-connections' rules and words. */

struct range {
    unsigned first, last;
};

static int parse_port(const char *s, size_t n, unsigned *ret)
{
    uint64_t v = 0;

    if (n == 0 || n > 5)
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -EINVAL;
        v = v * 10 + (uint64_t)(s[i] - '0');
    }
    if (v > 65535)
        return -EINVAL;
    *ret = (unsigned)v;
    return 0;
}

/* "80" or "80-90". */
static int parse_range(const char *s, struct range *ret)
{
    const char *dash = strchr(s, '-');
    size_t n = dash ? (size_t)(dash - s) : strlen(s);
    struct range r;

    if (parse_port(s, n, &r.first) < 0)
        return -EINVAL;
    r.last = r.first;
    if (dash && parse_port(dash + 1, strlen(dash + 1), &r.last) < 0)
        return -EINVAL;
    if (r.last < r.first)
        return -EINVAL;
    *ret = r;
    return 0;
}

static int split_proto(const char *s, struct arena *a, char **ret_rest, char **ret_proto,
                       struct err *err)
{
    const char *slash = strrchr(s, '/');
    char *proto = arena_strdup(a, slash && slash[1] ? slash + 1 : "tcp");

    for (char *p = proto; *p; p++)
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
    if (!str_eq(proto, "tcp") && !str_eq(proto, "udp") && !str_eq(proto, "sctp"))
        return err_invalid(err, "invalid proto: %s", slash ? slash + 1 : "");
    *ret_rest = slash ? arena_strndup(a, s, (size_t)(slash - s)) : arena_strdup(a, s);
    *ret_proto = proto;
    return 0;
}

static void expose(struct strv *exposed, struct arena *a, const char *port)
{
    if (!strv_has(exposed, port))
        strv_push(a, exposed, port);
}

int spec_expose(const char *s, struct arena *a, struct strv *exposed, struct err *err)
{
    char *rest = NULL, *proto = NULL;
    struct range r;
    int e = strchr(s, ':') ? err_invalid(err, "invalid port format for --expose: %s", s)
                           : split_proto(s, a, &rest, &proto, err);

    if (e < 0)
        return e;
    if (parse_range(rest, &r) < 0)
        return err_invalid(err, "invalid range format for --expose: %s", s);
    for (unsigned p = r.first; p <= r.last; p++)
        expose(exposed, a, arena_printf(a, "%u/%s", p, proto));
    return 0;
}

static bool valid_ip(const char *s)
{
    unsigned char bin[16];

    return inet_pton(AF_INET, s, bin) == 1 || inet_pton(AF_INET6, s, bin) == 1;
}

struct parts {
    char *ip, *host, *container, *proto;
};

/* From the right: container, host port, address. */
static int split_parts(const char *s, struct arena *a, struct parts *p, struct err *err)
{
    char *rest = NULL;
    int r = split_proto(s, a, &rest, &p->proto, err);

    if (r < 0)
        return r;
    p->ip = p->host = arena_strdup(a, "");
    char *colon = strrchr(rest, ':');
    p->container = colon ? colon + 1 : rest;
    if (!colon)
        return 0;
    *colon = '\0';
    char *second = *rest == '[' ? strstr(rest, "]:") : strrchr(rest, ':');
    if (!second) {
        p->host = rest;
        return 0;
    }
    second += *second == ']';
    p->host = second + 1;
    *second = '\0';
    p->ip = rest;
    size_t n = strlen(rest);
    if (*rest == '[' && n > 1 && rest[n - 1] == ']') {
        rest[n - 1] = '\0';
        p->ip = rest + 1;
    }
    return 0;
}

/* "target=80,published=8080,protocol=udp" as "8080:80/udp". */
static int long_form(const char *s, struct arena *a, char **ret, struct err *err)
{
    struct strv fields = str_split(a, s, ',');
    const char *target = NULL, *published = "", *proto = "tcp", *v;

    for (size_t i = 0; i < fields.n; i++) {
        if ((v = str_starts(fields.v[i], "target=")))
            target = v;
        else if ((v = str_starts(fields.v[i], "published=")))
            published = v;
        else if ((v = str_starts(fields.v[i], "protocol=")))
            proto = v;
        else if (!str_starts(fields.v[i], "mode="))
            return err_invalid(err, "invalid field %s", fields.v[i]);
    }
    if (str_empty(target))
        return err_invalid(err, "missing mandatory field 'target'");
    *ret = arena_printf(a, "%s:%s/%s", published, target, proto);
    return 0;
}

int spec_publish(const char *s, struct arena *a, port_map *bindings, struct strv *exposed,
                 struct err *err)
{
    struct parts p = {0};
    struct range c, h = {0, 0};
    char *text = NULL;
    int r = strchr(s, '=') ? long_form(s, a, &text, err) : 0;

    if (r < 0 || (r = split_parts(text ? text : s, a, &p, err)) < 0)
        return r;
    if (*p.ip && !valid_ip(p.ip))
        return err_invalid(err, "invalid IP address: %s", p.ip);
    if (!*p.container)
        return err_invalid(err, "no port specified: %s<empty>", s);
    if (parse_range(p.container, &c) < 0)
        return err_invalid(err, "invalid containerPort: %s", p.container);
    if (*p.host && parse_range(p.host, &h) < 0)
        return err_invalid(err, "invalid hostPort: %s", p.host);
    unsigned nc = c.last - c.first, nh = h.last - h.first;
    if (*p.host && nc != nh && nc != 0)
        return err_invalid(err, "invalid ranges specified for container and host Ports: %s and %s",
                           p.container, p.host);
    for (unsigned i = 0; i <= nc; i++) {
        const char *port = arena_printf(a, "%u/%s", c.first + i, p.proto);
        const char *host = !*p.host ? "" : nc != nh ? p.host : arena_printf(a, "%u", h.first + i);
        expose(exposed, a, port);
        port_map_add(bindings, a, port, p.ip, host);
    }
    return 0;
}
