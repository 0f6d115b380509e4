#include "store/db.h"

#include <assert.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/map.h"
#include "base/mem.h"
#include "store/schema-priv.h"

struct db {
    sqlite3 *sql;
    pthread_mutex_t lock;
    atomic_ulong owner; /* pthread_t of the thread in a transaction, 0: none */
    unsigned depth;     /* 1: transaction, more: savepoints; the owner's */
    struct map *stmts;  /* SQL text -> sqlite3_stmt */
};

/* ---- errors ---- */

struct code {
    int sqlite, no;
    enum err_kind kind;
};

static const struct code codes[] = {
    {SQLITE_CONSTRAINT_UNIQUE, EEXIST, ERR_CONFLICT},
    {SQLITE_CONSTRAINT_PRIMARYKEY, EEXIST, ERR_CONFLICT},
    {SQLITE_CONSTRAINT_FOREIGNKEY, ENOLINK, ERR_CONFLICT},
    {SQLITE_FULL, ENOSPC, ERR_SYSTEM},
    {SQLITE_BUSY, EBUSY, ERR_UNAVAILABLE},
    {SQLITE_READONLY, EROFS, ERR_SYSTEM},
    {SQLITE_CANTOPEN, EACCES, ERR_SYSTEM},
    {SQLITE_CORRUPT, EBADMSG, ERR_SYSTEM},
    {SQLITE_NOTADB, EBADMSG, ERR_SYSTEM},
    {SQLITE_NOMEM, ENOMEM, ERR_SYSTEM},
};

static int fail(struct db *db, struct err *err)
{
    int full = sqlite3_extended_errcode(db->sql);
    const char *msg = sqlite3_errmsg(db->sql);

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i].sqlite == full || codes[i].sqlite == (full & 0xff))
            return err_as(err, codes[i].kind, codes[i].no, "catalog: %s", msg);
    return err_as(err, ERR_SYSTEM, EIO, "catalog: %s (%d)", msg, full);
}

