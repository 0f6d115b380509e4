#pragma once

#include "kern/seccomp.h"

/**
 * seccomp_profile_docker() - a profile in Docker's JSON format, decided for one container
 * @caps: the container's capabilities; rules depend on them
 */
int seccomp_profile_docker(const char *text, size_t len, const struct strv *caps, struct arena *a,
                           struct seccomp_profile *out, struct err *err) MUST;
