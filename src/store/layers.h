/*
 * Unpacked layers, one directory each, named by diff ID: what a layer holds does not depend on what
 * lies below it, so images share a layer even over different bases. Beside the files lies a recipe
 * that rebuilds the layer's exact tar from them; no second copy of the content is kept.
 *
 * A layer is made in a stage (a temporary directory), synced, and renamed when its diff ID is
 * proven. The content is image/'s business: this file knows directories and rows.
 */
#pragma once

#include "base/arena.h"
#include "base/auto.h"
#include "base/err.h"
#include "base/hash.h"

#include <stdbool.h>
#include <stdint.h>

struct image_store;
struct lease;
struct layer_stage;

struct layer_row {
    char *diff_id; /* "sha256:<hex>" */
    int64_t size;  /* bytes of file content: what Docker calls the layer's size */
    int64_t tar_size;
    int64_t created_ns;
    bool unsynced; /* the machine may still lose it: layers_settle() */
};

/** layer_stage_new() - an empty stage with an empty diff/ below it. */
int layer_stage_new(struct image_store *s, struct layer_stage **ret, struct err *err) MUST;
/** layer_stage_dir() - fd of the stage itself (for the recipe); layer_stage_diff() - of diff/. Both
 * stay owned by the stage. */
int layer_stage_dir(const struct layer_stage *st);
int layer_stage_diff(const struct layer_stage *st);
/** layer_stage_path() - of @sub below the stage, relative to the data root: "layers/tmp-x/diff". */
char *layer_stage_path(const struct layer_stage *st, const char *sub, struct arena *a);
/** layer_stage_take() - a directory becomes the stage's diff/, in one step
 * @dir_fd, @name: it; on the store's file system. Return: 0, -EXDEV, -ENOENT. */
int layer_stage_take(struct layer_stage *st, int dir_fd, const char *name, struct err *err) MUST;
/**
 * layer_stage_commit() - sync, rename to the final name, insert the row; @st must still be freed
 * @row: created_ns 0 is now; unsynced: leave the sync to layers_settle(), for those who make many
 * @lease: takes the layer in; not NULL
 * Return: 0; 1: the layer existed already, and this copy will be removed with the stage.
 */
int layer_stage_commit(struct layer_stage *st, const struct layer_row *row, struct lease *lease,
                       struct err *err) MUST;
/** layer_stage_free() - an uncommitted stage is removed with everything in it. NULL is fine. */
void layer_stage_free(struct layer_stage *st);
/** layers_settle() - make durable what was committed unsynced. Before an image relies on it. */
int layers_settle(struct image_store *s, struct err *err) MUST;
/** layers_forget_unsettled() - after a boot: rows whose layers the machine may have lost. */
int layers_forget_unsettled(struct image_store *s, struct err *err) MUST;

static inline void layer_stage_freep_(struct layer_stage **st)
{
    layer_stage_free(*st);
}
#define auto_layer_stage AUTO(layer_stage_freep_)

/** layer_get() - Return: 0; -ENOENT. */
int layer_get(struct image_store *s, const char *diff_id, struct arena *a, struct layer_row *ret,
              struct err *err) MUST;
bool layer_exists(struct image_store *s, const char *diff_id);
/** layer_open() - fd of the layer's directory ("diff" and "recipe" below); caller closes. */
int layer_open(struct image_store *s, const char *diff_id, struct err *err) MUST;
/**
 * layer_path() - path of the layer's content relative to the data root: "layers/<hex>/diff"
 * Return: text in @a; @diff_id must be valid.
 */
char *layer_path(const char *diff_id, struct arena *a);
