/* A build while it runs, as its steps see it. */
#pragma once

#include "build/build.h"
#include "build/check.h"
#include "build/instruction.h"
#include "build/scope.h"
#include "distribution/platform.h"
#include "image/store.h"
#include "store/layers.h"

#include <pthread.h>

struct build;
struct cache_imports;
struct key;
struct stage;
struct target;
struct unpacked_layer;

/* What a stage starts from, or a COPY takes from. */
struct origin {
    const char *image;   /* name of an image, or NULL */
    struct stage *stage; /* or an earlier stage; neither: nothing (scratch), or a context: */
    const struct build_named *named; /* with a name, or NULL: the request's */
    bool scratch;
};

/* An instruction to carry out. Those of ONBUILD triggers come to the stage's own at run time. */
struct planned {
    const struct ins *ins;
    struct build_step *step; /* NULL: touches only the config */
};

struct stage {
    struct build *b;
    struct target *target; /* whose it is; others may share it */
    const struct df_stage *def;
    unsigned index;
    bool needed, done;
    bool claimed; /* somebody starts its thread */
    bool begun;   /* there is one */
    pthread_t thread;

    struct origin base;
    char *platform; /* FROM --platform, expanded; NULL */
    struct build_step *from_step;
    struct {
        struct planned *v;
        size_t n;
    } code;

    /* Of its thread; others read them when it is done. */
    struct arena a;
    struct strv layers; /* diff IDs, the lowest first */
    struct oci_image *image;
    struct oci_image_config *config; /* of image */
    struct scope scope;
    bool cmd_set;
    struct {
        const char *image;      /* id of the image that it all began with, or NULL */
        size_t layers, history; /* how much of both is that image's */
    } root;
    int64_t time_ns; /* when what is there was made: of its last step */
};

/* Something that the build is made of (materials.h). */
struct material {
    char *uri;
    const char *kind; /* of the digest: "sha256", "sha1" */
    char *digest;     /* hex */
};

/* A platform that the request wants an image for. */
struct target {
    const char *text; /* as it was asked for; NULL: nothing was */
    struct platform platform;
    struct scope global;   /* variables before the first FROM */
    struct stage **stages; /* build.nstages; some may be those of an earlier target */
    struct stage *result;
};

struct build {
    struct builder *builder;
    struct image_store *store;
    const struct build_host *host;
    const struct build_request *rq;
    struct lease *lease;
    struct arena a; /* of the planning; later under lock */
    struct dockerfile file;
    struct df_program program;
    size_t expanded; /* bytes that variables expanded to */
    struct check_config checks;
    struct cache_imports *imports; /* what the request's caches know; NULL: nothing */
    struct platform native;
    int64_t began_ns;
    int64_t epoch_ns; /* SOURCE_DATE_EPOCH, or INT64_MAX */
    struct target *targets;
    size_t ntargets;
    size_t nstages;    /* of the file */
    struct stage *all; /* of all targets, each once */
    size_t nall;
    struct {
        struct build_step **v;
        size_t n;
    } steps;
    int cancel_rd, cancel_wr; /* the reading end hangs up when the build ends early */
    int ended_rd, ended_wr;   /* and this when all stages have ended */

    pthread_mutex_t fetch_lock; /* taken before the next: layers that caches promise */
    pthread_mutex_t lock;       /* what follows, and telling */
    pthread_cond_t changed;
    size_t running; /* stages */
    struct {
        struct material *v;
        size_t n;
    } materials;
    bool cache_lost; /* a cache did not keep a promise: begin anew without it */
    int exit_code;   /* of the command that failed */
    int failed;      /* -errno of the first failure */
    struct err err;
};

/* plan.c */
/** plan_build() - resolve stages, target and steps. No image is looked at yet. */
int plan_build(struct build *b, struct err *err) MUST;
/** plan_origin() - what "--from=@name" means for @st. */
int plan_origin(struct build *b, const struct stage *st, const char *name, struct origin *ret,
                struct err *err) MUST;
/** plan_trigger() - a trigger of ONBUILD may need stages that nothing did; the lock is held. */
int plan_trigger(struct build *b, const struct stage *st, const struct ins *ins,
                 struct err *err) MUST;
