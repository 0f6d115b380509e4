/* The steps of a build as the client knows them, and the two ways to draw them. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "wire/build.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define STEP_TAIL 64 /* last lines of output that are kept */

/* A bar: a layer that is pulled. */
struct step_bar {
    char *id, *name;
    int64_t current, total;
};

struct step {
    char *digest, *name;
    unsigned index; /* from 1, in the order in which they were first shown; 0: not yet */
    int64_t started_ns, completed_ns;
    bool cached;
    char *error;
    struct buf partial[2]; /* of each stream: a line that is not complete */
    char *tail[STEP_TAIL];
    size_t lines; /* that were put into @tail, ever */
    struct {
        struct step_bar *v;
        size_t n;
    } bars;
};

struct steps {
    struct arena a; /* as long as the build */
    struct {
        struct step **v;
        size_t n;
    } all;
    unsigned shown; /* so many have an index */
};

struct display;

/* Never called by two threads. */
struct display_ops {
    void (*vertex)(struct display *d, struct step *s, bool was_done);
    /* A whole line, without its end. @at_s: since the step began. */
    void (*line)(struct display *d, struct step *s, const char *text, double at_s);
    void (*bar)(struct display *d, struct step *s, struct step_bar *b, bool is_new);
    void (*tick)(struct display *d); /* time passes; may be NULL */
    void (*end)(struct display *d, bool ok);
};

struct display {
    const struct display_ops *ops;
    struct steps *steps;
    FILE *to;
    struct step *current; /* plain: whose lines come */
    bool any;             /* plain: something was printed */
    size_t height;        /* tty: lines on the screen that are ours */
    int64_t began_ns, drawn_ns;
};

extern const struct display_ops display_plain, display_tty, display_none;

/** steps_update() - take in what the daemon said, and tell the display what changed. */
void steps_update(struct steps *s, const struct build_status *st, struct display *d);
/** steps_failed() - the step that failed, or NULL. */
const struct step *steps_failed(const struct steps *s);
void steps_done(struct steps *s);
/** step_line() - one of the last lines; @i: from 0, below step_lines(). */
const char *step_line(const struct step *s, size_t i);
size_t step_lines(const struct step *s);
