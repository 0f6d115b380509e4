/*
 * Reading a container's log. The shim writes it (shim/logfile.h); the daemon only reads: rotated
 * files first, oldest to newest, then the current one, then, when following, whatever is added,
 * until the container has stopped and the end was seen once more.
 */
#include "engine/engine-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/time.h"
#include "shim/logfile.h"

#define BLOCK 65536
#define LINE_MAX_B (1U << 20) /* an entry is at most LOG_PARTIAL bytes, escaped, and attributes */
#define FILES_MAX 1000

struct entry {
    char *log, *stream, *time;
    struct strmap attrs;
};

static const struct field entry_fields[] = {
    FIELD(struct entry, "log", F_STR, log),
    FIELD(struct entry, "stream", F_STR, stream),
    FIELD(struct entry, "attrs", F_STRMAP, attrs),
    FIELD(struct entry, "time", F_STR, time),
};
static const struct json_type entry_type = JSON_TYPE("LogEntry", struct entry, entry_fields);

struct reader {
    const struct logs_opts *o;
    logs_fn fn;
    void *arg;
    struct err *err;
    int64_t skip;    /* lines to leave out before the tail begins */
    bool done;       /* past "until" */
    struct buf part; /* a line whose end is still to come */
};

/* ---- one line ---- */

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct strpair *)a)->key, ((const struct strpair *)b)->key);
}

static int send_entry(struct reader *r, const struct entry *en)
{
    auto_buf struct buf out = BUF_INIT;
    int64_t t = 0;
    int stream = str_eq(en->stream, "stderr") ? 2 : 1;
    char when[TIME_TEXT];

    if (time_parse_rfc3339(str_or(en->time, ""), strlen(str_or(en->time, "")), &t) < 0)
        return 0;
    if (r->o->until_ns && t > r->o->until_ns) {
        r->done = true;
        return 0;
    }
    if (t < r->o->since_ns || (stream == 1 ? !r->o->out : !r->o->err))
        return 0;
    if (r->o->timestamps)
        buf_printf(&out, "%s ", time_rfc3339_fixed(t, when));
    if (en->attrs.n)
        qsort(en->attrs.v, en->attrs.n, sizeof(*en->attrs.v), by_key);
    for (size_t i = 0; r->o->details && i < en->attrs.n; i++)
        buf_printf(&out, "%s%s=%s%s", i ? "," : "", en->attrs.v[i].key, en->attrs.v[i].val,
                   i + 1 == en->attrs.n ? " " : "");
    buf_puts(&out, str_or(en->log, ""));
    return r->fn(r->arg, stream, out.data, out.len, r->err);
}

static int one_line(struct reader *r, const char *p, size_t n)
{
    auto_arena struct arena a = ARENA_INIT;
    struct entry en = {0};

    if (r->skip > 0) {
        r->skip--;
        return 0;
    }
    /* A line that a full disk cut short says nothing; the next one does. */
    if (n == 0 || json_decode(&entry_type, p, n, &a, &en, 0, NULL) < 0)
        return 0;
    return send_entry(r, &en);
}

static int feed(struct reader *r, const char *p, size_t n)
{
    while (n > 0 && !r->done) {
        const char *nl = memchr(p, '\n', n);
        size_t take = nl ? (size_t)(nl - p) : n;
        int e = 0;
        if (nl && r->part.len == 0) {
            e = one_line(r, p, take);
        } else {
            buf_put(&r->part, p, take);
            if (nl) {
                e = one_line(r, r->part.data, r->part.len);
                buf_clear(&r->part);
            } else if (r->part.len > LINE_MAX_B) {
                buf_clear(&r->part);
            }
        }
        if (e < 0)
            return e;
        take += nl != NULL;
        p += take;
        n -= take;
    }
    return 0;
}

/* ---- the files ---- */

struct log_file {
    int fd;
    bool gz;
};
struct log_files {
    struct log_file v[FILES_MAX];
    size_t n;
};

