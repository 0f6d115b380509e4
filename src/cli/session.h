/* The terminal's side of attach, run and exec: bytes both ways, signals, window size. */
#pragma once

#include "base/err.h"
#include "http/client.h"

#include <stdbool.h>
#include <sys/types.h>
#include <termios.h>

struct cli;

struct session {
    struct http_raw raw;
    const char *resize;      /* target of resize calls: "/containers/x/resize", or NULL */
    const char *kill;        /* target of kill calls, or NULL: signals end the client */
    const char *detach_keys; /* NULL: docker's default */
    bool tty;                /* one raw stream; otherwise frames */
    bool input;              /* pass stdin on */

    /* set by session_run() */
    bool detached;
};

/** session_prepare() - block the signals it will pass on; call before the process starts. */
void session_prepare(struct session *s);
/** session_run() - until the stream ends; the terminal is as before afterwards. */
int session_run(struct cli *cli, struct session *s, struct err *err) MUST;
/** session_resize() - tell the daemon the window's size; failures do not matter. */
void session_resize(struct cli *cli, const char *target);
void session_done(struct session *s);

/** tty_check() - stdin must be a terminal when a terminal is asked for. */
int tty_check(bool input, bool tty, struct err *err) MUST;
/** tty_size() - rows and columns of stdout; Return: -ENOTTY. */
int tty_size(unsigned *rows, unsigned *cols) MUST;

/* Frames to stdout and stderr as they come, in pieces of any size. */
struct demux {
    uint8_t head[8];
    unsigned have;
    uint32_t left;
    int fd;
};

/** demux_write() - Return: 0 or -errno; a bad frame is -EINVAL. */
int demux_write(struct demux *d, const char *p, size_t n, struct err *err) MUST;
/** out_write() - all of it to stdout or stderr; ends the process by SIGPIPE when nobody reads. */
int out_write(int fd, const void *p, size_t n, struct err *err) MUST;
