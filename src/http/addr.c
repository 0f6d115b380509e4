#include "http/addr.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/str.h"
#include "http/guard.h"

static int parse_path(enum addr_kind kind, const char *path, struct addr *a, struct err *err)
{
    if (strlen(path) >= sizeof(a->path))
        return err_invalid(err, "socket path is too long: %s", path);
    if (kind == ADDR_UNIX && !*path)
        return err_invalid(err, "no socket path in address \"unix://\"");
    a->kind = kind;
    strncpy(a->path, path, sizeof(a->path) - 1);
    return 0;
}

static int parse_port(const char *s, struct addr *a, struct err *err)
{
    uint64_t port;

    if (str_to_u64(s, &port) < 0 || port > 65535)
        return err_invalid(err, "invalid port \"%s\"", s);
    a->port = (uint16_t)port;
    return 0;
}

/* host, host:port, [v6], [v6]:port; a path behind it is not for us. */
static int parse_host(const char *s, struct addr *a, struct err *err)
{
    size_t n = strcspn(s, "/");
    size_t skip = *s == '[';
    size_t host = skip ? strcspn(s, "]") - 1 : strcspn(s, ":/");
    const char *rest = s + skip + host + skip;

    if (s[n] == '/' && s[n + 1])
        return err_invalid(err, "invalid address \"%s\": no path is allowed", s);
    if (host >= sizeof(a->host) || (skip && s[host + 1] != ']') || (*rest && !strchr(":/", *rest)))
        return err_invalid(err, "invalid address \"%s\"", s);
    memcpy(a->host, s + skip, host);
    a->kind = ADDR_TCP;
    if (*rest != ':')
        return 0;
    char port[8] = "";
    size_t len = strcspn(rest + 1, "/");
    if (len >= sizeof(port))
        return err_invalid(err, "invalid address \"%s\"", s);
    memcpy(port, rest + 1, len);
    return parse_port(port, a, err);
}

int addr_parse(const char *text, uint16_t default_port, struct addr *ret, struct err *err)
{
    struct addr a = {.port = default_port};
    const char *rest;
    int r;

    if ((rest = str_starts(text, "unix://")))
        r = parse_path(ADDR_UNIX, rest, &a, err);
    else if ((rest = str_starts(text, "fd://")))
        r = parse_path(ADDR_FD, rest, &a, err);
    else if ((rest = str_starts(text, "tcp://")) || (rest = str_starts(text, "http://")))
        r = parse_host(rest, &a, err);
    else if ((rest = str_starts(text, "https://"))) {
        a.https = true;
        r = parse_host(rest, &a, err);
    } else if (str_starts(text, "ssh://") || str_starts(text, "npipe://"))
        return err_as(err, ERR_NOT_IMPLEMENTED, EPROTONOSUPPORT,
                      "address \"%s\": this kind of connection is not supported", text);
    else if (strstr(text, "://"))
        return err_invalid(err, "unable to parse docker host `%s`", text);
    else if (*text == '/')
        r = parse_path(ADDR_UNIX, text, &a, err);
    else
        r = parse_host(text, &a, err);
    if (r == 0)
        *ret = a;
    return r;
}

static void unix_addr(const struct addr *a, struct sockaddr_un *sun)
{
    *sun = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(sun->sun_path, a->path, sizeof(a->path));
}

/* A listener whose queue is full would make us wait for as long as it likes. */
static int limit_connect(int fd, unsigned ms, struct err *err)
{
    const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000L};

    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0)
        return err_sys(err, "set a time limit");
    return 0;
}

static int connect_unix(const struct addr *a, unsigned ms, struct err *err)
{
    struct sockaddr_un sun;
    auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_sys(err, "create socket");
    unix_addr(a, &sun);
    int r = ms ? limit_connect(fd, ms, err) : 0;
    if (r < 0)
        return r;
    do
        r = connect(fd, (struct sockaddr *)&sun, sizeof(sun));
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return err_no(err, errno == EAGAIN ? ETIMEDOUT : errno, "dial unix %s", a->path);
    r = ms ? limit_connect(fd, 0, err) : 0;
    return r < 0 ? r : take_fd(&fd);
}

static int resolve(const struct addr *a, bool passive, struct addrinfo **ret, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = passive ? AI_PASSIVE : 0};
    char port[8];

    (void)snprintf(port, sizeof(port), "%u", a->port);
    const char *host = *a->host ? a->host : passive ? NULL : "localhost";
    int r = getaddrinfo(host, port, &hints, ret);
    if (r != 0)
        return err_as(err, ERR_UNAVAILABLE, EHOSTUNREACH, "look up %s: %s", a->host,
                      gai_strerror(r));
    return 0;
}

static void auto_ai(struct addrinfo **ai)
{
    if (*ai)
        freeaddrinfo(*ai);
}

