/*
 * Words of a line, before variables are replaced: the ways in which instructions split their
 * arguments, and small texts for messages. Quotes and escapes stay in the words.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

/** words_blank() - pieces between blanks; quotes mean nothing. */
struct strv words_blank(struct arena *a, const char *text);

/**
 * words_quoted() - pieces between blanks that are not quoted
 * @ret_open: a quote was not closed; may be NULL. The rest of the text is the last word then.
 */
struct strv words_quoted(struct arena *a, const char *text, char escape, bool *ret_open);

/**
 * words_json() - the JSON form: ["a", "b"]
 * Return: 1, *ret has v != NULL; 0 when it is no JSON array: the text is of another form; -EINVAL
 * for an array with something else than strings.
 */
int words_json(struct arena *a, const char *text, struct strv *ret, struct err *err) MUST;

/**
 * words_flags() - the flags in front of arguments: "--from=x --link"
 * @ret: they are appended without quotes, "--" included; may be NULL. A lone "--" ends them.
 * Return: where the arguments begin in @text.
 */
const char *words_flags(const char *text, struct arena *a, struct strv *ret);

/** text_skip() - where the first non-blank is. */
const char *text_skip(const char *s);
/** text_quote() - in double quotes, escaped, and cut when long: for messages. */
char *text_quote(struct arena *a, const char *s);

/** suggest() - " (did you mean X?)" with the option nearest to @word; "" when none is near, or one
 * is @word itself. @fold: case does not matter. */
char *suggest(struct arena *a, const char *word, const char *const *options, size_t n, bool fold);
/** suggest_as() - the same with @prefix before X. */
char *suggest_as(struct arena *a, const char *word, const char *const *options, size_t n, bool fold,
                 const char *prefix);
