#include "store/images.h"

#include <ctype.h>
#include <stdio.h>

#include "base/failpoint.h"
#include "base/time.h"
#include "store/db.h"
#include "store/store.h"

#define IN_INDEX                                                                                   \
    "EXISTS (SELECT 1 FROM index_part p JOIN tag t ON t.idx = p.idx WHERE p.blob = i.manifest)"

#define COLUMNS                                                                                    \
    "i.id, i.manifest, i.parent, i.created, i.tagged, i.size,"                                     \
    " coalesce((SELECT idx FROM tag WHERE image = i.id AND idx IS NOT NULL),"                      \
    "          (SELECT idx FROM repo_digest WHERE image = i.id AND idx IS NOT NULL)), " IN_INDEX

/* ---- insert and delete ---- */

static int insert_layers(struct db *db, const struct image_row *row, struct err *err)
{
    for (size_t i = 0; i < row->layers.n; i++) {
        int r =
            db_run(db, "INSERT OR IGNORE INTO image_layer (image, pos, diff_id) VALUES (?, ?, ?)",
                   DB_BIND(DB_TEXT(row->id), DB_INT((int64_t)i), DB_TEXT(row->layers.v[i])), err);
        if (r < 0)
            return err_wrap(err, r, "layer %s", row->layers.v[i]);
    }
    return 0;
}

int image_insert(struct image_store *s, const struct image_row *row, struct err *err)
{
    struct db *db = image_store_db(s);

    FAIL_POINT("image.insert.before", err);
    int r = db_begin(db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    int n = db_run(db,
                   "INSERT INTO image (id, manifest, parent, created, tagged, size)"
                   " VALUES (?, ?, ?, ?, ?, ?)"
                   " ON CONFLICT (id) DO UPDATE SET hidden = 0 WHERE hidden = 1",
                   DB_BIND(DB_TEXT(row->id), DB_TEXT(row->manifest), DB_TEXT(row->parent),
                           DB_INT(row->created_ns), DB_INT(row->tagged_ns), DB_INT(row->size)),
                   err);
    if (n < 0)
        return err_wrap(err, n, "insert image %s", row->id);
    r = n > 0 ? insert_layers(db, row, err) : 0;
    if (r < 0)
        return err_wrap(err, r, "insert image %s", row->id);
    r = db_commit(&tx, err);
    return r < 0 ? r : n == 0;
}

/* No names any more; gone for good unless a container was made from it. */
static int forget(struct db *db, const char *id, struct err *err)
{
    static const char drop[] = "DELETE FROM image WHERE id = ?1 AND NOT EXISTS"
                               " (SELECT 1 FROM container WHERE image = ?1)";
    static const char *const steps[] = {
        "DELETE FROM tag WHERE image = ?",
        "DELETE FROM repo_digest WHERE image = ?",
        drop,
        "UPDATE image SET hidden = 1 WHERE id = ?",
    };

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        int r = db_run(db, steps[i], DB_BIND(DB_TEXT(id)), err);
        if (r < 0)
            return r;
    }
    return 0;
}

