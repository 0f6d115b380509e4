/*
 * What a build needs of the engine: images, and somewhere to run a command. The engine fills in
 * the functions; a build knows nothing else of it.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "image/manifest.h"
#include "oci/spec.h"
#include "wire/host_config.h"

#include <stdbool.h>
#include <stdint.h>

struct dist_config;
struct dist_session;
struct layer_stage;
struct reference;
struct transfer_event;
struct transfers;

/* One RUN. */
struct build_run {
    struct strv layers; /* diff IDs below it, the lowest first */
    struct strv argv, env;
    struct strv secret_env; /* more of env, that must never be written anywhere */
    const char *user, *workdir, *hostname;
    const char *network;               /* "default", "none", "host", or a network's name */
    bool insecure;                     /* --security=insecure */
    struct strv devices;               /* paths below /dev */
    VEC_OF(struct oci_mount *) mounts; /* sources are paths of the host */
    const struct host_config *host;    /* limits, hosts, DNS that the request asks for */
    int gone_fd;                       /* stop when it hangs up; -1: never */
};

/* What a step says: @stream is 1 or 2. An error ends the step. */
typedef int (*build_output)(void *arg, int stream, const char *p, size_t n, struct err *err);
/* Of a pull. */
typedef int (*build_progress)(void *arg, const struct transfer_event *e, struct err *err);

/* @ctx of all of them: that of the request (build_request.host_ctx). */
struct build_host {
    const char *data_path;         /* the data root, absolute */
    const struct dist_config *web; /* how sources on the net are reached */
    struct transfers *transfers;   /* what goes on with registries */
    const char *run_path;          /* a directory that lives in memory: for secrets */

    /**
     * run() - run a command upon layers
     * @into: gets the files that it changed
     * @ret_mounted: places that exist only because something was mounted there (struct diff), in @a
     * Return: its exit code; -ECANCELED when the client has left; -errno when it could not start.
     */
    int (*run)(void *ctx, const struct build_run *run, struct layer_stage *into, build_output out,
               void *arg, struct arena *a, struct strv *ret_mounted, struct err *err);
    /**
     * image() - an image by name: the local one, or it is pulled
     * @pull: ask the registry even when it is here
     * @platform: "os/arch[/variant]", or NULL for the host's
     * @ret_id: "sha256:<hex>", in @a
     */
    int (*image)(void *ctx, const char *name, const char *platform, bool pull, int gone_fd,
                 build_progress fn, void *arg, struct arena *a, char **ret_id, struct err *err);
    /**
     * registry() - a session with the registry of a name, with the request's credentials
     * @push: it shall allow writing
     */
    int (*registry)(void *ctx, const struct reference *ref, bool push, int gone_fd,
                    struct dist_session **ret, struct err *err);
};
