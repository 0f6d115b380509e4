#include "base/test.h"

#include <errno.h>
#include <fcntl.h>

#include "archive/compress.h"
#include "archive/stream.h"
#include "base/buf.h"

static int to_buf(void *ctx, const void *p, size_t n, struct err *err)
{
    (void)err;
    buf_put(ctx, p, n);
    return 0;
}

static int read_all(struct source *s, struct buf *out, struct err *err)
{
    const uint8_t *p = NULL;
    ssize_t n = 0;

    while ((n = source_next(s, &p, 7777, err)) > 0)
        buf_put(out, p, (size_t)n);
    return (int)n;
}

/* What a command of the system makes of @in. */
static void filter(const char *command, const struct buf *in, struct buf *out)
{
    char path[] = "/tmp/test_stream.XXXXXX", line[256];
    int fd = mkstemp(path);

    CHECK(fd >= 0 && write(fd, in->data, in->len) == (ssize_t)in->len);
    close(fd);
    (void)snprintf(line, sizeof(line), "%s < %s 2>/dev/null", command, path);
    FILE *f = popen(line, "r");
    CHECK(f != NULL);
    for (size_t n = 1; n > 0;) {
        char *to = buf_room(out, 65536);
        n = fread(to, 1, 65536, f);
        buf_commit(out, n);
    }
    int status = pclose(f);
    unlink(path);
    if (status != 0)
        SKIP("a compression program is not installed");
}

/* Text that compresses, over several chunks, with a part that does not. */
static void make_data(struct buf *b, size_t lines)
{
    unsigned long x = 1;

    for (size_t i = 0; i < lines; i++) {
        x = x * 6364136223846793005UL + 1442695040888963407UL;
        buf_printf(b, "%lx the quick brown fox %zu\n", x, i);
    }
}

static void check_inflates(const char *command, enum compression want)
{
    struct err e = {0};
    auto_buf struct buf plain = BUF_INIT, packed = BUF_INIT, out = BUF_INIT;
    enum compression kind = COMP_NONE;
    struct source *s = NULL;

    make_data(&plain, 20000);
    filter(command, &plain, &packed);
    auto_source struct source *mem = source_mem(packed.data, packed.len);
    CHECK_OK(source_auto(mem, &kind, &s, &e));
    CHECK_INT(kind, want);
    CHECK_OK(read_all(s, &out, &e));
    CHECK_INT(out.len, plain.len);
    CHECK(memcmp(out.data, plain.data, plain.len) == 0);
    source_free(s);
}

TEST(gzip_inflates)
{
    check_inflates("gzip -c", COMP_GZIP);
}

TEST(zstd_inflates)
{
    check_inflates("zstd -q -c", COMP_ZSTD);
}

TEST(xz_inflates)
{
    check_inflates("xz -c", COMP_XZ);
}

TEST(bzip2_inflates)
{
    check_inflates("bzip2 -c", COMP_BZIP2);
}

TEST(plain_bytes_pass)
{
    check_inflates("cat", COMP_NONE);
}

struct pieces {
    const struct buf *b;
    size_t at, piece;
};

static ssize_t next_piece(void *ctx, void *p, size_t n, struct err *err)
{
    struct pieces *s = ctx;
    size_t left = s->b->len - s->at, take = left < s->piece ? left : s->piece;

    (void)err;
    take = take < n ? take : n;
    memcpy(p, s->b->data + s->at, take);
    s->at += take;
    return (ssize_t)take;
}

/* A header with a name in it that comes in pieces, as over a network. */
TEST(gzip_header_in_pieces)
{
    struct err e = {0};
    auto_buf struct buf plain = BUF_INIT, packed = BUF_INIT;

    make_data(&plain, 100);
    filter("{ f=$(mktemp -d)/a-name-of-some-length; cat >$f; gzip -c $f; rm -r ${f%/*}; }", &plain,
           &packed);
    for (size_t piece = 1; piece < 40; piece++) {
        auto_buf struct buf out = BUF_INIT;
        struct pieces in = {.b = &packed, .piece = piece};
        auto_source struct source *body = source_cb(next_piece, &in);
        struct source *s = NULL;
        CHECK_OK(source_auto(body, NULL, &s, &e));
        CHECK_OK(read_all(s, &out, &e));
        CHECK_INT(out.len, plain.len);
        source_free(s);
    }
}

