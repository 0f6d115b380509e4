/*
 * Caches that the request names (cache_doc.h), in registries and in directories of the client. What
 * they say is read before anything starts; a layer is fetched when a step asks for its key, and
 * then the step is known here as if it had been carried out. One that cannot be read, or whose
 * layers cannot be had, is told as a warning, and the build goes on without it.
 */
#pragma once

#include "build/solve-priv.h"

/** cache_import_open() - read what the request names. Return: 0; -ECANCELED, or telling failed. */
int cache_import_open(struct build *b, struct err *err) MUST;
void cache_import_close(struct build *b);
/**
 * cache_import_step() - make a step known here that one of them knows
 * @step: whose progress it is
 * Return: 1: it is in the catalog now; 0: none knows it; -ECANCELED, -errno.
 */
int cache_import_step(struct build *b, const struct build_step *step, const char *key,
                      struct err *err) MUST;
/** cache_export_all() - write what the request wants written, after its image was made. */
int cache_export_all(struct build *b, struct err *err) MUST;
