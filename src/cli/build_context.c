/*
 * What a build starts from: a directory, a tar or a Dockerfile on stdin, an address that the daemon
 * fetches; and a Dockerfile in the context, outside of it, or on stdin.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/compress.h"
#include "archive/ignore.h"
#include "archive/tar.h"
#include "base/io.h"
#include "base/map.h"
#include "base/rand.h"
#include "cli/build.h"
#include "cli/cli.h"
#include "cli/cmds.h"

#define DOCKERFILE "Dockerfile"
#define DOCKERFILE_MAX (16u << 20)
#define IGNORE_NAME ".dockerignore"

/* ---- addresses ---- */

bool build_is_remote(const char *where)
{
    static const char *const starts[] = {"http://", "https://", "git://",
                                         "git@",    "ssh://",   "github.com/"};

    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
        if (str_starts(where, starts[i]))
            return true;
    return false;
}

/* ---- stdin ---- */

static int read_stdin(size_t limit, const char *what, struct buf *out, struct err *err)
{
    int r = read_fd(0, limit, out, err);

    if (r >= 0 && out->len == 0)
        r = err_invalid(err, "%s on standard input is empty", what);
    return r;
}

static bool is_archive(const struct buf *b)
{
    const uint8_t *p = (const uint8_t *)b->data;

    return compression_detect(p, b->len) != COMP_NONE ||
           (b->len >= TAR_BLOCK && tar_header_valid(p));
}

/* The name says nothing, and is new, so that no file of the context has it. */
static void make_up_name(struct build_context *c, const char *shown)
{
    char hex[21];

    rand_hex(hex, 20);
    c->dockerfile = arena_printf(&c->cli->arena, ".dockerfile.%s", hex);
    c->shown = arena_strdup(&c->cli->arena, shown);
}

/* A tar, compressed or not, or else the text of a Dockerfile. */
static int open_stdin(struct build_context *c, const struct build_flags *f, struct err *err)
{
    if (str_eq(f->file, "-"))
        return err_invalid(err, "invalid argument: can't use stdin for both build context and "
                                "dockerfile");
    while (c->early.len < TAR_BLOCK) {
        ssize_t n = read(0, buf_room(&c->early, TAR_BLOCK), TAR_BLOCK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, "failed to peek context header from STDIN");
        if (n == 0)
            break;
        buf_commit(&c->early, (size_t)n);
    }
    if (c->early.len == 0)
        return err_invalid(err, "the context on standard input is empty");
    if (is_archive(&c->early)) {
        c->stream_fd = 0;
        c->dockerfile = str_empty(f->file) ? NULL : arena_strdup(&c->cli->arena, f->file);
        return 0;
    }
    if (!str_empty(f->file))
        return err_invalid(err, "ambiguous Dockerfile source: both stdin and flag correspond to "
                                "Dockerfiles");
    buf_put(&c->file, c->early.data, c->early.len);
    buf_clear(&c->early);
    int r = read_fd(0, DOCKERFILE_MAX, &c->file, err);
    make_up_name(c, DOCKERFILE);
    return r;
}

/* ---- the Dockerfile ---- */

static int no_dockerfile(struct build_context *c, const char *name, int no, struct err *err)
{
    return err_as(err, ERR_INVALID, no, "failed to read dockerfile: open %s: %s", name,
                  errno_text(&c->cli->arena, no));
}

/* @path below the context, as a name in it; NULL when it is not, or leads elsewhere. */
static char *name_in_context(const struct build_context *c, const char *path)
{
    struct arena *a = &c->cli->arena;
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    struct stat st;

    if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return NULL;
    auto_free char *dir =
        realpath(slash ? arena_printf(a, "%.*s/", (int)(slash - path), path) : ".", NULL);
    const char *rest = dir ? str_starts(dir, str_eq(c->dir, "/") ? "" : c->dir) : NULL;
    if (!rest || (*rest && *rest != '/'))
        return NULL;
    while (*rest == '/')
        rest++;
    return arena_printf(a, "%s%s%s", rest, *rest ? "/" : "", base);
}

static int read_outside(struct build_context *c, const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return no_dockerfile(c, path, errno, err);
    make_up_name(c, slash ? slash + 1 : path);
    int r = read_fd(fd, DOCKERFILE_MAX, &c->file, err);
    if (r >= 0 && c->file.len == 0)
        r = err_invalid(err, "the Dockerfile (%s) cannot be empty", path);
    return r < 0 ? err_wrap(err, r, "failed to read dockerfile") : 0;
}

/* Without --file it is the context's "Dockerfile", or "dockerfile". */
static char *default_path(const struct build_context *c)
{
    struct arena *a = &c->cli->arena;
    char *path = arena_printf(a, "%s/" DOCKERFILE, c->dir);
    char *lower = arena_printf(a, "%s/dockerfile", c->dir);

    return access(path, F_OK) < 0 && access(lower, F_OK) == 0 ? lower : path;
}

