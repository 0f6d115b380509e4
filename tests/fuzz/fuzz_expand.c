/*
 * Variables of a Dockerfile: "$A", "${A#pattern}" and all around them. Results have a limit, and
 * words are what a word is, cut at blanks.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "build/expand.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
    if (!good)
        abort();
}

static const char *value(void *ctx, const char *name)
{
    static const char *const vars[][2] = {
        {"A", "one"},          {"B", "two  words"}, {"C", ""}, {"D", "/usr/b*n:/b?n:\\"},
        {"E", "\xc3\xa4\xff"},
    };

    (void)ctx;
    for (size_t i = 0; i < sizeof(vars) / sizeof(vars[0]); i++)
        if (strcmp(name, vars[i][0]) == 0)
            return vars[i][1];
    return NULL;
}

static size_t letters(const char *s)
{
    size_t n = 0;

    for (; *s; s++)
        n += !isspace((unsigned char)*s);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_arena struct arena a = ARENA_INIT;
    const struct expander x = {.get = value, .escape = size && data[0] == '`' ? '`' : '\\'};
    char *text = xstrndup((const char *)data, size), *word = NULL, *body = NULL;
    struct strv words = {0};
    struct err e = {0};

    int r = expand_word(&x, text, &a, &word, &e);
    must(r >= 0 ? strlen(word) <= EXPAND_MAX : e.kind == ERR_INVALID && e.msg[0]);
    must(expand_words(&x, text, &a, &words, NULL) == r);
    if (r >= 0) {
        size_t n = 0;
        for (size_t i = 0; i < words.n; i++) {
            must(*words.v[i]);
            n += letters(words.v[i]);
        }
        must(n == letters(word));
    }
    if (expand_text(&x, text, &a, &body, &e) >= 0 && !strpbrk(text, "$\\"))
        must(strcmp(body, text) == 0);
    free(text);
    return 0;
}
