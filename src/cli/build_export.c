#include "cli/build_export.h"

#include <errno.h>
#include <string.h>

#include "cli/build.h"
#include "cli/cli.h"
#include "cli/specs.h"

/* ---- annotations ---- */

static bool is_level(const char *s)
{
    static const char *const levels[] = {"manifest", "index", "manifest-descriptor",
                                         "index-descriptor"};

    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        if (strcmp(s, levels[i]) == 0)
            return true;
    return false;
}

/* "manifest[linux/amd64]" */
static int add_annotation(struct build_export *e, const char *where, const char *key,
                          const char *val, struct arena *a, struct err *err)
{
    const char *open = strchr(where, '[');
    struct build_annotation *n = arena_new(a, struct build_annotation);

    if (open && !str_ends(where, "]"))
        return err_invalid(err, "invalid annotation type \"%s\"", where);
    n->level = open ? arena_strndup(a, where, (size_t)(open - where)) : arena_strdup(a, where);
    n->platform = open ? arena_strndup(a, open + 1, strlen(open) - 2) : NULL;
    if (!is_level(n->level))
        return err_invalid(err, "unknown annotation type \"%s\"", n->level);
    if (str_empty(key))
        return err_invalid(err, "an annotation needs a key");
    n->key = arena_strdup(a, key);
    n->val = arena_strdup(a, val);
    arena_push(a, e->annotations) = n;
    return 0;
}

/* "manifest,index[linux/amd64]:key=value" */
static int take_annotation(struct build_export *e, const char *text, struct arena *a,
                           struct err *err)
{
    const char *eq = strchr(text, '=');
    int r = 0;

    if (!eq)
        return err_invalid(err, "invalid annotation \"%s\", expected key=value", text);
    const char *colon = memchr(text, ':', (size_t)(eq - text));
    const char *key = colon ? colon + 1 : text;
    const char *types = colon ? arena_strndup(a, text, (size_t)(colon - text)) : "manifest";
    struct strv where = str_split(a, types, ',');
    for (size_t i = 0; r >= 0 && i < where.n; i++)
        r = add_annotation(e, where.v[i], arena_strndup(a, key, (size_t)(eq - key)), eq + 1, a,
                           err);
    return r;
}

/* "annotation.key", "annotation-index.key", "annotation-manifest[linux/amd64].key" */
static int annotation_field(struct build_export *e, const char *rest, const char *val,
                            struct arena *a, struct err *err)
{
    const char *open = strchr(rest, '['), *dot = strchr(rest, '.');

    if (open && (!dot || open < dot))
        dot = strchr(open, ']') ? strchr(strchr(open, ']'), '.') : NULL;
    if (!dot)
        return err_invalid(err, "invalid annotation \"annotation%s\" of an output", rest);
    const char *where = arena_strndup(a, rest, (size_t)(dot - rest));
    if (*where == '-')
        where++;
    else
        where = arena_printf(a, "manifest%s", where);
    return add_annotation(e, where, dot + 1, val, a, err);
}

/* ---- fields of an output ---- */

static int read_bool(const char *key, const char *val, bool *ret, struct err *err)
{
    return str_to_bool(val, ret) < 0
               ? err_invalid(err, "non-bool value %s specified for %s", val, key)
               : 0;
}

static int force(struct build_export *e, const char *key, char *val, struct err *err)
{
    return read_bool(key, val, &e->force_compression, err);
}

static int oci_types(struct build_export *e, const char *key, char *val, struct err *err)
{
    bool oci = true;
    int r = read_bool(key, val, &oci, err);

    e->docker_types = !oci;
    return r;
}

static int compression(struct build_export *e, const char *key, char *val, struct err *err)
{
    (void)key;
    if (str_eq(val, "estargz"))
        return err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS, "compression=estargz is not built yet");
    e->compression = val;
    return 0;
}

static int compression_level(struct build_export *e, const char *key, char *val, struct err *err)
{
    if (str_to_i64(val, &e->compression_level) < 0)
        return err_invalid(err, "non-integer value %s specified for %s", val, key);
    return 0;
}

/* Layers of a build have no later times than SOURCE_DATE_EPOCH in any case. */
static int rewrite(struct build_export *e, const char *key, char *val, struct err *err)
{
    bool on = true;
    int r = read_bool(key, val, &on, err);

    (void)e;
    return r < 0 || on ? r
                       : err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS, "%s=false is not built yet", key);
}

