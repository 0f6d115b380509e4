/*
 * A container's files: what it changed, copying in and out, export. A running container is reached
 * through the root of its first process, volumes and all; the files of one that does not run
 * through a detached mount of its layers, which needs no clean-up and is in nobody's way.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/compress.h"
#include "archive/pack.h"
#include "archive/unpack.h"
#include "base/auto.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "engine/vol-priv.h"
#include "image/diff.h"
#include "kern/mount.h"
#include "kern/overlay.h"
#include "kern/rootfs.h"

#define CGROUP_TEXT_MAX 65536

/* ---- trees ---- */

static char *own_dir(const struct container *c, const char *name, struct arena *a)
{
    return arena_printf(a, "%s/containers/%s/%s", c->e->data_path, c->id, name);
}

/* The layers below the container's own. */
int ctr_open_lower(const struct container *c, int *ret_fd, struct err *err)
{
    struct overlay o = {.lowers = c->lowers};

    return overlay_mount(&o, ret_fd, err);
}

/* All layers as one tree to read. The container's own is a layer like the others here, so that it
 * may run, or be started, at the same time. */
static int open_merged(const struct container *c, int *ret_fd, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct overlay o = {.options = "index=off"};

    strv_push(&a, &o.lowers, own_dir(c, "diff", &a));
    for (size_t i = 0; i < c->lowers.n; i++)
        strv_push(&a, &o.lowers, c->lowers.v[i]);
    auto_close int fd = -1;
    int r = overlay_mount(&o, &fd, err);
    if (r >= 0)
        r = mount_attrs(fd, MOUNT_ATTR_NODEV, 0, 0, false, err); /* see PACK_NODEV */
    if (r < 0)
        return r;
    *ret_fd = take_fd(&fd);
    return 0;
}

#define COPY_WORK "copy-work"

/*
 * The same to write; only while it does not run (container.op is held). "volatile", since
 * unmounting would else write back the whole file system below, whoever's files those are; the mark
 * that this leaves is in a work directory of its own, and goes with it.
 */
static int open_writable(struct container *c, int *ret_fd, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct overlay o = {.lowers = c->lowers,
                        .upper = own_dir(c, "diff", &a),
                        .work = own_dir(c, COPY_WORK, &a),
                        .options = "volatile"};
    int r = remove_tree_at(c->data_fd, COPY_WORK, err); /* of a daemon that was killed */

    if (r < 0)
        return r;
    if (mkdirat(c->data_fd, COPY_WORK, 0711) < 0)
        return err_sys(err, "create work directory");
    if (c->host->storage_opt.n)
        r = ctr_limit_work(c, COPY_WORK, err);
    return r < 0 ? r : overlay_mount(&o, ret_fd, err);
}

/* A pid may belong to somebody else by now; its directory in /proc does not change hands, and the
 * cgroup in there tells whose it is. */
