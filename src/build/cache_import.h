/*
 * Caches that the request names (cache_doc.h), in registries and in directories of the client. What
 * they say is read before anything starts. A step that one of
 * them knows is as good as done, but its layer is only promised: it is fetched when somebody wants
 * its files, or the result has it, so that stages of which nothing is needed cost nothing. A cache
 * that cannot be read is told as a warning, and the build goes on without it; when a promise cannot
 * be kept the build begins anew without any.
 */
#pragma once

#include "build/solve-priv.h"

/** cache_import_open() - read what the request names. Return: 0; -ECANCELED, or telling failed. */
int cache_import_open(struct build *b, struct err *err) MUST;
void cache_import_close(struct build *b);
/** cache_import_step() - what a step made, if one of them knows it. Return: 1 with @ret in @a; its
 * layer may be promised; 0; -errno. */
struct build_cache_row;
int cache_import_step(struct build *b, const char *key, struct arena *a,
                      struct build_cache_row *ret, struct err *err) MUST;
/**
 * cache_import_want() - have layers here, as far as they are promised; before they are used
 * @step: whose progress it is; may be NULL
 * Return: 0; -ECANCELED; -errno, and then build->cache_lost says that it was such a layer.
 */
int cache_import_want(struct build *b, const struct strv *layers, const struct build_step *step,
                      struct err *err) MUST;
/** cache_import_result() - the same for the build's result, shown as a step of its own. */
int cache_import_result(struct build *b, struct err *err) MUST;
/** cache_import_promised() - a step that was taken from one of them and is not in the catalog.
 * Return: 1 with *ret, and *ret_blob for its layer or NULL; 0. */
int cache_import_promised(struct build *b, const char *key, struct build_cache_row *ret,
                          const struct oci_descriptor **ret_blob);
/** cache_export_all() - write what the request wants written, after its image was made. */
int cache_export_all(struct build *b, struct err *err) MUST;
