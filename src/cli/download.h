/* Answers that are files: image archives, file systems of containers. */
#pragma once

#include "base/err.h"

struct cli;

/**
 * download_to() - copy the answer of a GET to a file, or to stdout
 * @path: "" or NULL is stdout, which must be no terminal; a file that is there is replaced when all
 *   has come
 * @what: "save image", for errors about the path, which is checked before anything is asked
 */
int download_to(struct cli *cli, const char *target, const char *path, const char *what,
                struct err *err) MUST;
