/*
 * The "filters" parameter of list, prune and events calls: keys with sets of values. A client
 * sends {"key":["value"]} or {"key":{"value":true}}. The match helpers are Docker's: what a key
 * means (exact, prefix, pattern, label) is the caller's choice; a key that was not given matches
 * everything.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct filter {
    char *key;
    struct strv values; /* no value twice */
};

struct filters {
    struct filter *v;
    size_t n;
};

/**
 * filters_parse() - both JSON forms to a struct that lives in @a
 * @text: @len bytes; NULL or empty is "no filters"
 * Return: 0, or -EINVAL ("invalid filter", as Docker says for any malformed text).
 */
int filters_parse(const char *text, size_t len, struct arena *a, struct filters *ret,
                  struct err *err) MUST;

/**
 * filters_check() - every key must be in @accepted (NULL-terminated)
 * Return: 0, or -EINVAL ("invalid filter 'x'").
 */
int filters_check(const struct filters *f, const char *const *accepted, struct err *err) MUST;

/** filters_add() - add one value (client side); a value already there is not added again. */
void filters_add(struct filters *f, struct arena *a, const char *key, const char *value);
/** filters_encode() - the map form, keys sorted; nothing at all when there are no filters. */
void filters_encode(const struct filters *f, struct buf *out);

/** filters_get() - the values of @key, or NULL when it was not given. */
const struct strv *filters_get(const struct filters *f, const char *key);
bool filters_has(const struct filters *f, const char *key, const char *value);

/**
 * filters_bool() - a key that holds one of true, 1, false, 0
 * Return: 0 with *ret (@otherwise when the key was not given), or -EINVAL
 *   ("invalid filter 'dangling=[maybe]'").
 */
int filters_bool(const struct filters *f, const char *key, bool otherwise, bool *ret,
                 struct err *err) MUST;

/** filters_exact() - @s is one of the values. */
bool filters_exact(const struct filters *f, const char *key, const char *s);
/** filters_prefix() - @s starts with one of the values (ids). */
bool filters_prefix(const struct filters *f, const char *key, const char *s);
/**
 * filters_pattern() - one of the values equals @s or, as an extended regular expression, matches
 * somewhere in it (names). An expression that is malformed or too costly matches nothing.
 */
bool filters_pattern(const struct filters *f, const char *key, const char *s);
/** filters_labels() - every value, "key" or "key=value", is met by @labels. */
bool filters_labels(const struct filters *f, const char *key, const struct strmap *labels);
/** filters_prune_labels() - what "label" and "label!" of a prune call say together. */
bool filters_prune_labels(const struct filters *f, const struct strmap *labels);
