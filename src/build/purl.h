/*
 * Names of packages as URLs: "pkg:deb/debian/libc6@2.36-9?arch=amd64". Attestations speak of images
 * and packages by them.
 *
 * Source: package-url specification (PURL-SPECIFICATION, PURL-TYPES).
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"
#include "distribution/platform.h"

struct purl {
    const char *type;
    const char *space; /* segments with "/" between them, or NULL */
    const char *name, *version;
    struct strmap qualifiers; /* sorted by who fills it; empty ones are left out */
};

/** purl_text() - in @a, escaped. */
char *purl_text(const struct purl *p, struct arena *a);
/** purl_image() - an image by its name, as users write it, with the platform; NULL: the name is
 * none. */
char *purl_image(const char *name, const struct platform *p, struct arena *a);
