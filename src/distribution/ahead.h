/*
 * The rest of a blob by several connections at once, for registries (or ways to them) that limit
 * each connection. Threads fetch pieces by Range into a ring in a file, the reader takes them in
 * order while they come in. Whatever goes wrong ends it: the reader then goes on by itself from
 * where it is. What comes is proven by nobody here.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>
#include <sys/types.h>

struct ahead;
struct dist_session;

struct ahead_opts {
    struct dist_session *s;
    const char *path; /* of the blob, as in struct dist_call */
    struct strv scopes;
    uint64_t from, size; /* fetch bytes @from up to the blob's @size */
    int fd;              /* of an empty file, for AHEAD_RING bytes; must outlive it */
};

#define AHEAD_PIECE (4u << 20)
#define AHEAD_PIECES 8 /* in the ring */
#define AHEAD_RING (AHEAD_PIECES * AHEAD_PIECE)

/** ahead_start() - what @o points to must outlive it. */
int ahead_start(const struct ahead_opts *o, struct ahead **ret, struct err *err) MUST;
/**
 * ahead_read() - the next bytes; blocks; one thread
 * Return: bytes > 0; -errno: it is over, but the bytes so far were good as far as it knows.
 *   -EBADMSG: the registry sent something else than the range; -ECANCELED.
 */
ssize_t ahead_read(struct ahead *a, void *p, size_t n, struct err *err) MUST;
/** ahead_free() - cuts its connections. NULL is fine. */
void ahead_free(struct ahead *a);
