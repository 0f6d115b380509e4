/* cleat build: what its files share. */
#pragma once

#include "archive/pack.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "http/client.h"
#include "wire/build.h"
#include "wire/build_export.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct cli;
struct ignore;
struct map;

/* A directory that the daemon may read, or write, as an OCI layout. */
struct build_dir {
    char *id, *path;
    bool write;
};

/* The options, as they were given. */
struct build_flags {
    char *file, *target, *network, *iidfile, *metadata_file, *progress, *call, *cgroup_parent;
    struct strv tag, build_arg, label, no_cache_filter, add_host, platform, allow, security_opt;
    struct strv ulimit, secret, ssh, output, cache_from, cache_to, build_context;
    bool no_cache, pull, quiet, check, squash, push, load, compress;
    int64_t shm_size, memory, memory_swap, cpu_period, cpu_quota, cpu_shares;
    char *cpuset_cpus, *cpuset_mems;

    /* What --build-context became, as far as it is here: name and place. */
    struct strmap named;
    /* What --cache-from and --cache-to became. */
    struct build_cache_specs cache_imports, cache_exports;
    struct {
        struct build_dir *v;
        size_t n;
    } dirs;

    /* Taken and without effect here, or not built yet (build_flags_check()). */
    bool rm, force_rm, disable_content_trust, debug;
    char *builder, *isolation, *provenance, *sbom;
    struct strv annotation, attest;

    struct build_export export; /* what build_export_flags() and outputs make of them */
};

/** build_flags_check() - refuse what cannot be done, and what makes no sense together. */
int build_flags_check(struct build_flags *f, struct err *err) MUST;
/** build_cache_options() - take --cache-from and --cache-to apart. */
int build_cache_options(struct cli *cli, struct build_flags *f, struct err *err) MUST;
/** build_cache_query() - @target with what they became. */
char *build_cache_query(struct cli *cli, const struct build_flags *f, char *target);
/** build_target() - POST /build with everything that goes into its query. */
int build_target(struct cli *cli, const struct build_flags *f, char **ret, struct err *err) MUST;

/* ---- the context (build_context.c) ---- */

struct build_context {
    struct cli *cli;
    const char *name;   /* of one that is not the build's own; or NULL */
    const char *remote; /* the daemon is to fetch it: nothing is sent */
    int dir_fd;         /* directory, or -1 */
    char *dir;          /* its real path */
    int stream_fd;      /* a tar comes from here, or -1 */
    struct buf early;   /* what was read of it already */
    char *dockerfile;   /* what the daemon calls it; NULL: Dockerfile */
    char *shown;        /* what it is called for people when that name is made up, or NULL */
    struct buf file;    /* text of a Dockerfile that lies outside; then @dockerfile is made up */
    struct buf ignore_text;
    struct ignore *ignore;
    struct map *wanted; /* of these paths alone the tar is made; NULL: of all */
};

/** build_is_remote() - an address that the daemon fetches. */
bool build_is_remote(const char *where);

/**
 * build_context_open() - find out what PATH|URL|- and --file mean
 * Errors about what is missing or ambiguous come from here, before anything is sent.
 */
int build_context_open(struct cli *cli, const struct build_flags *f, const char *where,
                       struct build_context *ret, struct err *err) MUST;
/** build_context_open_named() - the directory @where under a name, without a Dockerfile. */
int build_context_open_named(struct cli *cli, const char *name, const char *where,
                             struct build_context *ret, struct err *err) MUST;
void build_context_done(struct build_context *c);
/** build_context_skip() - skip() of struct pack_options; @ctx: the context. What the daemon needs
 * to read goes along whatever is ignored. */
bool build_context_skip(void *ctx, const char *path, const struct stat *st);
/** build_context_send() - @call with the context as its body. */
int build_context_send(struct build_context *c, struct http_call *call, struct http_reply **ret,
                       struct err *err) MUST;

/** build_send_packed() - @call with a body that @fn packs in a thread; @what: for its errors. */
int build_send_packed(struct cli *cli, pack_fn fn, void *ctx, const char *what,
                      struct http_call *call, struct http_reply **ret, struct err *err) MUST;

/** build_context_patterns() - what goes along with a Dockerfile from outside as its .dockerignore;
 * the caller's to free. */
struct buf build_context_patterns(const struct build_context *c);

/**
 * build_sync() - let the daemon say what it lacks of a directory (build_sync.c)
 * @session: of the secrets, or NULL; *ret_session: of both, for the build
 * Return: 1: only that will be sent; 0: all is to be sent; -errno.
 */
int build_sync(struct build_context *c, const char *session, char **ret_session,
               struct err *err) MUST;

/* ---- contexts with a name (build_named.c, build_oci.c) ---- */

/** build_named_options() - take --build-context apart: what the daemon gets by itself stays, what
 * is here goes into f->named. */
int build_named_options(struct cli *cli, struct build_flags *f, struct err *err) MUST;
/** build_named_send() - bring those that are here. @whole: not only what the daemon lacks.
 * @session: of the build, a new one when it is NULL. Return: -ESTALE (conflict): one changed. */
int build_named_send(struct cli *cli, const struct build_flags *f, bool whole, char **session,
                     struct err *err) MUST;
/** build_oci_send() - an image of an OCI layout; @where: "DIR[:TAG|@DIGEST]". */
int build_oci_send(struct cli *cli, const char *where, const char *target, struct err *err) MUST;

/* ---- secrets (build_secret.c) and agents (build_ssh.c) ---- */

/**
 * build_session_open() - hand secrets to the daemon, ahead of the build
 * @ret_id: names them for the build, which must follow soon; NULL without secrets or agents
 */
int build_session_open(struct cli *cli, const struct build_flags *f, char **ret_id,
                       struct err *err) MUST;
/** build_session_new() - one that has nothing yet. */
int build_session_new(struct cli *cli, char **ret_id, struct err *err) MUST;

/** build_agents_open() - let steps of the session's build ask agents here, until it is over.
 * @ret: a list, NULL at first; to be closed also after an error. */
struct build_agent;
int build_agents_open(struct cli *cli, const struct build_flags *f, const char *session,
                      struct build_agent **ret, struct err *err) MUST;
void build_agents_close(struct build_agent **all);

/** build_layouts_open() - let the session's build use the directories of its caches
 * (build_layout.c). @ret: as above. */
struct build_layouts;
int build_layouts_open(struct cli *cli, const struct build_flags *f, const char *session,
                       struct build_layouts **ret, struct err *err) MUST;
void build_layouts_close(struct build_layouts **all);

/* ---- how it goes on ---- */

struct build_display;

/* What came of it; texts in the arena of the command. */
struct build_outcome {
    char *image;                       /* "sha256:<hex>"; NULL for a check */
    struct oci_descriptor *descriptor; /* the index, or the only manifest; NULL: none was made */
    struct {
        struct build_result_platform *v;
        size_t n;
    } platforms; /* an older daemon tells none */
    size_t warnings;
};

/** build_outcome_id() - what names the whole of it: the index of several platforms, or the image.
 */
const char *build_outcome_id(const struct build_outcome *o);

/**
 * build_follow() - show a build to its end
 * @reply: given away; @mode: "plain", "tty", "rawjson", "quiet"
 * Return: 0, or the error that the stream reported, after its excerpt was printed.
 */
int build_follow(struct cli *cli, struct http_reply *reply, const char *mode,
                 const struct build_context *c, bool check, struct build_outcome *ret,
                 struct err *err) MUST;
