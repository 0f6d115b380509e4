/*
 * A Git repository, by the host's git: in an environment of its own, without the configuration,
 * keys and helpers of the user that the daemon is, and with the protocols of the net alone. Nothing
 * of a repository is executed: hooks are none, and filters are a matter of configuration.
 */
#include "build/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/dir.h"
#include "base/io.h"
#include "build/tree.h"
#include "distribution/config.h"
#include "kern/program.h"

#define TIMEOUT_MS (30u * 60 * 1000)
#define SAYS_MAX 65536 /* bytes of what git says that are looked at */
#define SHOWN_MAX 500

/*
 * A commit alone is fetched where the server lets us: by the name of a ref, which git resolves as
 * it does everywhere, or by its whole id. Else all is fetched and looked through. The last line
 * tells what was found: without it, something went wrong.
 */
static const char script[] =
    "set -e\n"
    "ref=$2 rev=FETCH_HEAD\n"
    "git init -q .\n"
    "git remote add origin \"$1\"\n"
    "if ! git fetch -q --depth=1 --no-tags origin \"${ref:-HEAD}\" 2>first; then\n"
    "  if ! git fetch -q --tags origin '+refs/heads/*:refs/remotes/origin/*'; then\n"
    "    exit 1\n"
    "  fi\n"
    "  git fetch -q origin \"${ref:-HEAD}\" 2>/dev/null || rev=$ref\n"
    "  git rev-parse -q --verify \"$rev^{commit}\" >/dev/null || { cat first >&2; exit 1; }\n"
    "fi\n"
    "rm -f first\n"
    "object=$(git rev-parse --verify \"$rev\")\n"
    "commit=$(git rev-parse --verify \"$rev^{commit}\")\n"
    "git checkout -q --detach \"$commit\"\n"
    "if [ \"$3\" = 1 ] && [ -f .gitmodules ]; then\n"
    "  git submodule -q update --init --recursive --depth=1\n"
    "fi\n"
    "git remote set-url origin \"$4\"\n"
    "echo \"found $commit $object $(git log -1 --format=%ct)\"\n";

/* Found by git through PATH: nothing of ours, nothing of a user's. */
#define HOST_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static int find_git(struct err *err)
{
    static const char *const places[] = {"/usr/bin/git", "/usr/local/bin/git", "/bin/git"};

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (access(places[i], X_OK) == 0)
            return 0;
    return err_as(err, ERR_UNAVAILABLE, ENOENT,
                  "there is no git on this machine: install it to build from repositories");
}

static void set(struct arena *a, struct strv *env, const char *name, const char *val)
{
    if (!str_empty(val))
        strv_push(a, env, arena_printf(a, "%s=%s", name, val));
}

static void set_one(struct arena *a, struct strv *env, size_t i, const char *key, const char *val)
{
    strv_push(a, env, arena_printf(a, "GIT_CONFIG_KEY_%zu=%s", i, key));
    strv_push(a, env, arena_printf(a, "GIT_CONFIG_VALUE_%zu=%s", i, val));
}

/* Options by environment hold for what git starts, too: submodules. Secrets are seen there by
 * nobody but root. */
static int set_config(const struct fetcher *f, const struct git_url *u, struct arena *a,
                      struct strv *env, struct err *err)
{
    static const char *const all[][2] = {
        {"core.hooksPath", "/dev/null"},
        {"init.templateDir", ""},
        {"init.defaultBranch", "main"},
        {"credential.helper", ""},
        {"advice.detachedHead", "false"},
        {"protocol.file.allow", "never"},
        {"gc.auto", "0"},
        {"http.lowSpeedLimit", "1"},
        {"http.lowSpeedTime", "60"},
        {"http.followRedirects", "initial"},
    };
    size_t n = sizeof(all) / sizeof(all[0]);
    char *key = NULL, *val = NULL;
    int r = git_auth_header(f, u, a, &key, &val, err);

    for (size_t i = 0; i < n; i++)
        set_one(a, env, i, all[i][0], all[i][1]);
    if (r > 0)
        set_one(a, env, n++, key, val);
    strv_push(a, env, arena_printf(a, "GIT_CONFIG_COUNT=%zu", n));
    return r < 0 ? r : 0;
}

