/* create, run, start. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/time.h"
#include "kern/proc.h"
#include "kern/seccomp.h"
#include "oci/cli-priv.h"

#define CONFIG_MAX (16 * 1024 * 1024)
#define FDS_PRESERVED_MAX 64

struct create_opts {
    const char *bundle, *console_socket, *pid_file;
    bool detach, keep, no_pivot, no_new_keyring;
    int64_t *preserve_fds;
};

#define O(m) offsetof(struct create_opts, m)

#define CREATE_OPTS                                                                                \
    {"bundle", 'b', CLI_STR, O(bundle), "DIR", "directory with config.json (.)"},                  \
        {"console-socket", 0, CLI_STR, O(console_socket), "PATH", "who gets the terminal"},        \
        {"pid-file", 0, CLI_STR, O(pid_file), "FILE", "write init's pid there"},                   \
        {"no-pivot", 0, CLI_BOOL, O(no_pivot), NULL, "chroot instead of pivot_root"},              \
        {"no-new-keyring", 0, CLI_BOOL, O(no_new_keyring), NULL, "keep the session keyring"},      \
        {"preserve-fds", 0, CLI_I64, O(preserve_fds), "N", "pass on N descriptors from 3"},        \
    {                                                                                              \
        "no-subreaper", 0, CLI_IGNORED_BOOL, 0, NULL, "ignored"                                    \
    }

static const struct cli_opt create_table[] = {CREATE_OPTS, {NULL, 0, CLI_BOOL, 0, NULL, NULL}};
static const struct cli_opt run_table[] = {
    CREATE_OPTS,
    {"detach", 'd', CLI_BOOL, O(detach), NULL, "do not wait for the end"},
    {"keep", 0, CLI_BOOL, O(keep), NULL, "do not delete it after the end"},
    {NULL, 0, CLI_BOOL, 0, NULL, NULL},
};

/* ---- preparing ---- */

struct made {
    struct cli_state state;
    struct oci_create c;
    struct oci_init init;
    struct cgroup_host *host;
    struct cgroup *cg;
    struct buf bpf;
    int fds[FDS_PRESERVED_MAX];
    int start_fd;
};

static void made_done(struct made *m)
{
    oci_init_done(&m->init);
    cgroup_free(m->cg);
    cgroup_host_free(m->host);
    buf_done(&m->bpf);
    close_fd(&m->start_fd);
    close_fd(&m->state.dir);
}

static int load_bundle(struct cli *cli, const char *bundle, struct cli_state *s, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    auto_free char *real = realpath(bundle, NULL);

    if (!real)
        return err_sys(err, "bundle %s", bundle);
    s->bundle = arena_strdup(&cli->arena, real);
    auto_close int dir = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = dir < 0 ? err_sys(err, "open bundle %s", real)
                    : read_file_at(dir, "config.json", CONFIG_MAX, &text, err);
    if (r < 0)
        return r;
    r = oci_spec_decode(buf_str(&text), text.len, &cli->arena, &s->spec, err);
    if (r < 0)
        return r;
    const char *root = s->spec->root->path;
    s->rootfs = *root == '/' ? s->spec->root->path : arena_printf(&cli->arena, "%s/%s", real, root);
    return 0;
}

/* Absolute is taken as it is; relative lies below our own parent, as the specification allows. */
static char *cgroup_path_of(struct cli *cli, const struct oci_spec *spec, const char *id)
{
    const char *p = str_or(spec->lnx->cgroups_path, id);

    return arena_printf(&cli->arena, "%s%s", *p == '/' ? "" : CGROUP_DEFAULT_PARENT "/", p);
}

