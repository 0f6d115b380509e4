/*
 * How a build goes on, for clients that draw it: objects in the shape of BuildKit's status
 * (client.SolveStatus), one in the "aux" of a progress message whose id is BUILD_STATUS_ID. They
 * are sent when a request asks for them with "progress=status"; else the classic text is.
 */
#pragma once

#include "base/json.h"
#include "base/str.h"
#include "distribution/descriptor.h"

#define BUILD_STATUS_ID "cleat.build"
#define BUILD_RESULT_ID "cleat.build.result"

/* A step. Sent again whenever something of it changes; times are RFC 3339, or NULL. */
struct build_vertex {
    char *digest; /* names it within this build */
    char *name;   /* "[build 2/5] RUN make" */
    char *started, *completed;
    bool cached;
    char *error;
};

/* A bar of a step: a layer that is pulled. */
struct build_vertex_status {
    char *id;     /* "1a2b3c4d5e6f" */
    char *vertex; /* digest of the step */
    char *name;   /* "Downloading" */
    int64_t current, total;
    char *timestamp, *started, *completed;
};

struct build_vertex_log {
    char *vertex;
    int64_t stream; /* 1 or 2 */
    char *data;     /* base64 */
    char *timestamp;
};

struct build_vertex_warning {
    char *vertex; /* NULL: of the Dockerfile */
    int64_t level;
    char *rule;       /* "StageNameCasing" */
    char *short_text; /* base64 */
    char *description, *url;
    int64_t line, end_line;
};

struct build_status {
    VEC_OF(struct build_vertex *) vertexes;
    VEC_OF(struct build_vertex_status *) statuses;
    VEC_OF(struct build_vertex_log *) logs;
    VEC_OF(struct build_vertex_warning *) warnings;
    char *excerpt; /* of the Dockerfile, where it failed */
};

/* At the end, as the "aux" of BUILD_RESULT_ID. */
struct build_result_platform {
    char *platform;       /* "linux/arm64" */
    char *image, *digest; /* its id, and its manifest's digest if it has one by now */
};

struct build_result_message {
    char *image;       /* "sha256:<hex>"; of several, the one that the names mean here */
    struct strv names; /* full names it was given */
    struct oci_descriptor *descriptor; /* the index, or the only manifest; NULL: none was made */
    VEC_OF(struct build_result_platform *) platforms;
};

/*
 * POST /build/session: what a build needs and must leave no trace: it travels in a body, not in a
 * URL or a header, and is kept in memory until the build that names the session has used it up.
 */
struct build_session_secret {
    char *id;
    char *data; /* base64 */
};

struct build_session_request {
    VEC_OF(struct build_session_secret *) secrets;
};

/*
 * POST /build/context: what a directory holds, so that only what changed since the last build of it
 * has to be sent.
 */
#define BUILD_CONTEXT_SENT "session:" /* value of "contexts" for what came with the session */
struct build_context_file {
    char *path; /* relative, "a/b"; the list is sorted by its bytes, directories are in it */
    char *kind; /* "f", "d", "l" */
    int64_t mode, size, mtime_ns;
    char *link; /* target of "l" */
};

struct build_context_request {
    char *key; /* which directory it is: 64 hex digits of the client's choice */
    VEC_OF(struct build_context_file *) files;
};

struct build_context_response {
    char *session;           /* names it for the build */
    VEC_OF(int64_t) missing; /* which of the files must be sent, by their place in the list */
};

/*
 * Caches outside of the daemon's store: "cacheimports" and "cacheexports" of POST /build are lists
 * of these. A directory of the client is reached over a connection of the session (wire/layout.h).
 */
struct build_cache_spec {
    char *type;        /* "registry", "local" */
    char *ref;         /* registry: a name with a tag or digest */
    char *layout;      /* local: id of the connection */
    char *tag;         /* local: which of the directory's, "latest" */
    char *digest;      /* local, import: instead of the tag */
    char *mode;        /* export: "min", "max" */
    bool ignore_error; /* export: a build goes well without it */
};
struct build_cache_specs {
    struct build_cache_spec **v;
    size_t n;
};

extern const struct json_type build_cache_spec_type;
extern const struct json_type build_context_request_type, build_context_response_type;
extern const struct json_type build_session_request_type;
extern const struct json_type build_status_type;
extern const struct json_type build_result_message_type;
