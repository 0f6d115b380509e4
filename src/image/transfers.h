/*
 * What goes on between this daemon and registries: how many blobs at once, and which, so that two
 * pulls that want the same layer fetch it once. Also the events that pull and push tell of.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct transfers;

enum transfer_kind { TRANSFER_DOWN, TRANSFER_UP };

/** transfers_new() - @down, @up: how many at once, of the whole daemon; 0 counts as one. */
struct transfers *transfers_new(unsigned down, unsigned up);
void transfers_free(struct transfers *t); /* NULL is fine; none may be under way */

/**
 * transfer_begin() - wait until nobody else transfers @key, then for a free place
 * @key: of what shall not be transferred twice at a time: a blob's digest, and for uploads where to
 * @waiting: called once if it has to wait for a place; may be NULL
 * @gone_fd: give up when it hangs up; -1: never
 * Return: 0; -ECANCELED. The caller now looks again whether there still is something to do.
 */
int transfer_begin(struct transfers *t, enum transfer_kind kind, const char *key,
                   void (*waiting)(void *ctx), void *ctx, int gone_fd, struct err *err) MUST;
void transfer_end(struct transfers *t, enum transfer_kind kind, const char *key);

/* One thing to tell: Docker's words for the states of a layer. */
struct transfer_event {
    const char *id;     /* 12 digits of a blob, a tag, or NULL */
    const char *status; /* "Downloading", "Pull complete" ... */
    uint64_t current_b, total_b;
    bool detail;         /* with (maybe empty) progress detail: belongs to the bar of @id */
    const char *aux_tag; /* push, at its end: tag, digest and size instead of a status */
    const char *digest;
};
/* Never called by two threads at once. An error ends the transfer. */
typedef int (*transfer_tell)(void *ctx, const struct transfer_event *e, struct err *err);
