/*
 * A record is "LENGTH KEY=VALUE\n"; LENGTH counts all of it. Keys are looked up in a table; unknown
 * ones are read over. Values may hold any byte but are NUL-terminated in the arena.
 */
#include "archive/tar_pax.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "base/time.h"

#define XATTR_KEY "SCHILY.xattr."
#define XATTR_MAX 65536 /* bytes of a value; the kernel's limit */

struct record {
    const char *key, *val; /* NUL-terminated */
    size_t key_len, val_len;
};

static int bad(struct err *err)
{
    return err_as(err, ERR_INVALID, EBADMSG, "archive/tar: invalid tar header");
}

int64_t pax_clamp_time(int64_t s, int64_t ns)
{
    int64_t t = 0;

    if (__builtin_mul_overflow(s, NS_PER_S, &t) || __builtin_add_overflow(t, ns, &t))
        return s < 0 ? INT64_MIN : INT64_MAX;
    return t;
}

/* "-1.5": the fraction moves away from zero, as the sign does. */
static int parse_time(const char *s, int64_t *ret)
{
    const char *dot = strchr(s, '.');
    char whole[32];
    int64_t sec = 0, ns = 0, unit = NS_PER_S;
    size_t n = dot ? (size_t)(dot - s) : strlen(s);

    if (n == 0 || n >= sizeof(whole))
        return -EINVAL;
    memcpy(whole, s, n);
    whole[n] = '\0';
    if (str_to_i64(whole, &sec) < 0)
        return -EINVAL;
    for (const char *p = dot ? dot + 1 : ""; *p; p++) {
        if (*p < '0' || *p > '9')
            return -EINVAL;
        unit /= 10;
        ns += unit * (*p - '0');
    }
    *ret = pax_clamp_time(sec, *s == '-' ? -ns : ns);
    return 0;
}

/* ---- one function per shape of a value ---- */

typedef int (*put_fn)(const struct record *rec, struct arena *a, struct pax *p);

static int put_text(const struct record *rec, struct arena *a, char **to)
{
    if (strlen(rec->val) != rec->val_len)
        return -EINVAL; /* a NUL inside */
    *to = rec->val_len ? arena_strdup(a, rec->val) : NULL;
    return 0;
}

static int put_path(const struct record *rec, struct arena *a, struct pax *p)
{
    return put_text(rec, a, &p->path);
}

static int put_link(const struct record *rec, struct arena *a, struct pax *p)
{
    return put_text(rec, a, &p->link);
}

static int put_number(const struct record *rec, struct pax *p, enum pax_has which, uint64_t *to)
{
    p->has &= ~(unsigned)which;
    if (rec->val_len == 0)
        return 0; /* an empty value takes an earlier one back */
    p->has |= which;
    return strlen(rec->val) == rec->val_len ? str_to_u64(rec->val, to) : -EINVAL;
}

static int put_size(const struct record *rec, struct arena *a, struct pax *p)
{
    (void)a;
    return put_number(rec, p, PAX_SIZE, &p->size);
}

static int put_uid(const struct record *rec, struct arena *a, struct pax *p)
{
    (void)a;
    return put_number(rec, p, PAX_UID, &p->uid);
}

static int put_gid(const struct record *rec, struct arena *a, struct pax *p)
{
    (void)a;
    return put_number(rec, p, PAX_GID, &p->gid);
}

static int put_mtime(const struct record *rec, struct arena *a, struct pax *p)
{
    (void)a;
    p->has &= ~(unsigned)PAX_MTIME;
    if (rec->val_len == 0)
        return 0;
    p->has |= PAX_MTIME;
    return parse_time(rec->val, &p->mtime_ns);
}

static int put_real_size(const struct record *rec, struct arena *a, struct pax *p)
{
    (void)a;
    return str_to_u64(rec->val, &p->real_size);
}

static int put_major(const struct record *rec, struct arena *a, struct pax *p)
{
    (void)a;
    p->sparse_1_0 = strcmp(rec->val, "1") == 0;
    return p->sparse_1_0 || strcmp(rec->val, "0") == 0 ? 0 : -EINVAL;
}

static int put_minor(const struct record *rec, struct arena *a, struct pax *p)
{
    (void)a;
    (void)p;
    return strcmp(rec->val, "0") == 0 || strcmp(rec->val, "1") == 0 ? 0 : -EINVAL;
}

