/*
 * Sparse files in a tar: GNU's old form has the extents in the header and blocks behind it, pax 0.x
 * in its records, pax 1.0 as text at the start of the content.
 */
#include "archive/tar_read-priv.h"

#include <errno.h>

#include "archive/tar-priv.h"

static int push_extent(struct tar_reader *r, uint64_t offset, uint64_t len, struct err *err)
{
    if (r->e.sparse.n == TAR_SPARSE_MAX)
        return err_as(err, ERR_INVALID, E2BIG, "archive/tar: too many sparse extents");
    arena_push(&r->a, r->e.sparse) = (struct tar_extent){offset, len};
    return 0;
}

/* @n pairs of 12-digit numbers; an empty one ends them. */
static int gnu_extents(struct tar_reader *r, const char *p, size_t n, struct err *err)
{
    for (; n > 0 && p[0]; n--, p += 24) {
        uint64_t offset = 0, len = 0;
        int rc = tar_natural(p, 12, &offset, err);
        if (rc >= 0)
            rc = tar_natural(p + 12, 12, &len, err);
        if (rc >= 0)
            rc = push_extent(r, offset, len, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int tar_sparse_gnu(struct tar_reader *r, const uint8_t *first, struct err *err)
{
    uint8_t block[TAR_BLOCK];
    bool more = first[TAR_GNU_MORE_AT] != 0;
    int rc = tar_natural((const char *)first + TAR_GNU_REALSIZE_AT, 12, &r->e.size, err);

    if (rc >= 0)
        rc = gnu_extents(r, (const char *)first + TAR_GNU_SPARSE_AT, 4, err);
    while (rc >= 0 && more) {
        rc = tar_read_block(r, block, err);
        if (rc == 0)
            rc = tar_cut_short(err);
        if (rc < 0)
            break;
        more = block[TAR_GNU_EXT_MORE_AT] != 0;
        rc = gnu_extents(r, (const char *)block, 21, err);
    }
    r->e.type = TAR_FILE;
    return rc;
}

/* One decimal line of a 1.0 map, which stands in the content; *@used counts its bytes. */
static int map_line(struct tar_reader *r, uint8_t block[TAR_BLOCK], uint64_t *used, uint64_t *ret,
                    struct err *err)
{
    uint64_t v = 0;

    for (unsigned digits = 0;; digits++) {
        size_t at = *used % TAR_BLOCK;
        if (at == 0) {
            if (r->left < TAR_BLOCK)
                return tar_bad_header(err);
            int rc = tar_read_block(r, block, err);
            if (rc <= 0)
                return rc < 0 ? rc : tar_cut_short(err);
            r->left -= TAR_BLOCK;
        }
        uint8_t c = block[at];
        (*used)++;
        if (c == '\n' && digits > 0)
            break;
        if (c < '0' || c > '9' || digits > 18)
            return tar_bad_header(err);
        v = v * 10 + (uint64_t)(c - '0');
    }
    *ret = v;
    return 0;
}

static int map_in_content(struct tar_reader *r, struct err *err)
{
    uint8_t block[TAR_BLOCK];
    uint64_t used = 0, n = 0, offset = 0, len = 0;
    int rc = map_line(r, block, &used, &n, err);

    for (; rc >= 0 && n > 0; n--) {
        rc = map_line(r, block, &used, &offset, err);
        if (rc >= 0)
            rc = map_line(r, block, &used, &len, err);
        if (rc >= 0)
            rc = push_extent(r, offset, len, err);
    }
    return rc;
}

int tar_sparse_pax(struct tar_reader *r, const struct pax *pax, struct err *err)
{
    int rc = 0;

    if (!pax->sparse_1_0 && pax->map.n == 0)
        return 0;
    r->e.size = pax->real_size;
    if (pax->sparse_1_0)
        return map_in_content(r, err);
    for (size_t i = 0; rc >= 0 && i < pax->map.n; i++)
        rc = push_extent(r, pax->map.v[i].offset, pax->map.v[i].len, err);
    return rc;
}

/* In order, apart, inside the file, and together as long as the content. */
int tar_sparse_check(const struct tar_reader *r, struct err *err)
{
    uint64_t end = 0, sum = 0;

    if (r->e.size > INT64_MAX)
        return tar_bad_header(err);
    for (size_t i = 0; i < r->e.sparse.n; i++) {
        const struct tar_extent *x = &r->e.sparse.v[i];
        if (x->offset < end || x->offset > INT64_MAX || x->len > INT64_MAX ||
            x->offset + x->len > r->e.size)
            return tar_bad_header(err);
        end = x->offset + x->len;
        sum += x->len;
    }
    if (r->e.sparse.n == 0) /* nothing but a hole, or no sparse file at all */
        return r->left > 0 && r->left != r->e.size ? tar_bad_header(err) : 0;
    return sum != r->left ? tar_bad_header(err) : 0;
}
