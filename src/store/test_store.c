#include "base/test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "base/io.h"
#include "base/time.h"
#include "store/blobs.h"
#include "store/containers.h"
#include "store/db.h"
#include "store/images.h"
#include "store/layer_blobs.h"
#include "store/layers.h"
#include "store/store.h"

#define A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "sha256:abbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define L "sha256:1111111111111111111111111111111111111111111111111111111111111111"

#define S(text) ((char *)(uintptr_t)(text)) /* rows are not const */
#define OTHER "2222222222222222222222222222222222222222222222222222222222222222"

struct fix {
    char path[64];
    int fd;
    struct db *db;
    struct image_store *s;
    struct arena a;
};

static void reopen(struct fix *f)
{
    struct err e = {0};

    image_store_close(f->s);
    db_close(f->db);
    f->db = NULL;
    f->s = NULL;
    char name[80];
    (void)snprintf(name, sizeof(name), "%s/catalog", f->path);
    CHECK_OK(db_open(name, &f->db, &e));
    CHECK_OK(image_store_open(f->fd, f->db, &f->s, &e));
}

static void setup(struct fix *f)
{
    memset(f, 0, sizeof(*f));
    (void)snprintf(f->path, sizeof(f->path), "/tmp/test_store.XXXXXX");
    CHECK(mkdtemp(f->path) != NULL);
    f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(f->fd >= 0);
    reopen(f);
}

static void teardown(struct fix *f)
{
    struct err e = {0};

    image_store_close(f->s);
    db_close(f->db);
    close(f->fd);
    arena_done(&f->a);
    CHECK_OK(remove_tree_at(AT_FDCWD, f->path, &e));
}

static void add_layer(struct fix *f, const char *diff_id, struct lease *l, int want)
{
    struct err e = {0};
    auto_layer_stage struct layer_stage *st = NULL;
    struct layer_row row = {.diff_id = S(diff_id), .size = 3, .tar_size = 10};

    CHECK_OK(layer_stage_new(f->s, &st, &e));
    CHECK_OK(write_file_at(layer_stage_diff(st), "f", 0644, "abc", 3, false, &e));
    CHECK_INT(layer_stage_commit(st, &row, l, &e), want);
}

static struct image_row an_image(struct fix *f, const char *id)
{
    struct image_row row = {.id = S(id), .created_ns = 1, .size = 3};

    strv_push(&f->a, &row.layers, L);
    return row;
}

static int entries(struct fix *f, const char *dir)
{
    char cmd[128], out[32] = "";

    (void)snprintf(cmd, sizeof(cmd), "ls -A %s/%s | wc -l", f->path, dir);
    FILE *p = popen(cmd, "r");
    CHECK(p && fgets(out, sizeof(out), p));
    pclose(p);
    return (int)strtol(out, NULL, 10);
}

