/*
 * The catalog: one SQLite file (WAL, one connection, prepared statements kept), shared by the
 * threads of the daemon. Every access happens inside a transaction, which belongs to the thread
 * that began it; others wait. Beginning again in the same thread nests (a savepoint), so that a
 * record function works alone and as a part of a larger change.
 *
 *     int r = db_begin(db, err);
 *     if (r < 0)
 *         return r;
 *     auto_tx struct db *tx = db; // rolls back on every early return
 *     r = db_run(db, "DELETE FROM volume WHERE name = ?", DB_BIND(DB_TEXT(name)), err);
 *     ...
 *     return db_commit(&tx, err);
 */
#pragma once

#include "base/arena.h"
#include "base/auto.h"
#include "base/err.h"

#include <stdint.h>

struct db;
struct sqlite3_stmt;

/**
 * db_open() - open or create the catalog and bring its schema up to date
 * @path: file name; ":memory:" for tests
 * Return: 0; -EPROTO when a newer program has written it; -EBADMSG when it is damaged or no
 *   database.
 */
int db_open(const char *path, struct db **ret, struct err *err) MUST;
void db_close(struct db *db); /* NULL is fine */

/** db_begin() - start a transaction, or nest in the one this thread has. Blocks for other threads.
 */
int db_begin(struct db *db, struct err *err) MUST;
/** db_commit() - end it and disarm *@tx; on failure everything since db_begin() is rolled back. */
int db_commit(struct db **tx, struct err *err) MUST;
void db_rollback(struct db *db);

static inline void db_tx_end_(struct db **tx)
{
    if (*tx)
        db_rollback(*tx);
}
static inline void db_closep_(struct db **db)
{
    db_close(*db);
}
#define auto_tx AUTO(db_tx_end_)
#define auto_db AUTO(db_closep_)

/* One value of a statement: DB_BIND(DB_TEXT(id), DB_INT(size)) gives those of a whole statement. */
struct db_arg {
    enum { DB_ARG_END, DB_ARG_TEXT, DB_ARG_INT, DB_ARG_NULL } kind;
    const char *text;
    int64_t num;
};
#define DB_TEXT(s) ((struct db_arg){.kind = DB_ARG_TEXT, .text = (s)}) /* NULL binds NULL */
#define DB_INT(n) ((struct db_arg){.kind = DB_ARG_INT, .num = (n)})
#define DB_BIND(...) ((const struct db_arg[]){__VA_ARGS__, {.kind = DB_ARG_END}})

/**
 * db_query() - prepare (or take from the cache) and bind; then db_step()
 * @sql: one statement; @args: DB_BIND(...) or NULL
 * @ret: reset by auto_stmt at the end of the scope; two at a time of the same text are refused
 */
int db_query(struct db *db, const char *sql, const struct db_arg *args, struct sqlite3_stmt **ret,
             struct err *err) MUST;
/** db_step() - Return: 1 a row is there, 0 no more, -errno. */
int db_step(struct db *db, struct sqlite3_stmt *st, struct err *err) MUST;
/**
 * db_run() - a statement without rows
 * Return: rows changed; -EEXIST (kind conflict) on a unique or primary key violation; -ENOLINK
 *   (conflict) on a foreign key violation; -ENOSPC, -EROFS, -EIO ...
 */
int db_run(struct db *db, const char *sql, const struct db_arg *args, struct err *err) MUST;

void db_stmt_reset_(struct sqlite3_stmt **st);
#define auto_stmt AUTO(db_stmt_reset_)

/** db_run_tx() - db_run() in a transaction of its own. */
int db_run_tx(struct db *db, const char *sql, const struct db_arg *args, struct err *err) MUST;
/**
 * db_each() - @fn for every row of a query, in a transaction of its own
 * Return: 0, -errno.
 */
int db_each(struct db *db, const char *sql, const struct db_arg *args,
            void (*fn)(struct sqlite3_stmt *row, void *arg), void *arg, struct err *err) MUST;

/** db_col_i64(), db_col_text() - column @i of the row; text is valid until the next step; NULL. */
int64_t db_col_i64(struct sqlite3_stmt *st, int i);
const char *db_col_text(struct sqlite3_stmt *st, int i);
/** db_col_dup() - a copy in @a, or NULL. */
char *db_col_dup(struct sqlite3_stmt *st, int i, struct arena *a);

/** db_schema_version() - the version this program writes; for tests and "info". */
int db_schema_version(void);
