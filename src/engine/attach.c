/*
 * Attaching: the client's socket goes to the shim, or waits here until the container is started.
 * Bytes that the client sent behind its request head were read by the HTTP side already; they
 * travel first, through a socket pair that is relayed only in that rare case.
 */
#include "engine/engine-priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/frame.h"
#include "base/io.h"
#include "base/mem.h"
#include "engine/relay.h"

#define DEFAULT_KEYS "ctrl-p,ctrl-q"

/* "a", "ctrl-x", "ctrl-@" ... separated by commas, to the bytes a terminal sends. */
int keys_parse(const char *text, char out[64], struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv keys = str_split(&a, str_empty(text) ? DEFAULT_KEYS : text, ',');
    size_t n = 0;

    for (size_t i = 0; i < keys.n; i++) {
        const char *k = keys.v[i], *ctrl = str_starts(k, "ctrl-");
        char c = ctrl ? ctrl[0] : k[0];
        if (n >= 63 || (ctrl ? strlen(ctrl) : strlen(k)) != 1 ||
            (ctrl && !(c >= 'a' && c <= 'z') && !strchr("@[\\]^_", c)))
            return err_invalid(err, "Invalid detach keys (%s) provided", text);
        if (ctrl && c != '@')
            c = (char)(c >= 'a' ? c - 'a' + 1 : c - '@');
        else if (ctrl)
            return err_invalid(err, "Invalid detach keys (%s) provided: ctrl-@ cannot be used",
                               text);
        out[n++] = c;
    }
    out[n] = '\0';
    return 0;
}

int ctr_attach_check(struct engine *e, const char *id, const struct attach_opts *o, bool *ret_tty,
                     struct err *err)
{
    char keys[64];
    auto_ctr struct container *c = ctr_find(e, id, err);
    int r = c ? keys_parse(o->keys, keys, err) : err_code(err);

    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&c->lock);
    bool paused = c->paused, restarting = c->restarting;
    (void)pthread_mutex_unlock(&c->lock);
    if (paused)
        return err_conflict(err, "container %s is paused, unpause the container before attach",
                            c->id);
    if (restarting)
        return err_conflict(err, "container %s is restarting, wait until the container is running",
                            c->id);
    *ret_tty = c->config->tty;
    (void)pthread_mutex_lock(&c->lock);
    c->attaching++;
    (void)pthread_mutex_unlock(&c->lock);
    return 0;
}

void ctr_attach_over(struct engine *e, const char *id)
{
    auto_ctr struct container *c = ctr_find(e, id, NULL);

    if (!c)
        return;
    (void)pthread_mutex_lock(&c->lock);
    c->attaching -= c->attaching > 0;
    ctr_changed(c);
    (void)pthread_mutex_unlock(&c->lock);
}

struct log_copy {
    int fd;
    bool mux, tty;
};

static int copy_log(void *arg, int stream, const char *p, size_t n, struct err *err)
{
    const struct log_copy *l = arg;
    uint8_t head[FRAME_HEADER];

    frame_put(head, (enum frame_stream)stream, (uint32_t)n);
    int r = l->mux ? write_full(l->fd, head, sizeof(head)) : 0;

    if (r >= 0)
        r = write_full(l->fd, p, n);
    return r < 0 ? err_no(err, r, "write to client") : 0;
}

/*
 * A client of a container that does not run waits for the next start. Looking and queueing are one
 * step under the lock, and so are "it runs" and taking the queue (start.c): a client is either
 * queued and found by the start, or sees that the container runs.
 * Return: false when it runs, and nothing has been done.
 */
static bool wait_for_start(struct container *c, const struct shim_attach *a, const char keys[64],
                           int *fd)
{
    struct waiting_client *w = xnew(struct waiting_client);

    w->a = *a;
    memcpy(w->keys, keys, sizeof(w->keys));
    w->a.detach_keys = w->keys;
    (void)pthread_mutex_lock(&c->lock);
    bool wait = !ctr_running(c);
    if (wait) {
        struct waiting_client **at = &c->waiting;
        while (*at)
            at = &(*at)->next;
        w->fd = take_fd(fd);
        *at = take_ptr(&w);
    }
    (void)pthread_mutex_unlock(&c->lock);
    free(w);
    return wait;
}

/* To the shim of a container that runs. One that has ended since, or is about to, has no more
 * output: the client sees its end, as if it had come a moment earlier. */
static int hand_over(struct container *c, const struct shim_attach *sa, int fd, struct err *err)
{
    struct shim_req req = {.op = "attach", .attach = (struct shim_attach *)sa};
    int r = ctr_ask(c, &req, fd, NULL, err);

    if (r != -ESRCH)
        return r < 0 ? r : 0;
    err_clear(err);
    return 0;
}

/* Early bytes become the first input: a short message to the shim's end of a new pair would need a
 * relay for the session's life, so they are put where the client's own bytes will come from. */
int push_early(int *fd, const struct buf *early, struct err *err)
{
    if (!early || early->len == 0)
        return 0;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(err, "create socket pair");
    int r = write_full(pair[0], early->data, early->len);
    if (r >= 0)
        r = relay_start(take_fd(fd), pair[0], err);
    else
        (void)close(pair[0]);
    if (r < 0) {
        (void)close(pair[1]);
        return r;
    }
    *fd = pair[1];
    return 0;
}

int ctr_attach(struct engine *e, const char *id, const struct attach_opts *o, int client,
               const struct buf *early, struct err *err)
{
    auto_close int fd = client;
    auto_ctr struct container *c = ctr_find(e, id, err);
    char keys[64];
    int r = c ? keys_parse(o->keys, keys, err) : err_code(err);

    if (r < 0)
        return r;
    bool tty = c->config->tty;
    struct shim_attach sa = {.in = o->in && c->config->open_stdin,
                             .out = o->out,
                             .err = o->err,
                             .mux = o->mux_ok && !tty,
                             .detach_keys = keys};
    if (o->logs) {
        struct logs_opts lo = {.out = o->out, .err = o->err, .tail = -1};
        struct log_copy copy = {fd, sa.mux, tty};
        r = ctr_logs(e, id, &lo, -1, copy_log, &copy, err);
    }
    if (r >= 0)
        r = push_early(&fd, early, err);
    if (r < 0 || !o->stream)
        return r;
    r = wait_for_start(c, &sa, keys, &fd) ? 0 : hand_over(c, &sa, fd, err);
    if (r >= 0)
        ctr_event(c, "attach", NULL);
    return r;
}
