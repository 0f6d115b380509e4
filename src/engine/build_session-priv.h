/* What the files about sessions of builds share. */
#pragma once

#include "build/kept_context.h"
#include "engine/build-priv.h"
#include "wire/build.h"

#define SESSION_AGENTS_MAX 8
#define SESSION_LAYOUTS_MAX 16
#define SESSION_CONTEXTS_MAX 64 /* with the main one */
#define SESSION_IMAGES_MAX 64
#define SESSION_NAME_MAX 255 /* bytes */

/* A context that waits for its build. */
struct session_context {
    char *name; /* NULL: the main one, whose missing files are the build's body */
    struct kept_context *context;
    bool complete;
};

/* An image that came with the session, under a name of the build's. */
struct session_image {
    char *name, *id;
};

struct build_session {
    char id[BUILD_SESSION_ID + 1];
    struct engine *e;
    int64_t until_ns; /* monotonic */
    unsigned holders; /* that add something to it */
    struct build_secret *secrets;
    size_t nsecrets, bytes;
    struct arena mem; /* lists of contexts, images */
    struct session_context contexts[SESSION_CONTEXTS_MAX];
    size_t ncontexts;
    struct session_image images[SESSION_IMAGES_MAX];
    size_t nimages;
    struct strv fresh; /* ids of images that were not here before */
    struct {
        char *id;
        struct build_agent *agent;
    } agents[SESSION_AGENTS_MAX];
    struct build_ssh ssh[SESSION_AGENTS_MAX]; /* the same for the build */
    size_t nagents;
    struct build_layout layouts[SESSION_LAYOUTS_MAX];
    size_t nlayouts;
    struct build_session *next;
};

/** build_session_new() - an empty one, the caller's. */
struct build_session *build_session_new(struct engine *e);
/** build_session_put() - let it wait; given away, also when there is no room for it. */
int build_session_put(struct build_session *s, struct err *err) MUST;
/** build_session_hold() - one that waits, if @fn (under the lock) says so: it is not taken until
 * build_session_release(). */
int build_session_hold(struct engine *e, const char *id,
                       int (*fn)(const struct build_session *s, const char *what, struct err *err),
                       const char *what, struct build_session **ret, struct err *err) MUST;
/** build_session_release() - @fn: what changes it, under the lock; may be NULL. Return: as it. */
int build_session_release(struct build_session *s, int (*fn)(struct build_session *s, void *arg),
                          void *arg);
/** build_session_drop_files() - its contexts, and images that nobody has named meanwhile. */
void build_session_drop_files(struct build_session *s);
