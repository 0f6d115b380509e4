/*
 * Events: what happened to containers, images and networks. The last EVENTS_KEPT are kept for
 * "since"; a subscriber has a position in that ring and an eventfd, so publishing never waits for
 * anybody. One that falls EVENTS_KEPT behind loses the oldest.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "wire/filters.h"
#include "wire/system.h"

struct events;
struct events_sub;

#define EVENTS_KEPT 256

struct events *events_new(void);
void events_free(struct events *ev);
/** events_count() - subscribers there are (NEventsListener of /info). */
int events_count(struct events *ev);

/**
 * events_put() - publish; @attributes is copied
 * @type: "container", "image", "network", ...; @action: "start", "exec_create: sh" ...
 */
void events_put(struct events *ev, const char *type, const char *action, const char *id,
                const struct strmap *attributes);

/**
 * events_subscribe() - begin at @since_ns (0: only what comes from now on)
 * The subscriber's fd becomes readable when something new was published.
 */
struct events_sub *events_subscribe(struct events *ev, int64_t since_ns, struct err *err);
void events_unsubscribe(struct events_sub *sub);
int events_fd(const struct events_sub *sub);
/**
 * events_read() - append the events that came since the last call and match, a JSON object a line
 * @until_ns: leave out later ones; 0: none
 */
void events_read(struct events_sub *sub, const struct filters *f, int64_t until_ns,
                 struct buf *out);
