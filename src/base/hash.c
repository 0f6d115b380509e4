#include "base/hash.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct sha256 {
    EVP_MD_CTX *ctx;
};

/* EVP fails here only when memory is gone or the library is broken; neither can be handled. */
static void want(int ok)
{
    if (ok != 1) {
        (void)fputs("sha256: OpenSSL failed\n", stderr);
        abort();
    }
}

struct sha256 *sha256_new(void)
{
    struct sha256 *h = xnew(struct sha256);

    h->ctx = EVP_MD_CTX_new();
    want(h->ctx != NULL);
    want(EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL));
    return h;
}

void sha256_free(struct sha256 *h)
{
    if (!h)
        return;
    EVP_MD_CTX_free(h->ctx);
    free(h);
}

void sha256_add(struct sha256 *h, const void *p, size_t n)
{
    want(EVP_DigestUpdate(h->ctx, p, n));
}

static void put_digest(const unsigned char *raw, char *out)
{
    static const char hex[] = "0123456789abcdef";

    memcpy(out, "sha256:", 7);
    out += 7;
    for (size_t i = 0; i < SHA256_HEX / 2; i++) {
        *out++ = hex[raw[i] >> 4];
        *out++ = hex[raw[i] & 15];
    }
    *out = '\0';
}

void sha256_digest(struct sha256 *h, char out[DIGEST_LEN + 1])
{
    unsigned char raw[EVP_MAX_MD_SIZE];

    want(EVP_DigestFinal_ex(h->ctx, raw, NULL));
    put_digest(raw, out);
}

void sha256_of(const void *p, size_t n, char out[DIGEST_LEN + 1])
{
    unsigned char raw[EVP_MAX_MD_SIZE];

    want(EVP_Digest(p, n, raw, NULL, EVP_sha256(), NULL));
    put_digest(raw, out);
}

int digest_valid(const char *s)
{
    if (!s || strncmp(s, "sha256:", 7) != 0)
        return 0;
    return strspn(s + 7, "0123456789abcdef") == SHA256_HEX && s[DIGEST_LEN] == '\0';
}