/* Two members one after the other, read in every alignment of borrowed pieces. */
static void check_members(const char *command)
{
    struct err e = {0};
    auto_buf struct buf plain = BUF_INIT, packed = BUF_INIT, out = BUF_INIT;

    make_data(&plain, 100);
    filter(command, &plain, &packed);
    size_t one = packed.len;
    buf_put(&packed, packed.data, one);
    auto_source struct source *mem = source_mem(packed.data, packed.len);
    struct source *s = NULL;
    CHECK_OK(source_auto(mem, NULL, &s, &e));
    CHECK_OK(read_all(s, &out, &e));
    CHECK_INT(out.len, 2 * plain.len);
    source_free(s);
}

TEST(members_are_joined)
{
    check_members("gzip -c");
    check_members("zstd -q -c");
    check_members("xz -c");
    check_members("bzip2 -c");
}

/* Every way of cutting a stream short is an error, never a short result. */
static void check_cut(const char *command, enum compression c)
{
    auto_buf struct buf plain = BUF_INIT, packed = BUF_INIT;

    make_data(&plain, 20);
    filter(command, &plain, &packed);
    for (size_t n = 0; n < packed.len; n++) {
        struct err e = {0};
        auto_buf struct buf out = BUF_INIT;
        auto_source struct source *mem = source_mem(packed.data, n);
        auto_source struct source *s = source_inflate(mem, c);
        int r = read_all(s, &out, &e);
        if (r >= 0)
            TEST_FAIL("%s: %zu of %zu bytes were taken", command, n, packed.len);
        CHECK_INT(e.kind, ERR_INVALID);
    }
}

TEST(truncated_input_is_an_error)
{
    check_cut("gzip -c", COMP_GZIP);
    check_cut("zstd -q -c", COMP_ZSTD);
    check_cut("xz -c", COMP_XZ);
    check_cut("bzip2 -c", COMP_BZIP2);
}

TEST(damaged_gzip_says_what_is_wrong)
{
    struct err e = {0};
    auto_buf struct buf plain = BUF_INIT, packed = BUF_INIT, out = BUF_INIT;

    make_data(&plain, 20);
    filter("gzip -c", &plain, &packed);
    packed.data[packed.len - 5] ^= 1; /* the checksum */
    auto_source struct source *mem = source_mem(packed.data, packed.len);
    auto_source struct source *s = source_inflate(mem, COMP_GZIP);
    CHECK_INT(read_all(s, &out, &e), -EBADMSG);
    CHECK_STR(e.msg, "gzip: invalid checksum");

    packed.data[packed.len - 5] ^= 1;
    buf_puts(&packed, "trailing garbage");
    auto_source struct source *mem2 = source_mem(packed.data, packed.len);
    auto_source struct source *s2 = source_inflate(mem2, COMP_GZIP);
    CHECK_INT(read_all(s2, &out, &e), -EBADMSG);
    CHECK_STR(e.msg, "gzip: invalid header");
}

/* Twice the same, and another program makes of it what it was. */
static void check_compress(enum compression c, int level, const char *undo)
{
    struct err e = {0};
    auto_buf struct buf plain = BUF_INIT, packed = BUF_INIT, again = BUF_INIT, out = BUF_INIT;

    make_data(&plain, 50000);
    for (int round = 0; round < 2; round++) {
        struct buf *to = round ? &again : &packed;
        auto_sink struct sink *below = sink_cb(to_buf, to);
        auto_sink struct sink *top = sink_compress(below, c, level);
        for (size_t at = 0; at < plain.len; at += 10000)
            CHECK_OK(sink_write(top, plain.data + at,
                                plain.len - at < 10000 ? plain.len - at : 10000, &e));
        CHECK_OK(sink_compress_finish(top, &e));
    }
    CHECK(packed.len < plain.len / 2);
    CHECK_INT(packed.len, again.len);
    CHECK(memcmp(packed.data, again.data, again.len) == 0);
    filter(undo, &packed, &out);
    CHECK_INT(out.len, plain.len);
    CHECK(memcmp(out.data, plain.data, plain.len) == 0);
}

TEST(gzip_sink_makes_what_gunzip_reads)
{
    for (int level = 0; level <= 9; level++)
        check_compress(COMP_GZIP, level, "gzip -dc");
}

TEST(zstd_sink_makes_what_unzstd_reads)
{
    static const int levels[] = {0, 1, 3, 19};

    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        check_compress(COMP_ZSTD, levels[i], "zstd -dc");
}

