/* docker import URL: the archive is fetched whole, like what builds take from the net. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "build/fetch.h"
#include "engine/engine-priv.h"
#include "image/import.h"

static ssize_t read_file(void *arg, void *p, size_t n, struct err *err)
{
    const int *fd = arg;
    ssize_t got;

    do
        got = read(*fd, p, n);
    while (got < 0 && errno == EINTR);
    return got < 0 ? err_sys(err, "read what was fetched") : got;
}

static int import(struct engine *e, const struct fetched *f, const char *repo, const char *tag,
                  const struct strv *changes, struct import_options *o, struct arena *a,
                  char **ret_id, struct err *err)
{
    auto_close int fd = openat(f->fd, f->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return err_sys(err, "open what was fetched");
    return img_import(e, read_file, &fd, repo, tag, changes, o, a, ret_id, err);
}

int img_import_url(struct engine *e, const char *url, int gone_fd, img_say say, void *say_arg,
                   const char *repo, const char *tag, const struct strv *changes,
                   struct import_options *o, struct arena *a, char **ret_id, struct err *err)
{
    const char *full = strstr(url, "://") ? url : arena_printf(a, "http://%s", url);
    auto_close int tmp = openat(e->data_fd, "build/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct fetcher f = {.web = e->build_host.web, .tmp_fd = tmp, .gone_fd = &gone_fd};
    struct fetched got = {.fd = -1};
    int r = tmp < 0
                ? err_sys(err, "open the builder's directory")
                : say(say_arg,
                      arena_printf(a, "Downloading from %.*s", (int)strcspn(full, "?"), full), err);

    if (r >= 0)
        r = fetch_http(&f, full, NULL, a, &got, err);
    if (r < 0 && err && err->kind == ERR_UNAVAILABLE)
        err->kind = ERR_SYSTEM; /* as docker's */
    if (r >= 0)
        r = import(e, &got, repo, tag, changes, o, a, ret_id, err);
    fetched_done(&got);
    return r;
}
