#include "kern/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/auto.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

int tty_open(int dev_fd, int *ret_master, int *ret_slave, struct err *err)
{
    int flags = O_RDWR | O_NOCTTY | O_CLOEXEC, zero = 0;
    auto_close int master =
        dev_fd >= 0 ? openat(dev_fd, "ptmx", flags | O_NOFOLLOW) : open("/dev/ptmx", flags);

    if (master < 0)
        return err_sys(err, "open a pseudo terminal");
    if (ioctl(master, TIOCSPTLCK, &zero) < 0)
        return err_sys(err, "unlock the pseudo terminal");
    int slave = ioctl(master, TIOCGPTPEER, flags);
    if (slave < 0)
        return err_sys(err, "open the terminal's other end");
    *ret_master = take_fd(&master);
    *ret_slave = slave;
    return 0;
}

int tty_set_size(int fd, unsigned rows, unsigned cols, struct err *err)
{
    struct winsize ws = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols};

    if (!rows && !cols)
        return 0;
    if (rows > UINT16_MAX || cols > UINT16_MAX)
        return err_invalid(err, "terminal size %ux%u is too large", cols, rows);
    return ioctl(fd, TIOCSWINSZ, &ws) < 0 ? err_sys(err, "set terminal size") : 0;
}

int tty_get_size(int fd, unsigned *ret_rows, unsigned *ret_cols, struct err *err)
{
    struct winsize ws;

    if (ioctl(fd, TIOCGWINSZ, &ws) < 0)
        return err_sys(err, "get terminal size");
    *ret_rows = ws.ws_row;
    *ret_cols = ws.ws_col;
    return 0;
}

int tty_make_controlling(int slave_fd, struct err *err)
{
    if (setsid() < 0 && errno != EPERM)
        return err_sys(err, "start a session");
    return ioctl(slave_fd, TIOCSCTTY, 0) < 0 ? err_sys(err, "set the controlling terminal") : 0;
}

int tty_raw(int fd, struct termios *ret_old, struct err *err)
{
    struct termios t;

    if (tcgetattr(fd, &t) < 0)
        return err_sys(err, "get terminal attributes");
    *ret_old = t;
    cfmakeraw(&t);
    return tcsetattr(fd, TCSANOW, &t) < 0 ? err_sys(err, "set terminal attributes") : 0;
}

void tty_restore(int fd, const struct termios *old)
{
    (void)tcsetattr(fd, TCSANOW, old);
}
