/*
 * Compressed streams: told apart by their first bytes, inflated and deflated by libraries linked
 * in (ISA-L, libzstd, liblzma, libbz2); nothing is ever executed.
 */
#pragma once

#include "archive/stream.h"
#include "base/err.h"

enum compression { COMP_NONE, COMP_GZIP, COMP_ZSTD, COMP_XZ, COMP_BZIP2 };

#define COMP_MAGIC 10 /* bytes that compression_detect() wants to see */

enum compression compression_detect(const uint8_t *p, size_t n);
/** compression_name() - "gzip", "zstd", ... for messages and media types; "" for none. */
const char *compression_name(enum compression c);

/**
 * source_inflate() - the plain bytes of a compressed source; concatenated members are one stream
 * @below: stays the caller's and must outlive the result
 * Errors while reading: -EBADMSG (invalid) "unexpected EOF" on truncated, "gzip: invalid ..." on
 * corrupt input.
 */
struct source *source_inflate(struct source *below, enum compression c);
/** source_auto() - detect, then inflate if need be. @ret_kind: what was found; may be NULL. */
int source_auto(struct source *below, enum compression *ret_kind, struct source **ret,
                struct err *err) MUST;

/**
 * sink_compress() - compress into @below; gzip (ISA-L) without name and time: the same input in the
 * same pieces gives the same output
 * @c: COMP_GZIP or COMP_ZSTD; @level: 1 to 9, or 1 to 22; 0 is the usual one, gzip's fastest
 * sink_compress_finish() writes the trailer; without it the output is truncated.
 */
struct sink *sink_compress(struct sink *below, enum compression c, int level);
int sink_compress_finish(struct sink *s, struct err *err) MUST;
