/*
 * Tar archives, compressed or not: the reader must not crash, must stay within its limits, and the
 * raw bytes plus the content it hands out must be the archive, byte for byte.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "archive/compress.h"
#include "archive/stream.h"
#include "archive/tar.h"
#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INFLATED_MAX (4u << 20)

static int put(void *ctx, const void *p, size_t n, struct err *err)
{
    struct buf *all = ctx;

    if (all->len + n > INFLATED_MAX)
        return err_as(err, ERR_INVALID, 7 /* E2BIG */, "enough");
    buf_put(all, p, n);
    return 0;
}

static void check_entry(const struct tar_entry *e)
{
    uint64_t sum = 0, end = 0;

    if (!e->name || !e->link || strlen(e->name) >= TAR_NAME_MAX)
        abort();
    for (size_t i = 0; i < e->sparse.n; i++) {
        if (e->sparse.v[i].offset < end)
            abort();
        end = e->sparse.v[i].offset + e->sparse.v[i].len;
        sum += e->sparse.v[i].len;
    }
    if (end > e->size || (e->sparse.n && sum != e->stored))
        abort();
}

/* Return: 1 when the whole archive was read without an error. */
static int walk(struct source *s, struct buf *all)
{
    auto_tar_reader struct tar_reader *r = tar_reader_new(s, put, all);
    const struct tar_entry *e = NULL;
    const uint8_t *p = NULL;
    uint64_t offset = 0;
    ssize_t n = 0;
    int rc = 0;

    while ((rc = tar_next(r, &e, NULL)) > 0) {
        check_entry(e);
        while ((n = tar_data(r, &p, &offset, NULL)) > 0) {
            if (offset + (uint64_t)n > e->size)
                abort();
            if (put(all, p, (size_t)n, NULL) < 0)
                return 0;
        }
        if (n < 0)
            return 0;
    }
    return rc == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_source struct source *mem = source_mem(data, size);
    auto_buf struct buf all = BUF_INIT;
    struct source *s = NULL;
    enum compression kind = COMP_NONE;

    if (source_auto(mem, &kind, &s, NULL) < 0)
        return 0;
    if (walk(s, &all) && kind == COMP_NONE &&
        (all.len != size || (size && memcmp(all.data, data, size) != 0)))
        abort();
    source_free(s);
    return 0;
}
