#include "cli/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/frame.h"
#include "base/io.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "http/stream.h"

/*
 * One poll loop: stdin to the connection, the connection to stdout and stderr, signals to the
 * daemon. The connection does not block, so that a program that answers while it is still being fed
 * cannot stop both sides for ever.
 */

#define DETACH_DEFAULT "ctrl-p,ctrl-q"
#define KEYS_MAX 16

static const int proxied[] = {SIGHUP,  SIGINT,    SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2,
                              SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU, SIGXFSZ, SIGPWR};

struct run {
    struct cli *cli;
    struct session *s;
    struct err *err;
    struct demux demux;
    struct termios saved;
    bool raw_tty, in_open, in_eof_due, ended;
    int sigfd;
    unsigned char keys[KEYS_MAX];
    size_t nkeys, hit; /* of the detach sequence, and how much of it was typed */
    char in[16384];
    size_t in_len, in_off;
};

/* ---- output ---- */

int out_write(int fd, const void *p, size_t n, struct err *err)
{
    int r = write_full(fd, p, n);

    if (r == -EPIPE) { /* ignored for TLS's sake, but nobody reads us: end as any filter does */
        (void)signal(SIGPIPE, SIG_DFL);
        (void)raise(SIGPIPE);
    }
    return r < 0 ? err_no(err, r, "write %s", fd == 2 ? "stderr" : "stdout") : 0;
}

int demux_write(struct demux *d, const char *p, size_t n, struct err *err)
{
    while (n > 0) {
        if (d->left == 0) {
            enum frame_stream stream;
            d->head[d->have++] = (uint8_t)*p++;
            n--;
            if (d->have < FRAME_HEADER)
                continue;
            d->have = 0;
            if (!frame_get(d->head, &stream, &d->left))
                return err_invalid(err, "unrecognized input header: %d", d->head[0]);
            d->fd = stream == FRAME_STDERR || stream == FRAME_SYSERR ? 2 : 1;
            continue;
        }
        size_t take = n < d->left ? n : d->left;
        int r = out_write(d->fd, p, take, err);
        if (r < 0)
            return r;
        p += take;
        n -= take;
        d->left -= (uint32_t)take;
    }
    return 0;
}

static int take_output(struct run *r, const char *p, size_t n)
{
    return r->s->tty ? out_write(1, p, n, r->err) : demux_write(&r->demux, p, n, r->err);
}

static int read_output(struct run *r)
{
    char tmp[32768];
    struct http_raw *raw = &r->s->raw;
    size_t early = raw->early.len - raw->early_off;
    ssize_t n =
        early ? http_raw_read(raw, tmp, sizeof(tmp)) : raw->s->ops->read(raw->s, tmp, sizeof(tmp));

    if (n == -EAGAIN || n == -EINTR)
        return 0;
    if (n == 0 || n == -ECONNRESET || n == -EPIPE) {
        r->ended = true;
        return 0;
    }
    if (n < 0)
        return err_no(r->err, (int)n, "read from the daemon");
    return take_output(r, tmp, (size_t)n);
}

/* ---- input ---- */

/* "ctrl-p,ctrl-q" or "a,ctrl-x" to bytes; Return: how many, 0 when it is no such list. */
static size_t parse_keys(const char *s, unsigned char *out)
{
    size_t n = 0;

    while (*s && n < KEYS_MAX) {
        size_t len = strcspn(s, ",");
        if (len == 6 && strncmp(s, "ctrl-", 5) == 0)
            out[n++] = (unsigned char)(s[5] & 0x1f);
        else if (len == 1)
            out[n++] = (unsigned char)*s;
        else
            return 0;
        s += len;
        s += *s == ',';
    }
    return n;
}

/* The daemon detaches; the client only notes that it was asked to, to tell it from an exit. */
static void watch_keys(struct run *r, const char *p, size_t n)
{
    for (size_t i = 0; i < n && r->nkeys > 0 && !r->s->detached; i++) {
        unsigned char c = (unsigned char)p[i];
        r->hit = c == r->keys[r->hit] ? r->hit + 1 : c == r->keys[0];
        if (r->hit == r->nkeys)
            r->s->detached = true;
    }
}

static void read_input(struct run *r)
{
    ssize_t n = read(0, r->in, sizeof(r->in));

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        r->in_open = false;
        r->in_eof_due = true;
        return;
    }
    r->in_off = 0;
    r->in_len = (size_t)n;
    if (r->s->tty)
        watch_keys(r, r->in, (size_t)n);
}

