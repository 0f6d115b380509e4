/* Requests of rtnetlink, as rtnl.c builds them and rtnl_link.c, rtnl_addr.c fill them. */
#pragma once

#include "kern/rtnl.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/types.h>

#define RTNL_MSG_MAX 1024

/* A request under construction. Overflow is impossible for what these files build: names are
 * IFNAMSIZ, addresses 16 bytes; rtnl_put() traps it all the same. */
struct rtnl_req {
    union {
        struct nlmsghdr h;
        char space[RTNL_MSG_MAX];
    };
};

/** rtnl_begin() - a request of @type with @body bytes of zeroed header. Return: that header. */
void *rtnl_begin(struct rtnl_req *q, uint16_t type, uint16_t flags, size_t body);
void *rtnl_put(struct rtnl_req *q, size_t n);
void rtnl_attr(struct rtnl_req *q, uint16_t type, const void *data, size_t n);
void rtnl_attr_u32(struct rtnl_req *q, uint16_t type, uint32_t v);
void rtnl_attr_str(struct rtnl_req *q, uint16_t type, const char *s);
struct rtattr *rtnl_nest(struct rtnl_req *q, uint16_t type);
void rtnl_nest_end(struct rtnl_req *q, struct rtattr *a);
/** rtnl_ack() - send with NLM_F_ACK. Return: the kernel's verdict; errors read "WHAT NAME: ...". */
int rtnl_ack(int nl, struct rtnl_req *q, struct err *err, const char *what, const char *name) MUST;
ssize_t rtnl_receive(int nl, void *p, size_t n) MUST;
