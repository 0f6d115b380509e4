/*
 * The daemon's answer to a build: status objects for a display, the result, or the error with its
 * excerpt of the Dockerfile. A daemon that knows no status sends text, which is shown as it comes.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/base64.h"
#include "base/time.h"
#include "cli/build.h"
#include "cli/build_steps.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "wire/image.h"

#define TICK_MS 100

struct warning {
    char *rule, *text, *description, *url;
    int64_t line;
};

struct follow {
    struct cli *cli;
    const struct build_context *context;
    struct json_stream in;
    struct steps steps;
    struct display display;
    bool raw, quiet, check;
    char *excerpt;
    struct {
        struct warning *v;
        size_t n;
    } warnings;
    struct build_outcome out;
};

/* ---- what the stream says ---- */

static char *from_base64(struct cli *cli, const char *text)
{
    auto_buf struct buf out = BUF_INIT;

    if (!text || base64_decode(text, strlen(text), &out) < 0)
        return arena_strdup(&cli->arena, "");
    return arena_strndup(&cli->arena, buf_str(&out), out.len);
}

static void keep_warnings(struct follow *f, const struct build_status *st)
{
    struct arena *a = &f->cli->arena;

    for (size_t i = 0; i < st->warnings.n; i++) {
        const struct build_vertex_warning *w = st->warnings.v[i];
        arena_push(a, f->warnings) =
            (struct warning){.rule = arena_strdup(a, str_or(w->rule, "")),
                             .text = from_base64(f->cli, w->short_text),
                             .description = arena_strdup(a, str_or(w->description, "")),
                             .url = arena_strdup(a, str_or(w->url, "")),
                             .line = w->line};
    }
}

/* A Dockerfile from outside the context has a name there that says nothing. */
static char *excerpt_of(struct follow *f, const char *text)
{
    const struct build_context *c = f->context;
    const char *rest = c->shown && c->dockerfile ? str_starts(text, c->dockerfile) : NULL;

    return rest ? arena_printf(&f->cli->arena, "%s%s", c->shown, rest)
                : arena_strdup(&f->cli->arena, text);
}

static int take_status(struct follow *f, const struct json_raw *aux, struct arena *a,
                       struct err *err)
{
    struct build_status st = {0};
    int r = json_decode(&build_status_type, aux->text, aux->len, a, &st, 0, err);

    if (r < 0)
        return err_wrap(err, r, "answer of the daemon");
    if (st.excerpt)
        f->excerpt = excerpt_of(f, st.excerpt);
    keep_warnings(f, &st);
    if (f->raw)
        fprintf(f->display.to, "%.*s\n", (int)aux->len, aux->text);
    else
        steps_update(&f->steps, &st, &f->display);
    return 0;
}

/* Also that of a daemon without status, whose object has an "ID", too. */
static int take_result(struct follow *f, const struct json_raw *aux, struct arena *a,
                       struct err *err)
{
    struct build_result_message m = {0};
    int r = json_decode(&build_result_message_type, aux->text, aux->len, a, &m, 0, err);

    if (r < 0)
        return err_wrap(err, r, "answer of the daemon");
    struct arena *keep = &f->cli->arena;
    f->out.image = arena_strdup(keep, str_or(m.image, ""));
    if (m.descriptor)
        f->out.descriptor = json_clone(&oci_descriptor_type, m.descriptor, keep);
    for (size_t i = 0; i < m.platforms.n; i++) {
        const struct build_result_platform *p = m.platforms.v[i];
        arena_push(keep, f->out.platforms) = (struct build_result_platform){
            arena_strdup(keep, p->platform), arena_strdup(keep, p->image),
            arena_strdup(keep, str_or(p->digest, ""))};
    }
    return 0;
}

const char *build_outcome_id(const struct build_outcome *o)
{
    return o->platforms.n > 1 && o->descriptor ? o->descriptor->digest : o->image;
}

static int take(struct follow *f, const struct progress_message *m, struct arena *a,
                struct err *err)
{
    const char *failed = m->error_detail && !str_empty(m->error_detail->message)
                             ? m->error_detail->message
                             : m->error;

