/*
 * RUN: a hidden container upon the layers so far. Its output comes through a socket as any client's
 * would; when it has ended its upper directory becomes the step's layer.
 */
#include "engine/build-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "base/frame.h"
#include "base/io.h"
#include "image/diff.h"
#include "store/layers.h"

#define OUTPUT_MAX (32u << 10)
#define DEFAULT_HOSTNAME "buildkitsandbox" /* what scripts may have come to expect */

/* ---- the container ---- */

static void fill_request(struct container_create_request *rq, const struct build_run *run,
                         struct arena *a)
{
    struct container_config *c = &rq->config;
    struct host_config *h = json_clone(&host_config_type, run->host, a);

    c->entrypoint = (struct strv){.v = arena_alloc(a, sizeof(char *))};
    c->cmd = strv_clone(a, &run->argv);
    c->env = strv_clone(a, &run->env);
    c->user = arena_strdup(a, str_or(run->user, ""));
    c->working_dir = arena_strdup(a, str_or(run->workdir, "/"));
    c->hostname = arena_strdup(a, str_or(run->hostname, DEFAULT_HOSTNAME));
    c->attach_stdout = c->attach_stderr = true;
    h->network_mode = arena_strdup(a, str_or(run->network, "default"));
    if (str_eq(h->network_mode, "host"))
        c->hostname = arena_strdup(a, "");
    h->log_config.type = arena_strdup(a, "none");
    h->privileged |= run->insecure;
    for (size_t i = 0; i < run->devices.n; i++) {
        struct device_mapping *d = arena_new(a, struct device_mapping);
        *d = (struct device_mapping){.host_path = run->devices.v[i],
                                     .container_path = run->devices.v[i],
                                     .permissions = arena_strdup(a, "rwm")};
        arena_push(a, h->res.devices) = d;
    }
    rq->host_config = h;
}

/* An overlay wants something below it, also where a stage starts from nothing. */
static int add_lowers(struct engine *e, const struct strv *layers, struct arena *a,
                      struct strv *ret, struct err *err)
{
    for (size_t i = layers->n; i-- > 0;)
        strv_push(a, ret, arena_printf(a, "%s/%s", e->data_path, layer_path(layers->v[i], a)));
    if (ret->n)
        return 0;
    char *empty;
    int r = engine_empty_dir(e, a, &empty, err);
    if (r >= 0)
        strv_push(a, ret, empty);
    return r;
}

static int make(struct engine *e, const struct build_run *run, struct container **ret,
                struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct container_create_request rq = {0};
    struct strv lowers = {0};
    int r = add_lowers(e, &run->layers, &a, &lowers, err);

    fill_request(&rq, run, &a);
    if (r >= 0)
        r = ctr_create_hidden(e, &rq, &lowers, ret, err);
    for (size_t i = 0; r >= 0 && i < run->mounts.n; i++)
        arena_push(&(*ret)->mem, (*ret)->mounts) =
            json_clone(&oci_mount_type, run->mounts.v[i], &(*ret)->mem);
    /* Its row is written by now. */
    for (size_t i = 0; r >= 0 && i < run->secret_env.n; i++)
        strv_env_set(&(*ret)->mem, &(*ret)->config->env, run->secret_env.v[i]);
    return r;
}

/* ---- its output ---- */

struct output {
    int fd, gone_fd;
    build_output fn;
    void *arg;
    uint8_t head[FRAME_HEADER];
    size_t have; /* bytes of the head */
    enum frame_stream stream;
    uint32_t left; /* of the frame's payload */
};

static int take_head(struct output *o, const uint8_t **p, size_t *n, struct err *err)
{
    size_t part = FRAME_HEADER - o->have < *n ? FRAME_HEADER - o->have : *n;

    memcpy(o->head + o->have, *p, part);
    o->have += part;
    *p += part;
    *n -= part;
    if (o->have < FRAME_HEADER)
        return 0;
    o->have = 0;
    return frame_get(o->head, &o->stream, &o->left) ? 0
                                                    : err_no(err, EPROTO, "bad frame of output");
}

