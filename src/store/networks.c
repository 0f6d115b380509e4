#include "store/networks.h"

#include "base/failpoint.h"
#include "store/db.h"

int network_insert(struct db *db, const struct network_row *row, struct err *err)
{
    FAIL_POINT("network.insert.before", err);
    int r = db_run_tx(db, "INSERT INTO network (id, name, json) VALUES (?, ?, ?)",
                      DB_BIND(DB_TEXT(row->id), DB_TEXT(row->name), DB_TEXT(row->json)), err);
    return r < 0 ? err_wrap(err, r, "insert network %s", row->name) : 0;
}

int network_set(struct db *db, const char *id, const char *json, struct err *err)
{
    FAIL_POINT("network.update.before", err);
    int r = db_run_tx(db, "UPDATE network SET json = ? WHERE id = ?",
                      DB_BIND(DB_TEXT(json), DB_TEXT(id)), err);
    if (r < 0)
        return err_wrap(err, r, "update network %s", id);
    return r == 0 ? err_not_found(err, "network %s not found", id) : 0;
}

int network_delete(struct db *db, const char *id, struct err *err)
{
    FAIL_POINT("network.delete.before", err);
    int n = db_run_tx(db, "DELETE FROM network WHERE id = ?", DB_BIND(DB_TEXT(id)), err);
    return n < 0 ? n : n == 0;
}

struct network_list {
    struct arena *a;
    struct network_rows rows;
};

static void add_network(struct sqlite3_stmt *st, void *arg)
{
    struct network_list *l = arg;

    arena_push(l->a, l->rows) = (struct network_row){
        .id = db_col_dup(st, 0, l->a),
        .name = db_col_dup(st, 1, l->a),
        .json = db_col_dup(st, 2, l->a),
    };
}

int network_list(struct db *db, struct arena *a, struct network_rows *ret, struct err *err)
{
    struct network_list l = {.a = a};
    int r =
        db_each(db, "SELECT id, name, json FROM network ORDER BY name", NULL, add_network, &l, err);

    if (r >= 0)
        *ret = l.rows;
    return r;
}
