#include "image/index.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "image/remote.h"
#include "image/store.h"
#include "store/blobs.h"

/* A document that came with an image. Return: false: it is not there, or not what it was. */
static bool read_document(struct image_store *s, const char *digest, struct arena *a,
                          struct remote_manifest *ret, struct oci_descriptor **ret_d)
{
    auto_buf struct buf text = BUF_INIT;
    struct dist_manifest doc = {.media_type = ""};

    if (!digest || blob_read(s, digest, &text, NULL) < 0)
        return false;
    doc.text = arena_strndup(a, buf_str(&text), text.len);
    doc.len = text.len;
    if (remote_manifest_check(&doc, a, ret, NULL) < 0)
        return false;
    *ret_d = arena_new(a, struct oci_descriptor);
    **ret_d = (struct oci_descriptor){.media_type = arena_strdup(a, ret->doc.media_type),
                                      .digest = arena_strdup(a, digest),
                                      .size = (int64_t)doc.len};
    return true;
}

static int config_platform(struct image_store *s, const struct image_row *row, struct arena *a,
                           struct oci_platform **ret, struct err *err)
{
    struct oci_image *img = NULL;
    int r = image_config_read(s, row->id, a, &img, NULL, err);

    if (r < 0)
        return r;
    *ret = arena_new(a, struct oci_platform);
    **ret = oci_image_platform(img);
    return 0;
}

static int add_entry(struct image_store *s, const struct oci_descriptor *d, struct image_row *row,
                     struct arena *a, struct image_index *ret, struct err *err)
{
    struct index_entry e = {.d = d, .row = row, .platform = d ? d->platform : NULL};
    int r = row && !e.platform ? config_platform(s, row, a, &e.platform, err) : 0;

    if (r >= 0)
        arena_push(a, *ret) = e;
    return r;
}

/* The images of an index that are here. The one that was asked for may have been chosen from an
 * index within it: then it comes last. */
static int add_listed(struct image_store *s, const struct oci_manifest *index,
                      const struct image_row *row, struct arena *a, struct image_index *ret,
                      bool *seen, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < index->manifests.n; i++) {
        const struct oci_descriptor *d = index->manifests.v[i];
        struct image_row *here = arena_new(a, struct image_row);
        if (str_eq(d->digest, row->manifest)) {
            *here = *row;
            *seen = true;
        } else {
            r = image_by_manifest(s, d->digest, a, here, err);
            if (r == -ENOENT) {
                err_clear(err);
                here = NULL;
                r = 0;
            }
        }
        if (r >= 0)
            r = add_entry(s, d, here, a, ret, err);
    }
    return r;
}

int image_index_read(struct image_store *s, const struct image_row *row, struct arena *a,
                     struct image_index *ret, struct err *err)
{
    struct image_index out = {0};
    struct oci_descriptor *own = NULL;
    struct remote_manifest doc;
    struct image_row *self = arena_new(a, struct image_row);
    bool seen = false;
    int r = 0;

    *self = *row;
    if (read_document(s, row->index, a, &doc, &out.target) && doc.index)
        r = add_listed(s, &doc.man, row, a, &out, &seen, err);
    if (r >= 0 && !seen) {
        if (read_document(s, row->manifest, a, &doc, &own) && !out.n)
            out.target = own;
        r = add_entry(s, own, self, a, &out, err);
    }
    if (r >= 0)
        *ret = out;
    return r;
}

bool index_entry_is_image(const struct index_entry *e)
{
    if (!e->d)
        return true;
    return !strmap_get(&e->d->annotations, ANNOTATION_REFERENCE_TYPE) &&
           remote_is_manifest(e->d->media_type) && str_empty(e->d->artifact_type) &&
           !(e->platform && str_eq(e->platform->os, "unknown"));
}

static bool hold(struct image_store *s, const char *digest, struct lease *lease)
{
    if (lease)
        lease_add(lease, digest); /* before looking, so that it stays */
    return blob_exists(s, digest);
}

bool index_artifact(struct image_store *s, const struct oci_descriptor *d, struct lease *lease,
                    struct arena *a, struct oci_manifest *ret, struct dist_manifest *doc)
{
    auto_buf struct buf text = BUF_INIT;
    struct oci_manifest man = {0};

