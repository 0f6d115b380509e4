#include "cli/download.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/mem.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/session.h"

/* Copy the answer to a file or stdout. */
static int download(struct cli *cli, const char *target, int fd, struct err *err)
{
    struct http_call call = {.method = "GET", .target = target};
    struct http_reply *reply = NULL;
    auto_free char *tmp = xmalloc(1 << 16);
    int r = client_open(cli->client, &call, &reply, err);
    ssize_t n;

    if (r < 0)
        return r;
    r = 0;
    while (r == 0 && (n = http_reply_read(reply, tmp, 1 << 16, err)) != 0)
        r = n < 0 ? (int)n : out_write(fd, tmp, (size_t)n, err);
    http_reply_free(reply);
    return r;
}

/* To a file it goes by a temporary name, so that a failure leaves the old one alone. */
static int save_to(struct cli *cli, const char *target, const char *path, struct err *err)
{
    if (str_empty(path)) {
        if (isatty(1))
            return err_invalid(err, "cowardly refusing to save to a terminal. Use the -o flag or "
                                    "redirect");
        return download(cli, target, 1, err);
    }
    char *tmp = arena_printf(&cli->arena, "%s.tmp-%d", path, (int)getpid());
    auto_close int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_as(err, ERR_SYSTEM, errno, "open %s: %s", path, errno_text(&cli->arena, errno));
    int r = download(cli, target, fd, err);
    if (r == 0 && rename(tmp, path) < 0)
        r = err_sys(err, "rename %s", path);
    if (r < 0)
        (void)unlink(tmp);
    return r;
}

int download_to(struct cli *cli, const char *target, const char *path, const char *what,
                struct err *err)
{
    const char *slash = strrchr(str_or(path, ""), '/');
    struct stat st;

    if (slash && slash > path) {
        const char *dir = arena_strndup(&cli->arena, path, (size_t)(slash - path));
        if (stat(dir, &st) < 0)
            return err_as(err, ERR_SYSTEM, errno, "failed to %s: invalid output path: stat %s: %s",
                          what, dir, errno_text(&cli->arena, errno));
    }
    return save_to(cli, target, path, err);
}
