#include "image/store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "archive/tar.h"
#include "base/buf.h"
#include "base/failpoint.h"
#include "base/time.h"
#include "image/layer.h"
#include "distribution/platform.h"
#include "distribution/reference.h"
#include "store/blobs.h"
#include "store/db.h"
#include "store/layers.h"

/* ---- find ---- */

/* By name, or by name and digest. */
static int by_reference(struct image_store *s, const char *text, struct arena *a,
                        struct image_row *ret, struct err *err)
{
    char name[REF_TEXT_MAX + 1];
    struct reference ref;
    int r = reference_parse(text, &ref, err);

    if (r < 0)
        return r;
    reference_default_tag(&ref);
    if (ref.digest[0])
        ref.tag[0] = '\0'; /* the digest alone decides */
    return image_by_tag(s, reference_text(&ref, name), a, ret, err);
}

/* As Docker speaks of what it did not find: "nope" was asked for as "nope:latest". */
static const char *shown(const char *text, char out[REF_TEXT_MAX + 1])
{
    struct reference ref;

    if (reference_is_id(text) || str_starts(text, "sha256:") ||
        reference_parse(text, &ref, NULL) < 0)
        return text;
    reference_default_tag(&ref);
    return reference_familiar(&ref, out);
}

int image_resolve(struct image_store *s, const char *text, struct arena *a, struct image_row *ret,
                  struct err *err)
{
    const char *hex = str_starts(text, "sha256:");
    char name[REF_TEXT_MAX + 1];
    int r = 0;

    hex = hex ? hex : text;
    if (reference_is_id(text))
        r = image_by_prefix(s, hex, a, ret, err);
    else
        r = by_reference(s, text, a, ret, err);
    if (r == -ENOENT)
        r = image_by_prefix(s, hex, a, ret, err);
    if (r == -ENOENT && reference_is_id(text))
        r = image_by_index(s, arena_printf(a, "sha256:%s", hex), a, ret, err);
    if (r == -ENOENT || r == -ENOTUNIQ)
        return err_not_found(err, "No such image: %s", shown(text, name));
    return r;
}

int image_config_read(struct image_store *s, const char *id, struct arena *a,
                      struct oci_image **ret, struct json_raw *ret_text, struct err *err)
{
    auto_buf struct buf b = BUF_INIT;
    struct oci_image *img = arena_new(a, struct oci_image);
    int r = blob_read(s, id, &b, err);

    if (r < 0)
        return r;
    char *text = arena_strndup(a, buf_str(&b), b.len);
    r = json_decode(&oci_image_type, text, b.len, a, img, JSON_NOCASE, err);
    if (r < 0)
        return err_wrap(err, r, "config of image %s", id);
    if (ret_text)
        *ret_text = (struct json_raw){text, b.len};
    *ret = img;
    return 0;
}

struct strv image_lowers(const struct image_row *row, struct arena *a)
{
    struct strv v = {0};

    for (size_t i = row->layers.n; i-- > 0;)
        strv_push(a, &v, layer_path(row->layers.v[i], a));
    return v;
}

/* ---- create ---- */

static int64_t parse_created(const char *text)
{
    int64_t t = 0;

    return text && time_parse_rfc3339(text, strlen(text), &t) >= 0 ? t : 0;
}

static int sum_layers(struct image_store *s, const struct strv *diff_ids, struct arena *a,
                      int64_t *ret, struct err *err)
{
    int64_t sum = 0;

    for (size_t i = 0; i < diff_ids->n; i++) {
        struct layer_row layer;
        int r = layer_get(s, diff_ids->v[i], a, &layer, err);
        if (r < 0)
            return r;
        sum += layer.size;
    }
    *ret = sum;
    return 0;
}

int image_create(struct image_store *s, const char *config, size_t len, const char *parent,
                 struct lease *lease, char ret_id[DIGEST_LEN + 1], struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct oci_image img = {0};
    char id[DIGEST_LEN + 1];
    int64_t size = 0;

    int r = json_decode(&oci_image_type, config, len, &a, &img, JSON_NOCASE, err);
    if (r >= 0)
        r = sum_layers(s, &img.rootfs.diff_ids, &a, &size, err);
    if (r < 0)
        return err_wrap(err, r, "image config");
    FAIL_POINT("image.create.before", err);
    r = blob_put(s, config, len, lease, id, err);
    if (r < 0)
        return r;
    FAIL_POINT("image.create.config", err);
    struct image_row row = {
        .id = id,
        .parent = parent ? arena_strdup(&a, parent) : NULL,
        .created_ns = parse_created(img.created),
        .size = size,
        .layers = img.rootfs.diff_ids,
    };
    r = image_insert(s, &row, err);
    if (r >= 0)
        memcpy(ret_id, id, sizeof(id));
    return r;
}

