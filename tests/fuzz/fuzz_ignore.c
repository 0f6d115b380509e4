/*
 * Patterns of .dockerignore on a path (the first line). What is below a directory that is left out
 * stays out unless ignore_below() said otherwise; a pattern without wildcards matches itself.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "archive/ignore.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
    if (!good)
        abort();
}

/* Directories on the way to the path, from the top. */
static void parents(const struct ignore *ig, const char *path, struct arena *a)
{
    bool closed = false;

    for (const char *p = path;; p++) {
        if (*p && *p != '/')
            continue;
        char *dir = arena_strndup(a, path, (size_t)(p - path));
        bool out = ignore_match(ig, dir);
        must(!closed || out);
        closed |= out && !ignore_below(ig, dir);
        must(ignore_has_exceptions(ig) || !out || closed);
        if (!*p)
            return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_arena struct arena a = ARENA_INIT;
    const uint8_t *nl = size ? memchr(data, '\n', size) : NULL;
    size_t n = nl ? (size_t)(nl - data) : size, rest = nl ? size - n - 1 : 0;
    char *path = arena_strndup(&a, (const char *)data, n);
    char *patterns = xmemdup(data + size - rest, rest);
    struct ignore *ig = NULL;
    struct err e = {0};

    if (ignore_parse(patterns, rest, &a, &ig, &e) >= 0)
        parents(ig, path, &a);
    else
        must(e.kind == ERR_INVALID && e.msg[0]);
    if (!strpbrk(path, "*?[\\"))
        must(glob_match(path, path) == 1);
    free(patterns);
    return 0;
}
