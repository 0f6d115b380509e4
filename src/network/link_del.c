/*
 * Deleting a link. The kernel answers only when it has given the link's memory back, for which it
 * waits for every processor to have passed a quiet state: 15 to 20 ms and more under load, in which
 * the link is gone already and said so to everybody who listens. So a thread asks and waits for the
 * answer, and the caller goes on when it has heard that the link is gone.
 */
#include "network/network-priv.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/thread.h"
#include "kern/rtnl.h"

#define STACK_B (64 * 1024)
#define PACKET_MAX 65536

/* Held by the caller and by the thread; the last one frees it. */
struct deletion {
    atomic_uint refs;
    int nl, answered; /* eventfd */
    char name[IFNAMSIZ];
    int r;
    struct err err;
};

static void deletion_put(struct deletion *d)
{
    if (atomic_fetch_sub(&d->refs, 1) > 1)
        return;
    close_fd(&d->nl);
    close_fd(&d->answered);
    free(d);
}

static void *ask(void *arg)
{
    struct deletion *d = arg;
    const uint64_t one = 1;

    d->r = rtnl_link_del(d->nl, d->name, &d->err);
    (void)!write(d->answered, &one, sizeof(one));
    deletion_put(d);
    return NULL;
}

static int start(struct deletion *d, struct err *err)
{
    atomic_fetch_add(&d->refs, 1);
    int r = thread_start(ask, d, STACK_B, NULL, "start a thread", err);
    if (r < 0) {
        deletion_put(d);
        return err_wrap(err, r, "delete link %s", d->name);
    }
    return 0;
}

static bool says_gone(const void *packet, size_t n, int index)
{
    for (const struct nlmsghdr *h = packet; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
        const struct ifinfomsg *link = NLMSG_DATA(h);
        if (h->nlmsg_type == RTM_DELLINK && h->nlmsg_len >= NLMSG_LENGTH(sizeof(*link)) &&
            link->ifi_family != AF_BRIDGE && link->ifi_index == index)
            return true;
    }
    return false;
}

/* What was lost among too many messages is heard from the thread's answer. */
static int wait_gone(struct deletion *d, int news, int index, struct err *err)
{
    struct pollfd fds[2] = {{.fd = d->answered, .events = POLLIN}, {.fd = news, .events = POLLIN}};
    auto_free char *packet = xmalloc(PACKET_MAX);

    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return err_sys(err, "delete link %s", d->name);
        if (fds[0].revents & POLLIN) {
            *err = d->err;
            return d->r;
        }
        ssize_t n = fds[1].revents ? recv(news, packet, PACKET_MAX, MSG_DONTWAIT) : 0;
        if (n > 0 && says_gone(packet, (size_t)n, index))
            return 0;
    }
}

static int ask_and_wait(struct deletion *d, int index, struct err *err)
{
    auto_close int news = netlink_listen(NETLINK_ROUTE, RTMGRP_LINK, err);
    int r = news < 0 ? news : start(d, err);

    return r < 0 ? r : wait_gone(d, news, index, err);
}

int net_link_del(const char *name, struct err *err)
{
    struct deletion *d = xnew(struct deletion);
    struct err missing = {0};

    atomic_init(&d->refs, 1);
    d->answered = eventfd(0, EFD_CLOEXEC);
    d->nl = rtnl_open(err);
    (void)strncpy(d->name, name, sizeof(d->name) - 1);
    int r = d->nl;
    if (r >= 0 && d->answered < 0)
        r = err_sys(err, "create eventfd");
    int index = r < 0 ? r : rtnl_link_index(d->nl, name, &missing);
    if (index > 0)
        r = ask_and_wait(d, index, err);
    else if (index < 0 && index != -ENODEV)
        r = r < 0 ? r : err_no(err, index, "delete link %s", name);
    deletion_put(d);
    return r < 0 ? r : 0;
}