/** plan_is_step() - does it make files, or only touch the config? */
bool plan_is_step(const struct ins *ins);
/** plan_step() - a step more: "[build 2/5] RUN make". @stage: "build 2/5". */
struct build_step *plan_step(struct build *b, const char *stage, const char *text);
/** plan_is_shared() - is the stage one for several targets? */
bool plan_is_shared(const struct stage *st);
/** plan_sees_target() - an ARG that says for which platform it is built. */
bool plan_sees_target(const struct ins *ins);
/** plan_place() - "linux/arm64 build", which stands in front of "2/5"; "" for nothing to say. */
const char *plan_place(struct stage *st);
/** plan_more() - one that is in no stage, when these have ended; tells of it. */
int plan_more(struct build *b, const char *text, struct build_step **ret, struct err *err) MUST;

/* solve.c */
int build_tell_event(struct build *b, struct build_event *e, struct err *err) MUST;
bool build_failed(struct build *b);
/** build_trigger() - plan_trigger(), and those stages begin. */
int build_trigger(struct stage *st, const struct ins *ins, struct err *err) MUST;
/** stage_wait() - until @st is done. Return: 0, -ECANCELED when the build has failed. */
int stage_wait(struct stage *st, struct err *err) MUST;
/** origin_layers() - waits for a stage, or pulls an image. @step: whose progress a pull is.
 * @ret_image: id of the image, or NULL; may be NULL. */
int origin_layers(struct stage *st, const struct origin *o, const char *platform,
                  const struct build_step *step, struct strv *ret, char **ret_image,
                  struct err *err) MUST;
/** origin_context() - the directory that it is when it is a context; NULL for none. */
const char *origin_context(const struct build *b, const struct origin *o);
/** origin_is_main() - is it the request's context? */
bool origin_is_main(const struct origin *o);
/** origin_ignored() - what of a context is not there for COPY, or NULL. */
const struct ignore *origin_ignored(const struct build *b, const struct origin *o);
/** origin_keeps() - a context that stays: digests may be noted in it. */
bool origin_keeps(const struct build *b, const struct origin *o);
/** origin_open() - a descriptor of the tree: the context, or layers. */
int origin_open(struct stage *st, const struct origin *o, const struct build_step *step,
                int *ret_fd, struct err *err) MUST;

/* step.c */
/** step_begin(), step_end() - tell that a step goes on, and that it is done. step_make() ends it.
 */
int step_begin(struct stage *st, struct build_step *step, struct err *err) MUST;
int step_end(struct stage *st, struct build_step *step, struct err *err) MUST;
/**
 * step_make() - carry a step out, or take its result from the cache
 * @key: ended here
 * @make: writes into the stage's diff/; fills in @o, from @a
 * @ret_empty: it changed no file, and there is no new layer
 */
struct adopt_options;
typedef int (*step_make_fn)(void *ctx, struct layer_stage *into, struct adopt_options *o,
                            struct arena *a, struct err *err);
int step_make(struct stage *st, struct build_step *step, struct key *key, step_make_fn make,
              void *ctx, bool *ret_empty, struct err *err) MUST;
/**
 * step_known() - look for the result by a second identity that costs less to find: one that names
 * where content comes from, instead of the content
 * @quick: "sha256:<hex>"
 * Return: 1 it was found, and the step is ended; 0.
 */
int step_known(struct stage *st, struct build_step *step, const char *quick, bool *ret_empty,
               struct err *err) MUST;
/** step_also_known() - remember what was just made by its second identity, too. */
int step_also_known(struct stage *st, const struct build_step *step, const char *quick, bool empty,
                    struct err *err) MUST;
/** stage_key() - a key that begins with what the stage has so far. */
struct key *stage_key(const struct stage *st, const char *what);
/** stage_history() - note an instruction in the image's history. */
void stage_history(struct stage *st, const char *created_by, bool empty);

/* step_*.c: an instruction each */
int step_from(struct stage *st, struct err *err) MUST;
int step_run(struct stage *st, const struct planned *p, struct err *err) MUST;
int step_copy(struct stage *st, const struct planned *p, struct err *err) MUST;
int step_workdir(struct stage *st, const struct planned *p, struct err *err) MUST;
/** stage_tree() - all layers of a stage as one tree; @into: where what is written goes, or NULL to
 * read. Return: fd. */
int stage_tree(struct build *b, const struct strv *layers, struct layer_stage *into,
               struct err *err) MUST;

/** squash_result() - all layers of the result that are not its base image's become one. */
int squash_result(struct build *b, struct err *err) MUST;

/* result.c */
int build_result_image(struct build *b, struct arena *a, struct build_result *ret,
                       struct err *err) MUST;
