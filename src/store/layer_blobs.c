#include "store/layer_blobs.h"

#include <string.h>

#include "store/db.h"
#include "store/store-priv.h"

#define COLUMNS "blob, diff_id, media_type, size, kept, made"

static struct layer_blob row_of(struct sqlite3_stmt *st, struct arena *a)
{
    return (struct layer_blob){
        .blob = db_col_dup(st, 0, a),
        .diff_id = db_col_dup(st, 1, a),
        .media_type = db_col_dup(st, 2, a),
        .size = db_col_i64(st, 3),
        .kept = db_col_i64(st, 4) != 0,
        .made = db_col_i64(st, 5) != 0,
    };
}

int layer_blob_set(struct image_store *s, const struct layer_blob *b, const char *repo,
                   int64_t keep_until_ns, struct err *err)
{
    int r = check_digest(b->blob, err);

    if (r < 0 || (r = db_begin(s->db, err)) < 0)
        return r;
    auto_tx struct db *tx = s->db;
    r = db_run(s->db,
               "INSERT INTO layer_blob (blob, diff_id, media_type, size, keep_until, kept, made)"
               " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (blob) DO UPDATE SET"
               " diff_id = excluded.diff_id, media_type = excluded.media_type,"
               " size = excluded.size, keep_until = max(keep_until, excluded.keep_until),"
               " kept = max(kept, excluded.kept), made = max(made, excluded.made)",
               DB_BIND(DB_TEXT(b->blob), DB_TEXT(b->diff_id), DB_TEXT(b->media_type),
                       DB_INT(b->size), DB_INT(keep_until_ns), DB_INT(b->kept), DB_INT(b->made)),
               err);
    if (r >= 0 && repo)
        r = db_run(s->db, "INSERT OR IGNORE INTO layer_blob_repo (blob, repo) VALUES (?, ?)",
                   DB_BIND(DB_TEXT(b->blob), DB_TEXT(repo)), err);
    return r < 0 ? err_wrap(err, r, "record blob %s", b->blob) : db_commit(&tx, err);
}

static int read_rows(struct image_store *s, const char *sql, const char *key, struct arena *a,
                     struct layer_blobs *ret, struct err *err)
{
    struct layer_blobs rows = {0};
    int r = db_begin(s->db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = s->db;
    auto_stmt struct sqlite3_stmt *st = NULL;
    r = db_query(s->db, sql, DB_BIND(DB_TEXT(key)), &st, err);
    while (r >= 0 && (r = db_step(s->db, st, err)) > 0)
        arena_push(a, rows) = row_of(st, a);
    if (r >= 0)
        *ret = rows;
    return r;
}

int layer_blob_get(struct image_store *s, const char *blob, struct arena *a, struct layer_blob *ret,
                   struct err *err)
{
    struct layer_blobs rows = {0};
    int r = read_rows(s, "SELECT " COLUMNS " FROM layer_blob WHERE blob = ?", blob, a, &rows, err);

    if (r < 0)
        return r;
    if (rows.n == 0)
        return err_not_found(err, "blob %s is not known", blob);
    *ret = rows.v[0];
    return 0;
}

int layer_blobs_of(struct image_store *s, const char *diff_id, struct arena *a,
                   struct layer_blobs *ret, struct err *err)
{
    return read_rows(s,
                     "SELECT " COLUMNS " FROM layer_blob WHERE diff_id = ?"
                     " ORDER BY coalesce(media_type, '') LIKE '%zstd', blob",
                     diff_id, a, ret, err);
}

int layer_blob_repos(struct image_store *s, const char *blob, struct arena *a, struct strv *ret,
                     struct err *err)
{
    struct strv repos = {0};
    int r = db_begin(s->db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = s->db;
    auto_stmt struct sqlite3_stmt *st = NULL;
    r = db_query(s->db, "SELECT repo FROM layer_blob_repo WHERE blob = ? ORDER BY repo",
                 DB_BIND(DB_TEXT(blob)), &st, err);
    while (r >= 0 && (r = db_step(s->db, st, err)) > 0)
        strv_push(a, &repos, db_col_text(st, 0));
    if (r >= 0)
        *ret = repos;
    return r;
}

int layer_blobs_kept(struct image_store *s, int64_t *ret_n, int64_t *ret_size_b, struct err *err)
{
    int r = db_begin(s->db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = s->db;
    auto_stmt struct sqlite3_stmt *st = NULL;
    r = db_query(s->db, "SELECT count(*), coalesce(sum(size), 0) FROM layer_blob WHERE kept = 1",
                 NULL, &st, err);
    if (r >= 0)
        r = db_step(s->db, st, err);
    if (r <= 0)
        return r;
    *ret_n = db_col_i64(st, 0);
    *ret_size_b = db_col_i64(st, 1);
    return 0;
}

static int change(struct image_store *s, const char *sql, const struct db_arg *args,
                  struct err *err)
{
    int r = db_begin(s->db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = s->db;
    r = db_run(s->db, sql, args, err);
    return r < 0 ? r : db_commit(&tx, err);
}

int layer_blob_moved(struct image_store *s, const char *blob, const char *repo, struct err *err)
{
    return change(s, "DELETE FROM layer_blob_repo WHERE blob = ? AND repo = ?",
                  DB_BIND(DB_TEXT(blob), DB_TEXT(repo)), err);
}

int manifest_blobs_set(struct image_store *s, const char *manifest, const struct strv *blobs,
                       struct err *err)
{
    int r = db_begin(s->db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = s->db;
    for (size_t i = 0; r >= 0 && i < blobs->n; i++)
        r = db_run(s->db, "INSERT OR IGNORE INTO manifest_blob (manifest, blob) VALUES (?, ?)",
                   DB_BIND(DB_TEXT(manifest), DB_TEXT(blobs->v[i])), err);
    return r < 0 ? err_wrap(err, r, "record the blobs of %s", manifest) : db_commit(&tx, err);
}

int layer_blobs_release(struct image_store *s, const char *diff_id, struct err *err)
{
    return change(s, "UPDATE layer_blob SET keep_until = 0 WHERE diff_id = ? AND keep_until > 0",
                  DB_BIND(DB_TEXT(diff_id)), err);
}
