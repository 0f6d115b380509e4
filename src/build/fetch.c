#include "build/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/rand.h"
#include "base/str.h"

bool fetch_is_remote(const char *source)
{
    return str_starts(source, "http://") || str_starts(source, "https://") || git_url_is(source);
}

int fetch_dir(const struct fetcher *f, struct fetched *ret, struct err *err)
{
    char name[sizeof(ret->name)];

    *ret = (struct fetched){.tmp_fd = f->tmp_fd, .fd = -1, .path = (char *)""};
    rand_hex(name, sizeof(name) - 1);
    if (mkdirat(f->tmp_fd, name, 0755) < 0)
        return err_sys(err, "make a directory for a download");
    (void)!snprintf(ret->name, sizeof(ret->name), "%s", name);
    ret->fd = openat(f->tmp_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return ret->fd < 0 ? err_sys(err, "open a directory for a download") : 0;
}

void fetched_done(struct fetched *f)
{
    if (!f->name[0])
        return;
    close_fd(&f->fd);
    (void)!remove_tree_at(f->tmp_fd, f->name, NULL); /* else the next start does it */
    f->name[0] = '\0';
}
