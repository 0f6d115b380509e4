/*
 * Pseudo terminals: opening a pair, sizes, raw mode. The slave is always opened through the master
 * (TIOCGPTPEER), never by its name, so a container's /dev/pts cannot lead us astray.
 */
#pragma once

#include "base/err.h"

#include <stdint.h>
#include <termios.h>

/**
 * tty_open() - new pty pair from the devpts instance that @ptmx_fd's directory belongs to
 * @dev_fd: directory fd of a devpts mount (its "ptmx" is opened), or -1 for the host's /dev/ptmx
 * @ret_master, @ret_slave: CLOEXEC, O_NOCTTY
 */
int tty_open(int dev_fd, int *ret_master, int *ret_slave, struct err *err) MUST;

/** tty_set_size() - zero rows and columns are left alone (return 0). */
int tty_set_size(int fd, unsigned rows, unsigned cols, struct err *err) MUST;
int tty_get_size(int fd, unsigned *ret_rows, unsigned *ret_cols, struct err *err) MUST;

/** tty_make_controlling() - setsid() and make @slave_fd the controlling terminal. */
int tty_make_controlling(int slave_fd, struct err *err) MUST;

/** tty_raw() - raw mode on a user's terminal; the old one goes to @ret_old. tty_restore() undoes.
 */
int tty_raw(int fd, struct termios *ret_old, struct err *err) MUST;
void tty_restore(int fd, const struct termios *old);
