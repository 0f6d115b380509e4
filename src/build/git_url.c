#include "build/git_url.h"

#include <string.h>

#include "base/str.h"
#include "http/query.h"

static const char *const web[] = {"http://", "https://"};
static const char *const gits[] = {"ssh://", "git://"};

static const char *starts(const char *text, const char *const v[2])
{
    const char *rest = str_starts(text, v[0]);

    return rest ? rest : str_starts(text, v[1]);
}

static const char *behind_scheme(const char *text)
{
    const char *rest = starts(text, gits);

    return rest ? rest : starts(text, web);
}

/* "user@host:path", as scp has it. Return: what stands behind the "@", or NULL. */
static const char *scp_form(const char *text)
{
    size_t user = strcspn(text, "@:/?#");
    const char *host = text + user + 1;

    if (user == 0 || text[user] != '@')
        return NULL;
    size_t n = strcspn(host, "@:/?#");
    return n > 0 && host[n] == ':' && host[n + 1] ? host : NULL;
}

bool git_url_is(const char *text)
{
    size_t path = strcspn(text, "?#");

    if (starts(text, gits) || (scp_form(text) && !strstr(text, "://")))
        return true;
    return starts(text, web) && path > 4 && strncmp(text + path - 4, ".git", 4) == 0;
}

/* ---- parts ---- */

bool git_commit_prefix_valid(const char *text)
{
    size_t n = strspn(text, "0123456789abcdef");

    return n > 0 && n <= 64 && !text[n];
}

/* What git-check-ref-format(1) allows: nothing that is an option, a refspec or an expression. */
static bool valid_ref(const char *ref)
{
    for (const char *p = ref; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f || strchr("~^:?*[\\+", *p))
            return false;
    return *ref != '-' && !strstr(ref, "..") && !strstr(ref, "@{");
}

static bool valid_text(const char *text)
{
    size_t n = strnlen(text, GIT_URL_MAX + 1);

    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
            return false;
    return n <= GIT_URL_MAX;
}

/* What stands behind "user:password@", of what stands behind the scheme. */
static const char *behind_user(const char *rest)
{
    size_t n = strcspn(rest, "/");

    while (n > 0 && rest[n - 1] != '@')
        n--;
    return rest + n;
}

/* ssh takes a host that begins with "-" for an option, and git so a path. */
static bool valid_remote(const char *remote)
{
    const char *rest = behind_scheme(remote);
    const char *host = rest ? behind_user(rest) : scp_form(remote);

    if (*remote == '-' || !host || strchr("-/", *host) || (rest && *rest == '-'))
        return false;
    return rest || host[strcspn(host, ":") + 1] != '-';
}

static char *without_user(const char *remote, struct arena *a)
{
    const char *rest = behind_scheme(remote);

    if (!rest)
        return arena_strdup(a, remote); /* git@host: is no secret */
    return arena_printf(a, "%.*s%s", (int)(rest - remote), remote, behind_user(rest));
}

/* ---- fragment and query ---- */

static int set_ref(struct git_url *u, const char *val, struct arena *a, struct err *err)
{
    if (u->ref && strcmp(u->ref, val) != 0)
        return err_invalid(err, "ref conflict: \"%s\" vs \"%s\"", u->ref, val);
    if (!valid_ref(val))
        return err_invalid(err, "invalid ref \"%s\"", val);
    u->ref = *val ? arena_strdup(a, val) : u->ref;
    return 0;
}

static int set_subdir(struct git_url *u, const char *val, struct arena *a, struct err *err)
{
    const char *dir = path_clean(a, val) + 1;

    if (*u->subdir && strcmp(u->subdir, dir) != 0)
        return err_invalid(err, "subdir conflict: \"%s\" vs \"%s\"", u->subdir, dir);
    u->subdir = arena_strdup(a, dir);
    return 0;
}

static int set_commit(struct git_url *u, const char *val, struct arena *a, struct err *err)
{
    if (!git_commit_prefix_valid(val) || (u->commit && strcmp(u->commit, val) != 0))
        return err_invalid(err, "invalid commit \"%s\"", val);
    u->commit = arena_strdup(a, val);
    return 0;
}

