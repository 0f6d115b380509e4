/*
 * Joining the cgroup, and what the container sees of it. Under v1 that is a small tmpfs with one
 * directory per hierarchy: the group's own directory, bound; or with a cgroup namespace of its own,
 * a cgroup mount whose root the namespace makes the group. Under v2 one mount or bind.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "kern/rootfs.h"
#include "oci/oci-priv.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

static int receive_cgroup(struct setup *s, struct err *err)
{
    int fds[CGROUP_JOIN_FDS];
    size_t n = CGROUP_JOIN_FDS;
    int r = msg_expect_fds(s->sync, MSG_CGROUP, fds, &n, err);

    return r < 0 ? r : cgroup_adopt_fds(s->cgroup, fds, n, err);
}

/* Late enough for the parent to have made the group while we mounted. Safe to call twice. */
int setup_join_cgroup(struct setup *s, struct err *err)
{
    if (s->joined)
        return 0;
    if (s->cgroup) {
        int r = s->c ? receive_cgroup(s, err) : 0;
        if (r == 0)
            r = cgroup_join_self(s->cgroup, s->born_in_cgroup, err);
        if (r < 0)
            return r;
    }
    s->joined = true;
    if (s->plan && s->plan->new_cgroupns && unshare(CLONE_NEWCGROUP) < 0)
        return err_sys(err, "make a cgroup namespace");
    return 0;
}

/* ---- v1 ---- */

struct mount1 {
    struct setup *s;
    const struct plan_mount *m;
    int tmpfs;
};

/* The group's directory as our own mount namespace has it: only that may be cloned. */
static int bind_own(const struct mount1 *w, const char *name, struct err *err)
{
    struct mount_opts o = {.attr_set = w->m->o.attr_set, .propagation = MS_PRIVATE};
    char path[4400];

    (void)snprintf(path, sizeof(path), CGROUP_ROOT "/%s%s", name, cgroup_path(w->s->cgroup));
    return mount_bind(AT_FDCWD, path, &o, err);
}

static int mount_in_ns(const struct mount1 *w, const char *name, struct err *err)
{
    struct mount_opts o = {.attr_set = w->m->o.attr_set};
    bool named = str_eq(name, "systemd");
    char opt[80];
    char *data[] = {opt, (char *)"none"};

    (void)snprintf(opt, sizeof(opt), "%s%s", named ? "name=" : "", name);
    if (!named && strchr(name, ',')) { /* "cpu,cpuacct": one option each */
        auto_arena struct arena a = ARENA_INIT;
        o.data = str_split(&a, name, ',');
        return mount_new("cgroup", "cgroup", &o, err);
    }
    o.data = (struct strv){data, named ? 2 : 1};
    return mount_new("cgroup", "cgroup", &o, err);
}

/* Two controllers of one hierarchy: each name leads there. */
static int link_names(int dir, const char *name, struct err *err)
{
    for (const char *p = name; strchr(name, ',') && p; p = strchr(p, ','), p = p ? p + 1 : NULL) {
        char one[64];
        (void)snprintf(one, sizeof(one), "%.*s", (int)strcspn(p, ","), p);
        if (symlinkat(name, dir, one) < 0)
            return err_sys(err, "link %s", one);
    }
    return 0;
}

static int mount_hier(void *arg, const char *name, int dir_fd, struct err *err)
{
    const struct mount1 *w = arg;

    (void)dir_fd;
    if (str_eq(name, "unified") || !*name) /* containers of hybrid machines see v1, as runc's do */
        return 0;
    auto_close int fd =
        w->s->plan->new_cgroupns ? mount_in_ns(w, name, err) : bind_own(w, name, err);
    if (fd < 0)
        return fd;
    if (mkdirat(w->tmpfs, name, 0755) < 0)
        return err_sys(err, "make directory %s", name);
    /* By name: the tmpfs is ours alone until the container runs. */
    int r = mount_attach_at(fd, w->tmpfs, name, err);
    return r < 0 ? r : link_names(w->tmpfs, name, err);
}

int mount_cgroup1(struct setup *s, const struct plan_mount *m, struct err *err)
{
    char *data[] = {(char *)"mode=755"};
    struct mount_opts o = {.attr_set = m->o.attr_set & ~(uint64_t)MOUNT_ATTR_RDONLY,
                           .data = {data, 1}};
    int r = setup_join_cgroup(s, err);

    if (r < 0)
        return r;
    if (!s->cgroup)
        return err_invalid(err, "a cgroup mount needs linux.cgroupsPath");
    if (cgroup_host_mode(cgroup_host_of(s->cgroup)) == CGROUP_V2)
        return mount_cgroup2(s, m, err);
    auto_close int tmpfs = mount_new("tmpfs", "tmpfs", &o, err);
    if (tmpfs < 0)
        return tmpfs;
    r = mount_at(s, tmpfs, m->m->destination, true, err);
    struct mount1 w = {.s = s, .m = m, .tmpfs = tmpfs};
    if (r == 0)
        r = cgroup_each_hierarchy(s->cgroup, mount_hier, &w, err);
    if (r == 0 && m->o.attr_set & MOUNT_ATTR_RDONLY)
        r = mount_attrs(tmpfs, MOUNT_ATTR_RDONLY, 0, 0, false, err);
    return r;
}

/* ---- v2 ---- */

int mount_cgroup2(struct setup *s, const struct plan_mount *m, struct err *err)
{
    struct mount_opts o = {.attr_set = m->o.attr_set, .propagation = MS_PRIVATE};
    char path[4400];
    int r = setup_join_cgroup(s, err);

    if (r < 0)
        return r;
    auto_close int fd = -1;
    if (s->plan->new_cgroupns || !s->cgroup) {
        fd = mount_new("cgroup2", "cgroup", &m->o, err);
    } else {
        (void)snprintf(path, sizeof(path), CGROUP_ROOT "%s", cgroup_path(s->cgroup));
        fd = mount_bind(AT_FDCWD, path, &o, err);
    }
    return fd < 0 ? fd : mount_at(s, fd, m->m->destination, true, err);
}
