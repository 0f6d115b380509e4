/* Commands on containers that exist: kill, delete, pause, resume, state, list, ps. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/json.h"
#include "kern/pidfd.h"
#include "kern/sig.h"
#include "oci/cli-priv.h"

#define FREEZE_MS 10000
#define GONE_MS 10000

/* A loaded container with what most commands need. */
struct target {
    struct cli_state s;
    enum cli_status status;
    struct cgroup_host *host;
    struct cgroup *cg;
};

static void target_done(struct target *t)
{
    cgroup_free(t->cg);
    cgroup_host_free(t->host);
    close_fd(&t->s.dir);
}

static int target_load(struct cli *cli, const char *id, struct target *t, struct err *err)
{
    *t = (struct target){.s.dir = -1};
    int r = state_check_id(id, err);

    if (r == 0)
        r = state_load(cli, id, &t->s, err);
    if (r == 0)
        r = cli_status(&t->s, &t->status, err);
    if (r == 0)
        r = cli_cgroup(t->s.cgroup, &t->host, &t->cg, err);
    return r;
}

/* The options of a command that has an id as its first argument. */
static int parse_id(struct cli *cli, const struct cli_opt *table, const char *head, void *out,
                    char ***argv, struct target *t, struct err *err)
{
    *t = (struct target){.s.dir = -1};
    int r = cli_parse(table, &cli->arena, out, argv, err);

    if (r > 0)
        cli_usage(table, head);
    if (r)
        return r;
    if (!**argv)
        return err_invalid(err, "the container's id is missing");
    const char *id = *(*argv)++;
    /* runc takes flags behind the id, too: "kill ID --all" */
    r = cli_parse(table, &cli->arena, out, argv, err);
    return r ? r : target_load(cli, id, t, err);
}

static const struct cli_opt no_opts[] = {{NULL, 0, CLI_BOOL, 0, NULL, NULL}};

/* ---- kill ---- */

struct kill_opts {
    bool all;
};

static int kill_target(struct target *t, int sig, bool all, struct err *err)
{
    /* Without a pid namespace the others outlive init: they are the container, too. */
    all |= !oci_spec_ns(t->s.spec, "pid") && sig == SIGKILL;
    if (t->status == CLI_STOPPED && !all)
        return err_as(err, ERR_CONFLICT, ESRCH, "container not running");
    if (all)
        return cgroup_kill(t->cg, sig, err);
    auto_close int pidfd = state_pidfd(&t->s, err);
    int r = pidfd < 0 ? pidfd : oci_kill(pidfd, t->cg, sig, false, err);
    /* A frozen process takes no signal: only SIGKILL gets through, and on v1 not even that. */
    if (r >= 0 && t->status == CLI_PAUSED && sig == SIGKILL)
        r = cgroup_thaw(t->cg, err);
    return r < 0 ? r : 0;
}

int cmd_kill(struct cli *cli, char **argv, struct err *err)
{
    static const struct cli_opt table[] = {
        {"all", 'a', CLI_BOOL, offsetof(struct kill_opts, all), NULL, "all processes"},
        {NULL, 0, CLI_BOOL, 0, NULL, NULL},
    };
    struct kill_opts o = {0};
    struct target t;
    int r = parse_id(cli, table, "kill [OPTION...] ID [SIGNAL]", &o, &argv, &t, err);

    if (r == 0) {
        int sig = sig_parse(str_or(*argv, "SIGTERM"));
        r = sig < 0 ? err_invalid(err, "unknown signal \"%s\"", *argv)
                    : kill_target(&t, sig, o.all, err);
    }
    target_done(&t);
    return r < 0 ? r : 0;
}

/* ---- delete ---- */

struct delete_opts {
    bool force;
};

