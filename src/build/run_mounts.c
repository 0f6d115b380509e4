#include "build/run_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/rand.h"
#include "build/builder-priv.h"
#include "build/cache_import.h"
#include "build/key.h"
#include "build/run_cache.h"
#include "build/tree.h"
#include "store/layers.h"

struct run_mount {
    const struct ins_mount *m;
    char *target, *source, *id;
    struct origin from;
    struct strv layers; /* of a stage or image that is mounted from */
    struct cache_use cache;
};

static bool is_layers(const struct run_mount *x)
{
    return x->from.stage || x->from.image;
}

/* ---- plan ---- */

static void make_absolute(struct stage *st, char **path)
{
    if (*path && **path != '/')
        *path = arena_printf(&st->a, "%s/%s", str_or(st->config->working_dir, ""), *path);
}

/* A secret has a name of its own, or that of its file; and a file unless it is a variable. */
static int plan_secret(struct stage *st, struct run_mount *x, struct err *err)
{
    const char *base = x->target ? strrchr(x->target, '/') : NULL;

    if (!x->id && base)
        x->id = arena_strdup(&st->a, base + 1);
    if (str_empty(x->id))
        return err_invalid(err, "secret mount should have an id or a target");
    if (!x->target && !x->m->env)
        x->target = arena_printf(&st->a, "/run/secrets/%s", x->id);
    return 0;
}

static int plan_one(struct run_mounts *m, const struct ins_mount *in, struct run_mount *x,
                    struct err *err)
{
    struct stage *st = m->st;
    int r = 0;

    *x =
        (struct run_mount){.m = in,
                           .target = in->target,
                           .source = str_empty(in->source) ? arena_strdup(&st->a, "/") : in->source,
                           .id = in->id};
    if (in->from)
        r = plan_origin(st->b, st, in->from, &x->from, err);
    if (r >= 0 && is_layers(x))
        r = origin_layers(st, &x->from, st->target->text, m->p->step, &x->layers, NULL, err);
    if (r < 0)
        return r;
    make_absolute(st, &x->target);
    if (in->type == INS_MOUNT_SECRET)
        return plan_secret(st, x, err);
    if (in->type == INS_MOUNT_SSH) {
        x->id = x->id ? x->id : arena_strdup(&st->a, "default");
        if (!x->target)
            x->target = arena_printf(&st->a, "/run/buildkit/ssh_agent.%zu", m->all.n - 1);
    }
    return x->target ? 0 : err_invalid(err, "mount target is required");
}

int run_mounts_plan(struct run_mounts *m, struct stage *st, const struct planned *p,
                    struct err *err)
{
    struct expander x = scope_expander(&st->scope, st->b->file.escape);
    struct ins_mounts all = {0};
    int r = run_mounts(&p->ins->run, &x, &st->a, &all, err);

    *m = (struct run_mounts){.st = st, .p = p};
    for (size_t i = 0; r >= 0 && i < all.n; i++) {
        struct run_mount *one = &arena_push(&st->a, m->all);
        r = plan_one(m, all.v[i], one, err);
    }
    return r;
}

/* ---- identity ---- */

static int key_bind(const struct run_mounts *m, const struct run_mount *x, struct key *k,
                    struct err *err)
{
    const struct build *b = m->st->b;
    const struct tree_filter f = {.ignored = origin_ignored(b, &x->from)};
    auto_arena struct arena a = ARENA_INIT;
    struct tree_items items = {0};
    char digest[DIGEST_LEN + 1];

    key_list(k, "from", &x->layers);
    if (is_layers(x))
        return 0;
    auto_close int root = -1;
    int r = origin_open(m->st, &x->from, m->p->step, &root, err);
    if (r >= 0)
        r = tree_find(root, x->source, NULL, &a, &items, err);
    if (r >= 0)
        r = tree_digest(root, &items.v[0], &f, origin_keeps(b, &x->from), digest, err);
    if (r >= 0)
        key_text(k, "content", digest);
    return r;
}

int run_mounts_key(struct run_mounts *m, struct key *k, struct err *err)
{
    int r = 0;

    key_number(k, "mounts", (int64_t)m->all.n);
    for (size_t i = 0; r >= 0 && i < m->all.n; i++) {
        const struct run_mount *x = &m->all.v[i];
        key_number(k, "type", x->m->type);
        key_text(k, "target", x->target);
        key_text(k, "source", x->source);
        key_text(k, "id", x->id);
        key_text(k, "env", x->m->env);
        key_number(k, "readonly", x->m->readonly);
        if (x->m->type == INS_MOUNT_BIND)
            r = key_bind(m, x, k, err);
    }
    return r;
}

