#include "image/import.h"

#include <stdio.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/time.h"
#include "image/layer.h"
#include "distribution/reference.h"
#include "image/store.h"

struct platform {
    char *os, *arch, *variant; /* variant may be NULL */
};

/* "os[/arch[/variant]]" */
static int parse_platform(struct arena *a, const char *text, struct platform *ret, struct err *err)
{
    struct platform p = {arena_strdup(a, "linux"), arena_strdup(a, host_architecture()), NULL};

    if (str_empty(text)) {
        *ret = p;
        return 0;
    }
    struct strv v = str_split(a, text, '/');
    if (v.n > 3 || strv_has(&v, ""))
        return err_invalid(err, "\"%s\" is an invalid platform", text);
    p.os = v.v[0];
    if (strcmp(p.os, "linux") != 0)
        return err_invalid(err, "operating system is not supported: %s", p.os);
    if (v.n > 1)
        p.arch = v.v[1];
    if (v.n > 2)
        p.variant = v.v[2];
    *ret = p;
    return 0;
}

static void put_config(const struct platform *p, const struct import_options *opts,
                       const char *diff_id, struct arena *a, struct buf *out)
{
    struct oci_image_config config = opts->config ? *opts->config : (struct oci_image_config){0};
    char now[TIME_TEXT];
    struct oci_image img = {
        .created = time_rfc3339(now_ns(), now),
        .architecture = p->arch,
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
    struct platform p = {0};

    int r = parse_platform(&a, opts->platform, &p, err);
    if (r >= 0)
        r = image_new_name(opts->ref, name, err);
    if (r >= 0)
        r = layer_unpack(s, body, NULL, lease, &layer, err);
    if (r < 0)
        return r;
    FAIL_POINT("image.import.unpacked", err);
    put_config(&p, opts, layer.diff_id, &a, &text);
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
