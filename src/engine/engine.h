/*
 * The engine: containers, execs, images and events, as one object that front ends call. It knows
 * no HTTP: requests come as the structs of wire/, results go back as such, errors as struct err
 * with the kind that a front end turns into a status.
 *
 * Every function may be called from any thread and may block. Names of containers and images are
 * taken in every form Docker takes: full id, unambiguous prefix, name with or without "/".
 * Results live in the arena that the caller passes.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "engine/config.h"
#include "engine/events.h"
#include "wire/container.h"
#include "wire/exec.h"
#include "wire/filters.h"
#include "distribution/platform.h"
#include "wire/image.h"
#include "wire/registry.h"
#include "wire/system.h"
#include "wire/volume.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct engine;
struct loop;
struct pool;

/**
 * engine_open() - open the store, find the containers of earlier daemons, make the bridge
 * @c: must outlive the engine
 * @shim: path of cleat-shim; @init: path of cleat-init
 */
int engine_open(const struct engine_config *c, struct loop *loop, struct pool *pool,
                const char *shim, const char *init, struct engine **ret, struct err *err) MUST;
/** engine_stop() - stop containers unless live-restore keeps them; engine_free() after that. */
void engine_stop(struct engine *e);
void engine_free(struct engine *e);

/* ---- system ---- */

void engine_info(struct engine *e, struct arena *a, struct system_info *ret);
void engine_version(struct engine *e, struct arena *a, struct system_version *ret);
struct events *engine_events(struct engine *e);
/** engine_experimental() - docker's client offers some options only then. */
bool engine_experimental(const struct engine *e);
int engine_disk_usage(struct engine *e, struct arena *a, struct disk_usage *ret,
                      struct err *err) MUST;

/* ---- containers ---- */

/** ctr_create() - @want: of the platforms that the image's name stands for, or NULL. */
int ctr_create(struct engine *e, const char *name, const struct platform *want,
               const struct container_create_request *req, struct arena *a,
               struct container_create_response *ret, struct err *err) MUST;
/** ctr_start() - Return: 0, 1: was running. */
int ctr_start(struct engine *e, const char *id, struct err *err) MUST;
/** ctr_stop() - @signal: "" for the container's; @timeout_s: NULL for the container's, < 0 for
 * ever. Return: 0, 1: was not running. */
int ctr_stop(struct engine *e, const char *id, const char *signal, const int64_t *timeout_s,
             struct err *err) MUST;
int ctr_restart(struct engine *e, const char *id, const char *signal, const int64_t *timeout_s,
                struct err *err) MUST;
int ctr_kill(struct engine *e, const char *id, const char *signal, struct err *err) MUST;
int ctr_pause(struct engine *e, const char *id, struct err *err) MUST;
int ctr_unpause(struct engine *e, const char *id, struct err *err) MUST;
int ctr_rename(struct engine *e, const char *id, const char *name, struct err *err) MUST;
/** ctr_remove() - @volumes: its anonymous volumes, too. */
int ctr_remove(struct engine *e, const char *id, bool force, bool volumes, struct err *err) MUST;
int ctr_update(struct engine *e, const char *id, const struct container_update_request *req,
               struct arena *a, struct container_update_response *ret, struct err *err) MUST;
int ctr_resize(struct engine *e, const char *id, uint32_t rows, uint32_t cols,
               struct err *err) MUST;
int ctr_inspect(struct engine *e, const char *id, bool size, struct arena *a,
                struct container_inspect *ret, struct err *err) MUST;
int ctr_top(struct engine *e, const char *id, const char *ps_args, struct arena *a,
            struct container_top_response *ret, struct err *err) MUST;

struct ctr_list_opts {
    bool all, size;
    int64_t limit; /* <= 0: none */
    struct filters filters;
};
struct ctr_summaries {
    struct container_summary **v;
    size_t n;
};
int ctr_list(struct engine *e, const struct ctr_list_opts *o, struct arena *a,
             struct ctr_summaries *ret, struct err *err) MUST;
int ctr_prune(struct engine *e, const struct filters *f, struct arena *a,
              struct container_prune_response *ret, struct err *err) MUST;

/** ctr_stats() - one reading; precpu is left zero. -ESRCH kinds: a stopped container gives zeros.
 */
int ctr_stats(struct engine *e, const char *id, struct arena *a, struct container_stats *ret,
              struct err *err) MUST;

enum ctr_wait_for { WAIT_NOT_RUNNING, WAIT_NEXT_EXIT, WAIT_REMOVED };
/*
 * A wait in two steps, so that a front end can send its headers in between: a client that sees
 * them knows that no later exit is missed.
 */
