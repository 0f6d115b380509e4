/*
 * What goes on between this daemon and registries: how many blobs at once, and which, so that two
 * pulls that want the same layer fetch it once. Also the events that pull and push tell of.
 */
#pragma once

#include "base/err.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct oci_descriptor;
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
    bool detail; /* with (maybe empty) progress detail: belongs to the bar of @id */
    /* push, at its end: of the index @whole only the manifest @instead went */
    const struct oci_descriptor *whole, *instead;
    const char *aux_tag; /* push, at its end: tag, digest and size instead of a status */
    const char *digest;
};
/* Never called by two threads at once. An error ends the transfer. */
typedef int (*transfer_tell)(void *ctx, const struct transfer_event *e, struct err *err);

/*
 * How a pull or push of several threads goes: events are told one at a time, and the first error,
 * of any thread or of telling, is the whole's. The others stop when they see it.
 */
struct transfer_report {
    transfer_tell tell;
    void *ctx;
    pthread_mutex_t lock; /* telling, and the two below */
    int failed;
    struct err err;
};
void transfer_report_init(struct transfer_report *t, transfer_tell tell, void *ctx);
void transfer_report_done(struct transfer_report *t);
/** transfer_report_event() - Return: 0, or the error that it has failed with. */
int transfer_report_event(struct transfer_report *t, const struct transfer_event *e,
                          struct err *err) MUST;
void transfer_report_fail(struct transfer_report *t, int r, const struct err *err);
bool transfer_report_failed(struct transfer_report *t);
/** transfer_report_result() - when the threads have ended: 0, or the first error. */
int transfer_report_result(const struct transfer_report *t, struct err *err) MUST;
