/*
 * Who a process is: "name", "uid", "name:group", "uid:gid", looked up in the image's own
 * /etc/passwd and /etc/group. The files are read from the layer directories, topmost first, below
 * each layer's root; nothing is mounted for it.
 */
#include "engine/engine-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "kern/rootfs.h"

#define USER_FILE_MAX (4U << 20)
#define ID_MAX INT32_MAX

/* Return: 1 read, 0 not in this layer, -ENOENT deleted by this layer. */
static int read_below(int root, const char *path, struct buf *out, struct err *err)
{
    struct stat st;
    auto_close int fd = rootfs_open(root, path, O_PATH, NULL);

    if (fd < 0)
        return 0;
    if (fstat(fd, &st) < 0 || S_ISCHR(st.st_mode))
        return -ENOENT; /* a whiteout */
    if (!S_ISREG(st.st_mode))
        return 0;
    auto_close int file = rootfs_open(root, path, O_RDONLY | O_NONBLOCK, err);
    int r = file < 0 ? file : read_fd(file, USER_FILE_MAX, out, err);
    return r < 0 ? r : 1;
}

/* The container's view of a file; empty when it has none. */
static int read_file(const struct container *c, const char *path, struct buf *out, struct err *err)
{
    auto_close int upper = openat(c->data_fd, "diff", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r = upper < 0 ? err_sys(err, "open container layer") : read_below(upper, path, out, err);

    for (size_t i = 0; r == 0 && i < c->lowers.n; i++) {
        auto_close int root = open(c->lowers.v[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
        r = root < 0 ? err_sys(err, "open layer") : read_below(root, path, out, err);
    }
    if (r == -ENOENT && out->len == 0)
        return 0;
    return r < 0 ? err_wrap(err, r, "read %s of the image", path) : 0;
}

/* Lines of colon-separated fields; @fn returns nonzero to stop. */
typedef int (*line_fn)(void *arg, const struct strv *fields);

static int each_line(const struct buf *text, line_fn fn, void *arg)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv lines = str_split(&a, buf_str(text), '\n');

    for (size_t i = 0; i < lines.n; i++) {
        struct strv fields = str_split(&a, lines.v[i], ':');
        int r = fields.n < 3 ? 0 : fn(arg, &fields);
        if (r != 0)
            return r;
    }
    return 0;
}

static int to_id(const char *s, uint32_t *ret)
{
    uint64_t v;

    if (str_to_u64(s, &v) < 0 || v > ID_MAX)
        return -EINVAL;
    *ret = (uint32_t)v;
    return 0;
}

struct passwd_search {
    const char *name;
    bool numeric;
    uint32_t uid;
    struct arena *a;
    struct user_info *out;
    char *found_name;
};

static int match_passwd(void *arg, const struct strv *f)
{
    struct passwd_search *s = arg;
    uint32_t uid, gid;

    if (f->n < 6 || to_id(f->v[2], &uid) < 0 || to_id(f->v[3], &gid) < 0)
        return 0;
    if (strcmp(f->v[0], s->name) != 0 && !(s->numeric && uid == s->uid))
        return 0;
    s->out->uid = uid;
    s->out->gid = gid;
    s->out->home = arena_strdup(s->a, f->v[5]);
    s->found_name = arena_strdup(s->a, f->v[0]);
    return 1;
}

struct group_search {
    const char *name;
    uint32_t gid;
};

/* Groups of a user. */
struct memberships {
    const char *user;
    struct arena *a;
    struct user_info *out;
};

static void add_group(struct user_info *u, struct arena *a, uint32_t gid)
{
    for (size_t i = 0; i < u->groups.n; i++)
        if (u->groups.v[i] == gid)
            return;
    arena_push(a, u->groups) = gid;
}

/* The own group stands among the others too: a process that gives it up would else shed rules
 * that deny it something (CVE-2022-36109). */
static void add_own_group(struct user_info *u, struct arena *a)
{
    struct user_info with = *u;

    memset(&with.groups, 0, sizeof(with.groups));
    add_group(&with, a, u->gid);
    for (size_t i = 0; i < u->groups.n; i++)
        add_group(&with, a, (uint32_t)u->groups.v[i]);
    *u = with;
}

static int match_group(void *arg, const struct strv *f)
{
    struct group_search *s = arg;

    return strcmp(f->v[0], s->name) == 0 && to_id(f->v[2], &s->gid) == 0;
}

static int add_if_member(void *arg, const struct strv *f)
{
    struct memberships *m = arg;
    uint32_t gid;

    if (f->n < 4 || to_id(f->v[2], &gid) < 0)
        return 0;
    struct strv members = str_split(m->a, f->v[3], ',');
    if (strv_has(&members, m->user))
        add_group(m->out, m->a, gid);
    return 0;
}

static int find_user(const char *name, const struct buf *passwd, struct passwd_search *s,
                     struct err *err)
{
    s->name = name;
    s->numeric = to_id(name, &s->uid) == 0;
    if (each_line(passwd, match_passwd, s) != 0)
        return 0;
    if (!s->numeric)
        return err_as(err, ERR_SYSTEM, ENOENT,
                      "unable to find user %s: no matching entries in passwd file", name);
    s->out->uid = s->uid;
    return 0;
}

static int find_group(const char *name, const struct buf *group, uint32_t *ret, struct err *err)
{
    struct group_search s = {.name = name};

    if (each_line(group, match_group, &s) != 0) {
        *ret = s.gid;
        return 0;
    }
    if (to_id(name, ret) == 0)
        return 0;
    return err_as(err, ERR_SYSTEM, ENOENT,
                  "unable to find group %s: no matching entries in group file", name);
}

int user_lookup(const struct container *c, const char *user, const struct strv *more_groups,
                struct arena *a, struct user_info *ret, struct err *err)
{
    auto_buf struct buf passwd = BUF_INIT, group = BUF_INIT;
    struct user_info u = {.home = arena_strdup(a, "/")};
    struct passwd_search s = {.a = a, .out = &u};
    struct strv parts = str_split(a, str_empty(user) ? "0" : user, ':');
    bool own_group = parts.n > 1 && *parts.v[1];

    int r = read_file(c, "etc/passwd", &passwd, err);
    if (r >= 0)
        r = read_file(c, "etc/group", &group, err);
    if (r >= 0)
        r = find_user(*parts.v[0] ? parts.v[0] : "0", &passwd, &s, err);
    if (r >= 0 && own_group)
        r = find_group(parts.v[1], &group, &u.gid, err);
    if (r < 0)
        return r;
    if (!own_group && s.found_name) { /* a group that was asked for stands alone */
        struct memberships m = {.user = s.found_name, .a = a, .out = &u};
        (void)each_line(&group, add_if_member, &m);
    }
    for (size_t i = 0; i < more_groups->n; i++) {
        uint32_t gid = 0;
        r = find_group(more_groups->v[i], &group, &gid, err);
        if (r < 0)
            return r;
        add_group(&u, a, gid);
    }
    add_own_group(&u, a);
    *ret = u;
    return 0;
}
