/* What the engine's files about registries share. */
#pragma once

#include "distribution/config.h"
#include "distribution/session.h"
#include "engine/engine-priv.h"
#include "distribution/reference.h"

struct registries {
    struct arena mem;
    struct dist_config config;
    struct dist_config web; /* the same for hosts that are no registries */
    struct transfers *transfers;
};

enum registry_use { REGISTRY_PULL, REGISTRY_PUSH, REGISTRY_LOOK };

/** registry_session() - @auth: what the client sent for this registry, or NULL. */
int registry_session(struct engine *e, const char *registry, const struct auth_config *auth,
                     enum registry_use use, int gone_fd, struct dist_session **ret,
                     struct err *err) MUST;
/** registry_of() - "docker.io" of "docker.io/library/busybox:latest", in @a. */
const char *registry_of(const struct reference *ref, struct arena *a);
/** registry_reference() - from the API's name and tag (which may be a digest). */
int registry_reference(const char *name, const char *tag, struct reference *ret,
                       struct err *err) MUST;
