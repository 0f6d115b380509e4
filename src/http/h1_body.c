#include "http/h1.h"

#include <errno.h>
#include <string.h>

/*
 * Reading from a connection: heads through a buffer, bodies around it once it is empty, so that a
 * large upload is copied once. Chunk framing is read line by line with a bound on each line, and a
 * bound on all framing beyond what honest chunks need (a body of empty extensions never ends).
 */

#define READ_SIZE 16384
#define CHUNK_LINE_MAX 4096
#define EXCESS_MAX 16384

const char *h1_in_data(const struct h1_in *in)
{
    return in->buf.data ? in->buf.data + in->off : "";
}

size_t h1_in_len(const struct h1_in *in)
{
    return in->buf.len - in->off;
}

void h1_in_use(struct h1_in *in, size_t n)
{
    in->off += n;
    if (in->off == in->buf.len) {
        buf_clear(&in->buf);
        in->off = 0;
    }
}

void h1_in_done(struct h1_in *in)
{
    buf_done(&in->buf);
    in->off = 0;
}

/* More bytes behind those buffered; Return: bytes, 0 at the end, -errno. */
static ssize_t fill(struct h1_in *in)
{
    if (in->off > 0) {
        buf_drop(&in->buf, in->off);
        in->off = 0;
    }
    ssize_t n = stream_read(in->s, buf_room(&in->buf, READ_SIZE), READ_SIZE);
    if (n > 0)
        buf_commit(&in->buf, (size_t)n);
    return n;
}

int h1_read_head(struct h1_in *in, size_t *ret_n, struct err *err)
{
    size_t scan = 0, n;

    while (!(n = h1_head_end(h1_in_data(in), h1_in_len(in), &scan))) {
        if (h1_in_len(in) > H1_HEAD_MAX)
            return err_as(err, ERR_INVALID, E2BIG, "message head too large");
        bool begun = h1_in_len(in) > 0;
        ssize_t got = fill(in);
        if (got < 0) {
            stream_read_err(in->s, (int)got, err);
            return (int)got;
        }
        if (got == 0)
            return begun ? err_invalid(err, "connection closed within a message head")
                         : err_no(err, ENODATA, "connection closed");
    }
    *ret_n = n;
    return 0;
}

void h1_body_init(struct h1_body *b, int64_t length)
{
    *b = (struct h1_body){.left = length, .ended = length == 0};
    if (length == H1_LENGTH_CHUNKED) {
        b->chunked = true;
        b->left = 0;
    }
}

/* One CRLF-ended line of chunk framing; @line holds CHUNK_LINE_MAX bytes. */
static int read_line(struct h1_in *in, char *line, size_t *ret_len, struct err *err)
{
    for (;;) {
        size_t have = h1_in_len(in);
        const char *p = h1_in_data(in), *lf = have ? memchr(p, '\n', have) : NULL;
        size_t n = lf ? (size_t)(lf - p) : have;
        if (n >= CHUNK_LINE_MAX)
            return err_invalid(err, "chunk header too long");
        if (lf) {
            if (n == 0 || p[n - 1] != '\r' || memchr(p, '\r', n - 1))
                return err_invalid(err, "malformed chunked encoding");
            memcpy(line, p, n - 1);
            line[n - 1] = '\0';
            *ret_len = n + 1;
            h1_in_use(in, n + 1);
            return 0;
        }
        ssize_t got = fill(in);
        if (got < 0) {
            stream_read_err(in->s, (int)got, err);
            return (int)got;
        }
        if (got == 0)
            return err_no(err, ENODATA, "connection closed within a body");
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse_size(const char *line, int64_t *ret, struct err *err)
{
    int64_t v = 0;
    int digits = 0;

    for (; hex_digit(*line) >= 0; line++, digits++) {
        if (digits == 15)
            return err_invalid(err, "chunk too large");
        v = v * 16 + hex_digit(*line);
    }
    line += strspn(line, " \t");
    if (digits == 0 || (*line && *line != ';'))
        return err_invalid(err, "malformed chunk size");
    *ret = v;
    return 0;
}

static int read_trailers(struct h1_in *in, char *line, struct err *err)
{
    size_t len, total = 0;

    do {
        int r = read_line(in, line, &len, err);
        if (r < 0)
            return r;
        total += len;
        if (total > EXCESS_MAX)
            return err_invalid(err, "trailers too large");
    } while (len > 2);
    return 0;
}

/* The header of the next chunk; sets ended at the last one. */
static int next_chunk(struct h1_body *b, struct h1_in *in, struct err *err)
{
    char line[CHUNK_LINE_MAX];
    size_t len = 0;
    int r;

    if (b->started) {
        if ((r = read_line(in, line, &len, err)) < 0)
            return r;
        if (len != 2)
            return err_invalid(err, "malformed chunked encoding");
    }
    if ((r = read_line(in, line, &len, err)) < 0 || (r = parse_size(line, &b->left, err)) < 0)
        return r;
    b->started = true;
    b->excess += (int64_t)len - 16;
    b->excess -= b->left < EXCESS_MAX ? 2 * b->left : b->excess + 16;
    if (b->excess < 0)
        b->excess = 0;
    if (b->excess > EXCESS_MAX)
        return err_invalid(err, "chunked encoding has too much overhead");
    if (b->left > 0)
        return 0;
    b->ended = true;
    return read_trailers(in, line, err);
}

static ssize_t read_data(struct h1_in *in, void *p, size_t n)
{
    size_t have = h1_in_len(in);

    if (have == 0)
        return stream_read(in->s, p, n);
    if (n > have)
        n = have;
    memcpy(p, h1_in_data(in), n);
    h1_in_use(in, n);
    return (ssize_t)n;
}

ssize_t h1_body_read(struct h1_body *b, struct h1_in *in, void *p, size_t n, struct err *err)
{
    if (b->chunked && !b->ended && b->left == 0) {
        int r = next_chunk(b, in, err);
        if (r < 0)
            return r;
    }
    if (b->ended || n == 0)
        return 0;
    if (b->left >= 0 && n > (uint64_t)b->left)
        n = (size_t)b->left;
    ssize_t got = read_data(in, p, n);
    if (got < 0)
        return err_no(err, (int)got, "read body");
    if (b->left == H1_LENGTH_TO_END) {
        b->ended = got == 0;
        return got;
    }
    if (got == 0)
        return err_no(err, ENODATA, "connection closed within a body");
    b->left -= got;
    b->ended = !b->chunked && b->left == 0;
    return got;
}