/* What is done anyway. */
static int keep(struct build_export *e, const char *key, char *val, struct err *err)
{
    return rewrite(e, key, val, err);
}

static const struct {
    const char *key;
    int (*take)(struct build_export *e, const char *key, char *val, struct err *err);
} fields[] = {
    {"compression", compression},
    {"compression-level", compression_level},
    {"force-compression", force},
    {"oci-mediatypes", oci_types},
    {"rewrite-timestamp", rewrite},
    {"name-canonical", keep},
    {"store", keep},
    {"unpack", keep},
};

int build_export_field(struct build_export *e, const char *key, char *val, struct arena *a,
                       struct err *err)
{
    const char *rest = str_starts(key, "annotation");
    int r;

    if (rest && strchr("-.[", *rest) && *rest) {
        r = annotation_field(e, rest, val, a, err);
        return r < 0 ? r : 1;
    }
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (strcmp(key, fields[i].key) != 0)
            continue;
        r = fields[i].take(e, key, val, err);
        return r < 0 ? r : 1;
    }
    return 0;
}

/* ---- attestations ---- */

struct attest {
    const char *type, *mode;
    bool off;
};

static int attest_field(struct attest *x, const char *field, struct err *err)
{
    const char *val;

    if ((val = str_starts(field, "type=")))
        x->type = val;
    else if ((val = str_starts(field, "mode=")))
        x->mode = val;
    else if ((val = str_starts(field, "disabled=")))
        return read_bool("disabled", val, &x->off, err);
    else
        return err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS, "--attest with \"%s\" is not built yet",
                      field);
    return 0;
}

static int apply_attest(struct build_export *e, const struct attest *x, const char *text,
                        struct err *err)
{
    static char min[] = "min", max[] = "max";

    if (str_eq(x->type, "sbom") && !x->mode) {
        e->sbom = !x->off;
        return 0;
    }
    if (!str_eq(x->type, "provenance"))
        return err_invalid(err, "invalid attestation \"%s\"", text);
    if (x->mode && !str_eq(x->mode, min) && !str_eq(x->mode, max))
        return err_invalid(err, "invalid mode \"%s\" of provenance", x->mode);
    e->provenance = x->off ? NULL : str_eq(x->mode, max) ? max : min;
    return 0;
}

static int take_attest(struct build_export *e, const char *text, struct arena *a, struct err *err)
{
    struct strv fields_of = {0};
    struct attest x = {0};
    int r = csv_split(text, a, &fields_of, err);

    for (size_t i = 0; r >= 0 && i < fields_of.n; i++)
        r = attest_field(&x, fields_of.v[i], err);
    return r < 0 ? r : apply_attest(e, &x, text, err);
}

/* "--sbom=true" is "--attest type=sbom", "--provenance=mode=max" "--attest
 * type=provenance,mode=max".
 */
static int take_short(struct build_export *e, const char *type, const char *val, struct arena *a,
                      struct err *err)
{
    bool on = true;

    if (str_empty(val))
        return 0;
    if (str_to_bool(val, &on) >= 0)
        val = on ? NULL : "disabled=true";
    return take_attest(e, arena_printf(a, "type=%s%s%s", type, val ? "," : "", str_or(val, "")), a,
                       err);
}

int build_export_flags(struct cli *cli, struct build_flags *f, struct err *err)
{
    struct build_export *e = &f->export;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < f->annotation.n; i++)
        r = take_annotation(e, f->annotation.v[i], &cli->arena, err);
    for (size_t i = 0; r >= 0 && i < f->attest.n; i++)
        r = take_attest(e, f->attest.v[i], &cli->arena, err);
    if (r >= 0)
        r = take_short(e, "provenance", f->provenance, &cli->arena, err);
    return r < 0 ? r : take_short(e, "sbom", f->sbom, &cli->arena, err);
}

char *build_export_text(const struct build_export *e, struct arena *a)
{
    auto_buf struct buf text = BUF_INIT;

    json_encode(&build_export_type, e, &text);
    return text.len > 2 ? arena_strndup(a, buf_str(&text), text.len) : NULL; /* not "{}" */
}
