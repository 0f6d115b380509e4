/*
 * docker load: archives of images, docker-archive or OCI layout, compressed as a whole or not. The
 * archive is read once, as it comes: a layer is unpacked into the store while it streams in, and
 * bound to an image when the manifests have been seen. On failure nothing of it remains.
 *
 * Of the platforms of one image all that are whole are loaded; the name is given to that which
 * serves this host best, and the index that holds them together is kept with it.
 */
#pragma once

#include "archive/stream.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"

struct image_store;
struct platform;

struct loaded_image {
    char *id;
    struct strv refs;             /* familiar: "busybox:latest"; empty: loaded without a name */
    VEC_OF(struct strpair) moved; /* key: a name it took; val: the id that had it before */
};

struct load_result {
    struct loaded_image *v;
    size_t n;
};

struct load_options {
    const struct platform *want; /* only images of this platform; NULL: all */
    /* Called now and then while a layer comes in; @layer: 12 hex digits; may be NULL. */
    void (*progress)(void *ctx, const char *layer, uint64_t current_b, uint64_t total_b);
    void *ctx;
};

/**
 * image_load() - load all images of an archive
 * @body: read to its end, by another thread
 * @opts: may be NULL; @ret: lives in @a
 * Return: 0; -ENOENT: nothing in it is of the wanted platform; -EBADMSG, -EINVAL (invalid) on
 * archives that are damaged, hostile or incomplete.
 */
int image_load(struct image_store *s, struct source *body, const struct load_options *opts,
               struct arena *a, struct load_result *ret, struct err *err) MUST;