TEST(blob_is_published_under_its_digest)
{
    struct err e = {0};
    struct fix f;
    setup(&f);
    auto_buf struct buf b = BUF_INIT;
    char digest[DIGEST_LEN + 1];
    struct lease *l = lease_new(f.s);

    CHECK_OK(blob_put(f.s, "hello", 5, l, digest, &e));
    CHECK_STR(digest, "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    CHECK_OK(blob_put(f.s, "hello", 5, l, NULL, &e));
    CHECK_OK(blob_read(f.s, digest, &b, &e));
    CHECK_STR(buf_str(&b), "hello");
    CHECK_INT(entries(&f, "image/blobs/ingest"), 0);
    CHECK_INT(blob_open(f.s, A, NULL, &e), -ENOENT);
    CHECK_INT(blob_open(f.s, "sha256:../../../etc/passwd", NULL, &e), -EINVAL);
    lease_free(l);
    CHECK_INT(blob_delete(f.s, digest, &e), 0);
    CHECK_INT(blob_delete(f.s, digest, &e), 1);
    teardown(&f);
}

TEST(blob_of_another_digest_leaves_nothing)
{
    struct err e = {0};
    struct fix f;
    setup(&f);
    struct lease *l = lease_new(f.s);
    struct blob_writer *w = NULL;

    CHECK_OK(blob_writer_new(f.s, &w, &e));
    CHECK_OK(blob_writer_add(w, "x", 1, &e));
    CHECK_INT(blob_writer_finish(w, A, l, NULL, &e), -EBADMSG);
    blob_writer_free(w);
    lease_free(l);
    CHECK_INT(entries(&f, "image/blobs/ingest"), 0);
    CHECK_INT(entries(&f, "image/blobs/sha256"), 0);
    teardown(&f);
}

TEST(collection_spares_what_is_leased_or_reached)
{
    struct err e = {0};
    struct fix f;
    setup(&f);
    struct lease *l = lease_new(f.s);
    struct gc_result res;
    char digest[DIGEST_LEN + 1];

    add_layer(&f, L, l, 0);
    add_layer(&f, L, l, 1);
    CHECK_OK(blob_put(f.s, "cfg", 3, l, digest, &e));
    CHECK_OK(store_gc(f.s, &f.a, &res, &e));
    CHECK_INT(res.layers.n + res.blobs.n, 0);
    struct image_row row = an_image(&f, digest);
    CHECK_OK(image_insert(f.s, &row, &e));
    lease_free(l);
    CHECK_OK(store_gc(f.s, &f.a, &res, &e));
    CHECK_INT(res.layers.n + res.blobs.n, 0);
    CHECK_OK(image_delete(f.s, digest, &e));
    CHECK_OK(store_gc(f.s, &f.a, &res, &e));
    CHECK_INT(res.layers.n, 1);
    CHECK_INT(res.blobs.n, 1);
    CHECK_INT(res.freed_b, 6);
    CHECK_INT(entries(&f, "layers"), 0);
    CHECK_INT(entries(&f, "image/blobs/sha256"), 0);
    teardown(&f);
}

TEST(a_container_keeps_its_deleted_image)
{
    struct err e = {0};
    struct fix f;
    setup(&f);
    struct lease *l = lease_new(f.s);
    struct image_row row = an_image(&f, A), got;

    add_layer(&f, L, l, 0);
    CHECK_OK(image_insert(f.s, &row, &e));
    CHECK_OK(container_insert(
        f.db, &(struct container_row){.id = S("c"), .name = S("c"), .image = S(A)}, &e));
    lease_free(l);
    CHECK_OK(image_delete(f.s, A, &e));
    CHECK_INT(image_by_id(f.s, A, &f.a, &got, &e), -ENOENT);
    CHECK_OK(store_gc(f.s, NULL, NULL, &e));
    CHECK(layer_exists(f.s, L));
    CHECK_INT(image_insert(f.s, &row, &e), 0); /* loaded again: visible again */
    CHECK_OK(image_by_id(f.s, A, &f.a, &got, &e));
    CHECK_INT(got.layers.n, 1);
    CHECK_OK(image_delete(f.s, A, &e));
    CHECK_OK(container_delete(f.db, "c", &e));
    CHECK_OK(store_gc(f.s, NULL, NULL, &e));
    CHECK(!layer_exists(f.s, L));
    teardown(&f);
}

TEST(names_and_prefixes_find_images)
{
    struct err e = {0};
    struct fix f;
    setup(&f);
    struct lease *l = lease_new(f.s);
    struct image_row a = an_image(&f, A), b = an_image(&f, B), got;
    struct image_rows all;
    char old[DIGEST_LEN + 1];

    CHECK_INT(image_insert(f.s, &a, &e), -ENOLINK); /* no such layer */
    add_layer(&f, L, l, 0);
    CHECK_INT(image_insert(f.s, &a, &e), 0);
    CHECK_INT(image_insert(f.s, &a, &e), 1);
    b.created_ns = 9;
    CHECK_OK(image_insert(f.s, &b, &e));
    CHECK_INT(image_tag_set(f.s, "x:1", A, old, &e), 0);
    CHECK_STR(old, "");
    CHECK_INT(image_tag_set(f.s, "x:1", A, old, &e), 0);
    CHECK_INT(image_tag_set(f.s, "x:1", B, old, &e), 1);
    CHECK_STR(old, A);
    CHECK_INT(image_tag_set(f.s, "x:1", L, old, &e), -ENOENT);
    CHECK_OK(image_digest_set(f.s, "x@" A, A, &e));
    CHECK_OK(image_by_tag(f.s, "x:1", &f.a, &got, &e));
    CHECK_STR(got.id, B);
    CHECK_STR(got.tags.v[0], "x:1");
    CHECK(got.tagged_ns > 0);
    CHECK_OK(image_by_tag(f.s, "x@" A, &f.a, &got, &e));
    CHECK_STR(got.id, A);
    CHECK_OK(image_by_prefix(f.s, "ab", &f.a, &got, &e));
    CHECK_STR(got.id, B);
    CHECK_INT(image_by_prefix(f.s, "a", &f.a, &got, &e), -ENOTUNIQ);
    CHECK_INT(image_by_prefix(f.s, "f", &f.a, &got, &e), -ENOENT);
    CHECK_INT(image_by_prefix(f.s, "A", &f.a, &got, &e), -ENOENT);
    CHECK_INT(image_by_prefix(f.s, "", &f.a, &got, &e), -ENOENT);
    CHECK_OK(image_rows_all(f.s, &f.a, &all, &e));
    CHECK_INT(all.n, 2);
    CHECK_STR(all.v[0].id, B);
    CHECK_INT(image_tag_delete(f.s, "x:1", &e), 0);
    CHECK_INT(image_tag_delete(f.s, "x:1", &e), 1);
    lease_free(l);
    teardown(&f);
}

TEST(opening_removes_what_is_half_made)
{
    struct err e = {0};
    struct fix f;
    setup(&f);
    struct lease *l = lease_new(f.s);

    add_layer(&f, L, l, 0);
    lease_free(l);
    CHECK_OK(mkdir_p_at(f.fd, "layers/tmp-0123456789abcdef/diff", 0755, &e));
    CHECK_OK(mkdir_p_at(f.fd, "layers/" OTHER "/diff", 0755, &e));
    CHECK_OK(write_file_at(f.fd, "image/blobs/ingest/tmp-1", 0644, "x", 1, false, &e));
    CHECK_INT(entries(&f, "layers"), 3);
    reopen(&f); /* nothing reaches the layer either */
    CHECK_INT(entries(&f, "layers"), 0);
    CHECK_INT(entries(&f, "image/blobs/ingest"), 0);
    CHECK_INT(entries(&f, "image"), 3);
    teardown(&f);
}

TEST(a_layer_without_row_is_replaced)
{
    struct err e = {0};
    struct fix f;
    setup(&f);
    struct lease *l = lease_new(f.s);
    char path[128];

    (void)snprintf(path, sizeof(path), "layers/%s/diff/stale", strchr(L, ':') + 1);
    CHECK_OK(mkdir_p_at(f.fd, path, 0755, &e));
    add_layer(&f, L, l, 0);
    CHECK_INT(faccessat(f.fd, path, F_OK, 0), -1);
    CHECK_INT(entries(&f, "layers"), 1);
    lease_free(l);
    teardown(&f);
}

static struct layer_blob a_blob(void)
{
    return (struct layer_blob){.blob = S(B), .diff_id = S(L), .media_type = S("tar"), .size = 5};
}

TEST(blobs_of_a_layer_are_known_as_long_as_it)
{
    struct err e = {0};
    struct fix f;
    setup(&f);
    struct lease *l = lease_new(f.s);
    struct layer_blob b = a_blob(), got;
    struct layer_blobs all;
    struct strv repos;

    add_layer(&f, L, l, 0);
    CHECK_OK(layer_blob_set(f.s, &b, "reg/two", 0, &e));
    CHECK_OK(layer_blob_set(f.s, &b, "reg/one", 0, &e));
    CHECK_OK(layer_blob_get(f.s, B, &f.a, &got, &e));
    CHECK_STR(got.diff_id, L);
    CHECK_INT(got.size, 5);
    CHECK_OK(layer_blobs_of(f.s, L, &f.a, &all, &e));
    CHECK_INT(all.n, 1);
    CHECK_OK(layer_blob_repos(f.s, B, &f.a, &repos, &e));
    CHECK_STR(strv_join(&f.a, &repos, " "), "reg/one reg/two");
    CHECK_OK(layer_blob_moved(f.s, B, "reg/one", &e));
    CHECK_OK(layer_blob_repos(f.s, B, &f.a, &repos, &e));
    CHECK_INT(repos.n, 1);
    lease_free(l);
    CHECK_OK(store_gc(f.s, NULL, NULL, &e));
    CHECK_INT(layer_blob_get(f.s, B, &f.a, &got, &e), -ENOENT);
    teardown(&f);
}

TEST(a_finished_layer_of_an_unfinished_pull_is_kept_for_a_while)
{
    struct err e = {0};
    struct fix f;
    setup(&f);
    struct lease *l = lease_new(f.s);
    struct layer_blob b = a_blob();

    add_layer(&f, L, l, 0);
    CHECK_OK(layer_blob_set(f.s, &b, "reg/one", now_ns() + 3600 * NS_PER_S, &e));
    lease_free(l);
    reopen(&f); /* collects, too */
    CHECK(layer_exists(f.s, L));
    CHECK_OK(layer_blobs_release(f.s, L, &e));
    CHECK_OK(store_gc(f.s, NULL, NULL, &e));
    CHECK(!layer_exists(f.s, L));
    CHECK_INT(entries(&f, "layers"), 0);
    teardown(&f);
}

/* A kept blob of layer L, with a manifest that names it. Return: its digest, in @f. */
static char *add_kept(struct fix *f, const char *text, struct lease *l)
{
    struct err e = {0};
    char digest[DIGEST_LEN + 1];
    struct strv blobs = {0};

    CHECK_OK(blob_put(f->s, text, strlen(text), l, digest, &e));
    struct layer_blob b = {
        .blob = digest, .diff_id = S(L), .media_type = S("tar"), .size = 2, .kept = true};
    CHECK_OK(layer_blob_set(f->s, &b, NULL, 0, &e));
    strv_push(&f->a, &blobs, digest);
    CHECK_OK(manifest_blobs_set(f->s, text, &blobs, &e));
    return arena_strdup(&f->a, digest);
}

TEST(kept_blobs_stay_as_long_as_a_name_came_by_them)
{
    struct err e = {0};
    struct fix f;
    setup(&f);
    struct lease *l = lease_new(f.s);
    struct image_row a = an_image(&f, A), got;
    struct layer_blob b;
    int64_t n = 0, size = 0;

    CHECK_OK(image_store_keep_blobs(f.s, true, &e));
    add_layer(&f, L, l, 0);
    const char *one = add_kept(&f, "m1", l), *two = add_kept(&f, "m2", l);
    CHECK_OK(image_insert(f.s, &a, &e));
    CHECK_OK(image_manifest_set(f.s, A, "m1", &e));
    CHECK_OK(image_tag_set(f.s, "x:1", A, NULL, &e));
    CHECK_OK(image_tag_set(f.s, "x:2", A, NULL, &e));
    CHECK_OK(image_name_origin_set(f.s, "x:2", "m2", NULL, &e));
    CHECK_OK(image_by_tag(f.s, "x:1", &f.a, &got, &e));
    CHECK_STR(got.manifest, "m1");
    CHECK_OK(image_by_tag(f.s, "x:2", &f.a, &got, &e));
    CHECK_STR(got.manifest, "m2");
    lease_free(l);
    reopen(&f);
    CHECK(blob_exists(f.s, one) && blob_exists(f.s, two));
    CHECK_OK(layer_blobs_kept(f.s, &n, &size, &e));
    CHECK_INT(n, 2);
    CHECK_INT(size, 4);
    CHECK_INT(image_tag_delete(f.s, "x:2", &e), 0);
    CHECK_OK(store_gc(f.s, NULL, NULL, &e));
    CHECK(blob_exists(f.s, one) && !blob_exists(f.s, two));
    CHECK_OK(layer_blob_get(f.s, two, &f.a, &b, &e)); /* still known, but not kept */
    CHECK(!b.kept);
    CHECK_OK(image_delete(f.s, A, &e));
    CHECK_OK(store_gc(f.s, NULL, NULL, &e));
    CHECK(!blob_exists(f.s, one));
    CHECK_INT(entries(&f, "image/blobs/sha256"), 0);
    teardown(&f);
}

TEST(parts_of_an_index_stay_as_long_as_a_name_means_it)
{
    struct fix f;
    struct err e = {0};
    struct image_row row;
    struct strv parts = {0};
    char index[DIGEST_LEN + 1], part[DIGEST_LEN + 1];
    setup(&f);

    struct lease *l = lease_new(f.s);
    add_layer(&f, L, l, 0);
    CHECK_OK(blob_put(f.s, "index", 5, l, index, &e));
    CHECK_OK(blob_put(f.s, "part", 4, l, part, &e));
    strv_push(&f.a, &parts, part);
    row = an_image(&f, A);
    CHECK_INT(image_insert(f.s, &row, &e), 0);
    CHECK_OK(image_manifest_set(f.s, A, part, &e));
    CHECK_OK(image_tag_set(f.s, "x:1", A, NULL, &e));
    CHECK_OK(image_name_origin_set(f.s, "x:1", part, index, &e));
    CHECK_OK(index_parts_set(f.s, index, &parts, &e));
    CHECK_OK(index_parts_set(f.s, index, &parts, &e)); /* once more changes nothing */
    lease_free(l);
    CHECK_OK(image_by_index(f.s, index, &f.a, &row, &e));
    CHECK_STR(row.id, A);
    CHECK_STR(row.index, index);
    CHECK(row.in_index);
    CHECK_OK(store_gc(f.s, NULL, NULL, &e));
    CHECK(blob_exists(f.s, part) && blob_exists(f.s, index));
    CHECK_OK(image_tag_set(f.s, "x:1", A, NULL, &e)); /* given anew, it means the image alone */
    CHECK_INT(image_by_index(f.s, index, &f.a, &row, &e), -ENOENT);
    CHECK_OK(image_by_id(f.s, A, &f.a, &row, &e));
    CHECK(!row.in_index);
    CHECK_OK(image_manifest_set(f.s, A, B, &e));
    CHECK_OK(store_gc(f.s, NULL, NULL, &e));
    CHECK(!blob_exists(f.s, part) && !blob_exists(f.s, index));
    teardown(&f);
}

TEST(a_lease_keeps_a_kept_blob)
{
    struct err e = {0};
    struct fix f;
    setup(&f);
    struct lease *l = lease_new(f.s), *other = lease_new(f.s);

    add_layer(&f, L, l, 0);
    const char *one = add_kept(&f, "m1", other);
    CHECK_OK(store_gc(f.s, NULL, NULL, &e));
    CHECK(blob_exists(f.s, one));
    lease_free(other);
    CHECK_OK(store_gc(f.s, NULL, NULL, &e));
    CHECK(!blob_exists(f.s, one) && layer_exists(f.s, L));
    lease_free(l);
    teardown(&f);
}

TEST(blobs_are_dropped_when_they_are_not_to_be_kept)
{
    struct err e = {0};
    struct fix f;
    setup(&f);
    struct lease *l = lease_new(f.s);
    struct image_row a = an_image(&f, A);
    struct blob_part *p = NULL;

    add_layer(&f, L, l, 0);
    const char *one = add_kept(&f, "m1", l);
    CHECK_OK(image_insert(f.s, &a, &e));
    CHECK_OK(image_manifest_set(f.s, A, "m1", &e));
    CHECK_OK(blob_part_open(f.s, B, l, &p, &e));
    CHECK_OK(blob_part_add(p, "abc", 3, &e));
    blob_part_free(p, false);
    lease_free(l);
    reopen(&f);
    CHECK(blob_exists(f.s, one));
    CHECK_OK(image_store_keep_blobs(f.s, false, &e));
    CHECK(!blob_exists(f.s, one) && layer_exists(f.s, L));
    CHECK_INT(entries(&f, "image/blobs/ingest"), 0);
    teardown(&f);
}

/* "hello" */
#define HELLO "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

TEST(a_part_goes_on_where_it_was)
{
    struct err e = {0};
    struct fix f;
    setup(&f);
    struct lease *l = lease_new(f.s);
    struct blob_part *p = NULL;
    auto_buf struct buf text = BUF_INIT;
    char had[8] = "";

    CHECK_OK(blob_part_open(f.s, HELLO, l, &p, &e));
    CHECK_INT(blob_part_had(p), 0);
    CHECK_OK(blob_part_add(p, "he", 2, &e));
    blob_part_free(p, false);
    lease_free(l);
    reopen(&f); /* a new daemon keeps it */
    l = lease_new(f.s);
    CHECK_OK(blob_part_open(f.s, HELLO, l, &p, &e));
    CHECK_INT(blob_part_had(p), 2);
    CHECK_INT(pread(blob_part_fd(p), had, 2, 0), 2);
    CHECK_STR(had, "he");
    CHECK_OK(blob_part_add(p, "h", 1, &e)); /* what it has is passed over */
    CHECK_OK(blob_part_add(p, "ell", 3, &e));
    CHECK_OK(blob_part_add(p, "o", 1, &e));
    CHECK_OK(blob_part_publish(p, &e));
    blob_part_free(p, true);
    CHECK_OK(blob_read(f.s, HELLO, &text, &e));
    CHECK_STR(buf_str(&text), "hello");
    CHECK_INT(entries(&f, "image/blobs/ingest"), 0);
    lease_free(l);
    teardown(&f);
}

TEST(parts_end_when_useless_empty_or_old)
{
    struct err e = {0};
    struct fix f;
    setup(&f);
    struct lease *l = lease_new(f.s);
    struct blob_part *p = NULL;
    struct timespec old[2] = {{.tv_sec = time(NULL) - 25 * 3600},
                              {.tv_sec = time(NULL) - 25 * 3600}};

    CHECK_OK(blob_part_open(f.s, HELLO, l, &p, &e));
    blob_part_free(p, false); /* nothing in it */
    CHECK_INT(entries(&f, "image/blobs/ingest"), 0);
    CHECK_OK(blob_part_open(f.s, HELLO, l, &p, &e));
    CHECK_OK(blob_part_add(p, "xx", 2, &e));
    CHECK_OK(blob_part_clear(p, &e));
    CHECK_OK(blob_part_add(p, "h", 1, &e));
    blob_part_free(p, true);
    CHECK_INT(entries(&f, "image/blobs/ingest"), 0);
    CHECK_OK(blob_part_open(f.s, HELLO, l, &p, &e));
    CHECK_OK(blob_part_add(p, "he", 2, &e));
    CHECK_OK(store_gc(f.s, NULL, NULL, &e));
    CHECK_INT(futimens(blob_part_fd(p), old), 0);
    CHECK_OK(store_gc(f.s, NULL, NULL, &e)); /* old, but somebody is at work */
    CHECK_INT(entries(&f, "image/blobs/ingest"), 1);
    blob_part_free(p, false);
    lease_free(l);
    CHECK_OK(store_gc(f.s, NULL, NULL, &e));
    CHECK_INT(entries(&f, "image/blobs/ingest"), 0);
    teardown(&f);
}
