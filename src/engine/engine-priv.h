/*
 * The engine's own structs.
 *
 * Locks, in the order they are taken:
 *
 *   container.op     one of start, remove, restart, rename, connect; held while they block
 *   nets.making      one network made, removed or mended at a time; held while the kernel does it
 *   vol_hold()       one volume made, filled or removed; held while disk and plugins do it
 *   container.freeze one freeze or thaw at a time; held while the kernel does it
 *   container.ends   its ends in networks change; an exit waits for it, then takes them all
 *   engine.lock      the table of containers and of execs; never held over I/O
 *   container.lock   the container's state; never held over anything that waits
 *   nets.lock        the table of networks
 *
 * The catalog, networks and the name server have locks of their own, below all of these.
 */
#pragma once

#include "build/host.h"
#include "engine/engine.h"
#include "engine/net-priv.h"
#include "image/store.h"
#include "kern/cgroup.h"
#include "oci/spec.h"
#include "shim/client.h"
#include "store/containers.h"
#include "store/db.h"

#include <pthread.h>
#include <stdatomic.h>

struct loop_source;

enum ctr_status {
    CTR_CREATED,
    CTR_RUNNING, /* also while paused or restarting */
    CTR_EXITED,
    CTR_REMOVING,
    CTR_DEAD,
};

/* What of a container changes while it lives; a row's "state" column. */
struct ctr_state {
    char *status; /* "created", "running", "exited", "removing", "dead" */
    int64_t pid, exit_code;
    bool paused, oom, manual_stop;
    char *error;
    int64_t started_ns, finished_ns;
    int64_t restart_count;
    VEC_OF(struct ctr_end_state *) ends; /* while it runs */
    char *port_end;                      /* id of the end that the ports belong to */
    VEC_OF(struct ctr_port *) ports;     /* while they are published */
};

/* An end in a network; addresses with their prefix. */
struct ctr_end_state {
    char *network, *id, *ifname, *ip, *ip6, *mac, *host_if;
};

/* A published port, as it really is. */
struct ctr_port {
    char *host_ip, *proto;
    uint32_t host_port, port;
    bool twin;
};
extern const struct json_type ctr_state_type;

/* A client that attached before the container was started. */
struct waiting_client {
    int fd;
    struct shim_attach a;
    char keys[64];
    struct waiting_client *next;
};

/* Somebody who waits for a change of a container's state. */
struct watcher {
    int fd; /* eventfd */
    struct watcher *next;
};

struct container {
    unsigned refs; /* under engine.lock */
    struct engine *e;
    pthread_mutex_t op, freeze, ends, lock;

    /* Set once. */
    struct arena mem;
    char id[65];
    int64_t created_ns;
    char *image_id, *image_name; /* name as the user wrote it */
    struct container_config *config;
    struct strv lowers;                /* layer directories, topmost first */
    VEC_OF(struct oci_mount *) mounts; /* more of them, of a hidden container; not saved */
    VEC_OF(struct ctr_volume *) volumes;
    int data_fd; /* containers/<id> */

    /* Under container.lock. */
    char *name; /* without "/"; in mem */
    struct host_config *host;
    struct networking_config networks; /* wanted; keys are names; in mem */
    enum ctr_status status;
    int64_t pid, exit_code, started_ns, finished_ns, restart_count;
    bool paused, oom, manual_stop, restarting, auto_removing;
    unsigned kept;                   /* restarts by hand going on: its end does not remove it */
    bool removed;                    /* gone from table and catalog */
    unsigned exits;                  /* how often it has exited: what "next exit" compares */
    char *error;                     /* heap */
    struct ctr_net net;              /* while it runs */
    int run_fd;                      /* shim's run directory while there is one, else -1 */
    int control;                     /* shim's control socket, else -1 */
    struct loop_source *control_src; /* holds a reference while it exists */
    bool ending;                     /* counted in engine.ending; under engine.lock */
    struct loop_source *restart_timer;
    int64_t restart_delay_ns;
    struct waiting_client *waiting;
    unsigned attaching; /* clients between their "101" and their place in the list above */
    struct watcher *watchers;
    struct exec *execs;
    struct health_state *health; /* NULL without a health check, or before the first start */

    struct container *next;
};

