#include "store/volumes.h"

#include "base/failpoint.h"
#include "store/db.h"

int volume_insert(struct db *db, const struct volume_row *row, struct err *err)
{
    FAIL_POINT("volume.insert.before", err);
    int r = db_begin(db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    r = db_run(db, "INSERT INTO volume (name, json, created) VALUES (?, ?, ?)",
               DB_BIND(DB_TEXT(row->name), DB_TEXT(row->json), DB_INT(row->created_ns)), err);
    if (r < 0)
        return err_wrap(err, r, "insert volume %s", row->name);
    return db_commit(&tx, err);
}

int volume_set(struct db *db, const char *name, const char *json, struct err *err)
{
    FAIL_POINT("volume.update.before", err);
    int r = db_begin(db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    r = db_run(db, "UPDATE volume SET json = ? WHERE name = ?",
               DB_BIND(DB_TEXT(json), DB_TEXT(name)), err);
    if (r < 0)
        return err_wrap(err, r, "update volume %s", name);
    if (r == 0)
        return err_not_found(err, "get %s: no such volume", name);
    return db_commit(&tx, err);
}

int volume_delete(struct db *db, const char *name, struct err *err)
{
    FAIL_POINT("volume.delete.before", err);
    int r = db_begin(db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    r = db_run(db, "DELETE FROM volume WHERE name = ?", DB_BIND(DB_TEXT(name)), err);
    if (r < 0)
        return err_wrap(err, r, "delete volume %s", name);
    bool gone = r == 0;
    r = db_commit(&tx, err);
    return r < 0 ? r : gone;
}

static struct volume_row row_of(struct sqlite3_stmt *st, struct arena *a)
{
    return (struct volume_row){
        .name = db_col_dup(st, 0, a),
        .json = db_col_dup(st, 1, a),
        .created_ns = db_col_i64(st, 2),
    };
}

int volume_get(struct db *db, const char *name, struct arena *a, struct volume_row *ret,
               struct err *err)
{
    int r = db_begin(db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    auto_stmt struct sqlite3_stmt *st = NULL;
    r = db_query(db, "SELECT name, json, created FROM volume WHERE name = ?",
                 DB_BIND(DB_TEXT(name)), &st, err);
    if (r >= 0)
        r = db_step(db, st, err);
    if (r < 0)
        return r;
    if (r == 0)
        return err_not_found(err, "get %s: no such volume", name);
    *ret = row_of(st, a);
    return 0;
}

int volume_list(struct db *db, struct arena *a, struct volume_rows *ret, struct err *err)
{
    struct volume_rows rows = {0};
    int r = db_begin(db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    auto_stmt struct sqlite3_stmt *st = NULL;
    r = db_query(db, "SELECT name, json, created FROM volume ORDER BY name", NULL, &st, err);
    while (r >= 0 && (r = db_step(db, st, err)) > 0)
        arena_push(a, rows) = row_of(st, a);
    if (r < 0)
        return r;
    *ret = rows;
    return 0;
}
