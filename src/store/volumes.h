/* Rows of volumes. JSON is opaque here. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct db;

struct volume_row {
    char *name; /* unique */
    char *json;
    int64_t created_ns;
};

struct volume_rows {
    struct volume_row *v;
    size_t n;
};

/** volume_insert() - Return: 0; -EEXIST (conflict). */
int volume_insert(struct db *db, const struct volume_row *row, struct err *err) MUST;
/** volume_set() - replace the JSON. Return: 0; -ENOENT. */
int volume_set(struct db *db, const char *name, const char *json, struct err *err) MUST;
/** volume_delete() - Return: 0; 1: there was none. */
int volume_delete(struct db *db, const char *name, struct err *err) MUST;
/** volume_get() - Return: 0; -ENOENT: "get x: no such volume". */
int volume_get(struct db *db, const char *name, struct arena *a, struct volume_row *ret,
               struct err *err) MUST;
/** volume_list() - ordered by name; rows live in @a. */
int volume_list(struct db *db, struct arena *a, struct volume_rows *ret, struct err *err) MUST;