/* Opens all files, oldest first, so that a rotation afterwards takes none away. */
static int open_files(struct container *c, struct log_files *f, struct err *err)
{
    char name[64];
    int newest = openat(c->data_fd, LOG_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    f->n = 0;
    if (newest < 0)
        return errno == ENOENT ? 0 : err_sys(err, "open log");
    int first = 1, fd;
    bool gz = false;
    for (;; first++) {
        (void)snprintf(name, sizeof(name), LOG_NAME ".%d", first);
        if (faccessat(c->data_fd, name, F_OK, 0) < 0) {
            (void)snprintf(name, sizeof(name), LOG_NAME ".%d.gz", first);
            if (faccessat(c->data_fd, name, F_OK, 0) < 0 || first >= FILES_MAX - 1)
                break;
        }
    }
    for (int i = first - 1; i >= 1; i--) {
        (void)snprintf(name, sizeof(name), LOG_NAME ".%d", i);
        fd = openat(c->data_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        gz = fd < 0;
        if (gz) {
            (void)snprintf(name, sizeof(name), LOG_NAME ".%d.gz", i);
            fd = openat(c->data_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        }
        if (fd >= 0)
            f->v[f->n++] = (struct log_file){fd, gz};
    }
    f->v[f->n++] = (struct log_file){newest, false};
    return 0;
}

static void close_files(struct log_files *f)
{
    for (size_t i = 0; i < f->n; i++)
        close_fd(&f->v[i].fd);
    f->n = 0;
}

typedef int (*block_fn)(void *arg, const char *p, size_t n);

static int read_gz(int fd, block_fn fn, void *arg, struct err *err)
{
    auto_free char *block = xmalloc(BLOCK);
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3), got, r = 0;

    if (copy < 0 || lseek(copy, 0, SEEK_SET) < 0)
        return err_sys(err, "read rotated log");
    gzFile z = gzdopen(copy, "rb");
    while (r >= 0 && z && (got = gzread(z, block, BLOCK)) > 0)
        r = fn(arg, block, (size_t)got);
    if (z)
        (void)gzclose(z);
    return r;
}

static int read_plain(int fd, block_fn fn, void *arg, struct err *err)
{
    auto_free char *block = xmalloc(BLOCK);
    int r = 0;

    while (r >= 0) {
        ssize_t got = read(fd, block, BLOCK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, "read log");
        if (got == 0)
            return 0;
        r = fn(arg, block, (size_t)got);
    }
    return r;
}

static int count_block(void *arg, const char *p, size_t n)
{
    int64_t *lines = arg;

    for (const char *end = p + n; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
        ++*lines;
    return 0;
}

static int feed_block(void *arg, const char *p, size_t n)
{
    return feed(arg, p, n);
}

static int read_one(const struct log_file *f, block_fn fn, void *arg, struct err *err)
{
    return f->gz ? read_gz(f->fd, fn, arg, err) : read_plain(f->fd, fn, arg, err);
}

/*
 * Where the last @tail lines begin: counts lines from the newest file back, until there are enough.
 * Return: index of the first file to read; r->skip lines of it are left out.
 */
static int find_tail(struct log_files *f, int64_t tail, struct reader *r, size_t *ret_first)
{
    int64_t have = 0;

    for (size_t i = f->n; i-- > 0;) {
        int64_t lines = 0;
        int e = read_one(&f->v[i], count_block, &lines, r->err);
        if (e < 0 || lseek(f->v[i].fd, 0, SEEK_SET) < 0)
            return e < 0 ? e : err_sys(r->err, "rewind log");
        have += lines;
        *ret_first = i;
        if (have >= tail)
            break;
    }
    r->skip = have > tail ? have - tail : 0;
    return 0;
}

/* ---- following ---- */

static bool rotated(struct container *c, int fd)
{
    struct stat have, now;

    return fstat(fd, &have) == 0 && fstatat(c->data_fd, LOG_NAME, &now, 0) == 0 &&
           have.st_ino != now.st_ino;
}

static bool may_grow(struct container *c)
{
    (void)pthread_mutex_lock(&c->lock);
    bool yes = ctr_running(c);
    (void)pthread_mutex_unlock(&c->lock);
    return yes;
}

/* Return: 1 look again, -ECANCELED the client left. */
static int wait_more(int inotify, const struct watcher *w, int gone_fd)
{
    char drop[4096];
    uint64_t n;
    struct pollfd p[3] = {{.fd = inotify, .events = POLLIN},
                          {.fd = w->fd, .events = POLLIN},
                          {.fd = gone_fd, .events = POLLRDHUP | POLLHUP | POLLERR}};

    if (poll(p, gone_fd >= 0 ? 3 : 2, -1) < 0 && errno != EINTR)
        return -errno;
    if (gone_fd >= 0 && p[2].revents)
        return -ECANCELED;
    (void)!read(inotify, drop, sizeof(drop));
    (void)!read(w->fd, &n, sizeof(n));
    return 1;
}

static int follow(struct container *c, int *fd, int inotify, const struct watcher *w, int gone_fd,
                  struct reader *r)
{
    for (;;) {
        bool growing = may_grow(c); /* asked before reading: what came before the end is read */
        int e = *fd >= 0 ? read_plain(*fd, feed_block, r, r->err) : 0;
        if (e < 0 || r->done)
            return e;
        if (*fd < 0 || rotated(c, *fd)) {
            if (*fd >= 0 && (e = read_plain(*fd, feed_block, r, r->err)) < 0)
                return e;
            int next = openat(c->data_fd, LOG_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
            if (next >= 0) {
                close_fd(fd);
                *fd = next;
                continue;
            }
        }
        if (!growing)
            return 0;
        e = wait_more(inotify, w, gone_fd);
        if (e < 0)
            return e;
    }
}

static int read_all(struct container *c, struct log_files *f, struct reader *r, int inotify,
                    const struct watcher *w, int gone_fd)
{
    size_t first = 0;
    int e = r->o->tail >= 0 ? find_tail(f, r->o->tail, r, &first) : 0;

    for (size_t i = first; e >= 0 && i < f->n && !r->done; i++)
        e = read_one(&f->v[i], feed_block, r, r->err);
    if (e < 0 || r->done || !r->o->follow)
        return e;
    int none = -1;
    return follow(c, f->n ? &f->v[f->n - 1].fd : &none, inotify, w, gone_fd, r);
}

int ctr_logs_check(struct engine *e, const char *id, struct err *err)
{
    auto_ctr struct container *c = ctr_find(e, id, err);

    if (!c)
        return err_code(err);
    if (strcmp(c->host->log_config.type, "json-file") != 0)
        return err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS,
                      "configured logging driver does not support reading");
    return c->config->tty;
}

int ctr_logs(struct engine *e, const char *id, const struct logs_opts *o, int gone_fd, logs_fn fn,
             void *arg, struct err *err)
{
    auto_ctr struct container *c = ctr_find(e, id, err);
    auto_close int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    auto_free struct log_files *files = xnew(struct log_files);
    struct reader r = {.o = o, .fn = fn, .arg = arg, .err = err};
    struct watcher w;
    char path[40];

    if (!c)
        return err_code(err);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", c->data_fd);
    if (o->follow &&
        (inotify < 0 || inotify_add_watch(inotify, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0))
        return err_sys(err, "watch log");
    int n = ctr_watch(c, &w, err);
    if (n >= 0)
        n = open_files(c, files, err);
    if (n >= 0)
        n = read_all(c, files, &r, inotify, &w, gone_fd);
    ctr_unwatch(c, &w);
    close_files(files);
    buf_done(&r.part);
    return n == -ECANCELED ? 0 : n;
}