/* ---- make ---- */

static struct oci_mount *add(struct build_run *run, struct arena *a, const char *type,
                             const char *target, const char *options)
{
    struct oci_mount *om = arena_new(a, struct oci_mount);

    om->destination = arena_strdup(a, target);
    om->type = arena_strdup(a, type);
    om->source = arena_strdup(a, type);
    om->options = str_split(a, options, ',');
    arena_push(a, run->mounts) = om;
    return om;
}

/* A directory of the step's own, for what is written to a source and then forgotten. */
static int step_dir(struct run_mounts *m, const char *name, struct arena *a, char **ret,
                    struct err *err)
{
    struct builder *bd = m->st->b->builder;
    char hex[17];

    if (!m->tmp) {
        rand_hex(hex, 16);
        m->tmp = arena_strdup(&m->st->a, hex);
        if (mkdirat(bd->tmp_fd, m->tmp, 0700) < 0)
            return err_sys(err, "make a step's directory");
    }
    if (mkdirat(bd->tmp_fd, arena_printf(a, "%s/%s", m->tmp, name), 0755) < 0)
        return err_sys(err, "make a step's directory");
    *ret = arena_printf(a, "%s/" BUILD_TMP "/%s/%s", bd->host->data_path, m->tmp, name);
    return 0;
}

static int make_bind(struct run_mounts *m, size_t i, struct build_run *run, struct arena *a,
                     struct err *err)
{
    const struct run_mount *x = &m->all.v[i];
    struct build *b = m->st->b;
    bool ro = x->m->readonly;
    int r = 0;

    const char *context = origin_context(b, &x->from);
    if (!is_layers(x) && !context)
        return err_invalid(err, "there is no build context to mount");
    struct oci_mount *om = add(run, a, "bind", x->target, ro ? "rbind,ro" : "rbind");
    om->source = arena_strdup(a, str_or(context, ""));
    om->subpath = x->source;
    if (!is_layers(x) && ro)
        return 0;
    r = cache_import_want(b, &x->layers, m->p->step, err);
    if (r < 0)
        return r;
    for (size_t k = x->layers.n; k-- > 0;)
        strv_push(a, &om->lowers,
                  arena_printf(a, "%s/%s", b->host->data_path, layer_path(x->layers.v[k], a)));
    if (!is_layers(x))
        strv_push(a, &om->lowers, context);
    if (!ro)
        r = step_dir(m, arena_printf(a, "upper%zu", i), a, &om->upper, err);
    if (r >= 0 && !ro)
        r = step_dir(m, arena_printf(a, "work%zu", i), a, &om->work, err);
    return r;
}

static int make_cache(struct run_mounts *m, struct run_mount *x, struct build_run *run,
                      struct arena *a, struct err *err)
{
    struct oci_mount *om = add(run, a, "bind", x->target, x->m->readonly ? "rbind,ro" : "rbind");
    const struct cache_want want = {.st = m->st,
                                    .step = m->p->step,
                                    .m = x->m,
                                    .id = str_or(x->id, path_clean(a, x->target)),
                                    .source = x->source,
                                    .from = &x->from};

    return cache_take(&want, &x->cache, a, &om->source, err);
}

static void make_tmpfs(const struct run_mount *x, struct build_run *run, struct arena *a)
{
    const char *size =
        x->m->size_b > 0 ? arena_printf(a, ",size=%lld", (long long)x->m->size_b) : "";

    (void)add(run, a, "tmpfs", x->target, arena_printf(a, "nosuid,nodev,mode=1777%s", size));
}

/* ---- secrets: in memory, readable by whom the mount says ---- */

static const struct build_secret *find_secret(const struct build_request *rq, const char *id)
{
    for (size_t i = 0; i < rq->secrets.n; i++)
        if (strcmp(rq->secrets.v[i].id, id) == 0)
            return &rq->secrets.v[i];
    return NULL;
}

static int secrets_dir(struct run_mounts *m, struct err *err)
{
    char hex[17];

    if (m->secrets)
        return 0;
    rand_hex(hex, 16);
    m->secrets = arena_printf(&m->st->a, "%s/%s", m->st->b->host->run_path, hex);
    return mkdir(m->secrets, 0700) < 0 ? err_sys(err, "make a directory for secrets") : 0;
}

