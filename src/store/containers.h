/*
 * Rows of containers. The JSON columns are opaque here: the engine encodes and decodes them, so
 * that a new member needs no migration.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct db;

struct container_row {
    char *id;           /* 64 hex digits */
    char *name;         /* unique, without "/" */
    int64_t created_ns; /* since the epoch */
    char *image;        /* image id, or NULL; keeps its layers from being collected */
    char *config, *host_config, *network, *state, *rest; /* JSON; NULL is stored as NULL */
};

struct container_rows {
    struct container_row *v;
    size_t n;
};

/** container_insert() - Return: 0; -EEXIST (conflict): the id or name is taken. */
int container_insert(struct db *db, const struct container_row *row, struct err *err) MUST;

/*
 * container_set_*() - replace one column.
 * Return: 0; -ENOENT (not found); container_set_name() also -EEXIST (conflict).
 */
int container_set_state(struct db *db, const char *id, const char *json, struct err *err) MUST;
int container_set_name(struct db *db, const char *id, const char *name, struct err *err) MUST;
int container_set_host_config(struct db *db, const char *id, const char *json,
                              struct err *err) MUST;
int container_set_network(struct db *db, const char *id, const char *json, struct err *err) MUST;
int container_set_rest(struct db *db, const char *id, const char *json, struct err *err) MUST;

/** container_delete() - Return: 0; 1: there was none. */
int container_delete(struct db *db, const char *id, struct err *err) MUST;

/** container_get() - Return: 0; -ENOENT. Texts live in @a. */
int container_get(struct db *db, const char *id, struct arena *a, struct container_row *ret,
                  struct err *err) MUST;
/** container_list() - all of them, oldest first; texts and array live in @a. */
int container_list(struct db *db, struct arena *a, struct container_rows *ret,
                   struct err *err) MUST;
