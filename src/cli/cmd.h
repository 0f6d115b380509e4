/*
 * Commands and options as data. One table of options per command drives parsing, help, shell
 * completion and manual pages; the values land in a struct of the command by offset. A command that
 * has several names ("ps", "container ls") is one entry with several paths.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cli;

enum opt_kind {
    O_BOOL,     /* bool */
    O_STR,      /* char * */
    O_INT,      /* int64_t */
    O_UINT16,   /* int64_t, 0 to 65535 */
    O_UINT,     /* int64_t, not negative */
    O_BYTES,    /* int64_t, with units: "64m" */
    O_SWAP,     /* int64_t, with units, or -1 */
    O_DURATION, /* int64_t, ns: "1m30s" */
    O_DECIMAL,  /* int64_t, 1e-9: "1.5" */
    O_LIST,     /* struct strv, repeated */
    O_CSV,      /* struct strv, repeated or separated by commas */
    O_MAP,      /* struct strv of "key=value" */
    O_CUSTOM,   /* struct strv of texts that check() accepted */
};

enum opt_flags { OPT_HIDDEN = 1 };

struct opt {
    const char *name;
    char letter; /* 0: none */
    enum opt_kind kind;
    size_t offset;
    const char *help;
    const char *def;  /* shown as "(default ...)" and parsed as the initial value; NULL: zero */
    const char *type; /* shown behind the name when it differs from the kind's */
    unsigned flags;
    int (*check)(const char *val, struct err *err); /* refuses bad values while parsing */
};

#define OPT(T, NAME, LETTER, KIND, MEMBER, HELP, ...)                                              \
    {                                                                                              \
        .name = (NAME), .letter = (LETTER), .kind = (KIND), .offset = offsetof(T, MEMBER),         \
        .help = (HELP), __VA_ARGS__                                                                \
    }
#define OPTS(TABLE) .opts = (TABLE), .nopts = sizeof(TABLE) / sizeof((TABLE)[0])

enum cmd_flags {
    CMD_FIRST = 1,  /* options end at the first argument */
    CMD_HIDDEN = 2, /* not listed in help */
    CMD_RUN = 4,    /* errors exit with 125 */
};

/* How many arguments; max -1: any number. */
struct arity {
    int min, max;
};

#define ANY_ARGS                                                                                   \
    {                                                                                              \
        0, -1                                                                                      \
    }

/**
 * cmd_fn - run a command
 * @opts: the struct its option table describes
 * Return: the process's exit status, or -errno with @err set (printed, status 1 or 125).
 */
typedef int cmd_fn(struct cli *cli, void *opts, const struct strv *args, struct err *err);

struct command {
    const char *const *paths; /* NULL-terminated, the main one first: "container ls", "ps" */
    const char *usage;        /* behind the name: "[OPTIONS] CONTAINER"; '\n' begins another form */
    const char *help;         /* one line */
    const struct opt *opts;
    size_t nopts, opts_size;
    struct arity args;
    unsigned flags;
    cmd_fn *run;
};

#define PATHS(...) ((const char *const[]){__VA_ARGS__, NULL})

struct commands {
    const struct command *const *v; /* NULL-terminated */
};

struct group {
    const char *name, *help;
};

/* What the parser found out about one command line. */
struct parsed {
    struct strv args;
    const bool *given; /* per option: it was on the command line */
    bool help, deprecated_help;
};

/**
 * opts_parse() - parse options as pflag does
 * @values: struct of the command; defaults are filled in first
 * Return: 0, or -EINVAL with pflag's message.
 */
int opts_parse(const struct opt *opts, size_t n, bool first, const struct strv *words,
               struct arena *a, void *values, struct parsed *ret, struct err *err) MUST;
/** opts_set() - give one option a value from elsewhere (config.json). */
int opts_set(const struct opt *o, const char *val, struct arena *a, void *values,
             struct err *err) MUST;
/** opt_type() - word for its values, "" for a switch. */
const char *opt_type(const struct opt *o);

/* ---- the tree (tree.c) ---- */

extern const struct command *const all_commands[]; /* NULL-terminated */
extern const struct group all_groups[];            /* ends with name NULL */
/** command_find() - by path ("container ls"), or NULL. */
const struct command *command_find(const char *path);
const struct group *group_find(const char *name);

/* ---- help (help.c) ---- */

void help_top(struct cli *cli, struct buf *out);
void help_group(const struct group *g, struct buf *out);
void help_command(const struct command *c, const char *path, struct buf *out);
/** help_usage() - "Usage:  cleat run [OPTIONS] IMAGE ..." with its line end. */
void help_usage(const struct command *c, const char *path, struct buf *out);
void help_options(const struct opt *opts, size_t n, size_t width, struct buf *out);
/** completion_write() - script for "bash", "zsh" or "fish"; -EINVAL for another shell. */
int completion_write(const char *shell, struct buf *out, struct err *err) MUST;
/** man_write() - one page per command in the directory @dir, which is made when it is missing. */
int man_write(const char *dir, struct err *err) MUST;
