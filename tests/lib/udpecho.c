/* Sends every datagram back to where it came from; busybox has no such server. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((unsigned short)atoi(argc > 1 ? argv[1] : "53"))};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    char data[2048];

    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || write(1, "up\n", 3) != 3)
        return 1;
    for (;;) {
        struct sockaddr_in from;
        socklen_t len = sizeof(from);
        ssize_t n = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &len);
        if (n < 0 || sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, len) < 0)
            return 1;
    }
}
