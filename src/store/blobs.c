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
    return 0;
}

/* File, then name, then the directory: after a power loss a blob is whole or not there. */
static int publish(struct blob_writer *w, const char *digest, struct err *err)
{
    FAIL_POINT("blob.publish.before", err);
    if (fsync(w->fd) < 0)
        return err_sys(err, "sync blob %s", digest);
    FAIL_POINT("blob.publish.synced", err);
    if (renameat(w->s->ingest_fd, w->name, w->s->blobs_fd, digest_hex(digest)) < 0)
        return err_sys(err, "publish blob %s", digest);
    w->name[0] = '\0';
    if (fsync(w->s->blobs_fd) < 0)
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
    int r = blob_exists(w->s, digest) ? 0 : publish(w, digest, err);
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
