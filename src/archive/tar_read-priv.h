/* The state of a tar reader, and what its files have in common. */
#pragma once

#include "archive/tar.h"
#include "archive/tar_pax.h"

struct reader_source {
    struct source base;
    struct tar_reader *r;
};

struct tar_reader {
    struct source *s;
    tar_raw_fn raw;
    void *ctx;
    struct arena a; /* of the current entry */
    struct tar_entry e;
    uint64_t left;      /* content not read yet */
    unsigned pad;       /* zeros behind it */
    size_t extent;      /* of a sparse file: which one is being read */
    uint64_t extent_at; /* and how far */
    uint64_t entries;
    uint64_t special; /* bytes of the headers that describe this entry */
    bool ended;
    struct reader_source content;
};

/* tar_read.c: errors in Go's words */
int tar_bad_header(struct err *err);
int tar_cut_short(struct err *err);

/** tar_read_block() - Return: 1, 0 at the end of the archive, -errno. */
int tar_read_block(struct tar_reader *r, uint8_t block[TAR_BLOCK], struct err *err) MUST;

/** tar_natural() - a number in a header's field of @n bytes. Return: 0, -EBADMSG (also below 0). */
int tar_natural(const char *field, size_t n, uint64_t *ret, struct err *err) MUST;

/* tar_sparse.c: fill r->e.size and r->e.sparse */
/** tar_sparse_gnu() - from the header @first and the blocks that follow it. */
int tar_sparse_gnu(struct tar_reader *r, const uint8_t *first, struct err *err) MUST;
/** tar_sparse_pax() - from records, or from the content, which r->left loses then. */
int tar_sparse_pax(struct tar_reader *r, const struct pax *pax, struct err *err) MUST;
/** tar_sparse_check() - in order, apart, inside the file, and together as long as the content. */
int tar_sparse_check(const struct tar_reader *r, struct err *err) MUST;
