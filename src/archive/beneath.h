/*
 * Opening names of an archive below a directory. The kernel keeps the resolution inside
 * (openat2(2)); nothing is checked by looking at the text of a path.
 */
#pragma once

/** open_in_root() - links are followed, inside @root_fd as if it were "/". Return: fd or -1, errno.
 */
int open_in_root(int root_fd, const char *path, int flags);
/** open_beneath() - for paths of our own making: a link anywhere is an error (-1, ELOOP). */
int open_beneath(int root_fd, const char *path, int flags);
