#include "base/test.h"

#include <errno.h>

#include "archive/stream.h"
#include "archive/tar-priv.h"
#include "archive/tar.h"
#include "base/buf.h"

static int to_buf(void *ctx, const void *p, size_t n, struct err *err)
{
    (void)err;
    buf_put(ctx, p, n);
    return 0;
}

#define S(text) ((char *)(uintptr_t)(text)) /* entries are not const */

static void put(struct tar_writer *w, struct tar_entry entry, const char *content)
{
    struct err e = {0};

    entry.size = content ? strlen(content) : 0;
    CHECK_OK(tar_write_entry(w, &entry, &e));
    if (content)
        CHECK_OK(tar_write_data(w, content, strlen(content), &e));
}

/* One entry, and the end. */
static void one(struct buf *out, struct tar_entry entry, const char *content)
{
    struct err e = {0};
    auto_sink struct sink *s = sink_cb(to_buf, out);
    auto_tar_writer struct tar_writer *w = tar_writer_new(s);

    put(w, entry, content);
    CHECK_OK(tar_write_end(w, &e));
}

static void reseal(char *block)
{
    struct tar_header *h = (struct tar_header *)block;
    int64_t sum = 0, other = 0;

    tar_checksum((const uint8_t *)block, &sum, &other);
    (void)snprintf(h->chksum, sizeof(h->chksum), "%06llo", (unsigned long long)sum);
}

static int read_content(struct tar_reader *r, struct buf *out, struct err *err)
{
    const uint8_t *p = NULL;
    ssize_t n = 0;

    buf_clear(out);
    while ((n = tar_data(r, &p, NULL, err)) > 0)
        buf_put(out, p, (size_t)n);
    return (int)n;
}

/* Reads all of it; the error of the first thing that goes wrong. */
static int walk(const struct buf *in, struct err *err)
{
    auto_source struct source *s = source_mem(in->data, in->len);
    auto_tar_reader struct tar_reader *r = tar_reader_new(s, NULL, NULL);
    const struct tar_entry *e = NULL;
    int rc = 0, n = 0;

    while ((rc = tar_next(r, &e, err)) > 0)
        n++;
    return rc < 0 ? rc : n;
}

TEST(entries_come_back_as_written)
{
    struct err e = {0};
    auto_buf struct buf b = BUF_INIT, content = BUF_INIT;
    char long_name[400], val[] = {1, 0, '\n', 2};
    struct tar_xattr xattrs[] = {{S("user.z"), S("v"), 1}, {S("user.a"), val, sizeof(val)}};
    const struct tar_entry *got = NULL;

    memset(long_name, 'n', sizeof(long_name));
    long_name[399] = '\0';
    auto_sink struct sink *sink = sink_cb(to_buf, &b);
    auto_tar_writer struct tar_writer *w = tar_writer_new(sink);
    put(w, (struct tar_entry){.name = S("dir/"), .type = TAR_DIR, .mode = 01777}, NULL);
    struct tar_entry file = {.name = long_name,
                             .type = TAR_FILE,
                             .mode = 04755,
                             .uid = 5000000,
                             .gid = 7,
                             .mtime_ns = -1000000000};
    file.xattrs.v = xattrs;
    file.xattrs.n = 2;
    put(w, file, "hello");
    put(w, (struct tar_entry){.name = S("l\xc3\xa4nk"), .link = long_name, .type = TAR_SYMLINK},
        NULL);
    put(w, (struct tar_entry){.name = S("null"), .type = TAR_CHAR, .dev_major = 1, .dev_minor = 3},
        NULL);
    CHECK_OK(tar_write_end(w, &e));

    auto_source struct source *s = source_mem(b.data, b.len);
    auto_tar_reader struct tar_reader *r = tar_reader_new(s, NULL, NULL);
    CHECK_INT(tar_next(r, &got, &e), 1);
    CHECK_STR(got->name, "dir/");
    CHECK_INT(got->type, TAR_DIR);
    CHECK_INT(got->mode, 01777);
    CHECK_INT(tar_next(r, &got, &e), 1);
    CHECK_STR(got->name, long_name);
    CHECK_INT(got->uid, 5000000);
    CHECK_INT(got->mtime_ns, -1000000000);
    CHECK_INT(got->xattrs.n, 2);
    CHECK_STR(got->xattrs.v[0].name, "user.a");
    CHECK_INT(got->xattrs.v[0].len, sizeof(val));
    CHECK(memcmp(got->xattrs.v[0].val, val, sizeof(val)) == 0);
    CHECK_OK(read_content(r, &content, &e));
    CHECK_STR(buf_str(&content), "hello");
    CHECK_INT(tar_next(r, &got, &e), 1);
    CHECK_STR(got->name, "l\xc3\xa4nk");
    CHECK_STR(got->link, long_name);
    CHECK_INT(tar_next(r, &got, &e), 1);
    CHECK_INT(got->dev_minor, 3);
    CHECK_INT(tar_next(r, &got, &e), 0);
    CHECK_INT(tar_next(r, &got, &e), 0);
}

