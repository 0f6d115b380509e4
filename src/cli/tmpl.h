/*
 * Go templates, the part that people use with --format: fields, variables, pipelines, if, range,
 * with, comparisons, and docker's functions (json, join, split, lower, upper, title, pad,
 * truncate). Data is a JSON tree. Templates inside templates (define, block, template) are not
 * supported and say so.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

struct tmpl;

/** tmpl_parse() - Return: 0, or -EINVAL with Go's kind of message ("template: :1: ..."). The
 * template lives in @a. */
int tmpl_parse(const char *text, struct arena *a, struct tmpl **ret, struct err *err) MUST;
/** tmpl_parse_as() - the same with a name, which messages show ("template: version:1: ..."). */
int tmpl_parse_as(const char *name, const char *text, struct arena *a, struct tmpl **ret,
                  struct err *err) MUST;

struct tmpl_data {
    const struct json *root;
    const char *type; /* what Go calls the root's type, for messages; NULL: a bare JSON tree */
    const struct strmap *labels; /* for {{.Label "key"}}, or NULL */
    bool header;                 /* a table's header line: functions leave their text alone */
};

/** tmpl_exec() - append the result to @out, up to the place of an error; @a: for temporary values.
 */
int tmpl_exec(const struct tmpl *t, const struct tmpl_data *data, struct arena *a, struct buf *out,
              struct err *err) MUST;
