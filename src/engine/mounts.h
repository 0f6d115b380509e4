/* Binds, volumes and images as users write them: "-v" and "--mount" brought to one form. */
#pragma once

#include "base/arena.h"
#include "wire/host_config.h"

enum bind_kind {
    BIND_PATH,   /* source is a path of the host */
    BIND_VOLUME, /* a volume's name, or "" for a fresh one */
    BIND_IMAGE,  /* an image, as the user names it */
};

struct bind {
    enum bind_kind kind;
    char *source, *target, *mode, *propagation;
    char *driver;  /* of a volume, if the user named one; else NULL */
    char *subpath; /* of a volume or an image: the part of it that is mounted; NULL: all */
    bool ro, rro, non_recursive, create, no_copy;
};
struct binds {
    struct bind *v;
    size_t n;
};

/** binds_collect() - HostConfig.Binds and .Mounts, checked; texts in @a or the config. */
int binds_collect(const struct host_config *host, struct arena *a, struct binds *ret,
                  struct err *err) MUST;
/** bind_driver() - the driver that the user wants for the volume at @target, or NULL. */
char *bind_driver(const struct host_config *host, const char *target);
