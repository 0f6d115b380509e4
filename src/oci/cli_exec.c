/* exec. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/json.h"
#include "oci/cli-priv.h"

#define PROCESS_MAX (4 * 1024 * 1024)
#define FDS_PRESERVED_MAX 64

struct exec_opts {
    const char *console_socket, *cwd, *user, *process, *pid_file, *apparmor, *label, *cgroup;
    struct strv env, gids, caps;
    bool tty, detach, no_new_privs, ignore_paused;
    int64_t *preserve_fds;
};

#define O(m) offsetof(struct exec_opts, m)

static const struct cli_opt table[] = {
    {"console-socket", 0, CLI_STR, O(console_socket), "PATH", "who gets the terminal"},
    {"cwd", 0, CLI_STR, O(cwd), "DIR", "working directory"},
    {"env", 'e', CLI_STRV, O(env), "NAME=VALUE", "environment (may be repeated)"},
    {"tty", 't', CLI_BOOL, O(tty), NULL, "with a terminal"},
    {"user", 'u', CLI_STR, O(user), "UID[:GID]", "user"},
    {"additional-gids", 'g', CLI_STRV, O(gids), "GID", "further groups"},
    {"process", 'p', CLI_STR, O(process), "FILE", "process.json"},
    {"detach", 'd', CLI_BOOL, O(detach), NULL, "do not wait for the end"},
    {"pid-file", 0, CLI_STR, O(pid_file), "FILE", "write the pid there"},
    {"process-label", 0, CLI_STR, O(label), "LABEL", "SELinux label (not supported)"},
    {"apparmor", 0, CLI_STR, O(apparmor), "PROFILE", "AppArmor profile"},
    {"no-new-privs", 0, CLI_BOOL, O(no_new_privs), NULL, "no_new_privs"},
    {"cap", 'c', CLI_STRV, O(caps), "CAP", "further capability"},
    {"preserve-fds", 0, CLI_I64, O(preserve_fds), "N", "pass on N descriptors from 3"},
    {"cgroup", 0, CLI_STR, O(cgroup), "PATH", "sub-cgroup"},
    {"ignore-paused", 0, CLI_BOOL, O(ignore_paused), NULL, "do not refuse when paused"},
    {"no-subreaper", 0, CLI_IGNORED_BOOL, 0, NULL, "ignored"},
    {NULL, 0, CLI_BOOL, 0, NULL, NULL},
};

/* ---- the process ---- */

static int parse_id(const char *s, const char *what, uint32_t *ret, struct err *err)
{
    uint64_t v;

    if (str_to_u64(s, &v) < 0 || v > UINT32_MAX - 1)
        return err_invalid(err, "%s \"%s\" is not a number", what, s);
    *ret = (uint32_t)v;
    return 0;
}

static int set_user(struct arena *a, const struct exec_opts *o, struct oci_user *u, struct err *err)
{
    int r = 0;

    if (!str_empty(o->user)) {
        struct strv parts = str_split(a, o->user, ':');
        r = parse_id(parts.v[0], "user", &u->uid, err);
        if (r == 0 && parts.n > 1)
            r = parse_id(parts.v[1], "group", &u->gid, err);
    }
    for (size_t i = 0; i < o->gids.n && r == 0; i++) {
        uint32_t gid = 0;
        r = parse_id(o->gids.v[i], "group", &gid, err);
        arena_push(a, u->additional_gids) = gid;
    }
    return r;
}

static void add_caps(struct arena *a, const struct strv *names, struct oci_process *p)
{
    if (!p->capabilities)
        p->capabilities = arena_new(a, struct oci_capabilities);
    struct strv *const sets[] = {&p->capabilities->bounding, &p->capabilities->effective,
                                 &p->capabilities->permitted};
    for (size_t i = 0; i < names->n; i++)
        for (size_t k = 0; k < sizeof(sets) / sizeof(sets[0]); k++)
            if (!strv_has(sets[k], names->v[i]))
                strv_push(a, sets[k], names->v[i]);
}

/* The container's own process, with what the flags change. */
static int from_flags(struct arena *a, const struct exec_opts *o, const struct oci_process *base,
                      char **argv, struct oci_process **ret, struct err *err)
{
    struct oci_process *p = json_clone(&oci_process_type, base, a);

    if (!*argv)
        return err_invalid(err, "exec args cannot be empty");
    p->args = (struct strv){0};
    for (; *argv; argv++)
        strv_push(a, &p->args, *argv);
    p->terminal = o->tty;
    p->console_size = NULL;
    if (!str_empty(o->cwd))
        p->cwd = arena_strdup(a, o->cwd);
    for (size_t i = 0; i < o->env.n; i++)
        strv_env_set(a, &p->env, o->env.v[i]);
    if (o->caps.n)
        add_caps(a, &o->caps, p);
    if (!str_empty(o->apparmor))
        p->apparmor_profile = arena_strdup(a, o->apparmor);
    p->no_new_privileges |= o->no_new_privs;
    *ret = p;
    return set_user(a, o, &p->user, err);
}

