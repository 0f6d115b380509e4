#include "store/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/failpoint.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/rand.h"
#include "store/db.h"
#include "store/layers.h"
#include "store/settings.h"
#include "store/store-priv.h"

/* ---- helpers of the whole store ---- */

void tmp_name(char out[TMP_NAME])
{
    memcpy(out, TMP_PREFIX, sizeof(TMP_PREFIX) - 1);
    rand_hex(out + sizeof(TMP_PREFIX) - 1, 16);
}

int check_digest(const char *digest, struct err *err)
{
    return digest_valid(digest)
               ? 0
               : err_invalid(err, "invalid digest: %.100s", digest ? digest : "(none)");
}

int each_name(int dir_fd, int (*fn)(void *ctx, const char *name, struct err *err), void *ctx,
              struct err *err)
{
    auto_close int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "open a directory of the store");
    auto_dir DIR *d = fdopendir(fd);
    if (!d)
        return err_sys(err, "read a directory of the store");
    (void)take_fd(&fd);
    for (struct dirent *e; (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        int r = fn(ctx, e->d_name, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- open ---- */

/* The layout's two fixed files; index.json names no manifest as long as none is kept for others. */
static int write_layout(int image_fd, struct err *err)
{
    static const struct {
        const char *name, *text;
    } files[] = {
        {"oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}"},
        {"index.json", "{\"schemaVersion\":2,\"manifests\":[]}"},
    };

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (faccessat(image_fd, files[i].name, F_OK, 0) == 0)
            continue;
        int r = write_file_at(image_fd, files[i].name, 0644, files[i].text, strlen(files[i].text),
                              true, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int open_dir(int dir_fd, const char *path, int *ret, struct err *err)
{
    int r = mkdir_p_at(dir_fd, path, 0710, err);
    if (r < 0)
        return r;
    int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "open %s", path);
    *ret = fd;
    return 0;
}

static int open_dirs(struct image_store *s, int data_fd, struct err *err)
{
    auto_close int image_fd = -1;
    int r = open_dir(data_fd, "image", &image_fd, err);

    if (r >= 0)
        r = open_dir(image_fd, "blobs/sha256", &s->blobs_fd, err);
    if (r >= 0)
        r = open_dir(image_fd, "blobs/ingest", &s->ingest_fd, err);
    if (r >= 0)
        r = open_dir(data_fd, "layers", &s->layers_fd, err);
    return r < 0 ? r : write_layout(image_fd, err);
}

/* Parts of blobs stay for the next pull; they end by their age. */
static int remove_ingest(void *ctx, const char *name, struct err *err)
{
    struct image_store *s = ctx;

    return str_starts(name, PART_PREFIX) ? 0 : remove_tree_at(s->ingest_fd, name, err);
}

static int remove_part(void *ctx, const char *name, struct err *err)
{
    struct image_store *s = ctx;

    return str_starts(name, PART_PREFIX) ? remove_tree_at(s->ingest_fd, name, err) : 0;
}

static int remove_stage(void *ctx, const char *name, struct err *err)
{
    struct image_store *s = ctx;

    return str_starts(name, TMP_PREFIX) ? remove_tree_at(s->layers_fd, name, err) : 0;
}

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_MAX 64
#define BOOT_SETTING "boot-id" /* of the kernel that this store was last used under */

/* What was not synced has survived a dead process, but not another boot. */
static int forget_lost(struct image_store *s, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf boot = BUF_INIT;
    char *before = NULL;
    int r = setting_get(s->db, BOOT_SETTING, &a, &before, err);

    if (r >= 0)
        r = read_file_at(AT_FDCWD, BOOT_ID, BOOT_ID_MAX, &boot, err);
    if (r < 0 || str_eq(before, buf_str(&boot)))
        return r < 0 ? r : 0;
    r = layers_forget_unsettled(s, err);
    return r < 0 ? r : setting_set(s->db, BOOT_SETTING, buf_str(&boot), err);
}

/* What a killed process left: everything temporary, and what no row reaches. */
static int clean(struct image_store *s, struct err *err)
{
    int r = forget_lost(s, err);

    if (r >= 0)
        r = each_name(s->ingest_fd, remove_ingest, s, err);
    if (r >= 0)
        r = each_name(s->layers_fd, remove_stage, s, err);
    if (r >= 0)
        r = store_gc(s, NULL, NULL, err);
    return r < 0 ? err_wrap(err, r, "clean the image store") : 0;
}

int image_store_open(int data_fd, struct db *db, struct image_store **ret, struct err *err)
{
    auto_image_store struct image_store *s = xnew(struct image_store);

    *s = (struct image_store){
        .db = db, .blobs_fd = -1, .ingest_fd = -1, .layers_fd = -1, .leased = map_new()};
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_mutex_init(&s->settling, NULL);
    int r = open_dirs(s, data_fd, err);
    if (r >= 0)
        r = clean(s, err);
    if (r < 0)
        return r;
    *ret = take_ptr(&s);
    return 0;
}

void image_store_close(struct image_store *s)
{
    if (!s)
        return;
    close_fd(&s->blobs_fd);
    close_fd(&s->ingest_fd);
    close_fd(&s->layers_fd);
    map_free(s->leased);
    (void)pthread_mutex_destroy(&s->lock);
    (void)pthread_mutex_destroy(&s->settling);
    free(s);
}

struct db *image_store_db(struct image_store *s)
{
    return s->db;
}

int image_store_keep_blobs(struct image_store *s, bool keep, struct err *err)
{
    s->keep = keep;
    if (keep)
        return 0;
    int r = each_name(s->ingest_fd, remove_part, s, err);
    if (r >= 0)
        r = db_run_tx(s->db, "UPDATE layer_blob SET kept = 0 WHERE kept = 1", NULL, err);
    if (r > 0)
        r = store_gc(s, NULL, NULL, err);
    return r < 0 ? err_wrap(err, r, "drop the blobs of layers") : 0;
}

bool image_store_keeps_blobs(const struct image_store *s)
{
    return s->keep;
}

/* ---- leases ---- */

struct lease {
    struct image_store *s;
    struct map *held; /* digests; under the store's lock */
};

struct lease *lease_new(struct image_store *s)
{
    struct lease *l = xnew(struct lease);

    l->s = s;
    l->held = map_new();
    return l;
}

/* A count lives in the map's value itself. */
static void count(struct map *m, const char *digest, long by)
{
    intptr_t n = (intptr_t)map_get(m, digest) + by;

    if (n > 0)
        (void)map_set(m, digest, (void *)n); /* NOLINT: a number, not a pointer */
    else
        (void)map_del(m, digest);
}

void lease_add(struct lease *l, const char *digest)
{
    (void)pthread_mutex_lock(&l->s->lock);
    if (!map_has(l->held, digest)) {
        (void)map_set(l->held, digest, l);
        count(l->s->leased, digest, 1);
    }
    (void)pthread_mutex_unlock(&l->s->lock);
}

void lease_free(struct lease *l)
{
    const char *digest = NULL;
    size_t pos = 0;

    if (!l)
        return;
    (void)pthread_mutex_lock(&l->s->lock);
    while (map_next(l->held, &pos, &digest, NULL))
        count(l->s->leased, digest, -1);
    (void)pthread_mutex_unlock(&l->s->lock);
    map_free(l->held);
    free(l);
}

bool store_leased(const struct image_store *s, const char *digest)
{
    return map_has(s->leased, digest);
}