TEST(raw_bytes_and_content_make_the_archive)
{
    struct err e = {0};
    auto_buf struct buf b = BUF_INIT, raw = BUF_INIT;
    const struct tar_entry *got = NULL;

    one(&b, (struct tar_entry){.name = S("f"), .type = TAR_FILE}, "some content");
    buf_puts(&b, "junk behind the end");
    auto_source struct source *s = source_mem(b.data, b.len);
    auto_tar_reader struct tar_reader *r = tar_reader_new(s, to_buf, &raw);
    CHECK_INT(tar_next(r, &got, &e), 1);
    CHECK_INT(raw.len, 512);
    CHECK_OK(read_content(r, &raw, &e));
    buf_clear(&raw);
    CHECK_INT(tar_next(r, &got, &e), 0);
    CHECK_INT(raw.len, b.len - 512 - strlen("some content"));
}

TEST(names_are_split_like_ustar)
{
    struct err e = {0};
    auto_buf struct buf b = BUF_INIT;
    const struct tar_entry *got = NULL;
    char name[200];

    memset(name, 'a', sizeof(name));
    name[100] = '/';
    name[199] = '\0';
    one(&b, (struct tar_entry){.name = name, .type = TAR_FILE}, NULL);
    CHECK_INT(b.len, 3 * 512); /* no pax header was needed */
    auto_source struct source *s = source_mem(b.data, b.len);
    auto_tar_reader struct tar_reader *r = tar_reader_new(s, NULL, NULL);
    CHECK_INT(tar_next(r, &got, &e), 1);
    CHECK_STR(got->name, name);
}

TEST(same_entries_same_bytes)
{
    auto_buf struct buf a = BUF_INIT, b = BUF_INIT;
    struct tar_entry f = {.name = S("f"), .type = TAR_FILE, .mode = 0644, .mtime_ns = 1500000000};

    one(&a, f, "x");
    one(&b, f, "x");
    CHECK_INT(a.len, b.len);
    CHECK(memcmp(a.data, b.data, a.len) == 0);
}

TEST(large_sizes_use_pax)
{
    struct err e = {0};
    auto_buf struct buf b = BUF_INIT;
    auto_sink struct sink *sink = sink_cb(to_buf, &b);
    auto_tar_writer struct tar_writer *w = tar_writer_new(sink);
    const struct tar_entry *got = NULL;
    struct tar_entry f = {.name = S("f"), .type = TAR_FILE, .size = UINT64_C(1) << 40};

    CHECK_OK(tar_write_entry(w, &f, &e));
    CHECK_OK(tar_write_flush(w, &e));
    auto_source struct source *s = source_mem(b.data, b.len);
    auto_tar_reader struct tar_reader *r = tar_reader_new(s, NULL, NULL);
    CHECK_INT(tar_next(r, &got, &e), 1);
    CHECK_INT(got->size, INT64_C(1) << 40);
    CHECK_INT(tar_next(r, &got, &e), -EBADMSG);
    CHECK_STR(e.msg, "unexpected EOF");
}

TEST(writer_counts_bytes)
{
    struct err e = {0};
    auto_buf struct buf b = BUF_INIT;
    auto_sink struct sink *sink = sink_cb(to_buf, &b);
    auto_tar_writer struct tar_writer *w = tar_writer_new(sink);
    struct tar_entry f = {.name = S("f"), .type = TAR_FILE, .size = 5};

    CHECK_OK(tar_write_entry(w, &f, &e));
    CHECK_OK(tar_write_data(w, "123", 3, &e));
    CHECK(tar_write_data(w, "123", 3, &e) < 0);
    CHECK(tar_write_end(w, &e) < 0);
}

/* ---- hostile ---- */

TEST(archives_may_end_without_their_end)
{
    struct err e = {0};
    auto_buf struct buf b = BUF_INIT;

    CHECK_INT(walk(&b, &e), 0);
    one(&b, (struct tar_entry){.name = S("f"), .type = TAR_FILE}, "x");
    b.len -= 512;
    CHECK_INT(walk(&b, &e), 1);
    b.len -= 512;
    CHECK_INT(walk(&b, &e), 1);
    for (size_t n = 1; n < b.len; n++) {
        struct buf cut = {.data = b.data, .len = n};
        CHECK_INT(walk(&cut, &e), -EBADMSG);
        CHECK_STR(e.msg, "unexpected EOF");
    }
}

TEST(every_flipped_header_bit_is_seen)
{
    auto_buf struct buf b = BUF_INIT;

    one(&b, (struct tar_entry){.name = S("f"), .type = TAR_FILE}, NULL);
    for (size_t i = 0; i < 512; i++) {
        struct err e = {0};
        b.data[i] ^= 4;
        if (walk(&b, &e) >= 0 && (i < 148 || i >= 156)) /* the checksum's own blanks may vary */
            TEST_FAIL("byte %zu", i);
        b.data[i] ^= 4;
    }
}

struct bad_field {
    size_t at;
    const char *bytes;
    size_t n;
};

