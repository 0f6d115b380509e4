/*
 * What refers to a manifest: signatures, attestations, lists of what is in an image. A registry
 * tells by an API of its own, or, where that is missing, by an index under the tag
 * "sha256-<hex of the digest>" that clients keep.
 * Source: OCI distribution spec 1.1, "Listing Referrers", "Referrers Tag Schema".
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "distribution/descriptor.h"

struct dist_session;

#define DIST_REFERRERS_MAX 10000

struct dist_referrers {
    VEC_OF(struct oci_descriptor *) manifests;
    bool by_tag; /* the registry has not got the API */
};

/**
 * dist_referrers() - list them
 * @digest: of the manifest or index that they are about
 * @artifact_type: only these; NULL: all
 * Return: 0, also when there are none, in @a; -EINVAL, -E2BIG; see error.h.
 */
int dist_referrers(struct dist_session *s, const char *repo, const char *digest,
                   const char *artifact_type, struct arena *a, struct dist_referrers *ret,
                   struct err *err) MUST;
