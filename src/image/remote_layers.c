#include "image/remote_layers.h"

#include "image/pull-priv.h"
#include "image/push-priv.h"

int remote_layers_pull(struct image_store *s, const struct pull_options *o,
                       const struct oci_descriptor *const *blobs, const struct strv *diff_ids,
                       struct lease *lease, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct oci_image img = {.rootfs.diff_ids = *diff_ids};
    struct pull p = {.s = s, .o = o, .a = &a, .lease = lease, .img = &img};

    p.repo = o->ref->name + o->ref->domain_len + 1;
    for (size_t i = 0; i < diff_ids->n; i++)
        arena_push(&a, p.man.man.layers) = json_clone(&oci_descriptor_type, blobs[i], &a);
    transfer_report_init(&p.report, o->tell, o->ctx);
    int r = pull_layers(&p, err);
    pull_release(&p); /* nobody waits for the rest of an image */
    transfer_report_done(&p.report);
    return r;
}

int remote_layers_push(struct image_store *s, const struct push_options *o,
                       const struct strv *diff_ids, struct arena *a, struct oci_descriptor *ret,
                       struct err *err)
{
    struct push p = {.s = s, .o = o, .a = a, .lease = lease_new(s), .row.layers = *diff_ids};

    p.repo = o->ref->name + o->ref->domain_len + 1;
    p.registry = arena_strndup(a, o->ref->name, o->ref->domain_len + 1);
    for (size_t i = 0; i < diff_ids->n; i++)
        lease_add(p.lease, diff_ids->v[i]);
    transfer_report_init(&p.report, o->tell, o->ctx);
    int r = push_layers(&p, err);
    for (size_t i = 0; r >= 0 && i < diff_ids->n; i++) {
        ret[i] = p.layers[i];
        ret[i].media_type = remote_layer_type(&ret[i], true, a);
    }
    transfer_report_done(&p.report);
    lease_free(p.lease);
    return r;
}
