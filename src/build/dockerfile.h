/*
 * A Dockerfile as text: directives, comments, continued lines and heredocs are resolved here, and
 * what is left is a list of instructions, each with its place in the file. What an instruction
 * means stands in instruction.h.
 *
 * Source: BuildKit, frontend/dockerfile/docs/reference.md, "Format" and "Parser directives".
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

#define DOCKERFILE_MAX (4u << 20)      /* bytes of a file */
#define DOCKERFILE_LINE_MAX (1u << 20) /* bytes of one instruction, heredocs and all */
#define DOCKERFILE_CODE_MAX 16384      /* instructions */
#define DOCKERFILE_STAGES_MAX 1024

/* RUN, COPY, ADD, and these behind ONBUILD. */
struct df_heredoc {
    char *name;  /* without its quotes */
    char *body;  /* as it stands there, with its newlines; without leading tabs if it was "<<-" */
    int fd;      /* in front of "<<"; 0 */
    bool expand; /* the name was not quoted */
};

struct df_flag {
    char *name;  /* "from", without "--" */
    char *value; /* NULL: there was no "=" */
};

/* One instruction; lines count from 1. */
struct df_line {
    char *keyword; /* as it was written */
    char *rest; /* behind the keyword: continued lines joined, comments removed, blanks cut off */
    unsigned line, end_line;
    bool blank_inside; /* an empty line stands within it: NoEmptyContinuation */
    char *comment;     /* text of the comment lines right above it, a line each, or NULL */
    VEC_OF(struct df_heredoc *) heredocs;
};

struct dockerfile {
    struct strv lines; /* the file, for excerpts; what is behind its last newline is a line, too */
    char escape;       /* '\\' or '`' */
    char *syntax;      /* directives; NULL when not given */
    char *check;
    VEC_OF(struct df_line *) code;
};

/**
 * dockerfile_parse() - @text: @len bytes, not NUL-terminated; a BOM in front is skipped
 * Return: 0, everything in @a; -EINVAL "dockerfile parse error on line N: ...", -E2BIG over one of
 *   the limits above. A file without code is "file with no instructions".
 * An instruction need not be one that exists; only heredocs depend on its name.
 */
int dockerfile_parse(const char *text, size_t len, struct arena *a, struct dockerfile *ret,
                     struct err *err) MUST;

/**
 * dockerfile_excerpt() - the lines around an instruction, marked, as BuildKit shows them
 * @name: of the file. Return: text in @a, several lines:
 *
 *   Dockerfile:3
 *   --------------------
 *      1 |     FROM alpine
 *      2 |
 *      3 | >>> RUN false
 *   --------------------
 */
char *dockerfile_excerpt(const struct dockerfile *d, const char *name, unsigned line,
                         unsigned end_line, struct arena *a);
