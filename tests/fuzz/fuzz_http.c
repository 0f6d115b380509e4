/*
 * Fuzz target of the HTTP codec: any bytes as a request head, a response head, a chunked body and a
 * query string. Built with libFuzzer, or as a plain test that runs over a corpus.
 */
#include "http/addr.h"
#include "http/h1.h"
#include "http/query.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* However the bytes arrive, the head ends at the same place. */
static size_t head_end(const char *p, size_t n)
{
    size_t scan = 0, whole = 0, step = 0, end = 0;

    whole = h1_head_end(p, n, &scan);
    scan = 0;
    for (size_t i = 0; i <= n && !end; i += 1 + step++ % 7)
        end = h1_head_end(p, i, &scan);
    if (!end)
        end = h1_head_end(p, n, &scan);
    assert(whole == end);
    return whole;
}

static void heads(const char *p, size_t n)
{
    struct arena a = ARENA_INIT;
    struct h1_head h = {0};
    size_t end = head_end(p, n);

    if (end && h1_parse_request(p, end, &a, &h, NULL) == 0) {
        assert(h.method && h.target && h.length >= H1_LENGTH_CHUNKED);
        assert(!(h1_header(&h, "Content-Length") && h1_header(&h, "Transfer-Encoding")));
    }
    if (end && h1_parse_response(p, end, "GET", &a, &h, NULL) == 0)
        assert(h.status >= 100 && h.status <= 999);
    arena_done(&a);
}

/* Reads from memory, in pieces of changing size. */
struct memory_stream {
    struct stream base;
    const char *p;
    size_t left;
    unsigned turn;
};

static ssize_t memory_read(struct stream *s, void *p, size_t n)
{
    struct memory_stream *m = (struct memory_stream *)s;
    size_t take = 1 + m->turn++ % 13;

    take = take < n ? take : n;
    take = take < m->left ? take : m->left;
    memcpy(p, m->p, take);
    m->p += take;
    m->left -= take;
    return (ssize_t)take;
}

static const struct stream_ops memory_ops = {.read = memory_read};

static void body(const char *p, size_t n, int64_t length)
{
    struct memory_stream m = {.base = {&memory_ops, -1}, .p = p, .left = n};
    struct h1_in in = {.s = &m.base};
    struct h1_body b;
    char out[64];
    size_t total = 0;
    ssize_t got;

    h1_body_init(&b, length);
    while ((got = h1_body_read(&b, &in, out, sizeof(out), NULL)) > 0)
        total += (size_t)got;
    assert(total <= n);
    assert(got < 0 || b.ended);
    h1_in_done(&in);
}

static void texts(const char *p, size_t n)
{
    struct arena a = ARENA_INIT;
    struct strmap m = {0};
    struct addr addr;
    char *s = arena_strndup(&a, p, n), *out = NULL;

    (void)!query_parse(s, &a, &m, NULL);
    (void)!query_unescape(p, n, false, &a, &out, NULL);
    (void)!addr_parse(s, 2375, &addr, NULL);
    (void)h1_token_in(s, "close");
    arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* an exact copy, so that reading one byte too far is seen */
    char *copy = malloc(size ? size : 1);

    assert(copy);
    memcpy(copy, data, size);
    heads(copy, size);
    body(copy, size, H1_LENGTH_CHUNKED);
    body(copy, size, (int64_t)size / 2);
    texts(copy, size);
    free(copy);
    return 0;
}
