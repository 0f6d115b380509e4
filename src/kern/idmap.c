#include "kern/idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/sched.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/io.h"
#include "kern/ns.h"

static int write_map(int proc_fd, const char *file, const struct idmap_list *map, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;

    if (map->n == 0)
        return 0;
    for (size_t i = 0; i < map->n; i++)
        buf_printf(&text, "%u %u %u\n", map->v[i]->container_id, map->v[i]->host_id,
                   map->v[i]->size);
    return write_value_at(proc_fd, file, buf_str(&text), err);
}

int idmap_write(pid_t pid, const struct idmap_list *uids, const struct idmap_list *gids,
                bool deny_setgroups, struct err *err)
{
    char path[32];

    (void)snprintf(path, sizeof(path), "/proc/%d", pid);
    auto_close int proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0)
        return err_sys(err, "open %s", path);
    int r = write_map(proc, "uid_map", uids, err);
    if (r == 0 && deny_setgroups)
        r = write_value_at(proc, "setgroups", "deny", err);
    if (r == 0)
        r = write_map(proc, "gid_map", gids, err);
    return r < 0 ? err_wrap(err, r, "map ids of process %d", pid) : 0;
}

int idmap_userns(const struct idmap_list *uids, const struct idmap_list *gids, int *ret_fd,
                 struct err *err)
{
    struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    int go[2];

    if (pipe2(go, O_CLOEXEC) < 0)
        return err_sys(err, "make a pipe");
    auto_close int rd = go[0], wr = go[1];
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    if (pid == 0) {
        char c;
        (void)close(wr);
        (void)!read(rd, &c, 1); /* until the parent has its fd, or died */
        _exit(0);
    }
    if (pid < 0)
        return err_sys(err, "make a user namespace");
    int r = idmap_write(pid, uids, gids, false, err);
    int fd = r < 0 ? r : ns_open(pid, ns_by_name("user"), err);
    close_fd(&wr);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (fd < 0)
        return fd;
    *ret_fd = fd;
    return 0;
}

int idmap_to_host(const struct idmap_list *map, uint32_t id, uint32_t *ret)
{
    for (size_t i = 0; i < map->n; i++) {
        const struct idmap_range *m = map->v[i];
        if (id >= m->container_id && id - m->container_id < m->size) {
            *ret = m->host_id + (id - m->container_id);
            return 0;
        }
    }
    return -EINVAL;
}
