/* Records of builds: what the history lists. Texts are the engine's. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

#include <stdint.h>

struct db;

struct build_record_row {
    char *id, *status, *json;
    int64_t created_ns;
};
struct build_record_rows {
    struct build_record_row *v;
    size_t n;
};

/** build_record_put() - insert or replace. */
int build_record_put(struct db *db, const struct build_record_row *row, struct err *err) MUST;
/** build_record_list() - all, the newest first, in @a. */
int build_record_list(struct db *db, struct arena *a, struct build_record_rows *ret,
                      struct err *err) MUST;
/** build_record_delete() - Return: 0; 1: it was not there. */
int build_record_delete(struct db *db, const char *id, struct err *err) MUST;
/** build_records_end() - those that are @from are @to from now on: of a daemon that was killed. */
int build_records_end(struct db *db, const char *from, const char *to, struct err *err) MUST;