int cli_delete(struct cli *cli, const struct cli_state *s, struct err *err)
{
    struct cgroup_host *host = NULL;
    struct cgroup *cg = NULL;
    auto_buf struct buf state = BUF_INIT;
    struct oci_create c = {.id = s->id, .spec = s->spec, .bundle = s->bundle};
    int r = cli_cgroup(s->cgroup, &host, &cg, err);

    if (r == 0)
        r = cgroup_kill(cg, SIGKILL, err);
    if (r == 0)
        r = cgroup_delete(cg, GONE_MS, err);
    cgroup_free(cg);
    cgroup_host_free(host);
    if (r == 0)
        r = state_remove(cli, s->id, err);
    if (r < 0 || !s->spec->hooks)
        return r;
    oci_state_json(&c, "stopped", 0, &state);
    struct err e = {0};
    if (oci_hooks_run(&s->spec->hooks->poststop, "poststop", buf_str(&state), &e) < 0)
        cli_log(cli, "warning", e.msg);
    return 0;
}

static int stop_by_force(struct target *t, struct err *err)
{
    auto_close int pidfd = state_pidfd(&t->s, NULL);

    if (pidfd < 0)
        return 0;
    int r = pidfd_signal(pidfd, SIGKILL, err);
    if (r >= 0 && t->status == CLI_PAUSED)
        r = cgroup_thaw(t->cg, err);
    if (r >= 0)
        r = pidfd_wait_exit(pidfd, GONE_MS, err);
    if (r == 0)
        return err_no(err, ETIMEDOUT, "wait for the end of container %s", t->s.id);
    return r < 0 ? r : 0;
}

/* A directory without a readable state is what a crash inside create leaves. */
static int delete_broken(struct cli *cli, const char *id, int r, struct err *err)
{
    if (state_check_id(id, NULL) < 0)
        return r;
    err_clear(err);
    return state_remove(cli, id, err);
}

int cmd_delete(struct cli *cli, char **argv, struct err *err)
{
    static const struct cli_opt table[] = {
        {"force", 'f', CLI_BOOL, offsetof(struct delete_opts, force), NULL, "kill it first"},
        {NULL, 0, CLI_BOOL, 0, NULL, NULL},
    };
    struct delete_opts o = {0};
    struct target t;
    char **id = argv;
    int r = parse_id(cli, table, "delete [OPTION...] ID", &o, &argv, &t, err);

    if (r < 0 && o.force && argv > id && access(cli->root, F_OK) == 0)
        r = delete_broken(cli, argv[-1], r, err);
    else if (r < 0 && o.force && argv > id)
        r = 0;
    else if (r == 0 && t.status != CLI_STOPPED && !o.force)
        r = err_conflict(err, "cannot delete container %s that is not stopped: %s", t.s.id,
                         cli_status_name(t.status));
    else if (r == 0) {
        r = stop_by_force(&t, err);
        if (r == 0)
            r = cli_delete(cli, &t.s, err);
    }
    target_done(&t);
    return r < 0 ? r : 0;
}

/* ---- pause, resume ---- */

int cmd_pause(struct cli *cli, char **argv, struct err *err)
{
    struct target t;
    int r = parse_id(cli, no_opts, "pause ID", NULL, &argv, &t, err);

    if (r == 0 && t.status != CLI_RUNNING && t.status != CLI_CREATED)
        r = err_conflict(err, "container not running or created: %s", cli_status_name(t.status));
    if (r == 0)
        r = cgroup_freeze(t.cg, FREEZE_MS, err);
    target_done(&t);
    return r < 0 ? r : 0;
}

int cmd_resume(struct cli *cli, char **argv, struct err *err)
{
    struct target t;
    int r = parse_id(cli, no_opts, "resume ID", NULL, &argv, &t, err);

    if (r == 0 && t.status != CLI_PAUSED)
        r = err_conflict(err, "container not paused");
    if (r == 0)
        r = cgroup_thaw(t.cg, err);
    target_done(&t);
    return r < 0 ? r : 0;
}

/* ---- state, list ---- */

