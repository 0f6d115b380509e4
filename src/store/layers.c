#include "store/layers.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/failpoint.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/db.h"
#include "store/store-priv.h"

struct layer_stage {
    struct image_store *s;
    char name[TMP_NAME]; /* below layers/; "" once it has its final name */
    int dir_fd, diff_fd;
};

static int open_stage(struct layer_stage *st, struct err *err)
{
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

    st->dir_fd = openat(st->s->layers_fd, st->name, flags);
    if (st->dir_fd < 0 || mkdirat(st->dir_fd, "diff", 0755) < 0)
        return err_sys(err, "make a layer's directory");
    st->diff_fd = openat(st->dir_fd, "diff", flags);
    if (st->diff_fd < 0 || fchmod(st->diff_fd, 0755) < 0) /* whatever the umask says */
        return err_sys(err, "open a layer's directory");
    return 0;
}

int layer_stage_new(struct image_store *s, struct layer_stage **ret, struct err *err)
{
    auto_layer_stage struct layer_stage *st = xnew(struct layer_stage);

    *st = (struct layer_stage){.s = s, .dir_fd = -1, .diff_fd = -1};
    FAIL_POINT("layer.stage.before", err);
    tmp_name(st->name);
    if (mkdirat(s->layers_fd, st->name, 0710) < 0) {
        st->name[0] = '\0';
        return err_sys(err, "make a layer's directory");
    }
    int r = open_stage(st, err);
    if (r < 0)
        return r;
    *ret = take_ptr(&st);
    return 0;
}

void layer_stage_free(struct layer_stage *st)
{
    if (!st)
        return;
    close_fd(&st->diff_fd);
    close_fd(&st->dir_fd);
    if (st->name[0])
        (void)!remove_tree_at(st->s->layers_fd, st->name, NULL); /* else the next open does it */
    free(st);
}

int layer_stage_dir(const struct layer_stage *st)
{
    return st->dir_fd;
}

int layer_stage_diff(const struct layer_stage *st)
{
    return st->diff_fd;
}

