/*
 * Device nodes, the links every /dev has, and the console. Nodes are made by mknod where that is
 * allowed, else (in a user namespace) the host's node is bound over an empty file.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/auto.h"
#include "kern/rootfs.h"
#include "kern/tty.h"
#include "oci/oci-priv.h"

/* What the specification promises to every container. */
static const struct {
    const char *path;
    unsigned major, minor;
} defaults[] = {
    {"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
    {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0},
};

#define DEFAULTS (sizeof(defaults) / sizeof(defaults[0]))

struct node {
    const char *path;
    mode_t mode; /* with type */
    dev_t dev;
    uid_t uid;
    gid_t gid;
};

static int bind_node(struct setup *s, const struct node *n, struct err *err)
{
    struct mount_opts o = {.propagation = MS_PRIVATE};
    auto_close int fd = mount_bind(AT_FDCWD, n->path, &o, err);

    return fd < 0 ? fd : mount_at(s, fd, n->path, false, err);
}

/* Is it already the node we want? An image may bring its own /dev. */
static bool same_node(int dir, const char *name, const struct node *n)
{
    struct stat st;

    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           (st.st_mode & S_IFMT) == (n->mode & S_IFMT) && st.st_rdev == n->dev;
}

static int make_node(struct setup *s, int dev_dir, const struct node *n, struct err *err)
{
    const char *name = str_starts(n->path, "/dev/");
    auto_close int own = -1;
    int dir = dev_dir;

    if (!name || strchr(name, '/')) {
        own = rootfs_parent(s->root_fd, n->path, &name, err);
        dir = own;
    }
    if (dir < 0)
        return dir;
    if (mknodat(dir, name, n->mode, n->dev) < 0) {
        if (errno == EPERM)
            return bind_node(s, n, err);
        if (errno != EEXIST || !same_node(dir, name, n))
            return err_sys(err, "make device %s", n->path);
    }
    if ((n->uid || n->gid) && fchownat(dir, name, n->uid, n->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "set owner of device %s", n->path);
    return 0;
}

static mode_t type_bits(char type)
{
    return type == 'b' ? S_IFBLK : type == 'p' ? S_IFIFO : S_IFCHR;
}

static int make_listed(struct setup *s, int dir, const struct oci_device *d, struct err *err)
{
    struct node n = {
        .path = d->path,
        .mode = type_bits(d->type[0]) | (d->file_mode ? *d->file_mode & 07777 : 0666),
        .dev = makedev((unsigned)d->major, (unsigned)d->minor),
        .uid = d->uid ? *d->uid : 0,
        .gid = d->gid ? *d->gid : 0,
    };

    return make_node(s, dir, &n, err);
}

static bool listed(const struct setup *s, const char *path)
{
    for (size_t i = 0; i < s->spec->lnx->devices.n; i++)
        if (str_eq(s->spec->lnx->devices.v[i]->path, path))
            return true;
    return false;
}

int setup_devices(struct setup *s, struct err *err)
{
    int r = 0;

    if (!s->plan->own_dev)
        return 0;
    auto_close int dir = rootfs_mkdir_p(s->root_fd, "/dev", 0755, err);
    if (dir < 0)
        return dir;
    for (size_t i = 0; i < DEFAULTS && r == 0; i++) {
        struct node n = {defaults[i].path, S_IFCHR | 0666,
                         makedev(defaults[i].major, defaults[i].minor), 0, 0};
        if (!listed(s, n.path))
            r = make_node(s, dir, &n, err);
    }
    for (size_t i = 0; i < s->spec->lnx->devices.n && r == 0; i++)
        r = make_listed(s, dir, s->spec->lnx->devices.v[i], err);
    return r;
}

int setup_dev_links(struct setup *s, struct err *err)
{
    static const struct {
        const char *name, *target;
    } links[] = {{"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"},
                 {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
                 {"core", "/proc/kcore"},       {"ptmx", "pts/ptmx"}};

    if (!s->plan->own_dev)
        return 0;
    auto_close int dir = rootfs_open(s->root_fd, "/dev", O_PATH | O_DIRECTORY, err);
    if (dir < 0)
        return dir;
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        if (symlinkat(links[i].target, dir, links[i].name) == 0)
            continue;
        /* An image's own /dev/ptmx may be a node of the host's instance: ours must win. */
        bool replace = errno == EEXIST && str_eq(links[i].name, "ptmx");
        if (replace && unlinkat(dir, links[i].name, 0) == 0 &&
            symlinkat(links[i].target, dir, links[i].name) == 0)
            continue;
        if (errno != EEXIST)
            return err_sys(err, "link /dev/%s", links[i].name);
    }
    return 0;
}

/* ---- console ---- */

static int bind_console(struct setup *s, struct err *err)
{
    struct mount_opts o = {.propagation = MS_PRIVATE};

    /* From the descriptor: the path /dev/pts/0 belongs to the container (CVE-2025-52565). */
    auto_close int fd = mount_bind(s->console, "", &o, err);
    return fd < 0 ? fd : mount_at(s, fd, "/dev/console", false, err);
}

int setup_console(struct setup *s, struct err *err)
{
    const struct oci_process *p = s->id->p;
    auto_close int master = -1;

    if (!p->terminal)
        return 0;
    auto_close int pts = rootfs_open(s->root_fd, "/dev/pts", O_PATH | O_DIRECTORY, NULL);
    int r = tty_open(pts < 0 ? -1 : pts, &master, &s->console, err);
    if (r == 0 && p->console_size)
        r = tty_set_size(master, p->console_size->height, p->console_size->width, err);
    if (r == 0)
        r = bind_console(s, err);
    return r < 0 ? r : msg_send_fds(s->sync, MSG_CONSOLE, &master, 1, err);
}

/* In a container that runs: its own devpts, if that is what /dev/pts is. */
int exec_console(struct setup *s, struct err *err)
{
    const struct oci_process *p = s->id->p;
    struct statfs sfs;
    auto_close int master = -1;

    if (!p->terminal)
        return 0;
    auto_close int pts = open("/dev/pts", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (pts < 0 || fstatfs(pts, &sfs) < 0)
        return err_sys(err, "open /dev/pts of the container");
    if (sfs.f_type != DEVPTS_SUPER_MAGIC)
        return err_as(err, ERR_INVALID, ENODEV, "/dev/pts of the container is no devpts");
    int r = tty_open(pts, &master, &s->console, err);
    if (r == 0 && p->console_size)
        r = tty_set_size(master, p->console_size->height, p->console_size->width, err);
    return r < 0 ? r : msg_send_fds(s->sync, MSG_CONSOLE, &master, 1, err);
}
