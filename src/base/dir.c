#include "base/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"

#define SIZE_DEPTH 512

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int dir_names(int fd, struct arena *a, struct strv *ret, struct err *err)
{
    auto_close int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *open = own < 0 ? NULL : fdopendir(own);

    if (!open)
        return err_sys(err, "read directory");
    (void)take_fd(&own);
    auto_dir DIR *d = open;
    errno = 0;
    for (struct dirent *e; (e = readdir(d)); errno = 0)
        if (!is_dot(e->d_name))
            strv_push(a, ret, e->d_name);
    if (errno)
        return err_sys(err, "read directory");
    if (ret->n)
        qsort(ret->v, ret->n, sizeof(*ret->v), by_name);
    return 0;
}

static int64_t size_of(int fd, int depth)
{
    auto_dir DIR *d = fdopendir(fd);
    int64_t sum = 0;

    if (!d) {
        (void)close(fd);
        return 0;
    }
    for (struct dirent *e; depth < SIZE_DEPTH && (e = readdir(d));) {
        struct stat st;
        if (is_dot(e->d_name) || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (S_ISREG(st.st_mode))
            sum += st.st_size;
        if (!S_ISDIR(st.st_mode))
            continue;
        int sub = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub >= 0)
            sum += size_of(sub, depth + 1);
    }
    return sum;
}

int64_t dir_size(int fd)
{
    return size_of(fd, 0);
}
