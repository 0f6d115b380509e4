/*
 * A connected, blocking byte stream: unix or TCP socket, or TLS on top of one. Each sort is an ops
 * table (tls.c is the only file that knows OpenSSL), so the codec above never asks which it has.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct stream;

struct stream_ops {
    ssize_t (*read)(struct stream *s, void *p, size_t n);        /* bytes, 0 at the end, -errno */
    ssize_t (*write)(struct stream *s, const void *p, size_t n); /* bytes > 0, or -errno */
    int (*shutdown)(struct stream *s);                           /* no more writes */
    bool (*pending)(struct stream *s);    /* decrypted bytes wait that poll(2) cannot see */
    const char *(*why)(struct stream *s); /* the last failure in words; NULL: errno says all */
    void (*free)(struct stream *s);       /* frees @s; the descriptor is closed by stream_free() */
};

struct stream {
    const struct stream_ops *ops;
    int fd; /* the socket, also below TLS: for poll(2) on hang-up */
};

/** stream_from_fd() - wrap a connected socket, which becomes the stream's. */
struct stream *stream_from_fd(int fd);
/** stream_free() - close; NULL is fine. */
void stream_free(struct stream *s);
/** stream_read() - Return: bytes, 0 at the end, -errno (EINTR is retried). */
ssize_t stream_read(struct stream *s, void *p, size_t n) MUST;
/** stream_read_err() - what a failed stream_read() means, filled into @err; @r: its -errno. */
void stream_read_err(struct stream *s, int r, struct err *err);
/** stream_write() - all @n bytes; Return: 0 or -errno; never raises SIGPIPE. */
int stream_write(struct stream *s, const void *p, size_t n) MUST;
/** stream_shutdown() - end of our direction; the other one stays open. */
int stream_shutdown(struct stream *s);
/** stream_is_plain() - the descriptor carries the bytes as they are (no TLS). */
bool stream_is_plain(const struct stream *s);
/** stream_take_fd() - unwrap a plain stream: frees @s, the caller owns the socket. */
int stream_take_fd(struct stream *s);
/** stream_timeout() - give up a single read or write after @ms with -EAGAIN; 0: never. */
int stream_timeout(struct stream *s, unsigned ms);
/** stream_relay() - copy both ways between @s and @fd until both have ended; blocking. */
void stream_relay(struct stream *s, int fd);
