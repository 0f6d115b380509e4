/*
 * Directories of --cache-to and --cache-from type=local: OCI layouts, which the daemon reads and
 * writes over a connection each (wire/layout.h) while it builds. What it may do is there and no
 * more: blobs by their digest, and names in index.json. A blob appears when it is whole.
 */
#include "wire/layout.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/rand.h"
#include "cli/build.h"
#include "cli/cli.h"
#include "http/stream.h"

#define BLOBS "blobs/sha256"
#define INDEX "index.json"
#define READ_MAX (128u << 10)

struct build_layouts {
    struct build_layouts *next;
    struct http_raw raw;
    int fd;     /* the directory */
    bool write; /* else it is only read */
    pthread_t thread;
};

/* ---- messages ---- */

static int say_size(struct build_layouts *l, int64_t n)
{
    uint64_t net = htobe64((uint64_t)n);

    return stream_write(l->raw.s, &net, sizeof(net));
}

/* Up to the line's end. Return: 0; -ENODATA: the build is over; -EMSGSIZE. */
static int read_line(struct build_layouts *l, char line[LAYOUT_LINE_MAX])
{
    for (size_t n = 0; n < LAYOUT_LINE_MAX; n++) {
        int r = http_raw_read_full(&l->raw, &line[n], 1);
        if (r < 0)
            return r;
        if (line[n] == '\n') {
            line[n] = '\0';
            return 0;
        }
    }
    return -EMSGSIZE;
}

/* Chunks to their end. What @fn makes of them does not stop them; its first error is *ret. */
static int read_chunks(struct build_layouts *l, int (*fn)(void *ctx, const void *p, size_t n),
                       void *ctx, int *ret)
{
    auto_free char *chunk = xmalloc(LAYOUT_CHUNK_MAX);
    uint32_t len;

    *ret = 0;
    for (;;) {
        int r = http_raw_read_full(&l->raw, &len, sizeof(len));
        len = ntohl(len);
        if (r < 0 || len == 0)
            return r;
        if (len > LAYOUT_CHUNK_MAX)
            return -EMSGSIZE;
        r = http_raw_read_full(&l->raw, chunk, len);
        if (r < 0)
            return r;
        if (*ret >= 0)
            *ret = fn(ctx, chunk, len);
    }
}

/* ---- reading the directory ---- */

