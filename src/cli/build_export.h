/* cleat build: what is said of the result beside its files: annotations, attestations, compression.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "wire/build_export.h"

struct build_flags;
struct cli;

/** build_export_field() - a field of --output. Return: 1; 0: it is none of these; -EINVAL. */
int build_export_field(struct build_export *e, const char *key, char *val, struct arena *a,
                       struct err *err) MUST;
/** build_export_flags() - --annotation, --attest, --provenance and --sbom. */
int build_export_flags(struct cli *cli, struct build_flags *f, struct err *err) MUST;
/** build_export_text() - the parameter of POST /build, or NULL when there is nothing to say. */
char *build_export_text(const struct build_export *e, struct arena *a);
