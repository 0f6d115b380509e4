/* RUN, CMD, ENTRYPOINT, SHELL, HEALTHCHECK: what is a command line. */
#include "build/instruction-priv.h"

#include <ctype.h>
#include <errno.h>
#include <strings.h>

#include "base/buf.h"
#include "base/time.h"
#include "build/heredoc-priv.h"
#include "build/words-priv.h"

static const struct flag_spec no_flags[] = {{0}};

/* Either form; no arguments are an empty line for the shell. */
static int take_command(struct decoder *d, const char *text, struct ins_command *c, struct err *err)
{
    int r = words_json(d->a, text, &c->argv, err);

    if (r != 0)
        return r < 0 ? r : 0;
    c->shell = true;
    c->text = arena_strdup(d->a, text);
    return 0;
}

int decode_command(struct decoder *d, struct ins *ins, struct err *err)
{
    int r = flags_check(d, no_flags, err);

    return r < 0 ? r : take_command(d, d->args, &ins->command, err);
}

int decode_shell(struct decoder *d, struct ins *ins, struct err *err)
{
    int r = flags_check(d, no_flags, err);

    if (r >= 0)
        r = need_args(d, err);
    if (r >= 0)
        r = words_json(d->a, d->args, &ins->words, err);
    if (r < 0)
        return r;
    if (r == 0)
        return err_invalid(err, "SHELL requires the arguments to be in JSON form");
    return ins->words.n ? 0 : err_invalid(err, "SHELL requires at least one argument");
}

/* ---- RUN ---- */

static const struct flag_spec run_flags[] = {
    {"mount", FLAG_LIST},
    {"network", FLAG_TEXT},
    {"security", FLAG_TEXT},
    {"device", FLAG_LIST},
    {0},
};

/* One heredoc and nothing else is a script; with a command, the shell gets all as it was. */
static void add_heredocs(struct decoder *d, struct ins_run *run)
{
    auto_buf struct buf text = BUF_INIT;
    const struct df_line *l = d->line;

    if (l->heredocs.n == 1 && !l->heredocs.v[0]->fd && heredoc_word(d->a, d->args, NULL)) {
        run->cmd.text = l->heredocs.v[0]->body;
        run->script = str_starts(run->cmd.text, "#!") != NULL;
        return;
    }
    buf_puts(&text, d->args);
    for (size_t i = 0; i < l->heredocs.n; i++)
        buf_printf(&text, "\n%s%s", l->heredocs.v[i]->body, l->heredocs.v[i]->name);
    run->cmd.text = arena_strdup(d->a, buf_str(&text));
}

static int check_modes(struct decoder *d, const struct ins_run *run, struct err *err)
{
    static const char *const networks[] = {"default", "none", "host"};
    bool known = !run->network;

    for (size_t i = 0; i < 3 && !known; i++)
        known = strcmp(run->network, networks[i]) == 0;
    if (!known)
        return err_invalid(err, "unsupported network mode %s%s", text_quote(d->a, run->network),
                           suggest(d->a, run->network, networks, 3, false));
    if (run->security && strcmp(run->security, "sandbox") != 0 &&
        strcmp(run->security, "insecure") != 0)
        return err_invalid(err, "security %s is not valid", text_quote(d->a, run->security));
    return 0;
}

int decode_run(struct decoder *d, struct ins *ins, struct err *err)
{
    struct ins_run *run = &ins->run;
    int r = flags_check(d, run_flags, err);

    if (r < 0)
        return r;
    run->mount_flags = flag_list(d, "mount");
    run->network = flag_text(d, "network");
    run->security = flag_text(d, "security");
    run->devices = flag_list(d, "device");
    r = check_modes(d, run, err);
    if (r >= 0)
        r = mounts_decode(&run->mount_flags, d->a, &run->mounts, err);
    if (r >= 0)
        r = take_command(d, d->args, &run->cmd, err);
    if (r >= 0 && run->cmd.shell && d->line->heredocs.n)
        add_heredocs(d, run);
    return r;
}

/* ---- HEALTHCHECK ---- */

static const struct flag_spec health_flags[] = {
    {"interval", FLAG_TEXT},       {"timeout", FLAG_TEXT}, {"start-period", FLAG_TEXT},
    {"start-interval", FLAG_TEXT}, {"retries", FLAG_TEXT}, {0},
};

static int duration(const struct decoder *d, const char *name, int64_t *to, struct err *err)
{
    const char *text = flag_text(d, name);
    int64_t ns = 0;

    if (!text)
        return 0;
    if (duration_parse(text, &ns) < 0)
        return err_invalid(err, "time: invalid duration %s", text_quote(d->a, text));
    if (ns != 0 && ns < NS_PER_MS)
        return err_invalid(err, "Interval \"%s\" cannot be less than 1ms", name);
    *to = ns;
    return 0;
}

static int retries(const struct decoder *d, struct oci_image_health *h, struct err *err)
{
    const char *text = flag_text(d, "retries");
    int64_t n = 0;

    if (!text)
        return 0;
    if (str_to_i64(text, &n) < 0 || n > INT32_MAX || n < INT32_MIN)
        return err_invalid(err, "strconv.ParseInt: parsing %s: invalid syntax",
                           text_quote(d->a, text));
    if (n < 0)
        return err_invalid(err, "--retries cannot be negative (%lld)", (long long)n);
    h->retries = n;
    return 0;
}

static int take_times(const struct decoder *d, struct oci_image_health *h, struct err *err)
{
    const struct {
        const char *name;
        int64_t *to;
    } times[] = {
        {"interval", &h->interval_ns},
        {"timeout", &h->timeout_ns},
        {"start-period", &h->start_period_ns},
        {"start-interval", &h->start_interval_ns},
    };
    int r = 0;

    for (size_t i = 0; r >= 0 && i < sizeof(times) / sizeof(times[0]); i++)
        r = duration(d, times[i].name, times[i].to, err);
    return r < 0 ? r : retries(d, h, err);
}

/* "CMD ..." behind the flags. */
static int take_probe(struct decoder *d, const char *args, struct oci_image_health *h,
                      struct err *err)
{
    struct ins_command c = {0};
    int r = take_command(d, args, &c, err);

    if (r < 0)
        return r;
    if (c.shell ? !*args : c.argv.n == 0)
        return err_invalid(err, "Missing command after HEALTHCHECK CMD");
    strv_push(d->a, &h->test, c.shell ? "CMD-SHELL" : "CMD");
    if (c.shell)
        strv_push(d->a, &h->test, c.text);
    for (size_t i = 0; i < c.argv.n; i++)
        strv_push(d->a, &h->test, c.argv.v[i]);
    return 0;
}

int decode_healthcheck(struct decoder *d, struct ins *ins, struct err *err)
{
    size_t n = strcspn(d->args, " \t");
    const char *args = text_skip(d->args + n);
    char *type = arena_strndup(d->a, d->args, n);

    int r = need_args(d, err);
    if (r >= 0)
        r = flags_check(d, health_flags, err);
    if (r < 0)
        return r;
    for (char *p = type; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    if (strcmp(type, "NONE") == 0) {
        strv_push(d->a, &ins->health.test, "NONE");
        return *args ? err_invalid(err, "HEALTHCHECK NONE takes no arguments") : 0;
    }
    if (strcmp(type, "CMD") != 0)
        return err_invalid(err, "Unknown type %s in HEALTHCHECK (try CMD)", text_quote(d->a, type));
    r = take_probe(d, args, &ins->health, err);
    return r < 0 ? r : take_times(d, &ins->health, err);
}