static int collect_fds(struct made *m, const struct create_opts *o, struct err *err)
{
    int64_t n = o->preserve_fds ? *o->preserve_fds : 0;
    const char *listen = getenv("LISTEN_FDS"); /* systemd's sockets come before the others */
    uint64_t nlisten = 0;

    if (listen && str_to_u64(listen, &nlisten) == 0 && nlisten <= FDS_PRESERVED_MAX)
        n += (int64_t)nlisten;
    if (n < 0 || n > FDS_PRESERVED_MAX)
        return err_invalid(err, "--preserve-fds %lld is out of range", (long long)n);
    for (int i = 0; i < n; i++) {
        m->fds[i] = 3 + i;
        if (fcntl(3 + i, F_GETFD) < 0)
            return err_sys(err, "please check that preserved-fds %lld (of %lld) exists",
                           (long long)i, (long long)n);
    }
    m->c.extra_fds = m->fds;
    m->c.nextra_fds = (size_t)n;
    return 0;
}

static int fill_create(struct made *m, const struct create_opts *o, struct err *err)
{
    const struct cli_state *s = &m->state;

    m->c = (struct oci_create){
        .id = s->id,
        .spec = s->spec,
        .bundle = s->bundle,
        .bundle_fd = -1,
        .rootfs_fd = -1,
        .stdio = {-1, -1, -1},
        .new_session = true,
        .cgroup = m->cg,
        .flags = (o->no_pivot ? OCI_NO_PIVOT : 0U) | (o->no_new_keyring ? OCI_NO_NEW_KEYRING : 0U),
        .start_fd = m->start_fd,
    };
    int r = cli_seccomp(s->spec, &m->bpf, &m->c.seccomp_flags, err);
    m->c.seccomp_bpf = m->bpf.data;
    m->c.seccomp_len = m->bpf.len;
    return r < 0 ? r : collect_fds(m, o, err);
}

/* Saved before anything exists, so that a crash leaves something that delete understands; then
 * again with the pid. */
static int record(struct cli *cli, struct made *m, struct err *err)
{
    struct proc_stat st = {0};
    char when[TIME_TEXT];
    int r = m->init.pid ? proc_stat_read(m->init.pid, &st, err) : 0;

    if (r < 0)
        return r;
    m->state.oci_version = (char *)OCI_VERSION;
    m->state.pid = m->init.pid;
    m->state.start_time = st.start_time;
    m->state.created = arena_strdup(&cli->arena, time_rfc3339(now_ns(), when));
    m->state.owner = (char *)"";
    return state_save(&m->state, err);
}

static int check_terminal(const struct made *m, const struct create_opts *o, bool run,
                          struct err *err)
{
    bool tty = m->state.spec->process->terminal;

    if (tty && (!run || o->detach) && str_empty(o->console_socket))
        return err_invalid(err, "cannot allocate tty if runc will detach without setting console "
                                "socket");
    if (!str_empty(o->console_socket) && !tty)
        return err_invalid(err,
                           "cannot use console socket if runc will not detach or allocate tty");
    return 0;
}

/* Everything behind the container's directory; the caller removes that on failure. */
static int make_container(struct cli *cli, struct made *m, const struct create_opts *o,
                          bool foreground, struct err *err)
{
    int r = check_terminal(m, o, foreground, err);

    if (foreground)
        io_own_size(&cli->arena, m->state.spec->process);
    if (r == 0)
        r = cli_cgroup(m->state.cgroup, &m->host, &m->cg, err);
    if (r == 0 && !foreground) {
        m->start_fd = state_socket(&m->state, true, err);
        r = m->start_fd < 0 ? m->start_fd : 0;
    }
    if (r == 0)
        r = fill_create(m, o, err);
    if (r == 0)
        r = oci_create(&m->c, &m->init, err);
    if (r < 0)
        return r;
    cli_warnings(cli, m->init.warnings);
    if (m->init.console >= 0 && !str_empty(o->console_socket))
        r = io_console_send(o->console_socket, m->init.console, err);
    if (r == 0)
        r = record(cli, m, err);
    if (r == 0)
        r = io_pid_file(o->pid_file, m->init.pid, err);
    if (r == 0 && m->start_fd >= 0)
        r = oci_detach(&m->init, err);
    if (r < 0) {
        struct oci_init dead = m->init;
        m->init = (struct oci_init)OCI_INIT_NONE;
        oci_abandon(&dead);
        (void)!cgroup_delete(m->cg, 2000, NULL);
    }
    return r;
}

