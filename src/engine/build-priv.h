/* What the engine gives to builds (build/host.h). */
#pragma once

#include "build/build.h"
#include "build/fetch.h"
#include "engine/build.h"
#include "engine/engine-priv.h"

/* Of one build: what the functions of the host need to know of it. */
struct build_ctx {
    struct engine *e;
    const struct build_opts *o;
};

/** build_run_step() - run() of struct build_host. */
int build_run_step(void *ctx, const struct build_run *run, struct layer_stage *into,
                   build_output out, void *arg, struct arena *a, struct strv *ret_mounted,
                   struct err *err) MUST;
/** build_base_image() - image() of struct build_host. */
int build_base_image(void *ctx, const char *name, const char *platform, bool pull, int gone_fd,
                     build_progress fn, void *arg, struct arena *a, char **ret_id,
                     struct err *err) MUST;
/** build_registry() - registry() of struct build_host. */
int build_registry(void *ctx, const struct reference *ref, bool push, int gone_fd,
                   struct dist_session **ret, struct err *err) MUST;
/** engine_build_cache() - what builds keep, for "system df". */
int engine_build_cache(struct engine *e, struct arena *a, struct disk_usage *ret,
                       struct err *err) MUST;
/** engine_build_limits() - read the settings of what builds may keep. Return: 0; -EINVAL. */
int engine_build_limits(struct engine *e, struct err *err) MUST;
/** engine_build_collect() - after a build, now and then, in the background: what was not used for
 * two months goes, and what was not used for the longest time, as long as there is too much. */
void engine_build_collect(struct engine *e);
/** engine_builder_open() - when the store is there. */
int engine_builder_open(struct engine *e, struct err *err) MUST;

/* build_session.c */
struct build_session;
/** build_sessions_open() - none yet; build_sessions_free() - forget all. */
int build_sessions_open(struct engine *e, struct err *err) MUST;
void build_sessions_free(struct engine *e);
/** build_session_take() - it is the caller's now, and no other build can have it. */
int build_session_take(struct engine *e, const char *id, struct build_session **ret,
                       struct err *err) MUST;
/** build_session_fill() - what it holds into a request, which must not outlive it. */
void build_session_fill(struct build_session *s, struct build_request *rq);
/** build_session_context() - the context that goes with it, or NULL; @name: NULL for the build's
 * own, else one that is complete. @s: may be NULL (here and below). */
struct kept_context *build_session_context(struct build_session *s, const char *name);
/** build_session_image() - id of the image that came under a name, or NULL. */
const char *build_session_image(const struct build_session *s, const char *name);
/** build_session_free() - NULL is fine; wipes, lets a context go. Touches the disk. */
void build_session_free(struct build_session *s);

#define BUILD_DEFAULT_FILE "Dockerfile"

/* build_context.c: the files that a build is given, in directories that live as long as it. */
struct source;
struct build_context {
    struct fetcher fetcher;
    int gone_fd; /* of the request */
    struct arena *a;
    bool keep_git_dir;      /* of repositories */
    struct fetched file;    /* a download that the context came out of */
    struct fetched dir;     /* the context */
    struct fetched own;     /* the client's Dockerfile for a context of the net */
    int fd;                 /* what of it counts */
    bool kept;              /* it is one that stays for the next build */
    char *path;             /* the same, absolute */
    const char *dockerfile; /* its path, when the context decides; else NULL */
    struct build_named_list named;
    struct {
        struct fetched *v;
        size_t n;
    } more; /* named ones that are directories */
};
/**
 * build_context_open() - from the request's body, or from where the request says; and the named
 * ones
 * @session: the request's, or NULL; when it has a context, that one's missing files are the body
 * @ret: freed by build_context_done(), also after an error
 */
int build_context_open(struct engine *e, const struct build_opts *o, struct build_session *session,
                       struct source *body, struct arena *a, struct build_context *ret,
                       struct err *err) MUST;
/** build_context_unpack() - a tar into the directory @fd, shut in. */
int build_context_unpack(int fd, struct source *body, struct err *err) MUST;
void build_context_done(struct build_context *c);
/** build_context_dockerfile() - the text of the file @path in it. Return: 0; -EINVAL. */
int build_context_dockerfile(const struct build_context *c, const char *path, struct buf *out,
                             struct err *err) MUST;
/** build_context_ignore() - what its .dockerignore says, or that of the Dockerfile @path; NULL:
 * nothing.
 */
int build_context_ignore(const struct build_context *c, const char *path, struct arena *a,
                         const struct ignore **ret, struct err *err) MUST;