struct ctr_wait;
int ctr_wait_begin(struct engine *e, const char *id, enum ctr_wait_for what, struct ctr_wait **ret,
                   struct err *err) MUST;
/** ctr_wait_end() - block until it happened; @gone_fd: give up when this hangs up.
 * Return: 0, -ECANCELED when the client left. Frees @w. */
int ctr_wait_end(struct ctr_wait *w, int gone_fd, struct arena *a,
                 struct container_wait_response *ret, struct err *err) MUST;

struct attach_opts {
    bool in, out, err, stream, logs;
    bool mux_ok;      /* the client understands frames (API: always; a websocket would not) */
    const char *keys; /* detach keys as the client wrote them; NULL: the default */
};
/**
 * ctr_attach_check() - may this be attached to? @ret_tty: no frames then. Before any 101: a client
 * starts the container as soon as it has seen that, so from here on a start waits until
 * ctr_attach_over(), which must follow every success.
 */
int ctr_attach_check(struct engine *e, const char *id, const struct attach_opts *o, bool *ret_tty,
                     struct err *err) MUST;
void ctr_attach_over(struct engine *e, const char *id);
/** ctr_attach() - hand over the socket @client; it and @early become the engine's. */
int ctr_attach(struct engine *e, const char *id, const struct attach_opts *o, int client,
               const struct buf *early, struct err *err) MUST;

struct logs_opts {
    bool follow, out, err, timestamps, details;
    int64_t since_ns, until_ns; /* 0: none */
    int64_t tail;               /* < 0: all */
};
/* A piece of log; a negative return ends the reading. */
typedef int (*logs_fn)(void *arg, int stream, const char *p, size_t n, struct err *err);
/** ctr_logs_check() - Return: 1 with a tty, 0 without; -errno before any header is out. */
int ctr_logs_check(struct engine *e, const char *id, struct err *err) MUST;
int ctr_logs(struct engine *e, const char *id, const struct logs_opts *o, int gone_fd, logs_fn fn,
             void *arg, struct err *err) MUST;

/* ---- a container's files ---- */

/* Where bytes come from and go to; 0 ends the input, negative is an error. */
typedef ssize_t (*img_read)(void *arg, void *p, size_t n, struct err *err);
typedef int (*img_write)(void *arg, const void *p, size_t n, struct err *err);

struct ctr_changes {
    struct filesystem_change **v;
    size_t n;
};
int ctr_changes(struct engine *e, const char *id, struct arena *a, struct ctr_changes *ret,
                struct err *err) MUST;
/**
 * ctr_copy_out_open() - find a file in a container, to look at it or to copy it
 * @path: in the container; its last component is not followed unless "/" or "/." is behind it
 * Return: 0 with *ret_stat in @a; "Could not find the file ..." of kind not found.
 */
struct ctr_copy;
int ctr_copy_out_open(struct engine *e, const char *id, const char *path, struct arena *a,
                      struct ctr_copy **ret, struct path_stat *ret_stat, struct err *err) MUST;
/** ctr_copy_out() - as a tar. ctr_copy_free(): NULL is fine. */
int ctr_copy_out(struct ctr_copy *copy, img_write write, void *arg, struct err *err) MUST;
void ctr_copy_free(struct ctr_copy *copy);
struct copy_in_opts {
    bool keep_dirs; /* nothing that is no directory replaces one, nor the reverse */
    bool to_user;   /* it will belong to the user that the container runs as, if one is set */
};
/** ctr_copy_in() - unpack a tar, compressed or not, in a directory of a container. */
int ctr_copy_in(struct engine *e, const char *id, const char *path, const struct copy_in_opts *o,
                img_read read, void *arg, struct err *err) MUST;
/** ctr_export_check() - does it exist? Before any header. ctr_export(): all files as a tar. */
int ctr_export_check(struct engine *e, const char *id, struct err *err) MUST;
int ctr_export(struct engine *e, const char *id, img_write write, void *arg, struct err *err) MUST;

struct commit_opts {
    const char *repo, *tag, *comment, *author;
    bool pause;                            /* while it is done */
    struct strv changes;                   /* Dockerfile words */
    const struct container_config *config; /* instead of the container's, or NULL */
};
/** ctr_commit() - an image of the container's layer upon its image. */
int ctr_commit(struct engine *e, const char *id, const struct commit_opts *o, struct arena *a,
               char **ret_id, struct err *err) MUST;

/* ---- exec ---- */

int exec_create(struct engine *e, const char *id, const struct exec_create_request *req,
                struct arena *a, char **ret_id, struct err *err) MUST;
