/* Addresses of the API as users write them: unix://, tcp://, http(s)://, fd://, ssh://. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum addr_kind { ADDR_UNIX, ADDR_TCP, ADDR_FD };

struct addr {
    enum addr_kind kind;
    bool https;     /* https:// was written: TLS wanted */
    char path[108]; /* ADDR_UNIX: socket path; ADDR_FD: name behind fd://, "" or "*" for all */
    char host[256]; /* ADDR_TCP: name or address without brackets */
    uint16_t port;
};

/**
 * addr_parse() - parse "unix:///run/x.sock", "tcp://127.0.0.1:2375", "tcp://[::1]", "fd://" ...
 * @default_port: used where a TCP address has none
 * Return: 0; -EINVAL; -EPROTONOSUPPORT of kind not implemented for ssh:// and npipe://.
 */
int addr_parse(const char *text, uint16_t default_port, struct addr *ret, struct err *err) MUST;

/** addr_connect() - a connected, blocking, CLOEXEC socket. */
int addr_connect(const struct addr *a, struct err *err) MUST;
/** addr_connect_within() - the same; each address of the host is tried for at most @ms (0: as long
 * as the system does). Return: fd; -ETIMEDOUT; -ECANCELED when @gone_fd (or -1) hung up. */
int addr_connect_within(const struct addr *a, unsigned ms, int gone_fd, struct err *err) MUST;

/** addr_listen() - a bound, listening, non-blocking, CLOEXEC socket; a stale unix socket file is
 * replaced, a living one is -EADDRINUSE. @mode and @gid (-1: leave) apply to unix sockets. */
int addr_listen(const struct addr *a, unsigned mode, int gid, struct err *err) MUST;
