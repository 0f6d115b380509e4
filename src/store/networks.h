/* Rows of networks, and the addresses given out in them. JSON is opaque here. */
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

struct address_row {
    char *network; /* id */
    char *ip;      /* canonical text, no prefix length */
    char *owner;   /* container id, or a word such as "gateway" */
};

struct address_rows {
    struct address_row *v;
    size_t n;
};

/** network_insert() - Return: 0; -EEXIST (conflict): the id or name is taken. */
int network_insert(struct db *db, const struct network_row *row, struct err *err) MUST;
/** network_set() - replace the JSON. Return: 0; -ENOENT. */
int network_set(struct db *db, const char *id, const char *json, struct err *err) MUST;
/** network_delete() - with its addresses. Return: 0; 1: there was none. */
int network_delete(struct db *db, const char *id, struct err *err) MUST;
/** network_list() - ordered by name; rows live in @a. */
int network_list(struct db *db, struct arena *a, struct network_rows *ret, struct err *err) MUST;

/** address_insert() - Return: 0; -EEXIST (conflict): taken; -ENOLINK: no such network. */
int address_insert(struct db *db, const char *network, const char *ip, const char *owner,
                   struct err *err) MUST;
/** address_delete() - Return: 0; 1: it was free. */
int address_delete(struct db *db, const char *network, const char *ip, struct err *err) MUST;
/** address_delete_owner() - all addresses of one owner. Return: how many there were. */
int address_delete_owner(struct db *db, const char *owner, struct err *err) MUST;
/** address_list() - of one network, or of all when @network is NULL. */
int address_list(struct db *db, const char *network, struct arena *a, struct address_rows *ret,
                 struct err *err) MUST;
