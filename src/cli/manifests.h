/*
 * Lists of manifests that are made here, before they are pushed: one directory per list, one file
 * per manifest, in the client's configuration, in docker's own format, so that both programs can go
 * on with what the other began.
 */
#pragma once

#include "base/json.h"
#include "cli/cli.h"
#include "distribution/descriptor.h"
#include "distribution/reference.h"

#define INSECURE_HELP "Talk to a registry without TLS, or with any certificate"

#define MANIFESTS_MAX 1000 /* of one list */

/* One manifest of a list. */
struct listed_manifest {
    char *ref; /* full: "docker.io/library/busybox:latest" */
    struct oci_descriptor descriptor;
    char *raw; /* its bytes, as base64 */
    /* the same as JSON, under the name of its kind; the other is empty */
    struct json_raw docker, oci;
};

struct listed_manifests {
    struct listed_manifest **v;
    size_t n;
};

/* What is pushed, and shown of a list. */
struct manifest_list {
    int64_t schema_version;
    char *media_type;
    VEC_OF(struct oci_descriptor *) manifests;
};

extern const struct json_type listed_manifest_type, manifest_list_type;

/** manifest_reference() - as docker reads names here: with a tag if it has no digest. */
int manifest_reference(const char *text, struct reference *ret, struct err *err) MUST;

/** manifests_get() - one of a list, in the arena. Return: 0; -ENOENT "No such manifest: x". */
int manifests_get(struct cli *cli, const struct reference *list, const struct reference *ref,
                  struct listed_manifest **ret, struct err *err) MUST;
/** manifests_all() - a whole list. Return: 0; -ENOENT "No such manifest: x". */
int manifests_all(struct cli *cli, const struct reference *list, struct listed_manifests *ret,
                  struct err *err) MUST;
/** manifests_put() - add or replace one; makes the list if need be. */
int manifests_put(struct cli *cli, const struct reference *list, const struct reference *ref,
                  const struct listed_manifest *m, struct err *err) MUST;
int manifests_remove(struct cli *cli, const struct reference *list, struct err *err) MUST;

/**
 * manifests_encode() - the list as it is, or would be, in a registry
 * @target: its name; all manifests must be of its registry
 * @out: indented as docker does, since that makes the digest
 */
int manifests_encode(struct cli *cli, const struct reference *target,
                     const struct listed_manifests *all, struct manifest_list *list,
                     struct buf *out, struct err *err) MUST;

/* ---- registries (manifest_remote.c) ---- */

struct dist_session;

/** remote_open() - a session with the registry of @ref, with the user's credentials.
 * @insecure: http, or TLS with any certificate, will do */
int remote_open(struct cli *cli, const struct reference *ref, bool insecure, bool push,
                struct dist_session **ret, struct err *err) MUST;
/**
 * remote_manifest() - one manifest with the platform that its image is for
 * Return: 0; 1: it is a list; -ENOENT "no such manifest: x".
 */
int remote_manifest(struct cli *cli, struct dist_session *s, const struct reference *ref,
                    struct listed_manifest **ret, struct err *err) MUST;
/** remote_list() - the manifests of a list, with the platforms that it says. */
int remote_list(struct cli *cli, struct dist_session *s, const struct reference *ref,
                struct listed_manifests *ret, struct err *err) MUST;
/** remote_copy() - let the repository of @to have what @m names, from its own: blobs are mounted.
 */
int remote_copy(struct cli *cli, struct dist_session *s, const struct listed_manifest *m,
                const struct reference *to, struct err *err) MUST;

/** reference_repo() - path of the repository within its registry. */
static inline const char *reference_repo(const struct reference *r)
{
    return r->name + r->domain_len + 1;
}
