/*
 * Tar archives, read and written as streams: ustar, pax (also global headers), GNU long names,
 * base-256 numbers, sparse files (old GNU and pax 0.0 to 1.0), xattrs. Input is hostile: checksums
 * are checked, and names, pax records and the number of entries are limited. No file system here.
 */
#pragma once

#include "archive/stream.h"
#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TAR_BLOCK 512
#define TAR_NAME_MAX 4096          /* bytes of a path */
#define TAR_PAX_MAX (1u << 20)     /* bytes of one pax header, as Go's archive/tar */
#define TAR_SPECIAL_MAX (2u << 20) /* bytes of all headers before one entry */
#define TAR_ENTRIES_MAX (8u << 20) /* entries of one archive */
#define TAR_SPARSE_MAX (1u << 16)  /* extents of one sparse file */

enum tar_type {
    TAR_FILE = '0',
    TAR_HARDLINK = '1',
    TAR_SYMLINK = '2',
    TAR_CHAR = '3',
    TAR_BLOCKDEV = '4',
    TAR_DIR = '5',
    TAR_FIFO = '6',
};

struct tar_xattr {
    char *name; /* "security.capability" */
    char *val;
    size_t len;
};

struct tar_extent {
    uint64_t offset, len;
};

struct tar_entry {
    char *name; /* as written, also empty; no NUL inside */
    char *link; /* target of links, else "" */
    enum tar_type type;
    uint32_t mode; /* permission bits, set-id, sticky */
    uint64_t uid, gid;
    int64_t mtime_ns;
    uint64_t size;   /* of the file, holes included */
    uint64_t stored; /* bytes of content in the archive */
    uint32_t dev_major, dev_minor;
    struct {
        struct tar_xattr *v;
        size_t n;
    } xattrs;
    struct {
        struct tar_extent *v; /* where the stored bytes go; n == 0: one extent from 0 */
        size_t n;
    } sparse;
};

struct tar_reader;

/* Told of every byte that is not file content (headers, padding, end), in order: the recipe. */
typedef int (*tar_raw_fn)(void *ctx, const void *p, size_t n, struct err *err);

/** tar_reader_new() - @s stays the caller's; @raw may be NULL. */
struct tar_reader *tar_reader_new(struct source *s, tar_raw_fn raw, void *ctx);
void tar_reader_free(struct tar_reader *r);
/**
 * tar_next() - the next entry; content of the last one that was not read is skipped
 * @ret: valid until the next call
 * Return: 1; 0 at the end (all bytes of the source are consumed); -EBADMSG (invalid): "archive/tar:
 *   invalid tar header", "unexpected EOF"; -E2BIG: over a limit.
 */
int tar_next(struct tar_reader *r, const struct tar_entry **ret, struct err *err) MUST;
/**
 * tar_data() - lend the next bytes of content
 * @ret_offset: where in the file they belong; may be NULL
 * Return: bytes, 0 at the end of this entry, -errno.
 */
ssize_t tar_data(struct tar_reader *r, const uint8_t **ret, uint64_t *ret_offset,
                 struct err *err) MUST;
/** tar_entry_source() - the content of the current entry as a source; owned by the reader, valid
 * until tar_next(). */
struct source *tar_entry_source(struct tar_reader *r);
/** tar_header_valid() - does this block look like the start of an archive (or its end)? */
bool tar_header_valid(const uint8_t block[TAR_BLOCK]);

struct tar_writer;

/** tar_writer_new() - @s stays the caller's. */
struct tar_writer *tar_writer_new(struct sink *s);
void tar_writer_free(struct tar_writer *w);
/** tar_write_entry() - a header; pax records are added where ustar has no room, as Go does. Then
 * exactly e->size bytes by tar_write_data(). e->stored and e->sparse are not used. */
int tar_write_entry(struct tar_writer *w, const struct tar_entry *e, struct err *err) MUST;
int tar_write_data(struct tar_writer *w, const void *p, size_t n, struct err *err) MUST;
/** tar_write_flush() - pass on what is still held back: small pieces go out together. The next two
 * do so, too; a writer that is freed before does not. */
int tar_write_flush(struct tar_writer *w, struct err *err) MUST;
/** tar_write_pad() - the last entry's padding, where another writer goes on with the archive. */
int tar_write_pad(struct tar_writer *w, struct err *err) MUST;
/** tar_write_end() - padding and the two empty blocks. */
int tar_write_end(struct tar_writer *w, struct err *err) MUST;

static inline void tar_reader_freep_(struct tar_reader **r)
{
    tar_reader_free(*r);
}
static inline void tar_writer_freep_(struct tar_writer **w)
{
    tar_writer_free(*w);
}
#define auto_tar_reader AUTO(tar_reader_freep_)
#define auto_tar_writer AUTO(tar_writer_freep_)
