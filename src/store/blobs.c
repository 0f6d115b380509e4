#include "store/blobs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/failpoint.h"
#include "base/io.h"
#include "base/mem.h"
#include "store/store-priv.h"

struct blob_writer {
    struct image_store *s;
    char name[TMP_NAME]; /* "" once it is published */
    int fd;
    uint64_t size;
    struct sha256 *hash;
};

int blob_writer_new(struct image_store *s, struct blob_writer **ret, struct err *err)
{
    auto_blob_writer struct blob_writer *w = xnew(struct blob_writer);

    w->s = s;
    w->hash = sha256_new();
    tmp_name(w->name);
    w->fd = openat(s->ingest_fd, w->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (w->fd < 0) {
        w->name[0] = '\0';
        return err_sys(err, "create a blob");
    }
    *ret = take_ptr(&w);
    return 0;
}

void blob_writer_free(struct blob_writer *w)
{
    if (!w)
        return;
    close_fd(&w->fd);
    if (w->name[0])
        (void)unlinkat(w->s->ingest_fd, w->name, 0);
    sha256_free(w->hash);
    free(w);
}

int blob_writer_add(struct blob_writer *w, const void *p, size_t n, struct err *err)
{
    int r = write_full(w->fd, p, n);

    if (r < 0)
        return err_no(err, r, "write a blob");
    sha256_add(w->hash, p, n);
    w->size += n;
    return 0;
}

uint64_t blob_writer_size(const struct blob_writer *w)
{
    return w->size;
}

/* File, then name, then the directory: after a power loss a blob is whole or not there. @name is
 * emptied when the file has another. */
static int publish(struct image_store *s, int fd, char *name, const char *digest, struct err *err)
{
    FAIL_POINT("blob.publish.before", err);
    if (fsync(fd) < 0)
        return err_sys(err, "sync blob %s", digest);
    FAIL_POINT("blob.publish.synced", err);
    if (renameat(s->ingest_fd, name, s->blobs_fd, digest_hex(digest)) < 0)
        return err_sys(err, "publish blob %s", digest);
    name[0] = '\0';
    if (fsync(s->blobs_fd) < 0)
        return err_sys(err, "sync the blobs");
    FAIL_POINT("blob.publish.after", err);
    return 0;
}

int blob_writer_finish(struct blob_writer *w, const char *expected, struct lease *lease,
                       char ret_digest[DIGEST_LEN + 1], struct err *err)
{
    char digest[DIGEST_LEN + 1];

    sha256_digest(w->hash, digest);
    if (expected && strcmp(digest, expected) != 0)
        return err_as(err, ERR_INVALID, EBADMSG, "digest mismatch: expected %s, got %s", expected,
                      digest);
    lease_add(lease, digest);
    int r = blob_exists(w->s, digest) ? 0 : publish(w->s, w->fd, w->name, digest, err);
    if (r >= 0 && ret_digest)
        memcpy(ret_digest, digest, sizeof(digest));
    return r;
}

int blob_put(struct image_store *s, const void *p, size_t n, struct lease *lease,
             char ret_digest[DIGEST_LEN + 1], struct err *err)
{
    auto_blob_writer struct blob_writer *w = NULL;
    char digest[DIGEST_LEN + 1];
    int r = 0;

    sha256_of(p, n, digest);
    lease_add(lease, digest); /* before looking, so that it stays */
    if (!blob_exists(s, digest)) {
        r = blob_writer_new(s, &w, err);
        if (r >= 0)
            r = blob_writer_add(w, p, n, err);
        if (r >= 0)
            r = blob_writer_finish(w, digest, lease, NULL, err);
    }
    if (r >= 0 && ret_digest)
        memcpy(ret_digest, digest, sizeof(digest));
    return r;
}

int blob_open(struct image_store *s, const char *digest, uint64_t *ret_size, struct err *err)
{
    struct stat st;
    int r = check_digest(digest, err);

    if (r < 0)
        return r;
    auto_close int fd = openat(s->blobs_fd, digest_hex(digest), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_not_found(err, "blob %s not found", digest);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(err, "open blob %s", digest);
    if (ret_size)
        *ret_size = (uint64_t)st.st_size;
    return take_fd(&fd);
}

int blob_read(struct image_store *s, const char *digest, struct buf *out, struct err *err)
{
    auto_close int fd = blob_open(s, digest, NULL, err);

    return fd < 0 ? fd : read_fd(fd, BLOB_SMALL_MAX, out, err);
}

bool blob_exists(struct image_store *s, const char *digest)
{
    return digest_valid(digest) && faccessat(s->blobs_fd, digest_hex(digest), F_OK, 0) == 0;
}

int blob_scratch(struct image_store *s, struct err *err)
{
    char name[TMP_NAME];

    tmp_name(name);
    auto_close int fd =
        openat(s->ingest_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || unlinkat(s->ingest_fd, name, 0) < 0)
        return err_sys(err, "create a scratch file");
    return take_fd(&fd);
}

int blob_delete(struct image_store *s, const char *digest, struct err *err)
{
    int r = check_digest(digest, err);

    if (r < 0)
        return r;
    FAIL_POINT("blob.delete.before", err);
    if (unlinkat(s->blobs_fd, digest_hex(digest), 0) == 0)
        return 0;
    return errno == ENOENT ? 1 : err_sys(err, "delete blob %s", digest);
}

/* ---- parts ---- */

#define WRITE_EVERY (8u << 20)

struct blob_part {
    struct image_store *s;
    char digest[DIGEST_LEN + 1];
    char name[sizeof(PART_PREFIX) + SHA256_HEX]; /* "" once it is published */
    int fd;
    uint64_t had;     /* bytes at the beginning that were there */
    uint64_t at;      /* bytes that blob_part_add() has seen */
    uint64_t started; /* up to where the disk was told to write */
};

static int measure(struct blob_part *p, struct err *err)
{
    struct stat st;

    if (fstat(p->fd, &st) < 0 || lseek(p->fd, 0, SEEK_END) < 0)
        return err_sys(err, "look at a part of blob %s", p->digest);
    p->had = (uint64_t)st.st_size;
    return 0;
}

int blob_part_open(struct image_store *s, const char *digest, struct lease *lease,
                   struct blob_part **ret, struct err *err)
{
    int r = check_digest(digest, err);

    if (r < 0)
        return r;
    lease_add(lease, digest);
    struct blob_part *p = xnew(struct blob_part);
    p->s = s;
    (void)snprintf(p->digest, sizeof(p->digest), "%s", digest);
    (void)snprintf(p->name, sizeof(p->name), PART_PREFIX "%s", digest_hex(digest));
    p->fd = openat(s->ingest_fd, p->name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    r = p->fd < 0 ? err_sys(err, "create a part of blob %s", digest) : measure(p, err);
    if (r < 0) {
        blob_part_free(p, false);
        return r;
    }
    *ret = p;
    return 0;
}

uint64_t blob_part_had(const struct blob_part *p)
{
    return p->had;
}

int blob_part_fd(const struct blob_part *p)
{
    return p->fd;
}

/* The disk begins while more comes in, so that the end does not wait for all of it. */
static void start_writing(struct blob_part *p)
{
    if (p->at - p->started < WRITE_EVERY || p->at <= p->had)
        return;
    (void)sync_file_range(p->fd, (off_t)p->started, (off_t)(p->at - p->started),
                          SYNC_FILE_RANGE_WRITE); /* a hint */
    p->started = p->at;
}

int blob_part_add(struct blob_part *p, const void *data, size_t n, struct err *err)
{
    uint64_t known = p->at < p->had ? p->had - p->at : 0;
    size_t skip = known < n ? (size_t)known : n;
    int r = write_full(p->fd, (const char *)data + skip, n - skip);

    if (r < 0)
        return err_no(err, r, "write blob %s", p->digest);
    p->at += n;
    start_writing(p);
    return 0;
}

int blob_part_clear(struct blob_part *p, struct err *err)
{
    if (ftruncate(p->fd, 0) < 0 || lseek(p->fd, 0, SEEK_SET) < 0)
        return err_sys(err, "empty a part of blob %s", p->digest);
    p->had = p->at = p->started = 0;
    return 0;
}

int blob_part_publish(struct blob_part *p, struct err *err)
{
    return publish(p->s, p->fd, p->name, p->digest, err);
}

void blob_part_free(struct blob_part *p, bool useless)
{
    struct stat st;

    if (!p)
        return;
    if (p->fd >= 0 && p->name[0] && (useless || (fstat(p->fd, &st) >= 0 && st.st_size == 0)))
        (void)unlinkat(p->s->ingest_fd, p->name, 0);
    close_fd(&p->fd);
    free(p);
}
