/* Builds, as front ends ask for them. */
#pragma once

#include "build/build.h"
#include "engine/engine.h"
#include "wire/registry.h"

/* Credentials of the registries that bases may come from. */
struct build_auths {
    struct auth_config **v; /* server_address: the registry */
    size_t n;
};

struct build_opts {
    const char *dockerfile; /* path in the context; NULL or "": Dockerfile */
    const char *remote;     /* where the context comes from instead of the body; "" for the body */
    struct strmap contexts; /* further ones by name: "docker-image://NAME", a Git repository */
    struct strv tags;       /* as users write them */
    struct build_auths auths;
    struct build_request rq; /* what the front end knows; file, context and names come from here */
};

struct build_prune_opts {
    bool all;
    int64_t keep_b; /* 0: nothing needs to stay */
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
