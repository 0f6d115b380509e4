/*
 * RUN --mount: what a command sees only while it runs. Planned before its cache key is made (what
 * is mounted counts there), prepared when it really runs, taken down after it.
 */
#pragma once

#include "build/build.h"
#include "build/solve-priv.h"

struct key;
struct run_mount;

#define RUN_SCRIPT "/dev/pipes/EOF" /* where a heredoc that is a script lies while it runs */

struct run_mounts {
    struct stage *st;
    const struct planned *p;
    struct {
        struct run_mount *v;
        size_t n;
    } all;
    char *tmp;     /* name below build/tmp, when something writable lies there */
    char *secrets; /* path of the directory with the secrets' files, or NULL */
};

/** run_mounts_plan() - @p: a RUN; targets and sources get their variables and become absolute.
 * Waits for stages that are mounted from. */
int run_mounts_plan(struct run_mounts *m, struct stage *st, const struct planned *p,
                    struct err *err) MUST;
/** run_mounts_key() - what of them counts for the cache: sources by content, secrets by name. */
int run_mounts_key(struct run_mounts *m, struct key *k, struct err *err) MUST;
/** run_mounts_prepare() - make what is to be mounted, and add it to @run. Waits for locked caches.
 */
int run_mounts_prepare(struct run_mounts *m, struct build_run *run, struct arena *a,
                       struct err *err) MUST;
/** run_mounts_done() - take down what run_mounts_prepare() has made, also when that failed. */
void run_mounts_done(struct run_mounts *m);
