/*
 * The life of a group: making its directories, joining, listing, removing. A directory that cannot
 * be removed yet still has processes; they are dying, and the kernel tells when they are gone:
 * through cgroup.events where there is a v2 tree, through the processes' pidfds where not.
 */
#include "kern/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/time.h"
#include "kern/cgroup-priv.h"

#define DEPTH_MAX 32
#define WAIT_PIDS 64

/* ---- create ---- */

/* Parents from the top: made where missing, and told to pass on what the group needs. */
static int make_parents(struct cgroup *cg, const struct cg_hier *h, struct err *err)
{
    char *path = cg->path + 1, dir[4096] = ".";

    for (char *slash = path;; slash++) {
        slash = strchr(slash, '/');
        if (h->v2) {
            int r = cg2_enable(h->fd, dir, h->ctls, err);
            if (r < 0)
                return r;
        }
        if (!slash)
            return 0;
        (void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
        if (mkdirat(h->fd, dir, 0755) < 0) {
            if (errno != EEXIST)
                return err_sys(err, "make cgroup %s/%s", h->name, dir);
            continue;
        }
        int r = h->ctls & (1U << CTL_CPUSET) && !h->v2 ? cg1_prepare_parent(h->fd, dir, err) : 0;
        if (r < 0)
            return r;
    }
}

/* Return: 0 made, 1 existed. The parents exist nearly always: try without looking at them first. */
static int make_one(struct cgroup *cg, int i, struct err *err)
{
    const struct cg_hier *h = &cg->host->h[i];
    const char *path = cg->path + 1;
    bool need_parents = h->v2 && cg->host->mode == CGROUP_V2;
    int r = need_parents ? make_parents(cg, h, err) : 0;

    if (r < 0)
        return r;
    if (mkdirat(h->fd, path, 0755) == 0)
        r = 0;
    else if (errno == ENOENT && !need_parents && make_parents(cg, h, err) == 0)
        r = mkdirat(h->fd, path, 0755) == 0 ? 0 : -errno;
    else
        r = -errno;
    if (r < 0 && r != -EEXIST)
        return err_no(err, r, "make cgroup %s%s", h->name, cg->path);
    bool existed = r == -EEXIST;
    r = h->ctls & (1U << CTL_CPUSET) && !h->v2 ? cg1_prepare_leaf(cg, i, err) : 0;
    return r < 0 ? r : existed;
}

static int make_all(struct cgroup *cg, int *existed, struct err *err)
{
    FAIL_POINT("cgroup.create.first", err);
    for (size_t i = 0; i < cg->host->n; i++) {
        int r = cg->unified && cg->host->h[i].v2 ? 0 : make_one(cg, (int)i, err);
        if (r < 0)
            return r;
        *existed |= r;
        FAIL_POINT("cgroup.create.next", err);
    }
    return 0;
}

int cgroup_create(struct cgroup *cg, struct err *err)
{
    int existed = 0, r = make_all(cg, &existed, err);

    if (r < 0 && !existed)
        (void)!cgroup_delete(cg, 0, NULL);
    return r < 0 ? r : existed;
}

int cgroup_create_unified(struct cgroup *cg, struct err *err)
{
    int r = cg->host->mode == CGROUP_HYBRID ? cgroup_exists(cg, err) : 1;

    if (r != 0)
        return r < 0 ? r : 0;
    r = make_one(cg, cg->host->v2, err);
    if (r != 0) /* 1: somebody else made it just now */
        return r < 0 ? r : 0;
    cg->unified = true;
    r = cg_dir(cg, cg->host->v2, err);
    return r < 0 ? r : 1;
}

int cgroup_exists(struct cgroup *cg, struct err *err)
{
    for (size_t i = 0; i < cg->host->n; i++) {
        if (faccessat(cg->host->h[i].fd, cg->path + 1, F_OK, 0) == 0)
            return 1;
        if (errno != ENOENT)
            return err_sys(err, "look for cgroup %s", cg->path);
    }
    return 0;
}

/* ---- join ---- */

static int open_join(struct cgroup *cg, int i, struct err *err)
{
    const struct cg_hier *h = &cg->host->h[i];
    char path[4200];

    (void)snprintf(path, sizeof(path), "%s/%s", cg->path + 1, h->v2 ? "cgroup.procs" : "tasks");
    int fd = openat(h->fd, path, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? err_sys(err, "open %s/%s", h->name, path) : fd;
}

int cgroup_prepare_join(struct cgroup *cg, struct err *err)
{
    int v2 = cg->host->v2;

    for (size_t i = 0; i < cg->host->n; i++) {
        close_fd(&cg->join[i]);
        cg->join[i] = open_join(cg, (int)i, err);
        if (cg->join[i] < 0)
            return cg->join[i];
    }
    return v2 < 0 ? 0 : cg_dir(cg, v2, err) < 0 ? -ENOENT : 0; /* for cgroup_clone_fd() */
}

void cgroup_finish_join(struct cgroup *cg)
{
    for (size_t i = 0; i < CG_HIERS; i++)
        close_fd(&cg->join[i]);
}

size_t cgroup_join_fds(const struct cgroup *cg, int *fds)
{
    memcpy(fds, cg->join, cg->host->n * sizeof(int));
    return cg->host->n;
}

int cgroup_adopt_fds(struct cgroup *cg, const int *fds, size_t n, struct err *err)
{
    if (n != cg->host->n)
        return err_no(err, EBADMSG, "receive the cgroup's descriptors");
    cgroup_finish_join(cg);
    memcpy(cg->join, fds, n * sizeof(int));
    return 0;
}

int cgroup_clone_fd(const struct cgroup *cg)
{
    int v2 = cg->host->v2;

    return v2 < 0 ? -1 : cg->dir[v2];
}

int cgroup_join_self(struct cgroup *cg, bool born_inside, struct err *err)
{
    for (size_t i = 0; i < cg->host->n; i++) {
        if (cg->host->h[i].v2 && born_inside)
            continue;
        auto_close int own = cg->join[i] < 0 ? open_join(cg, (int)i, err) : -1;
        int fd = cg->join[i] < 0 ? own : cg->join[i];
        if (fd < 0)
            return fd;
        if (write(fd, "0", 1) < 0)
            return err_sys(err, "join cgroup %s%s", cg->host->h[i].name, cg->path);
    }
    return 0;
}

/* The path behind "0::" in the text of /proc/<pid>/cgroup, or NULL. */
static const char *v2_path(char *text)
{
    char *line;

    while (text && (line = cg_next_line(&text)))
        if (strncmp(line, "0::", 3) == 0)
            return line + 3;
    return NULL;
}

int cgroup_open_inner(struct cgroup *cg, pid_t pid, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    char file[32];

    (void)snprintf(file, sizeof(file), "/proc/%d/cgroup", pid);
    int dir = cg->host->v2 < 0 ? -ENOENT : cg_dir(cg, cg->host->v2, err);
    int r = dir < 0 ? dir : read_file_at(AT_FDCWD, file, CG_FILE_MAX, &text, err);
    if (r < 0)
        return r;
    const char *path = v2_path(text.data);
    const char *inner = path ? str_starts(path, cg->path) : NULL;
    if (!inner || *inner != '/' || strstr(inner, "/../"))
        return err_no(err, ENOENT, "find process %d below cgroup %s", pid, cg->path);
    int fd = openat(dir, inner + 1, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? err_sys(err, "open cgroup %s", path) : fd;
}

int cgroup_add(struct cgroup *cg, pid_t pid, struct err *err)
{
    char text[16];
    int r = 0;

    (void)snprintf(text, sizeof(text), "%d", pid);
    for (size_t i = 0; i < cg->host->n && r >= 0; i++)
        r = cg_write_hier(cg, (int)i, "cgroup.procs", text, err);
    return r;
}

/* ---- list ---- */

/* The tree that knows all processes: v2 where there is one, else the pids or any other hierarchy.
 */
static int main_hier(const struct cgroup_host *host)
{
    static const enum cg_ctl order[] = {CTL_PIDS, CTL_MEMORY, CTL_FREEZER};

    if (host->v2 >= 0)
        return host->v2;
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        if (cg_hier_of(host, order[i]) >= 0)
            return cg_hier_of(host, order[i]);
    return 0;
}

static int add_pids(int dir, struct pid_list *list, size_t *cap, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    char *line;
    int r = read_file_at(dir, "cgroup.procs", CG_FILE_MAX, &text, err);
    char *p = text.data;

    if (r == -ENODEV || r == -EOPNOTSUPP) /* removed meanwhile; a threaded v2 group */
        return 0;
    while (r >= 0 && p && (line = cg_next_line(&p))) {
        if (list->n == *cap) {
            *cap = *cap ? *cap * 2 : 16;
            list->v = xrealloc(list->v, *cap * sizeof(pid_t));
        }
        list->v[list->n++] = (pid_t)strtol(line, NULL, 10);
    }
    return r;
}

/* Calls @fn for every directory at and below @dir, children first. */
static int walk(int parent, const char *name, int depth,
                int (*fn)(void *arg, int parent, const char *name, int dir, struct err *err),
                void *arg, struct err *err)
{
    auto_close int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? 0 : err_sys(err, "open cgroup %s", name);
    if (depth > DEPTH_MAX)
        return err_no(err, ELOOP, "cgroups nested too deeply below %s", name);
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    auto_dir DIR *d = copy < 0 ? NULL : fdopendir(copy);
    if (!d)
        return err_sys(err, "read cgroup %s", name);
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_type != DT_DIR || strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        int r = walk(fd, e->d_name, depth + 1, fn, arg, err);
        if (r < 0)
            return r;
    }
    return fn(arg, parent, name, fd, err);
}

struct pids_walk {
    struct pid_list list;
    size_t cap;
};

static int walk_pids(void *arg, int parent, const char *name, int dir, struct err *err)
{
    struct pids_walk *w = arg;

    (void)parent;
    (void)name;
    return add_pids(dir, &w->list, &w->cap, err);
}

static int cmp_pid(const void *a, const void *b)
{
    return *(const pid_t *)a - *(const pid_t *)b;
}

int cgroup_pids(struct cgroup *cg, struct pid_list *ret, struct err *err)
{
    struct pids_walk w = {0};
    int i = main_hier(cg->host);
    int r = walk(cg->host->h[i].fd, cg->path + 1, 0, walk_pids, &w, err);

    if (r < 0) {
        free(w.list.v);
        return r;
    }
    if (w.list.n)
        qsort(w.list.v, w.list.n, sizeof(pid_t), cmp_pid);
    *ret = w.list;
    return 0;
}

int cgroup_each_hierarchy(struct cgroup *cg,
                          int (*each)(void *arg, const char *name, int dir_fd, struct err *err),
                          void *arg, struct err *err)
{
    for (size_t i = 0; i < cg->host->n; i++) {
        int dir = cg_dir(cg, (int)i, err);
        int r = dir < 0 ? dir : each(arg, cg->host->h[i].name, dir, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- delete ---- */

static int walk_rmdir(void *arg, int parent, const char *name, int dir, struct err *err)
{
    (void)arg;
    (void)dir;
    if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return err_sys(err, "remove cgroup %s", name);
    return 0;
}

static int delete_one(struct cgroup *cg, int i, struct err *err)
{
    const struct cg_hier *h = &cg->host->h[i];

    if (unlinkat(h->fd, cg->path + 1, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno != EBUSY)
        return err_sys(err, "remove cgroup %s%s", h->name, cg->path);
    return walk(h->fd, cg->path + 1, 0, walk_rmdir, NULL, err);
}

/* Removes from every hierarchy what can be removed. Return: 0 all gone, -EBUSY, other -errno. */
static int delete_all(struct cgroup *cg, struct err *err)
{
    int busy = 0;

    for (size_t i = 0; i < cg->host->n; i++) {
        int r = delete_one(cg, (int)i, err);
        if (r == -EBUSY)
            busy = r;
        else if (r < 0)
            return r;
        FAIL_POINT("cgroup.delete.next", err);
    }
    return busy;
}

/* Waits until the v2 tree says "populated 0". POLLPRI comes with each change of cgroup.events. */
static void wait_events(struct cgroup *cg, int timeout_ms)
{
    auto_buf struct buf text = BUF_INIT;
    int dir = cg_dir(cg, cg->host->v2, NULL);
    auto_close int fd = dir < 0 ? -1 : openat(dir, "cgroup.events", O_RDONLY | O_CLOEXEC);
    struct pollfd p = {.fd = fd, .events = POLLPRI};
    uint64_t populated;

    if (fd < 0 || read_fd(fd, CG_FILE_MAX, &text, NULL) < 0)
        return;
    if (cg_key(buf_str(&text), "populated", &populated) == 0 && populated)
        (void)poll(&p, 1, timeout_ms);
}

/* Without a v2 tree: waits for the end of (some of) the processes themselves. */
static void wait_pids(struct cgroup *cg, int timeout_ms)
{
    struct pollfd p[WAIT_PIDS];
    struct pid_list list = {0};
    nfds_t n = 0;

    if (cgroup_pids(cg, &list, NULL) < 0)
        return;
    for (size_t i = 0; i < list.n && n < WAIT_PIDS; i++) {
        int fd = (int)syscall(SYS_pidfd_open, list.v[i], 0);
        if (fd >= 0)
            p[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    free(list.v);
    if (n)
        (void)poll(p, n, timeout_ms);
    while (n)
        (void)close(p[--n].fd);
}

int cgroup_delete(struct cgroup *cg, int timeout_ms, struct err *err)
{
    int64_t end = mono_ns() + timeout_ms * NS_PER_MS;
    int r;

    FAIL_POINT("cgroup.delete.first", err);
    while ((r = delete_all(cg, err)) == -EBUSY) {
        int left = (int)((end - mono_ns()) / NS_PER_MS);
        if (left <= 0)
            return r;
        /* A process between "no longer counted" and "detached" wakes nobody: look again soon. */
        int step = left > 20 ? 20 : left;
        if (cg->host->v2 >= 0 &&
            faccessat(cg->host->h[cg->host->v2].fd, cg->path + 1, F_OK, 0) == 0)
            wait_events(cg, step);
        else
            wait_pids(cg, step);
    }
    if (r < 0)
        return r;
    for (size_t i = 0; i < CG_HIERS; i++)
        close_fd(&cg->dir[i]);
    err_clear(err);
    return 0;
}
