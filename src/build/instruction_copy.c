/* COPY and ADD: sources, a destination, and heredocs for sources. */
#include "build/instruction-priv.h"

#include "build/heredoc-priv.h"
#include "build/words-priv.h"

static const struct flag_spec copy_flags[] = {
    {"from", FLAG_TEXT},
    {"chown", FLAG_TEXT},
    {"chmod", FLAG_TEXT},
    {"link", FLAG_BOOL},
    {"parents", FLAG_BOOL},
    {"exclude", FLAG_LIST},
    {0},
};
static const struct flag_spec add_flags[] = {
    {"chown", FLAG_TEXT},    {"chmod", FLAG_TEXT},
    {"link", FLAG_BOOL},     {"keep-git-dir", FLAG_BOOL},
    {"checksum", FLAG_TEXT}, {"unpack", FLAG_BOOL},
    {"exclude", FLAG_LIST},  {0},
};

static int no_destination(const struct decoder *d, struct err *err)
{
    return err_invalid(err,
                       "%s requires at least two arguments, but only one was provided. "
                       "Destination could not be determined",
                       d->name);
}

/* Which of the words are files of the context and the like; heredocs stand in the line. */
static int take_paths(const struct decoder *d, const struct strv *words, bool heredocs,
                      struct ins_copy *c, struct err *err)
{
    char *dest = words->v[words->n - 1];

    if (heredocs && heredoc_word(d->a, dest, NULL))
        return err_invalid(err, "%s cannot accept a heredoc as a destination", d->name);
    for (size_t i = 0; i + 1 < words->n; i++)
        if (!heredocs || !heredoc_word(d->a, words->v[i], NULL))
            strv_push(d->a, &c->sources, words->v[i]);
    c->dest = dest;
    return 0;
}

static int take_flags(const struct decoder *d, bool add, struct ins_copy *c, struct err *err)
{
    int r = flags_check(d, add ? add_flags : copy_flags, err);

    if (r < 0)
        return r;
    c->from = flag_text(d, "from");
    c->chown = flag_text(d, "chown");
    c->chmod = flag_text(d, "chmod");
    c->checksum = flag_text(d, "checksum");
    c->link = flag_bool(d, "link") > 0;
    c->parents = flag_bool(d, "parents") > 0;
    c->keep_git_dir = flag_bool(d, "keep-git-dir") > 0;
    c->unpack = flag_bool(d, "unpack");
    c->exclude = flag_list(d, "exclude");
    return 0;
}

int decode_copy(struct decoder *d, struct ins *ins, struct err *err)
{
    struct ins_copy *c = &ins->copy;
    struct strv words = {0};

    int json = words_json(d->a, d->args, &words, err);
    if (json < 0)
        return json;
    if (!json)
        words = words_blank(d->a, d->args);
    if (words.n < 2)
        return no_destination(d, err);
    int r = take_flags(d, ins->op == INS_ADD, c, err);
    if (r >= 0)
        r = take_paths(d, &words, !json, c, err);
    if (r >= 0 && c->checksum && words.n != 2)
        return err_invalid(err, "checksum can't be specified for multiple sources");
    return r;
}
