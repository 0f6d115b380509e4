/* Strings and the {v, n} collections that every module passes around. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A list of strings. v == NULL is JSON null (not given); v != NULL with n == 0 is an empty list. */
struct strv {
    char **v;
    size_t n;
};

struct strpair {
    char *key, *val;
};

/* A map of strings, in insertion order; small, so look-ups scan. */
struct strmap {
    struct strpair *v;
    size_t n;
};

static inline bool str_eq(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static inline bool str_empty(const char *s)
{
    return !s || !*s;
}

static inline const char *str_or(const char *s, const char *otherwise)
{
    return str_empty(s) ? otherwise : s;
}

/** str_trim() - a copy of @n bytes without blanks at its ends. */
char *str_trim(struct arena *a, const char *s, size_t n);

/** str_starts() - the rest of @s behind @prefix, or NULL. */
const char *str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);

/**
 * str_to_u64(), str_to_i64() - whole-string decimal number; no sign games, blanks or rest
 * Return: 0, -EINVAL or -ERANGE; the output is written on success only.
 */
int str_to_u64(const char *s, uint64_t *ret) MUST;
int str_to_i64(const char *s, int64_t *ret) MUST;

/** str_to_bool() - the words of Go's ParseBool: 1 t T true TRUE True, 0 f F false FALSE False.
 * Return: 0, -EINVAL. */
int str_to_bool(const char *s, bool *ret) MUST;

/** path_clean() - absolute, without empty components, "." and "..": "a/./b/../c" -> "/a/c". By its
 * text alone, and above "/" is "/". */
char *path_clean(struct arena *a, const char *path);

/** str_valid_utf8() - @n bytes are UTF-8 without surrogates and overlong forms. */
bool str_valid_utf8(const char *s, size_t n);

/** strv_push() - append a copy of @s that lives in @a. strv_get(): element or NULL. */
void strv_push(struct arena *a, struct strv *v, const char *s);
bool strv_has(const struct strv *v, const char *s);
/** strv_clone() - deep copy; keeps the difference between null and empty. */
struct strv strv_clone(struct arena *a, const struct strv *v);
/** strv_z() - the list as a NULL-terminated array in @a, for execve() and the like. */
char **strv_z(struct arena *a, const struct strv *v);
/** str_split() - split at every @sep; empty pieces are kept; "" gives one empty piece. */
struct strv str_split(struct arena *a, const char *s, char sep);
/** strv_join() - one string in @a. */
char *strv_join(struct arena *a, const struct strv *v, const char *sep);
/** strv_env() - value of NAME in a list of "NAME=value", or NULL. */
const char *strv_env(const struct strv *env, const char *name);
/** strv_env_set() - replace or append "NAME=value" (@pair is copied). */
void strv_env_set(struct arena *a, struct strv *env, const char *pair);

const char *strmap_get(const struct strmap *m, const char *key);
/** strmap_set() - insert or replace; copies live in @a. */
void strmap_set(struct arena *a, struct strmap *m, const char *key, const char *val);
