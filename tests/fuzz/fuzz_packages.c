/*
 * A database of packages, of dpkg or (when the first byte is odd) of apk. Every package has a name,
 * and every name makes a package URL of plain signs.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "build/purl.h"
#include "build/sbom-priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
    if (!good)
        abort();
}

static void check(const struct sbom_package *p, struct arena *a)
{
    struct purl u = {.type = p->type, .space = "x", .name = p->name, .version = p->version};

    must(p->name && *p->name);
    strmap_set(a, &u.qualifiers, "arch", p->arch ? p->arch : "");
    for (const char *c = purl_text(&u, a); *c; c++)
        must(*c > ' ' && *c < 127);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf text = BUF_INIT;
    struct sbom_packages got = {.a = &a};
    struct err e = {0};

    if (!size)
        return 0;
    buf_put(&text, data + 1, size - 1);
    int r = data[0] & 1 ? sbom_parse_apk(&text, &got, &e) : sbom_parse_dpkg(&text, &got, &e);
    must(r >= 0 || e.kind == ERR_INVALID);
    for (size_t i = 0; i < got.n; i++)
        check(&got.v[i], &a);
    return 0;
}
