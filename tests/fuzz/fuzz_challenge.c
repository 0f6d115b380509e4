/* WWW-Authenticate: whatever is taken has schemes and parameters in their promised form. */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "distribution/challenge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be_lower(const char *s)
{
    if (!*s)
        abort();
    for (; *s; s++)
        if (isupper((unsigned char)*s) || (unsigned char)*s <= ' ')
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_arena struct arena a = ARENA_INIT;
    char *text = xstrndup((const char *)data, size);
    struct challenges c = {0};
    struct err e = {0};

    if (challenge_parse(text, &a, &c, &e) < 0 && !e.msg[0])
        abort(); /* an error without words */
    if (c.n > CHALLENGES_MAX)
        abort();
    for (size_t i = 0; i < c.n; i++) {
        must_be_lower(c.v[i].scheme);
        if (c.v[i].params.n > CHALLENGE_PARAMS_MAX)
            abort();
        for (size_t k = 0; k < c.v[i].params.n; k++)
            must_be_lower(c.v[i].params.v[k].key);
    }
    free(text);
    return 0;
}