struct exec {
    char id[65];
    struct engine *e;
    unsigned refs; /* under engine.lock */
    struct arena mem;
    struct exec_create_request *req;
    bool started, running, has_code;
    int64_t code, pid;
    struct exec *next;
};

struct engine {
    const struct engine_config *conf;
    struct loop *loop;
    struct pool *pool;
    char *shim, *init;
    int data_fd, containers_fd, shims_fd, lock_fd;
    int trash_fd; /* what was removed, on its way out */
    int volumes_fd;
    pthread_mutex_t volumes_lock; /* rows of volumes that change; nothing waits under it */
    struct vol_reading *reading;  /* volumes that are being copied; under volumes_lock */
    struct vol_hold *vol_holds;   /* names that somebody works on; under volumes_lock */
    pthread_cond_t vol_released, vol_changed; /* a name; a row */
    struct plugins *plugins;
    bool vol_left;              /* plugins have something of an earlier daemon's */
    char life[33];              /* which daemon this is, of those that had the data root */
    pthread_mutex_t quota_lock; /* choosing a project; nothing is taken under it */
    char *data_path, *exec_path;
    struct db *db;
    struct image_store *images;
    struct builder *builder;
    struct build_host build_host;
    char *build_run_path;       /* secrets of builds, in memory */
    int64_t build_keep_b;       /* how much builds may keep; 0: no limit */
    int64_t build_collected_ns; /* mono: when that was last seen to; under lock */
    struct build_sessions *build_sessions;
    struct registries *registries;
    struct nets nets;
    struct events *events;
    struct cgroup_host *cgroups;
    struct seccomp_cache *seccomp;
    bool apparmor;         /* the kernel has it */
    bool apparmor_default; /* and our default profile */
    char id[40];
    int64_t started_ns;
    bool loaded;          /* all that an earlier daemon left is taken over */
    atomic_bool stopping; /* no restarts any more */
    bool closing;         /* the loop has ended */

    pthread_mutex_t lock;
    pthread_cond_t quiet; /* a job of ours ended */
    size_t jobs;
    size_t ending;                /* shims that have said "exit" and still tidy up */
    struct container *containers; /* newest first */
    struct map *by_id, *by_name;  /* the same */
};

/* table.c: finding and holding containers */
struct container *ctr_new(struct engine *e, const char *id);
/** ctr_ref() - Return: @c, or NULL when it is on its way to be freed (timers ask then). */
struct container *ctr_ref(struct container *c);
void ctr_unref(struct container *c);
/** ctr_find() - Return: a reference, or NULL with @err set (Docker's words). */
struct container *ctr_find(struct engine *e, const char *name, struct err *err);
void ctr_link(struct container *c);
void ctr_unlink(struct container *c);
/** ctr_all() - references to all, newest first; the caller unrefs each and frees the array. */
struct container **ctr_all(struct engine *e, size_t *ret_n);
/** ctr_some() - only those that @want; it is called under engine.lock, and takes no other. */
struct container **ctr_some(struct engine *e, bool (*want)(const struct container *c),
                            size_t *ret_n);
/** ctr_named() - the one of exactly this name, or NULL; engine.lock is held. */
struct container *ctr_named(const struct engine *e, const char *name);
/** ctr_set_name() - another one, in @c->mem; engine.lock and container.lock are held. */
void ctr_set_name(struct container *c, char *name);
static inline void auto_ctr_(struct container **c)
{
    ctr_unref(*c);
}
#define auto_ctr __attribute__((__cleanup__(auto_ctr_), __unused__))
bool ctr_running(const struct container *c); /* lock held */
/** ctr_status_word() - "running", "paused", ...; lock held. */
const char *ctr_status_word(const struct container *c);
void ctr_changed(struct container *c); /* wake the watchers; lock held */
int ctr_watch(struct container *c, struct watcher *w, struct err *err) MUST;
void ctr_unwatch(struct container *c, struct watcher *w);
/** ctr_wait_change() - Return: 1 something changed, 0 timeout, -ECANCELED @gone_fd hung up. */
int ctr_wait_change(const struct watcher *w, int gone_fd, int timeout_ms);
/** ctr_event() - publish with Docker's attributes; @extra: key, value, ..., NULL. */
void ctr_event(struct container *c, const char *action, ...) __attribute__((__sentinel__));

