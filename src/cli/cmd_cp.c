/*
 * cleat cp: between a container and this machine, or tar archives by "-". What the copy will be
 * called follows docker's rules, which are cp's but for two: a directory is copied whole, and "/."
 * behind it means what lies in it. Both sides are brought to one question first: what is at the
 * place, and which directory and name there are meant.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/pack.h"
#include "archive/unpack.h"
#include "base/auto.h"
#include "base/base64.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "wire/container.h"

#define GO_DIR (1U << 31)
#define GO_LINK (1U << 27)
#define LINKS_MAX 40

struct cp_opts {
    bool archive, follow, quiet;
};

/* What is at a place, on either side. */
struct found {
    bool exists, dir;
};

/* Where a copy goes: a directory that exists, and the name in it; NULL keeps the archive's. */
struct target {
    const char *dir, *name;
};

/* "name:path" (a path of this machine has a slash or dot in front of its first colon). */
static bool is_container(struct cli *cli, const char *s, char **ret_name, const char **ret_path)
{
    const char *colon = strchr(s, ':');

    if (!colon || colon == s || *s == '/' || *s == '.')
        return false;
    *ret_name = arena_strndup(&cli->arena, s, (size_t)(colon - s));
    *ret_path = colon + 1;
    return true;
}

/* ---- names ---- */

static bool ends_in_slash(const char *path)
{
    size_t n = strlen(path);

    return n > 0 && path[n - 1] == '/';
}

static bool is_content(const char *path)
{
    size_t n = strlen(path);

    return strcmp(path, ".") == 0 || (n > 1 && strcmp(path + n - 2, "/.") == 0);
}

/* Without slashes at the end: "a/b//" -> "a/b". */
static char *trim(struct cli *cli, const char *path)
{
    size_t n = strlen(path);

    while (n > 1 && path[n - 1] == '/')
        n--;
    return arena_strndup(&cli->arena, path, n);
}

static const char *base_of(const char *trimmed)
{
    const char *slash = strrchr(trimmed, '/');

    return slash && slash[1] ? slash + 1 : trimmed;
}

static const char *dir_of(struct cli *cli, const char *trimmed)
{
    const char *slash = strrchr(trimmed, '/');

    if (!slash)
        return ".";
    return slash == trimmed ? "/" : arena_strndup(&cli->arena, trimmed, (size_t)(slash - trimmed));
}

/*
 * docker's table: a copy goes into a directory that exists; else it takes the name, if that makes
 * sense. @from: the source's path; @dir: the source is a directory.
 */
static int aim(struct cli *cli, const char *from, bool dir, const char *to, const struct found *at,
               struct target *ret, struct err *err)
{
    char *trimmed = trim(cli, to);

    if (at->dir) {
        *ret = (struct target){to, is_content(from) && dir ? NULL : base_of(trim(cli, from))};
        return 0;
    }
    if (!at->exists && ends_in_slash(to) && !dir)
        return err_invalid(err, "the destination directory must exist");
    if (at->exists && dir)
        return err_invalid(err, "cannot copy a directory to a file");
    if (at->exists && ends_in_slash(to))
        return err_invalid(err, "%s is not a directory", to);
    *ret = (struct target){dir_of(cli, trimmed), base_of(trimmed)};
    return 0;
}

/* ---- the container's side ---- */

static char *archive_target(struct cli *cli, const char *name, const char *path)
{
    return cli_query(cli, cli_target(cli, "/containers/%s/archive", name, NULL), "path",
                     *path ? path : "/");
}

static int decode_stat(struct cli *cli, struct http_reply *reply, struct path_stat *ret,
                       struct err *err)
{
    auto_buf struct buf json = BUF_INIT;
    const char *text = http_reply_header(reply, "X-Docker-Container-Path-Stat");

    if (!text || base64_decode(text, strlen(text), &json) < 0)
        return err_as(err, ERR_SYSTEM, EBADMSG, "the daemon did not describe the file");
    char *copy = arena_strndup(&cli->arena, buf_str(&json), json.len);
    return json_decode(&path_stat_type, copy, json.len, &cli->arena, ret, JSON_NOCASE, err);
}

/* Return: 0 it is there, -ENOENT. */
static int stat_remote(struct cli *cli, const char *name, const char *path, struct path_stat *ret,
                       struct err *err)
{
    struct http_call call = {.method = "HEAD", .target = archive_target(cli, name, path)};
    struct http_reply *reply = NULL;
    int r = client_open(cli->client, &call, &reply, err);

    if (r >= 0)
        r = decode_stat(cli, reply, ret, err);
    http_reply_free(reply);
    return r < 0 ? r : 0;
}

