#include "shim/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/time.h"

#define NAME_MAX_LEN 40
#define ZBUF 65536

static int open_file(struct logfile *l, struct err *err)
{
    struct stat st;

    l->fd = openat(l->dir_fd, LOG_NAME,
                   O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
    if (l->fd < 0 || fstat(l->fd, &st) < 0)
        return err_sys(err, "open log");
    l->size = st.st_size;
    return 0;
}

int logfile_open(struct logfile *l, int dir_fd, const struct shim_log *conf, struct err *err)
{
    *l = (struct logfile){.dir_fd = dir_fd, .fd = -1, .conf = conf};
    if (strcmp(conf->driver, "json-file") != 0)
        return 0;
    if (conf->attrs.text)
        buf_printf(&l->attrs, ",\"attrs\":%s", conf->attrs.text);
    return open_file(l, err);
}

static void name_of(char out[NAME_MAX_LEN], int n, bool gz)
{
    (void)snprintf(out, NAME_MAX_LEN, "%s.%d%s", LOG_NAME, n, gz ? ".gz" : "");
}

/* gzip name.1 in a child: it may take its time, nobody waits for it. */
static int compress_file(int dir_fd)
{
    char from[NAME_MAX_LEN], to[NAME_MAX_LEN], *block = malloc(ZBUF);
    auto_close int in = -1;
    ssize_t got = -1;

    name_of(from, 1, false);
    name_of(to, 1, true);
    (void)setpriority(PRIO_PROCESS, 0, 19);
    in = openat(dir_fd, from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int out = openat(dir_fd, LOG_NAME ".tmp.gz", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    gzFile z = out < 0 ? NULL : gzdopen(out, "wb1");
    if (!block || in < 0 || !z)
        return 1;
    while ((got = read(in, block, ZBUF)) > 0)
        if (gzwrite(z, block, (unsigned)got) != (int)got)
            return 1;
    if (gzclose(z) != Z_OK || got < 0)
        return 1;
    /* The .gz must be there before the plain file goes: a reader prefers the plain one. */
    if (renameat(dir_fd, LOG_NAME ".tmp.gz", dir_fd, to) < 0 || unlinkat(dir_fd, from, 0) < 0)
        return 1;
    return 0;
}

static void start_compressor(struct logfile *l)
{
    l->compressor = fork();
    if (l->compressor == 0) {
        sigset_t none;
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)close_range(3, (unsigned)l->dir_fd - 1, 0);
        (void)close_range((unsigned)l->dir_fd + 1, ~0U, 0);
        _exit(compress_file(l->dir_fd));
    }
    if (l->compressor < 0)
        log_warn("compress log: %s", strerrordesc_np(errno));
}

static void stop_compressor(struct logfile *l)
{
    if (l->compressor > 0)
        (void)kill(l->compressor, SIGKILL); /* reaped by the main loop */
    l->compressor = 0;
    (void)unlinkat(l->dir_fd, LOG_NAME ".tmp.gz", 0);
}

static void shift(struct logfile *l, int n, bool gz)
{
    char from[NAME_MAX_LEN], to[NAME_MAX_LEN];

    name_of(from, n, gz);
    name_of(to, n + 1, gz);
    if (n + 1 >= l->conf->max_files)
        (void)unlinkat(l->dir_fd, from, 0);
    else
        (void)renameat(l->dir_fd, from, l->dir_fd, to);
}

static void rotate(struct logfile *l)
{
    char first[NAME_MAX_LEN];

    stop_compressor(l);
    for (int n = l->conf->max_files - 1; n >= 1; n--) {
        shift(l, n, false);
        shift(l, n, true);
    }
    close_fd(&l->fd);
    name_of(first, 1, false);
    if (l->conf->max_files <= 1)
        (void)unlinkat(l->dir_fd, LOG_NAME, 0);
    else
        (void)renameat(l->dir_fd, LOG_NAME, l->dir_fd, first);
    struct err err = {0};
    if (open_file(l, &err) < 0)
        log_error("rotate: %s", err.msg);
    if (l->conf->compress && l->conf->max_files > 1)
        start_compressor(l);
}

/* A full disk must not stop the container: the output goes to the attached clients all the same. */
static void flush_out(struct logfile *l)
{
    if (l->out.len == 0 || l->fd < 0)
        return;
    int r = write_full(l->fd, l->out.data, l->out.len);
    if (r < 0 && r != -l->failed)
        log_error("write log: %s", strerrordesc_np(-r));
    l->failed = r < 0 ? -r : 0;
    l->size += (int64_t)l->out.len;
    buf_clear(&l->out);
    if (l->conf->max_size > 0 && l->size >= l->conf->max_size)
        rotate(l);
}

static void put_entry(struct logfile *l, int stream, const char *p, size_t n)
{
    char when[TIME_TEXT];

    buf_puts(&l->out, "{\"log\":");
    json_quote(&l->out, p, n);
    buf_puts(&l->out, stream == 1 ? ",\"stream\":\"stdout\"" : ",\"stream\":\"stderr\"");
    if (l->attrs.len)
        buf_put(&l->out, l->attrs.data, l->attrs.len);
    buf_puts(&l->out, ",\"time\":\"");
    buf_puts(&l->out, time_rfc3339(now_ns(), when));
    buf_puts(&l->out, "\"}\n");
}

/* Adds to a line whose start came earlier; an entry goes out at its newline or at LOG_PARTIAL. */
static size_t continue_line(struct logfile *l, int stream, const char *p, size_t n)
{
    struct buf *part = &l->partial[stream];
    size_t room = LOG_PARTIAL - part->len;
    const char *nl = memchr(p, '\n', n < room ? n : room);
    size_t take = nl ? (size_t)(nl - p) + 1 : n < room ? n : room;

    buf_put(part, p, take);
    if (nl || part->len >= LOG_PARTIAL) {
        put_entry(l, stream, part->data, part->len);
        buf_clear(part);
    }
    return take;
}

void logfile_add(struct logfile *l, int stream, const char *p, size_t n)
{
    if (l->fd < 0)
        return;
    while (n > 0) {
        const char *nl =
            l->partial[stream].len ? NULL : memchr(p, '\n', n < LOG_PARTIAL ? n : LOG_PARTIAL);
        size_t take = nl ? (size_t)(nl - p) + 1 : 0;
        if (nl)
            put_entry(l, stream, p, take); /* a whole line: straight from the reader's block */
        else
            take = continue_line(l, stream, p, n);
        p += take;
        n -= take;
    }
    flush_out(l);
}

void logfile_done(struct logfile *l)
{
    for (int s = 1; s <= 2 && l->fd >= 0; s++)
        if (l->partial[s].len)
            put_entry(l, s, l->partial[s].data, l->partial[s].len);
    flush_out(l);
    close_fd(&l->fd);
    buf_done(&l->out);
    buf_done(&l->attrs);
    buf_done(&l->partial[1]);
    buf_done(&l->partial[2]);
}

bool logfile_reaped(struct logfile *l, pid_t pid)
{
    if (l->compressor != pid)
        return false;
    l->compressor = 0;
    return true;
}