/*
 * A hidden container runs a step of a build: nobody sees it in lists and events, and it does not
 * outlive the daemon. Its name is one that no user can choose.
 */
#define HIDDEN_PREFIX ".build-"
static inline bool ctr_hidden(const struct container *c)
{
    return c->name[0] == '.';
}
/** ctr_create_hidden() - @req: without an image; @lowers: absolute paths, topmost first. Return: 0
 * with a reference. ctr_remove() as for any. */
int ctr_create_hidden(struct engine *e, const struct container_create_request *req,
                      const struct strv *lowers, struct container **ret, struct err *err) MUST;

/** config_merge() - fill what @c leaves open from an image's config, by Docker's rules. */
void config_merge(struct arena *a, struct container_config *c,
                  const struct container_config *image);

/* files.c */
struct unpack_options;
/** unpack_any() - a tar, compressed or not, below @dir. */
int unpack_any(int dir, const struct unpack_options *o, img_read read, void *arg,
               struct err *err) MUST;
struct diff;
/** ctr_diff_open() - the container's layer, and what lies below it. */
int ctr_diff_open(struct container *c, struct arena *a, struct diff *ret, struct err *err) MUST;
void ctr_diff_close(struct diff *d);

/* save.c: containers and the catalog */
int ctr_save_new(struct container *c, struct err *err) MUST;
int ctr_save_state(struct container *c, struct err *err) MUST; /* lock held */
int ctr_save_host(struct container *c, struct err *err) MUST;
int ctr_save_networks(struct container *c, struct err *err) MUST; /* lock held */
/** ctr_net_restore() - the ends and ports that an earlier daemon gave it. */
int ctr_net_restore(struct container *c, const struct ctr_state *st, struct err *err) MUST;
int ctr_load_all(struct engine *e, struct err *err) MUST;

/* spec.c and its helpers: what a container is to the runtime */
int ctr_build_spec(struct container *c, struct arena *a, struct oci_spec **ret,
                   struct err *err) MUST;
/** ctr_build_process() - the process alone, as the container's first: what an exec starts from. */
int ctr_build_process(struct container *c, const struct strv *caps, struct arena *a,
                      struct oci_process **ret, struct err *err) MUST;
/** ctr_protect_paths() - fill in Docker's masked and read-only paths where none were given. */
void ctr_protect_paths(struct host_config *h, struct arena *a);
/** ctr_environment() - of a process in the container; @more comes last and wins. */
struct strv ctr_environment(const struct container *c, bool tty, const struct strv *more,
                            const char *home, struct arena *a);
/** ctr_security_flag() - a --security-opt that is on or off: "name", "name=true", "name=false".
 * Return: 1, 0, @otherwise when it is not given; -EINVAL. */
int ctr_security_flag(const struct host_config *host, const char *name, bool otherwise);
/** ctr_make_bind_sources() - as Docker: a start makes directories that "-v" names and that are not
 * there. */
int ctr_make_bind_sources(const struct container *c, struct err *err) MUST;
#define SHM_OF_OTHER "shm" /* type of the mount of another container's /dev/shm */
int ctr_mounts(struct container *c, struct arena *a, struct oci_spec *spec, struct err *err) MUST;
void ctr_mount_points(struct container *c, struct arena *a, struct container_inspect *ret);
int ctr_check_binds(const struct host_config *host, struct err *err) MUST;
int ctr_limits(const struct host_config *host, struct arena *a, struct cgroup_limits *ret,
               struct err *err) MUST;

/* apparmor.c */
/** engine_apparmor_open() - find out, and load the default profile where nobody has yet. */
void engine_apparmor_open(struct engine *e);
/** ctr_apparmor() - what inspect says: a profile, "unconfined", or "" without AppArmor. */
const char *ctr_apparmor(const struct container *c);
/** ctr_apparmor_profile() - the profile for a process about to start, loaded if it is the default.
 * Return: 0, *ret borrowed and "" for none; -errno, and the container must not start. */
int ctr_apparmor_profile(const struct container *c, const char **ret, struct err *err) MUST;
int ctr_apparmor_check(const struct host_config *host, struct err *err) MUST;
void ctr_apparmor_warn(const struct container *c, struct arena *a, struct strv *warnings);

