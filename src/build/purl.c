#include "build/purl.h"

#include <ctype.h>
#include <string.h>

#include "base/buf.h"
#include "distribution/reference.h"

/* @keep: what stays as it is beside letters, digits and "-._~" */
static void put(struct buf *out, const char *text, const char *keep)
{
    for (const char *c = text; *c; c++) {
        if (isalnum((unsigned char)*c) || strchr("-._~", *c) || strchr(keep, *c))
            buf_putc(out, *c);
        else
            buf_printf(out, "%%%02X", (unsigned char)*c);
    }
}

char *purl_text(const struct purl *p, struct arena *a)
{
    auto_buf struct buf out = BUF_INIT;
    char mark = '?';

    buf_printf(&out, "pkg:%s/", p->type);
    if (!str_empty(p->space)) {
        put(&out, p->space, "/:"); /* a registry has a port */
        buf_putc(&out, '/');
    }
    put(&out, p->name, "");
    if (!str_empty(p->version)) {
        buf_putc(&out, '@');
        put(&out, p->version, "");
    }
    for (size_t i = 0; i < p->qualifiers.n; i++) {
        if (str_empty(p->qualifiers.v[i].val))
            continue;
        buf_printf(&out, "%c%s=", mark, p->qualifiers.v[i].key);
        put(&out, p->qualifiers.v[i].val, "");
        mark = '&';
    }
    return arena_strndup(a, buf_str(&out), out.len);
}

char *purl_image(const char *name, const struct platform *platform, struct arena *a)
{
    char text[REF_TEXT_MAX + 1], shown[PLATFORM_TEXT];
    struct purl p = {.type = "docker"};
    struct reference ref;

    if (reference_parse(name, &ref, NULL) < 0)
        return NULL;
    if (!ref.digest[0])
        reference_default_tag(&ref);
    char *familiar = arena_strdup(a, reference_familiar_name(&ref, text));
    char *slash = strrchr(familiar, '/');
    if (slash)
        *slash = '\0';
    p.space = slash ? familiar : NULL;
    p.name = slash ? slash + 1 : familiar;
    p.version = ref.tag;
    strmap_set(a, &p.qualifiers, "digest", ref.digest);
    strmap_set(a, &p.qualifiers, "platform", platform ? platform_text(platform, shown) : "");
    return purl_text(&p, a);
}
