/* What attestations say: how an image came to be, and what packages it has. */
#pragma once

#include "build/result-priv.h"

#define PROVENANCE_TYPE "https://slsa.dev/provenance/v0.2"
#define SBOM_TYPE "https://spdx.dev/Document"

/**
 * provenance_make() - how the image was built, as a predicate of SLSA 0.2
 * @max: with the steps, the Dockerfile, all parameters and the ids of secrets; else without what
 * may tell more than its author meant
 */
void provenance_make(const struct result *x, const struct result_image *img, bool max,
                     struct buf *out);

/**
 * sbom_make() - what packages the image has, as a document of SPDX 2.3
 * Read from the databases of dpkg and apk in its files, which are not trusted. One of rpm is told
 * of as a warning of the build, and in the document. Return: 0; -errno: its files could not be
 * read.
 */
int sbom_make(const struct result *x, const struct result_image *img, struct buf *out,
              struct err *err) MUST;

/** attest_time() - what attestations call now: SOURCE_DATE_EPOCH when it is given, else @t. */
char *attest_time(const struct build *b, int64_t t, struct arena *a);
