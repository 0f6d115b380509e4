/* What save_plan.c finds and save.c writes. */
#pragma once

#include "image/manifest.h"
#include "image/save.h"
#include "image/store.h"

struct export_platform {
    struct image_row row;
    struct oci_descriptor manifest; /* with its platform */
};

/* One element of manifest.json. */
struct export_image {
    struct strv refs;             /* full, with tag */
    struct export_platform named; /* what the names mean here */
    struct strv blobs; /* of its layers, in the archive; none: plain tars, by their diff IDs */
    struct {
        struct export_platform *v;
        size_t n;
    } platforms;                  /* all that are here, in the index's order; empty: only that */
    const char *index;            /* digest of the index, when there are several; else NULL */
    struct oci_descriptor target; /* in index.json: the manifest, or an index of the platforms */
};

/* A member of blobs/sha256: bytes in memory, or a layer. */
struct export_blob {
    char *digest;
    const char *text; /* NULL: a layer: */
    uint64_t size;
    const char *diff_id, *media_type; /* of a layer; NULL, NULL: a plain tar, @digest is both */
};

struct image_export {
    struct image_store *s;
    const struct save_options *o;
    struct lease *lease; /* what is being saved may be removed meanwhile */
    struct arena a;
    struct {
        struct export_image *v;
        size_t n;
    } images;
    struct {
        struct export_blob *v;
        size_t n;
    } blobs; /* sorted */
};

/** export_add_blob() - once; @b's texts are shared. */
void export_add_blob(struct image_export *x, const struct export_blob *b);
/**
 * export_original() - all that a name came by, instead of documents of our own (save_original.c)
 * Return: 1: done; 0: it came by nothing; -ENODATA, -errno.
 */
int export_original(struct image_export *x, struct export_image *img, struct err *err) MUST;
