/* What a stream is compressed with, by its first bytes: apart from the libraries that do it, which
 * programs that only look need not be linked with. */
#include "archive/compress.h"

#include <string.h>

static const struct {
    const char *name, *magic;
    size_t len;
} kinds[] = {
    [COMP_NONE] = {"", "", 0},
    [COMP_GZIP] = {"gzip", "\x1f\x8b\x08", 3},
    [COMP_ZSTD] = {"zstd", "\x28\xb5\x2f\xfd", 4},
    [COMP_XZ] = {"xz", "\xfd\x37zXZ\0", 6},
    [COMP_BZIP2] = {"bzip2", "BZh", 3},
};

enum compression compression_detect(const uint8_t *p, size_t n)
{
    for (unsigned i = COMP_GZIP; i <= COMP_BZIP2; i++)
        if (n >= kinds[i].len && memcmp(p, kinds[i].magic, kinds[i].len) == 0)
            return (enum compression)i;
    return COMP_NONE;
}

const char *compression_name(enum compression c)
{
    return kinds[c].name;
}
