#include "kern/rtnl-priv.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void *rtnl_put(struct rtnl_req *q, size_t n)
{
    char *p = q->space + NLMSG_ALIGN(q->h.nlmsg_len);

    if (p + n > q->space + RTNL_MSG_MAX)
        __builtin_trap();
    memset(p, 0, NLMSG_ALIGN(n));
    q->h.nlmsg_len = (uint32_t)(p - q->space) + (uint32_t)NLMSG_ALIGN(n);
    return p;
}

void rtnl_attr(struct rtnl_req *q, uint16_t type, const void *data, size_t n)
{
    struct rtattr *a = rtnl_put(q, RTA_LENGTH(n));

    a->rta_type = type;
    a->rta_len = (uint16_t)RTA_LENGTH(n);
    if (n)
        memcpy(RTA_DATA(a), data, n);
}

void rtnl_attr_u32(struct rtnl_req *q, uint16_t type, uint32_t v)
{
    rtnl_attr(q, type, &v, sizeof(v));
}

void rtnl_attr_str(struct rtnl_req *q, uint16_t type, const char *s)
{
    rtnl_attr(q, type, s, strlen(s) + 1);
}

struct rtattr *rtnl_nest(struct rtnl_req *q, uint16_t type)
{
    struct rtattr *a = rtnl_put(q, RTA_LENGTH(0));

    a->rta_type = type;
    return a;
}

void rtnl_nest_end(struct rtnl_req *q, struct rtattr *a)
{
    a->rta_len = (uint16_t)(q->space + q->h.nlmsg_len - (char *)a);
}

void *rtnl_begin(struct rtnl_req *q, uint16_t type, uint16_t flags, size_t body)
{
    memset(&q->h, 0, sizeof(q->h));
    q->h.nlmsg_len = NLMSG_HDRLEN;
    q->h.nlmsg_type = type;
    q->h.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    q->h.nlmsg_seq = 1;
    return rtnl_put(q, body);
}

int rtnl_open(struct err *err)
{
    struct sockaddr_nl addr = {.nl_family = AF_NETLINK};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (fd < 0)
        return err_sys(err, "open netlink socket");
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        int r = err_sys(err, "connect netlink socket");
        (void)close(fd);
        return r;
    }
    return fd;
}

int netlink_listen(int protocol, uint32_t groups, struct err *err)
{
    struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = groups};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

    if (fd < 0)
        return err_sys(err, "open netlink socket");
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        int r = err_sys(err, "bind netlink socket");
        (void)close(fd);
        return r;
    }
    return fd;
}

ssize_t rtnl_receive(int nl, void *p, size_t n)
{
    ssize_t got;

    do
        got = recv(nl, p, n, 0);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

/* Sends a request with NLM_F_ACK and returns the kernel's verdict. */
int rtnl_ack(int nl, struct rtnl_req *q, struct err *err, const char *what, const char *name)
{
    char answer[RTNL_MSG_MAX * 2] __attribute__((aligned(NLMSG_ALIGNTO)));
    const struct nlmsghdr *h = (const struct nlmsghdr *)answer;

    q->h.nlmsg_flags |= NLM_F_ACK;
    if (send(nl, q, q->h.nlmsg_len, MSG_NOSIGNAL) < 0)
        return err_sys(err, "%s %s", what, name);
    ssize_t got = rtnl_receive(nl, answer, sizeof(answer));
    if (got < 0)
        return err_no(err, (int)got, "%s %s", what, name);
    if ((size_t)got < NLMSG_LENGTH(sizeof(struct nlmsgerr)) || h->nlmsg_type != NLMSG_ERROR)
        return err_no(err, EPROTO, "%s %s", what, name);
    const struct nlmsgerr *e = NLMSG_DATA(h);
    return e->error == 0 ? 0 : err_no(err, e->error, "%s %s", what, name);
}
