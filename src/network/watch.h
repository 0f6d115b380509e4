/*
 * An eye on what others do to our links and our packet filter: somebody deletes or renames a
 * bridge, takes it down, flushes the ruleset, puts a rule into our table. It only tells that
 * something happened; finding out what and mending it is the caller's work, with network_heal() and
 * net_host_sync().
 */
#pragma once

#include "base/err.h"

struct loop;
struct net_host;
struct net_watch;

/**
 * net_watch_new() - listen to the kernel's notifications
 * @changed: called on the loop's thread, a moment after the last of a burst of changes; must not
 *   block
 */
int net_watch_new(struct loop *loop, struct net_host *h, void (*changed)(void *arg), void *arg,
                  struct net_watch **ret, struct err *err) MUST;
void net_watch_free(struct net_watch *w);