static int create(struct cli *cli, const char *id, const struct create_opts *o, bool foreground,
                  struct made *m, struct err *err)
{
    *m = (struct made){.init = OCI_INIT_NONE, .start_fd = -1, .state = {.dir = -1}};
    int r = load_bundle(cli, str_or(o->bundle, "."), &m->state, err);

    if (r < 0)
        return r;
    m->state.id = arena_strdup(&cli->arena, id);
    m->state.cgroup = cgroup_path_of(cli, m->state.spec, id);
    m->state.dir = state_new(cli, id, err);
    if (m->state.dir < 0)
        return m->state.dir;
    r = record(cli, m, err);
    if (r == 0)
        r = make_container(cli, m, o, foreground, err);
    if (r < 0)
        (void)!state_remove(cli, id, NULL);
    return r;
}

/* ---- commands ---- */

static int parse(struct cli *cli, const struct cli_opt *table, const char *head, char **argv,
                 struct create_opts *o, const char **ret_id, struct err *err)
{
    int r = cli_parse(table, &cli->arena, o, &argv, err);

    if (r > 0)
        cli_usage(table, head);
    return r ? r : cli_one_id(argv, ret_id, err);
}

int cmd_create(struct cli *cli, char **argv, struct err *err)
{
    struct create_opts o = {0};
    struct made m;
    const char *id;
    int r = parse(cli, create_table, "create [OPTION...] ID", argv, &o, &id, err);

    if (r)
        return r < 0 ? r : 0;
    r = create(cli, id, &o, false, &m, err);
    if (r < 0)
        err_wrap(err, r, "container create failed");
    made_done(&m);
    return r;
}

/* In the foreground the terminal is relayed; then the container is deleted, unless it is kept. */
static int run_foreground(struct cli *cli, struct made *m, bool keep, struct err *err)
{
    int code = io_foreground(&m->init, err);

    if (keep)
        return code;
    int r = cli_delete(cli, &m->state, code < 0 ? NULL : err);
    return code < 0 || r == 0 ? code : r;
}

int cmd_run(struct cli *cli, char **argv, struct err *err)
{
    struct create_opts o = {0};
    struct made m;
    const char *id;
    int r = parse(cli, run_table, "run [OPTION...] ID", argv, &o, &id, err);

    if (r)
        return r < 0 ? r : 0;
    if (!o.detach) {
        r = io_hold_signals(err);
        if (r < 0)
            return r;
    }
    r = create(cli, id, &o, true, &m, err);
    if (r == 0) {
        r = oci_start(&m.c, &m.init, err);
        if (r < 0)
            (void)!cli_delete(cli, &m.state, NULL);
        else if (!o.detach)
            r = run_foreground(cli, &m, o.keep, err);
    }
    made_done(&m);
    return r;
}

int cmd_start(struct cli *cli, char **argv, struct err *err)
{
    struct cli_state s = {.dir = -1};
    enum cli_status st = CLI_STOPPED;
    const char *id;
    int r = cli_one_id(argv, &id, err);

    if (r == 0)
        r = state_load(cli, id, &s, err);
    if (r < 0)
        return r;
    auto_close int dir = s.dir;
    r = cli_status(&s, &st, err);
    if (r == 0 && st == CLI_STOPPED)
        return err_conflict(err, "cannot start a container that has stopped");
    if (r == 0 && st != CLI_CREATED)
        return err_conflict(err, "cannot start an already running container");
    struct oci_create c = {.id = s.id, .spec = s.spec, .bundle = s.bundle};
    struct oci_init init = OCI_INIT_NONE;
    init.pid = (pid_t)s.pid;
    if (r == 0)
        r = init.pidfd = state_pidfd(&s, err);
    if (r >= 0)
        r = init.sync = state_socket(&s, false, err);
    if (r >= 0)
        r = oci_start(&c, &init, err);
    cli_warnings(cli, init.warnings);
    oci_init_done(&init);
    return r;
}
