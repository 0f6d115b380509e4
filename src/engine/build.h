/* Builds, as front ends ask for them. */
#pragma once

#include "build/build.h"
#include "build/prune.h"
#include "engine/engine.h"
#include "wire/registry.h"

struct sink;

/* Credentials of the registries that bases may come from. */
struct build_auths {
    struct auth_config **v; /* server_address: the registry */
    size_t n;
};

struct build_opts {
    const char *dockerfile; /* path in the context; NULL or "": Dockerfile */
    const char *remote;     /* where the context comes from instead of the body; "" for the body */
    const char *session;    /* id of what engine_build_session() keeps, or NULL */
    struct strmap contexts; /* further ones by name: "docker-image://NAME", a Git repository, or
                               BUILD_CONTEXT_SENT */
    struct strv tags;       /* as users write them */
    struct build_auths auths;
    struct build_request rq; /* what the front end knows; file, context and names come from here */
};

#define BUILD_SECRETS_MAX 64
#define BUILD_SECRET_MAX (500u << 10) /* bytes of one */
#define BUILD_SESSION_ID 32           /* hex digits */

/**
 * engine_build_session() - POST /build/session: keep secrets for a build that names them
 * In memory, and no longer than a minute when no build comes.
 * @ret_id: BUILD_SESSION_ID digits and a NUL
 */
struct build_session_request;
int engine_build_session(struct engine *e, const struct build_session_request *rq, char *ret_id,
                         struct err *err) MUST;

/* Connections to a client that a session's build asks over. */
enum build_line {
    BUILD_LINE_AGENT,  /* POST /build/session/{id}/ssh: an ssh-agent */
    BUILD_LINE_LAYOUT, /* POST /build/session/{id}/layout: a directory (wire/layout.h) */
};
/**
 * engine_build_line_begin() - would engine_build_line_end() take one? Asked before the connection
 * is the client's no more.
 * @ret: no build gets the session until engine_build_line_end(), which must follow: the client may
 *   ask for the build as soon as it has its answer
 */
struct build_session;
int engine_build_line_begin(struct engine *e, const char *session, enum build_line kind,
                            const char *id, struct build_session **ret, struct err *err) MUST;
/** engine_build_line_end() - @fd: given away; -1: there is no connection after all. */
int engine_build_line_end(struct build_session *s, enum build_line kind, const char *id, int fd,
                          struct err *err) MUST;

/**
 * engine_build_context() - POST /build/context: what is missing of a context for a build that
 * names the session
 * @session: one that is there, or NULL for a new one
 * @name: by which the build calls it; NULL: the build's own
 */
struct build_context_request;
struct build_context_response;
int engine_build_context(struct engine *e, const char *session, const char *name,
                         const struct build_context_request *rq, struct arena *a,
                         struct build_context_response *ret, struct err *err) MUST;
/** engine_build_context_files() - POST /build/session/{id}/context: the missing files of one with a
 * name, or all of one that was not listed, as a tar. Return: 0; -ESTALE (conflict). */
int engine_build_context_files(struct engine *e, const char *session, const char *name,
                               img_read read, void *arg, struct err *err) MUST;
/** engine_build_layout_image() - POST /build/session/{id}/image: an image for the one build, as an
 * archive of an OCI layout. @platform: which of several, or NULL. */
int engine_build_layout_image(struct engine *e, const char *session, const char *name,
                              const char *platform, img_read read, void *arg, struct err *err) MUST;

/* ---- history ---- */

struct build_record;
struct build_records {
    struct build_record **v;
    size_t n;
};
/** engine_build_history() - GET /build/history: what builds there were, the newest first, without
 * their steps. @f: "status", "ref" (the beginning of an id), "name". */
int engine_build_history(struct engine *e, const struct filters *f, struct arena *a,
                         struct build_records *ret, struct err *err) MUST;
/**
 * engine_build_record() - one of them
 * @ref: the beginning of an id, or "^N": the Nth before the newest
 * Return: 0; -ENOENT; -ENOTUNIQ (invalid).
 */
int engine_build_record(struct engine *e, const char *ref, struct arena *a,
                        struct build_record *ret, struct err *err) MUST;
/** engine_build_record_log() - what it said: JSON messages as POST /build?progress=status sends
 * them, into @out. */
int engine_build_record_log(struct engine *e, const char *ref, struct sink *out,
                            struct err *err) MUST;
/** engine_build_record_remove() - @ref: NULL for all that have ended. Return: 0; -ENOENT; -EBUSY
 * (conflict): it runs. */
int engine_build_record_remove(struct engine *e, const char *ref, struct err *err) MUST;

/* ---- prune ---- */

struct build_prune_opts {
    bool all;
    struct build_space space;
    struct filters filters;
};
/** engine_build_prune() - POST /build/prune. */
int engine_build_prune(struct engine *e, const struct build_prune_opts *o, struct arena *a,
                       struct build_prune_response *ret, struct err *err) MUST;

/**
 * img_build() - build an image
 * @read: the context: a tar, compressed or not
 * Return: as build_image().
 */
int img_build(struct engine *e, const struct build_opts *o, img_read read, void *arg,
              struct arena *a, struct build_result *ret, struct err *err) MUST;
