/*
 * Messages between the runtime and a container process being set up, over one SOCK_SEQPACKET pair.
 * Both ends are CLOEXEC: the child's end closes by execve(), which is how the parent learns of it.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "oci/oci-priv.h"

int msg_pair(int ret[2], struct err *err)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0)
        return err_sys(err, "make a socket pair");
    return 0;
}

static int send_msg(int sock, const struct msg *m, size_t n, const int *fds, size_t nfds,
                    struct err *err)
{
    int r;

    if (nfds) {
        r = fds_send(sock, m, n, fds, nfds);
    } else {
        do
            r = send(sock, m, n, MSG_NOSIGNAL) < 0 ? -errno : 0;
        while (r == -EINTR);
    }
    return r < 0 ? err_no(err, r, "send message %d", (int)m->kind) : 0;
}

/* Everything but the error is short: the kernel copies what we say, no more. */
#define SHORT offsetof(struct msg, e)

int msg_send_fds(int sock, enum msg_kind kind, const int *fds, size_t nfds, struct err *err)
{
    struct msg m;

    m.kind = kind;
    m.warnings = 0;
    return send_msg(sock, &m, SHORT, fds, nfds, err);
}

int msg_send(int sock, enum msg_kind kind, struct err *err)
{
    return msg_send_fds(sock, kind, NULL, 0, err);
}

int msg_send_ready(int sock, unsigned warnings, struct err *err)
{
    struct msg m;

    m.kind = MSG_READY;
    m.warnings = warnings;
    return send_msg(sock, &m, SHORT, NULL, 0, err);
}

void msg_send_error(int sock, const struct err *e)
{
    struct msg m = {.kind = MSG_ERROR, .e = *e};

    (void)!send_msg(sock, &m, sizeof(m), NULL, 0, NULL);
}

int msg_recv(int sock, struct msg *ret, int *ret_fd, struct err *err)
{
    int fd = -1;
    size_t nfds = 1;
    ssize_t n;

    do {
        nfds = 1;
        n = fds_recv(sock, ret, sizeof(*ret), &fd, &nfds);
        /* It died with a message of ours unread: said once, before what it has sent us. */
    } while (n == -EINTR || n == -ECONNRESET);
    if (n <= 0)
        return n < 0 ? err_no(err, (int)n, "receive from the container's init") : 0;
    if (ret_fd)
        *ret_fd = nfds == 1 ? fd : -1;
    else if (nfds == 1)
        (void)close(fd);
    if ((size_t)n < SHORT || (ret->kind == MSG_ERROR && (size_t)n < sizeof(*ret)))
        return err_no(err, EBADMSG, "receive from the container's init");
    ret->e.msg[sizeof(ret->e.msg) - 1] = '\0';
    return 1;
}

int msg_expect_fds(int sock, enum msg_kind kind, int *fds, size_t *nfds, struct err *err)
{
    struct msg m;
    ssize_t n;

    do
        n = fds_recv(sock, &m, sizeof(m), fds, nfds);
    while (n == -EINTR);
    if (n < (ssize_t)SHORT || m.kind != kind) /* the parent gave up on us */
        return err_no(err, n < 0 ? (int)n : ECANCELED, "wait for message %d", (int)kind);
    return 0;
}

int msg_expect(int sock, enum msg_kind kind, struct err *err)
{
    int none;
    size_t n = 0;

    return msg_expect_fds(sock, kind, &none, &n, err);
}
