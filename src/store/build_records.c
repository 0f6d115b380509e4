#include "store/build_records.h"

#include "base/failpoint.h"
#include "store/db.h"

int build_record_put(struct db *db, const struct build_record_row *row, struct err *err)
{
    FAIL_POINT("build.record.put", err);
    int r = db_run_tx(db,
                      "INSERT OR REPLACE INTO build_record (id, status, created, json)"
                      " VALUES (?, ?, ?, ?)",
                      DB_BIND(DB_TEXT(row->id), DB_TEXT(row->status), DB_INT(row->created_ns),
                              DB_TEXT(row->json)),
                      err);
    return r < 0 ? err_wrap(err, r, "record a build") : 0;
}

struct listing {
    struct arena *a;
    struct build_record_rows rows;
};

static void take_row(struct sqlite3_stmt *st, void *arg)
{
    struct listing *l = arg;

    arena_push(l->a, l->rows) = (struct build_record_row){
        .id = db_col_dup(st, 0, l->a),
        .status = db_col_dup(st, 1, l->a),
        .created_ns = db_col_i64(st, 2),
        .json = db_col_dup(st, 3, l->a),
    };
}

int build_record_list(struct db *db, struct arena *a, struct build_record_rows *ret,
                      struct err *err)
{
    struct listing l = {.a = a};
    int r = db_each(db,
                    "SELECT id, status, created, json FROM build_record"
                    " ORDER BY created DESC, id",
                    NULL, take_row, &l, err);

    if (r >= 0)
        *ret = l.rows;
    return r;
}

int build_record_delete(struct db *db, const char *id, struct err *err)
{
    FAIL_POINT("build.record.delete", err);
    int n = db_run_tx(db, "DELETE FROM build_record WHERE id = ?", DB_BIND(DB_TEXT(id)), err);

    return n < 0 ? n : n == 0;
}

int build_records_end(struct db *db, const char *from, const char *to, struct err *err)
{
    int n = db_run_tx(db, "UPDATE build_record SET status = ? WHERE status = ?",
                      DB_BIND(DB_TEXT(to), DB_TEXT(from)), err);

    return n < 0 ? n : 0;
}
