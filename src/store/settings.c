#include "store/settings.h"

#include "store/db.h"

int setting_get(struct db *db, const char *key, struct arena *a, char **ret, struct err *err)
{
    int r = db_begin(db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    auto_stmt struct sqlite3_stmt *st = NULL;
    r = db_query(db, "SELECT val FROM setting WHERE key = ?", DB_BIND(DB_TEXT(key)), &st, err);
    if (r >= 0)
        r = db_step(db, st, err);
    if (r < 0)
        return r;
    *ret = r > 0 ? db_col_dup(st, 0, a) : NULL;
    return 0;
}

int setting_set(struct db *db, const char *key, const char *val, struct err *err)
{
    int r = db_begin(db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    if (val)
        r = db_run(db, "INSERT OR REPLACE INTO setting (key, val) VALUES (?, ?)",
                   DB_BIND(DB_TEXT(key), DB_TEXT(val)), err);
    else
        r = db_run(db, "DELETE FROM setting WHERE key = ?", DB_BIND(DB_TEXT(key)), err);
    if (r < 0)
        return err_wrap(err, r, "set %s", key);
    return db_commit(&tx, err);
}
