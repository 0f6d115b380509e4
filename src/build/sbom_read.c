/*
 * The databases of packages, as text that a stranger wrote: nothing is followed out of the image,
 * nothing but regular files is opened, and sizes have limits. What a line means is decided by its
 * beginning; what has no meaning here is passed over.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "base/dir.h"
#include "base/io.h"
#include "build/sbom-priv.h"
#include "kern/rootfs.h"

#define DPKG "/var/lib/dpkg"

int sbom_file(int root_fd, const char *dir, const char *name, struct buf *out, struct err *err)
{
    struct stat st;
    struct err none = {0};
    auto_close int at = rootfs_open(root_fd, dir, O_PATH | O_DIRECTORY, &none);
    auto_close int fd = at < 0 ? at : open_regular_at(at, name, &st);

    if (fd < 0)
        return fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP
                   ? 1
                   : err_no(err, -fd, "open %s/%s of the image", dir, name);
    int r = read_fd(fd, SBOM_FILE_MAX, out, err);
    return r < 0 ? err_wrap(err, r, "read %s/%s of the image", dir, name) : 0;
}

bool sbom_line(const char **text, size_t *n, const char **ret, size_t *ret_n)
{
    const char *end = memchr(*text, '\n', *n);
    size_t len = end ? (size_t)(end - *text) : *n;

    if (*n == 0)
        return false;
    *ret = *text;
    *ret_n = len;
    *text += len + (end != NULL);
    *n -= len + (end != NULL);
    return true;
}

int sbom_add(struct sbom_packages *to, const struct sbom_package *p, struct err *err)
{
    if (str_empty(p->name))
        return 0;
    if (to->n == SBOM_PACKAGES_MAX)
        return err_as(err, ERR_INVALID, E2BIG, "the image has more than %d packages",
                      SBOM_PACKAGES_MAX);
    arena_push(to->a, *to) = *p;
    return 0;
}

/* ---- stanzas: lines that begin with a key, and an empty one behind each ---- */

struct key {
    const char *name; /* "Package:" */
    size_t offset;    /* in struct stanza */
};

struct stanza {
    struct sbom_package p;
    char *status;
};

static void take_line(struct stanza *s, const struct key *keys, const char *line, size_t n,
                      struct arena *a)
{
    for (const struct key *k = keys; k->name; k++) {
        size_t len = strlen(k->name);
        if (n < len || memcmp(line, k->name, len) != 0)
            continue;
        *(char **)(void *)((char *)s + k->offset) = str_trim(a, line + len, n - len);
        return;
    }
}

/* Packages that were removed leave their configuration behind. */
static bool is_installed(const struct stanza *s)
{
    return !s->status || str_ends(s->status, " installed");
}

static int end_stanza(struct stanza *s, const char *type, struct sbom_packages *to, struct err *err)
{
    int r = 0;

    s->p.type = type;
    if (is_installed(s))
        r = sbom_add(to, &s->p, err);
    *s = (struct stanza){0};
    return r;
}

static int read_stanzas(const struct buf *text, const char *type, const struct key *keys,
                        struct sbom_packages *to, struct err *err)
{
    const char *at = buf_str(text), *line = NULL;
    size_t left = text->len, n = 0;
    struct stanza s = {0};
    int r = 0;

    while (r >= 0 && sbom_line(&at, &left, &line, &n)) {
        if (n == 0)
            r = end_stanza(&s, type, to, err);
        else
            take_line(&s, keys, line, n, to->a);
    }
    return r < 0 ? r : end_stanza(&s, type, to, err);
}

/* ---- dpkg ---- */

#define AT(member) offsetof(struct stanza, member)

static const struct key dpkg_keys[] = {
    {"Package:", AT(p.name)},
    {"Version:", AT(p.version)},
    {"Architecture:", AT(p.arch)},
    {"Maintainer:", AT(p.supplier)},
    {"Source:", AT(p.source)},
    {"Status:", AT(status)},
    {NULL, 0},
};

int sbom_parse_dpkg(const struct buf *text, struct sbom_packages *to, struct err *err)
{
    return read_stanzas(text, "deb", dpkg_keys, to, err);
}

static int read_dpkg(int root_fd, const char *dir, const char *name, struct sbom_packages *to,
                     struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = sbom_file(root_fd, dir, name, &text, err);

    return r != 0 ? (r < 0 ? r : 0) : sbom_parse_dpkg(&text, to, err);
}

int sbom_dpkg(int root_fd, struct sbom_packages *to, struct err *err)
{
    struct strv names = {0};
    struct err none = {0};
    int r = read_dpkg(root_fd, DPKG, "status", to, err);
    auto_close int dir = rootfs_open(root_fd, DPKG "/status.d", O_RDONLY | O_DIRECTORY, &none);

    if (r >= 0 && dir >= 0)
        r = dir_names(dir, to->a, &names, err);
    for (size_t i = 0; r >= 0 && i < names.n; i++)
        if (!str_ends(names.v[i], ".md5sums"))
            r = read_dpkg(root_fd, DPKG "/status.d", names.v[i], to, err);
    return r;
}

/* ---- apk ---- */

static const struct key apk_keys[] = {
    {"P:", AT(p.name)},     {"V:", AT(p.version)}, {"A:", AT(p.arch)}, {"L:", AT(p.license)},
    {"m:", AT(p.supplier)}, {"o:", AT(p.source)},  {NULL, 0},
};

int sbom_parse_apk(const struct buf *text, struct sbom_packages *to, struct err *err)
{
    return read_stanzas(text, "apk", apk_keys, to, err);
}

int sbom_apk(int root_fd, struct sbom_packages *to, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = sbom_file(root_fd, "/lib/apk/db", "installed", &text, err);

    return r != 0 ? (r < 0 ? r : 0) : sbom_parse_apk(&text, to, err);
}
