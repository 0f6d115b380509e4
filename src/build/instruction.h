/*
 * The instructions of a Dockerfile, typed and checked as far as that can be done before variables
 * are known. Texts are as written: variables are replaced when the instruction is carried out.
 *
 * Source: BuildKit, frontend/dockerfile/docs/reference.md; its messages where clients match them.
 */
#pragma once

#include "build/dockerfile.h"
#include "build/expand.h"
#include "image/manifest.h"

#include <stdint.h>

enum ins_op {
    INS_ADD,
    INS_ARG,
    INS_CMD,
    INS_COPY,
    INS_ENTRYPOINT,
    INS_ENV,
    INS_EXPOSE,
    INS_FROM,
    INS_HEALTHCHECK,
    INS_LABEL,
    INS_MAINTAINER,
    INS_ONBUILD,
    INS_RUN,
    INS_SHELL,
    INS_STOPSIGNAL,
    INS_USER,
    INS_VOLUME,
    INS_WORKDIR,
};

/* A command in one of its two forms. */
struct ins_command {
    bool shell;       /* the shell form: @text goes to the shell */
    char *text;       /* shell form */
    struct strv argv; /* exec form */
};

struct ins_pair {
    char *key;
    char *val; /* NULL: ARG without a default */
};

enum mount_sharing { SHARING_SHARED, SHARING_PRIVATE, SHARING_LOCKED };
enum ins_mount_type {
    INS_MOUNT_BIND,
    INS_MOUNT_CACHE,
    INS_MOUNT_TMPFS,
    INS_MOUNT_SECRET,
    INS_MOUNT_SSH
};

/* RUN --mount; what was not given is NULL, false, or -1. */
struct ins_mount {
    enum ins_mount_type type;
    char *target, *source, *from, *id, *env;
    bool readonly; /* bind: true unless "rw"; cache: false unless "ro" */
    bool required;
    enum mount_sharing sharing;
    int64_t size_b;         /* tmpfs; 0: no limit */
    int64_t mode, uid, gid; /* -1 */
};

struct ins_mounts {
    struct ins_mount **v;
    size_t n;
};

/* With heredocs, cmd.text has them: the shell reads them as it does in a script. A heredoc without
 * a command is the script itself. */
struct ins_run {
    struct ins_command cmd;
    bool script;              /* cmd.text starts with "#!": a file to execute, not for the shell */
    struct strv mount_flags;  /* values of --mount, as written */
    struct ins_mounts mounts; /* the same; not those with a "$" in them: see run_mounts() */
    char *network;            /* "default", "none", "host" */
    char *security;           /* "sandbox", "insecure" */
    struct strv devices;
};

/* COPY and ADD. A source that is a heredoc stands in the heredocs of the line, not in @sources. */
struct ins_copy {
    struct strv sources;
    char *dest;
    char *from, *chown, *chmod, *checksum; /* NULL when not given */
    bool link, parents, keep_git_dir;
    int unpack; /* ADD: 1, 0, -1 not given */
    struct strv exclude;
};

/* Which member counts follows from @op. */
struct ins {
    enum ins_op op;
    const struct df_line *at;
    char *text; /* how steps, history and checks show it: "RUN echo hi"; flags are in it */
    union {
        struct {
            char *image, *name, *platform; /* @name lower-cased; NULL when not given */
            char *as_name, *as;            /* the name and "AS" as written, for checks */
        } from;
        struct ins_run run;
        struct ins_copy copy;       /* COPY, ADD */
        struct ins_command command; /* CMD, ENTRYPOINT */
        struct {
            VEC_OF(struct ins_pair) pairs;
            bool legacy;   /* "ENV NAME value" */
        } pairs;           /* ARG, ENV, LABEL */
        struct strv words; /* EXPOSE, VOLUME, SHELL; as written, JSON form decoded */
        char *word;        /* MAINTAINER, STOPSIGNAL, USER, WORKDIR */
        struct oci_image_health health;
        struct {
            char *text;      /* the trigger, as the image's config keeps it */
            struct ins *ins; /* it, checked */
        } onbuild;
    };
};

/* A stage: FROM and what belongs to it. */
struct df_stage {
    struct ins *from;
    char *name; /* of AS, else its number */
    VEC_OF(struct ins *) code;
};

/* Has at least one stage. */
struct df_program {
    VEC_OF(struct ins *) args; /* ARG before the first FROM */
    VEC_OF(struct df_stage *) stages;
};

/**
 * program_decode() - @d's instructions, in stages
 * Return: 0, everything in @a; -EINVAL, -E2BIG "dockerfile parse error on line N: ..." with
 * BuildKit's words: "unknown instruction: FOO", "no build stage in current context", ...
 * @ret_line: the line that is wrong, 0 when it is none in particular; written on failure, too; may
 *   be NULL
 */
int program_decode(const struct dockerfile *d, struct arena *a, struct df_program *ret,
                   unsigned *ret_line, struct err *err) MUST;

/** ins_decode() - one instruction that stands alone, with its heredocs: a trigger of ONBUILD, a
 * --change of commit. Return: 0; -EINVAL, -E2BIG. */
int ins_decode(const char *line, struct arena *a, struct ins **ret, struct err *err) MUST;

/** run_mounts() - all mounts of a RUN, variables replaced. Return: 0; -EINVAL, -E2BIG. */
int run_mounts(const struct ins_run *run, const struct expander *x, struct arena *a,
               struct ins_mounts *ret, struct err *err) MUST;

/** ins_name() - "COPY". */
const char *ins_name(enum ins_op op);
