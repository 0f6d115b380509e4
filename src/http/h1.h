/*
 * HTTP/1.1 messages (RFC 9112), for both ends: heads, body framing, chunks. Strict where leniency
 * enables request smuggling: bare CR, NUL, folded lines, blanks before the colon, differing or
 * repeated lengths, Content-Length beside Transfer-Encoding are all refused. A bare LF ends a line,
 * as in Go's net/http. No socket is known here except through struct h1_in.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "http/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define H1_HEAD_MAX (256 * 1024) /* bytes of a head, all lines */
#define H1_HEADERS_MAX 256
#define H1_LENGTH_CHUNKED -2
#define H1_LENGTH_TO_END -1

struct h1_field {
    const char *name, *val;
};

struct h1_head {
    const char *method, *target; /* requests */
    int status;                  /* responses */
    const char *reason;
    int minor; /* HTTP/1.x */
    struct {
        struct h1_field *v;
        size_t n;
    } headers;
    int64_t length;  /* body: bytes, H1_LENGTH_CHUNKED, or H1_LENGTH_TO_END (responses) */
    bool keep_alive; /* the connection may carry another message afterwards */
    bool upgrade;    /* Connection: upgrade */
    bool expect;     /* Expect: 100-continue */
};

/**
 * h1_head_end() - find where a head ends
 * @scan: where the search goes on when more bytes have come; 0 at first, so that a head that
 *   trickles in is not searched from its start each time
 * Return: bytes of the head incl. its empty line, or 0 when it is not complete yet.
 */
size_t h1_head_end(const char *p, size_t n, size_t *scan);

/**
 * h1_parse_request(), h1_parse_response() - parse a complete head
 * @text: @n bytes as told by h1_head_end(); copied into @a
 * h1_parse_response() @request: method it answers ("HEAD" has no body); NULL: GET
 * Return: 0; -EINVAL (400); -E2BIG (431) too large; -EPROTONOSUPPORT (505 or 501): version or
 * coding.
 */
int h1_parse_request(const char *text, size_t n, struct arena *a, struct h1_head *ret,
                     struct err *err) MUST;
int h1_parse_response(const char *text, size_t n, const char *request, struct arena *a,
                      struct h1_head *ret, struct err *err) MUST;

/** h1_header() - value of the first header @name (any case), or NULL. */
const char *h1_header(const struct h1_head *h, const char *name);
/** h1_token_in() - comma-separated @list holds @token, in any case. */
bool h1_token_in(const char *list, const char *token);

/* What arrives on a connection: the stream, and bytes read from it but not yet used. */
struct h1_in {
    struct stream *s;
    struct buf buf;
    size_t off; /* used bytes at the front of buf */
};

/** h1_read_head() - block until a head is complete; @ret_n: its bytes at h1_in_data(). Not used up:
 * h1_in_use() does that. Return: 0; -ENODATA: end before the first byte; -EINVAL, -E2BIG, -errno.
 */
int h1_read_head(struct h1_in *in, size_t *ret_n, struct err *err) MUST;
const char *h1_in_data(const struct h1_in *in);
size_t h1_in_len(const struct h1_in *in);
void h1_in_use(struct h1_in *in, size_t n);
void h1_in_done(struct h1_in *in); /* frees the buffer, not the stream */

/* A body being read. */
struct h1_body {
    int64_t left; /* of the length or the current chunk; H1_LENGTH_TO_END */
    bool chunked, ended;
    bool started;   /* chunked: the CRLF behind the last chunk is due */
    int64_t excess; /* chunked: framing bytes beyond what honest chunks need, limited */
};

void h1_body_init(struct h1_body *b, int64_t length);
/** h1_body_read() - Return: bytes, 0 at the body's end, -EINVAL bad framing, -ENODATA cut short. */
ssize_t h1_body_read(struct h1_body *b, struct h1_in *in, void *p, size_t n, struct err *err) MUST;
