/* Instructions whose arguments are names, pairs and words. */
#include "build/instruction-priv.h"

#include <ctype.h>
#include <strings.h>

#include "base/buf.h"
#include "build/words-priv.h"

static const struct flag_spec no_flags[] = {{0}};

static void put_pair(struct decoder *d, struct ins *ins, const char *key, size_t n, const char *val)
{
    arena_push(d->a, ins->pairs.pairs) =
        (struct ins_pair){arena_strndup(d->a, key, n), arena_strdup(d->a, val)};
}

static int no_name(const struct decoder *d, struct err *err)
{
    return err_invalid(err, "%s names can not be blank", d->name);
}

/* "ENV NAME value with blanks" */
static int old_pair(struct decoder *d, struct ins *ins, struct err *err)
{
    const char *end = d->args;

    while (*end && !isspace((unsigned char)*end))
        end++;
    if (!*end)
        return err_invalid(err, "%s must have two arguments", d->name);
    ins->pairs.legacy = true;
    put_pair(d, ins, d->args, (size_t)(end - d->args), text_skip(end));
    return 0;
}

static int take_pair(struct decoder *d, const char *word, struct ins *ins, struct err *err)
{
    const char *eq = strchr(word, '=');

    if (!eq)
        return err_invalid(err,
                           "Syntax error - can't find = in %s. Must be of the form: name=value",
                           text_quote(d->a, word));
    if (eq == word)
        return no_name(d, err);
    put_pair(d, ins, word, (size_t)(eq - word), eq + 1);
    return 0;
}

int decode_pairs(struct decoder *d, struct ins *ins, struct err *err)
{
    int r = flags_check(d, no_flags, err);

    if (r >= 0)
        r = need_args(d, err);
    if (r < 0)
        return r;
    struct strv words = words_quoted(d->a, d->args, d->escape, NULL);
    if (!strchr(words.v[0], '='))
        return old_pair(d, ins, err);
    for (size_t i = 0; r >= 0 && i < words.n; i++)
        r = take_pair(d, words.v[i], ins, err);
    return r;
}

int decode_arg(struct decoder *d, struct ins *ins, struct err *err)
{
    int r = flags_check(d, no_flags, err);

    if (r >= 0)
        r = need_args(d, err);
    if (r < 0)
        return r;
    struct strv words = words_quoted(d->a, d->args, d->escape, NULL);
    for (size_t i = 0; i < words.n; i++) {
        const char *word = words.v[i], *eq = strchrnul(word, '=');
        if (eq == word)
            return no_name(d, err);
        put_pair(d, ins, word, (size_t)(eq - word), *eq ? eq + 1 : NULL);
    }
    return 0;
}

int decode_expose(struct decoder *d, struct ins *ins, struct err *err)
{
    int r = need_args(d, err);

    if (r >= 0)
        r = flags_check(d, no_flags, err);
    if (r >= 0)
        ins->words = words_blank(d->a, d->args);
    return r;
}

int decode_volume(struct decoder *d, struct ins *ins, struct err *err)
{
    int r = need_args(d, err);

    if (r >= 0)
        r = flags_check(d, no_flags, err);
    if (r >= 0)
        r = words_json(d->a, d->args, &ins->words, err);
    if (r < 0)
        return r;
    if (r == 0)
        ins->words = words_blank(d->a, d->args);
    if (ins->words.n == 0)
        return err_invalid(err, "VOLUME requires at least one argument");
    for (size_t i = 0; i < ins->words.n; i++) {
        ins->words.v[i] = str_trim(d->a, ins->words.v[i], strlen(ins->words.v[i]));
        if (!*ins->words.v[i])
            return err_invalid(err, "VOLUME specified can not be an empty string");
    }
    return 0;
}

int decode_word(struct decoder *d, struct ins *ins, struct err *err)
{
    int r = need_one(d, err);

    if (r >= 0)
        r = flags_check(d, no_flags, err);
    ins->word = arena_strdup(d->a, d->args);
    return r;
}

/* ---- FROM ---- */

static const struct flag_spec from_flags[] = {{"platform", FLAG_TEXT}, {0}};

/* [a-z][a-z0-9-_.]*, once in lower case */
static int stage_name(struct decoder *d, const char *text, char **ret, struct err *err)
{
    char *name = arena_strdup(d->a, text);
    bool good = isalpha((unsigned char)*text);

    for (char *p = name; *p; p++) {
        *p = (char)tolower((unsigned char)*p);
        good &= isalnum((unsigned char)*p) || strchr("-_.", *p);
    }
    if (!good)
        return err_invalid(err,
                           "invalid name for build stage: %s, name can't start with a number or "
                           "contain symbols",
                           text_quote(d->a, text));
    *ret = name;
    return 0;
}

int decode_from(struct decoder *d, struct ins *ins, struct err *err)
{
    struct strv words = words_blank(d->a, d->args);
    int r = 0;

    if (words.n == 3 && strcasecmp(words.v[1], "as") == 0)
        r = stage_name(d, words.v[2], &ins->from.name, err);
    else if (words.n != 1)
        return err_invalid(err, "FROM requires either one or three arguments");
    if (r >= 0)
        r = flags_check(d, from_flags, err);
    if (r < 0)
        return r;
    ins->from.image = words.v[0];
    ins->from.platform = flag_text(d, "platform");
    if (words.n == 3) {
        ins->from.as = words.v[1];
        ins->from.as_name = words.v[2];
    }
    return 0;
}

/* ---- ONBUILD ---- */

static char *whole_trigger(const struct decoder *d)
{
    auto_buf struct buf out = BUF_INIT;

    buf_puts(&out, d->args);
    for (size_t i = 0; i < d->line->heredocs.n; i++)
        buf_printf(&out, "\n%s%s", d->line->heredocs.v[i]->body, d->line->heredocs.v[i]->name);
    return arena_strdup(d->a, buf_str(&out));
}

int decode_onbuild(struct decoder *d, struct ins *ins, struct err *err)
{
    struct df_line *inner = arena_memdup(d->a, d->line, sizeof(*d->line));
    size_t n = strcspn(d->args, " \t");

    int r = need_args(d, err);
    if (r >= 0)
        r = flags_check(d, no_flags, err);
    if (r < 0)
        return r;
    inner->keyword = arena_strndup(d->a, d->args, n);
    inner->rest = str_trim(d->a, d->args + n, strlen(d->args + n));
    if (strcasecmp(inner->keyword, "ONBUILD") == 0)
        return err_invalid(err, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    for (char *p = inner->keyword; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    if (strcmp(inner->keyword, "FROM") == 0 || strcmp(inner->keyword, "MAINTAINER") == 0)
        return err_invalid(err, "%s isn't allowed as an ONBUILD trigger", inner->keyword);
    ins->onbuild.text = whole_trigger(d);
    return decode_line(inner, d->escape, d->a, &ins->onbuild.ins, err);
}