static int write_secret(const struct run_mount *x, const struct build_secret *s, const char *path,
                        struct err *err)
{
    const struct ins_mount *in = x->m;
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);

    if (fd < 0)
        return err_sys(err, "write secret %s", x->id);
    int r = write_full(fd, s->data, s->len);
    if (r < 0)
        return err_no(err, r, "write secret %s", x->id);
    if (fchown(fd, in->uid < 0 ? 0 : (uid_t)in->uid, in->gid < 0 ? 0 : (gid_t)in->gid) < 0 ||
        fchmod(fd, in->mode < 0 ? 0400 : (mode_t)in->mode & 07777) < 0)
        return err_sys(err, "set the owner of secret %s", x->id);
    return 0;
}

static int make_secret(struct run_mounts *m, size_t i, struct build_run *run, struct arena *a,
                       struct err *err)
{
    const struct run_mount *x = &m->all.v[i];
    const struct build_secret *s = find_secret(m->st->b->rq, x->id);

    if (!s)
        return x->m->required ? err_invalid(err, "secret %s: not found", x->id) : 0;
    if (x->m->env)
        strv_env_set(a, &run->secret_env,
                     arena_printf(a, "%s=%.*s", x->m->env, (int)s->len, (const char *)s->data));
    if (!x->target)
        return 0;
    int r = secrets_dir(m, err);
    if (r < 0)
        return r;
    char *path = arena_printf(a, "%s/%zu", m->secrets, i);
    r = write_secret(x, s, path, err);
    if (r >= 0)
        add(run, a, "bind", x->target, "bind,ro,nosuid,nodev,noexec")->source = path;
    return r;
}

static int make_ssh(struct run_mounts *m, const struct run_mount *x, struct build_run *run,
                    struct arena *a, struct err *err)
{
    const struct build_request *rq = m->st->b->rq;

    for (size_t i = 0; i < rq->ssh.n; i++) {
        if (strcmp(rq->ssh.v[i].id, x->id) != 0)
            continue;
        add(run, a, "bind", x->target, "bind,nosuid,nodev,noexec")->source = rq->ssh.v[i].path;
        strv_env_set(a, &run->env, arena_printf(a, "SSH_AUTH_SOCK=%s", x->target));
        return 0;
    }
    return x->m->required ? err_invalid(err, "no SSH key \"%s\" forwarded from the client", x->id)
                          : 0;
}

/* A heredoc with an interpreter of its own is a file to execute. */
static int make_script(struct run_mounts *m, struct build_run *run, struct arena *a,
                       struct err *err)
{
    const char *text = m->p->ins->run.cmd.text;
    char *dir = NULL;
    int r = step_dir(m, "script", a, &dir, err);

    if (r < 0)
        return r;
    char *path = arena_printf(a, "%s/file", dir);
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    r = fd < 0 ? -errno : write_full(fd, text, strlen(text));
    if (r < 0 || fchmod(fd, 0755) < 0)
        return err_no(err, r < 0 ? r : errno, "write the script of a RUN");
    add(run, a, "bind", RUN_SCRIPT, "bind,ro")->source = path;
    return 0;
}

int run_mounts_prepare(struct run_mounts *m, struct build_run *run, struct arena *a,
                       struct err *err)
{
    int r = m->p->ins->run.script ? make_script(m, run, a, err) : 0;

    for (size_t i = 0; r >= 0 && i < m->all.n; i++) {
        struct run_mount *x = &m->all.v[i];
        switch (x->m->type) {
        case INS_MOUNT_BIND:
            r = make_bind(m, i, run, a, err);
            break;
        case INS_MOUNT_CACHE:
            r = make_cache(m, x, run, a, err);
            break;
        case INS_MOUNT_TMPFS:
            make_tmpfs(x, run, a);
            break;
        case INS_MOUNT_SECRET:
            r = make_secret(m, i, run, a, err);
            break;
        case INS_MOUNT_SSH:
            r = make_ssh(m, x, run, a, err);
            break;
        }
    }
    return r;
}

void run_mounts_done(struct run_mounts *m)
{
    struct builder *bd = m->st->b->builder;

    for (size_t i = 0; i < m->all.n; i++)
        cache_give_back(bd, &m->all.v[i].cache);
    if (m->tmp)
        (void)!remove_tree_at(bd->tmp_fd, m->tmp, NULL); /* else the next start does it */
    if (m->secrets)
        (void)!remove_tree_at(AT_FDCWD, m->secrets, NULL);
    m->tmp = m->secrets = NULL;
}
