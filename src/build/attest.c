/*
 * Attestations about an image, as BuildKit lays them out: a manifest in the image's index, for the
 * platform unknown/unknown, whose layers are in-toto statements about the image's manifest.
 *
 * Source: in-toto Statement v0.1; BuildKit, docs/attestations/attestation-storage.md.
 */
#include "build/attest.h"

#include <string.h>

#include "build/purl.h"
#include "image/index.h"
#include "wire/build_export.h"

#define STATEMENT "https://in-toto.io/Statement/v0.1"
#define MEDIA_STATEMENT "application/vnd.in-toto+json"
#define ANNOTATION_PREDICATE "in-toto.io/predicate-type"

struct attestation {
    struct result *x;
    const struct result_image *img;
    struct oci_image config; /* diff IDs are the layers' digests */
    struct oci_manifest man;
};

/* ---- statements ---- */

static void put_subject(struct json_w *w, const char *name, const char *digest)
{
    json_w_obj(w);
    json_w_key(w, "name");
    json_w_str(w, name);
    json_w_key(w, "digest");
    json_w_obj(w);
    json_w_key(w, "sha256");
    json_w_str(w, digest + strlen("sha256:"));
    json_w_end_obj(w);
    json_w_end_obj(w);
}

static void put_subjects(const struct attestation *at, struct json_w *w)
{
    const struct strv *names = &at->x->b->rq->names;
    const char *digest = at->img->manifest.d.digest;

    json_w_arr(w);
    for (size_t i = 0; i < names->n; i++)
        put_subject(w, purl_image(names->v[i], &at->img->target->platform, at->x->a), digest);
    if (names->n == 0)
        put_subject(w, "_", digest); /* a subject must have a name */
    json_w_end_arr(w);
}

static int add_statement(struct attestation *at, const char *type, const struct buf *predicate,
                         struct err *err)
{
    auto_buf struct buf text = BUF_INIT, pretty = BUF_INIT;
    struct json_w w = {.out = &text};
    struct document *doc = arena_new(at->x->a, struct document);

    json_w_obj(&w);
    json_w_key(&w, "_type");
    json_w_str(&w, STATEMENT);
    json_w_key(&w, "predicateType");
    json_w_str(&w, type);
    json_w_key(&w, "subject");
    put_subjects(at, &w);
    json_w_key(&w, "predicate");
    json_w_raw(&w, buf_str(predicate), predicate->len);
    json_w_end_obj(&w);
    json_pretty(text.data, text.len, "", "  ", &pretty);
    document_blob(MEDIA_STATEMENT, pretty.data, pretty.len, at->x->a, doc);
    strmap_set(at->x->a, &doc->d.annotations, ANNOTATION_PREDICATE, type);
    arena_push(at->x->a, at->man.layers) = &doc->d;
    strv_push(at->x->a, &at->config.rootfs.diff_ids, doc->d.digest);
    return result_keep(at->x, doc, err);
}

static int add_sbom(struct attestation *at, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = sbom_make(at->x, at->img, &text, err);

    return r < 0 ? r : add_statement(at, SBOM_TYPE, &text, err);
}

static int add_provenance(struct attestation *at, bool max, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;

    provenance_make(at->x, at->img, max, &text);
    return add_statement(at, PROVENANCE_TYPE, &text, err);
}

/* ---- the manifest ---- */

static int add_config(struct attestation *at, struct err *err)
{
    static char unknown[] = "unknown", layers[] = "layers";
    struct document *doc = arena_new(at->x->a, struct document);
    auto_buf struct buf text = BUF_INIT;

    at->config.architecture = at->config.os = unknown;
    at->config.config = arena_new(at->x->a, struct oci_image_config);
    at->config.rootfs.type = layers;
    json_encode(&oci_image_type, &at->config, &text);
    document_blob(MEDIA_OCI_CONFIG, text.data, text.len, at->x->a, doc);
    at->man.config = &doc->d;
    return result_keep(at->x, doc, err);
}

static int add_manifest(struct attestation *at, struct err *err)
{
    static char unknown[] = "unknown";
    struct document *doc = arena_new(at->x->a, struct document);

    at->man.schema_version = 2;
    at->man.media_type = arena_strdup(at->x->a, MEDIA_OCI_MANIFEST);
    document_make(&at->man, at->x->a, doc);
    strmap_set(at->x->a, &doc->d.annotations, ANNOTATION_REFERENCE_DIGEST,
               at->img->manifest.d.digest);
    strmap_set(at->x->a, &doc->d.annotations, ANNOTATION_REFERENCE_TYPE, "attestation-manifest");
    doc->d.platform = arena_new(at->x->a, struct oci_platform);
    doc->d.platform->architecture = doc->d.platform->os = unknown;
    arena_push(at->x->a, at->x->entries) = &doc->d;
    return result_keep(at->x, doc, err);
}

int attest_image(struct result *x, const struct result_image *img, struct err *err)
{
    const struct build_export *e = x->b->rq->export;
    struct attestation at = {.x = x, .img = img};
    int r = e->sbom ? add_sbom(&at, err) : 0;

    if (r >= 0 && !str_empty(e->provenance))
        r = add_provenance(&at, str_eq(e->provenance, "max"), err);
    if (r >= 0)
        r = add_config(&at, err);
    return r < 0 ? r : add_manifest(&at, err);
}