static int insert_row(struct image_store *s, const struct layer_row *row, struct err *err)
{
    int r = db_begin(s->db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = s->db;
    int64_t created = row->created_ns ? row->created_ns : now_ns();
    r = db_run(s->db,
               "INSERT OR IGNORE INTO layer (diff_id, size, tar_size, created, unsynced)"
               " VALUES (?, ?, ?, ?, ?)",
               DB_BIND(DB_TEXT(row->diff_id), DB_INT(row->size), DB_INT(row->tar_size),
                       DB_INT(created), DB_INT(row->unsynced)),
               err);
    return r < 0 ? r : db_commit(&tx, err);
}

/* A directory of that name without a row: a crash came between the two. This copy is as good. */
static int replace_orphan(struct layer_stage *st, const char *hex, struct err *err)
{
    if (renameat2(st->s->layers_fd, st->name, st->s->layers_fd, hex, RENAME_EXCHANGE) < 0)
        return err_sys(err, "replace layer %s", hex);
    return 0; /* our name is now that of the orphan, and is removed with the stage */
}

static int take_place(struct layer_stage *st, const char *hex, struct err *err)
{
    if (renameat2(st->s->layers_fd, st->name, st->s->layers_fd, hex, RENAME_NOREPLACE) < 0)
        return errno == EEXIST ? replace_orphan(st, hex, err) : err_sys(err, "name layer %s", hex);
    st->name[0] = '\0';
    return 0;
}

/* Content, then name, then row. syncfs() because a layer may be a hundred thousand files. */
static int publish(struct layer_stage *st, const struct layer_row *row, struct err *err)
{
    FAIL_POINT("layer.commit.before", err);
    if (!row->unsynced && syncfs(st->dir_fd) < 0)
        return err_sys(err, "sync layer %s", row->diff_id);
    FAIL_POINT("layer.commit.synced", err);
    int r = take_place(st, digest_hex(row->diff_id), err);
    if (r < 0)
        return r;
    if (!row->unsynced && fsync(st->s->layers_fd) < 0)
        return err_sys(err, "sync the layers");
    FAIL_POINT("layer.commit.renamed", err);
    r = insert_row(st->s, row, err);
    if (r < 0)
        return r;
    FAIL_POINT("layer.commit.after", err);
    return 0;
}

int layer_stage_commit(struct layer_stage *st, const struct layer_row *row, struct lease *lease,
                       struct err *err)
{
    int r = check_digest(row->diff_id, err);

    if (r < 0)
        return r;
    lease_add(lease, row->diff_id);
    if (layer_exists(st->s, row->diff_id)) {
        r = row->unsynced ? 0 : layers_settle(st->s, err); /* it may be one of those */
        return r < 0 ? r : 1;
    }
    return publish(st, row, err);
}

char *layer_stage_path(const struct layer_stage *st, const char *sub, struct arena *a)
{
    return arena_printf(a, "layers/%s/%s", st->name, sub);
}

int layer_stage_take(struct layer_stage *st, int dir_fd, const char *name, struct err *err)
{
    if (unlinkat(st->dir_fd, "diff", AT_REMOVEDIR) < 0 ||
        renameat(dir_fd, name, st->dir_fd, "diff") < 0)
        return err_sys(err, "take a layer's directory");
    close_fd(&st->diff_fd);
    st->diff_fd = openat(st->dir_fd, "diff", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return st->diff_fd < 0 ? err_sys(err, "open a layer's directory") : 0;
}

/* ---- layers that were committed without a sync ---- */

static int settle(struct image_store *s, struct err *err)
{
    int n = db_run_tx(s->db, "UPDATE layer SET unsynced = 2 WHERE unsynced <> 0", NULL, err);

    if (n <= 0)
        return n;
    FAIL_POINT("layer.settle.before", err);
    if (syncfs(s->layers_fd) < 0)
        return err_sys(err, "sync the layers");
    FAIL_POINT("layer.settle.synced", err);
    /* Those that came while the kernel synced are still 1. */
    n = db_run_tx(s->db, "UPDATE layer SET unsynced = 0 WHERE unsynced = 2", NULL, err);
    return n < 0 ? n : 0;
}

int layers_settle(struct image_store *s, struct err *err)
{
    (void)pthread_mutex_lock(&s->settling);
    int r = settle(s, err);
    (void)pthread_mutex_unlock(&s->settling);
    return r < 0 ? err_wrap(err, r, "settle layers") : 0;
}

int layers_forget_unsettled(struct image_store *s, struct err *err)
{
    int r = db_run_tx(s->db,
                      "DELETE FROM layer WHERE unsynced <> 0 AND diff_id NOT IN"
                      " (SELECT diff_id FROM image_layer)",
                      NULL, err);

    return r < 0 ? r : 0;
}

int layer_get(struct image_store *s, const char *diff_id, struct arena *a, struct layer_row *ret,
              struct err *err)
{
    int r = db_begin(s->db, err);
    if (r < 0)
        return r;
    auto_tx struct db *tx = s->db;
    auto_stmt struct sqlite3_stmt *st = NULL;
    r = db_query(s->db, "SELECT diff_id, size, tar_size, created FROM layer WHERE diff_id = ?",
                 DB_BIND(DB_TEXT(diff_id)), &st, err);
    if (r >= 0)
        r = db_step(s->db, st, err);
    if (r < 0)
        return r;
    if (r == 0)
        return err_not_found(err, "layer %s not found", diff_id);
    *ret = (struct layer_row){
        .diff_id = db_col_dup(st, 0, a),
        .size = db_col_i64(st, 1),
        .tar_size = db_col_i64(st, 2),
        .created_ns = db_col_i64(st, 3),
    };
    return 0;
}

bool layer_exists(struct image_store *s, const char *diff_id)
{
    auto_arena struct arena a = ARENA_INIT;
    struct layer_row row;

    return digest_valid(diff_id) && layer_get(s, diff_id, &a, &row, NULL) >= 0;
}

int layer_open(struct image_store *s, const char *diff_id, struct err *err)
{
    int r = check_digest(diff_id, err);

    if (r < 0)
        return r;
    int fd =
        openat(s->layers_fd, digest_hex(diff_id), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_not_found(err, "layer %s not found", diff_id);
    return fd < 0 ? err_sys(err, "open layer %s", diff_id) : fd;
}

char *layer_path(const char *diff_id, struct arena *a)
{
    return arena_printf(a, "layers/%s/diff", digest_hex(diff_id));
}
