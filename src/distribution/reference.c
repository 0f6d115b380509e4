/*
 * Image names by hand instead of by regular expression: the grammar is regular, each rule below is
 * one function that returns how much of the text it takes. Scanners never look behind @end.
 */
#include "distribution/reference.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define DEFAULT_DOMAIN "docker.io"
#define LEGACY_DOMAIN "index.docker.io"
#define OFFICIAL "library/"

/* ---- characters ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_alnum(char c)
{
    return is_digit(c) || is_lower(c) || is_upper(c);
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

static bool has_upper(const char *p, const char *end)
{
    while (p < end)
        if (is_upper(*p++))
            return true;
    return false;
}

/* ---- rules ---- */

/* "[" hex digits and colons "]" */
static bool valid_ipv6(const char *p, const char *end)
{
    if (end - p < 3 || *p != '[' || end[-1] != ']')
        return false;
    for (p++; p < end - 1; p++)
        if (!is_hex(*p) && !(*p >= 'A' && *p <= 'F') && *p != ':')
            return false;
    return true;
}

/* Components of letters, digits and inner dashes, joined by dots. */
static bool valid_host(const char *p, const char *end)
{
    bool edge = true; /* the next one starts a component */

    if (p < end && *p == '[')
        return valid_ipv6(p, end);
    for (; p < end; p++) {
        bool last = p + 1 == end || p[1] == '.';
        if (*p == '.' ? edge : !is_alnum(*p) && (*p != '-' || edge || last))
            return false;
        edge = *p == '.';
    }
    return !edge;
}

static bool valid_domain(const char *p, const char *end)
{
    const char *port = memrchr(p, ':', (size_t)(end - p));

    if (port && end[-1] != ']') {
        for (const char *q = port + 1; q < end; q++)
            if (!is_digit(*q))
                return false;
        if (port + 1 == end)
            return false;
        end = port;
    }
    return valid_host(p, end);
}

/* Between two runs of letters and digits: one dot, one or two underscores, or dashes. */
static size_t separator(const char *p, const char *end)
{
    size_t n = 0;

    if (p < end && *p == '-') {
        while (p + n < end && p[n] == '-')
            n++;
        return n;
    }
    if (p < end && *p == '_')
        return p + 1 < end && p[1] == '_' ? 2 : 1;
    return p < end && *p == '.' ? 1 : 0;
}

static bool valid_component(const char *p, const char *end)
{
    for (;;) {
        const char *start = p;
        while (p < end && (is_digit(*p) || is_lower(*p)))
            p++;
        if (p == start)
            return false;
        if (p == end)
            return true;
        size_t n = separator(p, end);
        if (n == 0)
            return false;
        p += n;
    }
}

static bool valid_path(const char *p, const char *end)
{
    for (;;) {
        const char *slash = memchr(p, '/', (size_t)(end - p));
        if (!valid_component(p, slash ? slash : end))
            return false;
        if (!slash)
            return true;
        p = slash + 1;
    }
}

static bool valid_tag(const char *p, const char *end)
{
    if (p == end || end - p > REF_TAG_MAX || *p == '.' || *p == '-')
        return false;
    for (; p < end; p++)
        if (!is_alnum(*p) && *p != '_' && *p != '.' && *p != '-')
            return false;
    return true;
}

/* ---- digests ---- */

static const struct {
    const char *prefix;
    size_t digits;
} algorithms[] = {{"sha256:", 64}, {"sha384:", 96}, {"sha512:", 128}};

static int check_digest(const char *digest, struct err *err)
{
    const char *hex = strchr(digest, ':');

    if (!hex || strlen(hex + 1) < 32)
        return err_invalid(err, "invalid reference format");
    for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
        hex = str_starts(digest, algorithms[i].prefix);
        if (!hex)
            continue;
        if (strlen(hex) != algorithms[i].digits)
            return err_invalid(err, "invalid checksum digest length");
        while (is_hex(*hex))
            hex++;
        return *hex ? err_invalid(err, "invalid reference format") : 0;
    }
    return err_invalid(err, "unsupported digest algorithm");
}

bool reference_is_id(const char *text)
{
    const char *hex = str_starts(text, "sha256:");

    hex = hex ? hex : text;
    for (size_t i = 0; i < 64; i++)
        if (!is_hex(hex[i]))
            return false;
    return hex[64] == '\0';
}

/* ---- the whole ---- */

/* Does the text before the first slash name a host? Otherwise it is a part of the path. */
static bool names_domain(const char *p, const char *end)
{
    size_t n = (size_t)(end - p);

    return memchr(p, '.', n) || memchr(p, ':', n) || has_upper(p, end) ||
           (n == strlen("localhost") && memcmp(p, "localhost", n) == 0);
}

struct parts {
    const char *domain, *domain_end;
    const char *path, *path_end;
    const char *tag, *tag_end; /* NULL when not given */
    const char *digest;        /* likewise; to the end of the text */
    bool official;             /* "library/" is to be put before the path */
};

