/*
 * The list of an image's packages as an SPDX document. It is made from the databases that package
 * managers leave in the image, without running anything: what was copied in by other means is in
 * none of them. Nothing in it depends on when or where it is made but the time it says.
 *
 * Source: SPDX 2.3, JSON serialization.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/time.h"
#include "build/attest.h"
#include "build/purl.h"
#include "build/sbom-priv.h"
#include "kern/rootfs.h"

#define NOTHING "NOASSERTION"

struct sbom {
    const struct result *x;
    const struct result_image *img;
    struct arena *a;
    struct sbom_packages packages;
    struct listed {
        const struct sbom_package *p;
        char *purl;
    } * sorted;
    char *distro, *version; /* ID and VERSION_ID of os-release; "" when not told */
    bool rpm;               /* it has a database that was not read */
};

/* ---- what is there ---- */

/* The value of NAME= in os-release, without its quotes. */
static char *os_value(const struct buf *text, const char *name, struct arena *a)
{
    const char *at = buf_str(text), *line = NULL;
    size_t left = text->len, n = 0, len = strlen(name);

    while (sbom_line(&at, &left, &line, &n)) {
        if (n <= len || memcmp(line, name, len) != 0)
            continue;
        line += len;
        n -= len;
        if (n >= 2 && (*line == '"' || *line == '\'') && line[n - 1] == *line)
            return arena_strndup(a, line + 1, n - 2);
        return arena_strndup(a, line, n);
    }
    return arena_strdup(a, "");
}

static int read_release(struct sbom *s, int root, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = sbom_file(root, "/usr/lib", "os-release", &text, err);

    if (r > 0)
        r = sbom_file(root, "/etc", "os-release", &text, err);
    s->distro = os_value(&text, "ID=", s->a);
    s->version = os_value(&text, "VERSION_ID=", s->a);
    return r < 0 ? r : 0;
}

static bool has_rpm(int root)
{
    static const char *const places[] = {"/var/lib/rpm", "/usr/lib/sysimage/rpm"};
    static const char *const names[] = {"rpmdb.sqlite", "Packages.db", "Packages"};

    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < 3; k++) {
            char path[64];
            struct err none = {0};
            (void)snprintf(path, sizeof(path), "%s/%s", places[i], names[k]);
            auto_close int fd = rootfs_open(root, path, O_PATH | O_NOFOLLOW, &none);
            if (fd >= 0)
                return true;
        }
    return false;
}

static int read_packages(struct sbom *s, struct err *err)
{
    auto_close int root = stage_tree(s->x->b, &s->img->target->result->layers, NULL, err);
    int r = root < 0 ? root : read_release(s, root, err);

    if (r >= 0)
        r = sbom_dpkg(root, &s->packages, err);
    if (r >= 0)
        r = sbom_apk(root, &s->packages, err);
    s->rpm = r >= 0 && has_rpm(root);
    return r;
}

/* ---- their names ---- */

static const char *space_of(const struct sbom *s, const struct sbom_package *p)
{
    return str_or(s->distro, strcmp(p->type, "apk") == 0 ? "alpine" : "debian");
}

static char *purl_of(const struct sbom *s, const struct sbom_package *p)
{
    struct purl u = {
        .type = p->type, .space = space_of(s, p), .name = p->name, .version = p->version};

    strmap_set(s->a, &u.qualifiers, "arch", str_or(p->arch, ""));
    strmap_set(s->a, &u.qualifiers, "distro",
               *s->version ? arena_printf(s->a, "%s-%s", space_of(s, p), s->version) : "");
    if (p->source)
        strmap_set(s->a, &u.qualifiers, "upstream", p->source);
    return purl_text(&u, s->a);
}

static int by_purl(const void *a, const void *b)
{
    return strcmp(((const struct listed *)a)->purl, ((const struct listed *)b)->purl);
}

static void sort(struct sbom *s)
{
    size_t n = s->packages.n;

    s->sorted = arena_alloc(s->a, (n + 1) * sizeof(*s->sorted));
    for (size_t i = 0; i < n; i++)
        s->sorted[i] = (struct listed){&s->packages.v[i], purl_of(s, &s->packages.v[i])};
    qsort(s->sorted, n, sizeof(*s->sorted), by_purl);
}

/* ---- the document ---- */

static void put(struct json_w *w, const char *key, const char *val)
{
    json_w_key(w, key);
    json_w_str(w, val);
}

static char *id_of(const struct sbom *s, const struct listed *l)
{
    char digest[DIGEST_LEN + 1];

    sha256_of(l->purl, strlen(l->purl), digest);
    return arena_printf(s->a, "SPDXRef-Package-%s-%.16s", l->p->type, digest + strlen("sha256:"));
}

/* "Name <mail>" is "Person: Name (mail)" there. */
static char *supplier_of(const struct sbom *s, const struct sbom_package *p)
{
    char *text = arena_printf(s->a, "Person: %s", p->supplier);

    for (char *c = text; *c; c++)
        *c = *c == '<' ? '(' : *c == '>' ? ')' : *c;
    return text;
}

