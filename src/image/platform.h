/*
 * Platforms of images: "linux/arm/v7". Names are normalized as containerd does (aarch64 is arm64),
 * and one platform can run images of some others (arm64 those of arm/v7).
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>

struct oci_platform;

struct platform {
    char os[32], arch[32], variant[32]; /* variant "" when it is the usual one */
};

/** platform_parse() - "os[/arch[/variant]]", "arch", "arch/variant"; NULL or "" is the host's.
 * Return: 0; -EINVAL with Docker's words. */
int platform_parse(const char *text, struct platform *ret, struct err *err) MUST;
/** platform_set() - from an image's or descriptor's words; any may be NULL. */
void platform_set(struct platform *p, const char *os, const char *arch, const char *variant);
/**
 * platform_score() - how well an image for @have serves somebody who wants @want
 * Return: 0: not at all; more is better, the same platform is best.
 */
int platform_score(const struct platform *want, const struct platform *have);
/** platform_text() - "linux/arm/v7"; returns @out. */
#define PLATFORM_TEXT 100
char *platform_text(const struct platform *p, char out[PLATFORM_TEXT]);