/* Return: fd of a regular file, -errno. */
static int open_file(const struct build_layouts *l, const char *path, struct stat *st)
{
    int fd = openat(l->fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return -errno;
    if (fstat(fd, st) < 0 || !S_ISREG(st->st_mode)) {
        close_fd(&fd);
        return -ENOENT;
    }
    return fd;
}

static int send_bytes(struct build_layouts *l, int fd, int64_t left)
{
    auto_free char *chunk = xmalloc(READ_MAX);

    while (left > 0) {
        ssize_t n = read(fd, chunk, left < READ_MAX ? (size_t)left : READ_MAX);
        if (n <= 0)
            return n < 0 ? -errno : -ENODATA; /* the size was said: the connection must end */
        int r = stream_write(l->raw.s, chunk, (size_t)n);
        if (r < 0)
            return r;
        left -= n;
    }
    return 0;
}

static int answer_file(struct build_layouts *l, const char *path, bool content)
{
    struct stat st = {0};
    auto_close int fd = open_file(l, path, &st);
    int r = say_size(l, fd < 0 ? fd : st.st_size);

    return r < 0 || fd < 0 || !content ? r : send_bytes(l, fd, st.st_size);
}

static int answer_blob(struct build_layouts *l, const char *digest, bool content)
{
    char path[sizeof(BLOBS) + 1 + SHA256_HEX];

    if (!digest_valid(digest))
        return -EINVAL;
    (void)snprintf(path, sizeof(path), BLOBS "/%s", digest + strlen("sha256:"));
    return answer_file(l, path, content);
}

/* ---- writing a blob ---- */

struct writing {
    int fd;
    struct sha256 *hash;
    int64_t size;
};

static int write_bytes(void *ctx, const void *p, size_t n)
{
    struct writing *w = ctx;

    sha256_add(w->hash, p, n);
    w->size += (int64_t)n;
    return w->fd < 0 ? w->fd : write_full(w->fd, p, n);
}

static int publish(struct build_layouts *l, struct writing *w, const char *tmp, const char *want)
{
    char digest[DIGEST_LEN + 1], path[sizeof(BLOBS) + 1 + SHA256_HEX];

    sha256_digest(w->hash, digest);
    if (strcmp(digest, want) != 0)
        return -EBADMSG;
    (void)snprintf(path, sizeof(path), BLOBS "/%s", digest + strlen("sha256:"));
    return fsync(w->fd) < 0 || renameat(l->fd, tmp, l->fd, path) < 0 ? -errno : 0;
}

static int put(struct build_layouts *l)
{
    char tmp[] = BLOBS "/tmp-0123456789abcdef", line[LAYOUT_LINE_MAX];
    struct writing w = {.hash = sha256_new()};
    int done;

    rand_hex(tmp + strlen(BLOBS "/tmp-"), 16);
    auto_close int fd = openat(l->fd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    w.fd = fd < 0 ? -errno : fd;
    int r = read_chunks(l, write_bytes, &w, &done);
    if (r >= 0)
        r = read_line(l, line);
    if (r >= 0 && done >= 0)
        done = publish(l, &w, tmp, line);
    if (fd >= 0 && (r < 0 || done < 0))
        (void)unlinkat(l->fd, tmp, 0);
    sha256_free(w.hash);
    return r < 0 ? r : say_size(l, done < 0 ? done : w.size);
}

/* ---- writing index.json ---- */

static int keep_text(void *ctx, const void *p, size_t n)
{
    struct buf *text = ctx;

    buf_put(text, p, n);
    return text->len > LAYOUT_INDEX_MAX ? -EMSGSIZE : 0;
}

static const char *name_of(const struct json *d)
{
    return json_str(json_get(d, "annotations"), ANNOTATION_LAYOUT_NAME);
}

/* @d as it is, with the name among its annotations. */
static void write_named(struct json_w *w, const struct json *d, const char *tag)
{
    json_w_obj(w);
    for (const struct json *m = d->child; m; m = m->next)
        if (strcmp(m->key, "annotations") != 0) {
            json_w_key(w, m->key);
            json_w_raw(w, m->raw, m->raw_len);
        }
    json_w_key(w, "annotations");
    json_w_obj(w);
    json_w_key(w, ANNOTATION_LAYOUT_NAME);
    json_w_str(w, tag);
    json_w_end_obj(w);
    json_w_end_obj(w);
}

static void write_index(const struct json *old, const struct json *d, const char *tag,
                        struct buf *out)
{
    const struct json *list = json_get(old, "manifests");
    struct json_w w = {.out = out};

    json_w_obj(&w);
    json_w_key(&w, "schemaVersion");
    json_w_i64(&w, 2);
    json_w_key(&w, "mediaType");
    json_w_str(&w, "application/vnd.oci.image.index.v1+json");
    json_w_key(&w, "manifests");
    json_w_arr(&w);
    for (const struct json *m = list ? list->child : NULL; m; m = m->next)
        if (!str_eq(name_of(m), tag))
            json_w_raw(&w, m->raw, m->raw_len);
    write_named(&w, d, tag);
    json_w_end_arr(&w);
    json_w_end_obj(&w);
}

static int rename_in_index(struct build_layouts *l, const struct buf *descriptor, const char *tag)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf was = BUF_INIT, now = BUF_INIT;
    struct json *old = NULL, *d = NULL;
    int r = read_file_at(l->fd, INDEX, LAYOUT_INDEX_MAX, &was, NULL);

    if (r >= 0)
        r = json_parse(was.data, was.len, &a, &old, NULL);
    if (r < 0 && r != -ENOENT)
        return r;
    r = json_parse(buf_str(descriptor), descriptor->len, &a, &d, NULL);
    if (r < 0 || d->kind != JSON_OBJECT)
        return -EINVAL;
    write_index(old, d, tag, &now);
    return write_file_at(l->fd, INDEX, 0644, now.data, now.len, true, NULL);
}

static int name(struct build_layouts *l, const char *tag)
{
    auto_buf struct buf text = BUF_INIT;
    int done, r = read_chunks(l, keep_text, &text, &done);

    if (r >= 0 && done >= 0)
        done = rename_in_index(l, &text, tag);
    return r < 0 ? r : say_size(l, done);
}

/* ---- serving ---- */

static int serve(struct build_layouts *l, const char *line)
{
    const char *what;

    if (strcmp(line, LAYOUT_INDEX) == 0)
        return answer_file(l, INDEX, true);
    if (l->write && strcmp(line, LAYOUT_PUT) == 0)
        return put(l);
    if ((what = str_starts(line, LAYOUT_STAT " ")))
        return answer_blob(l, what, false);
    if ((what = str_starts(line, LAYOUT_GET " ")))
        return answer_blob(l, what, true);
    if (l->write && (what = str_starts(line, LAYOUT_NAME " ")))
        return name(l, what);
    return -EPROTO;
}

/* Until the daemon, or build_layouts_close(), hangs up; after an error half an answer may be out,
 * and only the end of the connection tells. */
static void *layout_main(void *arg)
{
    struct build_layouts *l = arg;
    char line[LAYOUT_LINE_MAX];

    while (read_line(l, line) >= 0 && serve(l, line) >= 0)
        ;
    (void)shutdown(l->raw.s->fd, SHUT_RDWR);
    return NULL;
}

/* ---- opening ---- */

static int prepare(int fd, const char *dir, struct err *err)
{
    static const char marker[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
    int r = mkdir_p_at(fd, BLOBS, 0755, err);

    if (r >= 0)
        r = write_file_at(fd, "oci-layout", 0644, marker, strlen(marker), false, err);
    return r < 0 ? err_wrap(err, r, "prepare %s", dir) : 0;
}

static int open_one(struct cli *cli, const struct build_dir *d, const char *session,
                    struct build_layouts **all, struct err *err)
{
    int r = d->write ? mkdir_p_at(AT_FDCWD, d->path, 0755, err) : 0;
    auto_close int fd = r < 0 ? -1 : open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (r >= 0 && fd < 0)
        r = err_sys(err, "open %s", d->path);
    if (r >= 0 && d->write)
        r = prepare(fd, d->path, err);
    if (r < 0)
        return r;
    struct build_layouts *l = xnew(struct build_layouts);
    char *t = cli_target(cli, "/build/session/%s/layout", session, NULL);
    r = client_upgrade(cli->client, cli_query(cli, t, "id", d->id), NULL, NULL, &l->raw, err);
    if (r < 0) {
        free(l);
        return r;
    }
    l->fd = take_fd(&fd);
    l->write = d->write;
    int no = pthread_create(&l->thread, NULL, layout_main, l);
    if (no) {
        http_raw_done(&l->raw);
        close_fd(&l->fd);
        free(l);
        return err_no(err, no, "start a thread");
    }
    l->next = *all;
    *all = l;
    return 0;
}

int build_layouts_open(struct cli *cli, const struct build_flags *f, const char *session,
                       struct build_layouts **ret, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < f->dirs.n; i++)
        r = open_one(cli, &f->dirs.v[i], session, ret, err);
    return r;
}

void build_layouts_close(struct build_layouts **all)
{
    while (*all) {
        struct build_layouts *l = *all;
        *all = l->next;
        (void)shutdown(l->raw.s->fd, SHUT_RDWR);
        (void)pthread_join(l->thread, NULL);
        http_raw_done(&l->raw);
        close_fd(&l->fd);
        free(l);
    }
}
