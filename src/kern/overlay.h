/*
 * Overlay mounts that never show up in a mount table: made with fsopen/fsconfig/fsmount as a
 * detached mount and handed on as a descriptor. Closing the last descriptor unmounts it.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct overlay {
    struct strv lowers;  /* absolute host paths of directories, topmost first; at least one */
    const char *upper;   /* NULL: a read-only view of the lowers */
    const char *work;    /* with @upper: empty directory on the same file system */
    const char *options; /* further overlay options, "a=b,c"; may be NULL */
    bool ro;             /* mount read-only although there is an upper */
};

/**
 * overlay_mount() - detached mount of the stack of layers
 * @ret_fd: O_PATH-like mount fd (CLOEXEC), usable as directory fd and with move_mount(); the caller
 *   closes it
 * One lower without an upper is no overlay for the kernel: it becomes a read-only bind of the
 * lower. Kernels without "lowerdir+" (< 6.5) or that limit option values to 256 bytes take a legacy
 * mount in a private mount namespace instead, of which a detached clone is handed out. Blocking.
 * Return: 0, -EINVAL (no lower, bad option), -errno of the kernel.
 */
int overlay_mount(const struct overlay *o, int *ret_fd, struct err *err) MUST;

/** overlay_mount_legacy() - the fallback alone; for its test. */
int overlay_mount_legacy(const struct overlay *o, int *ret_fd, struct err *err) MUST;