static void tcp_options(int fd)
{
    int one = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
}

/* Connected and blocking, or -1 with errno set. */
static int connect_one(const struct addrinfo *ai, unsigned ms, int gone_fd)
{
    auto_close int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int no = 0;
    socklen_t len = sizeof(no);

    if (fd < 0)
        return -1;
    if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
        if (errno != EINPROGRESS && errno != EINTR)
            return -1;
        int r = guard_wait(fd, POLLOUT, ms, gone_fd);
        if (r == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &no, &len) < 0)
            return -1;
        if (r < 0 || no) {
            errno = r < 0 ? -r : no;
            return -1;
        }
    }
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
        return -1;
    return take_fd(&fd);
}

static int connect_tcp(const struct addr *a, unsigned ms, int gone_fd, struct err *err)
{
    AUTO(auto_ai) struct addrinfo *list = NULL;
    int r = resolve(a, false, &list, err);

    if (r < 0)
        return r;
    for (struct addrinfo *ai = list; ai; ai = ai->ai_next) {
        int fd = connect_one(ai, ms, gone_fd);
        if (fd >= 0) {
            tcp_options(fd);
            return fd;
        }
        r = err_sys(err, "dial tcp %s:%u", a->host, a->port);
        if (r == -ECANCELED)
            break;
    }
    return r;
}

int addr_connect_within(const struct addr *a, unsigned ms, int gone_fd, struct err *err)
{
    if (a->kind == ADDR_UNIX)
        return connect_unix(a, ms, err);
    if (a->kind == ADDR_TCP)
        return connect_tcp(a, ms, gone_fd, err);
    return err_invalid(err, "cannot connect to fd://");
}

int addr_connect(const struct addr *a, struct err *err)
{
    return addr_connect_within(a, 0, -1, err);
}

/* A killed daemon's child that was on its way to exec keeps the socket open, and a connect still
 * works; but who had called listen(2) is no more. */
static bool listener_is_dead(int fd)
{
    struct ucred who = {0};
    socklen_t len = sizeof(who);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.pid > 0 &&
           kill(who.pid, 0) < 0 && errno == ESRCH;
}

/* Remove the file of a socket nobody serves any more. */
static int clear_stale(const struct addr *a, struct err *err)
{
    struct stat st;

    if (lstat(a->path, &st) < 0)
        return errno == ENOENT ? 0 : err_sys(err, "look at %s", a->path);
    if (!S_ISSOCK(st.st_mode))
        return err_no(err, EADDRINUSE, "%s exists and is no socket", a->path);
    auto_close int fd = connect_unix(a, 0, NULL);
    if (fd >= 0 && !listener_is_dead(fd))
        return err_no(err, EADDRINUSE, "listen on %s", a->path);
    if (unlink(a->path) < 0 && errno != ENOENT)
        return err_sys(err, "remove stale socket %s", a->path);
    return 0;
}

/* Born without permissions for others: mode and group are set before anybody can connect. */
static int bind_unix(int fd, const struct addr *a, unsigned mode, int gid, struct err *err)
{
    struct sockaddr_un sun;

    unix_addr(a, &sun);
    if (fchmod(fd, 0600) < 0) /* the mode of an unbound socket is its file's */
        return err_sys(err, "set mode of socket");
    if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
        return err_sys(err, "bind %s", a->path);
    if (gid >= 0 && lchown(a->path, (uid_t)-1, (gid_t)gid) < 0)
        return err_sys(err, "set group of %s", a->path);
    if (chmod(a->path, mode) < 0)
        return err_sys(err, "set mode of %s", a->path);
    return 0;
}

static int listen_unix(const struct addr *a, unsigned mode, int gid, struct err *err)
{
    auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return err_sys(err, "create socket");
    int r = clear_stale(a, err);
    if (r < 0 || (r = bind_unix(fd, a, mode, gid, err)) < 0)
        return r;
    if (listen(fd, SOMAXCONN) < 0)
        return err_sys(err, "listen on %s", a->path);
    return take_fd(&fd);
}

static int listen_tcp(const struct addr *a, struct err *err)
{
    AUTO(auto_ai) struct addrinfo *list = NULL;
    int one = 1, r = resolve(a, true, &list, err);

    if (r < 0)
        return r;
    auto_close int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_sys(err, "create socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, list->ai_addr, list->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0)
        return err_sys(err, "listen on %s:%u", a->host, a->port);
    return take_fd(&fd);
}

int addr_listen(const struct addr *a, unsigned mode, int gid, struct err *err)
{
    if (a->kind == ADDR_UNIX)
        return listen_unix(a, mode, gid, err);
    if (a->kind == ADDR_TCP)
        return listen_tcp(a, err);
    return err_invalid(err, "fd:// sockets are made by systemd");
}