static void split_domain(const char *text, struct parts *p)
{
    static const char fallback[] = DEFAULT_DOMAIN;
    const char *slash = strchr(text, '/');

    p->domain = fallback;
    p->domain_end = fallback + sizeof(fallback) - 1;
    p->path = text;
    if (!slash || !names_domain(text, slash))
        return;
    p->path = slash + 1;
    size_t n = (size_t)(slash - text);
    if (n == strlen(LEGACY_DOMAIN) && memcmp(text, LEGACY_DOMAIN, n) == 0)
        return;
    p->domain = text;
    p->domain_end = slash;
}

static bool is_default(const struct parts *p)
{
    size_t n = (size_t)(p->domain_end - p->domain);

    return n == strlen(DEFAULT_DOMAIN) && memcmp(p->domain, DEFAULT_DOMAIN, n) == 0;
}

static void split_rest(struct parts *p)
{
    const char *end = p->path + strlen(p->path);
    const char *at = strchr(p->path, '@');

    p->official = is_default(p) && !strchr(p->path, '/');
    if (at) {
        p->digest = at + 1;
        end = at;
    }
    const char *colon = memchr(p->path, ':', (size_t)(end - p->path));
    p->path_end = colon ? colon : end;
    if (colon) {
        p->tag = colon + 1;
        p->tag_end = end;
    }
}

static int check(const struct parts *p, struct err *err)
{
    if (has_upper(p->path, p->path_end))
        return err_invalid(
            err, "invalid reference format: repository name (%s%.*s) must be lowercase",
            p->official ? OFFICIAL : "",
            (int)(p->path_end - p->path > REF_NAME_MAX ? REF_NAME_MAX : p->path_end - p->path),
            p->path);
    if (!valid_domain(p->domain, p->domain_end) || !valid_path(p->path, p->path_end) ||
        (p->tag && !valid_tag(p->tag, p->tag_end)))
        return err_invalid(err, "invalid reference format");
    size_t len = (size_t)(p->domain_end - p->domain) + 1 + (p->official ? strlen(OFFICIAL) : 0) +
                 (size_t)(p->path_end - p->path);
    if (len > REF_NAME_MAX || (p->digest && strlen(p->digest) > REF_DIGEST_MAX))
        return err_invalid(err, "repository name must not be more than %d characters",
                           REF_NAME_MAX);
    return p->digest ? check_digest(p->digest, err) : 0;
}

int reference_parse(const char *text, struct reference *ret, struct err *err)
{
    struct parts p = {0};

    if (reference_is_id(text) && !str_starts(text, "sha256:"))
        return err_invalid(err,
                           "invalid repository name (%s), cannot specify 64-byte hexadecimal "
                           "strings",
                           text);
    split_domain(text, &p);
    split_rest(&p);
    int r = check(&p, err);
    if (r < 0)
        return r;
    *ret = (struct reference){.domain_len = (size_t)(p.domain_end - p.domain)};
    (void)snprintf(ret->name, sizeof(ret->name), "%.*s/%s%.*s", (int)ret->domain_len, p.domain,
                   p.official ? OFFICIAL : "", (int)(p.path_end - p.path), p.path);
    if (p.tag)
        (void)snprintf(ret->tag, sizeof(ret->tag), "%.*s", (int)(p.tag_end - p.tag), p.tag);
    if (p.digest)
        (void)snprintf(ret->digest, sizeof(ret->digest), "%s", p.digest);
    return 0;
}

void reference_default_tag(struct reference *r)
{
    if (!r->tag[0] && !r->digest[0])
        (void)snprintf(r->tag, sizeof(r->tag), "latest");
}

/* ---- text ---- */

static char *put(const struct reference *r, const char *name, char out[REF_TEXT_MAX + 1])
{
    (void)snprintf(out, REF_TEXT_MAX + 1, "%s%s%s%s%s", name, r->tag[0] ? ":" : "", r->tag,
                   r->digest[0] ? "@" : "", r->digest);
    return out;
}

char *reference_text(const struct reference *r, char out[REF_TEXT_MAX + 1])
{
    return put(r, r->name, out);
}

/* Only what reads back as the same name: "docker.io/a.b/c" must not become "a.b/c". */
static const char *short_name(const struct reference *r)
{
    const char *path = str_starts(r->name, DEFAULT_DOMAIN "/");
    const char *official = path ? str_starts(path, OFFICIAL) : NULL;
    const char *slash = path ? strchr(path, '/') : NULL;

    if (official && !strchr(official, '/'))
        return reference_is_id(official) ? r->name : official;
    return path && slash && !names_domain(path, slash) ? path : r->name;
}

char *reference_familiar(const struct reference *r, char out[REF_TEXT_MAX + 1])
{
    return put(r, short_name(r), out);
}

char *reference_familiar_name(const struct reference *r, char out[REF_TEXT_MAX + 1])
{
    (void)snprintf(out, REF_TEXT_MAX + 1, "%s", short_name(r));
    return out;
}
