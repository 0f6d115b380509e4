#include "store/networks.h"

#include "base/failpoint.h"
#include "store/db.h"

int network_insert(struct db *db, const struct network_row *row, struct err *err)
{
    FAIL_POINT("network.insert.before", err);
    int r = db_begin(db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    r = db_run(db, "INSERT INTO network (id, name, json) VALUES (?, ?, ?)",
               DB_BIND(DB_TEXT(row->id), DB_TEXT(row->name), DB_TEXT(row->json)), err);
    if (r < 0)
        return err_wrap(err, r, "insert network %s", row->name);
    return db_commit(&tx, err);
}

int network_set(struct db *db, const char *id, const char *json, struct err *err)
{
    FAIL_POINT("network.update.before", err);
    int r = db_begin(db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    r = db_run(db, "UPDATE network SET json = ? WHERE id = ?", DB_BIND(DB_TEXT(json), DB_TEXT(id)),
               err);
    if (r < 0)
        return err_wrap(err, r, "update network %s", id);
    if (r == 0)
        return err_not_found(err, "network %s not found", id);
    return db_commit(&tx, err);
}

/* One DELETE with one value; Return: rows deleted. */
static int delete_by(struct db *db, const char *sql, const struct db_arg *args, struct err *err)
{
    int r = db_begin(db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    int n = db_run(db, sql, args, err);
    if (n < 0)
        return n;
    r = db_commit(&tx, err);
    return r < 0 ? r : n;
}

int network_delete(struct db *db, const char *id, struct err *err)
{
    FAIL_POINT("network.delete.before", err);
    int n = delete_by(db, "DELETE FROM network WHERE id = ?", DB_BIND(DB_TEXT(id)), err);

    return n < 0 ? n : n == 0;
}

int network_list(struct db *db, struct arena *a, struct network_rows *ret, struct err *err)
{
    struct network_rows rows = {0};
    int r = db_begin(db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    auto_stmt struct sqlite3_stmt *st = NULL;
    r = db_query(db, "SELECT id, name, json FROM network ORDER BY name", NULL, &st, err);
    while (r >= 0 && (r = db_step(db, st, err)) > 0)
        arena_push(a, rows) =
            (struct network_row){db_col_dup(st, 0, a), db_col_dup(st, 1, a), db_col_dup(st, 2, a)};
    if (r < 0)
        return r;
    *ret = rows;
    return 0;
}

int address_insert(struct db *db, const char *network, const char *ip, const char *owner,
                   struct err *err)
{
    FAIL_POINT("address.insert.before", err);
    int r = db_begin(db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    r = db_run(db, "INSERT INTO address (network, ip, owner) VALUES (?, ?, ?)",
               DB_BIND(DB_TEXT(network), DB_TEXT(ip), DB_TEXT(owner)), err);
    if (r == -EEXIST)
        return err_conflict(err, "address %s is in use", ip);
    if (r < 0)
        return err_wrap(err, r, "take address %s", ip);
    return db_commit(&tx, err);
}

int address_delete(struct db *db, const char *network, const char *ip, struct err *err)
{
    FAIL_POINT("address.delete.before", err);
    int n = delete_by(db, "DELETE FROM address WHERE network = ? AND ip = ?",
                      DB_BIND(DB_TEXT(network), DB_TEXT(ip)), err);

    return n < 0 ? n : n == 0;
}

int address_delete_owner(struct db *db, const char *owner, struct err *err)
{
    FAIL_POINT("address.delete.before", err);
    return delete_by(db, "DELETE FROM address WHERE owner = ?", DB_BIND(DB_TEXT(owner)), err);
}

int address_list(struct db *db, const char *network, struct arena *a, struct address_rows *ret,
                 struct err *err)
{
    struct address_rows rows = {0};
    int r = db_begin(db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    auto_stmt struct sqlite3_stmt *st = NULL;
    r = db_query(db,
                 "SELECT network, ip, owner FROM address WHERE ?1 IS NULL OR network = ?1"
                 " ORDER BY network, ip",
                 DB_BIND(DB_TEXT(network)), &st, err);
    while (r >= 0 && (r = db_step(db, st, err)) > 0)
        arena_push(a, rows) =
            (struct address_row){db_col_dup(st, 0, a), db_col_dup(st, 1, a), db_col_dup(st, 2, a)};
    if (r < 0)
        return r;
    *ret = rows;
    return 0;
}