/** ctr_drop_unsupported() - remove limits that this machine's cgroups lack, with Docker's warnings.
 * Return: 0; -EINVAL for those that Docker refuses. */
int ctr_drop_unsupported(struct container *c, struct arena *a, struct strv *warnings,
                         struct err *err) MUST;
int ctr_caps(const struct host_config *host, struct arena *a, struct strv *ret,
             struct err *err) MUST;
int ctr_seccomp(struct container *c, const struct strv *caps, int *ret_fd, struct err *err) MUST;
char *ctr_cgroup_path(const struct container *c, struct arena *a);
struct user_info {
    uint32_t uid, gid;
    VEC_OF(int64_t) groups;
    char *home;
};
/** user_lookup() - "name", "uid", "name:group", ...; files come from the image. */
int user_lookup(const struct container *c, const char *user, const struct strv *more_groups,
                struct arena *a, struct user_info *ret, struct err *err) MUST;
int seccomp_cache_open(int data_fd, struct seccomp_cache **ret, struct err *err) MUST;
void seccomp_cache_free(struct seccomp_cache *sc);

/* links.c: --link on the default bridge */
/** links_check() - do all the linked containers exist? */
int links_check(struct engine *e, const struct host_config *host, struct err *err) MUST;
/** links_running() - they must run before what is linked to them. */
int links_running(const struct container *c, struct err *err) MUST;
/** links_hosts() - their lines of /etc/hosts. */
void links_hosts(const struct container *c, struct buf *out);
/** links_environment() - what Docker tells of them by environment variables. */
void links_environment(const struct container *c, struct arena *a, struct strv *env);
/** links_describe() - "/db:/web/alias", as inspect shows them. */
struct strv links_describe(const struct container *c, struct arena *a);
/** links_refresh() - @c has started: who is linked to it learns its address. */
void links_refresh(const struct container *c);

/* start.c */
int ctr_start_locked(struct container *c, struct err *err) MUST; /* op held */
/** ctr_remove_failed() - after a start that failed: --rm means now; op held. */
void ctr_remove_failed(struct container *c);
int ctr_adopt(struct container *c, struct err *err) MUST;

/** ctr_name_free() - Return: 0, -EEXIST with Docker's words. */
int ctr_name_free(struct engine *e, const char *name, struct err *err) MUST;

/* ask.c */
/**
 * ctr_ask() - one request to the container's shim; container.lock is not held
 * @fd: descriptor to pass, or -1; borrowed
 * @ret: "pid", "exited" and descriptors of the answer; may be NULL
 * Return: 0; 1 there is no shim, or it has just ended; the shim's own error (-ESRCH: what was asked
 * about has ended), -ETIMEDOUT. Blocks as shim_call().
 */
int ctr_ask(struct container *c, const struct shim_req *req, int fd, struct shim_reply *ret,
            struct err *err) MUST;

/* exit.c: what a shim tells us, and what follows from it */
int ctr_watch_shim(struct container *c, struct err *err) MUST;
void ctr_unwatch_shim(struct container *c);
void ctr_exited(struct container *c, int code, bool oom, int64_t at_ns);
void ctr_after_exit(struct container *c);
/**
 * engine_sweep_run() - remove what a run may have left: processes, cgroup, run directory
 * An orderly shim has taken it away by itself; one that was killed has not.
 */
void engine_sweep_run(struct engine *e, const char *id);
#define RUN_CGROUP "cgroup" /* symbolic link in the run directory: the cgroup's path */
void ctr_cancel_restart(struct container *c);

/* trash.c */
/** trash_put() - @name of @dir_fd is gone at once, and deleted later. A missing one is success. */
int trash_put(struct engine *e, int dir_fd, const char *name, struct err *err) MUST;
void trash_delete(struct engine *e, const char *name);

