#include "store/containers.h"

#include "base/failpoint.h"
#include "store/db.h"

#define COLUMNS "id, name, created, image, config, host_config, network, state, rest"

int container_insert(struct db *db, const struct container_row *row, struct err *err)
{
    FAIL_POINT("container.insert.before", err);
    int r = db_run_tx(db, "INSERT INTO container (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                      DB_BIND(DB_TEXT(row->id), DB_TEXT(row->name), DB_INT(row->created_ns),
                              DB_TEXT(row->image), DB_TEXT(row->config), DB_TEXT(row->host_config),
                              DB_TEXT(row->network), DB_TEXT(row->state), DB_TEXT(row->rest)),
                      err);
    return r < 0 ? err_wrap(err, r, "insert container %s", row->name) : 0;
}

static int set(struct db *db, const char *sql, const char *id, const char *val, struct err *err)
{
    FAIL_POINT("container.update.before", err);
    int r = db_run_tx(db, sql, DB_BIND(DB_TEXT(val), DB_TEXT(id)), err);
    if (r < 0)
        return err_wrap(err, r, "update container %s", id);
    return r == 0 ? err_not_found(err, "No such container: %s", id) : 0;
}

int container_set_state(struct db *db, const char *id, const char *json, struct err *err)
{
    return set(db, "UPDATE container SET state = ? WHERE id = ?", id, json, err);
}

int container_set_name(struct db *db, const char *id, const char *name, struct err *err)
{
    return set(db, "UPDATE container SET name = ? WHERE id = ?", id, name, err);
}

int container_set_host_config(struct db *db, const char *id, const char *json, struct err *err)
{
    return set(db, "UPDATE container SET host_config = ? WHERE id = ?", id, json, err);
}

int container_set_network(struct db *db, const char *id, const char *json, struct err *err)
{
    return set(db, "UPDATE container SET network = ? WHERE id = ?", id, json, err);
}

int container_set_rest(struct db *db, const char *id, const char *json, struct err *err)
{
    return set(db, "UPDATE container SET rest = ? WHERE id = ?", id, json, err);
}

int container_delete(struct db *db, const char *id, struct err *err)
{
    FAIL_POINT("container.delete.before", err);
    int n = db_run_tx(db, "DELETE FROM container WHERE id = ?", DB_BIND(DB_TEXT(id)), err);
    return n < 0 ? err_wrap(err, n, "delete container %s", id) : n == 0;
}

struct list {
    struct arena *a;
    struct container_rows rows;
};

static void add_row(struct sqlite3_stmt *st, void *arg)
{
    struct list *l = arg;

    arena_push(l->a, l->rows) = (struct container_row){
        .id = db_col_dup(st, 0, l->a),
        .name = db_col_dup(st, 1, l->a),
        .created_ns = db_col_i64(st, 2),
        .image = db_col_dup(st, 3, l->a),
        .config = db_col_dup(st, 4, l->a),
        .host_config = db_col_dup(st, 5, l->a),
        .network = db_col_dup(st, 6, l->a),
        .state = db_col_dup(st, 7, l->a),
        .rest = db_col_dup(st, 8, l->a),
    };
}

int container_get(struct db *db, const char *id, struct arena *a, struct container_row *ret,
                  struct err *err)
{
    struct list l = {.a = a};
    int r = db_each(db, "SELECT " COLUMNS " FROM container WHERE id = ?", DB_BIND(DB_TEXT(id)),
                    add_row, &l, err);

    if (r < 0)
        return r;
    if (l.rows.n == 0)
        return err_not_found(err, "No such container: %s", id);
    *ret = l.rows.v[0];
    return 0;
}

int container_list(struct db *db, struct arena *a, struct container_rows *ret, struct err *err)
{
    struct list l = {.a = a};
    int r = db_each(db, "SELECT " COLUMNS " FROM container ORDER BY created, id", NULL, add_row, &l,
                    err);

    if (r >= 0)
        *ret = l.rows;
    return r;
}
