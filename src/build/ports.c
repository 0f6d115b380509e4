#include "build/ports-priv.h"

#include <arpa/inet.h>
#include <strings.h>

#define PORT_MAX 65535

/* "80" or "8000-8010" */
static int range(struct arena *a, const char *text, uint16_t *ret_from, uint16_t *ret_to)
{
    struct strv v = str_split(a, text, '-');
    uint64_t from = 0, to = 0;

    if (v.n > 2 || str_to_u64(v.v[0], &from) < 0 || str_to_u64(v.v[v.n - 1], &to) < 0 ||
        from == 0 || to < from || to > PORT_MAX)
        return -EINVAL;
    *ret_from = (uint16_t)from;
    *ret_to = (uint16_t)to;
    return 0;
}

static int check_ip(struct arena *a, const char *ip, struct err *err)
{
    struct in6_addr addr;
    size_t n = strlen(ip);
    const char *bare = *ip == '[' && ip[n - 1] == ']' ? arena_strndup(a, ip + 1, n - 2) : ip;

    if (*ip && inet_pton(AF_INET, bare, &addr) != 1 && inet_pton(AF_INET6, bare, &addr) != 1)
        return err_invalid(err, "invalid IP address: %s", ip);
    return 0;
}

/* "[ip:]host:" in front of the container's port. */
static int take_host(struct arena *a, char *text, struct port_spec *s, struct err *err)
{
    char *colon = strrchr(text, ':');
    uint16_t from, to;

    s->ports = text;
    s->ip = s->host = arena_strdup(a, "");
    if (!colon)
        return 0;
    *colon = '\0';
    s->ports = colon + 1;
    s->host = text;
    colon = strrchr(text, ':');
    if (colon) {
        *colon = '\0';
        s->host = colon + 1;
        s->ip = text;
    }
    if (*s->host && range(a, s->host, &from, &to) < 0)
        return err_invalid(err, "invalid hostPort: %s", s->host);
    return check_ip(a, s->ip, err);
}

int port_spec_parse(const char *text, struct arena *a, struct port_spec *ret, struct err *err)
{
    char *ports = arena_strdup(a, text), *slash = strchr(ports, '/');
    struct port_spec s = {.proto = arena_strdup(a, "tcp")};

    if (slash) {
        *slash = '\0';
        if (slash[1])
            s.proto = slash + 1;
    }
    if (strcasecmp(s.proto, "tcp") != 0 && strcasecmp(s.proto, "udp") != 0 &&
        strcasecmp(s.proto, "sctp") != 0)
        return err_invalid(err, "invalid proto: %s", s.proto);
    int r = take_host(a, ports, &s, err);
    if (r < 0)
        return r;
    if (!*s.ports)
        return err_invalid(err, "no port specified: %s<empty>", text);
    if (range(a, s.ports, &s.from, &s.to) < 0)
        return err_invalid(err, "invalid containerPort: %s", s.ports);
    *ret = s;
    return 0;
}
