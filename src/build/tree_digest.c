/*
 * The digest of a tree: a line per entry, in the order of names. That of a file's content can be
 * noted on the file itself, together with what would have changed if the content had.
 */
#include "build/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/dir.h"
#include "base/io.h"
#include "base/mem.h"
#include "kern/rootfs.h"

#define NOTE "trusted.cleat.digest"
#define BLOCK (256u << 10)
#define CAPABILITY "security.capability"

struct digester {
    struct sha256 *h;
    const struct tree_filter *f;
    bool keep;
    uint8_t *block;
    int depth;
};

static void add(struct digester *d, const char *p)
{
    sha256_add(d->h, p, strlen(p) + 1);
}

static void add_numbers(struct digester *d, const struct stat *st)
{
    char text[160];
    bool node = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);

    (void)snprintf(text, sizeof(text), "%o %u %u %llx %lld", st->st_mode, st->st_uid, st->st_gid,
                   node ? (unsigned long long)st->st_rdev : 0,
                   S_ISREG(st->st_mode) ? (long long)st->st_size : 0);
    add(d, text);
}

/* ---- files ---- */

/* What changes with the content. The tree is ours: whoever writes a file sets its time, or makes it
 * anew. */
struct note {
    int64_t size, mtime_ns;
    char digest[DIGEST_LEN + 1];
};

static int64_t ns_of(const struct timespec *t)
{
    return t->tv_sec * INT64_C(1000000000) + t->tv_nsec;
}

static bool read_note(int fd, const struct stat *st, char out[DIGEST_LEN + 1])
{
    struct note n;

    if (fgetxattr(fd, NOTE, &n, sizeof(n)) != (ssize_t)sizeof(n) || n.size != st->st_size ||
        n.mtime_ns != ns_of(&st->st_mtim))
        return false;
    n.digest[DIGEST_LEN] = '\0';
    memcpy(out, n.digest, DIGEST_LEN + 1);
    return digest_valid(out);
}

/* A file system without xattrs has the digest worked out again the next time. */
static void write_note(int fd, const struct stat *st, const char *digest)
{
    struct note n = {.size = st->st_size, .mtime_ns = ns_of(&st->st_mtim)};

    memcpy(n.digest, digest, DIGEST_LEN + 1);
    (void)!fsetxattr(fd, NOTE, &n, sizeof(n), 0);
}

static int content_digest(struct digester *d, int fd, char out[DIGEST_LEN + 1], struct err *err)
{
    struct sha256 *h = sha256_new();
    ssize_t n;

    while ((n = read(fd, d->block, BLOCK)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            sha256_add(h, d->block, (size_t)n);
    int r = n < 0 ? err_sys(err, "read") : 0;
    if (r >= 0)
        sha256_digest(h, out);
    sha256_free(h);
    return r;
}

static int add_file(struct digester *d, int dir, const char *name, const struct stat *st,
                    struct err *err)
{
    char digest[DIGEST_LEN + 1], cap[64];
    auto_close int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return err_sys(err, "open %s", name);
    if (!d->keep || !read_note(fd, st, digest)) {
        int r = content_digest(d, fd, digest, err);
        if (r < 0)
            return err_wrap(err, r, "%s", name);
        if (d->keep)
            write_note(fd, st, digest);
    }
    add(d, digest);
    ssize_t n = fgetxattr(fd, CAPABILITY, cap, sizeof(cap));
    if (n > 0)
        sha256_add(d->h, cap, (size_t)n);
    return 0;
}

static int add_link(struct digester *d, int dir, const char *name, struct err *err)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

    if (n < 0)
        return err_sys(err, "read link %s", name);
    target[n] = '\0';
    add(d, target);
    return 0;
}

/* ---- the walk ---- */

static int add_dir(struct digester *d, int fd, const char *path, const char *below,
                   struct err *err);

static bool left_out(const struct tree_filter *f, const char *path, const char *below, bool dir)
{
    const struct {
        const struct ignore *ig;
        const char *path;
    } both[] = {{f->ignored, path}, {f->exclude, below}};

    for (size_t i = 0; i < 2; i++)
        if (both[i].ig && *both[i].path && ignore_match(both[i].ig, both[i].path) &&
            !(dir && ignore_below(both[i].ig, both[i].path)))
            return true;
    return false;
}

/* @path: from the root; @below: from the item. */
static int add_entry(struct digester *d, int dir, const char *name, const char *path,
                     const char *below, struct err *err)
{
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "stat %s", path);
    if (left_out(d->f, path, below, S_ISDIR(st.st_mode)) || tree_is_nothing(&st))
        return 0;
    add(d, below);
    add_numbers(d, &st);
    if (S_ISREG(st.st_mode))
        return add_file(d, dir, name, &st, err);
    if (S_ISLNK(st.st_mode))
        return add_link(d, dir, name, err);
    if (!S_ISDIR(st.st_mode))
        return 0;
    auto_close int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? err_sys(err, "open %s", path) : add_dir(d, fd, path, below, err);
}

static int add_dir(struct digester *d, int fd, const char *path, const char *below, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv names = {0};
    int r = dir_names(fd, &a, &names, err);

    if (r >= 0 && ++d->depth > TREE_DEPTH_MAX)
        r = err_no(err, ELOOP, "%s lies too deep", path);
    for (size_t i = 0; r >= 0 && i < names.n; i++) {
        char *sub = arena_printf(&a, "%s%s%s", path, *path ? "/" : "", names.v[i]);
        r = add_entry(d, fd, names.v[i], sub,
                      arena_printf(&a, "%s%s%s", below, *below ? "/" : "", names.v[i]), err);
    }
    d->depth--;
    return r;
}

static int add_item(struct digester *d, int root_fd, const struct tree_item *item, struct err *err)
{
    const char *slash = strrchr(item->path, '/');
    auto_free char *parent = xstrndup(item->path, slash ? (size_t)(slash - item->path) : 0);

    if (item->dir) { /* its name does not matter, what lies in it goes into the destination */
        auto_close int fd = rootfs_open(root_fd, item->path, O_RDONLY | O_DIRECTORY, err);
        return fd < 0 ? fd : add_dir(d, fd, item->path, "", err);
    }
    auto_close int dir = rootfs_open(root_fd, parent, O_PATH | O_DIRECTORY, err);
    return dir < 0 ? dir
                   : add_entry(d, dir, slash ? slash + 1 : item->path, item->path,
                               slash ? slash + 1 : item->path, err);
}

int tree_digest(int root_fd, const struct tree_item *item, const struct tree_filter *f, bool keep,
                char out[DIGEST_LEN + 1], struct err *err)
{
    auto_free uint8_t *block = xmalloc(BLOCK);
    struct digester d = {.h = sha256_new(), .f = f, .keep = keep, .block = block};
    int r = add_item(&d, root_fd, item, err);

    if (r >= 0)
        sha256_digest(d.h, out);
    sha256_free(d.h);
    return r;
}
