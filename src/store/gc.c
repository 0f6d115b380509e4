/*
 * Garbage collection: what the catalog does not reach goes. The store's lock is held while it is
 * decided what that is and the names are taken away, so a lease taken afterwards finds either a
 * whole object or none; the trees themselves are removed after that, without the lock.
 *
 * The lock comes after the catalog's: lease_add() may be called inside a transaction.
 *
 * Order within a layer: row first, then directory. A crash in between leaves a directory without a
 * row, which the next collection finds.
 */
#include "store/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/failpoint.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/time.h"
#include "store/blobs.h"
#include "store/db.h"
#include "store/store-priv.h"

struct sweep {
    struct image_store *s;
    struct arena *a;
    struct map *live; /* digests that rows reach */
    struct gc_result res;
    struct strv trash; /* names below layers/ that are to be removed */
};

static int mark_live(struct sweep *w, const char *sql, struct err *err)
{
    auto_stmt struct sqlite3_stmt *st = NULL;
    int r = db_query(w->s->db, sql, NULL, &st, err);

    while (r >= 0 && (r = db_step(w->s->db, st, err)) > 0)
        if (db_col_text(st, 0))
            (void)map_set(w->live, db_col_text(st, 0), w);
    return r;
}

static int forget_hidden(struct db *db, struct err *err)
{
    int r = db_run(db,
                   "DELETE FROM image WHERE hidden = 1 AND id NOT IN"
                   " (SELECT image FROM container WHERE image IS NOT NULL)",
                   NULL, err);

    return r < 0 ? r : 0;
}

