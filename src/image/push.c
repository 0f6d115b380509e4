#include "image/push.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/failpoint.h"
#include "distribution/upload.h"
#include "image/document.h"
#include "image/index.h"
#include "image/push-priv.h"
#include "image/store.h"
#include "store/blobs.h"
#include "store/db.h"
#include "store/layer_blobs.h"

int push_say(struct push *p, const char *id, const char *status, struct err *err)
{
    struct transfer_event e = {.id = id, .status = status};

    return transfer_report_event(&p->report, &e, err);
}

const char *push_ref(const struct push *p)
{
    return p->o->by_digest ? NULL : p->o->ref->tag;
}

/* ---- what is to be pushed ---- */

static void hold_image(struct push *p)
{
    lease_add(p->lease, p->row.id);
    if (p->row.manifest)
        lease_add(p->lease, p->row.manifest);
    for (size_t i = 0; i < p->row.layers.n; i++)
        lease_add(p->lease, p->row.layers.v[i]);
}

static int find_image(struct push *p, struct err *err)
{
    char name[REF_TEXT_MAX + 1], shown[REF_TEXT_MAX + 1];
    int r = image_by_tag(p->s, reference_text(p->o->ref, name), p->a, &p->row, err);

    if (r == -ENOENT)
        return err_not_found(err, "tag does not exist: %s", reference_familiar(p->o->ref, shown));
    if (r >= 0)
        r = image_for_platform(p->s, reference_familiar(p->o->ref, shown), p->o->want, p->a,
                               &p->row, err);
    if (r >= 0)
        hold_image(p);
    return r;
}

/* The manifest by which the image came, if there is one and it can be read. */
static void find_origin(struct push *p)
{
    auto_buf struct buf text = BUF_INIT;
    struct dist_manifest doc = {.media_type = ""};

    if (!p->row.manifest || blob_read(p->s, p->row.manifest, &text, NULL) < 0)
        return;
    doc.text = arena_strndup(p->a, buf_str(&text), text.len);
    doc.len = text.len;
    (void)snprintf(doc.digest, sizeof(doc.digest), "%s", p->row.manifest);
    struct remote_manifest m;
    if (remote_manifest_check(&doc, p->a, &m, NULL) < 0 || m.index ||
        !str_eq(m.man.config->digest, p->row.id))
        return;
    p->came = m;
    for (size_t i = 0; i < m.man.layers.n; i++)
        lease_add(p->lease, m.man.layers.v[i]->digest);
}

/* ---- the manifest ---- */

static bool as_it_came(const struct push *p)
{
    const struct oci_manifest *man = &p->came.man;

    if (!p->came.doc.text || man->layers.n != p->row.layers.n)
        return false;
    for (size_t i = 0; i < man->layers.n; i++)
        if (strcmp(man->layers.v[i]->digest, p->layers[i].digest) != 0)
            return false;
    return true;
}

/* Docker's media types know no zstd; OCI's do. */
static bool want_oci(const struct push *p)
{
    if (p->came.doc.text && strcmp(p->came.doc.media_type, MEDIA_OCI_MANIFEST) == 0)
        return true;
    for (size_t i = 0; i < p->row.layers.n; i++)
        if (descriptor_is_zstd(&p->layers[i]))
            return true;
    return false;
}

/* What was said of the image in the manifest by which it came is said in the new one. */
static void new_manifest(struct push *p, size_t config_len, struct dist_manifest *ret)
{
    struct oci_descriptor config = {.digest = p->row.id, .size = (int64_t)config_len};
    bool oci = want_oci(p);
    struct document doc;

    image_manifest_make(oci, &config, p->layers, p->row.layers.n,
                        oci && p->came.doc.text ? &p->came.man.annotations : NULL, p->a, &doc);
    *ret = document_dist(&doc);
}

/* ---- afterwards ---- */

/* Of an image: an image that was made here gets this manifest, so that the next push elsewhere
 * sends the same; one that came by another keeps that. */
static int record_manifest(struct push *p, const struct dist_manifest *m, struct err *err)
{
    struct strv blobs = {0};
    int r = 0;

    for (size_t i = 0; i < p->row.layers.n; i++)
        strv_push(p->a, &blobs, p->layers[i].digest);
    if (!p->came.doc.text)
        r = image_manifest_set(p->s, p->row.id, m->digest, err);
    return r < 0 ? r : manifest_blobs_set(p->s, m->digest, &blobs, err);
}

/* The name by digest that the image has now. @m: its manifest; @index: what was pushed around it,
 * or NULL. */
static int record(struct push *p, const struct dist_manifest *m, const struct dist_manifest *index,
                  struct err *err)
{
    const struct dist_manifest *top = index ? index : m;
    const char *name = arena_printf(p->a, "%s@%s", p->o->ref->name, top->digest);
    struct db *db = image_store_db(p->s);
    struct image_row row;
    int r = blob_put(p->s, m->text, m->len, p->lease, NULL, err);

