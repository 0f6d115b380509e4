/* What comes of a build, while it is put together: result*.c, attest.c. */
#pragma once

#include "build/solve-priv.h"
#include "image/document.h"
#include "image/packed.h"

struct result_image {
    struct target *target;
    char *id; /* "sha256:<hex>" */
    struct buf config;
    struct document manifest; /* d.digest NULL: none is made */
    struct strv blobs;        /* of its layers, as the manifest names them */
};

struct result {
    struct build *b;
    struct arena *a;
    struct result_image *v;                  /* one per target */
    size_t n, named;                         /* which of them the names mean */
    struct document index;                   /* d.digest NULL: none is made */
    VEC_OF(struct oci_descriptor *) entries; /* of it */
    struct strv parts;                       /* blobs of it that are here */
};

/** result_documents() - manifests, attestations, an index, as far as they are wanted; all of them
 * are blobs then, held by the build's lease. */
int result_documents(struct result *x, struct err *err) MUST;
/** result_keep() - a document becomes a blob that stays as long as the index. */
int result_keep(struct result *x, const struct document *doc, struct err *err) MUST;

/* result_layers.c */
/** result_pack() - compress what has to be, of all images; layer_packed() finds it then. */
int result_pack(struct result *x, const struct packing *how, struct err *err) MUST;

/** export_check() - can what the request wants be made? Before anything is built. */
int export_check(const struct build *b, struct err *err) MUST;
/** export_annotations() - those of a level for a platform; NULL: of the index. */
struct strmap export_annotations(const struct build *b, const char *level, const struct platform *p,
                                 struct arena *a);

/* attest.c */
/** attest_image() - attestations about an image, as a manifest in the index. */
int attest_image(struct result *x, const struct result_image *img, struct err *err) MUST;
