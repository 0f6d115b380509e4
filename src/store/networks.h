/* Rows of networks. JSON is opaque here. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

#include <stddef.h>

struct db;

struct network_row {
    char *id, *name; /* both unique */
    char *json;
};

struct network_rows {
    struct network_row *v;
    size_t n;
};

/** network_insert() - Return: 0; -EEXIST (conflict): the id or name is taken. */
int network_insert(struct db *db, const struct network_row *row, struct err *err) MUST;
/** network_set() - replace the JSON. Return: 0; -ENOENT. */
int network_set(struct db *db, const char *id, const char *json, struct err *err) MUST;
/** network_delete() - Return: 0; 1: there was none. */
int network_delete(struct db *db, const char *id, struct err *err) MUST;
/** network_list() - ordered by name; rows live in @a. */
int network_list(struct db *db, struct arena *a, struct network_rows *ret, struct err *err) MUST;