static void send_input(struct run *r)
{
    struct stream *s = r->s->raw.s;

    while (r->in_len > 0) {
        ssize_t n = s->ops->write(s, r->in + r->in_off, r->in_len);
        if (n == -EAGAIN || n == -EINTR)
            return;
        if (n < 0) { /* the other side reads no more; its output may go on */
            r->in_len = 0;
            r->in_open = r->in_eof_due = false;
            return;
        }
        r->in_off += (size_t)n;
        r->in_len -= (size_t)n;
    }
    if (r->in_eof_due) {
        r->in_eof_due = false;
        (void)stream_shutdown(s);
    }
}

/* ---- signals and the terminal ---- */

int tty_check(bool input, bool tty, struct err *err)
{
    if (input && tty && !isatty(0))
        return err_invalid(err, "the input device is not a TTY");
    return 0;
}

int tty_size(unsigned *rows, unsigned *cols)
{
    struct winsize ws = {0};

    if (ioctl(1, TIOCGWINSZ, &ws) < 0)
        return -errno;
    *rows = ws.ws_row;
    *cols = ws.ws_col;
    return 0;
}

void session_resize(struct cli *cli, const char *target)
{
    unsigned rows = 0, cols = 0;
    char text[16];

    if (!target || tty_size(&rows, &cols) < 0 || (rows == 0 && cols == 0))
        return;
    (void)snprintf(text, sizeof(text), "%u", rows);
    char *t = cli_query(cli, target, "h", text);
    (void)snprintf(text, sizeof(text), "%u", cols);
    (void)!call_do(cli, "POST", cli_query(cli, t, "w", text), NULL);
}

static void signal_set(const struct session *s, sigset_t *set)
{
    sigemptyset(set);
    if (s->tty)
        sigaddset(set, SIGWINCH);
    for (size_t i = 0; s->kill && i < sizeof(proxied) / sizeof(proxied[0]); i++)
        sigaddset(set, proxied[i]);
}

void session_prepare(struct session *s)
{
    sigset_t set;

    signal_set(s, &set);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

static void take_signal(struct run *r)
{
    struct signalfd_siginfo info;

    if (read(r->sigfd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    int sig = (int)info.ssi_signo;
    if (sig == SIGWINCH)
        session_resize(r->cli, r->s->resize);
    else if (r->s->kill)
        (void)!call_do(r->cli, "POST", cli_query(r->cli, r->s->kill, "signal", sigabbrev_np(sig)),
                       NULL);
}

static void raw_terminal(struct run *r)
{
    struct termios t;

    if (!r->s->tty || !r->s->input || tcgetattr(0, &r->saved) < 0)
        return;
    t = r->saved;
    cfmakeraw(&t);
    r->raw_tty = tcsetattr(0, TCSADRAIN, &t) == 0;
}

static void restore_terminal(struct run *r)
{
    if (r->raw_tty)
        (void)tcsetattr(0, TCSADRAIN, &r->saved);
}

/* ---- the loop ---- */

static void wait_for_work(struct run *r, struct pollfd p[3])
{
    const struct http_raw *raw = &r->s->raw;
    bool pending = raw->early_off < raw->early.len || raw->s->ops->pending(raw->s);

    p[0] = (struct pollfd){.fd = raw->s->fd, .events = POLLIN};
    if (r->in_len > 0)
        p[0].events |= POLLOUT;
    p[1] = (struct pollfd){.fd = r->in_open && r->in_len == 0 ? 0 : -1, .events = POLLIN};
    p[2] = (struct pollfd){.fd = r->sigfd, .events = POLLIN};
    if (poll(p, 3, pending ? 0 : -1) < 0)
        p[0].revents = p[1].revents = p[2].revents = 0;
    if (pending)
        p[0].revents |= POLLIN;
}

static int loop(struct run *r)
{
    while (!r->ended) {
        struct pollfd p[3];
        wait_for_work(r, p);
        if (p[2].revents)
            take_signal(r);
        if (p[1].revents)
            read_input(r);
        if (r->in_len > 0 || r->in_eof_due)
            send_input(r);
        if (p[0].revents & ~POLLOUT) {
            int x = read_output(r);
            if (x < 0)
                return x;
        }
    }
    return 0;
}

int session_run(struct cli *cli, struct session *s, struct err *err)
{
    struct run *r = arena_new(&cli->arena, struct run);
    int fd = s->raw.s->fd;
    sigset_t set;

    r->cli = cli;
    r->s = s;
    r->err = err;
    r->in_open = s->input;
    r->nkeys = parse_keys(str_or(s->detach_keys, DETACH_DEFAULT), r->keys);
    signal_set(s, &set);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    auto_close int sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    r->sigfd = sigfd;
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    (void)fflush(stdout);
    raw_terminal(r);
    int x = loop(r);
    restore_terminal(r);
    return x;
}

void session_done(struct session *s)
{
    if (s->raw.s)
        http_raw_done(&s->raw);
}
