/* What finding (step_copy.c) and writing (step_copy_write.c) of a COPY share. */
#pragma once

#include "build/add.h"
#include "build/solve-priv.h"
#include "build/tree.h"

struct adopt_options;

/* What a source, or several of one tree, have turned out to be. */
struct found {
    int fd; /* root of the tree */
    struct tree_items items;
    struct tree_filter filter;
    bool remote;
    bool layer; /* @fd is of the only layer that has the item, not of all of them as one tree */
    struct fetched got; /* of a remote one */
};

struct copying {
    struct stage *st;
    const struct planned *p;
    const struct ins_copy *in;
    bool add;

    struct origin from;
    struct strv from_layers; /* of a stage or image */
    struct strv sources;     /* as written, variables replaced */
    int from_fd;             /* root of the sources; -1 when there is none to open */
    char *dest;              /* absolute; a "/" at its end says that it is a directory */
    char *chown, *chmod, *checksum;
    struct tree_filter filter;
    VEC_OF(struct found) found;
    VEC_OF(struct df_heredoc *) files; /* heredocs, their variables replaced */
    int64_t uid, gid;
};

/* From a stage or an image, not from the context. */
static inline bool is_layers(const struct copying *c)
{
    return c->from.stage || c->from.image;
}

/** copy_write() - what was found goes to where it belongs; for step_make() with a struct copying.
 */
int copy_write(void *ctx, struct layer_stage *into, struct adopt_options *o, struct arena *a,
               struct err *err) MUST;