    if (r >= 0 && index)
        r = blob_put(p->s, index->text, index->len, p->lease, NULL, err);
    if (r < 0 || (r = db_begin(db, err)) < 0)
        return r;
    auto_tx struct db *tx = db;
    r = image_by_id(p->s, p->row.id, p->a, &row, err);
    if (r == -ENOENT) { /* removed meanwhile: there is nothing to remember, and nothing wrong */
        err_clear(err);
        return 0;
    }
    if (r >= 0)
        r = image_digest_set(p->s, name, p->row.id, err);
    if (r >= 0)
        r = image_name_origin_set(p->s, name, m->digest, index ? index->digest : NULL, err);
    if (r >= 0 && !index)
        r = record_manifest(p, m, err);
    return r < 0 ? r : db_commit(&tx, err);
}

static int finish(struct push *p, const struct dist_manifest *m, struct err *err)
{
    const char *tag = str_or(push_ref(p), "");
    struct transfer_event aux = {.aux_tag = tag, .digest = m->digest, .total_b = m->len};
    int r = push_say(
        p, NULL,
        arena_printf(p->a, "%s%sdigest: %s size: %zu", tag, *tag ? ": " : "", m->digest, m->len),
        err);

    return r < 0 ? r : transfer_report_event(&p->report, &aux, err);
}

/* ---- one image ---- */

static int push_config(struct push *p, struct dist_manifest *m, struct err *err)
{
    auto_buf struct buf config = BUF_INIT;
    int r = blob_read(p->s, p->row.id, &config, err);

    if (r >= 0)
        r = dist_upload_blob(p->o->session, p->repo, config.data, config.len, err);
    if (r < 0)
        return err_wrap(err, r, "config of the image");
    FAIL_POINT("image.push.config", err);
    if (as_it_came(p))
        *m = p->came.doc;
    else
        new_manifest(p, config.len, m);
    return 0;
}

int push_image(struct push *p, const char *ref, struct dist_manifest *m, struct err *err)
{
    hold_image(p);
    p->came = (struct remote_manifest){0};
    find_origin(p);
    int r = push_layers(p, err);
    if (r < 0)
        return r;
    FAIL_POINT("image.push.layers", err);
    r = push_config(p, m, err);
    return r < 0 ? r : dist_manifest_put(p->o->session, p->repo, ref ? ref : m->digest, m, err);
}

/* ---- the whole ---- */

/* All that the name means, when all of it is here; else the one image that is. */
static int push_target(struct push *p, struct dist_manifest *m, struct dist_manifest *index,
                       struct err *err)
{
    const struct image_row named = p->row;
    int r = push_index(p, m, index, err);

    if (r != 0)
        return r < 0 ? r : 0;
    p->row = named;
    r = push_choose(p, err);
    return r < 0 ? r : push_image(p, push_ref(p), m, err);
}

static int tell_instead(struct push *p, const struct dist_manifest *m, struct err *err)
{
    struct oci_descriptor selected = {.media_type = arena_strdup(p->a, m->media_type),
                                      .digest = arena_strdup(p->a, m->digest),
                                      .size = (int64_t)m->len};
    struct transfer_event e = {.whole = p->whole, .instead = &selected};

    return p->whole ? transfer_report_event(&p->report, &e, err) : 0;
}

static int push(struct push *p, char ret_digest[DIGEST_LEN + 1], struct err *err)
{
    struct dist_manifest m = {0}, index = {0};

    FAIL_POINT("image.push.before", err);
    int r = find_image(p, err);
    if (r >= 0)
        r = push_target(p, &m, &index, err);
    if (r < 0)
        return r;
    const struct dist_manifest *top = index.text ? &index : &m;
    FAIL_POINT("image.push.pushed", err);
    r = record(p, &m, index.text ? &index : NULL, err);
    if (r < 0)
        return r;
    FAIL_POINT("image.push.after", err);
    if (ret_digest)
        memcpy(ret_digest, top->digest, sizeof(top->digest));
    r = finish(p, top, err);
    return r < 0 ? r : tell_instead(p, &m, err);
}

int image_push(struct image_store *s, const struct push_options *o, char ret_digest[DIGEST_LEN + 1],
               struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct push p = {.s = s, .o = o, .a = &a, .lease = lease_new(s)};

    p.repo = o->ref->name + o->ref->domain_len + 1;
    p.registry = arena_strndup(&a, o->ref->name, o->ref->domain_len + 1);
    transfer_report_init(&p.report, o->tell, o->ctx);
    int r = push(&p, ret_digest, err);
    lease_free(p.lease);
    transfer_report_done(&p.report);
    return r;
}