/* The end of links at @path; links that lead nowhere count as missing. */
static int find_remote(struct cli *cli, const char *name, const char **path, struct path_stat *ret,
                       struct err *err)
{
    for (int i = 0; i < LINKS_MAX; i++) {
        int r = stat_remote(cli, name, *path, ret, err);
        if (r < 0 || !(ret->mode & GO_LINK))
            return r;
        *path = arena_strdup(&cli->arena, ret->link_target);
    }
    return err_no(err, ELOOP, "follow %s", *path);
}

/* A HEAD has no words: its answer tells only that something is missing, so the container's own
 * absence is asked for. */
static int look_remote(struct cli *cli, const char *name, const char **path, struct found *ret,
                       struct err *err)
{
    struct path_stat st = {0};
    struct err why = {0};
    int r = find_remote(cli, name, path, &st, &why);

    *ret = (struct found){r >= 0, r >= 0 && (st.mode & GO_DIR)};
    if (r >= 0)
        return 0;
    if (why.kind != ERR_NOT_FOUND) {
        *err = why;
        return r;
    }
    struct container_inspect c = {0};
    return call_get(cli, cli_target(cli, "/containers/%s/json", name, NULL),
                    &container_inspect_type, &c, err);
}

/* ---- tar archives by "-" ---- */

