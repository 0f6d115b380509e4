/*
 * The program of the built-in image cleat/hello: it looks around and says what it is shut in by.
 * Everything is read from the kernel, inside the container; nothing is assumed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static void read_text(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, out, size - 1);

    if (fd >= 0)
        (void)close(fd);
    out[n > 0 ? n : 0] = '\0';
}

static void print_namespaces(void)
{
    static const char *const names[] = {"mnt", "pid", "net", "ipc", "uts", "cgroup", "user"};
    char path[32], link[64];

    printf("  namespaces    ");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
        ssize_t n = readlink(path, link, sizeof(link) - 1);
        link[n > 0 ? n : 0] = '\0';
        printf("%s%s", i ? " " : "", link);
    }
    printf("\n");
}

static void print_status(const char *status, const char *key, const char *label)
{
    const char *at = strstr(status, key);

    if (at)
        printf("  %-13s %.*s\n", label, (int)strcspn(at + strlen(key) + 1, "\n"),
               at + strlen(key) + 1 + strspn(at + strlen(key) + 1, "\t"));
}

static void print_addresses(void)
{
    struct ifaddrs *list = NULL;
    char text[INET6_ADDRSTRLEN];
    int n = 0;

    printf("  addresses     ");
    if (getifaddrs(&list) == 0)
        for (struct ifaddrs *a = list; a; a = a->ifa_next) {
            if (!a->ifa_addr || a->ifa_addr->sa_family != AF_INET)
                continue;
            const struct sockaddr_in *in = (const void *)a->ifa_addr;
            (void)inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
            printf("%s%s %s", n++ ? ", " : "", a->ifa_name, text);
        }
    printf("%s\n", n ? "" : "none");
    freeifaddrs(list);
}

int main(void)
{
    char status[8192], cgroup[2048];
    struct utsname u;

    read_text("/proc/self/status", status, sizeof(status));
    read_text("/proc/self/cgroup", cgroup, sizeof(cgroup));
    (void)uname(&u);
    printf("Hello from a container made by Cleat.\n\n");
    printf("  host name     %s\n  kernel        %s\n  process       %d (its own first process)\n",
           u.nodename, u.release, getpid());
    print_namespaces();
    printf("  cgroup        %.*s\n", (int)strcspn(cgroup, "\n"), cgroup);
    print_status(status, "CapEff:", "capabilities");
    print_status(status, "CapBnd:", "cap. bounding");
    print_status(status, "Seccomp:", "seccomp mode");
    print_status(status, "NoNewPrivs:", "no new privs");
    print_addresses();
    printf("\nThis image is part of the product. To run something of your own:\n"
           "  cleat load -i image.tar && cleat run -it IMAGE\n");
    return 0;
}
