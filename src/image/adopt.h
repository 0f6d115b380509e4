/*
 * A directory becomes a layer as it is: what a step of a build wrote into an overlay's upper. It is
 * read once, for its diff ID and its recipe; nothing is copied.
 */
#pragma once

#include "image/diff.h"
#include "image/layer.h"

struct layer_stage;

struct adopt_options {
    struct strv mounted;  /* places that were made to mount something there; see struct diff */
    int lower_fd;         /* the layers below, as one tree; -1: nothing is below */
    int64_t not_after_ns; /* SOURCE_DATE_EPOCH: later times become this; INT64_MAX for none */
};

/**
 * layer_adopt() - make the diff/ of a stage a layer of the store
 * @stage: nobody writes below it any more; what was made for mounts is removed from it
 * @lease: takes the layer in
 * Not synced: layers_settle() before an image relies on it.
 * Return: how many entries it has; 0: nothing was changed, there is no layer; -errno.
 */
int64_t layer_adopt(struct layer_stage *stage, const struct adopt_options *o, struct lease *lease,
                    struct unpacked_layer *ret, struct err *err) MUST;
