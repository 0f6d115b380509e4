/* The ustar header block, shared by the tar reader and writer. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct tar_header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], chksum[8], type, link[100];
    char magic[8]; /* "ustar\0" "00" of POSIX; "ustar  \0" of GNU */
    char uname[32], gname[32], dev_major[8], dev_minor[8];
    char prefix[155], pad[12]; /* of POSIX; GNU has times and sparse extents there */
};
_Static_assert(sizeof(struct tar_header) == 512, "a tar header is one block");

/* GNU sparse files: four extents in the header, then 21 per extension block. */
#define TAR_GNU_SPARSE_AT 386
#define TAR_GNU_MORE_AT 482
#define TAR_GNU_REALSIZE_AT 483
#define TAR_GNU_EXT_MORE_AT 504

/** tar_checksum() - sum of all bytes with the checksum field as blanks; GNU's and Sun's way. */
static inline void tar_checksum(const uint8_t *block, int64_t *ret_unsigned, int64_t *ret_signed)
{
    int64_t u = 0, s = 0;

    for (size_t i = 0; i < sizeof(struct tar_header); i++) {
        uint8_t c =
            i >= offsetof(struct tar_header, chksum) && i < offsetof(struct tar_header, type)
                ? ' '
                : block[i];
        u += c;
        s += (int8_t)c;
    }
    *ret_unsigned = u;
    *ret_signed = s;
}