static const struct bad_field bad_fields[] = {
    {124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12}, /* size -1 */
    {124, "\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 12},       /* over 63 bits */
    {124, "\x80\0\1\0\0\0\0\0\0\0\0\0", 12},
    {124, "99999999999", 12},
    {124, "-0000000001", 12},
    {108, "\xff\xff\xff\xff\xff\xff\xff\xff", 8}, /* uid -1 */
};

TEST(nonsense_in_fields_is_refused)
{
    for (size_t i = 0; i < sizeof(bad_fields) / sizeof(bad_fields[0]); i++) {
        struct err e = {0};
        auto_buf struct buf b = BUF_INIT;
        one(&b, (struct tar_entry){.name = S("f"), .type = TAR_FILE}, NULL);
        memcpy(b.data + bad_fields[i].at, bad_fields[i].bytes, bad_fields[i].n);
        reseal(b.data);
        if (walk(&b, &e) != -EBADMSG)
            TEST_FAIL("field %zu", i);
        CHECK_STR(e.msg, "archive/tar: invalid tar header");
    }
}

/* An extended header with @records, then a file "f" with @content. */
static int with_pax(const char *records, const char *content, struct err *err)
{
    struct err e = {0};
    auto_buf struct buf b = BUF_INIT;
    auto_sink struct sink *sink = sink_cb(to_buf, &b);
    auto_tar_writer struct tar_writer *w = tar_writer_new(sink);

    put(w, (struct tar_entry){.name = S("pax"), .type = TAR_FILE}, records);
    CHECK_OK(tar_write_flush(w, &e));
    b.data[156] = 'x';
    reseal(b.data);
    put(w, (struct tar_entry){.name = S("f"), .type = TAR_FILE}, content);
    CHECK_OK(tar_write_end(w, &e));
    return walk(&b, err);
}

TEST(pax_records_are_checked)
{
    static const char *const bad[] = {
        "5 a=b\n",
        "7 a=b\n",
        "6 a=b ",
        "x a=b\n",
        "99999999999999 a=b\n",
        "5 =b\n",
        "4 a\n",
        "0 a=b\n",
        "-6 a=b\n",
        "12 size=abc\n",
        "11 size=-1\n",
        "28 size=9223372036854775808\n",
        "12 mtime=1x\n",
        "11 mtime=-\n",
        "11 uid=1.5\n",
        "18 uid=4294967296\n",
        "22 GNU.sparse.major=2\n",
        "24 GNU.sparse.map=0,1,2\n",
        "25 GNU.sparse.numbytes=5\n",
    };
    struct err e = {0};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (with_pax(bad[i], "x", &e) >= 0)
            TEST_FAIL("\"%s\" was taken", bad[i]);
    CHECK_INT(with_pax("6 a=b\n", "x", &e), 1);
    CHECK_INT(with_pax("12 path=new\n", "x", &e), 1);
    CHECK_INT(with_pax("15 mtime=-1.25\n", "x", &e), 1);
}

TEST(sparse_maps_must_fit)
{
    struct err e = {0};

    CHECK_INT(with_pax("26 GNU.sparse.map=0,2,8,1\n21 GNU.sparse.size=9\n", "abc", &e), 1);
    CHECK(with_pax("26 GNU.sparse.map=0,2,8,2\n21 GNU.sparse.size=9\n", "abcd", &e) < 0);
    CHECK(with_pax("26 GNU.sparse.map=8,1,0,2\n21 GNU.sparse.size=9\n", "abc", &e) < 0);
    CHECK(with_pax("26 GNU.sparse.map=0,2,1,1\n21 GNU.sparse.size=9\n", "abc", &e) < 0);
    CHECK(with_pax("26 GNU.sparse.map=0,2,8,1\n21 GNU.sparse.size=9\n", "abcd", &e) < 0);
    CHECK(with_pax("41 GNU.sparse.map=0,18446744073709551615\n21 GNU.sparse.size=9\n", "a", &e) <
          0);
    CHECK(with_pax(
              "40 GNU.sparse.map=9223372036854775807,3\n39 GNU.sparse.size=9223372036854775807\n",
              "abc", &e) < 0);
}

TEST(special_headers_are_limited)
{
    struct err e = {0};
    auto_buf struct buf b = BUF_INIT;

    one(&b, (struct tar_entry){.name = S("f"), .type = TAR_FILE}, NULL);
    memcpy(b.data + 124, "77777777777", 12);
    b.data[156] = 'L';
    reseal(b.data);
    CHECK_INT(walk(&b, &e), -E2BIG);
    /* A chain of headers that describe nothing. */
    auto_buf struct buf chain = BUF_INIT;
    for (int i = 0; i < 100; i++)
        buf_put(&chain, b.data, 512);
    for (int i = 0; i < 100; i++) {
        memcpy(chain.data + 512 * i + 124, "00000000000", 12);
        reseal(chain.data + 512 * i);
    }
    CHECK_INT(walk(&chain, &e), -E2BIG);
}
