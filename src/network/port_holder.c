/* Who has a port open: the socket's inode from /proc/net, then the process that has it open. Our
 * own sockets never come here; programs of other network namespaces are not found. */
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

/* "  0: 0100007F:0050 00000000:0000 0A ... uid timeout inode": the inode in column 10. */
static uint64_t inode_in(const char *table, uint16_t port)
{
    uint64_t found = 0;

    for (const char *line = strchr(table, '\n'); line && !found; line = strchr(line, '\n')) {
        unsigned at, state;
        unsigned long long inode;
        line++;
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*d %*d %llu",
                   &at, &state, &inode) == 3 &&
            at == port && (state == 0x0A || state == 0x07)) /* listening; an unconnected datagram */
            found = inode;
    }
    return found;
}

static uint64_t find_inode(const struct publish *p)
{
    static const char *const files[] = {"tcp", "tcp6", "udp", "udp6"};
    size_t first = strcmp(p->proto, "udp") == 0 ? 2 : 0;

    /* A program on [::] may hold the port for both families. */
    for (size_t i = first; i < first + 2; i++) {
        auto_buf struct buf text = BUF_INIT;
        char path[32];
        (void)snprintf(path, sizeof(path), "/proc/thread-self/net/%s", files[i]);
        if (read_file_at(AT_FDCWD, path, TABLE_MAX, &text, NULL) < 0)
            continue;
        uint64_t inode = inode_in(buf_str(&text), p->host_port);
        if (inode)
            return inode;
    }
    return 0;
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
