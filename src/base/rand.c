#include "base/rand.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void rand_bytes(void *p, size_t n)
{
    char *to = p;

    while (n > 0) {
        ssize_t got = getrandom(to, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort();
        to += got;
        n -= (size_t)got;
    }
}

void rand_hex(char *out, size_t digits)
{
    unsigned char b[32];

    for (size_t i = 0; i < digits; i++) {
        if (i % 64 == 0)
            rand_bytes(b, sizeof(b));
        unsigned char v = b[i % 64 / 2];
        out[i] = "0123456789abcdef"[i % 2 ? v & 15 : v >> 4];
    }
    out[digits] = '\0';
}

void rand_id(char out[ID_LEN + 1])
{
    do
        rand_hex(out, ID_LEN);
    while (strspn(out, "0123456789") >= 12);
}