/* Rows of layers that no image has and nobody holds. */
static int forget_layers(struct sweep *w, struct err *err)
{
    struct strv dead = {0};
    struct db *db = w->s->db;
    {
        auto_stmt struct sqlite3_stmt *st = NULL;
        int r = db_query(db,
                         "SELECT diff_id, size FROM layer WHERE diff_id NOT IN"
                         " (SELECT diff_id FROM image_layer) AND diff_id NOT IN"
                         " (SELECT diff_id FROM build_cache WHERE diff_id IS NOT NULL)"
                         " AND diff_id NOT IN"
                         " (SELECT diff_id FROM layer_blob WHERE keep_until > ?)",
                         DB_BIND(DB_INT(now_ns())), &st, err);
        while (r >= 0 && (r = db_step(db, st, err)) > 0) {
            if (store_leased(w->s, db_col_text(st, 0)))
                continue;
            strv_push(w->a, &dead, db_col_text(st, 0));
            w->res.freed_b += (uint64_t)db_col_i64(st, 1);
        }
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < dead.n; i++) {
        int r = db_run(db, "DELETE FROM layer WHERE diff_id = ?", DB_BIND(DB_TEXT(dead.v[i])), err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Manifests that nothing came by any more name no blobs. */
static int forget_manifests(struct db *db, struct err *err)
{
    int r = db_run(db,
                   "DELETE FROM manifest_blob WHERE manifest NOT IN"
                   " (SELECT manifest FROM image WHERE manifest IS NOT NULL AND hidden = 0"
                   "  UNION SELECT manifest FROM tag WHERE manifest IS NOT NULL"
                   "  UNION SELECT manifest FROM repo_digest WHERE manifest IS NOT NULL)",
                   NULL, err);

    return r < 0 ? r : 0;
}

/* Indexes that no name means any more have no parts. */
static int forget_indexes(struct db *db, struct err *err)
{
    int r = db_run(db,
                   "DELETE FROM index_part WHERE idx NOT IN"
                   " (SELECT idx FROM tag WHERE idx IS NOT NULL"
                   "  UNION SELECT idx FROM repo_digest WHERE idx IS NOT NULL)",
                   NULL, err);

    return r < 0 ? r : 0;
}

/* Kept blobs that no manifest names: their files are garbage, what is known of them is not. */
static int forget_blobs(struct sweep *w, struct err *err)
{
    struct strv dead = {0};
    struct db *db = w->s->db;
    {
        auto_stmt struct sqlite3_stmt *st = NULL;
        int r = db_query(db,
                         "SELECT blob FROM layer_blob WHERE kept = 1 AND keep_until <= ? AND blob"
                         " NOT IN (SELECT blob FROM manifest_blob)",
                         DB_BIND(DB_INT(now_ns())), &st, err);
        while (r >= 0 && (r = db_step(db, st, err)) > 0)
            if (!store_leased(w->s, db_col_text(st, 0)))
                strv_push(w->a, &dead, db_col_text(st, 0));
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < dead.n; i++) {
        int r = db_run(db, "UPDATE layer_blob SET kept = 0 WHERE blob = ?",
                       DB_BIND(DB_TEXT(dead.v[i])), err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int mark_all_live(struct sweep *w, struct err *err)
{
    static const char *const queries[] = {
        "SELECT diff_id FROM layer",
        "SELECT id FROM image",
        "SELECT manifest FROM image",
        "SELECT manifest FROM tag",
        "SELECT manifest FROM repo_digest",
        "SELECT blob FROM layer_blob WHERE kept = 1",
        "SELECT idx FROM tag",
        "SELECT idx FROM repo_digest",
        "SELECT blob FROM index_part",
    };
    int r = 0;

    for (size_t i = 0; r >= 0 && i < sizeof(queries) / sizeof(queries[0]); i++)
        r = mark_live(w, queries[i], err);
    return r;
}

/* Everything the catalog has to say. The transaction was begun by the caller and ends here. */
static int mark(struct sweep *w, struct err *err)
{
    auto_tx struct db *tx = w->s->db;
    int r = forget_hidden(w->s->db, err);

    if (r >= 0)
        r = forget_layers(w, err);
    if (r >= 0)
        r = forget_manifests(w->s->db, err);
    if (r >= 0)
        r = forget_indexes(w->s->db, err);
    if (r >= 0)
        r = forget_blobs(w, err);
    if (r >= 0)
        r = mark_all_live(w, err);
    return r < 0 ? r : db_commit(&tx, err);
}

static bool is_garbage(const struct sweep *w, const char *hex, char digest[DIGEST_LEN + 1])
{
    (void)snprintf(digest, DIGEST_LEN + 1, "sha256:%.64s", hex);
    return strlen(hex) == SHA256_HEX && digest_valid(digest) && !map_has(w->live, digest) &&
           !store_leased(w->s, digest);
}

static int sweep_layer(void *ctx, const char *name, struct err *err)
{
    struct sweep *w = ctx;
    char digest[DIGEST_LEN + 1], trash[TMP_NAME];

    if (!is_garbage(w, name, digest))
        return 0;
    tmp_name(trash);
    if (renameat(w->s->layers_fd, name, w->s->layers_fd, trash) < 0)
        return err_sys(err, "move layer %s away", digest);
    strv_push(w->a, &w->trash, trash);
    strv_push(w->a, &w->res.layers, digest);
    return 0;
}

static int sweep_blob(void *ctx, const char *name, struct err *err)
{
    struct sweep *w = ctx;
    char digest[DIGEST_LEN + 1];
    struct stat st;

    if (!is_garbage(w, name, digest))
        return 0;
    if (fstatat(w->s->blobs_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        unlinkat(w->s->blobs_fd, name, 0) < 0)
        return err_sys(err, "delete blob %s", digest);
    w->res.freed_b += (uint64_t)st.st_size;
    strv_push(w->a, &w->res.blobs, digest);
    return 0;
}

/* What a pull left that never went on. */
static int sweep_part(void *ctx, const char *name, struct err *err)
{
    struct sweep *w = ctx;
    const char *hex = str_starts(name, PART_PREFIX);
    char digest[DIGEST_LEN + 1];
    struct stat st;

    (void)snprintf(digest, sizeof(digest), "sha256:%.64s", hex ? hex : "");
    if (!digest_valid(digest) || store_leased(w->s, digest))
        return 0;
    if (fstatat(w->s->ingest_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "look at a part of blob %s", digest);
    if (st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec > now_ns() - BLOB_PART_NS)
        return 0;
    if (unlinkat(w->s->ingest_fd, name, 0) < 0)
        return err_sys(err, "delete a part of blob %s", digest);
    w->res.freed_b += (uint64_t)st.st_size;
    return 0;
}

static int sweep_names(struct sweep *w, struct err *err)
{
    int r = mark(w, err);

    if (r < 0)
        return r;
    FAIL_POINT("store.gc.marked", err);
    r = each_name(w->s->layers_fd, sweep_layer, w, err);
    if (r < 0)
        return r;
    FAIL_POINT("store.gc.layers", err);
    r = each_name(w->s->blobs_fd, sweep_blob, w, err);
    return r < 0 ? r : each_name(w->s->ingest_fd, sweep_part, w, err);
}

int store_gc(struct image_store *s, struct arena *a, struct gc_result *ret, struct err *err)
{
    auto_arena struct arena own = ARENA_INIT;
    auto_map struct map *live = map_new();
    struct sweep w = {.s = s, .a = a ? a : &own, .live = live};

    FAIL_POINT("store.gc.before", err);
    int r = db_begin(s->db, err); /* before the lock: leases are taken inside transactions, too */
    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&s->lock);
    r = sweep_names(&w, err);
    (void)pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < w.trash.n; i++) {
        int r2 = remove_tree_at(s->layers_fd, w.trash.v[i], r < 0 ? NULL : err);
        r = r < 0 ? r : r2;
    }
    if (r < 0)
        return err_wrap(err, r, "collect garbage");
    FAIL_POINT("store.gc.after", err);
    if (ret)
        *ret = w.res;
    return 0;
}
