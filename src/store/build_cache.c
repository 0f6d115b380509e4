#include "store/build_cache.h"

#include "base/failpoint.h"
#include "base/time.h"
#include "store/db.h"
#include "store/store-priv.h"

#define SELECT                                                                                     \
    "SELECT b.key, b.diff_id, b.description, b.created, b.used, b.uses, coalesce(l.size, 0),"      \
    " b.diff_id IN (SELECT diff_id FROM image_layer)"                                              \
    " FROM build_cache b LEFT JOIN layer l ON l.diff_id = b.diff_id"

static struct build_cache_row row_of(struct sqlite3_stmt *st, struct arena *a)
{
    return (struct build_cache_row){
        .key = db_col_dup(st, 0, a),
        .diff_id = db_col_dup(st, 1, a),
        .description = db_col_dup(st, 2, a),
        .created_ns = db_col_i64(st, 3),
        .used_ns = db_col_i64(st, 4),
        .uses = db_col_i64(st, 5),
        .size = db_col_i64(st, 6),
        .shared = db_col_i64(st, 7) != 0,
    };
}

static int get(struct image_store *s, const char *key, struct arena *a, struct build_cache_row *ret,
               struct err *err)
{
    auto_stmt struct sqlite3_stmt *st = NULL;
    int r = db_query(s->db, SELECT " WHERE b.key = ?", DB_BIND(DB_TEXT(key)), &st, err);

    if (r >= 0)
        r = db_step(s->db, st, err);
    if (r > 0)
        *ret = row_of(st, a);
    return r;
}

/* The lease is taken inside the transaction: no collection comes between the two. */
int build_cache_use(struct image_store *s, const char *key, struct lease *lease, struct arena *a,
                    struct build_cache_row *ret, struct err *err)
{
    int r = db_begin(s->db, err);

    if (r < 0)
        return r;
    auto_tx struct db *tx = s->db;
    r = get(s, key, a, ret, err);
    if (r <= 0)
        return r;
    if (ret->diff_id)
        lease_add(lease, ret->diff_id);
    r = db_run(s->db, "UPDATE build_cache SET used = ?, uses = uses + 1 WHERE key = ?",
               DB_BIND(DB_INT(now_ns()), DB_TEXT(key)), err);
    if (r >= 0)
        r = db_commit(&tx, err);
    return r < 0 ? r : 1;
}

int build_cache_put(struct image_store *s, const struct build_cache_row *row, int64_t now,
                    struct err *err)
{
    FAIL_POINT("build.cache.put", err);
    int r = db_run_tx(s->db,
                      "INSERT OR REPLACE INTO build_cache (key, diff_id, description, created,"
                      " used) VALUES (?, ?, ?, ?, ?)",
                      DB_BIND(DB_TEXT(row->key), DB_TEXT(row->diff_id), DB_TEXT(row->description),
                              DB_INT(now), DB_INT(now)),
                      err);
    return r < 0 ? err_wrap(err, r, "remember a build step") : 0;
}

struct listing {
    struct arena *a;
    struct build_cache_rows rows;
};

static void take_row(struct sqlite3_stmt *st, void *arg)
{
    struct listing *l = arg;

    arena_push(l->a, l->rows) = row_of(st, l->a);
}

int build_cache_list(struct image_store *s, struct arena *a, struct build_cache_rows *ret,
                     struct err *err)
{
    struct listing l = {.a = a};
    int r = db_each(s->db, SELECT " ORDER BY b.used, b.key", NULL, take_row, &l, err);

    if (r >= 0)
        *ret = l.rows;
    return r;
}

int build_cache_remove(struct image_store *s, const char *key, struct err *err)
{
    int n = db_run_tx(s->db, "DELETE FROM build_cache WHERE key = ?", DB_BIND(DB_TEXT(key)), err);

    return n < 0 ? n : n == 0;
}
