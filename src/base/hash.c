#include "base/hash.h"

#include <dlfcn.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/*
 * libcrypto is opened at the first digest: linking it doubles the time that the command line takes
 * to start, and few commands compute one. The table is the one thing here that outlives a call; it
 * is filled once and only read afterwards.
 */
#define EVP_FUNCTIONS(X)                                                                           \
    X(EVP_MD_CTX_new)                                                                              \
    X(EVP_MD_CTX_free)                                                                             \
    X(EVP_DigestInit_ex)                                                                           \
    X(EVP_DigestUpdate)                                                                            \
    X(EVP_DigestFinal_ex)                                                                          \
    X(EVP_Digest)                                                                                  \
    X(EVP_sha256)

static struct {
    pthread_once_t once;
#define X(name) __typeof__(&name) name;
    EVP_FUNCTIONS(X)
#undef X
} evp = {.once = PTHREAD_ONCE_INIT};

struct sha256 {
    EVP_MD_CTX *ctx;
};

/* Without its library, or without memory, nothing can be told from anything else: give up. */
static void want(int ok, const char *why)
{
    if (ok != 1) {
        (void)fprintf(stderr, "sha256: %s\n", why);
        abort();
    }
}

static void *function(void *lib, const char *name)
{
    void *fn = dlsym(lib, name);

    want(fn != NULL, name);
    return fn;
}

static void open_library(void)
{
    void *lib = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);

    want(lib != NULL, lib ? "" : dlerror());
#define X(name) evp.name = (__typeof__(&name))function(lib, #name);
    EVP_FUNCTIONS(X)
#undef X
}

static void evp_open(void)
{
    want(pthread_once(&evp.once, open_library) == 0, "pthread_once failed");
}

struct sha256 *sha256_new(void)
{
    struct sha256 *h = xnew(struct sha256);

    evp_open();
    h->ctx = evp.EVP_MD_CTX_new();
    want(h->ctx != NULL, "EVP_MD_CTX_new failed");
    want(evp.EVP_DigestInit_ex(h->ctx, evp.EVP_sha256(), NULL), "EVP_DigestInit_ex failed");
    return h;
}

void sha256_free(struct sha256 *h)
{
    if (!h)
        return;
    evp.EVP_MD_CTX_free(h->ctx);
    free(h);
}

void sha256_add(struct sha256 *h, const void *p, size_t n)
{
    want(evp.EVP_DigestUpdate(h->ctx, p, n), "EVP_DigestUpdate failed");
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

    want(evp.EVP_DigestFinal_ex(h->ctx, raw, NULL), "EVP_DigestFinal_ex failed");
    put_digest(raw, out);
}

void sha256_of(const void *p, size_t n, char out[DIGEST_LEN + 1])
{
    unsigned char raw[EVP_MAX_MD_SIZE];

    evp_open();
    want(evp.EVP_Digest(p, n, raw, NULL, evp.EVP_sha256(), NULL), "EVP_Digest failed");
    put_digest(raw, out);
}

int digest_valid(const char *s)
{
    if (!s || strncmp(s, "sha256:", 7) != 0)
        return 0;
    return strspn(s + 7, "0123456789abcdef") == SHA256_HEX && s[DIGEST_LEN] == '\0';
}
