/*
 * A context that the daemon keeps: it is listed first, and only what the daemon lacks is sent. A
 * small one is sent as it is, which takes a request less; and so is one that has more than files,
 * directories and links, or that changes while it is sent.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/dir.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/map.h"
#include "base/time.h"
#include "cli/build.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "wire/build.h"

#define SMALL_B (1 << 20)
#define SMALL_FILES 200
#define FILES_MAX 400000 /* more make a list of more than 64 MiB */
#define DEPTH_MAX 256

struct lister {
    struct build_context *c;
    struct arena *a;
    struct build_context_request *rq;
    int64_t bytes;
    int depth;
    bool odd; /* it has what cannot be listed */
};

/* ---- the list ---- */

static int list_dir(struct lister *l, int fd, const char *path, struct err *err);

static int list_link(struct lister *l, int dir, const char *name, struct build_context_file *f,
                     struct err *err)
{
    char target[4097];
    ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

    if (n < 0)
        return err_sys(err, "read link %s", f->path);
    f->link = arena_strndup(l->a, target, (size_t)n);
    return 0;
}

static int list_subdir(struct lister *l, int dir, const char *name, const char *path,
                       struct err *err)
{
    auto_close int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? err_sys(err, "open %s", path) : list_dir(l, fd, path, err);
}

static char *kind_of(const struct stat *st)
{
    static char file[] = "f", dir[] = "d", link[] = "l";

    return S_ISREG(st->st_mode)   ? file
           : S_ISDIR(st->st_mode) ? dir
           : S_ISLNK(st->st_mode) ? link
                                  : NULL;
}

static int list_entry(struct lister *l, int dir, const char *name, char *path, struct err *err)
{
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(err, "stat %s", path);
    if (build_context_skip(l->c, path, &st) || S_ISSOCK(st.st_mode))
        return 0;
    struct build_context_file *f = arena_new(l->a, struct build_context_file);
    *f = (struct build_context_file){.path = path,
                                     .kind = kind_of(&st),
                                     .mode = st.st_mode & 07777,
                                     .mtime_ns = st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec};
    l->odd |= !f->kind || st.st_mtim.tv_sec < 0;
    if (l->odd)
        return 0;
    arena_push(l->a, l->rq->files) = f;
    if (S_ISREG(st.st_mode)) {
        f->size = st.st_size;
        l->bytes += st.st_size;
    }
    if (S_ISLNK(st.st_mode))
        return list_link(l, dir, name, f, err);
    return S_ISDIR(st.st_mode) ? list_subdir(l, dir, name, path, err) : 0;
}

static int list_dir(struct lister *l, int fd, const char *path, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv names = {0};
    int r = dir_names(fd, &a, &names, err);

    l->odd |= ++l->depth > DEPTH_MAX || l->rq->files.n > FILES_MAX;
    for (size_t i = 0; r >= 0 && !l->odd && i < names.n; i++)
        r = list_entry(l, fd, names.v[i],
                       arena_printf(l->a, "%s%s%s", path, *path ? "/" : "", names.v[i]), err);
    l->depth--;
    return r;
}

/* A Dockerfile from outside and its patterns, which pack() puts in front. */
static void list_made_up(struct lister *l, const char *suffix, size_t size)
{
    struct build_context_file *f = arena_new(l->a, struct build_context_file);

    *f = (struct build_context_file){.path = arena_printf(l->a, "%s%s", l->c->dockerfile, suffix),
                                     .kind = arena_strdup(l->a, "f"),
                                     .mode = 0644,
                                     .size = (int64_t)size};
    arena_push(l->a, l->rq->files) = f;
}

static int by_path(const void *a, const void *b)
{
    return strcmp((*(struct build_context_file *const *)a)->path,
                  (*(struct build_context_file *const *)b)->path);
}

/* Which directory of which machine; with other patterns it is another one. */
static void key_of(const struct build_context *c, char out[SHA256_HEX + 1])
{
    auto_buf struct buf text = BUF_INIT;
    char digest[DIGEST_LEN + 1];

    if (read_file_at(AT_FDCWD, "/etc/machine-id", 128, &text, NULL) < 0)
        buf_puts(&text, "no id");
    buf_printf(&text, "\n%u\n%s\n", geteuid(), c->dir);
    buf_puts(&text, buf_str(&c->ignore_text));
    sha256_of(text.data, text.len, digest);
    memcpy(out, digest + strlen("sha256:"), SHA256_HEX + 1);
}

/* Return: 1 *rq is worth sending, 0 it is not, -errno. */
static int make_list(struct build_context *c, struct arena *a, struct build_context_request *rq,
                     struct err *err)
{
    struct lister l = {.c = c, .a = a, .rq = rq};
    char key[SHA256_HEX + 1];
    int r = list_dir(&l, c->dir_fd, "", err);

    if (r < 0 || l.odd || (l.bytes < SMALL_B && rq->files.n < SMALL_FILES))
        return r < 0 ? r : 0;
    if (c->shown) {
        auto_buf struct buf patterns = build_context_patterns(c);
        list_made_up(&l, "", c->file.len);
        list_made_up(&l, ".dockerignore", patterns.len);
    }
    qsort(rq->files.v, rq->files.n, sizeof(*rq->files.v), by_path);
    key_of(c, key);
    rq->key = arena_strdup(a, key);
    return 1;
}

/* ---- what is missing ---- */

/* Return: 0 with the paths in @c->wanted; -errno, also for an answer that makes no sense. */
static int want(struct build_context *c, const struct build_context_request *rq,
                const struct build_context_response *res, struct err *err)
{
    c->wanted = map_new();
    for (size_t i = 0; i < res->missing.n; i++) {
        int64_t at = res->missing.v[i];
        if (at < 0 || (size_t)at >= rq->files.n)
            return err_invalid(err, "answer of the daemon: no file %lld", (long long)at);
        char *path = rq->files.v[at]->path;
        (void)map_set(c->wanted, path, c);
        for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
            *slash = '\0';
            (void)map_set(c->wanted, path, c); /* what leads to it, too */
            *slash = '/';
        }
    }
    return 0;
}

int build_sync(struct build_context *c, const char *session, char **ret_session, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct build_context_request rq = {0};
    struct build_context_response res = {0};
    struct cli *cli = c->cli;
    struct err e = {0};
    int r = c->dir_fd < 0 ? 0 : make_list(c, &a, &rq, err);

    if (r <= 0)
        return r;
    char *t = cli_query(cli, cli_target(cli, "/build/context", NULL, NULL), "session", session);
    t = cli_query(cli, t, "name", c->name);
    r = call_post(cli, t, &build_context_request_type, &rq, &build_context_response_type, &res, &e);
    if (r < 0 && e.kind == ERR_NOT_FOUND && !session)
        return 0; /* a daemon that keeps none */
    if (r < 0) {
        *err = e;
        return r;
    }
    r = want(c, &rq, &res, err);
    *ret_session = res.session;
    return r < 0 ? r : 1;
}
