/*
 * From a stream to a layer of the store, and back. The threads of one unpacking:
 *
 *   plain:       [read] -> [hash: diff ID] and [unpack]
 *   compressed:  [read] -> [hash: blob digest, keep] and [inflate] -> [hash: diff ID] and [unpack]
 *
 * Those that interpret what strangers made, inflate and unpack, have shut themselves in.
 */
#include "image/layer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/compress.h"
#include "archive/unpack.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "image/recipe.h"
#include "kern/sandbox.h"
#include "store/blobs.h"
#include "store/layers.h"
#include "store/store.h"

/* The stack of sources below an unpacking; freed from the top. */
struct intake {
    struct source *peek, *inflate;
    struct pump *raw; /* compressed bytes; NULL when they come plain */
    struct pump *tar; /* the plain tar */
};

static void intake_done(struct intake *in)
{
    if (in->tar)
        source_free(pump_source(in->tar));
    source_free(in->inflate);
    if (in->raw)
        source_free(pump_source(in->raw));
    source_free(in->peek);
}
#define auto_intake AUTO(intake_done)

static int intake_init(struct intake *in, struct source *s, const struct layer_wish *wish,
                       struct err *err)
{
    const uint8_t *head = NULL;
    size_t n = 0;

    int r = source_peek(s, COMP_MAGIC, &head, &n, &in->peek, err);
    if (r < 0)
        return r;
    enum compression c = compression_detect(head, n);
    if (c == COMP_NONE) {
        in->tar = pump_new(in->peek, true);
        return pump_start(in->tar, err);
    }
    in->raw = pump_new(in->peek, wish->blob);
    if (wish->tee)
        pump_tee(in->raw, wish->tee);
    in->inflate = source_inflate(pump_source(in->raw), c);
    in->tar = pump_new(in->inflate, true);
    pump_shut_in(in->tar);
    r = pump_start(in->raw, err);
    return r < 0 ? r : pump_start(in->tar, err);
}

/* Digests of what has passed, once all of it has. */
static int intake_digests(struct intake *in, const struct layer_wish *wish,
                          struct unpacked_layer *out, struct err *err)
{
    int r = pump_digest(in->tar, out->diff_id, &out->tar_size, err);

    if (r >= 0 && in->raw)
        r = wish->blob ? pump_digest(in->raw, out->blob, &out->blob_size, err)
                       : pump_flush(in->raw, err);
    if (r < 0)
        return r;
    if (!in->raw) {
        memcpy(out->blob, out->diff_id, sizeof(out->blob));
        out->blob_size = out->tar_size;
    }
    if (wish->diff_id && strcmp(wish->diff_id, out->diff_id) != 0)
        return err_as(err, ERR_INVALID, EBADMSG,
                      "invalid diffID for layer: expected \"%s\", got "
                      "\"%s\"",
                      wish->diff_id, out->diff_id);
    return 0;
}

struct filling {
    int stage_fd, diff_fd;
    struct source *tar;
    uint64_t size;
};

/* In the thread that has shut itself in. */
static int unpack_with_recipe(void *ctx, struct err *err)
{
    auto_recipe_writer struct recipe_writer *recipe = NULL;
    struct filling *f = ctx;
    int r = recipe_writer_new(f->stage_fd, &recipe, err);

    if (r < 0)
        return r;
    struct unpack_options o = {.flags = UNPACK_OVERLAY, .watch = &recipe_watch, .watcher = recipe};
    r = unpack_tar(f->tar, f->diff_fd, &o, &f->size, err);
    if (r < 0)
        return err_wrap(err, r, "Error processing tar file(exit status 1)"); /* Docker's words */
    return recipe_finish(recipe, err);
}

static int fill_stage(struct layer_stage *stage, struct source *tar, uint64_t *ret_size,
                      struct err *err)
{
    struct filling f = {
        .stage_fd = layer_stage_dir(stage), .diff_fd = layer_stage_diff(stage), .tar = tar};
    struct sandbox s = {.dir_fd = f.stage_fd, .keep = {f.diff_fd}, .nkeep = 1};

