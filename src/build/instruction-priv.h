/* Decoders of instructions: what they share. One is called with an instruction whose flags are set
 * apart from its arguments. */
#pragma once

#include "build/instruction.h"

struct decoder {
    const struct df_line *line;
    struct arena *a;
    char escape;
    const char *name; /* "COPY" */
    const char *args; /* the rest of the line behind the flags */
    VEC_OF(struct df_flag) flags;
};

typedef int decode_fn(struct decoder *d, struct ins *ins, struct err *err);

decode_fn decode_run, decode_command, decode_shell, decode_healthcheck, decode_copy, decode_pairs,
    decode_arg, decode_expose, decode_volume, decode_word, decode_from, decode_onbuild;

/** decode_line() - any instruction. */
int decode_line(const struct df_line *line, char escape, struct arena *a, struct ins **ret,
                struct err *err) MUST;

/* ---- flags ---- */

enum flag_kind { FLAG_TEXT, FLAG_BOOL, FLAG_LIST };

struct flag_spec {
    const char *name; /* NULL ends a table */
    enum flag_kind kind;
};

/** flags_split() - the flags in front of the line's arguments; sets @d->flags and @d->args. */
void flags_split(struct decoder *d);
/** flags_check() - each flag is in @specs, once unless it is a list, with a value of its kind. */
int flags_check(const struct decoder *d, const struct flag_spec *specs, struct err *err) MUST;
/** flag_text() - value or NULL. flag_bool(): 1, 0, -1 when not given. flag_list(): all values. */
char *flag_text(const struct decoder *d, const char *name);
int flag_bool(const struct decoder *d, const char *name);
struct strv flag_list(const struct decoder *d, const char *name);

/** mounts_decode() - the values of --mount without a "$". */
int mounts_decode(const struct strv *flags, struct arena *a, struct ins_mounts *ret,
                  struct err *err) MUST;

/** need_args(), need_one() - "X requires at least one argument", "... exactly one ...". */
int need_args(const struct decoder *d, struct err *err) MUST;
int need_one(const struct decoder *d, struct err *err) MUST;