static int put_offset(const struct record *rec, struct arena *a, struct pax *p)
{
    uint64_t v = 0;

    if (p->map.n == TAR_SPARSE_MAX || str_to_u64(rec->val, &v) < 0)
        return -EINVAL;
    arena_push(a, p->map) = (struct tar_extent){v, 0};
    return 0;
}

static int put_len(const struct record *rec, struct arena *a, struct pax *p)
{
    (void)a;
    return p->map.n ? str_to_u64(rec->val, &p->map.v[p->map.n - 1].len) : -EINVAL;
}

/* 0.1: "offset,length,offset,length" */
static int put_map(const struct record *rec, struct arena *a, struct pax *p)
{
    if (rec->val_len == 0)
        return 0;
    struct strv v = str_split(a, rec->val, ',');
    if (v.n % 2 || v.n / 2 > TAR_SPARSE_MAX)
        return -EINVAL;
    p->map.v = NULL;
    p->map.n = 0;
    for (size_t i = 0; i < v.n; i += 2) {
        struct tar_extent x = {0};
        if (str_to_u64(v.v[i], &x.offset) < 0 || str_to_u64(v.v[i + 1], &x.len) < 0)
            return -EINVAL;
        arena_push(a, p->map) = x;
    }
    return 0;
}

static int put_ignored(const struct record *rec, struct arena *a, struct pax *p)
{
    (void)rec;
    (void)a;
    (void)p;
    return 0;
}

static const struct {
    const char *key;
    put_fn put;
} keys[] = {
    {"path", put_path},
    {"linkpath", put_link},
    {"size", put_size},
    {"uid", put_uid},
    {"gid", put_gid},
    {"mtime", put_mtime},
    {"GNU.sparse.major", put_major},
    {"GNU.sparse.minor", put_minor},
    {"GNU.sparse.name", put_path},
    {"GNU.sparse.realsize", put_real_size},
    {"GNU.sparse.size", put_real_size},
    {"GNU.sparse.numblocks", put_ignored},
    {"GNU.sparse.offset", put_offset},
    {"GNU.sparse.numbytes", put_len},
    {"GNU.sparse.map", put_map},
};

static int put_xattr(const struct record *rec, struct arena *a, struct pax *p)
{
    const char *name = rec->key + strlen(XATTR_KEY);

    if (!*name || strlen(name) > 255 || rec->val_len > XATTR_MAX)
        return -EINVAL;
    arena_push(a, p->xattrs) = (struct tar_xattr){
        .name = arena_strdup(a, name),
        .val = arena_memdup(a, rec->val, rec->val_len),
        .len = rec->val_len,
    };
    return 0;
}

static int put(const struct record *rec, struct arena *a, struct pax *p)
{
    if (strlen(rec->key) != rec->key_len)
        return -EINVAL;
    if (str_starts(rec->key, XATTR_KEY))
        return put_xattr(rec, a, p);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (strcmp(keys[i].key, rec->key) == 0)
            return keys[i].put(rec, a, p);
    return 0;
}

/* ---- records ---- */

/* Cuts the next record off. Return: bytes it takes, or 0 when it is malformed. */
static size_t cut(const char *p, size_t n, struct arena *a, struct record *ret)
{
    size_t len = 0, i = 0;

    for (; i < n && p[i] >= '0' && p[i] <= '9' && len <= TAR_PAX_MAX; i++)
        len = len * 10 + (size_t)(p[i] - '0');
    if (i == 0 || i == n || p[i] != ' ' || len > n || len < i + 3 || p[len - 1] != '\n')
        return 0;
    const char *key = p + i + 1;
    const char *eq = memchr(key, '=', (size_t)(p + len - 1 - key));
    if (!eq || eq == key)
        return 0;
    ret->key_len = (size_t)(eq - key);
    ret->val_len = (size_t)(p + len - 1 - (eq + 1));
    char *copy = arena_alloc(a, ret->key_len + ret->val_len + 2);
    memcpy(copy, key, ret->key_len);
    memcpy(copy + ret->key_len + 1, eq + 1, ret->val_len);
    ret->key = copy;
    ret->val = copy + ret->key_len + 1;
    return len;
}

int pax_parse(const char *p, size_t n, struct arena *a, struct pax *ret, struct err *err)
{
    while (n > 0) {
        struct record rec;
        size_t len = cut(p, n, a, &rec);
        if (len == 0 || put(&rec, a, ret) < 0)
            return bad(err);
        p += len;
        n -= len;
    }
    return 0;
}
