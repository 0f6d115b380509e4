/* File and socket I/O that finishes what it starts: EINTR and short counts are handled here. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <sys/types.h>

struct stat;

/** read_full() - read exactly @n bytes; Return: 0, -ENODATA on an early end, -errno. */
int read_full(int fd, void *p, size_t n) MUST;
/** write_full() - write all @n bytes (blocking fd). MSG_NOSIGNAL is not implied: ignore SIGPIPE. */
int write_full(int fd, const void *p, size_t n) MUST;
/** pwrite_full() - the same at @off of a file. */
int pwrite_full(int fd, const void *p, size_t n, off_t off) MUST;

/**
 * read_fd() - read to the end of the file
 * @limit: more bytes than this are an error (E2BIG); sizes from outside are never trusted
 * @out: appended to
 */
int read_fd(int fd, size_t limit, struct buf *out, struct err *err) MUST;
/** read_file_at() - open @path below @dir_fd (AT_FDCWD for none; symlinks followed) and read_fd().
 */
int read_file_at(int dir_fd, const char *path, size_t limit, struct buf *out, struct err *err) MUST;

/**
 * write_file_at() - replace a file atomically: temporary name, write, fsync, rename
 * @sync: false leaves out the fsync, for files that need not survive a power loss
 */
int write_file_at(int dir_fd, const char *path, mode_t mode, const void *p, size_t n, bool sync,
                  struct err *err) MUST;
/** write_value_at() - open an existing file and write once: sysctls, cgroup files. */
int write_value_at(int dir_fd, const char *path, const char *text, struct err *err) MUST;

/**
 * lock_file_at() - open (or create) a file and take its write lock, without waiting
 * A POSIX lock: it dies with this very process. A flock(2) would live on in a child that was on its
 * way to exec when we were killed, and keep the next daemon out.
 * Return: fd that holds the lock until any descriptor of that file is closed; -EAGAIN: taken.
 */
int lock_file_at(int dir_fd, const char *path, mode_t mode, struct err *err) MUST;

/** fd_path() - how the kernel names what @fd is open on; @out holds PATH_MAX bytes. For what lies
 * in a mount that is attached nowhere: from that mount's root. */
int fd_path(int fd, char *out, struct err *err) MUST;
/**
 * open_regular_at() - a file of a tree that somebody else changes meanwhile, for reading
 * It may have been replaced by a device, whose open alone can do something: it is looked at before.
 * Return: fd; -ENOENT gone, or no regular file any more; -errno.
 */
int open_regular_at(int dir_fd, const char *name, struct stat *ret) MUST;

/** mkdir_p_at() - make @path and its parents below @dir_fd; existing ones are fine. */
int mkdir_p_at(int dir_fd, const char *path, mode_t mode, struct err *err) MUST;
/** dir_count() - names in a directory, not counted on beyond @limit; @fd may be O_PATH. Return: the
 * number, or -errno. */
ssize_t dir_count(int fd, size_t limit, struct err *err) MUST;
/** remove_tree_at() - delete @name and everything below it, never following a link or crossing a
 * mount, however deep it is. A missing @name is success. */
int remove_tree_at(int dir_fd, const char *name, struct err *err) MUST;
/**
 * remove_tree_with() - the same for a directory, asking about every file in it
 * @hook: called before @name in @dir_fd, no directory, is removed. Return: 0 remove it; 1 it is
 *   gone already; -errno, which ends the removal.
 */
typedef int (*remove_hook)(void *ctx, int dir_fd, const char *name, struct err *err);
int remove_tree_with(int dir_fd, const char *name, remove_hook hook, void *ctx,
                     struct err *err) MUST;

/**
 * fds_send(), fds_recv() - one message with descriptors over a unix socket
 * @nfds: at most FDS_MAX
 * fds_recv() Return: bytes read (0 = peer closed); received descriptors are CLOEXEC; *nfds is how
 *   many came. More than the caller has room for are closed, and -EMSGSIZE returned.
 */
#define FDS_MAX 32
int fds_send(int sock, const void *p, size_t n, const int *fds, size_t nfds) MUST;
ssize_t fds_recv(int sock, void *p, size_t n, int *fds, size_t *nfds) MUST;
