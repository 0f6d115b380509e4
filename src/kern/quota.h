/*
 * Project quotas: limits of directories, on file systems that have them (ext4, xfs). A directory
 * has a project id, which what is made in it inherits; the file system counts per id, and holds to
 * the id's limit. Other programs may use ids, too: the file system's own count tells which are
 * free.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct quota_usage {
    uint64_t used_b, limit_b; /* limit 0: none */
    uint64_t inodes;
};

/**
 * quota_supported() - does the directory's file system count and limit projects?
 * Return: 1; 0 it could not, or it is mounted without; -errno, EOPNOTSUPP on kernels before 5.14.
 */
int quota_supported(int dir_fd, struct err *err) MUST;

/**
 * quota_limit_dirs() - a project of their own for empty directories of one file system
 * @fds: descriptors of them; they share the limit
 * Two calls at once may choose one id: the caller lets one go after the other.
 * Return: 0; ERR_INVALID -EOPNOTSUPP the file system has no project quotas (said in words); -ENOSPC
 * every id is taken; -errno.
 */
int quota_limit_dirs(const int *fds, size_t n, uint64_t limit_b, struct err *err) MUST;

/** quota_take_over() - @to, empty, counts as a part of what @from belongs to, if that is a project.
 */
int quota_take_over(int from, int to, struct err *err) MUST;

/**
 * quota_usage() - what counts as the directory's project
 * Return: 1; 0 the directory belongs to none, or the file system counts nothing; -errno.
 */
int quota_usage(int dir_fd, struct quota_usage *ret, struct err *err) MUST;