static int set_bool(const char *key, const char *val, bool *to, struct err *err)
{
    if (*val && str_to_bool(val, to) < 0)
        return err_invalid(err, "invalid value \"%s\" of %s", val, key);
    *to = *val ? *to : true;
    return 0;
}

static int set_mtime(struct git_url *u, const char *val, struct err *err)
{
    u->mtime_commit = strcmp(val, "commit") == 0;
    return u->mtime_commit || strcmp(val, "checkout") == 0
               ? 0
               : err_invalid(err, "invalid value \"%s\" of mtime", val);
}

static int take_query(struct git_url *u, const char *key, const char *val, struct arena *a,
                      struct err *err)
{
    static const char *const refs[] = {"ref", "branch", "tag"};
    bool by_commit = true; /* that is tried anyway */

    for (size_t i = 0; i < sizeof(refs) / sizeof(refs[0]); i++)
        if (strcmp(key, refs[i]) == 0)
            return set_ref(
                u, i && *val ? arena_printf(a, "refs/%s/%s", i == 1 ? "heads" : "tags", val) : val,
                a, err);
    if (strcmp(key, "subdir") == 0)
        return set_subdir(u, val, a, err);
    if (strcmp(key, "commit") == 0 || strcmp(key, "checksum") == 0)
        return set_commit(u, val, a, err);
    if (strcmp(key, "mtime") == 0)
        return set_mtime(u, val, err);
    if (strcmp(key, "keep-git-dir") == 0)
        return set_bool(key, val, &u->keep_git_dir, err);
    if (strcmp(key, "submodules") == 0)
        return set_bool(key, val, &u->submodules, err);
    if (strcmp(key, "fetch-by-commit") == 0)
        return set_bool(key, val, &by_commit, err);
    return err_invalid(err, "unexpected query \"%s\"", key);
}

static int parse_query(struct git_url *u, const char *text, struct arena *a, struct err *err)
{
    struct strv all = str_split(a, text, '&');
    int r = 0;

    for (size_t i = 0; r >= 0 && i < all.n; i++) {
        size_t n = strcspn(all.v[i], "=");
        const char *val = all.v[i] + n + (all.v[i][n] == '=');
        char *key = NULL, *plain = NULL;
        if (!*all.v[i])
            continue;
        r = query_unescape(all.v[i], n, true, a, &key, err);
        if (r >= 0)
            r = query_unescape(val, strlen(val), true, a, &plain, err);
        if (r >= 0)
            r = take_query(u, key, plain, a, err);
    }
    return r;
}

/* "ref", "ref:dir", ":dir" */
static int parse_fragment(struct git_url *u, const char *text, struct arena *a, struct err *err)
{
    size_t n = strcspn(text, ":");
    int r = set_ref(u, arena_strndup(a, text, n), a, err);

    return r >= 0 && text[n] ? set_subdir(u, text + n + 1, a, err) : r;
}

int git_url_parse(const char *text, struct arena *a, struct git_url *ret, struct err *err)
{
    struct git_url u = {.submodules = true, .subdir = (char *)""};
    const char *hash = strchr(text, '#');
    int r = 0;

    if (!valid_text(text) || !git_url_is(text))
        return err_invalid(err, "invalid URL of a Git repository");
    char *whole = arena_strndup(a, text, hash ? (size_t)(hash - text) : strlen(text));
    size_t path = strcspn(whole, "?");
    u.remote = arena_strndup(a, whole, path);
    u.shown = without_user(u.remote, a);
    if (!valid_remote(u.remote))
        return err_invalid(err, "invalid URL of a Git repository: %.200s", u.shown);
    if (hash)
        r = parse_fragment(&u, hash + 1, a, err);
    if (r >= 0 && whole[path])
        r = parse_query(&u, whole + path + 1, a, err);
    if (r < 0)
        return err_wrap(err, r, "%.200s", u.shown);
    *ret = u;
    return 0;
}
