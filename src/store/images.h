/*
 * Rows of images and their names. An image's id is the digest of its config, which lies in the blob
 * store. Names are normalized references ("docker.io/library/busybox:latest"):
 * distribution/reference.h makes and shortens them; here they are opaque texts.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image_store;

struct image_row {
    char *id;            /* "sha256:<hex>", digest of the config blob */
    char *manifest;      /* digest of the manifest blob it came by, or NULL; of image_by_tag(): that
                            by which it came under this name */
    char *index;         /* digest of the index blob that its name means (of image_by_tag()), or one
                            of its names; or NULL */
    char *parent;        /* id of the image it was built on, or NULL */
    bool in_index;       /* an index that a tag means names its manifest; read only */
    int64_t created_ns;  /* from the config; 0: not told */
    int64_t tagged_ns;   /* when a name was last given to it; 0: never */
    int64_t size;        /* bytes of all layers' content */
    struct strv layers;  /* diff IDs, bottom first */
    struct strv tags;    /* sorted; read only: image_insert() does not write these two */
    struct strv digests; /* "name@sha256:<hex>", sorted */
};

struct image_rows {
    struct image_row *v;
    size_t n;
};

/**
 * image_insert() - add an image; its config blob and layers must exist
 * Return: 0; 1: it was there already, nothing changed; -ENOLINK: a layer is missing.
 */
int image_insert(struct image_store *s, const struct image_row *row, struct err *err) MUST;

/** image_by_id() - @id: "sha256:<hex>". Return: 0; -ENOENT. Results live in @a (here and below). */
int image_by_id(struct image_store *s, const char *id, struct arena *a, struct image_row *ret,
                struct err *err) MUST;
/** image_by_prefix() - @hex: 1-64 hex digits. Return: 0; -ENOENT; -ENOTUNIQ (invalid). */
int image_by_prefix(struct image_store *s, const char *hex, struct arena *a, struct image_row *ret,
                    struct err *err) MUST;
/** image_by_tag() - @name: a normalized reference with a tag, or "name@digest". Return: 0; -ENOENT.
 */
int image_by_tag(struct image_store *s, const char *name, struct arena *a, struct image_row *ret,
                 struct err *err) MUST;
/** image_rows_all() - every image, newest first. */
int image_rows_all(struct image_store *s, struct arena *a, struct image_rows *ret,
                   struct err *err) MUST;
/** image_by_manifest() - the image that came by a manifest, under whatever name. Return: 0;
 * -ENOENT. */
int image_by_manifest(struct image_store *s, const char *digest, struct arena *a,
                      struct image_row *ret, struct err *err) MUST;
/** image_by_index() - the image that a name means which means this index, with it. Return: 0;
 * -ENOENT.
 */
int image_by_index(struct image_store *s, const char *digest, struct arena *a,
                   struct image_row *ret, struct err *err) MUST;
/** image_has_child() - Return: 1 when another image names it as its parent, 0, -errno. */
int image_has_child(struct image_store *s, const char *id, struct err *err) MUST;

/**
 * image_tag_set() - give @name to an image, taking it from another one
 * @old_id: room for the id that had the name, "" if none did; may be NULL
 * Return: 0; 1: the name moved from another image; -ENOENT: no such image.
 */
int image_tag_set(struct image_store *s, const char *name, const char *id,
                  char old_id[DIGEST_LEN + 1], struct err *err) MUST;
/** image_tag_delete() - Return: 0; 1: there was no such name. */
int image_tag_delete(struct image_store *s, const char *name, struct err *err) MUST;
/** image_digest_set() - record "name@sha256:<hex>" for an image. */
int image_digest_set(struct image_store *s, const char *name, const char *id, struct err *err) MUST;
int image_digest_delete(struct image_store *s, const char *name, struct err *err) MUST;
/** image_name_origin_set() - the manifest by which a name (tag, or "name@digest") came, and the
 * index that chose it, or NULL; giving the name anew forgets both, and the image's own manifest
 * counts. Both blobs are kept as long as the name. */
int image_name_origin_set(struct image_store *s, const char *name, const char *manifest,
                          const char *index, struct err *err) MUST;
/** index_parts_set() - which blobs belong to an index and are here: they are kept as long as a name
 * means it, and images by these manifests belong together. */
int index_parts_set(struct image_store *s, const char *index, const struct strv *blobs,
                    struct err *err) MUST;
/** image_manifest_set() - the manifest by which it last came; its blob is kept as long as the
 * image. */
int image_manifest_set(struct image_store *s, const char *id, const char *digest,
                       struct err *err) MUST;

/**
 * image_delete() - forget an image and all its names. Its files stay until store_gc(). If a
 * container was made from it, its layers stay as long as that container.
 * Return: 0; -ENOENT.
 */
int image_delete(struct image_store *s, const char *id, struct err *err) MUST;
