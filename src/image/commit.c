#include "image/commit.h"

#include <string.h>

#include "archive/pack.h"
#include "base/auto.h"
#include "base/failpoint.h"
#include "base/time.h"
#include "image/layer.h"
#include "distribution/platform.h"
#include "image/store.h"

static int64_t pack(void *ctx, struct sink *out, struct err *err)
{
    return layer_pack(ctx, NULL, NULL, out, err);
}

/* Return: how many entries the layer has. A packer that failed tells why, not its reader. */
static int64_t make_layer(struct image_store *s, const struct diff *d, struct lease *lease,
                          struct unpacked_layer *ret, struct err *err)
{
    struct pack_pipe p;
    int r = pack_pipe_start(pack, (void *)d, &p, err);

    if (r < 0)
        return r;
    struct source *body = source_fd(p.fd);
    r = layer_unpack(s, body, NULL, lease, ret, err);
    source_free(body);
    struct err why = {0};
    int64_t n = pack_pipe_end(&p, &why);
    if (n < 0 && err)
        *err = why;
    return n < 0 ? n : r < 0 ? r : n;
}

static int put_config(struct image_store *s, const struct commit_options *o, const char *diff_id,
                      struct arena *a, struct buf *out, struct err *err)
{
    char now[TIME_TEXT];
    struct oci_image fresh = {.architecture = arena_strdup(a, host_architecture()),
                              .os = arena_strdup(a, "linux"),
                              .rootfs.type = arena_strdup(a, "layers")};
    struct oci_image *img = &fresh;
    int r = o->parent ? image_config_read(s, o->parent, a, &img, NULL, err) : 0;

    if (r < 0)
        return r;
    img->created = arena_strdup(a, time_rfc3339(now_ns(), now));
    img->author = arena_strdup(a, str_or(o->author, ""));
    img->comment = arena_strdup(a, str_or(o->comment, ""));
    img->container = arena_strdup(a, str_or(o->container, ""));
    img->config = (struct oci_image_config *)o->config;
    struct oci_image_history *h = arena_new(a, struct oci_image_history);
    *h = (struct oci_image_history){.created = img->created,
                                    .created_by = arena_strdup(a, str_or(o->created_by, "")),
                                    .author = img->author,
                                    .comment = img->comment,
                                    .empty_layer = !diff_id};
    arena_push(a, img->history) = h;
    if (diff_id)
        strv_push(a, &img->rootfs.diff_ids, diff_id);
    json_encode(&oci_image_type, img, out);
    return 0;
}

static int commit(struct image_store *s, const struct diff *d, const struct commit_options *o,
                  struct lease *lease, char ret_id[DIGEST_LEN + 1], struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf text = BUF_INIT;
    struct unpacked_layer layer;
    int64_t entries = make_layer(s, d, lease, &layer, err);

    if (entries < 0)
        return (int)entries;
    FAIL_POINT("image.commit.packed", err);
    int r = put_config(s, o, entries ? layer.diff_id : NULL, &a, &text, err);
    return r < 0 ? r : image_create_tagged(s, &text, o->parent, o->name, lease, ret_id, err);
}

int image_commit(struct image_store *s, const struct diff *d, const struct commit_options *o,
                 char ret_id[DIGEST_LEN + 1], struct err *err)
{
    struct lease *lease = lease_new(s);
    int r = commit(s, d, o, lease, ret_id, err);

    lease_free(lease);
    (void)!store_gc(s, NULL, NULL, NULL); /* the layer of nothing, or of a failure */
    return r < 0 ? r : 0;
}
