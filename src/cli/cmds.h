/* The commands, one table entry each, and the few helpers that several of them share. */
#pragma once

#include "cli/cmd.h"
#include "wire/container.h"

#define FORMAT_HELP                                                                                \
    "Format the output:\n'table':            columns with headers (default)\n"                     \
    "'table TEMPLATE':   columns made by a Go template\n"                                          \
    "'json':             one JSON object per line\n"                                               \
    "'TEMPLATE':         text made by a Go template"
#define FORMAT_HELP_INSPECT                                                                        \
    "Format the output:\n'json':             JSON\n'TEMPLATE':         text made by a Go template"
#define FILTER_HELP "Only show what meets the conditions"

int check_filter(const char *val, struct err *err);

struct cli;

/** user_time() - what --since and --until take, as "seconds.nanoseconds": relative times are the
 * client's, whatever clock the daemon has. @option: named in the error, or NULL. */
int user_time(struct cli *cli, const char *option, const char *val, char **ret,
              struct err *err) MUST;

/** errno_text() - as Go words it: strerror() with a small first letter. */
char *errno_text(struct arena *a, int no);

/** ports_text() - the PORTS column. */
char *ports_text(struct arena *a, struct port_summary *const *ports, size_t n);

/** inspect_print() - the objects (JSON texts) as an array, or one line each by @format; @errors
 * takes what went wrong with single ones. */
int inspect_print(struct cli *cli, const struct strv *texts, const char *format,
                  struct strv *errors, struct err *err) MUST;
/**
 * format_check() - check a format
 * @what: "template parsing error", put before the message; @name: the template's
 * Return: 0, or 64 after it printed what is wrong.
 */
int format_check(struct cli *cli, const char *what, const char *name, const char *format);
/** inspect_check() - the same for inspect and those that follow it. */
int inspect_check(struct cli *cli, const char *format);
