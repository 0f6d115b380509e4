/* Image names: whatever is taken must read back as itself, in its full and its familiar form. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "distribution/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_equal(const struct reference *a, const char *text)
{
    struct reference b;

    if (reference_parse(text, &b, NULL) < 0 || strcmp(a->name, b.name) != 0 ||
        strcmp(a->tag, b.tag) != 0 || strcmp(a->digest, b.digest) != 0 ||
        a->domain_len != b.domain_len)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = xstrndup((const char *)data, size);
    char out[REF_TEXT_MAX + 1];
    struct reference r;
    struct err e = {0};

    if (reference_parse(text, &r, &e) >= 0) {
        must_equal(&r, reference_text(&r, out));
        must_equal(&r, reference_familiar(&r, out));
        reference_default_tag(&r);
        must_equal(&r, reference_text(&r, out));
    } else if (!e.msg[0]) {
        abort(); /* an error without words */
    }
    free(text);
    return 0;
}