    if (!hold(s, d->digest, lease) || blob_read(s, d->digest, &text, NULL) < 0 ||
        json_decode(&oci_manifest_type, buf_str(&text), text.len, a, &man, 0, NULL) < 0)
        return false;
    bool here = man.manifests.n == 0 && (!man.config || hold(s, man.config->digest, lease));
    for (size_t i = 0; here && i < man.layers.n; i++)
        here = hold(s, man.layers.v[i]->digest, lease);
    if (!here || !ret)
        return here;
    *ret = man;
    *doc = (struct dist_manifest){.text = arena_strndup(a, buf_str(&text), text.len),
                                  .len = text.len,
                                  .media_type = d->media_type};
    (void)snprintf(doc->digest, sizeof(doc->digest), "%s", d->digest);
    return true;
}

bool index_entry_is_here(struct image_store *s, const struct index_entry *e, struct lease *lease)
{
    auto_arena struct arena a = ARENA_INIT;

    if (!e->d || index_entry_is_image(e))
        return e->row != NULL;
    return index_artifact(s, e->d, lease, &a, NULL, NULL);
}

/* What its document names, of an image or not; NULL: it is not here, or names no blobs. */
static bool read_content(struct image_store *s, const struct oci_descriptor *d, struct arena *a,
                         struct oci_manifest *ret)
{
    struct oci_descriptor *own = NULL;
    struct dist_manifest doc;
    struct remote_manifest m;

    if (!read_document(s, d->digest, a, &m, &own))
        return index_artifact(s, d, NULL, a, ret, &doc);
    *ret = m.man;
    return !m.index;
}

int64_t index_entry_content_b(struct image_store *s, const struct index_entry *e)
{
    auto_arena struct arena a = ARENA_INIT;
    struct oci_manifest man = {0};
    struct strv seen = {0};

    if (!e->d || !read_content(s, e->d, &a, &man))
        return 0;
    int64_t sum = e->d->size;
    sum += man.config && blob_exists(s, man.config->digest) ? man.config->size : 0;
    for (size_t i = 0; i < man.layers.n; i++) {
        const struct oci_descriptor *layer = man.layers.v[i];
        if (!strv_has(&seen, layer->digest) && blob_exists(s, layer->digest))
            sum += layer->size;
        strv_push(&a, &seen, layer->digest);
    }
    return sum;
}

static int no_such_platform(const char *name, const struct index_entry *have,
                            const struct platform *want, struct err *err)
{
    char is[PLATFORM_TEXT], wanted[PLATFORM_TEXT];
    struct platform p;

    platform_of(&p, have->platform);
    return err_not_found(err,
                         "image with reference %s was found but its platform (%s) does not match "
                         "the specified platform (%s)",
                         name, platform_text(&p, is), platform_text(want, wanted));
}

int image_for_platform(struct image_store *s, const char *name, const struct platform *want,
                       struct arena *a, struct image_row *row, struct err *err)
{
    const struct index_entry *best = NULL, *named = NULL;
    struct image_index index;
    int most = 0;
    int r = want ? image_index_read(s, row, a, &index, err) : 0;

    if (r < 0 || !want)
        return r;
    for (size_t i = 0; i < index.n; i++) {
        const struct index_entry *e = &index.v[i];
        struct platform have;
        if (!e->row || !index_entry_is_image(e))
            continue;
        if (str_eq(e->row->id, row->id))
            named = e;
        platform_of(&have, e->platform);
        int score = platform_serves(want, &have) ? platform_score(want, &have) : 0;
        if (score > most) {
            most = score;
            best = e;
        }
    }
    if (!best)
        return no_such_platform(name, named ? named : &index.v[index.n - 1], want, err);
    *row = *best->row;
    row->index = NULL; /* it is this one that counts now */
    return 0;
}

struct oci_descriptor *image_target(struct image_store *s, const struct image_row *row,
                                    struct arena *a)
{
    struct oci_descriptor *d = NULL;
    struct remote_manifest doc;

    return read_document(s, row->index, a, &doc, &d) || read_document(s, row->manifest, a, &doc, &d)
               ? d
               : NULL;
}