int image_new_name(const char *text, char ret[REF_TEXT_MAX + 1], struct err *err)
{
    struct reference ref;

    ret[0] = '\0';
    if (str_empty(text))
        return 0;
    int r = reference_parse(text, &ref, err);
    if (r < 0)
        return r;
    if (ref.digest[0])
        return err_invalid(err, "cannot import digest reference");
    reference_default_tag(&ref);
    reference_text(&ref, ret);
    return 0;
}

int image_create_tagged(struct image_store *s, const struct buf *config, const char *parent,
                        const char *name, struct lease *lease, char ret_id[DIGEST_LEN + 1],
                        struct err *err)
{
    struct db *db = image_store_db(s);
    char id[DIGEST_LEN + 1];
    int r = db_begin(db, err);

    if (r < 0)
        return r;
    auto_tx struct db *tx = db;
    r = image_create(s, config->data, config->len, parent, lease, id, err);
    if (r >= 0 && *name)
        r = image_tag_set(s, name, id, NULL, err);
    if (r >= 0)
        r = db_commit(&tx, err);
    if (r >= 0)
        memcpy(ret_id, id, sizeof(id));
    return r;
}

/* ---- the product's own image ---- */

static int put_in_buf(void *ctx, const void *p, size_t n, struct err *err)
{
    (void)err;
    buf_put(ctx, p, n);
    return 0;
}

/* A layer of one file; its times are zero, so that the same file is always the same layer. */
static int one_file_tar(const char *path, const void *p, size_t n, struct buf *out, struct err *err)
{
    auto_sink struct sink *sink = sink_cb(put_in_buf, out);
    auto_tar_writer struct tar_writer *w = tar_writer_new(sink);
    struct tar_entry e = {
        .name = (char *)(uintptr_t)path, .type = TAR_FILE, .mode = 0755, .size = n};
    int r = tar_write_entry(w, &e, err);

    if (r >= 0)
        r = tar_write_data(w, p, n, err);
    return r < 0 ? r : tar_write_end(w, err);
}

static void builtin_config(const char *diff_id, const struct oci_image_config *config,
                           struct buf *out)
{
    static char epoch[] = "1970-01-01T00:00:00Z", layers[] = "layers", linux_os[] = "linux";
    auto_arena struct arena a = ARENA_INIT;
    struct oci_image img = {
        .created = epoch,
        .architecture = arena_strdup(&a, host_architecture()),
        .os = linux_os,
        .config = (struct oci_image_config *)(uintptr_t)config, /* only read */
        .rootfs.type = layers,
    };
    struct oci_image_history *h = arena_new(&a, struct oci_image_history);

    strv_push(&a, &img.rootfs.diff_ids, diff_id);
    h->created = epoch;
    h->created_by = arena_strdup(&a, "built into cleat");
    arena_push(&a, img.history) = h;
    json_encode(&oci_image_type, &img, out);
}

static int make_builtin(struct image_store *s, const struct buf *tar,
                        const struct oci_image_config *config, struct lease *lease, char *ret_id,
                        struct err *err)
{
    auto_source struct source *src = source_mem(tar->data, tar->len);
    auto_buf struct buf text = BUF_INIT;
    struct unpacked_layer layer;
    int r = layer_unpack(s, src, NULL, lease, &layer, err);

    if (r < 0)
        return r;
    builtin_config(layer.diff_id, config, &text);
    return image_create(s, text.data, text.len, NULL, lease, ret_id, err);
}

/* Known by its name and its only layer: then nothing is unpacked at every start. */
static bool is_there(struct image_store *s, const char *name, const struct buf *tar,
                     const struct oci_image_config *config, char ret_id[DIGEST_LEN + 1])
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf text = BUF_INIT;
    char diff_id[DIGEST_LEN + 1], id[DIGEST_LEN + 1];
    struct image_row row;

    sha256_of(tar->data, tar->len, diff_id);
    builtin_config(diff_id, config, &text);
    sha256_of(text.data, text.len, id);
    if (image_by_tag(s, name, &a, &row, NULL) < 0 || strcmp(row.id, id) != 0)
        return false;
    memcpy(ret_id, id, sizeof(id));
    return true;
}

int image_builtin(struct image_store *s, const char *ref, const char *path, const void *p, size_t n,
                  const struct oci_image_config *config, char ret_id[DIGEST_LEN + 1],
                  struct err *err)
{
    auto_lease struct lease *lease = lease_new(s);
    auto_buf struct buf tar = BUF_INIT;
    char name[REF_TEXT_MAX + 1];
    struct reference parsed;

    int r = reference_parse(ref, &parsed, err);
    if (r >= 0)
        r = one_file_tar(path, p, n, &tar, err);
    if (r < 0)
        return err_wrap(err, r, "image %s", ref);
    reference_default_tag(&parsed);
    reference_text(&parsed, name);
    if (is_there(s, name, &tar, config, ret_id))
        return 1;
    r = make_builtin(s, &tar, config, lease, ret_id, err);
    if (r >= 0)
        r = image_tag_set(s, name, ret_id, NULL, err);
    return r < 0 ? err_wrap(err, r, "image %s", ref) : 0;
}
