/* What the name of an image stands for: its platforms, here or not, and what is known about them.
 */
#include "engine/images-priv.h"

#include <string.h>

#include "base/auto.h"

static struct strv containers_of(struct engine *e, const char *image_id, struct arena *a)
{
    struct strv ids = {0};

    (void)pthread_mutex_lock(&e->lock);
    for (struct container *c = e->containers; c; c = c->next)
        if (str_eq(c->image_id, image_id))
            strv_push(a, &ids, c->id);
    (void)pthread_mutex_unlock(&e->lock);
    return ids;
}

static struct image_manifest_image *image_data(struct engine *e, const struct index_entry *entry,
                                               struct arena *a)
{
    struct image_manifest_image *out = arena_new(a, struct image_manifest_image);

    out->platform = entry->platform ? entry->platform : arena_new(a, struct oci_platform);
    if (entry->row) {
        out->containers = containers_of(e, entry->row->id, a);
        out->size.unpacked_b = entry->row->size;
    }
    return out;
}

static struct image_attestation *attestation(const struct index_entry *entry, struct arena *a)
{
    const char *about = strmap_get(&entry->d->annotations, ANNOTATION_REFERENCE_DIGEST);
    struct image_attestation *out = arena_new(a, struct image_attestation);

    out->subject = arena_strdup(a, str_or(about, ""));
    return out;
}

static void describe(struct engine *e, const struct index_entry *entry, struct arena *a,
                     struct manifest_summary *m)
{
    if (index_entry_is_image(entry)) {
        m->kind = arena_strdup(a, "image");
        m->image = image_data(e, entry, a);
        m->size.total_b = m->size.content_b + m->image->size.unpacked_b;
    } else if (str_eq(strmap_get(&entry->d->annotations, ANNOTATION_REFERENCE_TYPE),
                      "attestation-manifest")) {
        m->kind = arena_strdup(a, "attestation");
        m->attestation = attestation(entry, a);
    } else {
        m->kind = arena_strdup(a, "unknown");
    }
}

int img_manifests(struct engine *e, const struct image_row *row, struct arena *a,
                  struct img_manifests *ret, struct err *err)
{
    struct image_index index;
    int r = image_index_read(e->images, row, a, &index, err);

    if (r < 0)
        return r;
    ret->target = index.target;
    for (size_t i = 0; i < index.n; i++) {
        const struct index_entry *entry = &index.v[i];
        if (!entry->d)
            continue;
        struct manifest_summary *m = arena_new(a, struct manifest_summary);
        m->id = entry->d->digest;
        m->descriptor = (struct oci_descriptor *)(uintptr_t)entry->d; /* only read */
        m->available = index_entry_is_here(e->images, entry, NULL);
        m->size.content_b = m->size.total_b = index_entry_content_b(e->images, entry);
        describe(e, entry, a, m);
        arena_push(a, *ret) = m;
    }
    return 0;
}