static void put_package(const struct sbom *s, const struct listed *l, struct json_w *w)
{
    const struct sbom_package *p = l->p;

    json_w_obj(w);
    put(w, "name", p->name);
    put(w, "SPDXID", id_of(s, l));
    if (p->version)
        put(w, "versionInfo", p->version);
    if (p->supplier)
        put(w, "supplier", supplier_of(s, p));
    put(w, "downloadLocation", NOTHING);
    json_w_key(w, "filesAnalyzed");
    json_w_bool(w, false);
    put(w, "licenseConcluded", NOTHING);
    put(w, "licenseDeclared", NOTHING);
    if (p->license) /* in the words of the distribution, which are not always SPDX's */
        put(w, "licenseComments", p->license);
    put(w, "copyrightText", NOTHING);
    json_w_key(w, "externalRefs");
    json_w_arr(w);
    json_w_obj(w);
    put(w, "referenceCategory", "PACKAGE-MANAGER");
    put(w, "referenceType", "purl");
    put(w, "referenceLocator", l->purl);
    json_w_end_obj(w);
    json_w_end_arr(w);
    json_w_end_obj(w);
}

static void put_relation(const char *from, const char *kind, const char *to, struct json_w *w)
{
    json_w_obj(w);
    put(w, "spdxElementId", from);
    put(w, "relationshipType", kind);
    put(w, "relatedSpdxElement", to);
    json_w_end_obj(w);
}

/* The image is a package that contains all the others. */
static void put_image(const struct sbom *s, struct json_w *w)
{
    const struct strv *names = &s->x->b->rq->names;

    json_w_obj(w);
    put(w, "name", names->n ? names->v[0] : s->img->id);
    put(w, "SPDXID", "SPDXRef-Image");
    put(w, "versionInfo", s->img->manifest.d.digest);
    put(w, "downloadLocation", NOTHING);
    json_w_key(w, "filesAnalyzed");
    json_w_bool(w, false);
    put(w, "licenseConcluded", NOTHING);
    put(w, "licenseDeclared", NOTHING);
    put(w, "copyrightText", NOTHING);
    put(w, "primaryPackagePurpose", "CONTAINER");
    json_w_end_obj(w);
}

static void put_head(const struct sbom *s, struct json_w *w)
{
    const char *hex = s->img->manifest.d.digest + strlen("sha256:");

    put(w, "spdxVersion", "SPDX-2.3");
    put(w, "dataLicense", "CC0-1.0");
    put(w, "SPDXID", "SPDXRef-DOCUMENT");
    put(w, "name", hex);
    put(w, "documentNamespace", arena_printf(s->a, "urn:cleat:sbom:sha256:%s", hex));
    json_w_key(w, "creationInfo");
    json_w_obj(w);
    put(w, "created", attest_time(s->x->b, now_ns() / NS_PER_S * NS_PER_S, s->a));
    json_w_key(w, "creators");
    json_w_arr(w);
    json_w_str(w, "Tool: cleat-" CLEAT_VERSION);
    json_w_end_arr(w);
    if (s->rpm)
        put(w, "comment", "The image has an RPM database, which was not read.");
    json_w_end_obj(w);
}

static void put_document(const struct sbom *s, struct json_w *w)
{
    json_w_obj(w);
    put_head(s, w);
    json_w_key(w, "packages");
    json_w_arr(w);
    put_image(s, w);
    for (size_t i = 0; i < s->packages.n; i++)
        put_package(s, &s->sorted[i], w);
    json_w_end_arr(w);
    json_w_key(w, "relationships");
    json_w_arr(w);
    put_relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image", w);
    for (size_t i = 0; i < s->packages.n; i++)
        put_relation("SPDXRef-Image", "CONTAINS", id_of(s, &s->sorted[i]), w);
    json_w_end_arr(w);
    json_w_end_obj(w);
}

static int warn_of_rpm(const struct sbom *s, struct err *err)
{
    struct check_warning w = {.rule = "SBOM",
                              .message = arena_strdup(s->a, "the RPM database of the image is not "
                                                            "read: its packages are not listed"),
                              .description = "",
                              .url = ""};
    struct build_event e = {.kind = BUILD_WARNING, .warning = &w};

    return build_tell_event(s->x->b, &e, err);
}

int sbom_make(const struct result *x, const struct result_image *img, struct buf *out,
              struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct sbom s = {.x = x, .img = img, .a = &a, .packages = {.a = &a}};
    struct json_w w = {.out = out};
    int r = read_packages(&s, err);

    if (r >= 0 && s.rpm)
        r = warn_of_rpm(&s, err);
    if (r < 0)
        return err_wrap(err, r, "list the packages of the image");
    sort(&s);
    put_document(&s, &w);
    return 0;
}
