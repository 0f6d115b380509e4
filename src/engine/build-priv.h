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
/** engine_build_cache() - what builds keep, for "system df". */
int engine_build_cache(struct engine *e, struct arena *a, struct disk_usage *ret,
                       struct err *err) MUST;
/** engine_builder_open() - when the store is there. */
int engine_builder_open(struct engine *e, struct err *err) MUST;

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
    int fd;                 /* what of it counts */
    char *path;             /* the same, absolute */
    const char *dockerfile; /* its path, when the context decides; else NULL */
    struct build_named_list named;
    struct {
        struct fetched *v;
        size_t n;
    } more; /* named ones that are directories */
};
/**
 * context_open() - from the request's body, or from where the request says; and the named ones
 * @ret: freed by context_done(), also after an error
 */
int context_open(struct engine *e, const struct build_opts *o, struct source *body, struct arena *a,
                 struct build_context *ret, struct err *err) MUST;
void context_done(struct build_context *c);
/** context_dockerfile() - the text of the file @path in it. Return: 0; -EINVAL. */
int context_dockerfile(const struct build_context *c, const char *path, struct buf *out,
                       struct err *err) MUST;
/** context_ignore() - what its .dockerignore says, or that of the Dockerfile @path; NULL: nothing.
 */
int context_ignore(const struct build_context *c, const char *path, struct arena *a,
                   const struct ignore **ret, struct err *err) MUST;
