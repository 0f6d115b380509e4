/* cleat build --output, --push, --load: where the result of a build goes. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

struct build_flags;
struct build_outcome;
struct cli;

enum output_kind {
    OUT_IMAGE,    /* it stays with the daemon */
    OUT_REGISTRY, /* and is pushed */
    OUT_ARCHIVE,  /* an image archive in a file */
    OUT_TAR,      /* its files as a tar */
    OUT_LOCAL,    /* its files in a directory */
};

/* A directory for each platform, "linux_amd64"? */
enum output_split { SPLIT_SEVERAL, SPLIT_ALWAYS, SPLIT_NEVER };

struct build_output {
    enum output_kind kind;
    char *dest;              /* NULL or "-": stdout */
    enum output_split split; /* of files */
    bool by_digest;          /* the registry gets no tag */
    bool untarred;           /* an archive's members as files of a directory */
};

struct build_outputs {
    struct build_output *v;
    size_t n;
};

/**
 * build_outputs_parse() - all that was asked for; without anything it is the daemon's image
 * Names of outputs become names of the image. When only its files are wanted, it gets none.
 */
int build_outputs_parse(struct cli *cli, struct build_flags *f, struct build_outputs *ret,
                        struct err *err) MUST;
/** build_outputs_check() - is there a place for what is to be said of the result? */
int build_outputs_check(const struct build_outputs *o, const struct build_flags *f,
                        struct err *err) MUST;
/** build_outputs_write() - after the build; an image that nobody asked for is removed. */
int build_outputs_write(struct cli *cli, const struct build_flags *f, const struct build_outputs *o,
                        const struct build_outcome *out, bool quiet, struct err *err) MUST;
/* ---- build_files.c ---- */

/** build_files_write() - the files of the result, in a directory or as a tar. */
int build_files_write(struct cli *cli, const struct build_output *o,
                      const struct build_outcome *out, struct err *err) MUST;
/** build_files_unpack() - a tar that the daemon sends, into what is there already. */
int build_files_unpack(struct cli *cli, const char *target, const char *dest, struct err *err) MUST;

/** build_outputs_use_stdout() - some output goes there: nothing else may. */
bool build_outputs_use_stdout(const struct build_outputs *o);