static void put_state(struct json_w *w, const struct target *t)
{
    const struct cli_state *s = &t->s;
    struct {
        const char *key, *val;
    } strings[] = {
        {"bundle", s->bundle}, {"rootfs", s->rootfs}, {"created", s->created}, {"owner", s->owner}};

    json_w_obj(w);
    json_w_key(w, "ociVersion");
    json_w_str(w, s->oci_version);
    json_w_key(w, "id");
    json_w_str(w, s->id);
    json_w_key(w, "pid");
    json_w_i64(w, t->status == CLI_STOPPED ? 0 : s->pid);
    json_w_key(w, "status");
    json_w_str(w, cli_status_name(t->status));
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        json_w_key(w, strings[i].key);
        json_w_str(w, str_or(strings[i].val, ""));
    }
    const struct strmap *notes = &s->spec->annotations;
    if (notes->n) {
        json_w_key(w, "annotations");
        json_w_obj(w);
        for (size_t i = 0; i < notes->n; i++) {
            json_w_key(w, notes->v[i].key);
            json_w_str(w, notes->v[i].val);
        }
        json_w_end_obj(w);
    }
    json_w_end_obj(w);
}

int cmd_state(struct cli *cli, char **argv, struct err *err)
{
    auto_buf struct buf text = BUF_INIT, nice = BUF_INIT;
    struct json_w w = {.out = &text};
    struct target t;
    int r = parse_id(cli, no_opts, "state ID", NULL, &argv, &t, err);

    if (r == 0) {
        put_state(&w, &t);
        json_pretty(text.data, text.len, "", "  ", &nice);
        (void)puts(nice.data);
    }
    target_done(&t);
    return r < 0 ? r : 0;
}

struct list_opts {
    const char *format;
    bool quiet;
};

static void list_row(const struct target *t)
{
    (void)printf("%-11s %-11lld %-11s %-19s %-30s %s\n", t->s.id,
                 t->status == CLI_STOPPED ? 0LL : (long long)t->s.pid, cli_status_name(t->status),
                 str_or(t->s.bundle, ""), str_or(t->s.created, ""), "root");
}

int cmd_list(struct cli *cli, char **argv, struct err *err)
{
    static const struct cli_opt table[] = {
        {"format", 'f', CLI_STR, offsetof(struct list_opts, format), "table|json", "output"},
        {"quiet", 'q', CLI_BOOL, offsetof(struct list_opts, quiet), NULL, "ids only"},
        {NULL, 0, CLI_BOOL, 0, NULL, NULL},
    };
    auto_buf struct buf text = BUF_INIT;
    struct json_w w = {.out = &text};
    struct list_opts o = {.format = "table"};
    struct strv ids = {0};
    int r = cli_parse(table, &cli->arena, &o, &argv, err);

    if (r > 0)
        cli_usage(table, "list [OPTION...]");
    if (r == 0 && !str_eq(o.format, "table") && !str_eq(o.format, "json"))
        r = err_invalid(err, "invalid format option");
    if (r == 0)
        r = state_list(cli, &ids, err);
    if (r)
        return r < 0 ? r : 0;
    bool json = str_eq(o.format, "json");
    json_w_arr(&w);
    if (!json && !o.quiet)
        (void)printf("%-11s %-11s %-11s %-19s %-30s %s\n", "ID", "PID", "STATUS", "BUNDLE",
                     "CREATED", "OWNER");
    for (size_t i = 0; i < ids.n; i++) {
        struct target t;
        if (target_load(cli, ids.v[i], &t, NULL) == 0) { /* else deleted meanwhile */
            if (o.quiet)
                (void)puts(ids.v[i]);
            else if (json)
                put_state(&w, &t);
            else
                list_row(&t);
        }
        target_done(&t);
    }
    json_w_end_arr(&w);
    if (json && !o.quiet)
        (void)puts(text.data);
    return 0;
}

/* ---- ps ---- */

struct ps_opts {
    const char *format;
};

