#include "image/import.h"

#include <stdio.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/time.h"
#include "distribution/platform.h"
#include "distribution/reference.h"
#include "image/layer.h"
#include "image/store.h"

static int parse_platform(const char *text, struct arena *a, struct oci_platform **ret,
                          struct err *err)
{
    struct platform p;
    int r = platform_parse(text, &p, err);

    if (r >= 0 && strcmp(p.os, "linux") != 0)
        r = err_invalid(err, "operating system is not supported: %s", p.os);
    if (r >= 0)
        *ret = platform_oci(&p, a);
    return r;
}

static void put_config(const struct oci_platform *p, const struct import_options *opts,
                       const char *diff_id, struct arena *a, struct buf *out)
{
    struct oci_image_config config = opts->config ? *opts->config : (struct oci_image_config){0};
    char now[TIME_TEXT];
    struct oci_image img = {
        .created = time_rfc3339(now_ns(), now),
        .architecture = p->architecture,
        .os = p->os,
        .variant = p->variant,
        .comment = arena_strdup(a, str_or(opts->message, "")),
        .config = &config,
        .rootfs.type = arena_strdup(a, "layers"),
    };
    struct oci_image_history *h = arena_new(a, struct oci_image_history);

    strv_push(a, &img.rootfs.diff_ids, diff_id);
    h->created = img.created;
    h->comment = img.comment;
    arena_push(a, img.history) = h;
    json_encode(&oci_image_type, &img, out);
}

static int import(struct image_store *s, struct source *body, const struct import_options *opts,
                  struct lease *lease, char ret_id[DIGEST_LEN + 1], struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf text = BUF_INIT;
    char name[REF_TEXT_MAX + 1];
    struct unpacked_layer layer;
    struct oci_platform *p = NULL;

    int r = parse_platform(opts->platform, &a, &p, err);
    if (r >= 0)
        r = image_new_name(opts->ref, name, err);
    if (r >= 0)
        r = layer_unpack(s, body, NULL, lease, &layer, err);
    if (r < 0)
        return r;
    FAIL_POINT("image.import.unpacked", err);
    put_config(p, opts, layer.diff_id, &a, &text);
    return image_create_tagged(s, &text, NULL, name, lease, ret_id, err);
}

int image_import(struct image_store *s, struct source *body, const struct import_options *opts,
                 char ret_id[DIGEST_LEN + 1], struct err *err)
{
    struct lease *lease = lease_new(s);
    int r = import(s, body, opts, lease, ret_id, err);

    lease_free(lease);
    if (r < 0)
        (void)!store_gc(s, NULL, NULL, NULL); /* a later one gets what this cannot */
    return r < 0 ? r : 0;
}
