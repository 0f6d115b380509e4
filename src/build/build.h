/*
 * Builds: a Dockerfile and a context become an image. Stages that the target needs run at the same
 * time, each a chain of steps; a step whose identity is known from an earlier build is not run
 * again. Front ends follow a build by its events.
 */
#pragma once

#include "build/host.h"
#include "wire/build.h"

struct build_export;
struct builder;
struct ignore;
struct image_store;
struct layout_line;

/* A step as front ends show it: what reads a base image, runs, or copies. */
struct build_step {
    unsigned id;      /* from 0, in the order of the file */
    const char *name; /* "[build 2/5] RUN make" */
    const char *text; /* "RUN make" */
    const char *key;  /* identity, "sha256:..."; NULL until known */
    int64_t started_ns, ended_ns;
    bool cached;
};

enum build_event_kind {
    BUILD_PLANNED, /* all steps are known: one event per step, before anything starts */
    BUILD_STARTED,
    BUILD_OUTPUT,  /* @stream, @text, @len */
    BUILD_PULLING, /* @transfer */
    BUILD_DONE,    /* also when it came from the cache */
    BUILD_FAILED,  /* @text, and @excerpt of the Dockerfile, or NULL */
    BUILD_WARNING, /* @warning; belongs to no step */
};

struct build_event {
    enum build_event_kind kind;
    const struct build_step *step;
    int stream;
    const char *text, *excerpt;
    size_t len;
    const struct transfer_event *transfer;
    const struct check_warning *warning;
};
/* Never called by two threads at once. An error ends the build. */
typedef int (*build_tell)(void *ctx, const struct build_event *e, struct err *err);

struct build_secret {
    char *id;
    const void *data;
    size_t len;
};

/* An agent that the client forwards: a socket in a directory of ours. */
struct build_ssh {
    char *id, *path;
};

/* A directory of the client, by the name that the request calls it. */
struct build_layout {
    char *id;
    struct layout_line *line;
};

/* A context that FROM, COPY --from and mounts call by its name, before stages and images. */
struct build_named {
    char *name;
    char *image;                  /* an image's name, or NULL: */
    char *path;                   /* a directory, absolute */
    bool kept;                    /* it is there for the next build, too */
    const struct ignore *ignored; /* what of it is not there, or NULL */
};
struct build_named_list {
    struct build_named *v;
    size_t n;
};

struct build_request {
    const char *file; /* the Dockerfile's text */
    size_t file_len;
    const char *file_name;        /* for messages */
    const char *context;          /* absolute path of the context's directory, or NULL */
    bool keeps_context;           /* it is there for the next build, too: digests are noted in it */
    const struct ignore *ignored; /* what of it is not there for COPY; or NULL */
    const char *source, *source_id; /* address that the context came from, and its digest or commit;
                                       NULL: from the client */
    struct build_named_list named;
    struct strmap args, labels;
    const char *target, *network; /* NULL: the default */
    struct strv platforms;        /* "os/arch[/variant]", one image for each; none: the host's */
    const struct build_export *export; /* what is said of the result, beside it; or NULL */
    bool no_cache, pull, squash, check_only;
    struct strv no_cache_filter; /* names of stages */
    struct strv cache_from;      /* names of images whose steps count as known */
    struct build_cache_specs cache_imports, cache_exports;
    struct {
        struct build_layout *v;
        size_t n;
    } layouts;
    struct strv allow; /* "network.host", "security.insecure" */
    const struct host_config *host;
    struct strv names; /* full names that the image gets */
    struct {
        struct build_secret *v;
        size_t n;
    } secrets;
    struct {
        struct build_ssh *v;
        size_t n;
    } ssh;
    void *host_ctx; /* for the functions of the host */
    int gone_fd;    /* give up when it hangs up; -1: never */
    build_tell tell;
    void *ctx;
};

/* What came of one platform. */
struct build_image {
    char *platform; /* "linux/arm64" */
    char *image;    /* "sha256:<hex>" */
    char *manifest; /* digest, or NULL: it has none yet */
};

struct build_result {
    char *image; /* "sha256:<hex>"; of several, the one that the names mean here */
    struct {
        struct build_image *v;
        size_t n;
    } images; /* as the platforms were asked for */
    struct oci_descriptor
        *top;      /* the index around them, or the only manifest; NULL: none was made */
    int exit_code; /* of the command that failed; also written after an error */
};

/** build_default_agent() - path of the agent that git asks, or NULL. */
const char *build_default_agent(const struct build_request *rq);

/**
 * builder_new() - what builds of one daemon share; removes what a killed one left
 * @host, @store: outlive it. Below the data root it has "build/": cache mounts, and what lives as
 *   long as a step.
 */
int builder_new(struct image_store *store, const struct build_host *host, struct builder **ret,
                struct err *err) MUST;
void builder_free(struct builder *b); /* NULL is fine; no build may run */

/**
 * build_image() - build; blocks until it is done
 * Return: 0 with *ret in @a; -EINVAL for a wrong Dockerfile, with an excerpt; -ECANCELED.
 */
int build_image(struct builder *b, const struct build_request *rq, struct arena *a,
                struct build_result *ret, struct err *err) MUST;
