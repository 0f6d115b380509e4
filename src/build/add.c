#include "build/add.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/compress.h"
#include "archive/tar.h"
#include "archive/unpack.h"
#include "base/auto.h"
#include "kern/rootfs.h"
#include "kern/sandbox.h"

/* The first block decides: a tar has a checksum in it. */
static bool is_tar(struct source *s, struct source **ret)
{
    const uint8_t *head = NULL;
    size_t n = 0;

    return source_peek(s, TAR_BLOCK, &head, &n, ret, NULL) >= 0 && n == TAR_BLOCK &&
           tar_header_valid(head);
}

bool add_is_archive(int file)
{
    auto_source struct source *raw = source_fd(file);
    auto_source struct source *plain = NULL;
    auto_source struct source *tar = NULL;
    bool yes = source_auto(raw, NULL, &plain, NULL) >= 0 && is_tar(plain, &tar);

    return lseek(file, 0, SEEK_SET) == 0 && yes;
}

struct unpacking {
    struct source *tar;
    int dest_fd;
    struct unpack_options opts;
};

static int unpack(void *ctx, struct err *err)
{
    struct unpacking *u = ctx;

    return unpack_tar(u->tar, u->dest_fd, &u->opts, NULL, err);
}

/* In a thread that has shut itself in, as everything that reads what strangers packed. */
static int unpack_below(const struct add_archive *ar, struct source *tar, int file, struct err *err)
{
    const int64_t owner[2] = {ar->uid, ar->gid};
    auto_close int path = rootfs_mkdir_p(ar->to_fd, ar->dest, 0755, err);
    auto_close int dest = path < 0 ? -1 : openat(path, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dest < 0)
        return path < 0 ? path : err_sys(err, "open %s", ar->dest);
    struct unpacking u = {.tar = tar, .dest_fd = dest};
    if (ar->uid >= 0)
        u.opts.owner = &owner;
    struct sandbox s = {.dir_fd = dest, .keep = {file}, .nkeep = 1};
    int r = sandbox_run(&s, unpack, &u, err);
    return r < 0 ? err_wrap(err, r, "ADD %s", ar->path) : 1;
}

int add_unpack(const struct add_archive *ar, struct err *err)
{
    struct stat st;
    auto_close int file = rootfs_open(ar->from_fd, ar->path, O_RDONLY | O_NONBLOCK, err);

    if (file < 0 || fstat(file, &st) < 0)
        return file < 0 ? file : err_sys(err, "look at %s", ar->path);
    if (!S_ISREG(st.st_mode) || st.st_size < COMP_MAGIC)
        return 0;
    auto_source struct source *raw = source_fd(file);
    auto_source struct source *plain = NULL;
    auto_source struct source *tar = NULL;
    if (source_auto(raw, NULL, &plain, NULL) < 0 || !is_tar(plain, &tar))
        return 0;
    return unpack_below(ar, tar, file, err);
}