static int take_bytes(struct output *o, const uint8_t *p, size_t n, struct err *err)
{
    int r = 0;

    while (r >= 0 && n > 0) {
        if (o->left == 0) {
            r = take_head(o, &p, &n, err);
            continue;
        }
        size_t part = o->left < n ? o->left : n;
        r = o->fn(o->arg, o->stream == FRAME_STDERR ? 2 : 1, (const char *)p, part, err);
        p += part;
        n -= part;
        o->left -= (uint32_t)part;
    }
    return r;
}

/* Until the container has closed it. Return: 0; -ECANCELED. */
static int read_output(struct output *o, struct err *err)
{
    uint8_t buf[OUTPUT_MAX];

    for (;;) {
        struct pollfd p[2] = {{.fd = o->fd, .events = POLLIN},
                              {.fd = o->gone_fd, .events = POLLRDHUP}};
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return err_sys(err, "wait for output");
        if (p[1].revents)
            return err_no(err, ECANCELED, "build canceled");
        if (!p[0].revents)
            continue;
        ssize_t n = read(o->fd, buf, sizeof(buf));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, "read output");
        int r = n == 0 ? 0 : take_bytes(o, buf, (size_t)n, err);
        if (n == 0 || r < 0)
            return r;
    }
}

/* ---- running it ---- */

static int start_attached(struct container *c, int *ret_fd, struct err *err)
{
    const struct attach_opts o = {.out = true, .err = true, .stream = true, .mux_ok = true};
    auto_close int mine = -1;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(err, "create socket pair");
    mine = pair[0];
    int r = ctr_attach(c->e, c->id, &o, pair[1], NULL, err);
    if (r >= 0)
        r = ctr_start(c->e, c->id, err);
    if (r < 0)
        return r;
    *ret_fd = take_fd(&mine);
    return 0;
}

static int wait_code(struct container *c, int gone_fd, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct container_wait_response res = {0};
    struct ctr_wait *w = NULL;
    int r = ctr_wait_begin(c->e, c->id, WAIT_NOT_RUNNING, &w, err);

    if (r >= 0)
        r = ctr_wait_end(w, gone_fd, &a, &res, err);
    return r < 0 ? r : (int)res.status_code;
}

static int run_it(struct container *c, const struct build_run *run, build_output fn, void *arg,
                  struct err *err)
{
    struct output o = {.fd = -1, .gone_fd = run->gone_fd, .fn = fn, .arg = arg};
    auto_close int fd = -1;
    int r = start_attached(c, &fd, err);

    if (r < 0)
        return r;
    o.fd = fd;
    FAIL_POINT("build.run.started", err);
    r = read_output(&o, err);
    return r < 0 ? r : wait_code(c, run->gone_fd, err);
}

/* Where something was mounted, and what the engine itself put into the container's layer. */
static int mounted_places(struct container *c, struct arena *a, struct strv *ret, struct err *err)
{
    struct oci_spec spec = {0};
    int r = ctr_mounts(c, a, &spec, err);

    for (size_t i = 0; r >= 0 && i < spec.mounts.n; i++)
        strv_push(a, ret, spec.mounts.v[i]->destination);
    return r;
}

int build_run_step(void *ctx, const struct build_run *run, struct layer_stage *into,
                   build_output out, void *arg, struct arena *a, struct strv *ret_mounted,
                   struct err *err)
{
    const struct build_ctx *bc = ctx;
    struct engine *e = bc->e;
    auto_ctr struct container *c = NULL;
    struct err left = {0};
    int r = make(e, run, &c, err);

    if (r < 0)
        return r;
    int code = run_it(c, run, out, arg, err);
    if (code >= 0)
        r = mounted_places(c, a, ret_mounted, err);
    if (code >= 0 && r >= 0)
        r = layer_stage_take(into, c->data_fd, "diff", err);
    int gone = ctr_remove(e, c->id, true, true, &left);
    if (code >= 0 && r >= 0 && gone < 0) {
        *err = left;
        r = gone;
    }
    return code < 0 ? code : r < 0 ? r : code;
}
