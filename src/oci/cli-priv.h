/*
 * The command line of cleat-oci: runc's commands and flags, so that containerd, CRI-O, Podman and
 * Docker can use it in runc's place. Each command is one function and one option table.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "kern/cgroup.h"
#include "oci/cli.h"
#include "oci/runtime.h"

#include <stdint.h>

/* ---- options ---- */

enum cli_kind { CLI_BOOL, CLI_STR, CLI_STRV, CLI_I64, CLI_IGNORED, CLI_IGNORED_BOOL };

struct cli_opt {
    const char *name; /* long name */
    char letter;      /* or 0 */
    enum cli_kind kind;
    size_t offset; /* bool, const char *, struct strv, int64_t * */
    const char *arg, *help;
};

/**
 * cli_parse() - options of @table into @out; stops at the first word that is no option
 * @argv: NULL-terminated, moved on to the rest
 * Return: 0; 1 when help was asked for; -EINVAL.
 */
int cli_parse(const struct cli_opt *table, struct arena *a, void *out, char ***argv,
              struct err *err) MUST;
void cli_usage(const struct cli_opt *table, const char *head);

struct cli {
    struct arena arena;
    bool debug, systemd_cgroup, version;
    const char *root, *log, *log_format;
};

struct command {
    const char *name, *args, *help;
    int (*run)(struct cli *cli, char **argv, struct err *err); /* exit code, or -errno */
};

/** cli_log() - to stderr and --log, in its format. */
void cli_log(const struct cli *cli, const char *level, const char *msg);
void cli_warnings(const struct cli *cli, unsigned warnings);

/* ---- state ---- */

struct cli_state {
    char *oci_version, *id;
    int64_t pid;
    uint64_t start_time; /* of @pid, against reuse */
    char *bundle, *rootfs, *created, *owner, *cgroup;
    struct oci_spec *spec; /* not in state.json: from the copy of config.json beside it */
    int dir;               /* not in state.json: fd of the container's directory */
};

enum cli_status { CLI_CREATED, CLI_RUNNING, CLI_PAUSED, CLI_STOPPED };

int state_check_id(const char *id, struct err *err) MUST;
/** state_new() - make the container's directory; -EEXIST when the id is taken. Return: dir fd. */
int state_new(const struct cli *cli, const char *id, struct err *err) MUST;
int state_save(const struct cli_state *s, struct err *err) MUST;
/** state_load() - read a container's state and spec. The caller closes s->dir. */
int state_load(struct cli *cli, const char *id, struct cli_state *ret, struct err *err) MUST;
int state_remove(const struct cli *cli, const char *id, struct err *err) MUST;
/** state_list() - ids, sorted. */
int state_list(struct cli *cli, struct strv *ret, struct err *err) MUST;
const char *cli_status_name(enum cli_status st);
int cli_status(const struct cli_state *s, enum cli_status *ret, struct err *err) MUST;
/** cli_cgroup() - handle of a container's cgroup; @host is opened too, both are the caller's. */
int cli_cgroup(const char *path, struct cgroup_host **host, struct cgroup **ret,
               struct err *err) MUST;
/** state_pidfd() - init's pidfd, checked by its start time. Return: fd, or -ESRCH. */
int state_pidfd(const struct cli_state *s, struct err *err) MUST;
/** state_socket() - listen or connect at the container's start socket. Return: fd. */
int state_socket(const struct cli_state *s, bool listening, struct err *err) MUST;

/* ---- commands ---- */

int cmd_create(struct cli *cli, char **argv, struct err *err);
int cmd_run(struct cli *cli, char **argv, struct err *err);
int cmd_start(struct cli *cli, char **argv, struct err *err);
int cmd_exec(struct cli *cli, char **argv, struct err *err);
int cmd_kill(struct cli *cli, char **argv, struct err *err);
int cmd_delete(struct cli *cli, char **argv, struct err *err);
int cmd_state(struct cli *cli, char **argv, struct err *err);
int cmd_list(struct cli *cli, char **argv, struct err *err);
int cmd_ps(struct cli *cli, char **argv, struct err *err);
int cmd_pause(struct cli *cli, char **argv, struct err *err);
int cmd_resume(struct cli *cli, char **argv, struct err *err);
int cmd_update(struct cli *cli, char **argv, struct err *err);
int cmd_features(struct cli *cli, char **argv, struct err *err);
int cmd_spec(struct cli *cli, char **argv, struct err *err);

/** cli_one_id() - the only argument left. */
int cli_one_id(char **argv, const char **ret, struct err *err) MUST;
/** cli_seccomp() - compile a profile, if there is one, into @out. */
int cli_seccomp(const struct oci_spec *spec, struct buf *out, unsigned *ret_flags,
                struct err *err) MUST;
/** cli_delete() - everything of a container that has ended. */
int cli_delete(struct cli *cli, const struct cli_state *s, struct err *err) MUST;

/* cli_io.c */
/** io_console_send() - hand the pty master over the console socket. */
int io_console_send(const char *path, int master, struct err *err) MUST;
int io_pid_file(const char *path, pid_t pid, struct err *err) MUST;
/** io_own_size() - our terminal's size for a process that has none of its own, before it starts. */
void io_own_size(struct arena *a, struct oci_process *p);
/** io_hold_signals() - before the start: what comes from now on waits for io_foreground(). */
int io_hold_signals(struct err *err) MUST;
/** io_foreground() - relay terminal and signals until @init ends. Return: exit code. */
int io_foreground(struct oci_init *init, struct err *err) MUST;