    FAIL_POINT("layer.unpack.before", err);
    int r = sandbox_run(&s, unpack_with_recipe, &f, err);
    if (r < 0)
        return r;
    FAIL_POINT("layer.unpack.after", err);
    *ret_size = f.size;
    return 0;
}

static const struct layer_wish no_wish;

int layer_unpack(struct image_store *st, struct source *s, const struct layer_wish *wish,
                 struct lease *lease, struct unpacked_layer *ret, struct err *err)
{
    auto_layer_stage struct layer_stage *stage = NULL;
    auto_intake struct intake in = {0};
    struct unpacked_layer out = {0};
    int r = layer_stage_new(st, &stage, err);

    wish = wish ? wish : &no_wish;
    if (r >= 0)
        r = intake_init(&in, s, wish, err);
    if (r >= 0)
        r = fill_stage(stage, pump_source(in.tar), &out.size, err);
    if (r >= 0)
        r = intake_digests(&in, wish, &out, err);
    if (r < 0)
        return r;
    struct layer_row row = {
        .diff_id = out.diff_id, .size = (int64_t)out.size, .tar_size = (int64_t)out.tar_size};
    r = layer_stage_commit(stage, &row, lease, err);
    if (r >= 0)
        *ret = out;
    return r;
}

int layer_prove(struct source *s, const struct layer_wish *wish, struct unpacked_layer *ret,
                struct err *err)
{
    auto_intake struct intake in = {0};
    struct unpacked_layer out = {0};
    int r = intake_init(&in, s, wish, err);

    if (r >= 0)
        r = source_drain(pump_source(in.tar), err);
    if (r >= 0)
        r = intake_digests(&in, wish, &out, err);
    if (r >= 0)
        *ret = out;
    return r;
}

/* ---- back to bytes, proven while they are read ---- */

struct proven {
    struct source base;
    struct source *below;
    struct pump *pump;
    int fd; /* that @below reads from, or -1 */
    const char *what;
    char digest[DIGEST_LEN + 1];
};

static ssize_t proven_next(struct source *s, const uint8_t **ret, size_t max, struct err *err)
{
    struct proven *p = (struct proven *)s;
    char digest[DIGEST_LEN + 1];
    ssize_t n = source_next(pump_source(p->pump), ret, max, err);

    if (n != 0)
        return n;
    int r = pump_digest(p->pump, digest, NULL, err);
    if (r < 0)
        return r;
    if (strcmp(digest, p->digest) != 0)
        return err_as(err, ERR_SYSTEM, EBADMSG, "%s %s has changed on disk: it is now %s", p->what,
                      p->digest, digest);
    return 0;
}

static void proven_free(struct source *s)
{
    struct proven *p = (struct proven *)s;

    source_free(pump_source(p->pump));
    source_free(p->below);
    close_fd(&p->fd);
    free(p);
}

/* Takes @below and @fd. */
static struct source *proven_new(struct source *below, int fd, const char *what, const char *digest)
{
    struct proven *p = xnew(struct proven);

    p->base = (struct source){.next = proven_next, .free = proven_free};
    p->below = below;
    p->fd = fd;
    p->what = what;
    p->pump = pump_new(below, true);
    (void)snprintf(p->digest, sizeof(p->digest), "%s", digest);
    return &p->base;
}

int layer_tar(struct image_store *st, const char *diff_id, struct source **ret, struct err *err)
{
    struct source *recipe = NULL;
    auto_close int fd = layer_open(st, diff_id, err);
    int r = fd < 0 ? fd : recipe_source(fd, &recipe, err);

    if (r < 0)
        return err_wrap(err, r, "read layer %s", diff_id);
    *ret = proven_new(recipe, -1, "layer", diff_id);
    return 0;
}

int layer_blob_source(struct image_store *st, const char *digest, struct source **ret,
                      struct err *err)
{
    int fd = blob_open(st, digest, NULL, err);

    if (fd < 0)
        return fd;
    *ret = proven_new(source_fd(fd), fd, "blob", digest);
    return 0;
}
