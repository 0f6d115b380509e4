/*
 * Freezing and killing. Where a v2 tree exists (also on hybrid machines), one write does either and
 * the kernel says when it is done. v1 alone freezes by its freezer, without any notification, and
 * kills process by process.
 */
#include "kern/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/time.h"
#include "kern/cgroup-priv.h"

#define KILL_ROUNDS 100

static bool by_v2(const struct cgroup *cg)
{
    return cg->host->v2 >= 0;
}

/* ---- v2 ---- */

/* Waits for "frozen <want>" in cgroup.events; POLLPRI comes with each change. */
static int wait_frozen2(struct cgroup *cg, uint64_t want, int timeout_ms, struct err *err)
{
    int64_t end = mono_ns() + timeout_ms * NS_PER_MS;
    int dir = cg_dir(cg, cg->host->v2, err);
    auto_close int fd = dir < 0 ? -1 : openat(dir, "cgroup.events", O_RDONLY | O_CLOEXEC);
    auto_buf struct buf text = BUF_INIT;

    if (fd < 0)
        return dir < 0 ? dir : err_sys(err, "open cgroup.events");
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLPRI};
        uint64_t frozen;
        buf_clear(&text);
        int r = lseek(fd, 0, SEEK_SET) < 0 ? -errno : read_fd(fd, CG_FILE_MAX, &text, err);
        if (r < 0)
            return r;
        if (cg_key(buf_str(&text), "frozen", &frozen) < 0 || frozen == want)
            return 0;
        int left = (int)((end - mono_ns()) / NS_PER_MS);
        if (left <= 0)
            return err_no(err, ETIMEDOUT, "wait until cgroup %s is %s", cg->path,
                          want ? "frozen" : "thawed");
        (void)poll(&p, 1, left);
    }
}

static int set_frozen2(struct cgroup *cg, bool on, int timeout_ms, struct err *err)
{
    int r = cg_write_hier(cg, cg->host->v2, "cgroup.freeze", on ? "1" : "0", err);

    return r < 0 ? r : wait_frozen2(cg, on, timeout_ms, err);
}

/* ---- v1 ---- */

static int state1(struct cgroup *cg, struct buf *text, struct err *err)
{
    return cg_read(cg, CTL_FREEZER, "freezer.state", text, err);
}

/* The freezer makes progress when its state is read, and notifies nobody: so this one polls. */
static int set_frozen1(struct cgroup *cg, bool on, int timeout_ms, struct err *err)
{
    const char *want = on ? "FROZEN" : "THAWED";
    int64_t end = mono_ns() + timeout_ms * NS_PER_MS;
    auto_buf struct buf text = BUF_INIT;

    for (;;) {
        /* Written each time: a process forked meanwhile may have slipped through. */
        int r = cg_write(cg, CTL_FREEZER, "freezer.state", err, "%s", want);
        if (r == 0)
            r = state1(cg, &text, err);
        if (r < 0 || strncmp(buf_str(&text), want, strlen(want)) == 0)
            return r;
        if (mono_ns() > end)
            return err_no(err, ETIMEDOUT, "wait until cgroup %s is %s", cg->path, want);
        (void)poll(NULL, 0, 1);
    }
}

static int set_frozen(struct cgroup *cg, bool on, int timeout_ms, struct err *err)
{
    return by_v2(cg) ? set_frozen2(cg, on, timeout_ms, err) : set_frozen1(cg, on, timeout_ms, err);
}

int cgroup_frozen(struct cgroup *cg, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = by_v2(cg) ? cg_read_hier(cg, cg->host->v2, "cgroup.freeze", &text, err)
                      : state1(cg, &text, err);

    if (r < 0)
        return r;
    return by_v2(cg) ? *buf_str(&text) == '1' : strncmp(buf_str(&text), "THAWED", 6) != 0;
}

int cgroup_freeze(struct cgroup *cg, int timeout_ms, struct err *err)
{
    int r = cgroup_frozen(cg, err);

    if (r != 0)
        return r;
    r = set_frozen(cg, true, timeout_ms, err);
    if (r == -ETIMEDOUT)
        (void)!set_frozen(cg, false, 0, NULL);
    return r;
}

int cgroup_thaw(struct cgroup *cg, struct err *err)
{
    int r = cgroup_frozen(cg, err);

    if (r < 0)
        return r;
    return r == 0 ? 1 : set_frozen(cg, false, 10000, err);
}

/* ---- kill ---- */

static int kill_each(struct cgroup *cg, int sig, size_t *ret_n, struct err *err)
{
    struct pid_list list = {0};
    int r = cgroup_pids(cg, &list, err);

    for (size_t i = 0; i < list.n && r == 0; i++)
        if (kill(list.v[i], sig) < 0 && errno != ESRCH)
            r = err_sys(err, "kill process %d", list.v[i]);
    if (r == 0)
        *ret_n = list.n;
    free(list.v);
    return r;
}

/* A fork in progress escapes one round; with SIGKILL we go on until a round finds nobody new. */
static int kill_hard1(struct cgroup *cg, struct err *err)
{
    size_t n = 1, last = 0;
    int r = 0;

    (void)!set_frozen1(cg, true, 100, NULL); /* best effort: it only makes the rounds fewer */
    for (int i = 0; i < KILL_ROUNDS && r == 0 && n != last; i++) {
        last = n;
        r = kill_each(cg, SIGKILL, &n, err);
    }
    (void)!set_frozen1(cg, false, 1000, NULL);
    return r;
}

int cgroup_kill(struct cgroup *cg, int sig, struct err *err)
{
    size_t n;
    int r = cgroup_exists(cg, err);

    if (r <= 0)
        return r;
    if (sig == SIGKILL && by_v2(cg)) {
        r = cg_write_hier(cg, cg->host->v2, "cgroup.kill", "1", err);
        if (r != -ENOENT)
            return r;
        err_clear(err);
    }
    if (sig == SIGKILL && cg_hier_of(cg->host, CTL_FREEZER) >= 0)
        return kill_hard1(cg, err);
    return kill_each(cg, sig, &n, err);
}
