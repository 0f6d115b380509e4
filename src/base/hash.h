/*
 * SHA-256, streaming; OpenSSL's EVP below (hardware instructions where there are any), which is
 * opened at the first digest. Code that shuts itself in calls sha256_new() before it does. A
 * process that cannot open the library ends with a message.
 */
#pragma once

#include <stddef.h>

#define SHA256_HEX 64
#define DIGEST_LEN (7 + SHA256_HEX) /* "sha256:" + hex */

struct sha256;

struct sha256 *sha256_new(void);
void sha256_free(struct sha256 *h);
void sha256_add(struct sha256 *h, const void *p, size_t n);
/** sha256_digest() - "sha256:<hex>" and a NUL; may be called once, then free. */
void sha256_digest(struct sha256 *h, char out[DIGEST_LEN + 1]);
/** sha256_of() - the digest of one piece of memory. */
void sha256_of(const void *p, size_t n, char out[DIGEST_LEN + 1]);
/** digest_valid() - "sha256:" and 64 lower-case hex digits, nothing else. */
int digest_valid(const char *s);
