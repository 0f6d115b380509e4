#include "network/ports.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/mem.h"

/* Docker's range for ports that nobody named; the kernel's own ephemeral range. */
#define PORT_FIRST 32768
#define PORT_LAST 60999

#define HOST_TEXT (INET6_ADDRSTRLEN + 2)

struct held {
    struct publish p;
    char *owner; /* heap */
};

struct port_table {
    pthread_mutex_t lock;
    uint16_t next; /* the one to try for who names none */
    struct held *v;
    size_t n, room;
};

struct port_table *ports_new(void)
{
    struct port_table *t = xnew(struct port_table);

    (void)pthread_mutex_init(&t->lock, NULL);
    t->next = PORT_FIRST;
    return t;
}

void ports_free(struct port_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n; i++)
        free(t->v[i].owner);
    free(t->v);
    (void)pthread_mutex_destroy(&t->lock);
    free(t);
}

bool ports_have_ipv6(void)
{
    struct sockaddr_in6 addr = {.sin6_family = AF_INET6};
    auto_close int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;
}

/* ---- one socket ---- */

static socklen_t fill_address(const struct publish *p, uint16_t port, struct sockaddr_storage *ret)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

    memset(ret, 0, sizeof(*ret));
    if (p->host.family == AF_INET6) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        memcpy(&v6->sin6_addr, p->host.addr, 16);
        return sizeof(*v6);
    }
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    memcpy(&v4->sin_addr, p->host.addr, 4);
    return sizeof(*v4);
}

/* TCP also listens, so that `ss` shows it. Return: fd; -ENOTSUP: no such protocol in this kernel,
 * and the packet filter's map works all the same. */