/* volumes.c */
char *vol_path(const struct engine *e, const char *name, struct arena *a);
/** vol_need() - make the volume if it is not there. Return: 1 made, 0 it was there. */
int vol_need(struct engine *e, const struct volume_create_request *rq, struct err *err) MUST;
bool vol_is_anonymous(const struct volume_create_request *rec);
int64_t vol_size(struct engine *e, const char *name); /* walks, unless the file system counts */
int vol_load_all(struct engine *e, struct err *err) MUST;
#define VOL_ANONYMOUS "com.docker.volume.anonymous" /* label of those that nobody named */
/** vol_check() - name, driver and options of a request. */
int vol_check(struct engine *e, const struct volume_create_request *rq, struct err *err) MUST;
/** vol_exists() - sets and returns the error. */
int vol_exists(const char *name, struct err *err);
/** vol_insert_made() - @dir in @dir_fd, complete, becomes the new volume. -EEXIST (conflict). */
int vol_insert_made(struct engine *e, const struct volume_create_request *rq, int dir_fd,
                    const char *dir, struct err *err) MUST;

/* vol_copy.c */
/** vol_is_read() - volumes_lock is held */
bool vol_is_read(const struct engine *e, const char *name);

/* commit.c */
/** ctr_hold_still() - pause it, if it runs and @wanted. Return: 1 it is paused by us; 0. */
int ctr_hold_still(struct container *c, bool wanted, struct err *err) MUST;
/** ctr_let_go() - the end of that; one that has ended or was let go meanwhile is fine. */
int ctr_let_go(struct container *c, struct err *err) MUST;

/* vol_options.c */
int vol_check_options(const struct volume_create_request *rq, struct err *err) MUST;
/** vol_size_limit() - @ret: what "size" says, in bytes; 0 for no limit. */
int vol_size_limit(const struct volume_create_request *rq, uint64_t *ret, struct err *err) MUST;
/** vol_has_device() - is it a file system of its own, or another directory of the host? */
bool vol_has_device(const struct volume_create_request *rec);
/** vol_device_mount() - the mount that the options describe; may ask for a server's address. */
int vol_device_mount(const struct strmap *options, bool ro, struct arena *a, struct oci_mount *m,
                     struct err *err) MUST;

/* limit_disk.c */
/** ctr_layer_limit() - what --storage-opt says, checked; @ret: bytes, 0 for no limit. */
int ctr_layer_limit(const struct host_config *h, uint64_t *ret, struct err *err) MUST;
/** ctr_limit_layer() - put it in force for the new, empty layer. */
int ctr_limit_layer(struct container *c, struct err *err) MUST;
/** ctr_limit_work() - the same for a work directory that was made anew. @work: its name. */
int ctr_limit_work(struct container *c, const char *work, struct err *err) MUST;
/**
 * limits_bind() - what this thread writes from now on is held to quotas, which ext4 leaves to
 * processes with CAP_SYS_RESOURCE to exceed; until limits_release()
 */
int limits_bind(struct err *err) MUST;
void limits_release(void);
/** vol_limit() - put the limit that the volume's options name in force, unless it is. */
int vol_limit(struct engine *e, const struct volume_create_request *rec, int data_fd,
              struct err *err) MUST;
/** vol_limit_again() - at the daemon's start; what fails is logged. */
void vol_limit_again(struct engine *e, const struct volume_create_request *rec);
/** vol_counted() - bytes by the file system's own count, without a walk; -1: it counts nothing. */
int64_t vol_counted(int data_fd);

/* ctr_volumes.c */
/* A mount that was decided when the container was made: of a volume, of an image, or of what
 * another container has bound (--volumes-from). One of @name, @source and @image is given. */
struct ctr_volume {
    char *name;       /* of the volume, or "" */
    char *driver;     /* of the volume; "" for our own */
    char *source;     /* of a bind, or "" */
    char *image;      /* its id, or "" */
    char *image_name; /* as the user wrote it */
    char *subpath;    /* of the volume or the image, or "": the part that is mounted */
    char *target, *mode;
    bool ro, no_copy;
    bool anonymous; /* made for this container, with a name that nobody chose */
    int fd;         /* between attach and close: what a plugin has mounted; else 0 */
};
/** ctr_volumes_plan() - decide, from request and image, before anything is made. */
int ctr_volumes_plan(struct container *c, struct err *err) MUST;
/** ctr_volume_at() - what is mounted at @target, or NULL. */
const struct ctr_volume *ctr_volume_at(const struct container *c, const char *target);
/** ctr_volumes_make() - make those that are missing; @first: fill empty ones from the image. */
int ctr_volumes_make(struct container *c, bool first, struct err *err) MUST;
/** ctr_volumes_attach() - before a run: plugins mount theirs. ctr_volumes_close(): the run has
 * begun or failed, its descriptors are not needed any more. ctr_volumes_detach(): it has ended, or
 * failed: plugins unmount; blocks for as long as they take. */