static ssize_t read_fd_body(void *arg, void *p, size_t n)
{
    ssize_t r;

    do
        r = read(*(int *)arg, p, n);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

/* @call: the body. */
static int put_archive(struct cli *cli, const struct cp_opts *o, const char *name, const char *path,
                       struct http_call *call, struct err *err)
{
    struct http_reply *reply = NULL;
    char *t = cli_query(cli, archive_target(cli, name, path), "noOverwriteDirNonDir", "true");

    call->method = "PUT";
    call->target = o->archive ? cli_query(cli, t, "copyUIDGID", "true") : t;
    call->content_type = "application/x-tar";
    int r = client_open(cli->client, call, &reply, err);
    http_reply_free(reply);
    return r < 0 ? r : 0;
}

static int put_stdin(struct cli *cli, const struct cp_opts *o, const char *name, const char *path,
                     struct err *err)
{
    int fd = 0;
    struct http_call call = {.body_fn = read_fd_body, .body_arg = &fd};

    return put_archive(cli, o, name, path, &call, err);
}

static int get_archive(struct cli *cli, const char *name, const char *path, struct http_reply **ret,
                       struct err *err)
{
    struct http_call call = {.method = "GET", .target = archive_target(cli, name, path)};
    int r = client_open(cli->client, &call, ret, err);

    return r < 0 ? r : 0;
}

static int copy_to_stdout(struct cli *cli, const char *name, const char *path, struct err *err)
{
    struct http_reply *reply = NULL;
    char tmp[32768];
    int r = get_archive(cli, name, path, &reply, err);
    ssize_t n;

    while (r == 0 && (n = http_reply_read(reply, tmp, sizeof(tmp), err)) != 0)
        r = n < 0 ? (int)n : out_write(1, tmp, (size_t)n, err);
    http_reply_free(reply);
    return r;
}

/* ---- to the container ---- */

struct upload {
    int dir;
    const char *name, *as;
    struct http_pusher *to;
    int result; /* what could not be read here, with its words */
    struct err why;
};

static int push_some(void *ctx, const void *p, size_t n, struct err *err)
{
    return http_push(((struct upload *)ctx)->to, p, n, err);
}

static int pack(void *arg, struct http_pusher *to, struct err *err)
{
    struct upload *u = arg;
    auto_sink struct sink *out = sink_cb(push_some, u);

    u->to = to;
    int64_t r = pack_one(u->dir, u->name, u->as, out, NULL, &u->why);
    if (r >= 0)
        return 0;
    *err = u->why;
    if (r != -EPIPE && r != -ECONNRESET) /* those the server's answer explains */
        u->result = (int)r;
    return (int)r;
}

/* The directory that holds @path, and its name there; with @follow the end of links. */
static int open_local(struct cli *cli, const char *path, bool follow, struct upload *ret,
                      struct stat *st, struct err *err)
{
    bool whole = is_content(path) || ends_in_slash(path);
    auto_free char *real = follow && !whole ? realpath(path, NULL) : NULL;
    char *trimmed = trim(cli, real ? real : path);
    const char *dir = whole ? path : dir_of(cli, trimmed);

    ret->name = whole ? "." : base_of(trimmed);
    ret->dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (ret->dir < 0 || fstatat(ret->dir, ret->name, st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_as(err, ERR_SYSTEM, errno, "lstat %s: %s", path, strerrordesc_np(errno));
    return 0;
}

static int upload(struct cli *cli, const struct cp_opts *o, struct upload *u, const char *name,
                  const struct target *to, struct err *err)
{
    struct http_call call = {.push_fn = pack, .body_arg = u};

    u->as = to->name ? to->name : ".";
    int r = put_archive(cli, o, name, to->dir, &call, err);
    if (u->result < 0) { /* what could not be read here comes first */
        *err = u->why;
        return u->result;
    }
    return r;
}

static int copy_in(struct cli *cli, const struct cp_opts *o, const char *from, const char *name,
                   const char *to, struct err *err)
{
    struct upload u = {.dir = -1};
    struct found at;
    struct target target = {0};
    struct stat st;

    if (str_eq(from, "-")) {
        int found = look_remote(cli, name, &to, &at, err);
        if (found >= 0 && at.exists && !at.dir)
            return err_invalid(err, "destination \"%s:%s\" must be a directory", name, to);
        return found < 0 ? found : put_stdin(cli, o, name, to, err);
    }
    int r = open_local(cli, from, o->follow, &u, &st, err);
    if (r >= 0)
        r = look_remote(cli, name, &to, &at, err);
    if (r >= 0)
        r = aim(cli, from, S_ISDIR(st.st_mode), to, &at, &target, err);
    if (r >= 0)
        r = upload(cli, o, &u, name, &target, err);
    close_fd(&u.dir);
    return r;
}

/* ---- from the container ---- */

static ssize_t read_reply(void *ctx, void *p, size_t n, struct err *err)
{
    return http_reply_read(ctx, p, n, err);
}

static int unpack_here(struct http_reply *reply, const struct cp_opts *o, const struct target *to,
                       struct err *err)
{
    struct unpack_options how = {
        .flags = UNPACK_KEEP_DIRS | (o->archive ? 0U : (unsigned)UNPACK_NO_OWNER), .top = to->name};
    auto_source struct source *bytes = source_cb(read_reply, reply);
    auto_source struct source *body = source_buffered(bytes);
    auto_close int dir = open(to->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0 && errno == ENOENT)
        return err_not_found(err, "invalid output path: directory \"%s\" does not exist", to->dir);
    if (dir < 0)
        return err_as(err, ERR_SYSTEM, errno, "open %s: %s", to->dir, strerrordesc_np(errno));
    return unpack_tar(body, dir, &how, NULL, err);
}

static int copy_out(struct cli *cli, const struct cp_opts *o, const char *name, const char *from,
                    const char *to, struct err *err)
{
    struct http_reply *reply = NULL;
    struct path_stat src = {0};
    struct target target = {0};
    struct stat st;
    const char *path = from;

    if (o->follow && find_remote(cli, name, &path, &src, err) < 0)
        return err_code(err);
    if (str_eq(to, "-"))
        return copy_to_stdout(cli, name, path, err);
    struct found at = {.exists = stat(to, &st) == 0};
    at.dir = at.exists && S_ISDIR(st.st_mode);
    int r = get_archive(cli, name, path, &reply, err);
    if (r >= 0)
        r = decode_stat(cli, reply, &src, err);
    if (r >= 0)
        r = aim(cli, from, (src.mode & GO_DIR) != 0, to, &at, &target, err);
    /* A new directory takes the content; everything else is renamed while it is unpacked. */
    if (r >= 0 && is_content(from) && (src.mode & GO_DIR) && !at.dir) {
        if (mkdir(to, 0755) < 0)
            r = err_as(err, ERR_SYSTEM, errno, "mkdir %s: %s", to, strerrordesc_np(errno));
        target = (struct target){to, NULL};
    }
    if (r >= 0)
        r = unpack_here(reply, o, &target, err);
    http_reply_free(reply);
    return r;
}

static int run(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct cp_opts *o = opts;
    char *name = NULL;
    const char *from = args->v[0], *to = args->v[1];
    bool out = is_container(cli, args->v[0], &name, &from);
    bool in = is_container(cli, args->v[1], &name, &to);
    int r = need_client(cli, err);

    if (r < 0)
        return r;
    if (out && in)
        return err_invalid(err, "copying between containers is not supported");
    if (!out && !in)
        return err_invalid(err, "must specify at least one container source");
    return in ? copy_in(cli, o, from, name, to, err) : copy_out(cli, o, name, from, to, err);
}

static const struct opt opts[] = {
    OPT(struct cp_opts, "archive", 'a', O_BOOL, archive, "Keep owners and groups"),
    OPT(struct cp_opts, "follow-link", 'L', O_BOOL, follow, "Follow symbolic links in SRC_PATH"),
    OPT(struct cp_opts, "quiet", 'q', O_BOOL, quiet, "Do not show the progress"),
};

const struct command cmd_cp = {
    .paths = (const char *const[]){"container cp", "cp", NULL},
    .usage = "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- "
             "CONTAINER:DEST_PATH",
    .help = "Copy files between a container and this machine",
    OPTS(opts),
    .opts_size = sizeof(struct cp_opts),
    .args = {2, 2},
    .run = run,
};
