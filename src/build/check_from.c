/* What a file says before its stages do anything: names, casing, and FROM. */
#include "build/check-priv.h"

#include <ctype.h>
#include <strings.h>

#include "build/words-priv.h"
#include "distribution/reference.h"
#include "distribution/platform.h"

/* ---- casing ---- */

static bool is_lower(const char *s)
{
    for (; *s; s++)
        if (isupper((unsigned char)*s))
            return false;
    return true;
}

static bool is_upper(const char *s)
{
    for (; *s; s++)
        if (islower((unsigned char)*s))
            return false;
    return true;
}

typedef void (*keyword_fn)(struct checker *k, const struct df_line *l, void *arg);

/* All keywords but those of ARG before the first stage. */
static void each_keyword(struct checker *k, keyword_fn fn, void *arg)
{
    const struct df_program *p = k->in->program;

    for (size_t i = 0; i < p->stages.n; i++) {
        const struct df_stage *s = p->stages.v[i];
        fn(k, s->from->at, arg);
        for (size_t n = 0; n < s->code.n; n++)
            fn(k, s->code.v[n]->at, arg);
    }
}

static void count_case(struct checker *k, const struct df_line *l, void *arg)
{
    long *more_lower = arg;

    (void)k;
    *more_lower += is_lower(l->keyword) ? 1 : is_upper(l->keyword) ? -1 : 0;
}

static void check_case(struct checker *k, const struct df_line *l, void *arg)
{
    bool lower = *(long *)arg > 0;

    if (lower ? !is_lower(l->keyword) : !is_upper(l->keyword))
        check_warn(k, RULE_CONSISTENT_INSTRUCTION_CASING, l,
                   "Command '%s' should match the case of the command majority (%s)", l->keyword,
                   lower ? "lowercase" : "uppercase");
}

/* ---- names of stages ---- */

static void check_stage_name(struct checker *k, size_t i)
{
    const struct ins *from = k->in->program->stages.v[i]->from;
    const char *name = from->from.name, *as = from->from.as;

    if (!name)
        return;
    if (!is_lower(from->from.as_name))
        check_warn(k, RULE_STAGE_NAME_CASING, from->at, "Stage name '%s' should be lowercase",
                   from->from.as_name);
    if (strcmp(name, "scratch") == 0 || strcmp(name, "context") == 0)
        check_warn(k, RULE_RESERVED_STAGE_NAME, from->at,
                   "Stage name should not use the same name as reserved stage \"%s\"", name);
    if (find_stage(k->in->program, name, i, false) >= 0)
        check_warn(k, RULE_DUPLICATE_STAGE_NAME, from->at,
                   "Duplicate stage name \"%s\", stage names should be unique", name);
    bool mixed = !is_lower(from->at->keyword) && !is_upper(from->at->keyword);
    if (!mixed && (is_lower(from->at->keyword) ? !is_lower(as) : !is_upper(as)))
        check_warn(k, RULE_FROM_AS_CASING, from->at, "'%s' and '%s' keywords' casing do not match",
                   as, from->at->keyword);
}

void check_names(struct checker *k)
{
    const struct dockerfile *d = k->in->file;
    long more_lower = 0;

    for (size_t i = 0; i < d->code.n; i++) {
        const struct df_line *l = d->code.v[i];
        if (l->blank_inside)
            check_warn_at(k, RULE_NO_EMPTY_CONTINUATION, l->heredocs.n ? l->line : l->end_line,
                          "Empty continuation line");
    }
    each_keyword(k, count_case, &more_lower);
    each_keyword(k, check_case, &more_lower);
    for (size_t i = 0; i < k->in->program->stages.n; i++)
        check_stage_name(k, i);
}

int find_stage(const struct df_program *p, const char *name, size_t before, bool number)
{
    uint64_t at = 0;

    for (size_t i = before; i-- > 0;)
        if (p->stages.v[i]->from->from.name && strcasecmp(p->stages.v[i]->name, name) == 0)
            return (int)i;
    return number && str_to_u64(name, &at) >= 0 && at < before ? (int)at : -1;
}

int base_stage(struct checker *k, size_t i)
{
    struct look l = {.k = k, .s = &k->global, .quiet = true};
    char *image = NULL;

    if (!look(&l, k->in->program->stages.v[i]->from->from.image, &image))
        return -1;
    return find_stage(k->in->program, image, i, false);
}

/* ---- comments ---- */