/** exec_check() - may it be started? @ret_tty as it was created. */
int exec_check(struct engine *e, const char *exec_id, bool *ret_tty, struct err *err) MUST;
/** exec_start() - @client: its socket (becomes the engine's), or -1 to start detached. */
int exec_start(struct engine *e, const char *exec_id, int client, const struct buf *early,
               const int64_t size[2], struct err *err) MUST;
int exec_resize(struct engine *e, const char *exec_id, uint32_t rows, uint32_t cols,
                struct err *err) MUST;
int exec_inspect(struct engine *e, const char *exec_id, struct arena *a, struct exec_inspect *ret,
                 struct err *err) MUST;

/* ---- networks ---- */

struct net_infos {
    struct network_inspect **v;
    size_t n;
};
int net_list(struct engine *e, const struct filters *f, struct arena *a, struct net_infos *ret,
             struct err *err) MUST;
int net_inspect(struct engine *e, const char *name, struct arena *a, struct network_inspect **ret,
                struct err *err) MUST;
int net_prune(struct engine *e, const struct filters *f, struct arena *a,
              struct network_prune_response *ret, struct err *err) MUST;
/** net_remove() - -EBUSY (denied) while a running container has an end in it. */
int net_remove(struct engine *e, const char *name, struct err *err) MUST;
/** net_create() - Return: 0 with *ret in @a; conflict when the name is taken; nothing half made. */
int net_create(struct engine *e, const struct network_create_request *rq, struct arena *a,
               struct network_create_response *ret, struct err *err) MUST;
/** net_connect() - give a container an end in a network, now if it runs, else when it starts.
 * @s: NULL for nothing special. */
int net_connect(struct engine *e, const char *network, const char *container,
                const struct endpoint_settings *s, struct err *err) MUST;
/** net_disconnect() - @force: a container that is not there is no error. */
int net_disconnect(struct engine *e, const char *network, const char *container, bool force,
                   struct err *err) MUST;

/* ---- volumes ---- */

int vol_create(struct engine *e, const struct volume_create_request *rq, struct arena *a,
               struct volume_info *ret, struct err *err) MUST;
int vol_inspect(struct engine *e, const char *name, struct arena *a, struct volume_info *ret,
                struct err *err) MUST;
int vol_list(struct engine *e, const struct filters *f, struct arena *a,
             struct volume_list_response *ret, struct err *err) MUST;
/** vol_remove() - -EEXIST (conflict) while a container has it; @force: a missing one is fine. */
int vol_remove(struct engine *e, const char *name, bool force, struct err *err) MUST;
int vol_prune(struct engine *e, const struct filters *f, struct arena *a,
              struct volume_prune_response *ret, struct err *err) MUST;

/*
 * Whole volumes. A clone shares content with its original where the file system can. @pause: hold
 * the running containers that have the volume still meanwhile, so that it is of one moment.
 */
/**
 * vol_clone() - a new volume with what @from has
 * @rq: Name; options that are not given are those of @from, labels come in addition to its
 * Return: 0; ERR_NOT_FOUND; ERR_CONFLICT the new name is taken; ERR_NOT_IMPLEMENTED @from has a
 * file system of its own.
 */
int vol_clone(struct engine *e, const char *from, const struct volume_create_request *rq,
              bool pause, struct arena *a, struct volume_info *ret, struct err *err) MUST;
struct vol_reader;
/** vol_export_open() - begin reading: until vol_export_close() it is not removed. Errors as above.
 */
int vol_export_open(struct engine *e, const char *name, bool pause, struct arena *a,
                    struct vol_reader **ret, struct err *err) MUST;
/** vol_export() - as a tar, whose first entry is the volume's own directory */
int vol_export(struct vol_reader *rd, img_write write, void *arg, struct err *err) MUST;
void vol_export_close(struct vol_reader *rd);
/** vol_import() - a new volume with what a tar, compressed or not, has; all of it or none. */
int vol_import(struct engine *e, const struct volume_create_request *rq, img_read read, void *arg,
               struct arena *a, struct volume_info *ret, struct err *err) MUST;

/* ---- images ---- */

struct img_summaries {
    struct image_summary **v;
    size_t n;
};
struct img_history {
    struct image_history_item **v;
    size_t n;
};
struct img_deleted {
    struct image_delete_item **v;
    size_t n;
};
enum img_list_flags {
    IMG_ALL = 1,       /* with what other images were built on */
    IMG_MANIFESTS = 2, /* with what their names stand for */
};
int img_list(struct engine *e, unsigned flags, const struct filters *f, struct arena *a,
             struct img_summaries *ret, struct err *err) MUST;
