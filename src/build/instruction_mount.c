/* RUN --mount: "type=cache,target=/x,sharing=locked", in the form of CSV. */
#include "build/instruction-priv.h"

#include <ctype.h>
#include <errno.h>
#include <strings.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/units.h"
#include "build/words-priv.h"

#define MODE_MAX 07777

static const char *const type_names[] = {"bind", "cache", "tmpfs", "secret", "ssh"};
static const char *const sharing_names[] = {"shared", "private", "locked"};

struct key_value {
    struct arena *a;
    const char *text;
    char *key;
    const char *val; /* NULL: no "=" */
    struct ins_mount *m;
    bool *write_given, *sharing_given;
};

static const char *type_name(const struct key_value *f)
{
    return type_names[f->m->type];
}

static int bad_value(const struct key_value *f, struct err *err)
{
    return err_invalid(err, "invalid value for %s: %s", f->key, f->val);
}

static int unexpected(const struct key_value *f, struct err *err)
{
    return err_invalid(err, "unexpected key '%s' for mount type '%s'", f->key, type_name(f));
}

static int choice(const struct key_value *f, const char *const *names, size_t n, const char *what,
                  int *ret, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(f->val, names[i]) == 0) {
            *ret = (int)i;
            return 0;
        }
    return err_invalid(err, "unsupported %s %s%s", what, text_quote(f->a, f->val),
                       suggest(f->a, f->val, names, n, false));
}

/* ---- one function per kind of key ---- */

static int set_type(const struct key_value *f, struct err *err)
{
    int i = 0, r = choice(f, type_names, 5, "mount type", &i, err);

    f->m->type = (enum ins_mount_type)i;
    return r;
}

static int set_sharing(const struct key_value *f, struct err *err)
{
    int i = 0, r = choice(f, sharing_names, 3, "sharing value", &i, err);

    f->m->sharing = (enum mount_sharing)i;
    *f->sharing_given = true;
    return r;
}

static int set_text(const struct key_value *f, struct err *err)
{
    const struct {
        const char *key;
        char **to;
    } texts[] = {
        {"from", &f->m->from},
        {"source", &f->m->source},
        {"src", &f->m->source},
        {"target", &f->m->target},
        {"destination", &f->m->target},
        {"dst", &f->m->target},
        {"id", &f->m->id},
        {"env", &f->m->env},
    };

    (void)err;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strcmp(f->key, texts[i].key) == 0)
            *texts[i].to = *f->val ? arena_strdup(f->a, f->val) : NULL;
    return 0;
}

static int set_bool(const struct key_value *f, struct err *err)
{
    bool on = true, required = strcmp(f->key, "required") == 0;

    if (required && f->m->type != INS_MOUNT_SECRET && f->m->type != INS_MOUNT_SSH)
        return unexpected(f, err);
    if (f->val && str_to_bool(f->val, &on) < 0)
        return bad_value(f, err);
    if (required) {
        f->m->required = on;
        return 0;
    }
    f->m->readonly =
        f->key[0] == 'r' && (f->key[1] == 'w' || strcmp(f->key, "readwrite") == 0) ? !on : on;
    *f->write_given = true;
    return 0;
}

static int set_size(const struct key_value *f, struct err *err)
{
    if (f->m->type != INS_MOUNT_TMPFS)
        return unexpected(f, err);
    return units_parse_bytes(f->val, &f->m->size_b, NULL) < 0 ? bad_value(f, err) : 0;
}

static int set_mode(const struct key_value *f, struct err *err)
{
    int64_t mode = 0;
    const char *p = f->val;

    for (; *p >= '0' && *p <= '7' && mode <= MODE_MAX; p++)
        mode = mode * 8 + (*p - '0');
    if (p == f->val || *p || mode > MODE_MAX)
        return err_invalid(err, "invalid value %s for mode", f->val);
    f->m->mode = mode;
    return 0;
}

static int set_id(const struct key_value *f, struct err *err)
{
    uint64_t id = 0;

    if (str_to_u64(f->val, &id) < 0 || id > UINT32_MAX)
        return err_invalid(err, "invalid value %s for %s", f->val, f->key);
    *(f->key[0] == 'u' ? &f->m->uid : &f->m->gid) = (int64_t)id;
    return 0;
}

static const struct {
    const char *key;
    int (*set)(const struct key_value *f, struct err *err);
    bool alone; /* may stand without "=value" */
} keys[] = {
    {"type", set_type},
    {"from", set_text},
    {"source", set_text},
    {"target", set_text},
    {"readonly", set_bool, true},
    {"id", set_text},
    {"sharing", set_sharing},
    {"required", set_bool, true},
    {"size", set_size},
    {"mode", set_mode},
    {"uid", set_id},
    {"gid", set_id},
    {"src", set_text},
    {"destination", set_text},
    {"dst", set_text},
    {"ro", set_bool, true},
    {"rw", set_bool, true},
    {"readwrite", set_bool, true},
    {"env", set_text},
};
#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

static int unknown_key(const struct key_value *f, struct err *err)
{
    const char *names[N_KEYS];

    for (size_t i = 0; i < N_KEYS; i++)
        names[i] = keys[i].key;
    return err_invalid(err, "unexpected key '%s' in '%s'%s", f->key, f->text,
                       suggest(f->a, f->key, names, N_KEYS, false));
}

