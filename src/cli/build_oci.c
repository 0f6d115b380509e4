/*
 * --build-context NAME=oci-layout://DIR[:TAG|@DIGEST]: of a layout what belongs to one of its
 * images becomes an archive, in which it has no name. The daemon checks everything in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/tar.h"
#include "base/auto.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/map.h"
#include "cli/build.h"
#include "cli/cli.h"
#include "wire/layout.h"

#define DOCUMENT_MAX (4u << 20)
#define DEPTH_MAX 4
#define BLOBS_MAX 4096
#define CHUNK (128u << 10)

struct layout {
    struct arena *a;
    int fd;
    struct map *seen;
    struct strv blobs; /* digests, what names others first */
    struct buf index;  /* that names the one image */
};

/* ---- what belongs to it ---- */

static const char *blob_path(struct layout *l, const char *digest)
{
    return arena_printf(l->a, "blobs/sha256/%s", digest + strlen("sha256:"));
}

static int read_json(struct layout *l, const char *path, struct json **ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = read_file_at(l->fd, path, DOCUMENT_MAX, &text, err);

    if (r >= 0)
        r = json_parse(arena_strndup(l->a, buf_str(&text), text.len), text.len, l->a, ret, err);
    return r < 0 ? err_wrap(err, r, "%s", path) : 0;
}

static int add_document(struct layout *l, const struct json *d, int depth, struct err *err);

/* A blob that is not there belongs to a platform that is not: the daemon tells what it misses. */
static int add_blob(struct layout *l, const struct json *d, struct err *err)
{
    const char *digest = json_str(d, "digest");

    if (!digest || !digest_valid(digest))
        return err_invalid(err, "a descriptor without a digest");
    if (map_set(l->seen, digest, l))
        return 0;
    if (l->blobs.n == BLOBS_MAX)
        return err_as(err, ERR_INVALID, E2BIG, "more than %d blobs", BLOBS_MAX);
    if (faccessat(l->fd, blob_path(l, digest), F_OK, 0) == 0)
        strv_push(l->a, &l->blobs, digest);
    return 0;
}

static int add_list(struct layout *l, const struct json *list, int depth, struct err *err)
{
    int r = 0;

    for (const struct json *m = list ? list->child : NULL; r >= 0 && m; m = m->next)
        r = depth ? add_document(l, m, depth, err) : add_blob(l, m, err);
    return r;
}

static int add_document(struct layout *l, const struct json *d, int depth, struct err *err)
{
    struct json *doc = NULL;
    int r = add_blob(l, d, err);

    if (r < 0 || !strv_has(&l->blobs, json_str(d, "digest")))
        return r;
    if (depth > DEPTH_MAX)
        return err_invalid(err, "the layout's index is nested too deep");
    r = read_json(l, blob_path(l, json_str(d, "digest")), &doc, err);
    if (r >= 0)
        r = add_list(l, json_get(doc, "manifests"), depth + 1, err);
    if (r >= 0 && json_get(doc, "config"))
        r = add_blob(l, json_get(doc, "config"), err);
    return r < 0 ? r : add_list(l, json_get(doc, "layers"), 0, err);
}

/* ---- which one ---- */

/* "DIR", "DIR:TAG", "DIR@sha256:...": a directory of the whole name goes first. */
static const char *split(struct layout *l, const char *where, const char **tag, const char **digest)
{
    const char *at = strrchr(where, '@'), *colon = strrchr(where, ':');

    *tag = *digest = NULL;
    if (access(where, F_OK) == 0)
        return where;
    if (at && digest_valid(at + 1)) {
        *digest = at + 1;
        return arena_strndup(l->a, where, (size_t)(at - where));
    }
    if (!colon || strchr(colon, '/'))
        return where;
    *tag = colon + 1;
    return arena_strndup(l->a, where, (size_t)(colon - where));
}

static const struct json *choose(const struct json *list, const char *tag, const char *digest)
{
    const struct json *only = list && list->child && !list->child->next ? list->child : NULL;

    for (const struct json *m = list ? list->child : NULL; m; m = m->next) {
        const char *name = json_str(json_get(m, "annotations"), ANNOTATION_LAYOUT_NAME);
        if (digest ? str_eq(json_str(m, "digest"), digest) : str_eq(name, str_or(tag, "latest")))
            return m;
    }
    return tag || digest ? NULL : only;
}

