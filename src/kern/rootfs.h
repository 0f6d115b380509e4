/*
 * Paths that a container, an image or a client controls. Every one is resolved below an opened
 * root with openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS): an absolute symlink or ".." leads to
 * the container's root, never to the host's. The result is a descriptor and is never turned back
 * into a string. Linux >= 5.6; no fallback by design.
 */
#pragma once

#include "base/err.h"

#include <sys/types.h>

/**
 * rootfs_open() - open a path the container controls, without ever leaving its root
 * @root_fd: O_PATH directory fd of the root; every symlink and ".." is resolved inside it
 * @path: absolute or relative, NUL-terminated; "" and "/" name the root itself
 * @flags: open(2) flags; O_CLOEXEC is always added
 * Return: a new fd (caller closes); -ENOENT, -ELOOP, -ENOTDIR as open(2); -EAGAIN if renames raced
 *   us many times.
 */
int rootfs_open(int root_fd, const char *path, int flags, struct err *err) MUST;

/**
 * rootfs_create() - like rootfs_open() with O_CREAT
 * @mode: permission bits, reduced by the umask
 */
int rootfs_create(int root_fd, const char *path, int flags, mode_t mode, struct err *err) MUST;

/**
 * rootfs_mkdir_p() - make a directory and its missing parents inside the root
 * Return: O_PATH fd of the directory (existing or new); -ENOTDIR when something else is there.
 */
int rootfs_mkdir_p(int root_fd, const char *path, mode_t mode, struct err *err) MUST;

/**
 * rootfs_parent() - open the directory that holds @path, making missing ones
 * @ret_name: points to the last component within @path (no slashes); -EINVAL when it is empty, "."
 *   or ".."
 * Return: O_PATH fd of the directory.
 */
int rootfs_parent(int root_fd, const char *path, const char **ret_name, struct err *err) MUST;

/**
 * rootfs_mountpoint() - open a mount target, making it (and its parents) when it is missing
 * @dir: what to make: a directory, or an empty file
 * Return: O_PATH fd; the final symlink is followed, inside the root.
 */
int rootfs_mountpoint(int root_fd, const char *path, bool dir, struct err *err) MUST;
