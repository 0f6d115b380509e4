#include "store/volumes.h"

#include "base/failpoint.h"
#include "store/db.h"

int volume_insert(struct db *db, const struct volume_row *row, struct err *err)
{
    FAIL_POINT("volume.insert.before", err);
    int r =
        db_run_tx(db, "INSERT INTO volume (name, json, created) VALUES (?, ?, ?)",
                  DB_BIND(DB_TEXT(row->name), DB_TEXT(row->json), DB_INT(row->created_ns)), err);
    return r < 0 ? err_wrap(err, r, "insert volume %s", row->name) : 0;
}

int volume_set(struct db *db, const char *name, const char *json, struct err *err)
{
    FAIL_POINT("volume.update.before", err);
    int r = db_run_tx(db, "UPDATE volume SET json = ? WHERE name = ?",
                      DB_BIND(DB_TEXT(json), DB_TEXT(name)), err);
    if (r < 0)
        return err_wrap(err, r, "update volume %s", name);
    return r == 0 ? err_not_found(err, "get %s: no such volume", name) : 0;
}

int volume_delete(struct db *db, const char *name, struct err *err)
{
    FAIL_POINT("volume.delete.before", err);
    int r = db_run_tx(db, "DELETE FROM volume WHERE name = ?", DB_BIND(DB_TEXT(name)), err);
    return r < 0 ? err_wrap(err, r, "delete volume %s", name) : r == 0;
}

struct list {
    struct arena *a;
    struct volume_rows rows;
};

static void add_row(struct sqlite3_stmt *st, void *arg)
{
    struct list *l = arg;

    arena_push(l->a, l->rows) = (struct volume_row){
        .name = db_col_dup(st, 0, l->a),
        .json = db_col_dup(st, 1, l->a),
        .created_ns = db_col_i64(st, 2),
    };
}

int volume_get(struct db *db, const char *name, struct arena *a, struct volume_row *ret,
               struct err *err)
{
    struct list l = {.a = a};
    int r = db_each(db, "SELECT name, json, created FROM volume WHERE name = ?",
                    DB_BIND(DB_TEXT(name)), add_row, &l, err);

    if (r < 0)
        return r;
    if (l.rows.n == 0)
        return err_not_found(err, "get %s: no such volume", name);
    *ret = l.rows.v[0];
    return 0;
}

int volume_list(struct db *db, struct arena *a, struct volume_rows *ret, struct err *err)
{
    struct list l = {.a = a};
    int r =
        db_each(db, "SELECT name, json, created FROM volume ORDER BY name", NULL, add_row, &l, err);

    if (r >= 0)
        *ret = l.rows;
    return r;
}
