/*
 * Running out of memory. v2 counts in memory.events and changes can be watched by inotify; v1
 * counts in memory.oom_control and signals an eventfd that is registered with it.
 */
#include "kern/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/auto.h"
#include "kern/cgroup-priv.h"

static bool v2(const struct cgroup *cg)
{
    return cg->host->mode == CGROUP_V2;
}

int cgroup_oom_count(struct cgroup *cg, uint64_t *ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    const char *file = v2(cg) ? "memory.events" : "memory.oom_control";
    int r = cg_read(cg, CTL_MEMORY, file, &text, err);

    if (r < 0)
        return r;
    if (cg_key(buf_str(&text), "oom_kill", ret) < 0) /* Linux < 4.13 does not count */
        *ret = 0;
    return 0;
}

static int open_v2(struct cgroup *cg, int *ret_fd, struct err *err)
{
    char path[64];
    int dir = cg_dir(cg, cg->host->v2, err);

    if (dir < 0)
        return dir;
    auto_close int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0)
        return err_sys(err, "watch memory events");
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d/memory.events", dir);
    if (inotify_add_watch(fd, path, IN_MODIFY) < 0)
        return err_sys(err, "watch memory.events of cgroup %s", cg->path);
    *ret_fd = take_fd(&fd);
    return 0;
}

static int open_v1(struct cgroup *cg, int *ret_fd, struct err *err)
{
    int i = cg_hier_of(cg->host, CTL_MEMORY), dir = cg_dir(cg, i, err);

    if (dir < 0)
        return dir;
    auto_close int ev = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    auto_close int oom = openat(dir, "memory.oom_control", O_RDONLY | O_CLOEXEC);
    if (ev < 0 || oom < 0)
        return err_sys(err, "watch memory.oom_control of cgroup %s", cg->path);
    int r = cg_write(cg, CTL_MEMORY, "cgroup.event_control", err, "%d %d", ev, oom);
    if (r < 0)
        return r;
    *ret_fd = take_fd(&ev);
    return 0;
}

int cgroup_oom_open(struct cgroup *cg, int *ret_fd, struct err *err)
{
    if (cg_hier_of(cg->host, CTL_MEMORY) < 0)
        return err_no(err, EOPNOTSUPP, "watch memory of cgroup %s", cg->path);
    return v2(cg) ? open_v2(cg, ret_fd, err) : open_v1(cg, ret_fd, err);
}

void cgroup_oom_drain(int fd)
{
    char text[4096] __attribute__((__aligned__(8)));

    while (read(fd, text, sizeof(text)) > 0)
        ;
}