static void ps_json(const struct pid_list *pids)
{
    (void)putchar('[');
    for (size_t i = 0; i < pids->n; i++)
        (void)printf("%s%d", i ? "," : "", pids->v[i]);
    (void)puts("]");
}

/* The lines of ps(1) whose PID column names one of ours. */
static int ps_filter(FILE *in, const struct pid_list *pids, struct err *err)
{
    auto_free char *line = NULL;
    size_t size = 0;
    int column = -1;

    while (getline(&line, &size, in) > 0) {
        auto_arena struct arena a = ARENA_INIT;
        char *save = NULL, *copy = arena_strdup(&a, line);
        int i = 0;
        bool head = column < 0, ours = false;
        for (char *w = strtok_r(copy, " \t\n", &save); w; w = strtok_r(NULL, " \t\n", &save), i++) {
            if (head && strcmp(w, "PID") == 0)
                column = i;
            for (size_t k = 0; !head && i == column && k < pids->n; k++)
                ours |= pids->v[k] == (pid_t)strtol(w, NULL, 10);
        }
        if (head && column < 0)
            return err_invalid(err, "couldn't find PID field in ps output");
        if (head || ours)
            (void)fputs(line, stdout);
    }
    return 0;
}

static int ps_table(char **args, const struct pid_list *pids, struct err *err)
{
    char *standard[] = {(char *)"ps", (char *)"-ef", NULL};
    int out[2];

    if (pipe2(out, O_CLOEXEC) < 0)
        return err_sys(err, "make a pipe");
    pid_t pid = fork();
    if (pid == 0) {
        char **argv = *args ? args - 1 : standard;
        argv[0] = standard[0];
        (void)dup2(out[1], 1);
        execvp("ps", argv);
        _exit(127);
    }
    (void)close(out[1]);
    auto_file FILE *in = fdopen(out[0], "r");
    int r = pid < 0 || !in ? err_sys(err, "run ps") : ps_filter(in, pids, err);
    int status = 0;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return r == 0 && status ? err_as(err, ERR_SYSTEM, ECHILD, "ps failed") : r;
}

int cmd_ps(struct cli *cli, char **argv, struct err *err)
{
    static const struct cli_opt table[] = {
        {"format", 'f', CLI_STR, offsetof(struct ps_opts, format), "table|json", "output"},
        {NULL, 0, CLI_BOOL, 0, NULL, NULL},
    };
    struct ps_opts o = {.format = "table"};
    struct target t = {.s.dir = -1};
    struct pid_list pids = {0};
    int r = cli_parse(table, &cli->arena, &o, &argv, err);

    if (r > 0)
        cli_usage(table, "ps [OPTION...] ID [PS OPTION...]");
    if (r == 0 && !*argv)
        r = err_invalid(err, "the container's id is missing");
    if (r == 0)
        r = target_load(cli, *argv, &t, err);
    if (r == 0)
        r = cgroup_pids(t.cg, &pids, err);
    if (r == 0 && str_eq(o.format, "json"))
        ps_json(&pids);
    else if (r == 0)
        r = ps_table(argv + 1, &pids, err);
    free(pids.v);
    target_done(&t);
    return r < 0 ? r : 0;
}

/* ---- update ---- */

struct update_opts {
    const char *resources, *cpus, *mems;
    int64_t *blkio_weight, *cpu_period, *cpu_quota, *cpu_share, *cpu_burst, *cpu_idle, *memory,
        *reservation, *swap, *pids, *rt_period, *rt_runtime, *kernel, *kernel_tcp;
};

#define U(m) offsetof(struct update_opts, m)