static int from_file(struct arena *a, const char *path, struct oci_process **ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    struct oci_process *p = arena_new(a, struct oci_process);
    int r = read_file_at(AT_FDCWD, path, PROCESS_MAX, &text, err);

    if (r == 0)
        r = json_decode(&oci_process_type, buf_str(&text), text.len, a, p, 0, err);
    if (r < 0)
        return err_wrap(err, r, "%s", path);
    *ret = p;
    return 0;
}

/* ---- running it ---- */

struct running {
    struct cli_state s;
    struct cgroup_host *host;
    struct cgroup *cg;
    struct oci_init init;
    struct buf bpf;
    int fds[FDS_PRESERVED_MAX];
    int pidfd;
};

static int check_status(const struct cli_state *s, const struct exec_opts *o, struct err *err)
{
    enum cli_status st = CLI_STOPPED;
    int r = cli_status(s, &st, err);

    if (r < 0)
        return r;
    if (st == CLI_STOPPED)
        return err_as(err, ERR_CONFLICT, ESRCH, "cannot exec in a stopped container");
    if (st == CLI_PAUSED && !o->ignore_paused)
        return err_as(err, ERR_CONFLICT, EBUSY,
                      "cannot exec in a paused container (use "
                      "--ignore-paused to override)");
    return 0;
}

static int exec_cgroup(struct arena *a, struct running *x, const struct exec_opts *o,
                       struct err *err)
{
    const char *sub = str_or(o->cgroup, "");

    return cli_cgroup(*sub ? arena_printf(a, "%s/%s", x->s.cgroup, sub + (*sub == '/'))
                           : x->s.cgroup,
                      &x->host, &x->cg, err);
}

static int launch(struct cli *cli, struct running *x, const struct exec_opts *o,
                  const struct oci_process *p, struct err *err)
{
    struct oci_exec e = {.pidfd = x->pidfd,
                         .pid = (pid_t)x->s.pid,
                         .process = p,
                         .spec = x->s.spec,
                         .cgroup = x->cg,
                         .stdio = {-1, -1, -1},
                         .new_session = true,
                         .extra_fds = x->fds};
    int64_t n = o->preserve_fds ? *o->preserve_fds : 0;

    if (n < 0 || n > FDS_PRESERVED_MAX)
        return err_invalid(err, "--preserve-fds %lld is out of range", (long long)n);
    for (int i = 0; i < n; i++)
        x->fds[i] = 3 + i;
    e.nextra_fds = (size_t)n;
    int r = cli_seccomp(x->s.spec, &x->bpf, &e.seccomp_flags, err);
    e.seccomp_bpf = x->bpf.data;
    e.seccomp_len = x->bpf.len;
    if (r == 0)
        r = oci_exec(&e, &x->init, err);
    if (r < 0)
        return r;
    cli_warnings(cli, x->init.warnings);
    if (x->init.console >= 0 && !str_empty(o->console_socket))
        r = io_console_send(o->console_socket, x->init.console, err);
    return r < 0 ? r : io_pid_file(o->pid_file, x->init.pid, err);
}

static int run(struct cli *cli, struct running *x, const struct exec_opts *o, char **argv,
               struct err *err)
{
    struct oci_process *p = NULL;
    int r = check_status(&x->s, o, err);

    if (r == 0)
        r = !str_empty(o->process) ? from_file(&cli->arena, o->process, &p, err)
                                   : from_flags(&cli->arena, o, x->s.spec->process, argv, &p, err);
    if (r == 0 && o->tty)
        p->terminal = true;
    if (r == 0 && p->terminal && o->detach && str_empty(o->console_socket))
        r = err_invalid(err,
                        "cannot allocate tty if runc will detach without setting console socket");
    if (r == 0 && !o->detach) {
        io_own_size(&cli->arena, p);
        r = io_hold_signals(err);
    }
    if (r == 0)
        r = x->pidfd = state_pidfd(&x->s, err);
    if (r >= 0)
        r = exec_cgroup(&cli->arena, x, o, err);
    if (r == 0)
        r = launch(cli, x, o, p, err);
    if (r < 0 || o->detach)
        return r;
    return io_foreground(&x->init, err);
}

int cmd_exec(struct cli *cli, char **argv, struct err *err)
{
    struct exec_opts o = {0};
    struct running x = {.init = OCI_INIT_NONE, .pidfd = -1, .s = {.dir = -1}};
    int r = cli_parse(table, &cli->arena, &o, &argv, err);

    if (r > 0) {
        cli_usage(table, "exec [OPTION...] ID COMMAND [ARG...]");
        return 0;
    }
    if (r == 0 && !*argv)
        r = err_invalid(err, "exec wants a container's id");
    if (r == 0)
        r = state_check_id(*argv, err);
    if (r == 0)
        r = state_load(cli, *argv, &x.s, err);
    if (r == 0)
        r = run(cli, &x, &o, argv + 1, err);
    oci_init_done(&x.init);
    cgroup_free(x.cg);
    cgroup_host_free(x.host);
    buf_done(&x.bpf);
    close_fd(&x.pidfd);
    close_fd(&x.s.dir);
    if (r < 0) {
        (void)err_wrap(err, r, "exec failed");
        cli_log(cli, "error", err->msg);
        return 255; /* as runc: 1 could be the command's own code */
    }
    return r;
}