static int find_dockerfile(struct build_context *c, const struct build_flags *f, char **ret_path,
                           struct err *err)
{
    if (str_eq(f->file, "-")) {
        make_up_name(c, DOCKERFILE);
        return read_stdin(DOCKERFILE_MAX, "the Dockerfile", &c->file, err);
    }
    char *path = str_empty(f->file) ? default_path(c) : f->file;
    if (access(path, R_OK) < 0)
        return no_dockerfile(c, str_empty(f->file) ? DOCKERFILE : path, errno, err);
    *ret_path = path;
    c->dockerfile = name_in_context(c, path);
    return c->dockerfile ? 0 : read_outside(c, path, err);
}

/* ---- what is ignored ---- */

/* That of the Dockerfile, which lies beside it, goes before the context's. */
static int read_ignore(struct build_context *c, const char *dockerfile, struct err *err)
{
    struct err e = {0};
    int r = -ENOENT;

    if (dockerfile)
        r = read_file_at(AT_FDCWD, arena_printf(&c->cli->arena, "%s" IGNORE_NAME, dockerfile),
                         IGNORE_MAX, &c->ignore_text, &e);
    if (r == -ENOENT)
        r = read_file_at(c->dir_fd, IGNORE_NAME, IGNORE_MAX, &c->ignore_text, &e);
    if (r >= 0)
        r = ignore_parse(buf_str(&c->ignore_text), c->ignore_text.len, &c->cli->arena, &c->ignore,
                         &e);
    if (r < 0 && r != -ENOENT)
        return err_invalid(err, "failed to read " IGNORE_NAME ": %s", e.msg);
    return 0;
}

static bool leads_to(const char *dir, const char *path)
{
    const char *rest = path ? str_starts(path, dir) : NULL;

    return rest && *rest == '/';
}

bool build_context_skip(void *ctx, const char *path, const struct stat *st)
{
    const struct build_context *c = ctx;
    const char *behind = c->dockerfile ? str_starts(path, c->dockerfile) : NULL;

    if (!ignore_match(c->ignore, path))
        return false;
    if (str_eq(path, IGNORE_NAME) || (behind && (!*behind || str_eq(behind, IGNORE_NAME))))
        return false;
    return !S_ISDIR(st->st_mode) ||
           (!ignore_below(c->ignore, path) && !leads_to(path, c->dockerfile));
}

/* ---- opening ---- */

static int open_dir(struct build_context *c, const char *where, struct err *err)
{
    auto_free char *real = realpath(where, NULL);

    if (!real && errno == ENOENT)
        return err_invalid(err, "unable to prepare context: path \"%s\" not found", where);
    if (!real)
        return err_sys(err, "unable to prepare context: %s", where);
    c->dir = arena_strdup(&c->cli->arena, real);
    c->dir_fd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->dir_fd < 0 && errno == ENOTDIR)
        return err_invalid(err, "unable to prepare context: context must be a directory: %s",
                           where);
    return c->dir_fd < 0 ? err_sys(err, "unable to prepare context: open %s", where) : 0;
}

static int open_main(struct build_context *c, const struct build_flags *f, const char *where,
                     struct err *err)
{
    char *dockerfile = NULL;
    int r = open_dir(c, where, err);

    if (r >= 0)
        r = find_dockerfile(c, f, &dockerfile, err);
    return r < 0 ? r : read_ignore(c, dockerfile, err);
}

int build_context_open_named(struct cli *cli, const char *name, const char *where,
                             struct build_context *ret, struct err *err)
{
    *ret = (struct build_context){.cli = cli, .name = name, .dir_fd = -1, .stream_fd = -1};
    int r = open_dir(ret, where, err);
    return r < 0 ? r : read_ignore(ret, NULL, err);
}

int build_context_open(struct cli *cli, const struct build_flags *f, const char *where,
                       struct build_context *ret, struct err *err)
{
    *ret = (struct build_context){.cli = cli, .dir_fd = -1, .stream_fd = -1};
    if (str_eq(where, "-"))
        return open_stdin(ret, f, err);
    if (!build_is_remote(where))
        return open_main(ret, f, where, err);
    ret->remote = where;
    ret->dockerfile = str_empty(f->file) ? NULL : f->file;
    if (!str_eq(f->file, "-"))
        return 0;
    make_up_name(ret, DOCKERFILE);
    return read_stdin(DOCKERFILE_MAX, "the Dockerfile", &ret->file, err);
}

void build_context_done(struct build_context *c)
{
    close_fd(&c->dir_fd);
    map_free(c->wanted);
    buf_done(&c->early);
    buf_done(&c->file);
    buf_done(&c->ignore_text);
}
