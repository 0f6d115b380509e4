/*
 * The document of a cache that lies outside of the store: which steps are known, and what they
 * made. It is the config of an OCI manifest, whose layers are the document's, in the same order; so
 * every registry and every layout takes it. An image with an inline cache says the same of itself.
 */
#pragma once

#include "image/remote.h"

#define MEDIA_BUILD_CACHE "application/vnd.cleat.build.cache.v1+json"
#define CACHE_DOC_VERSION 1
#define CACHE_STEPS_MAX 65536

struct cache_step {
    char *key;          /* "sha256:<hex>" */
    int64_t layer;      /* place in the document's layers; -1: it changed no file */
    int64_t created_ns; /* 0: not known */
    char *text;         /* "RUN make" */
};

struct cache_doc {
    int64_t version;
    struct strv layers; /* diff IDs */
    struct {
        struct cache_step **v;
        size_t n;
    } steps;
};

/**
 * cache_doc_read() - decode and check a document or an image's config
 * @man: the manifest that names it
 * Return: 0 in @a; -EINVAL, also for another version.
 */
int cache_doc_read(const struct oci_manifest *man, const char *text, size_t len, struct arena *a,
                   struct cache_doc *ret, struct err *err) MUST;
/** cache_doc_write() - the document, and the manifest of it. @layers: doc->layers.n of them. */
void cache_doc_write(const struct cache_doc *doc, struct oci_descriptor *layers, struct buf *out,
                     struct buf *out_manifest);
