/*
 * Platforms of images: "linux/arm/v7". Names are normalized as containerd does (aarch64 is arm64),
 * and one platform can run images of some others (arm64 those of arm/v7).
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "distribution/descriptor.h"

#include <stdbool.h>

struct platform {
    char os[32], arch[32], variant[32]; /* variant "" when it is the usual one */
};

/** platform_parse() - "os[/arch[/variant]]", "arch", "arch/variant"; NULL or "" is the host's.
 * Return: 0; -EINVAL with Docker's words. */
int platform_parse(const char *text, struct platform *ret, struct err *err) MUST;
/** platform_set() - from an image's or descriptor's words; any may be NULL. */
void platform_set(struct platform *p, const char *os, const char *arch, const char *variant);
/** platform_of() - the same from a document's; NULL is the host's. */
void platform_of(struct platform *p, const struct oci_platform *from);
/** platform_oci() - as documents write it. */
struct oci_platform *platform_oci(const struct platform *p, struct arena *a);
/**
 * platform_score() - how well an image for @have serves somebody who wants @want
 * Return: 0: not at all; more is better, the same platform is best.
 */
int platform_score(const struct platform *want, const struct platform *have);
/** platform_same() - the very same, variant included. */
bool platform_same(const struct platform *a, const struct platform *b);
/** platform_serves() - is it the wanted one, or an older one of the same architecture? What other
 * architectures can run does not count for who names a platform. */
bool platform_serves(const struct platform *want, const struct platform *have);
/** platform_text() - "linux/arm/v7"; returns @out. */
#define PLATFORM_TEXT 100
char *platform_text(const struct platform *p, char out[PLATFORM_TEXT]);
/** host_architecture() - as images name it: "amd64", "arm64". */
const char *host_architecture(void);