/* The agent is the client's; known hosts are those that the administrator knows. */
#define SSH                                                                                        \
    "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes -o IdentityFile=none "         \
    "-o ConnectTimeout=30 -o ServerAliveInterval=20"

static int environment_of(const struct fetcher *f, const struct git_url *u, struct arena *a,
                          struct strv *ret, struct err *err)
{
    struct strv env = {0};

    set(a, &env, "PATH", HOST_PATH);
    set(a, &env, "LC_ALL", "C");
    set(a, &env, "HOME", "/nonexistent");
    set(a, &env, "GIT_TERMINAL_PROMPT", "0");
    set(a, &env, "GIT_ASKPASS", "/bin/false");
    set(a, &env, "GIT_CONFIG_NOSYSTEM", "1");
    set(a, &env, "GIT_CONFIG_GLOBAL", "/dev/null");
    set(a, &env, "GIT_ATTR_NOSYSTEM", "1");
    set(a, &env, "GIT_ALLOW_PROTOCOL", "http:https:ssh:git");
    set(a, &env, "GIT_PROTOCOL_FROM_USER", "0");
    set(a, &env, "GIT_LFS_SKIP_SMUDGE", "1");
    set(a, &env, "GIT_SSH_COMMAND", SSH);
    set(a, &env, "GIT_SSH_VARIANT", "ssh");
    set(a, &env, "SSH_AUTH_SOCK", f->ssh_agent);
    set(a, &env, "http_proxy", f->web->http_proxy);
    set(a, &env, "https_proxy", f->web->https_proxy);
    set(a, &env, "no_proxy", f->web->no_proxy);
    int r = set_config(f, u, a, &env, err);
    *ret = env;
    return r;
}

/* ---- running it ---- */

static int read_back(int fd, struct buf *out, struct err *err)
{
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_sys(err, "read what git said");
    int r = read_fd(fd, SAYS_MAX, out, err);
    return r == -E2BIG ? 0 : r;
}

static int run(const struct fetcher *f, const struct git_url *u, int dir, int out, int said,
               struct arena *a, struct err *err)
{
    char *const argv[] = {(char *)"git",
                          (char *)"-c",
                          (char *)script,
                          (char *)"git",
                          u->remote,
                          (char *)str_or(u->ref, ""),
                          (char *)(u->submodules ? "1" : "0"),
                          u->shown,
                          NULL};
    struct strv env = {0};
    auto_close int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int r = null < 0 ? err_sys(err, "open /dev/null") : environment_of(f, u, a, &env, err);
    if (r < 0)
        return r;
    const struct program p = {.path = "/bin/sh",
                              .argv = argv,
                              .env = strv_z(a, &env),
                              .dir_fd = dir,
                              .in_fd = null,
                              .out_fd = out,
                              .err_fd = said,
                              .timeout_ms = TIMEOUT_MS,
                              .gone_fd = *f->gone_fd,
                              .file_max_b = FETCH_MAX_B};

    return program_run(&p, err);
}

/* What git says may quote the URL; what does is left out. */
static int git_failed(const struct git_url *u, int said, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf text = BUF_INIT;
    struct strv shown = {0};
    int r = read_back(said, &text, err);

    if (r < 0)
        return r;
    struct strv lines = str_split(&a, buf_str(&text), '\n');
    for (size_t i = 0; i < lines.n; i++)
        if (*lines.v[i] && (strcmp(u->remote, u->shown) == 0 || !strstr(lines.v[i], u->remote)))
            strv_push(&a, &shown, lines.v[i]);
    return err_as(err, ERR_UNAVAILABLE, ENOENT, "%.*s", SHOWN_MAX,
                  shown.n ? strv_join(&a, &shown, "; ") : "git failed");
}

struct found {
    char *commit, *object;
    int64_t time_s;
};

