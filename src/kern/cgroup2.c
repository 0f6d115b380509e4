/*
 * v2 alone: a controller must be handed down by each directory from the root to the parent, and a
 * directory that does so has no processes of its own, unless it is the machine's root.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "kern/cgroup-priv.h"

#define INIT_GROUP "init"
#define MOVE_ROUNDS 20

bool cg_has_word(const char *text, const char *word)
{
    size_t n = strlen(word);

    for (const char *p = text; (p = strstr(p, word)); p += n)
        if ((p == text || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\n' || p[n] == '\0'))
            return true;
    return false;
}

/* Return: how many processes were found, -errno. */
static int move_out(int root, int init, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    char *line;
    int n = 0, r = read_file_at(root, "cgroup.procs", CG_FILE_MAX, &text, err);

    for (char *p = text.data; r >= 0 && p && (line = cg_next_line(&p)); n++) {
        r = write_value_at(init, "cgroup.procs", line, err);
        if (r == -ESRCH) /* it ended meanwhile */
            r = 0;
    }
    return r < 0 ? r : n;
}

int cgroup_host_make_room(struct cgroup_host *host, struct err *err)
{
    int n = 0;

    if (host->mode != CGROUP_V2)
        return 0;
    int root = host->h[host->v2].fd;
    auto_buf struct buf procs = BUF_INIT;
    if (faccessat(root, "cgroup.type", F_OK, 0) < 0) /* the machine's own root has no type */
        return 0;
    int r = read_file_at(root, "cgroup.procs", CG_FILE_MAX, &procs, err);
    if (r < 0 || procs.len == 0)
        return r;
    if (mkdirat(root, INIT_GROUP, 0755) < 0 && errno != EEXIST)
        return err_sys(err, "make cgroup " INIT_GROUP);
    auto_close int init = openat(root, INIT_GROUP, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (init < 0)
        return err_sys(err, "open cgroup " INIT_GROUP);
    /* What forks meanwhile leaves its child behind: until a round finds nobody. */
    for (int i = 0; i < MOVE_ROUNDS; i++) {
        n = move_out(root, init, err);
        if (n <= 0)
            return n < 0 ? n : 1;
    }
    return err_no(err, EBUSY, "move processes out of the root cgroup");
}

int cg2_enable(int fd, const char *dir, unsigned ctls, struct err *err)
{
    char path[4200];
    auto_buf struct buf now = BUF_INIT;

    (void)snprintf(path, sizeof(path), "%s/cgroup.subtree_control", dir);
    int r = read_file_at(fd, path, CG_FILE_MAX, &now, err);
    if (r < 0)
        return r;
    for (int i = 0; i < CTL_COUNT; i++) {
        char text[32];
        if (!(ctls & (1U << i)) || cg_has_word(buf_str(&now), cg_ctl_name((enum cg_ctl)i, true)))
            continue;
        (void)snprintf(text, sizeof(text), "+%s", cg_ctl_name((enum cg_ctl)i, true));
        /* One that cannot be enabled (a real-time process pins cpu) fails when a limit needs it. */
        r = write_value_at(fd, path, text, err);
        if (r < 0 && r != -EINVAL && r != -ENOENT && r != -EBUSY && r != -EOPNOTSUPP)
            return r;
    }
    return 0;
}
