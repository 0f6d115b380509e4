#include "kern/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"

/* The command name may hold anything, blanks and parentheses too: fields start behind the last ")".
 */
static int parse_stat(char *text, struct proc_stat *ret)
{
    char *p = strrchr(text, ')'), *save = NULL;
    struct proc_stat st = {0};
    int n = 3;

    if (!p)
        return -EBADMSG;
    for (char *f = strtok_r(p + 1, " ", &save); f; f = strtok_r(NULL, " ", &save), n++) {
        if (n == 3)
            st.state = *f;
        else if (n == 4)
            st.ppid = (pid_t)strtol(f, NULL, 10);
        else if (n == 22)
            st.start_time = strtoull(f, NULL, 10);
    }
    if (n <= 22)
        return -EBADMSG;
    *ret = st;
    return 0;
}

int proc_stat_read(pid_t pid, struct proc_stat *ret, struct err *err)
{
    char path[32], text[1024];

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_no(err, errno == ENOENT ? ESRCH : errno, "look at process %d", pid);
    ssize_t n = read(fd, text, sizeof(text) - 1);
    if (n < 0)
        return err_sys(err, "read %s", path);
    text[n] = '\0';
    int r = parse_stat(text, ret);
    return r < 0 ? err_no(err, r, "parse %s", path) : 0;
}

bool proc_alive(pid_t pid, uint64_t start_time)
{
    struct proc_stat st;

    return proc_stat_read(pid, &st, NULL) == 0 && st.start_time == start_time && st.state != 'Z' &&
           st.state != 'X';
}
