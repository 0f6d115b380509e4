#include "distribution/platform.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

static const struct {
    const char *alias, *arch, *variant;
} aliases[] = {
    {"x86_64", "amd64", NULL},  {"x86-64", "amd64", NULL}, {"i386", "386", ""},
    {"aarch64", "arm64", NULL}, {"armhf", "arm", "v7"},    {"armel", "arm", "v6"},
};

const char *host_architecture(void)
{
#if defined(__x86_64__)
    return "amd64";
#elif defined(__aarch64__)
    return "arm64";
#else
#error "images for this architecture have no name here yet"
#endif
}

static void lower(const char *from, char *to, size_t size)
{
    size_t n = 0;

    for (; from && from[n] && n + 1 < size; n++)
        to[n] = (char)tolower((unsigned char)from[n]);
    to[n] = '\0';
}

static void normalize(struct platform *p)
{
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
        if (strcmp(p->arch, aliases[i].alias) != 0)
            continue;
        (void)snprintf(p->arch, sizeof(p->arch), "%s", aliases[i].arch);
        if (aliases[i].variant)
            (void)snprintf(p->variant, sizeof(p->variant), "%s", aliases[i].variant);
    }
    if (isdigit((unsigned char)p->variant[0])) { /* "7" is "v7" */
        memmove(p->variant + 1, p->variant, strnlen(p->variant, sizeof(p->variant) - 2) + 1);
        p->variant[0] = 'v';
        p->variant[sizeof(p->variant) - 1] = '\0';
    }
    if (strcmp(p->arch, "arm") == 0 && !p->variant[0])
        (void)snprintf(p->variant, sizeof(p->variant), "v7");
    if ((strcmp(p->arch, "arm64") == 0 && strcmp(p->variant, "v8") == 0) ||
        (strcmp(p->arch, "amd64") == 0 && strcmp(p->variant, "v1") == 0))
        p->variant[0] = '\0';
}

void platform_set(struct platform *p, const char *os, const char *arch, const char *variant)
{
    lower(str_or(os, "linux"), p->os, sizeof(p->os));
    lower(str_or(arch, host_architecture()), p->arch, sizeof(p->arch));
    lower(str_or(variant, ""), p->variant, sizeof(p->variant));
    normalize(p);
}

void platform_of(struct platform *p, const struct oci_platform *from)
{
    if (from)
        platform_set(p, from->os, from->architecture, from->variant);
    else
        platform_set(p, NULL, NULL, NULL);
}

struct oci_platform *platform_oci(const struct platform *p, struct arena *a)
{
    struct oci_platform *out = arena_new(a, struct oci_platform);

    out->os = arena_strdup(a, p->os);
    out->architecture = arena_strdup(a, p->arch);
    out->variant = *p->variant ? arena_strdup(a, p->variant) : NULL;
    return out;
}

static bool is_word(const char *s)
{
    for (const char *p = s; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("_-.", *p))
            return false;
    return *s && strlen(s) < sizeof(((struct platform *)0)->arch);
}

static bool is_os(const char *s)
{
    static const char *const known[] = {"linux",   "windows", "darwin",  "freebsd",   "netbsd",
                                        "openbsd", "solaris", "illumos", "plan9",     "android",
                                        "ios",     "hurd",    "nacl",    "dragonfly", "aix",
                                        "js",      "wasip1",  "zos"};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i], s) == 0)
            return true;
    return false;
}

int platform_parse(const char *text, struct platform *ret, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct platform p = {0};

    if (str_empty(text)) {
        platform_set(ret, NULL, NULL, NULL);
        return 0;
    }
    struct strv v = str_split(&a, text, '/');
    bool os = is_os(v.v[0]);
    if (v.n > 3)
        return err_invalid(err, "\"%s\": invalid argument: cannot parse platform specifier", text);
    for (size_t i = 0; i < v.n; i++)
        if (!is_word(v.v[i]))
            return err_invalid(err,
                               "\"%s\" is an invalid component of \"%s\": platform specifier "
                               "component must match \"^[A-Za-z0-9_.-]+$\": invalid argument",
                               v.v[i], text);
    if (v.n == 1)
        platform_set(&p, os ? v.v[0] : NULL, os ? NULL : v.v[0], NULL);
    else if (v.n == 2 && !os)
        platform_set(&p, NULL, v.v[0], v.v[1]);
    else
        platform_set(&p, v.v[0], v.v[1], v.n > 2 ? v.v[2] : NULL);
    *ret = p;
    return 0;
}

/* The number of a variant: v7 is 7. */
static int level(const char *variant, int otherwise)
{
    return variant[0] == 'v' && isdigit((unsigned char)variant[1]) && !variant[2] ? variant[1] - '0'
                                                                                  : otherwise;
}

/* Newer processors run what was made for older ones; the newest that runs is the best. */
static int by_level(const struct platform *want, const struct platform *have, int usual)
{
    int most = level(want->variant, usual), got = level(have->variant, usual);

    return got <= most ? 90 - (most - got) : 0;
}

int platform_score(const struct platform *want, const struct platform *have)
{
    if (strcmp(want->os, have->os) != 0)
        return 0;
    bool same = strcmp(want->arch, have->arch) == 0;
    if (same && strcmp(want->variant, have->variant) == 0)
        return 100;
    if (same && strcmp(want->arch, "arm") == 0)
        return by_level(want, have, 7);
    if (same && strcmp(want->arch, "amd64") == 0)
        return by_level(want, have, 1);
    if (same)
        return !have->variant[0] || (strcmp(want->arch, "arm64") == 0 && !want->variant[0] &&
                                     level(have->variant, 99) <= 8)
                   ? 80
                   : 0;
    if (strcmp(want->arch, "arm64") == 0 && strcmp(have->arch, "arm") == 0)
        return 10 + level(have->variant, 7);
    if (strcmp(want->arch, "amd64") == 0 && strcmp(have->arch, "386") == 0)
        return 10;
    return 0;
}

bool platform_same(const struct platform *a, const struct platform *b)
{
    return strcmp(a->os, b->os) == 0 && strcmp(a->arch, b->arch) == 0 &&
           strcmp(a->variant, b->variant) == 0;
}

bool platform_serves(const struct platform *want, const struct platform *have)
{
    return strcmp(want->arch, have->arch) == 0 && platform_score(want, have) > 0;
}

char *platform_text(const struct platform *p, char out[PLATFORM_TEXT])
{
    (void)snprintf(out, PLATFORM_TEXT, "%s/%s%s%s", p->os, p->arch, *p->variant ? "/" : "",
                   p->variant);
    return out;
}
