/* Packages of an image, between who reads them (sbom_dpkg.c, sbom_apk.c) and who writes them down.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>

#define SBOM_PACKAGES_MAX 200000
#define SBOM_FILE_MAX (64u << 20) /* a database of packages */

struct sbom_package {
    const char *type;                                          /* "deb", "apk" */
    char *name, *version, *arch, *license, *source, *supplier; /* any but the name may be NULL */
};

struct sbom_packages {
    struct arena *a;
    struct sbom_package *v;
    size_t n;
};

/** sbom_file() - a file below an opened root, if it is a regular one. Return: 0; 1: it is not
 * there. */
int sbom_file(int root_fd, const char *dir, const char *name, struct buf *out,
              struct err *err) MUST;
/** sbom_dpkg() - those of Debian: one file, or one for each package as images without dpkg have. */
int sbom_dpkg(int root_fd, struct sbom_packages *to, struct err *err) MUST;
/** sbom_apk() - those of Alpine. */
int sbom_apk(int root_fd, struct sbom_packages *to, struct err *err) MUST;
/** sbom_parse_dpkg(), sbom_parse_apk() - a database's text. */
int sbom_parse_dpkg(const struct buf *text, struct sbom_packages *to, struct err *err) MUST;
int sbom_parse_apk(const struct buf *text, struct sbom_packages *to, struct err *err) MUST;
/** sbom_add() - Return: 0; -E2BIG. One without a name is passed over. */
int sbom_add(struct sbom_packages *to, const struct sbom_package *p, struct err *err) MUST;

/** sbom_line() - cut the next line out of a text of @n bytes; the text moves on. Return: false at
 * its end. */
bool sbom_line(const char **text, size_t *n, const char **ret, size_t *ret_n);