void check_description(struct checker *k, const struct ins *ins, const struct strv *names)
{
    const char *comment = ins->at->comment, *last;

    if (!comment || names->n == 0)
        return;
    last = strrchr(comment, '\n');
    last = last ? last + 1 : comment;
    if (strv_has(names, arena_strndup(k->a, last, strcspn(last, " "))))
        return;
    check_warn(k, RULE_INVALID_DEFINITION_DESCRIPTION, ins->at,
               "Comment for %s should follow the format: `# %s <description>`", ins_name(ins->op),
               names->n > 1 ? "<arg_key>" : names->v[0]);
}

/* ---- ARG before the first stage ---- */

static void set_platforms(struct checker *k, struct names *s)
{
    static const char *const values[][2] = {
        {"TARGETPLATFORM", "linux/amd64"},
        {"TARGETOS", "linux"},
        {"TARGETARCH", "amd64"},
        {"TARGETVARIANT", ""},
        {"BUILDOS", "linux"},
        {"BUILDARCH", "amd64"},
        {"BUILDPLATFORM", "linux/amd64"},
        {"BUILDVARIANT", ""},
        {"TARGETSTAGE", "default"},
    };

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        names_set(k, s, values[i][0], values[i][1], false);
}

static void set_args(struct checker *k, struct names *s, const struct strmap *given)
{
    const struct df_program *p = k->in->program;

    names_init(s, NULL);
    set_platforms(k, s);
    for (size_t i = 0; i < p->args.n; i++) {
        const struct ins *ins = p->args.v[i];
        struct look l = {.k = k, .s = s, .quiet = true};
        for (size_t n = 0; n < ins->pairs.pairs.n; n++) {
            const struct ins_pair *pair = &ins->pairs.pairs.v[n];
            const char *val = given ? strmap_get(given, pair->key) : NULL;
            char *text = NULL;
            if (!val && pair->val && look(&l, pair->val, &text))
                val = text;
            names_set(k, s, pair->key, val, false);
        }
    }
}

static void describe_args(struct checker *k)
{
    const struct df_program *p = k->in->program;

    for (size_t i = 0; i < p->args.n; i++) {
        struct strv names = {0};
        for (size_t n = 0; n < p->args.v[i]->pairs.pairs.n; n++)
            strv_push(k->a, &names, p->args.v[i]->pairs.pairs.v[n].key);
        check_description(k, p->args.v[i], &names);
    }
}

/* ---- FROM ---- */

/* Would it be a name without build arguments? */
static void check_default(struct checker *k, const struct ins *from)
{
    struct look l = {.k = k, .s = &k->defaults, .quiet = true};
    struct reference ref;
    char *image = NULL;

    if (strchr(from->from.image, '$') && look(&l, from->from.image, &image) &&
        reference_parse(image, &ref, NULL) < 0)
        check_warn(k, RULE_INVALID_DEFAULT_ARG_IN_FROM, from->at,
                   "Default value for ARG %s results in empty or invalid base image name",
                   from->from.image);
}

static void check_platform(struct checker *k, const struct ins *from)
{
    const char *text = from->from.platform, *name = str_or(from->from.name, "");
    struct platform p;

    if (strcmp(text, "$TARGETPLATFORM") == 0 || strcmp(text, "${TARGETPLATFORM}") == 0)
        check_warn(k, RULE_REDUNDANT_TARGET_PLATFORM, from->at,
                   "Setting platform to predefined %s in FROM is redundant as this is the default "
                   "behavior",
                   text);
    if (!strchr(text, '$') && platform_parse(text, &p, NULL) >= 0 && !strstr(name, p.os) &&
        !strstr(name, p.arch))
        check_warn(k, RULE_FROM_PLATFORM_FLAG_CONST_DISALLOWED, from->at,
                   "FROM --platform flag should not use constant value %s", text_quote(k->a, text));
}

static void check_from(struct checker *k, const struct ins *from)
{
    struct look l = {.k = k, .s = &k->global, .at = from->at, .rule = RULE_UNDEFINED_ARG_IN_FROM};
    struct strv names = {0};
    char *out = NULL;

    (void)look(&l, from->from.image, &out);
    check_default(k, from);
    if (from->from.platform) {
        (void)look(&l, from->from.platform, &out);
        check_platform(k, from);
    }
    if (from->from.name)
        strv_push(k->a, &names, from->from.name);
    check_description(k, from, &names);
}

void check_froms(struct checker *k)
{
    set_args(k, &k->global, k->in->build_args);
    set_args(k, &k->defaults, NULL);
    describe_args(k);
    for (size_t i = 0; i < k->in->program->stages.n; i++)
        check_from(k, k->in->program->stages.v[i]->from);
}