/* "found COMMIT OBJECT TIME"; the object is a tag, where it is one. */
static int take_found(const struct git_url *u, int out, int said, struct arena *a,
                      struct found *ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = read_back(out, &text, err);

    if (r < 0)
        return r;
    const char *line = strstr(buf_str(&text), "found ");
    struct strv w = str_split(a, line ? arena_strndup(a, line, strcspn(line, "\n")) : "", ' ');
    if (w.n != 4 || !git_commit_prefix_valid(w.v[1]) || !git_commit_prefix_valid(w.v[2]) ||
        str_to_i64(w.v[3], &ret->time_s) < 0)
        return git_failed(u, said, err);
    ret->commit = w.v[1];
    ret->object = w.v[2];
    return 0;
}

static int clone(const struct fetcher *f, const struct git_url *u, int dir, struct arena *a,
                 struct found *ret, struct err *err)
{
    auto_close int out = memfd_create("git", MFD_CLOEXEC);
    auto_close int said = memfd_create("git", MFD_CLOEXEC);

    if (out < 0 || said < 0)
        return err_sys(err, "make a file for what git says");
    int r = run(f, u, dir, out, said, a, err);
    return r < 0 ? r : take_found(u, out, said, a, ret, err);
}

/* ---- what is left of it ---- */

struct tidy {
    const struct git_url *u;
    int64_t time_s;
};

static int tidy_dir(const struct tidy *t, int dir, int depth, struct err *err);

static int tidy_one(const struct tidy *t, int dir, const char *name, int depth, struct err *err)
{
    const struct timespec times[2] = {{.tv_sec = t->time_s}, {.tv_sec = t->time_s}};

    if (strcmp(name, ".git") == 0 && !t->u->keep_git_dir)
        return remove_tree_at(dir, name, err);
    auto_close int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int r = sub < 0 ? 0 : tidy_dir(t, sub, depth + 1, err);
    if (r >= 0 && t->u->mtime_commit && utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "set the time of %s", name);
    return r;
}

/* Submodules have a .git each. */
static int tidy_dir(const struct tidy *t, int dir, int depth, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv names = {0};
    int r = dir_names(dir, &a, &names, err);

    if (r >= 0 && depth > TREE_DEPTH_MAX)
        return err_no(err, ELOOP, "the repository is too deep");
    for (size_t i = 0; r >= 0 && i < names.n; i++)
        r = tidy_one(t, dir, names.v[i], depth, err);
    return r;
}

static bool has_prefix(const char *id, const char *prefix)
{
    return !prefix || str_starts(id, prefix);
}

static int take_subdir(const struct git_url *u, struct arena *a, struct fetched *ret,
                       struct err *err)
{
    struct tree_item item;
    int r = tree_resolve(ret->fd, u->subdir, a, &item);

    if (r < 0 || !item.dir)
        return err_as(err, ERR_INVALID, ENOTDIR, "%s is no directory of it", u->subdir);
    ret->path = item.path;
    return 0;
}

int fetch_git(const struct fetcher *f, const struct git_url *u, struct arena *a,
              struct fetched *ret, struct err *err)
{
    struct found found = {0};

    *ret = (struct fetched){.fd = -1};
    int r = find_git(err);
    if (r >= 0)
        r = fetch_dir(f, ret, err);
    if (r >= 0)
        r = clone(f, u, ret->fd, a, &found, err);
    if (r < 0)
        return err_wrap(err, r, "fetch %.300s", u->shown);
    (void)!snprintf(ret->id, sizeof(ret->id), "%s", found.commit);
    ret->mtime_s = found.time_s;
    ret->how = 1u * u->keep_git_dir + 2u * u->submodules + 4u * u->mtime_commit;
    if (!has_prefix(found.commit, u->commit) && !has_prefix(found.object, u->commit))
        return err_as(err, ERR_INVALID, EBADMSG, "expected checksum to match %s, got %s", u->commit,
                      found.commit);
    const struct tidy t = {u, found.time_s};
    r = tidy_dir(&t, ret->fd, 0, err);
    if (r >= 0)
        r = take_subdir(u, a, ret, err);
    return r < 0 ? err_wrap(err, r, "fetch %.300s", u->shown) : 0;
}
