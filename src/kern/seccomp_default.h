/*
 * The built-in seccomp profile: what Docker's default profile allows, as a table. Which rules apply
 * depends on the capabilities a container may get and on the machine's architecture.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"
#include "kern/seccomp.h"

/**
 * seccomp_default_fill() - the built-in profile for one container
 * @caps: its bounding set, "CAP_CHOWN" ...; a profile of a privileged container is the caller's
 *        decision (Docker uses none)
 * @out: overwritten; strings are static or live in @a
 */
void seccomp_default_fill(struct arena *a, const struct strv *caps, struct seccomp_profile *out);

/** seccomp_default_fill_arch() - the same for another machine: "amd64", "arm64" (tests). */
void seccomp_default_fill_arch(struct arena *a, const char *arch, const struct strv *caps,
                               struct seccomp_profile *out);