int ctr_volumes_attach(struct container *c, struct err *err) MUST;
void ctr_volumes_close(struct container *c);
void ctr_volumes_detach(struct container *c);
/** ctr_volume_fill() - if it is empty, with what the image has at its place (vol_fill.c). */
int ctr_volume_fill(struct container *c, const struct ctr_volume *v, struct err *err) MUST;
/** ctr_volumes_drop() - remove its anonymous ones that nobody else uses. */
void ctr_volumes_drop(struct container *c);
char *ctr_volumes_json(const struct container *c, struct arena *a);
int ctr_volumes_read(struct container *c, const char *json, struct err *err) MUST;
/** vol_users() - how many containers have the volume; @ids: their ids are added (heap), or NULL. */
size_t vol_users(struct engine *e, const char *name, struct strv *ids);
void ctr_volume_events(struct container *c, const char *action);
/** ctr_open_lower() - the layers below the container's own as one tree (files.c). */
int ctr_open_lower(const struct container *c, int *ret_fd, struct err *err) MUST;

/* image_mounts.c */
struct bind;
/** ctr_image_resolve() - the mount of the image that @b names, as it will be kept. */
int ctr_image_resolve(struct container *c, const struct bind *b, struct ctr_volume *ret,
                      struct err *err) MUST;
/** ctr_image_layers() - directories of a mounted image, topmost first; at least one. */
int ctr_image_layers(struct container *c, const struct ctr_volume *v, struct arena *a,
                     struct strv *ret, struct err *err) MUST;
bool ctr_mounts_image(const struct container *c, const char *image_id);
/** engine_empty_dir() - path of a directory that is always empty. */
int engine_empty_dir(struct engine *e, struct arena *a, char **ret, struct err *err) MUST;

/* remove.c */
int ctr_remove_locked(struct container *c, bool force, struct err *err) MUST; /* op held */

/** ctr_size_rw() - bytes of the files in the container's own layer. */
int64_t ctr_size_rw(struct container *c);

/* attach.c */
int keys_parse(const char *text, char out[64], struct err *err) MUST;
/** push_early() - make @early the first bytes that come out of *fd. */
int push_early(int *fd, const struct buf *early, struct err *err) MUST;
void ctr_drop_waiting(struct container *c);

/* exec.c */
void execs_ended(struct container *c); /* lock held: the container has exited */
void exec_ended(struct container *c, const char *exec_id, int code);
void execs_free(struct container *c);

/** exec_start_raw() - start attached to @client (becomes the engine's), output unframed (probes).
 */
int exec_start_raw(struct engine *e, const char *exec_id, int client, struct err *err) MUST;

/* health.c; container.lock is held for all of them */
void health_start(struct container *c);
void health_stop(struct container *c);
void health_free(struct container *c);
/** health_word() - "none", "starting", "healthy", "unhealthy". */
const char *health_word(const struct container *c);
struct health *health_describe(const struct container *c, struct arena *a);

/* images.c */
struct img_use {
    char *id;
    struct container_config *config; /* of the image */
    struct strv lowers;
};
/** img_resolve() - @want: of the platforms that the name stands for, or NULL. */
int img_resolve(struct engine *e, const char *name, const struct platform *want, struct arena *a,
                struct img_use *ret, struct err *err) MUST;
int img_seed(struct engine *e, struct err *err) MUST;

/* registry.c: settings of registries and what goes on with them */
struct registries;
int registries_new(const struct engine_config *c, struct registries **ret, struct err *err) MUST;
void registries_free(struct registries *r);
/** registry_describe() - the settings as "info" shows them. */
void registry_describe(struct engine *e, struct arena *a, struct system_info *ret);

/** engine_job() - run on the pool; engine_free() waits for all of them. */
void engine_job(struct engine *e, void (*fn)(void *arg), void *arg);

/** signal_parse() - "SIGTERM", "term", "15"; Return: number or -EINVAL. */
int signal_parse(const char *s);