/* Without what names it: it is this build's alone. */
static void write_index(struct layout *l, const struct json *d)
{
    struct json_w w = {.out = &l->index};

    json_w_obj(&w);
    json_w_key(&w, "schemaVersion");
    json_w_i64(&w, 2);
    json_w_key(&w, "manifests");
    json_w_arr(&w);
    json_w_obj(&w);
    for (const struct json *m = d->child; m; m = m->next)
        if (strcmp(m->key, "annotations") != 0) {
            json_w_key(&w, m->key);
            json_w_raw(&w, m->raw, m->raw_len);
        }
    json_w_end_obj(&w);
    json_w_end_arr(&w);
    json_w_end_obj(&w);
}

static int open_layout(struct layout *l, const char *where, struct err *err)
{
    const char *tag, *digest, *dir = split(l, where, &tag, &digest);
    struct json *index = NULL;

    l->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = l->fd < 0 ? err_sys(err, "open %s", dir) : read_json(l, "index.json", &index, err);
    if (r < 0)
        return r;
    const struct json *d = choose(json_get(index, "manifests"), tag, digest);
    if (!d || d->kind != JSON_OBJECT)
        return err_not_found(err, "the layout %s has no %s", dir,
                             digest ? digest : str_or(tag, "latest"));
    write_index(l, d);
    return add_document(l, d, 0, err);
}

/* ---- the archive ---- */

static int add_text(struct tar_writer *w, const char *name, const char *text, size_t n,
                    struct err *err)
{
    const struct tar_entry e = {.name = (char *)(uintptr_t)name,
                                .link = (char[]){""},
                                .type = TAR_FILE,
                                .mode = 0644,
                                .size = n};
    int r = tar_write_entry(w, &e, err);

    return r < 0 ? r : tar_write_data(w, text, n, err);
}

static int add_file(struct layout *l, struct tar_writer *w, const char *path, struct err *err)
{
    auto_buf struct buf chunk = BUF_INIT;
    auto_close int fd = openat(l->fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(err, "open %s", path);
    const struct tar_entry e = {.name = (char *)(uintptr_t)path,
                                .link = (char[]){""},
                                .type = TAR_FILE,
                                .mode = 0644,
                                .size = (uint64_t)st.st_size};
    int r =
        S_ISREG(st.st_mode) ? tar_write_entry(w, &e, err) : err_invalid(err, "%s is no file", path);
    for (int64_t left = st.st_size; r >= 0 && left > 0;) {
        size_t n = left < CHUNK ? (size_t)left : CHUNK;
        r = read_full(fd, buf_room(&chunk, n), n);
        if (r < 0)
            return err_no(err, r, "read %s", path);
        r = tar_write_data(w, chunk.data, n, err);
        left -= (int64_t)n;
    }
    return r;
}

static int64_t pack(void *ctx, struct sink *out, struct err *err)
{
    static const char marker[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
    auto_arena struct arena a = ARENA_INIT; /* a thread's own */
    struct layout here = *(struct layout *)ctx, *l = &here;
    auto_tar_writer struct tar_writer *w = tar_writer_new(out);
    int r = add_text(w, "oci-layout", marker, strlen(marker), err);

    l->a = &a;
    if (r >= 0)
        r = add_text(w, "index.json", l->index.data, l->index.len, err);
    for (size_t i = 0; r >= 0 && i < l->blobs.n; i++)
        r = add_file(l, w, blob_path(l, l->blobs.v[i]), err);
    return r < 0 ? r : tar_write_end(w, err);
}

int build_oci_send(struct cli *cli, const char *where, const char *target, struct err *err)
{
    struct layout l = {.a = &cli->arena, .fd = -1, .seen = map_new()};
    struct http_call call = {.method = "POST", .target = target, .once = true};
    struct http_reply *reply = NULL;
    int r = open_layout(&l, where, err);

    if (r >= 0)
        r = build_send_packed(cli, pack, &l, "the layout", &call, &reply, err);
    if (r >= 0)
        http_reply_free(reply);
    close_fd(&l.fd);
    buf_done(&l.index);
    map_free(l.seen);
    return r;
}