static int open_root_of(const struct container *c, int64_t pid, struct err *err)
{
    auto_free char *path = xasprintf("/proc/%lld", (long long)pid);
    auto_buf struct buf groups = BUF_INIT;
    auto_close int proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (proc < 0)
        return err_conflict(err, "Container %s is not running", c->id);
    int r = read_file_at(proc, "cgroup", CGROUP_TEXT_MAX, &groups, NULL);
    if (r < 0 || !strstr(buf_str(&groups), c->id))
        return err_conflict(err, "Container %s is not running", c->id);
    int fd = openat(proc, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_sys(err, "open the container's root") : fd;
}

/* ---- a place in a container ---- */

struct place {
    int root;   /* of the tree it is looked up in */
    int upper;  /* of an overlay that is written */
    char *path; /* from there */
    bool ro;
    bool work;              /* it has a work directory */
    bool merged;            /* it is open_merged()'s */
    bool locked;            /* container.op, so that no start meets our writing */
    struct vol_open volume; /* that it lies in, if a plugin had to mount it */
};

static void place_done(struct container *c, struct place *p)
{
    struct err err = {0};

    close_fd(&p->root);
    close_fd(&p->upper);
    vol_close(c->e, &p->volume);
    if (p->work && remove_tree_at(c->data_fd, COPY_WORK, &err) < 0) /* the next copy tries again */
        log_warn("container %s: %s", c->id, err.msg);
    p->work = false;
    if (p->locked)
        (void)pthread_mutex_unlock(&c->op);
    p->locked = false;
}

static int64_t running_pid(struct container *c)
{
    (void)pthread_mutex_lock(&c->lock);
    int64_t pid = ctr_running(c) ? c->pid : 0;
    (void)pthread_mutex_unlock(&c->lock);
    return pid;
}

/* The bind mount that @path lies in, if any: nothing is mounted while the container does not run.
 * @ret_rest: where in it. */
static const struct oci_mount *bind_of(const struct oci_spec *spec, const char *path,
                                       const char **ret_rest)
{
    const struct oci_mount *best = NULL;

    for (size_t i = 0; i < spec->mounts.n; i++) {
        const struct oci_mount *m = spec->mounts.v[i];
        size_t n = strlen(m->destination);
        if (!str_eq(m->type, "bind") || strncmp(path, m->destination, n) != 0 ||
            (path[n] && path[n] != '/') || (best && strlen(best->destination) > n))
            continue;
        best = m;
        *ret_rest = path + n;
    }
    return best;
}

/* A part of a volume or an image: found without leaving it. */
static int open_subpath(const struct oci_mount *m, const char *rest, struct arena *a,
                        struct place *ret, struct err *err)
{
    struct stat st;
    auto_close int sub = rootfs_open(ret->root, m->subpath, O_PATH, err);

    if (sub < 0 || fstat(sub, &st) < 0)
        return sub < 0 ? sub : err_sys(err, "look at %s", m->subpath);
    if (S_ISDIR(st.st_mode)) {
        close_fd(&ret->root);
        ret->root = take_fd(&sub);
    } else { /* a file: reached through the volume */
        ret->path = arena_printf(a, "/%s%s", m->subpath, rest);
    }
    return 0;
}

static int open_image(const struct oci_mount *m, const char *rest, struct arena *a,
                      struct place *ret, struct err *err)
{
    struct overlay o = {.lowers = m->lowers};
    int r = overlay_mount(&o, &ret->root, err);

    return r < 0 || str_empty(m->subpath) ? r : open_subpath(m, rest, a, ret, err);
}

/* A plugin mounts it for us, for as long as we work on it. */
static int open_volume(struct container *c, const struct oci_mount *m, struct place *ret,
                       struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    const struct ctr_volume *v = ctr_volume_at(c, m->destination);
    struct vol_record rec;
    int r = v ? vol_get(c->e, v->name, &a, &rec, err)
              : err_no(err, ENOENT, "the mount at %s has no source", m->destination);

    if (r >= 0)
        r = vol_driver(&rec.rq)->open(c->e, &rec, &ret->volume, err);
    if (r <= 0)
        return r < 0 ? r : err_no(err, ENOTSUP, "volume %s cannot be opened here", v->name);
    ret->root = fcntl(ret->volume.fd, F_DUPFD_CLOEXEC, 0);
    return ret->root < 0 ? err_sys(err, "open volume %s", v->name) : 0;
}

static int open_bind(struct container *c, const struct oci_mount *m, const char *rest,
                     struct arena *a, struct place *ret, struct err *err)
{
    struct stat st;

    ret->path = arena_printf(a, "/%s", rest);
    ret->ro = strv_has(&m->options, "ro") || strv_has(&m->options, "rro");
    if (m->lowers.n)
        return open_image(m, rest, a, ret, err);
    if (str_empty(m->source)) {
        int r = open_volume(c, m, ret, err);
        return r < 0 || str_empty(m->subpath) ? r : open_subpath(m, rest, a, ret, err);
    }
    ret->root = open(m->source, O_PATH | O_CLOEXEC);
    if (ret->root < 0 || fstat(ret->root, &st) < 0)
        return err_sys(err, "open %s", m->source);
    if (!str_empty(m->subpath))
        return open_subpath(m, rest, a, ret, err);
    if (S_ISDIR(st.st_mode))
        return 0;
    const char *slash = strrchr(m->source, '/'); /* a file: reached through its directory */
    close_fd(&ret->root);
    auto_free char *dir = xstrndup(m->source, (size_t)(slash - m->source) + 1);
    ret->root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    ret->path = arena_strdup(a, slash);
    return ret->root < 0 ? err_sys(err, "open %s", dir) : 0;
}

/* @path: absolute. A running container's mounts are there; else they are looked up by name. */
static int find_place(struct container *c, const char *path, bool write, struct arena *a,
                      struct place *ret, struct err *err)
{
    struct oci_spec spec = {0};
    const char *rest = NULL;
    int64_t pid = running_pid(c);

    *ret = (struct place){
        .root = -1, .upper = -1, .path = arena_strdup(a, path), .volume = {.fd = -1}};
    if (pid > 0) {
        ret->root = open_root_of(c, pid, err);
        return ret->root < 0 ? ret->root : 0;
    }
    int r = ctr_mounts(c, a, &spec, err);
    if (r < 0)
        return r;
    const struct oci_mount *bind = bind_of(&spec, path, &rest);
    if (bind)
        return open_bind(c, bind, rest, a, ret, err);
    ret->ro = c->host->readonly_rootfs;
    ret->work = write;
    ret->merged = !write;
    return write ? open_writable(c, &ret->root, err) : open_merged(c, &ret->root, err);
}

static int not_found(const struct container *c, const char *path, struct err *err)
{
    return err_not_found(err, "Could not find the file %s in container %s", path, c->name);
}

/* ---- out ---- */

struct ctr_copy {
    struct container *c;
    int dir; /* the directory it lies in, or it is */
    char *name, *as;
    struct pack_options how;
    struct vol_open volume; /* that this is in */
};

/* Go's os.FileMode, of which clients make theirs. */
static uint32_t go_mode(mode_t m)
{
    static const struct {
        mode_t kind;
        uint32_t bits;
    } kinds[] = {{S_IFDIR, 1U << 31}, {S_IFLNK, 1U << 27},
                 {S_IFBLK, 1U << 26}, {S_IFCHR, 1U << 26 | 1U << 21},
                 {S_IFIFO, 1U << 25}, {S_IFSOCK, 1U << 24}};
    uint32_t out = m & 0777;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if ((m & S_IFMT) == kinds[i].kind)
            out |= kinds[i].bits;
    return out | (m & S_ISUID ? 1U << 23 : 0) | (m & S_ISGID ? 1U << 22 : 0) |
           (m & S_ISVTX ? 1U << 20 : 0);
}

static void fill_stat(struct arena *a, int dir, const char *name, const char *shown,
                      const char *path, const struct stat *st, struct path_stat *ret)
{
    char text[TIME_TEXT], target[4097] = "";
    ssize_t n = S_ISLNK(st->st_mode) ? readlinkat(dir, name, target, sizeof(target) - 1) : 0;

    target[n > 0 ? n : 0] = '\0';
    const char *slash = strrchr(path, '/');
    *ret = (struct path_stat){
        .name = arena_strdup(a, shown),
        .size_b = st->st_size,
        .mode = go_mode(st->st_mode),
        .mtime = arena_strdup(
            a, time_rfc3339(st->st_mtim.tv_sec * NS_PER_S + st->st_mtim.tv_nsec, text)),
        .link_target = arena_strdup(a, "")};
    if (n > 0)
        ret->link_target = path_clean(
            a, target[0] == '/' ? target
                                : arena_printf(a, "%.*s/%s", (int)(slash - path), path, target));
}

/* A slash behind a name asks for a directory, and follows a link to one. */
static bool wants_dir(const char *path)
{
    size_t n = strlen(path);

    return n > 0 && (path[n - 1] == '/' || (n > 1 && strcmp(path + n - 2, "/.") == 0));
}

static int open_source(struct ctr_copy *copy, const struct place *place, bool dir, struct stat *ret,
                       struct err *err)
{
    char *slash = strrchr(place->path, '/');
    const char *parent = slash == place->path ? "/" : place->path;
    bool whole = dir || strcmp(place->path, "/") == 0;

    copy->name = xstrdup(whole ? "." : slash + 1);
    if (!whole)
        *slash = '\0';
    copy->dir = rootfs_open(place->root,
                            whole     ? place->path
                            : *parent ? parent
                                      : "/",
                            O_PATH | O_DIRECTORY, err);
    if (!whole)
        *slash = '/';
    if (copy->dir < 0)
        return copy->dir;
    return fstatat(copy->dir, copy->name, ret, AT_SYMLINK_NOFOLLOW) < 0
               ? err_sys(err, "stat %s", place->path)
               : 0;
}

int ctr_copy_out_open(struct engine *e, const char *id, const char *path, struct arena *a,
                      struct ctr_copy **ret, struct path_stat *ret_stat, struct err *err)
{
    struct container *c = ctr_find(e, id, err);
    struct place place = {.root = -1, .upper = -1, .volume = {.fd = -1}};
    struct stat st;

    if (!c)
        return err_code(err);
    struct ctr_copy *copy = xnew(struct ctr_copy);
    copy->c = c;
    copy->dir = copy->volume.fd = -1;
    char *clean = path_clean(a, path);
    int r = str_empty(path) ? err_invalid(err, "bad parameter: path is empty")
                            : find_place(c, clean, false, a, &place, err);
    if (r >= 0) {
        r = open_source(copy, &place, wants_dir(path), &st, err);
        if (r == -ENOENT)
            r = not_found(c, path, err);
        else if (r == -ENOTDIR)
            r = err_invalid(err, "%s is not a directory", path);
    }
    copy->how.flags = place.merged ? PACK_NODEV : 0;
    copy->volume = place.volume; /* stays mounted until all is read */
    place.volume = (struct vol_open){.fd = -1};
    place_done(c, &place);
    if (r < 0) {
        ctr_copy_free(copy);
        return r;
    }
    size_t n = strlen(path);
    bool content = n > 1 && strcmp(path + n - 2, "/.") == 0;
    const char *base = strrchr(clean, '/') + 1;
    copy->as = xstrdup(content || !*base ? "." : base);
    fill_stat(a, copy->dir, copy->name, *base ? base : "/", clean, &st, ret_stat);
    *ret = copy;
    return 0;
}

int ctr_copy_out(struct ctr_copy *copy, img_write write, void *arg, struct err *err)
{
    auto_sink struct sink *out = sink_cb(write, arg);
    int64_t r = pack_one(copy->dir, copy->name, copy->as, out, &copy->how, err);

    if (r >= 0)
        ctr_event(copy->c, "archive-path", NULL);
    return r < 0 ? (int)r : 0;
}

void ctr_copy_free(struct ctr_copy *copy)
{
    if (!copy)
        return;
    close_fd(&copy->dir);
    vol_close(copy->c->e, &copy->volume);
    ctr_unref(copy->c);
    free(copy->name);
    free(copy->as);
    free(copy);
}

/* ---- in ---- */

int unpack_any(int dir, const struct unpack_options *o, img_read read, void *arg, struct err *err)
{
    auto_source struct source *bytes = source_cb(read, arg);
    auto_source struct source *body = source_buffered(bytes);
    auto_source struct source *peek = NULL, *plain = NULL;
    const uint8_t *head = NULL;
    size_t n = 0;
    int r = source_peek(body, COMP_MAGIC, &head, &n, &peek, err);

    if (r < 0)
        return r;
    enum compression how = compression_detect(head, n);
    if (how != COMP_NONE)
        plain = source_inflate(peek, how);
    return unpack_tar(plain ? plain : peek, dir, o, NULL, err);
}

/* With "archive" set Docker gives everything to the container's user, if it has one. */
static int user_of(struct container *c, int64_t ret[2], struct err *err)
{
    static const struct strv none = {0};
    auto_arena struct arena a = ARENA_INIT;
    struct user_info u = {0};
    int r = user_lookup(c, c->config->user, &none, &a, &u, err);

    ret[0] = u.uid;
    ret[1] = u.gid;
    return r;
}

/* Nobody else has the overlay that we write through; @dir: in it. */
static int past_overlay(const struct container *c, struct place *place, int dir,
                        struct unpack_upper *ret, char path[PATH_MAX], struct err *err)
{
    if (!place->work)
        return 0;
    int r = fd_path(dir, path, err);
    if (r < 0)
        return r;
    place->upper = openat(c->data_fd, "diff", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    *ret = (struct unpack_upper){.fd = place->upper, .path = path + strspn(path, "/")};
    return place->upper < 0 ? err_sys(err, "open the container's layer") : 0;
}

static int copy_in(struct container *c, struct place *place, const char *path,
                   const struct copy_in_opts *o, img_read read, void *arg, struct err *err)
{
    struct unpack_options how = {.flags = o->keep_dirs ? UNPACK_KEEP_DIRS : 0};
    int64_t owner[2];
    char path_of[PATH_MAX];
    struct unpack_upper up;

    if (o->to_user && !str_empty(c->config->user)) {
        int r = user_of(c, owner, err);
        if (r < 0)
            return r;
        how.owner = (const int64_t(*)[2]) & owner;
    }
    if (place->ro)
        return err_as(err, ERR_DENIED, EROFS, "container rootfs is marked read-only");
    auto_close int dir = rootfs_open(place->root, place->path, O_RDONLY | O_DIRECTORY, err);
    if (dir == -ENOENT)
        return not_found(c, path, err);
    if (dir == -ENOTDIR)
        return err_invalid(err, "extraction point is not a directory");
    if (dir < 0)
        return dir;
    int r = past_overlay(c, place, dir, &up, path_of, err);
    if (r < 0)
        return r;
    how.upper = place->work ? &up : NULL;
    r = unpack_any(dir, &how, read, arg, err);
    return r == -EROFS ? err_as(err, ERR_DENIED, EROFS, "container rootfs is marked read-only") : r;
}

int ctr_copy_in(struct engine *e, const char *id, const char *path, const struct copy_in_opts *o,
                img_read read, void *arg, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_ctr struct container *c = ctr_find(e, id, err);
    struct place place = {.root = -1, .upper = -1, .volume = {.fd = -1}};

    if (!c)
        return err_code(err);
    if (str_empty(path))
        return err_invalid(err, "bad parameter: path is empty");
    if (running_pid(c) == 0) {
        (void)pthread_mutex_lock(&c->op);
        place.locked = true;
    }
    bool locked = place.locked;
    int r = find_place(c, path_clean(&a, path), true, &a, &place, err);
    place.locked = locked;
    if (r >= 0)
        r = limits_bind(err);
    if (r >= 0)
        r = copy_in(c, &place, path, o, read, arg, err);
    limits_release();
    place_done(c, &place);
    if (r >= 0)
        ctr_event(c, "extract-to-dir", NULL);
    return r < 0 ? r : 0;
}

/* ---- the whole ---- */

int ctr_export_check(struct engine *e, const char *id, struct err *err)
{
    auto_ctr struct container *c = ctr_find(e, id, err);

    return c ? 0 : err_code(err);
}

int ctr_export(struct engine *e, const char *id, img_write write, void *arg, struct err *err)
{
    auto_ctr struct container *c = ctr_find(e, id, err);
    static const struct pack_options how = {.flags = PACK_NODEV};
    auto_sink struct sink *out = sink_cb(write, arg);
    auto_close int fd = -1;

    if (!c)
        return err_code(err);
    int r = open_merged(c, &fd, err);
    int64_t n = r < 0 ? r : pack_tree(fd, out, &how, err);
    if (n >= 0)
        ctr_event(c, "export", NULL);
    return n < 0 ? (int)n : 0;
}

/* ---- changes ---- */

int ctr_diff_open(struct container *c, struct arena *a, struct diff *ret, struct err *err)
{
    struct oci_spec spec = {0};
    struct diff d = {.upper_fd = -1, .lower_fd = -1};

    int r = ctr_mounts(c, a, &spec, err);
    if (r >= 0)
        r = ctr_open_lower(c, &d.lower_fd, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < spec.mounts.n; i++)
        strv_push(a, &d.mounted, spec.mounts.v[i]->destination);
    d.upper_fd = openat(c->data_fd, "diff", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (d.upper_fd < 0) {
        r = err_sys(err, "open the container's layer");
        close_fd(&d.lower_fd);
        return r;
    }
    *ret = d;
    return 0;
}

void ctr_diff_close(struct diff *d)
{
    close_fd(&d->upper_fd);
    close_fd(&d->lower_fd);
}

int ctr_changes(struct engine *e, const char *id, struct arena *a, struct ctr_changes *ret,
                struct err *err)
{
    auto_ctr struct container *c = ctr_find(e, id, err);
    struct diff_items items = {0};
    struct diff d;

    if (!c)
        return err_code(err);
    int r = ctr_diff_open(c, a, &d, err);
    if (r < 0)
        return r;
    r = layer_diff(&d, a, &items, err);
    ctr_diff_close(&d);
    for (size_t i = 0; r >= 0 && i < items.n; i++) {
        struct filesystem_change *ch = arena_new(a, struct filesystem_change);
        *ch = (struct filesystem_change){.kind = items.v[i].kind, .path = items.v[i].path};
        arena_push(a, *ret) = ch;
    }
    return r;
}
