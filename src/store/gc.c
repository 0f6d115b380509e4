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

/* Everything the catalog has to say. The transaction was begun by the caller and ends here. */
static int mark(struct sweep *w, struct err *err)
{
    auto_tx struct db *tx = w->s->db;
    int r = forget_hidden(w->s->db, err);

    if (r >= 0)
        r = forget_layers(w, err);
    if (r >= 0)
        r = mark_live(w, "SELECT diff_id FROM layer", err);
    if (r >= 0)
        r = mark_live(w, "SELECT id FROM image", err);
    if (r >= 0)
        r = mark_live(w, "SELECT manifest FROM image", err);
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
    return each_name(w->s->blobs_fd, sweep_blob, w, err);
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
