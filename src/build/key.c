#include "build/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define FORMAT "cleat-build-2" /* another one when a step of the same words does something else */

struct key {
    struct sha256 *h;
};

/* Lengths stand in front, so that no two lists of fields give the same bytes. */
static void add(struct key *k, const char *p)
{
    char len[24];

    int n = snprintf(len, sizeof(len), "%zd:", p ? (ssize_t)strlen(p) : (ssize_t)-1);
    sha256_add(k->h, len, (size_t)n);
    if (p)
        sha256_add(k->h, p, strlen(p));
}

struct key *key_new(const char *what)
{
    struct key *k = xnew(struct key);

    k->h = sha256_new();
    add(k, FORMAT);
    add(k, what);
    return k;
}

void key_text(struct key *k, const char *name, const char *val)
{
    add(k, name);
    add(k, val);
}

void key_number(struct key *k, const char *name, int64_t val)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%lld", (long long)val);
    key_text(k, name, text);
}

void key_list(struct key *k, const char *name, const struct strv *val)
{
    key_number(k, name, (int64_t)val->n);
    for (size_t i = 0; i < val->n; i++)
        add(k, val->v[i]);
}

void key_free(struct key *k)
{
    sha256_free(k->h);
    free(k);
}

void key_end(struct key *k, char out[DIGEST_LEN + 1])
{
    sha256_digest(k->h, out);
    key_free(k);
}
