/*
 * v1 alone: a new cpuset is empty and takes no process until it has been given CPUs and memory
 * nodes. With cgroup.clone_children in our parent directory the kernel copies them at mkdir.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "kern/cgroup-priv.h"

static const char *const cpuset_files[] = {"cpuset.cpus", "cpuset.mems"};

/* Copies a file from the directory above @dir when it is empty; asks above first if need be. */
static int inherit(int fd, const char *dir, const char *file, struct err *err)
{
    char above[4096], path[4200];
    auto_buf struct buf text = BUF_INIT;
    const char *slash = strrchr(dir, '/');

    (void)snprintf(path, sizeof(path), "%s/%s", dir, file);
    int r = read_file_at(fd, path, CG_FILE_MAX, &text, err);
    if (r < 0 || (text.len > 0 && text.data[0] != '\n'))
        return r;
    (void)snprintf(above, sizeof(above), "%.*s", slash ? (int)(slash - dir) : 1, slash ? dir : ".");
    if (slash) {
        r = inherit(fd, above, file, err);
        if (r < 0)
            return r;
    }
    char from[4200];
    (void)snprintf(from, sizeof(from), "%s/%s", above, file);
    buf_clear(&text);
    r = read_file_at(fd, from, CG_FILE_MAX, &text, err);
    return r < 0 ? r : write_value_at(fd, path, buf_str(&text), err);
}

int cg1_prepare_parent(int fd, const char *dir, struct err *err)
{
    char path[4200];

    for (size_t i = 0; i < sizeof(cpuset_files) / sizeof(cpuset_files[0]); i++) {
        int r = inherit(fd, dir, cpuset_files[i], err);
        if (r < 0)
            return r;
    }
    (void)snprintf(path, sizeof(path), "%s/cgroup.clone_children", dir);
    return write_value_at(fd, path, "1", err);
}

int cg1_prepare_leaf(struct cgroup *cg, int i, struct err *err)
{
    int fd = cg->host->h[i].fd, r = 0;

    for (size_t k = 0; k < sizeof(cpuset_files) / sizeof(cpuset_files[0]) && r == 0; k++)
        r = inherit(fd, cg->path + 1, cpuset_files[k], err);
    return r;
}
