/* Who has a port open: the socket's inode from /proc/net, then the process that has it open. Our
 * own sockets never come here; programs of other network namespaces are not found, nor is who has a
 * port of SCTP, of which the kernel makes no such table. */
#include "network/ports.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/io.h"
#include "base/str.h"

#define TABLE_MAX (16U << 20)

static const struct {
    const char *proto, *file;
    int family;
} tables[] = {
    {"tcp", "tcp", AF_INET},
    {"tcp", "tcp6", AF_INET6},
    {"udp", "udp", AF_INET},
    {"udp", "udp6", AF_INET6},
};

/* "0100007F", or four such words for IPv6: as the kernel's memory has them. */
static bool parse_address(const char *hex, int family, struct ip *ret)
{
    size_t words = family == AF_INET6 ? 4 : 1;

    *ret = (struct ip){.family = (uint8_t)family};
    for (size_t i = 0; i < words; i++) {
        uint32_t word;
        if (sscanf(hex + 8 * i, "%8x", &word) != 1)
            return false;
        memcpy(ret->addr + 4 * i, &word, sizeof(word));
    }
    return strlen(hex) == 8 * words;
}

/* Does a socket at @at keep @want from being bound? One on [::] may hold the port for both
 * families, and so may one on ::ffff:192.0.2.1 for IPv4; our own IPv6 sockets are for IPv6 only. */
static bool in_the_way(const struct ip *at, const struct ip *want)
{
    static const uint8_t mapped[12] = {[10] = 0xff, 0xff};
    struct ip v4 = {.family = AF_INET};
    bool is_mapped = at->family == AF_INET6 && memcmp(at->addr, mapped, sizeof(mapped)) == 0;

    if (want->family == AF_INET6)
        return at->family == AF_INET6 && !is_mapped &&
               (ip_is_any(at) || ip_is_any(want) || ip_same(at, want));
    memcpy(v4.addr, at->family == AF_INET ? at->addr : at->addr + 12, 4);
    if (at->family == AF_INET6 && !is_mapped)
        return ip_is_any(at);
    return ip_is_any(&v4) || ip_is_any(want) || ip_same(&v4, want);
}

/* "  0: 0100007F:0050 00000000:0000 0A ... uid timeout inode": the inode in column 10. Of TCP, who
 * listens: connections at the port are in nobody's way. */
static uint64_t inode_in(const char *table, int family, const struct publish *p)
{
    bool stream = strcmp(p->proto, "tcp") == 0;
    char hex[33];
    struct ip at;

    for (const char *line = strchr(table, '\n'); line; line = strchr(line, '\n')) {
        unsigned port, state;
        unsigned long long inode;
        line++;
        if (sscanf(line, " %*d: %32[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*d %*d %llu",
                   hex, &port, &state, &inode) == 4 &&
            port == p->host_port && (!stream || state == 0x0A) && parse_address(hex, family, &at) &&
            in_the_way(&at, &p->host))
            return inode;
    }
    return 0;
}

static uint64_t find_inode(const struct publish *p)
{
    uint64_t inode = 0;

    for (size_t i = 0; !inode && i < sizeof(tables) / sizeof(tables[0]); i++) {
        auto_buf struct buf text = BUF_INIT;
        char path[32];
        if (strcmp(tables[i].proto, p->proto) != 0)
            continue;
        (void)snprintf(path, sizeof(path), "/proc/thread-self/net/%s", tables[i].file);
        if (read_file_at(AT_FDCWD, path, TABLE_MAX, &text, NULL) >= 0)
            inode = inode_in(buf_str(&text), tables[i].family, p);
    }
    return inode;
}

static bool has_socket(int proc, const char *pid, uint64_t inode)
{
    char path[64], want[64], link[64];
    (void)snprintf(path, sizeof(path), "%s/fd", pid);
    (void)snprintf(want, sizeof(want), "socket:[%llu]", (unsigned long long)inode);
    int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_dir DIR *d = fd < 0 ? NULL : fdopendir(fd);

    for (struct dirent *ent; d && (ent = readdir(d));) {
        ssize_t n = readlinkat(dirfd(d), ent->d_name, link, sizeof(link) - 1);
        if (n < 0)
            continue;
        link[n] = '\0';
        if (strcmp(link, want) == 0)
            return true;
    }
    return false;
}

static void describe(int proc, const char *pid, char *ret, size_t size)
{
    auto_buf struct buf name = BUF_INIT;
    char path[64];

    (void)snprintf(path, sizeof(path), "%s/comm", pid);
    if (read_file_at(proc, path, 64, &name, NULL) < 0)
        return;
    (void)snprintf(ret, size, "%.*s, pid %s", (int)strcspn(buf_str(&name), "\n"), buf_str(&name),
                   pid);
}

void port_holder(const struct publish *p, char *ret, size_t size)
{
    uint64_t inode = find_inode(p), pid;
    auto_dir DIR *d = inode ? opendir("/proc") : NULL;

    *ret = '\0';
    for (struct dirent *ent; d && !*ret && (ent = readdir(d));)
        if (str_to_u64(ent->d_name, &pid) == 0 && has_socket(dirfd(d), ent->d_name, inode))
            describe(dirfd(d), ent->d_name, ret, size);
}