TEST(pump_hashes_what_passes)
{
    struct err e = {0};
    auto_buf struct buf plain = BUF_INIT, out = BUF_INIT;
    char got[DIGEST_LEN + 1], want[DIGEST_LEN + 1];
    uint64_t size = 0;

    make_data(&plain, 200000); /* many times around the ring */
    auto_source struct source *mem = source_mem(plain.data, plain.len);
    struct pump *p = pump_new(mem, true);
    CHECK(pump_digest(p, got, &size, &e) < 0); /* too early */
    CHECK_OK(read_all(pump_source(p), &out, &e));
    CHECK_OK(pump_digest(p, got, &size, &e));
    sha256_of(plain.data, plain.len, want);
    CHECK_STR(got, want);
    CHECK_INT(size, plain.len);
    CHECK(memcmp(out.data, plain.data, plain.len) == 0);
    source_free(pump_source(p));
}

static int take_some(void *ctx, const void *p, size_t n, struct err *err)
{
    struct buf *to = ctx;

    if (to->len > 600000)
        return err_no(err, ENOSPC, "write elsewhere");
    buf_put(to, p, n);
    return 0;
}

TEST(pump_writes_elsewhere_what_passes)
{
    struct err e = {0};
    auto_buf struct buf out = BUF_INIT, copy = BUF_INIT;
    static uint8_t data[500000];

    memset(data, 'x', sizeof(data));
    auto_source struct source *mem = source_mem(data, sizeof(data));
    auto_sink struct sink *tee = sink_cb(take_some, &copy);
    struct pump *p = pump_new(mem, false);
    pump_tee(p, tee);
    CHECK_INT(pump_flush(p, &e), -EPROTO); /* too early */
    CHECK_OK(read_all(pump_source(p), &out, &e));
    CHECK_OK(pump_flush(p, &e));
    CHECK_INT(copy.len, sizeof(data));
    CHECK(memcmp(copy.data, data, sizeof(data)) == 0);
    source_free(pump_source(p));
}

TEST(pump_ends_when_the_other_place_fails)
{
    struct err e = {0};
    auto_buf struct buf out = BUF_INIT, copy = BUF_INIT;
    static uint8_t data[8 << 20];
    auto_source struct source *mem = source_mem(data, sizeof(data));
    auto_sink struct sink *tee = sink_cb(take_some, &copy);
    struct pump *p = pump_new(mem, true);

    pump_tee(p, tee);
    CHECK_INT(read_all(pump_source(p), &out, &e), -ENOSPC);
    CHECK(strstr(e.msg, "write elsewhere") != NULL);
    CHECK(out.len < sizeof(data));
    source_free(pump_source(p));
}

TEST(pump_of_nothing)
{
    struct err e = {0};
    const uint8_t *b = NULL;
    char got[DIGEST_LEN + 1];
    auto_source struct source *mem = source_mem("", 0);
    struct pump *p = pump_new(mem, true);

    CHECK_INT(source_next(pump_source(p), &b, 10, &e), 0);
    CHECK_OK(pump_digest(p, got, NULL, &e));
    CHECK_STR(got, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    source_free(pump_source(p));
}

TEST(pump_may_be_left_in_the_middle)
{
    struct err e = {0};
    auto_buf struct buf plain = BUF_INIT;
    const uint8_t *b = NULL;

    make_data(&plain, 200000);
    auto_source struct source *mem = source_mem(plain.data, plain.len);
    struct pump *p = pump_new(mem, true);
    CHECK_INT(source_next(pump_source(p), &b, 10, &e), 10);
    source_free(pump_source(p));
    source_free(pump_source(pump_new(mem, true))); /* never started */
}

static ssize_t fail_later(void *ctx, void *p, size_t n, struct err *err)
{
    int *calls = ctx;

    memset(p, 'x', n);
    return ++*calls < 4 ? (ssize_t)n : err_as(err, ERR_UNAVAILABLE, EPIPE, "the client left");
}

TEST(pump_passes_errors_on)
{
    struct err e = {0};
    auto_buf struct buf out = BUF_INIT;
    int calls = 0;
    auto_source struct source *cb = source_cb(fail_later, &calls);
    struct pump *p = pump_new(cb, false);

    CHECK_INT(read_all(pump_source(p), &out, &e), -EPIPE);
    CHECK_STR(e.msg, "the client left");
    CHECK_INT(e.kind, ERR_UNAVAILABLE);
    source_free(pump_source(p));
}