    if (!str_empty(failed))
        return err_as(err, ERR_SYSTEM, EREMOTEIO, "%s", failed);
    if (m->aux.text && str_eq(m->id, BUILD_STATUS_ID))
        return take_status(f, &m->aux, a, err);
    if (m->aux.text)
        return take_result(f, &m->aux, a, err);
    if (!str_empty(m->stream) && !f->quiet)
        (void)fputs(m->stream, f->display.to);
    return 0;
}

/* Until something came; meanwhile times go on. */
static void wait_for_more(struct follow *f)
{
    struct pollfd p = {.fd = http_reply_fd(f->in.reply), .events = POLLIN};

    if (!f->display.ops->tick)
        return;
    while (!json_stream_pending(&f->in) && poll(&p, 1, TICK_MS) == 0)
        f->display.ops->tick(&f->display);
}

static int read_all(struct follow *f, struct err *err)
{
    const char *text;
    size_t len;
    int r;

    for (;;) {
        auto_arena struct arena a = ARENA_INIT;
        struct progress_message m = {0};
        wait_for_more(f);
        r = json_stream_next(&f->in, &text, &len, err);
        if (r <= 0)
            return r;
        r = json_decode(&progress_message_type, text, len, &a, &m, 0, err);
        if (r < 0 || (r = take(f, &m, &a, err)) < 0)
            return r;
    }
}

/* ---- the end ---- */

#define RULE "------\n"

/* The last words of the step that failed, and where it stands in the file. */
static void print_failure(const struct follow *f)
{
    const struct step *s = steps_failed(&f->steps);

    if (s && !f->quiet) {
        fprintf(f->display.to, RULE " > %s:\n", s->name);
        for (size_t i = 0; i < step_lines(s); i++)
            fprintf(f->display.to, "%s\n", step_line(s, i));
        fputs(RULE, f->display.to);
    }
    if (f->excerpt)
        fputs(f->excerpt, f->display.to);
    (void)fflush(f->display.to);
}

static void print_warnings(const struct follow *f)
{
    size_t n = f->warnings.n;

    if (!n || f->quiet || f->raw)
        return;
    fprintf(f->display.to, "\n %zu warning%s found (run cleat build --check for more):\n", n,
            n == 1 ? "" : "s");
    for (size_t i = 0; i < n; i++) {
        const struct warning *w = &f->warnings.v[i];
        fprintf(f->display.to, " - %s: %s", w->rule, w->text);
        fprintf(f->display.to, w->line ? " (line %lld)\n" : "\n", (long long)w->line);
    }
}

static void print_check(const struct follow *f)
{
    const char *name = str_or(f->context->shown, str_or(f->context->dockerfile, "Dockerfile"));
    size_t n = f->warnings.n;

    for (size_t i = 0; i < n; i++) {
        const struct warning *w = &f->warnings.v[i];
        printf("WARNING: %s%s%s\n%s\n", w->rule, *w->url ? " - " : "", w->url, w->text);
        if (*w->description)
            printf("%s\n", w->description);
        if (w->line)
            printf("%s:%lld\n", name, (long long)w->line);
        printf("\n");
    }
    if (n)
        printf("Check complete, %zu warning%s been found!\n", n, n == 1 ? " has" : "s have");
    else
        printf("Check complete, no warnings found.\n");
}

static const struct display_ops *ops_of(const char *mode)
{
    return str_eq(mode, "tty")     ? &display_tty
           : str_eq(mode, "plain") ? &display_plain
                                   : &display_none;
}

int build_follow(struct cli *cli, struct http_reply *reply, const char *mode,
                 const struct build_context *c, bool check, struct build_outcome *ret,
                 struct err *err)
{
    struct follow f = {.cli = cli,
                       .context = c,
                       .in = {.reply = reply},
                       .raw = str_eq(mode, "rawjson"),
                       .quiet = str_eq(mode, "quiet"),
                       .check = check};

    f.display = (struct display){
        .ops = ops_of(mode), .steps = &f.steps, .to = stderr, .began_ns = mono_ns()};
    int r = read_all(&f, err);
    f.display.ops->end(&f.display, r >= 0);
    if (r < 0)
        print_failure(&f);
    else if (check)
        print_check(&f);
    else
        print_warnings(&f);
    f.out.warnings = f.warnings.n;
    if (r >= 0)
        *ret = f.out;
    json_stream_done(&f.in);
    steps_done(&f.steps);
    return r < 0 ? r : 0;
}