int image_delete(struct image_store *s, const char *id, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct image_row row;
    struct db *db = image_store_db(s);

    FAIL_POINT("image.delete.before", err);
    int r = db_begin(db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    r = image_by_id(s, id, &a, &row, err);
    if (r >= 0)
        r = forget(db, id, err);
    if (r < 0)
        return err_wrap(err, r, "delete image");
    r = db_commit(&tx, err);
    if (r < 0)
        return r;
    FAIL_POINT("image.delete.after", err);
    return 0;
}

/* ---- read ---- */

static int read_list(struct db *db, const char *sql, const char *id, struct arena *a,
                     struct strv *ret, struct err *err)
{
    auto_stmt struct sqlite3_stmt *st = NULL;
    int r = db_query(db, sql, DB_BIND(DB_TEXT(id)), &st, err);

    while (r >= 0 && (r = db_step(db, st, err)) > 0)
        strv_push(a, ret, db_col_text(st, 0));
    return r;
}

static int read_lists(struct db *db, struct arena *a, struct image_row *row, struct err *err)
{
    int r = read_list(db, "SELECT diff_id FROM image_layer WHERE image = ? ORDER BY pos", row->id,
                      a, &row->layers, err);

    if (r >= 0)
        r = read_list(db, "SELECT name FROM tag WHERE image = ? ORDER BY name", row->id, a,
                      &row->tags, err);
    if (r >= 0)
        r = read_list(db, "SELECT name FROM repo_digest WHERE image = ? ORDER BY name", row->id, a,
                      &row->digests, err);
    return r;
}

static struct image_row row_of(struct sqlite3_stmt *st, struct arena *a)
{
    return (struct image_row){
        .id = db_col_dup(st, 0, a),
        .manifest = db_col_dup(st, 1, a),
        .parent = db_col_dup(st, 2, a),
        .created_ns = db_col_i64(st, 3),
        .tagged_ns = db_col_i64(st, 4),
        .size = db_col_i64(st, 5),
        .index = db_col_dup(st, 6, a),
        .in_index = db_col_i64(st, 7) != 0,
    };
}

/* The rows a query finds, complete with their lists. */
static int read_rows(struct image_store *s, const char *sql, const struct db_arg *args,
                     struct arena *a, struct image_rows *ret, struct err *err)
{
    struct db *db = image_store_db(s);
    struct image_rows rows = {0};
    int r = db_begin(db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    auto_stmt struct sqlite3_stmt *st = NULL;
    r = db_query(db, sql, args, &st, err);
    while (r >= 0 && (r = db_step(db, st, err)) > 0)
        arena_push(a, rows) = row_of(st, a);
    for (size_t i = 0; r >= 0 && i < rows.n; i++)
        r = read_lists(db, a, &rows.v[i], err);
    if (r < 0)
        return r;
    *ret = rows;
    return 0;
}

static int read_one(struct image_store *s, const char *sql, const char *key, struct arena *a,
                    struct image_row *ret, struct err *err)
{
    struct image_rows rows;
    int r = read_rows(s, sql, DB_BIND(DB_TEXT(key)), a, &rows, err);

    if (r < 0)
        return r;
    if (rows.n == 0)
        return err_not_found(err, "No such image: %s", key);
    *ret = rows.v[0];
    return 0;
}

int image_by_id(struct image_store *s, const char *id, struct arena *a, struct image_row *ret,
                struct err *err)
{
    return read_one(s, "SELECT " COLUMNS " FROM image i WHERE id = ? AND hidden = 0", id, a, ret,
                    err);
}

int image_by_tag(struct image_store *s, const char *name, struct arena *a, struct image_row *ret,
                 struct err *err)
{
    return read_one(s,
                    "SELECT i.id, coalesce((SELECT manifest FROM tag WHERE name = ?1),"
                    " (SELECT manifest FROM repo_digest WHERE name = ?1), i.manifest),"
                    " i.parent, i.created, i.tagged, i.size,"
                    " coalesce((SELECT idx FROM tag WHERE name = ?1),"
                    "          (SELECT idx FROM repo_digest WHERE name = ?1)), " IN_INDEX
                    " FROM image i WHERE id ="
                    " coalesce((SELECT image FROM tag WHERE name = ?1),"
                    "          (SELECT image FROM repo_digest WHERE name = ?1)) AND hidden = 0",
                    name, a, ret, err);
}

int image_by_manifest(struct image_store *s, const char *digest, struct arena *a,
                      struct image_row *ret, struct err *err)
{
    return read_one(s,
                    "SELECT " COLUMNS " FROM image i WHERE hidden = 0 AND id IN"
                    " (SELECT id FROM image WHERE manifest = ?1"
                    "  UNION SELECT image FROM tag WHERE manifest = ?1"
                    "  UNION SELECT image FROM repo_digest WHERE manifest = ?1) LIMIT 1",
                    digest, a, ret, err);
}

int image_by_index(struct image_store *s, const char *digest, struct arena *a,
                   struct image_row *ret, struct err *err)
{
    return read_one(
        s,
        "SELECT i.id, n.manifest, i.parent, i.created, i.tagged, i.size, n.idx, " IN_INDEX
        " FROM image i JOIN (SELECT image, manifest, idx FROM tag"
        "  UNION SELECT image, manifest, idx FROM repo_digest) n ON n.image = i.id"
        " WHERE n.idx = ? AND i.hidden = 0 LIMIT 1",
        digest, a, ret, err);
}

int image_by_prefix(struct image_store *s, const char *hex, struct arena *a, struct image_row *ret,
                    struct err *err)
{
    char low[DIGEST_LEN + 2], high[DIGEST_LEN + 2];
    struct image_rows rows;
    size_t n = 0;

    while (isdigit((unsigned char)hex[n]) || (hex[n] >= 'a' && hex[n] <= 'f'))
        n++;
    if (n == 0 || n > SHA256_HEX || hex[n])
        return err_not_found(err, "No such image: %s", hex);
    (void)snprintf(low, sizeof(low), "sha256:%s", hex);
    (void)snprintf(high, sizeof(high), "sha256:%sg", hex); /* "g" is above all hex digits */
    int r = read_rows(
        s, "SELECT " COLUMNS " FROM image i WHERE id >= ? AND id < ? AND hidden = 0 LIMIT 2",
        DB_BIND(DB_TEXT(low), DB_TEXT(high)), a, &rows, err);
    if (r < 0)
        return r;
    if (rows.n == 0)
        return err_not_found(err, "No such image: %s", hex);
    if (rows.n > 1)
        return err_as(err, ERR_INVALID, ENOTUNIQ, "multiple IDs found with provided prefix: %s",
                      hex);
    *ret = rows.v[0];
    return 0;
}

int image_rows_all(struct image_store *s, struct arena *a, struct image_rows *ret, struct err *err)
{
    return read_rows(
        s, "SELECT " COLUMNS " FROM image i WHERE hidden = 0 ORDER BY i.created DESC, i.id", NULL,
        a, ret, err);
}

int image_has_child(struct image_store *s, const char *id, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct image_rows rows;
    int r = read_rows(s, "SELECT " COLUMNS " FROM image i WHERE parent = ? AND hidden = 0 LIMIT 1",
                      DB_BIND(DB_TEXT(id)), &a, &rows, err);

    return r < 0 ? r : rows.n > 0;
}

/* ---- names ---- */

/* Who has the name now, other than @id: "" if nobody. */
static int holder(struct db *db, const char *name, const char *id, char out[DIGEST_LEN + 1],
                  struct err *err)
{
    auto_stmt struct sqlite3_stmt *st = NULL;
    int r = db_query(db, "SELECT image FROM tag WHERE name = ? AND image <> ?",
                     DB_BIND(DB_TEXT(name), DB_TEXT(id)), &st, err);

    if (r >= 0)
        r = db_step(db, st, err);
    if (r >= 0)
        (void)snprintf(out, DIGEST_LEN + 1, "%s", r > 0 ? db_col_text(st, 0) : "");
    return r;
}

static int set_tag(struct db *db, const char *name, const char *id, struct err *err)
{
    int r = db_run(db, "UPDATE image SET tagged = ? WHERE id = ? AND hidden = 0",
                   DB_BIND(DB_INT(now_ns()), DB_TEXT(id)), err);

    if (r < 0)
        return r;
    if (r == 0)
        return err_not_found(err, "No such image: %s", id);
    r = db_run(db, "INSERT OR REPLACE INTO tag (name, image) VALUES (?, ?)",
               DB_BIND(DB_TEXT(name), DB_TEXT(id)), err);
    return r < 0 ? r : 0;
}

int image_tag_set(struct image_store *s, const char *name, const char *id,
                  char old_id[DIGEST_LEN + 1], struct err *err)
{
    char old[DIGEST_LEN + 1] = "";
    struct db *db = image_store_db(s);

    FAIL_POINT("image.tag.before", err);
    int r = db_begin(db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    int moved = holder(db, name, id, old, err);
    if (moved < 0)
        return moved;
    r = set_tag(db, name, id, err);
    if (r >= 0)
        r = db_commit(&tx, err);
    if (r < 0)
        return r;
    if (old_id)
        memcpy(old_id, old, sizeof(old));
    return moved;
}

int image_tag_delete(struct image_store *s, const char *name, struct err *err)
{
    FAIL_POINT("image.untag.before", err);
    int n =
        db_run_tx(image_store_db(s), "DELETE FROM tag WHERE name = ?", DB_BIND(DB_TEXT(name)), err);

    return n < 0 ? n : n == 0;
}

int image_digest_set(struct image_store *s, const char *name, const char *id, struct err *err)
{
    int n = db_run_tx(image_store_db(s),
                      "INSERT OR REPLACE INTO repo_digest (name, image) VALUES (?, ?)",
                      DB_BIND(DB_TEXT(name), DB_TEXT(id)), err);

    return n < 0 ? n : 0;
}

int image_digest_delete(struct image_store *s, const char *name, struct err *err)
{
    int n = db_run_tx(image_store_db(s), "DELETE FROM repo_digest WHERE name = ?",
                      DB_BIND(DB_TEXT(name)), err);

    return n < 0 ? n : n == 0;
}

int image_name_origin_set(struct image_store *s, const char *name, const char *manifest,
                          const char *index, struct err *err)
{
    static const char *const steps[] = {
        "UPDATE tag SET manifest = ?, idx = ? WHERE name = ?",
        "UPDATE repo_digest SET manifest = ?, idx = ? WHERE name = ?"};
    struct db *db = image_store_db(s);
    int r = db_begin(db, err);

    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    for (size_t i = 0; r >= 0 && i < sizeof(steps) / sizeof(steps[0]); i++)
        r = db_run(db, steps[i], DB_BIND(DB_TEXT(manifest), DB_TEXT(index), DB_TEXT(name)), err);
    return r < 0 ? r : db_commit(&tx, err);
}

int image_manifest_set(struct image_store *s, const char *id, const char *digest, struct err *err)
{
    int n = db_run_tx(image_store_db(s), "UPDATE image SET manifest = ? WHERE id = ?",
                      DB_BIND(DB_TEXT(digest), DB_TEXT(id)), err);

    return n < 0 ? n : 0;
}

int index_parts_set(struct image_store *s, const char *index, const struct strv *blobs,
                    struct err *err)
{
    struct db *db = image_store_db(s);
    int r = db_begin(db, err);

    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    for (size_t i = 0; r >= 0 && i < blobs->n; i++)
        r = db_run(db, "INSERT OR IGNORE INTO index_part (idx, blob) VALUES (?, ?)",
                   DB_BIND(DB_TEXT(index), DB_TEXT(blobs->v[i])), err);
    return r < 0 ? err_wrap(err, r, "record the parts of %s", index) : db_commit(&tx, err);
}