/** img_inspect() - @want: of the platforms that the name stands for, or NULL (here and below):
 * -ENOENT if it is not here; @manifests: tell of all of them */
int img_inspect(struct engine *e, const char *name, const struct platform *want, bool manifests,
                struct arena *a, struct image_inspect *ret, struct err *err) MUST;
int img_history(struct engine *e, const char *name, const struct platform *want, struct arena *a,
                struct img_history *ret, struct err *err) MUST;
int img_tag(struct engine *e, const char *name, const char *repo, const char *tag,
            struct err *err) MUST;
int img_remove(struct engine *e, const char *name, bool force, bool noprune, struct arena *a,
               struct img_deleted *ret, struct err *err) MUST;
/** img_remove_platform() - of what a name stands for, the image of one platform; the name goes
 * only with the one that it means here. */
int img_remove_platform(struct engine *e, const char *name, const struct platform *want, bool force,
                        struct arena *a, struct img_deleted *ret, struct err *err) MUST;
int img_prune(struct engine *e, const struct filters *f, struct arena *a,
              struct image_prune_response *ret, struct err *err) MUST;

struct import_options;
/* A line for the user: "Loaded image: x". */
typedef int (*img_say)(void *arg, const char *text, struct err *err);

int img_load(struct engine *e, const struct platform *want, img_read read, void *read_arg,
             img_say say, void *say_arg, struct err *err) MUST;
/** img_import() - @repo, @tag: its name, or NULL; @changes: lines of a Dockerfile; @o: what else
 * the user said of it (ref and config are set here) */
int img_import(struct engine *e, img_read read, void *read_arg, const char *repo, const char *tag,
               const struct strv *changes, struct import_options *o, struct arena *a, char **ret_id,
               struct err *err) MUST;
/** img_import_url() - the same of what an URL has; a name without a scheme is one of http. @say:
 * how it goes on. */
int img_import_url(struct engine *e, const char *url, int gone_fd, img_say say, void *say_arg,
                   const char *repo, const char *tag, const struct strv *changes,
                   struct import_options *o, struct arena *a, char **ret_id, struct err *err) MUST;
/** img_save_check() - do all these images exist? Before any header. */
struct save_options;
int img_save_check(struct engine *e, const struct strv *names, const struct save_options *o,
                   struct err *err) MUST;
int img_save(struct engine *e, const struct strv *names, const struct save_options *o,
             img_write write, void *arg, struct err *err) MUST;

/* ---- registries ---- */

/* One step of a transfer (image/transfers.h); never called by two threads at once. */
struct transfer_event;
typedef int (*img_progress)(void *arg, const struct transfer_event *e, struct err *err);

/**
 * img_pull() - @tag: tag or digest, NULL or "" if @name has one; none at all pulls all tags
 * @auth: for the registry of @name, or NULL; @gone_fd: give up when it hangs up
 */
int img_pull(struct engine *e, const char *name, const char *tag, const char *platform,
             const struct auth_config *auth, int gone_fd, img_progress fn, void *arg,
             struct err *err) MUST;
/** img_pull_base() - the same for a build: a name that means an image of the same index which fits
 * this machine better goes on meaning it. */
int img_pull_base(struct engine *e, const char *name, const char *tag, const char *platform,
                  const struct auth_config *auth, int gone_fd, img_progress fn, void *arg,
                  struct err *err);
/** img_push() - @tag: NULL or "" if @name has one; none at all pushes all tags that are here.
 * @by_digest: the registry gets no tag. */
int img_push(struct engine *e, const char *name, const char *tag, const struct platform *want,
             bool by_digest, const struct auth_config *auth, int gone_fd, img_progress fn,
             void *arg, struct err *err) MUST;
/** registry_login() - are these credentials good? Their registry is @auth->server_address. */
int registry_login(struct engine *e, const struct auth_config *auth, int gone_fd, struct arena *a,
                   struct auth_response *ret, struct err *err) MUST;

struct search_results {
    struct search_result **v;
    size_t n;
};
/** registry_search() - @limit: 0 for the usual 25. */
int registry_search(struct engine *e, const char *term, int64_t limit, const struct filters *f,
                    const struct auth_config *auth, int gone_fd, struct arena *a,
                    struct search_results *ret, struct err *err) MUST;
/** registry_inspect() - what a name means in its registry, without pulling it. */
int registry_inspect(struct engine *e, const char *name, const struct auth_config *auth,
                     int gone_fd, struct arena *a, struct distribution_inspect *ret,
                     struct err *err) MUST;
