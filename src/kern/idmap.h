/*
 * User namespaces: writing id maps, and making namespaces that only carry a mapping for idmapped
 * mounts.
 */
#pragma once

#include "base/err.h"
#include "base/json.h"

#include <stdint.h>
#include <sys/types.h>

struct idmap_range {
    uint32_t container_id, host_id, size;
};

struct idmap_list {
    struct idmap_range **v;
    size_t n;
};

/** idmap_write() - write uid_map, gid_map (and deny setgroups when @deny_setgroups) of @pid. */
int idmap_write(pid_t pid, const struct idmap_list *uids, const struct idmap_list *gids,
                bool deny_setgroups, struct err *err) MUST;
/**
 * idmap_userns() - new user namespace that carries the mapping
 * @ret_fd: namespace fd for mount_setattr(MOUNT_ATTR_IDMAP); no process stays in it
 */
int idmap_userns(const struct idmap_list *uids, const struct idmap_list *gids, int *ret_fd,
                 struct err *err) MUST;
/** idmap_to_host() - host id of a container id. Return: 0, or -EINVAL when it is not mapped. */
int idmap_to_host(const struct idmap_list *map, uint32_t id, uint32_t *ret) MUST;
