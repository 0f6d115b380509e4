/* A build that is taken down: its events while it runs, its record and its log in the end. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/compress.h"
#include "base/auto.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/time.h"
#include "build/check.h"
#include "build/status.h"
#include "engine/build_history.h"
#include "wire/image.h"

#define RECORD_ID_LEN 24
#define SECRET_MIN 4 /* shorter ones would strike out everything */

/* What was said, by step and stream: a secret may come in pieces. */
struct said {
    struct buf text[2];
};

/* An event. The text of output is a part of what its step said. */
struct taken {
    struct build_event e;
    struct build_step step;
    struct check_warning warning;
    int64_t time_ns;
    size_t off;
};

struct build_recorder {
    struct engine *e;
    build_tell inner;
    void *inner_ctx;
    struct arena a;
    int64_t began_ns;
    struct build_record rec;
    struct {
        struct taken *v;
        size_t n;
    } events;
    struct {
        struct said *v;
        size_t n;
    } steps; /* by id */
    size_t log_size;
};

/* ---- while it runs ---- */

static struct said *said_of(struct build_recorder *rec, unsigned id)
{
    while (rec->steps.n <= id)
        arena_push(&rec->a, rec->steps) = (struct said){0};
    return &rec->steps.v[id];
}

static char *copy(struct build_recorder *rec, const char *text)
{
    return text ? arena_strdup(&rec->a, text) : NULL;
}

/* Output has limits; of the rest there is as much as the Dockerfile has steps. */
static void take_output(struct build_recorder *rec, struct taken *t, const struct build_event *e)
{
    struct said *s = said_of(rec, e->step->id);
    struct buf *to = &s->text[e->stream == 2];

    t->off = to->len;
    buf_put(to, e->text, e->len);
    rec->log_size += e->len;
}

static bool too_much(const struct build_recorder *rec, const struct build_event *e)
{
    return e->kind == BUILD_OUTPUT &&
           (rec->events.n >= HISTORY_EVENTS_MAX || rec->log_size + e->len > HISTORY_LOG_MAX);
}

static void take(struct build_recorder *rec, const struct build_event *e)
{
    if (e->kind == BUILD_OUTPUT && !e->step)
        return; /* whose it would be is not known */
    if (too_much(rec, e)) {
        rec->rec.log_cut = true;
        return;
    }
    struct taken *t = &arena_push(&rec->a, rec->events);
    *t = (struct taken){.e = *e, .time_ns = now_ns()};
    if (e->step) {
        t->step = *e->step;
        t->step.name = copy(rec, e->step->name);
    }
    if (e->step && e->kind == BUILD_OUTPUT)
        take_output(rec, t, e);
    else
        t->e.text = copy(rec, e->text);
    t->e.excerpt = copy(rec, e->excerpt);
    if (e->warning) {
        t->warning = *e->warning;
        t->warning.message = copy(rec, e->warning->message);
        t->warning.description = copy(rec, e->warning->description);
        t->warning.url = copy(rec, e->warning->url);
    }
}

static int tell(void *ctx, const struct build_event *e, struct err *err)
{
    struct build_recorder *rec = ctx;

    if (e->kind != BUILD_PULLING)
        take(rec, e);
    return rec->inner ? rec->inner(rec->inner_ctx, e, err) : 0;
}

/* ---- the beginning ---- */

/* "https://user:word@host/x?token=y": what lets in is left out. */
static char *shown_context(const char *remote, struct arena *a)
{
    const char *scheme = remote ? strstr(remote, "://") : NULL;

    if (str_empty(remote))
        return NULL;
    const char *host = scheme ? scheme + 3 : remote, *end = host + strcspn(host, "/?#");
    const char *at = memrchr(host, '@', (size_t)(end - host));
    const char *from = scheme && at ? at + 1 : host;
    return arena_printf(a, "%.*s%.*s", (int)(host - remote), remote, (int)strcspn(from, "?"), from);
}

static char *name_of(const struct build_opts *o, const char *context, struct arena *a)
{
    const char *target = str_or(o->rq.target, "");

    if (o->tags.n)
        return arena_strdup(a, o->tags.v[0]);
    return arena_printf(a, "%s%s%s", str_or(context, str_or(o->dockerfile, BUILD_DEFAULT_FILE)),
                        *target ? "/" : "", target);
}

