/* v2 alone: a controller must be handed down by each directory from the root to the parent. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "kern/cgroup-priv.h"

static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);

    for (const char *p = text; (p = strstr(p, word)); p += n)
        if ((p == text || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\n' || p[n] == '\0'))
            return true;
    return false;
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
        if (!(ctls & (1U << i)) || has_word(buf_str(&now), cg_ctl_name((enum cg_ctl)i, true)))
            continue;
        (void)snprintf(text, sizeof(text), "+%s", cg_ctl_name((enum cg_ctl)i, true));
        /* One that cannot be enabled (a real-time process pins cpu) fails when a limit needs it. */
        r = write_value_at(fd, path, text, err);
        if (r < 0 && r != -EINVAL && r != -ENOENT && r != -EBUSY && r != -EOPNOTSUPP)
            return r;
    }
    return 0;
}