static int bind_port(const struct publish *p, uint16_t port)
{
    bool stream = strcmp(p->proto, "udp") != 0;
    int protocol = strcmp(p->proto, "sctp") == 0 ? IPPROTO_SCTP : 0, on = 1;
    struct sockaddr_storage addr;
    socklen_t len = fill_address(p, port, &addr);
    auto_close int fd =
        socket(addr.ss_family, (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, protocol);

    if (fd < 0)
        return errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT ? -ENOTSUP : -errno;
    if (addr.ss_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
        return -errno;
    /* Connections that the proxy has closed linger in TIME_WAIT; who listens is in the way still.
     */
    if (stream && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&addr, len) < 0 || (stream && listen(fd, 128) < 0))
        return -errno;
    return take_fd(&fd);
}

/* ---- who has it ---- */

static bool same_port(const struct publish *a, const struct publish *b)
{
    bool hosts = ip_same(&a->host, &b->host) || ip_is_any(&a->host) || ip_is_any(&b->host);
    bool family = (a->host.family == AF_INET6) == (b->host.family == AF_INET6);

    return hosts && family && a->host_port == b->host_port && strcmp(a->proto, b->proto) == 0;
}

/* lock held */
static struct held *find_held(struct port_table *t, const struct publish *p)
{
    for (size_t i = 0; i < t->n; i++)
        if (same_port(&t->v[i].p, p))
            return &t->v[i];
    return NULL;
}

static bool is_held(struct port_table *t, const struct publish *p, uint16_t port)
{
    struct publish at = *p;

    at.host_port = port;
    (void)pthread_mutex_lock(&t->lock);
    bool held = find_held(t, &at) != NULL;
    (void)pthread_mutex_unlock(&t->lock);
    return held;
}

/* "0.0.0.0", "[::]": as in front of a port. @text: HOST_TEXT bytes. */
static const char *shown_host(const struct publish *p, char *text)
{
    static const struct ip any = {.family = AF_INET};
    char addr[INET6_ADDRSTRLEN];

    (void)snprintf(text, HOST_TEXT, p->host.family == AF_INET6 ? "[%s]" : "%s",
                   ip_format(p->host.family ? &p->host : &any, addr));
    return text;
}

static int in_use(struct port_table *t, const struct publish *bad, uint16_t port, struct err *err)
{
    char host[HOST_TEXT], holder[64] = "";
    struct publish p = *bad;

    p.host_port = port;
    (void)pthread_mutex_lock(&t->lock);
    const struct held *h = find_held(t, &p);
    auto_free char *owner = h ? xstrdup(h->owner) : NULL;
    (void)pthread_mutex_unlock(&t->lock);
    if (owner)
        return err_as(err, ERR_SYSTEM, EADDRINUSE,
                      "Bind for %s:%u failed: port is already allocated (by container %s)",
                      shown_host(&p, host), port, owner);
    port_holder(&p, holder, sizeof(holder));
    return err_as(err, ERR_SYSTEM, EADDRINUSE,
                  "failed to bind host port for %s:%u/%s: address already in use%s%s%s",
                  shown_host(&p, host), port, p.proto, *holder ? " (by " : "", holder,
                  *holder ? ")" : "");
}

/* ---- reserving ---- */

/* @v and the twins behind it, at one port. Return: 0, or -errno with *ret_bad the one at fault. */
static int bind_group(struct port_table *t, struct publish *v, size_t n, uint16_t port,
                      const struct publish **ret_bad)
{
    for (size_t i = 0; i < n; i++) {
        int fd = bind_port(&v[i], port);
        if (fd == -ENOTSUP && is_held(t, &v[i], port)) /* no socket tells */
            fd = -EADDRINUSE;
        if (fd < 0 && fd != -ENOTSUP) {
            *ret_bad = &v[i];
            while (i-- > 0)
                close_fd(&v[i].reserved);
            return fd;
        }
        v[i].reserved = fd == -ENOTSUP ? -1 : fd;
    }
    for (size_t i = 0; i < n; i++)
        v[i].host_port = port;
    return 0;
}

static uint16_t next_port(struct port_table *t)
{
    (void)pthread_mutex_lock(&t->lock);
    uint16_t port = t->next++;
    if (t->next > PORT_LAST)
        t->next = PORT_FIRST;
    (void)pthread_mutex_unlock(&t->lock);
    return port;
}

static int reserve_any(struct port_table *t, struct publish *v, size_t n, struct err *err)
{
    const struct publish *bad;
    int r = -EADDRINUSE;

    for (int tries = PORT_FIRST; r == -EADDRINUSE && tries <= PORT_LAST; tries++)
        r = bind_group(t, v, n, next_port(t), &bad);
    return r < 0 ? err_no(err, r, "failed to bind a host port for %u/%s", v->port, v->proto) : 0;
}

static int reserve_group(struct port_table *t, struct publish *v, size_t n, struct err *err)
{
    char host[HOST_TEXT];
    uint16_t first = v->host_port, last = v->host_port_last > first ? v->host_port_last : first;
    const struct publish *bad = v;
    int r = -EADDRINUSE;

    if (first == 0)
        return reserve_any(t, v, n, err);
    for (uint32_t port = first; r == -EADDRINUSE && port <= last; port++)
        r = bind_group(t, v, n, (uint16_t)port, &bad);
    if (r == -EADDRINUSE && last > first)
        return err_as(err, ERR_SYSTEM, EADDRINUSE,
                      "Bind for %s:%u-%u failed: all ports are allocated", shown_host(v, host),
                      first, last);
    if (r == -EADDRINUSE)
        return in_use(t, bad, first, err);
    if (r < 0)
        return err_no(err, r, "failed to bind host port for %s:%u/%s", shown_host(bad, host), first,
                      v->proto);
    return 0;
}

static void hold(struct port_table *t, const struct publish *v, size_t n, const char *owner)
{
    (void)pthread_mutex_lock(&t->lock);
    if (t->n + n > t->room) {
        t->room = (t->n + n) * 2;
        t->v = xrealloc(t->v, t->room * sizeof(*t->v));
    }
    for (size_t i = 0; i < n; i++)
        t->v[t->n++] = (struct held){v[i], xstrdup(owner)};
    (void)pthread_mutex_unlock(&t->lock);
}

static size_t group_size(const struct publish *v, size_t n)
{
    size_t k = 1;

    while (k < n && v[k].twin)
        k++;
    return k;
}

int ports_reserve(struct port_table *t, struct publish *v, size_t n, const char *owner,
                  struct err *err)
{
    for (size_t i = 0; i < n; i++)
        v[i].reserved = -1;
    for (size_t i = 0, group; i < n; i += group) {
        group = group_size(v + i, n - i);
        int r = reserve_group(t, v + i, group, err);
        if (r < 0) {
            ports_release(t, v, i);
            return r;
        }
        hold(t, v + i, group, owner); /* at once: the next one may ask for the same */
    }
    return 0;
}

void ports_release(struct port_table *t, struct publish *v, size_t n)
{
    (void)pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < n; i++) {
        struct held *h = find_held(t, &v[i]);
        if (!h)
            continue;
        free(h->owner);
        *h = t->v[--t->n];
    }
    (void)pthread_mutex_unlock(&t->lock);
    for (size_t i = 0; i < n; i++)
        close_fd(&v[i].reserved);
}