static void describe(struct build_recorder *rec, const struct build_opts *o)
{
    struct arena *a = &rec->a;
    struct build_record *r = &rec->rec;
    char id[RECORD_ID_LEN + 1], text[TIME_TEXT];

    rand_hex(id, RECORD_ID_LEN);
    *r = (struct build_record){
        .id = arena_strdup(a, id),
        .status = arena_strdup(a, BUILD_RUNNING),
        .created = arena_strdup(a, time_rfc3339(rec->began_ns, text)),
        .dockerfile = arena_strdup(a, str_or(o->dockerfile, BUILD_DEFAULT_FILE)),
        .context = shown_context(o->remote, a),
        .target = copy(rec, o->rq.target),
        .platform = o->rq.platforms.n ? strv_join(a, &o->rq.platforms, ",") : NULL,
        .names = strv_clone(a, &o->tags),
    };
    r->name = name_of(o, r->context, a);
}

/* Not before the end, when what is secret is known and struck out of them. */
static void describe_values(struct build_recorder *rec, const struct build_opts *o)
{
    struct arena *a = &rec->a;

    for (size_t i = 0; i < o->rq.args.n; i++) {
        const struct strpair *p = &o->rq.args.v[i];
        strmap_set(a, &rec->rec.args, p->key, check_names_secret(p->key) ? "***" : p->val);
    }
    for (size_t i = 0; i < o->rq.labels.n; i++)
        strmap_set(a, &rec->rec.labels, o->rq.labels.v[i].key, o->rq.labels.v[i].val);
}

static void recorder_free(struct build_recorder *rec)
{
    for (size_t i = 0; i < rec->steps.n; i++)
        for (size_t k = 0; k < 2; k++) {
            struct buf *b = &rec->steps.v[i].text[k];
            if (b->data)
                explicit_bzero(b->data, b->cap);
            buf_done(b);
        }
    arena_done(&rec->a);
    free(rec);
}

int history_begin(struct engine *e, struct build_opts *o, struct build_recorder **ret,
                  struct err *err)
{
    struct build_recorder *rec = xnew(struct build_recorder);

    *rec = (struct build_recorder){
        .e = e, .inner = o->rq.tell, .inner_ctx = o->rq.ctx, .began_ns = now_ns()};
    describe(rec, o);
    int r = history_put(e, &rec->rec, rec->began_ns, err);
    if (r < 0) {
        recorder_free(rec);
        return r;
    }
    describe_values(rec, o);
    o->rq.tell = tell;
    o->rq.ctx = rec;
    *ret = rec;
    return 0;
}

/* ---- secrets ---- */

/* As long as it was, so that all places in the text stay where they are. */
static void strike(char *p, size_t n, const struct build_secret *s)
{
    const char *data = s->data;
    size_t len = s->len;

    while (len && (data[len - 1] == '\n' || data[len - 1] == '\r'))
        len--;
    if (len < SECRET_MIN)
        return;
    for (char *at; (at = memmem(p, n, data, len));) {
        memset(at, '*', len);
        n -= (size_t)(at + len - p);
        p = at + len;
    }
}

static void strike_all(char *p, size_t n, const struct build_request *rq)
{
    for (size_t i = 0; p && i < rq->secrets.n; i++)
        strike(p, n, &rq->secrets.v[i]);
}

static void strike_text(const char *text, const struct build_request *rq)
{
    if (text)
        strike_all((char *)(uintptr_t)text, strlen(text), rq); /* a copy of ours */
}

static void strike_out(struct build_recorder *rec, const struct build_request *rq)
{
    for (size_t i = 0; i < rec->steps.n; i++)
        for (size_t k = 0; k < 2; k++)
            strike_all(rec->steps.v[i].text[k].data, rec->steps.v[i].text[k].len, rq);
    for (size_t i = 0; i < rec->events.n; i++) {
        struct taken *t = &rec->events.v[i];
        if (t->e.kind != BUILD_OUTPUT)
            strike_text(t->e.text, rq);
        strike_text(t->e.excerpt, rq);
        strike_text(t->step.name, rq);
        strike_text(t->warning.message, rq);
    }
    for (size_t i = 0; i < rec->rec.args.n; i++)
        strike_text(rec->rec.args.v[i].val, rq);
    for (size_t i = 0; i < rec->rec.labels.n; i++)
        strike_text(rec->rec.labels.v[i].val, rq);
    strike_text(rec->rec.error, rq);
}

/* ---- the record ---- */

