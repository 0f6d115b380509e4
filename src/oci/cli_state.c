/*
 * What is known of a container between two calls of cleat-oci: a directory below --root with
 * state.json, a copy of config.json, and the socket on which a created container waits for its
 * start. Whether it runs is asked of the kernel, never of these files.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/json.h"
#include "kern/pidfd.h"
#include "kern/proc.h"
#include "oci/cli-priv.h"

#define FILE_MAX (16 * 1024 * 1024)
#define ID_MAX 1024
#define START_SOCKET "start.sock"

static const struct field state_fields[] = {
    FIELD(struct cli_state, "ociVersion", F_STR, oci_version),
    FIELD(struct cli_state, "id", F_STR, id, .flags = F_REQUIRED),
    FIELD(struct cli_state, "pid", F_I64, pid),
    FIELD(struct cli_state, "startTime", F_U64, start_time),
    FIELD(struct cli_state, "bundle", F_STR, bundle),
    FIELD(struct cli_state, "rootfs", F_STR, rootfs),
    FIELD(struct cli_state, "created", F_STR, created),
    FIELD(struct cli_state, "owner", F_STR, owner),
    FIELD(struct cli_state, "cgroup", F_STR, cgroup),
};

static const struct json_type state_type = JSON_TYPE("State", struct cli_state, state_fields);

int state_check_id(const char *id, struct err *err)
{
    static const char ok[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.";

    if (!*id || strlen(id) > ID_MAX || id[strspn(id, ok)] || str_eq(id, ".") || str_eq(id, ".."))
        return err_invalid(err, "invalid container ID format: %s", id);
    return 0;
}

static int open_root(const struct cli *cli, struct err *err)
{
    int fd = open(cli->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? err_sys(err, "open %s", cli->root) : fd;
}

int state_new(const struct cli *cli, const char *id, struct err *err)
{
    int r = mkdir_p_at(AT_FDCWD, cli->root, 0711, err);
    auto_close int root = r < 0 ? r : open_root(cli, err);

    if (root < 0)
        return root;
    if (mkdirat(root, id, 0711) < 0)
        return errno == EEXIST ? err_conflict(err, "container with given ID already exists: %s", id)
                               : err_sys(err, "make the directory of container %s", id);
    int dir = openat(root, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 ? err_sys(err, "open the directory of container %s", id) : dir;
}

int state_save(const struct cli_state *s, struct err *err)
{
    auto_buf struct buf text = BUF_INIT, config = BUF_INIT;

    json_encode(&state_type, s, &text);
    json_encode(&oci_spec_type, s->spec, &config);
    int r = write_file_at(s->dir, "config.json", 0600, config.data, config.len, false, err);
    if (r == 0)
        r = write_file_at(s->dir, "state.json", 0600, text.data, text.len, false, err);
    return r;
}

static int load_json(int dir, const char *name, const struct json_type *type, struct arena *a,
                     void *out, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = read_file_at(dir, name, FILE_MAX, &text, err);

    return r < 0 ? r : json_decode(type, buf_str(&text), text.len, a, out, 0, err);
}

int state_load(struct cli *cli, const char *id, struct cli_state *ret, struct err *err)
{
    struct cli_state s = {.spec = arena_new(&cli->arena, struct oci_spec)};
    auto_close int root = open(cli->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_close int dir = root < 0 ? -1 : openat(root, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0)
        return errno == ENOENT ? err_not_found(err, "container does not exist: %s", id)
                               : err_sys(err, "open the state of container %s", id);
    int r = load_json(dir, "state.json", &state_type, &cli->arena, &s, err);
    if (r == 0)
        r = load_json(dir, "config.json", &oci_spec_type, &cli->arena, s.spec, err);
    if (r == -ENOENT) /* between mkdir and the first save, or crashed there */
        return err_not_found(err, "container does not exist: %s", id);
    if (r < 0)
        return err_wrap(err, r, "read the state of container %s", id);
    s.dir = take_fd(&dir);
    *ret = s;
    return 0;
}

int state_remove(const struct cli *cli, const char *id, struct err *err)
{
    auto_close int root = open_root(cli, err);

    return root < 0 ? root : remove_tree_at(root, id, err);
}

static int cmp_str(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int state_list(struct cli *cli, struct strv *ret, struct err *err)
{
    auto_dir DIR *d = opendir(cli->root);
    struct strv ids = {0};

    if (!d && errno != ENOENT)
        return err_sys(err, "open %s", cli->root);
    for (struct dirent *e; d && (e = readdir(d));)
        if (state_check_id(e->d_name, NULL) == 0)
            strv_push(&cli->arena, &ids, e->d_name);
    if (ids.n)
        qsort(ids.v, ids.n, sizeof(char *), cmp_str);
    *ret = ids;
    return 0;
}

/* ---- status ---- */

const char *cli_status_name(enum cli_status st)
{
    static const char *const names[] = {"created", "running", "paused", "stopped"};

    return names[st];
}

int cli_cgroup(const char *path, struct cgroup_host **host, struct cgroup **ret, struct err *err)
{
    int r = cgroup_host_open(host, err);

    return r < 0 ? r : cgroup_new(*host, path, ret, err);
}

static bool is_paused(const struct cli_state *s)
{
    struct cgroup_host *host = NULL;
    struct cgroup *cg = NULL;
    bool paused = cli_cgroup(s->cgroup, &host, &cg, NULL) == 0 && cgroup_frozen(cg, NULL) > 0;

    cgroup_free(cg);
    cgroup_host_free(host);
    return paused;
}

/* The socket's file goes when the start has been given. */
int cli_status(const struct cli_state *s, enum cli_status *ret, struct err *err)
{
    if (!proc_alive((pid_t)s->pid, s->start_time)) {
        *ret = CLI_STOPPED;
        return 0;
    }
    if (faccessat(s->dir, START_SOCKET, F_OK, 0) == 0)
        *ret = CLI_CREATED;
    else if (errno != ENOENT)
        return err_sys(err, "look at the state of container %s", s->id);
    else
        *ret = is_paused(s) ? CLI_PAUSED : CLI_RUNNING;
    return 0;
}

int state_pidfd(const struct cli_state *s, struct err *err)
{
    auto_close int fd = pidfd_open_err((pid_t)s->pid, NULL);

    /* The start time is compared after the open: the pid is held by then. */
    if (fd < 0 || !proc_alive((pid_t)s->pid, s->start_time))
        return err_as(err, ERR_CONFLICT, ESRCH, "container not running");
    return take_fd(&fd);
}

/* Through /proc/self/fd, since a socket's path may have only 107 bytes. */
int state_socket(const struct cli_state *s, bool listening, struct err *err)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_sys(err, "make a socket");
    (void)snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d/" START_SOCKET, s->dir);
    if (listening) {
        if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 || listen(fd, 1) < 0)
            return err_sys(err, "listen for the start");
    } else {
        if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
            return err_sys(err, "connect to the container's init");
        (void)unlinkat(s->dir, START_SOCKET, 0);
    }
    return take_fd(&fd);
}