static const struct cli_opt update_table[] = {
    {"resources", 'r', CLI_STR, U(resources), "FILE", "linux.resources as JSON (- is stdin)"},
    {"blkio-weight", 0, CLI_I64, U(blkio_weight), "N", "10..1000"},
    {"cpu-period", 0, CLI_I64, U(cpu_period), "US", "CFS period"},
    {"cpu-quota", 0, CLI_I64, U(cpu_quota), "US", "CFS quota"},
    {"cpu-burst", 0, CLI_I64, U(cpu_burst), "US", "CFS burst"},
    {"cpu-share", 0, CLI_I64, U(cpu_share), "N", "shares"},
    {"cpu-rt-period", 0, CLI_I64, U(rt_period), "US", "real-time period"},
    {"cpu-rt-runtime", 0, CLI_I64, U(rt_runtime), "US", "real-time runtime"},
    {"cpuset-cpus", 0, CLI_STR, U(cpus), "LIST", "CPUs"},
    {"cpuset-mems", 0, CLI_STR, U(mems), "LIST", "memory nodes"},
    {"kernel-memory", 0, CLI_I64, U(kernel), "B", "ignored by the kernel"},
    {"kernel-memory-tcp", 0, CLI_I64, U(kernel_tcp), "B", "TCP buffers"},
    {"memory", 0, CLI_I64, U(memory), "B", "memory"},
    {"memory-reservation", 0, CLI_I64, U(reservation), "B", "soft limit"},
    {"memory-swap", 0, CLI_I64, U(swap), "B", "memory and swap, -1: no limit"},
    {"pids-limit", 0, CLI_I64, U(pids), "N", "processes"},
    {"cpu-idle", 0, CLI_I64, U(cpu_idle), "0|1", "SCHED_IDLE"},
    {NULL, 0, CLI_BOOL, 0, NULL, NULL},
};

static int read_limits(struct cli *cli, const char *path, struct cgroup_limits *lim,
                       struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = str_eq(path, "-") ? read_fd(0, 1 << 20, &text, err)
                              : read_file_at(AT_FDCWD, path, 1 << 20, &text, err);

    return r < 0 ? r
                 : json_decode(&oci_resources_type, buf_str(&text), text.len, &cli->arena, lim, 0,
                               err);
}

static void flags_to_limits(struct arena *a, const struct update_opts *o, struct cgroup_limits *lim)
{
    lim->memory = arena_new(a, struct cgroup_memory);
    lim->cpu = arena_new(a, struct cgroup_cpu);
    *lim->memory = (struct cgroup_memory){.limit = o->memory,
                                          .reservation = o->reservation,
                                          .swap = o->swap,
                                          .kernel_tcp = o->kernel_tcp};
    *lim->cpu = (struct cgroup_cpu){.shares = o->cpu_share ? (uint64_t)*o->cpu_share : 0,
                                    .quota = o->cpu_quota,
                                    .period = o->cpu_period ? (uint64_t)*o->cpu_period : 0,
                                    .burst = o->cpu_burst,
                                    .idle = o->cpu_idle,
                                    .rt_runtime = o->rt_runtime,
                                    .rt_period = o->rt_period ? (uint64_t)*o->rt_period : 0,
                                    .cpus = arena_strdup(a, str_or(o->cpus, "")),
                                    .mems = arena_strdup(a, str_or(o->mems, ""))};
    if (o->pids) {
        lim->pids = arena_new(a, struct cgroup_pids);
        lim->pids->limit = *o->pids;
    }
    if (o->blkio_weight) {
        lim->block_io = arena_new(a, struct cgroup_block_io);
        lim->block_io->weight = (uint32_t)*o->blkio_weight;
    }
}

int cmd_update(struct cli *cli, char **argv, struct err *err)
{
    struct update_opts o = {0};
    struct cgroup_limits lim = {0};
    struct target t;
    int r = parse_id(cli, update_table, "update [OPTION...] ID", &o, &argv, &t, err);

    if (r == 0 && t.status == CLI_STOPPED)
        r = err_conflict(err, "container not running");
    if (r == 0 && !str_empty(o.resources))
        r = read_limits(cli, o.resources, &lim, err);
    else if (r == 0)
        flags_to_limits(&cli->arena, &o, &lim);
    if (r == 0)
        r = cgroup_apply(t.cg, &lim, err);
    target_done(&t);
    return r < 0 ? r : 0;
}