static int exec(struct db *db, const char *sql, struct err *err)
{
    return sqlite3_exec(db->sql, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(db, err);
}

/* ---- transactions ---- */

static bool mine(const struct db *db)
{
    return atomic_load_explicit(&db->owner, memory_order_relaxed) == pthread_self();
}

/* The last step of every transaction: the lock goes to the next thread. */
static void leave(struct db *db)
{
    db->depth--;
    if (db->depth > 0)
        return;
    atomic_store_explicit(&db->owner, 0, memory_order_relaxed);
    (void)pthread_mutex_unlock(&db->lock);
}

int db_begin(struct db *db, struct err *err)
{
    bool nested = mine(db);

    if (!nested) {
        (void)pthread_mutex_lock(&db->lock);
        atomic_store_explicit(&db->owner, pthread_self(), memory_order_relaxed);
    }
    db->depth++;
    int r = db_run(db, nested ? "SAVEPOINT nest" : "BEGIN", NULL, err);
    if (r < 0)
        leave(db);
    return r < 0 ? r : 0;
}

void db_rollback(struct db *db)
{
    assert(mine(db));
    if (db->depth > 1) {
        (void)!db_run(db, "ROLLBACK TO nest", NULL, NULL);
        (void)!db_run(db, "RELEASE nest", NULL, NULL);
    } else if (!sqlite3_get_autocommit(db->sql)) { /* SQLite rolls back by itself on a full disk */
        (void)!db_run(db, "ROLLBACK", NULL, NULL);
    }
    leave(db);
}

static int commit_now(struct db *db, struct err *err)
{
    if (db->depth == 1)
        FAIL_POINT("catalog.commit.before", err);
    return db_run(db, db->depth > 1 ? "RELEASE nest" : "COMMIT", NULL, err);
}

int db_commit(struct db **tx, struct err *err)
{
    struct db *db = take_ptr(tx);

    assert(mine(db));
    int r = commit_now(db, err);
    if (r < 0) {
        db_rollback(db);
        return r;
    }
    bool last = db->depth == 1;
    leave(db);
    if (last)
        FAIL_POINT("catalog.commit.after", err);
    return 0;
}

/* ---- statements ---- */

static int prepare(struct db *db, const char *sql, sqlite3_stmt **ret, struct err *err)
{
    sqlite3_stmt *st = map_get(db->stmts, sql);

    if (!st) {
        if (sqlite3_prepare_v3(db->sql, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL) != SQLITE_OK)
            return fail(db, err);
        (void)map_set(db->stmts, sql, st);
    }
    assert(!sqlite3_stmt_busy(st));
    *ret = st;
    return 0;
}

static int bind(struct db *db, sqlite3_stmt *st, const struct db_arg *args, struct err *err)
{
    int rc = SQLITE_OK;

    for (int i = 1; args && args->kind != DB_ARG_END && rc == SQLITE_OK; i++, args++) {
        if (args->kind == DB_ARG_INT)
            rc = sqlite3_bind_int64(st, i, args->num);
        else if (args->kind == DB_ARG_TEXT && args->text)
            rc = sqlite3_bind_text(st, i, args->text, -1, SQLITE_TRANSIENT);
        else
            rc = sqlite3_bind_null(st, i);
    }
    return rc == SQLITE_OK ? 0 : fail(db, err);
}

int db_query(struct db *db, const char *sql, const struct db_arg *args, struct sqlite3_stmt **ret,
             struct err *err)
{
    sqlite3_stmt *st = NULL;

    assert(mine(db));
    int r = prepare(db, sql, &st, err);
    if (r >= 0)
        r = bind(db, st, args, err);
    if (r < 0)
        return r;
    *ret = st;
    return 0;
}

int db_step(struct db *db, struct sqlite3_stmt *st, struct err *err)
{
    int rc = sqlite3_step(st);

    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : fail(db, err);
}

int db_run(struct db *db, const char *sql, const struct db_arg *args, struct err *err)
{
    auto_stmt struct sqlite3_stmt *st = NULL;
    int r = db_query(db, sql, args, &st, err);

    if (r < 0)
        return r;
    r = db_step(db, st, err);
    return r < 0 ? r : sqlite3_changes(db->sql);
}

void db_stmt_reset_(struct sqlite3_stmt **st)
{
    if (!*st)
        return;
    (void)sqlite3_reset(*st);
    (void)sqlite3_clear_bindings(*st);
}

int64_t db_col_i64(struct sqlite3_stmt *st, int i)
{
    return sqlite3_column_int64(st, i);
}

const char *db_col_text(struct sqlite3_stmt *st, int i)
{
    return (const char *)sqlite3_column_text(st, i);
}

char *db_col_dup(struct sqlite3_stmt *st, int i, struct arena *a)
{
    const char *s = db_col_text(st, i);

    return s ? arena_strdup(a, s) : NULL;
}

/* ---- open, migrate, close ---- */

static int read_version(struct db *db, int *ret, struct err *err)
{
    auto_stmt struct sqlite3_stmt *st = NULL;
    int r = db_query(db, "PRAGMA user_version", NULL, &st, err);

    if (r < 0)
        return r;
    r = db_step(db, st, err);
    if (r < 0)
        return r;
    *ret = (int)db_col_i64(st, 0);
    return 0;
}

static int migrate_step(struct db *db, int from, struct err *err)
{
    char *sql = sqlite3_mprintf("PRAGMA user_version = %d", from + 1);
    int r = exec(db, schema_steps[from], err);

    if (r >= 0)
        r = exec(db, sql, err);
    sqlite3_free(sql);
    return r < 0 ? err_wrap(err, r, "bring the catalog from version %d to %d", from, from + 1) : 0;
}

/* All steps in one transaction: a catalog is of one version or of another, never between. */
static int migrate(struct db *db, struct err *err)
{
    int version = 0;
    int r = db_begin(db, err);

    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    r = read_version(db, &version, err);
    if (r < 0)
        return r;
    if (version > schema_steps_n)
        return err_as(err, ERR_CONFLICT, EPROTO,
                      "the catalog is of version %d, this program knows versions up to %d: "
                      "a newer program has written it",
                      version, schema_steps_n);
    for (int i = version; i < schema_steps_n; i++) {
        r = migrate_step(db, i, err);
        if (r < 0)
            return r;
    }
    return db_commit(&tx, err);
}

static const char setup[] = "PRAGMA busy_timeout = 5000;"
                            "PRAGMA journal_mode = WAL;"
                            "PRAGMA synchronous = NORMAL;"
                            "PRAGMA foreign_keys = ON;"
                            "PRAGMA trusted_schema = OFF;"
                            "PRAGMA cache_size = -1024;"; /* KiB */

int db_open(const char *path, struct db **ret, struct err *err)
{
    auto_db struct db *db = xnew(struct db);
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;

    db->stmts = map_new();
    (void)pthread_mutex_init(&db->lock, NULL);
    int rc = sqlite3_open_v2(path, &db->sql, flags, NULL);
    if (!db->sql)
        return err_no(err, ENOMEM, "open the catalog");
    int r = rc == SQLITE_OK ? exec(db, setup, err) : fail(db, err);
    if (r >= 0)
        r = migrate(db, err);
    if (r < 0)
        return err_wrap(err, r, "open %s", path);
    *ret = take_ptr(&db);
    return 0;
}

void db_close(struct db *db)
{
    size_t pos = 0;
    void *st = NULL;

    if (!db)
        return;
    assert(db->depth == 0);
    while (map_next(db->stmts, &pos, NULL, &st))
        (void)sqlite3_finalize(st);
    map_free(db->stmts);
    (void)sqlite3_close(db->sql);
    (void)pthread_mutex_destroy(&db->lock);
    free(db);
}

int db_schema_version(void)
{
    return schema_steps_n;
}

int db_run_tx(struct db *db, const char *sql, const struct db_arg *args, struct err *err)
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

int db_each(struct db *db, const char *sql, const struct db_arg *args,
            void (*fn)(struct sqlite3_stmt *row, void *arg), void *arg, struct err *err)
{
    int r = db_begin(db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    auto_stmt struct sqlite3_stmt *st = NULL;
    r = db_query(db, sql, args, &st, err);
    while (r >= 0 && (r = db_step(db, st, err)) > 0)
        fn(st, arg);
    return r;
}