static int take_field(struct key_value *f, struct err *err)
{
    const char *eq = strchr(f->text, '=');
    size_t i = 0;

    f->val = eq ? eq + 1 : NULL;
    f->key =
        eq ? arena_strndup(f->a, f->text, (size_t)(eq - f->text)) : arena_strdup(f->a, f->text);
    for (char *p = f->key; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    while (i < N_KEYS && strcmp(keys[i].key, f->key) != 0)
        i++;
    if (!f->val && (i == N_KEYS || !keys[i].alone))
        return err_invalid(err, "invalid field '%s' must be a key=value pair", f->text);
    return i == N_KEYS ? unknown_key(f, err) : keys[i].set(f, err);
}

/* ---- a mount ---- */

static int split_csv(struct arena *a, const char *text, struct strv *ret, struct err *err)
{
    auto_buf struct buf field = BUF_INIT;

    for (const char *p = text;; p++) {
        bool quoted = *p == '"';
        buf_clear(&field);
        if (quoted)
            for (p++; *p && (*p != '"' || *++p == '"'); p++)
                buf_putc(&field, *p);
        else
            for (; *p && *p != ','; p++)
                buf_putc(&field, *p);
        if ((quoted && (p[-1] != '"' || (*p && *p != ','))) ||
            (!quoted && strchr(buf_str(&field), '"')))
            return err_invalid(err, "failed to parse csv mounts: bad quotes in %s", text);
        strv_push(a, ret, buf_str(&field));
        if (!*p)
            return 0;
    }
}

static int check_secret(const struct ins_mount *m, bool sharing, struct err *err)
{
    if (m->from)
        return err_invalid(err, "secret mount should not have a from");
    if (sharing)
        return err_invalid(err, "secret mount should not define sharing");
    if (!m->source && !m->target && !m->id)
        return err_invalid(err, "invalid secret mount. one of source, target required");
    if (m->source && m->id)
        return err_invalid(err, "both source and id can't be set");
    return 0;
}

static int check(const struct ins_mount *m, bool sharing, struct err *err)
{
    const char *type = type_names[m->type];
    bool owned = m->type != INS_MOUNT_BIND && m->type != INS_MOUNT_TMPFS;

    if (!owned && m->mode >= 0)
        return err_invalid(err, "mode not allowed for \"%s\" type mounts", type);
    if (!owned && (m->uid >= 0 || m->gid >= 0))
        return err_invalid(err, "%s not allowed for \"%s\" type mounts",
                           m->uid >= 0 ? "uid" : "gid", type);
    if (m->type == INS_MOUNT_SECRET)
        return check_secret(m, sharing, err);
    if (m->env)
        return err_invalid(err, "unexpected key 'env' for mount type '%s'", type);
    if (sharing && m->type != INS_MOUNT_CACHE)
        return err_invalid(err, "invalid cache sharing set for %s mount", type);
    return 0;
}

static int decode(const struct strv *fields, struct arena *a, struct ins_mounts *to,
                  struct err *err)
{
    struct ins_mount *m = arena_new(a, struct ins_mount);
    bool write_given = false, sharing_given = false;
    int r = 0;

    *m = (struct ins_mount){.mode = -1, .uid = -1, .gid = -1};
    for (size_t i = 0; r >= 0 && i < fields->n; i++) {
        struct key_value f = {.a = a,
                              .text = fields->v[i],
                              .m = m,
                              .write_given = &write_given,
                              .sharing_given = &sharing_given};
        r = take_field(&f, err);
    }
    if (r >= 0)
        r = check(m, sharing_given, err);
    if (r < 0)
        return r;
    if (!write_given)
        m->readonly = m->type != INS_MOUNT_CACHE && m->type != INS_MOUNT_TMPFS;
    if (m->type == INS_MOUNT_SECRET && m->source)
        m->id = take_ptr(&m->source);
    arena_push(a, *to) = m;
    return 0;
}

/* A stage is known before any variable is: "from" must say it plainly. */
static int check_from(const struct strv *fields, struct err *err)
{
    for (size_t i = 0; i < fields->n; i++) {
        const char *dollar = strchr(fields->v[i], '$');
        if (strncasecmp(fields->v[i], "from=", 5) == 0 && dollar && dollar[1])
            return err_invalid(err, "'from' doesn't support variable expansion, define alias "
                                    "stage instead");
    }
    return 0;
}

int mounts_decode(const struct strv *flags, struct arena *a, struct ins_mounts *ret,
                  struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < flags->n; i++) {
        struct strv fields = {0};
        r = split_csv(a, flags->v[i], &fields, err);
        if (r >= 0)
            r = check_from(&fields, err);
        if (r >= 0 && !strchr(flags->v[i], '$'))
            r = decode(&fields, a, ret, err);
    }
    return r;
}

/* The value behind "="; a key has no variables. */
static int expand_field(const struct expander *x, struct arena *a, char **field, struct err *err)
{
    char *eq = strchr(*field, '='), *val = NULL;

    if (!eq)
        return 0;
    int r = expand_word(x, eq + 1, a, &val, err);
    if (r >= 0)
        *field = arena_printf(a, "%.*s=%s", (int)(eq - *field), *field, val);
    return r;
}

int run_mounts(const struct ins_run *run, const struct expander *x, struct arena *a,
               struct ins_mounts *ret, struct err *err)
{
    struct ins_mounts all = {0};
    int r = 0;

    for (size_t i = 0; r >= 0 && i < run->mount_flags.n; i++) {
        struct strv fields = {0};
        r = split_csv(a, run->mount_flags.v[i], &fields, err);
        for (size_t k = 0; r >= 0 && k < fields.n; k++)
            r = expand_field(x, a, &fields.v[k], err);
        if (r >= 0)
            r = decode(&fields, a, &all, err);
    }
    if (r >= 0)
        *ret = all;
    return r;
}