/* By its id: stages that plan more of them at once may tell in another order. */
static struct build_record_step *record_step(struct build_recorder *rec, const struct taken *t)
{
    struct build_record *r = &rec->rec;

    while (r->steps.n <= t->step.id)
        arena_push(&rec->a, r->steps) = arena_new(&rec->a, struct build_record_step);
    r->steps.v[t->step.id]->name = (char *)(uintptr_t)t->step.name;
    return r->steps.v[t->step.id];
}

static void note_step(struct build_recorder *rec, const struct taken *t)
{
    struct build_record *r = &rec->rec;
    struct build_record_step *s = record_step(rec, t);
    bool done = t->e.kind == BUILD_DONE, failed = t->e.kind == BUILD_FAILED;

    s->started_ns = t->step.started_ns;
    s->completed_ns = failed ? t->time_ns : t->step.ended_ns;
    s->cached = t->step.cached;
    s->error = failed ? (char *)(uintptr_t)t->e.text : NULL;
    r->total = (int64_t)r->steps.n;
    r->done += done;
    r->cached += done && t->step.cached;
}

static void fill_record(struct build_recorder *rec, int r, const struct err *why,
                        const struct build_result *res)
{
    struct build_record *x = &rec->rec;
    int64_t now = now_ns();
    char text[TIME_TEXT];

    x->status = arena_strdup(&rec->a, r >= 0            ? BUILD_COMPLETED
                                      : r == -ECANCELED ? BUILD_CANCELED
                                                        : BUILD_ERROR);
    x->completed = arena_strdup(&rec->a, time_rfc3339(now, text));
    x->duration_ns = now - rec->began_ns;
    x->log_size = (int64_t)rec->log_size;
    x->error = r < 0 ? arena_strdup(&rec->a, why->msg) : NULL;
    x->image = copy(rec, res->image);
    for (size_t i = 0; i < rec->events.n; i++) {
        const struct taken *t = &rec->events.v[i];
        x->warnings += t->e.kind == BUILD_WARNING;
        if (t->e.excerpt)
            x->excerpt = (char *)(uintptr_t)t->e.excerpt;
        if (t->e.step && t->e.kind != BUILD_OUTPUT)
            note_step(rec, t);
    }
}

/* ---- the log ---- */

static int write_event(struct build_recorder *rec, struct taken *t, struct sink *to,
                       struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf status = BUF_INIT, line = BUF_INIT;
    struct build_event e = t->e;
    struct build_status st = {0};
    char id[] = BUILD_STATUS_ID;

    e.step = t->e.step ? &t->step : NULL;
    e.warning = t->e.warning ? &t->warning : NULL;
    if (e.kind == BUILD_OUTPUT)
        e.text = rec->steps.v[t->step.id].text[e.stream == 2].data + t->off;
    build_status_of(&e, t->time_ns, &a, &st);
    json_encode(&build_status_type, &st, &status);
    struct progress_message m = {.id = id, .aux = {status.data, status.len}};
    json_encode(&progress_message_type, &m, &line);
    buf_puts(&line, "\r\n");
    return sink_write(to, line.data, line.len, err);
}

static int write_log(struct build_recorder *rec, int fd, struct err *err)
{
    auto_sink struct sink *file = sink_fd(fd);
    auto_sink struct sink *gz = sink_compress(file, COMP_GZIP, 0);
    int r = 0;

    for (size_t i = 0; r >= 0 && i < rec->events.n; i++)
        r = write_event(rec, &rec->events.v[i], gz, err);
    return r < 0 ? r : sink_compress_finish(gz, err);
}

static int keep(struct build_recorder *rec, struct err *err)
{
    struct engine *e = rec->e;
    const char *path = history_log_path(rec->rec.id, &rec->a);
    auto_close int fd = openat(e->data_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int r = fd < 0 ? err_sys(err, "make %s", path) : write_log(rec, fd, err);

    if (r < 0)
        return r;
    FAIL_POINT("build.record.log", err);
    return history_put(e, &rec->rec, rec->began_ns, err);
}

void history_end(struct build_recorder *rec, int r, const struct err *why,
                 const struct build_result *res, const struct build_request *secrets)
{
    struct err err = {0};

    if (!rec)
        return;
    fill_record(rec, r, why, res);
    strike_out(rec, secrets);
    if (keep(rec, &err) < 0)
        log_warn("history of build %s: %s", rec->rec.id, err.msg);
    history_trim(rec->e);
    recorder_free(rec);
}
