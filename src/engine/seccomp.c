/*
 * The seccomp filter of a container, as a sealed memfd with its BPF. Compiling Docker's profile
 * costs more than starting a container, and a megabyte of memory meanwhile, so filters are kept by
 * (profile, capabilities), since the built-in rules depend on the capabilities: in memory, and in
 * <data-root>/seccomp for the next daemon. A file there begins with the digest of what follows;
 * one that was cut short by a power loss is made again.
 */
#include "engine/engine-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/seccomp_json.h"
#include "kern/seccomp.h"
#include "kern/seccomp_default.h"

#define PROFILE_MAX (4U << 20)
#define CACHE_MAX 32
#define FILES_MAX 256
#define FILTER_MAX (1U << 20)

struct cached {
    char key[DIGEST_LEN + 1];
    int fd;
};

struct seccomp_cache {
    pthread_mutex_t compiling; /* one at a time; taken before lock */
    pthread_mutex_t lock;      /* entries */
    int dir;
    char program[64]; /* tells this daemon's built-in profile from another version's */
    struct cached entries[CACHE_MAX];
    size_t n, oldest;
};

int seccomp_cache_open(int data_fd, struct seccomp_cache **ret, struct err *err)
{
    struct seccomp_cache *sc = xnew(struct seccomp_cache);
    struct stat exe;

    (void)pthread_mutex_init(&sc->lock, NULL);
    (void)pthread_mutex_init(&sc->compiling, NULL);
    sc->dir = -1;
    int r = mkdir_p_at(data_fd, "seccomp", 0700, err);
    if (r >= 0) {
        sc->dir = openat(data_fd, "seccomp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = sc->dir < 0 ? err_sys(err, "open seccomp") : 0;
    }
    if (r >= 0 && stat("/proc/self/exe", &exe) < 0)
        r = err_sys(err, "look at our own program");
    if (r < 0) {
        seccomp_cache_free(sc);
        return r;
    }
    (void)snprintf(sc->program, sizeof(sc->program), "%ju %jd %jd.%09ld", (uintmax_t)exe.st_ino,
                   (intmax_t)exe.st_size, (intmax_t)exe.st_mtim.tv_sec, exe.st_mtim.tv_nsec);
    *ret = sc;
    return 0;
}

void seccomp_cache_free(struct seccomp_cache *sc)
{
    if (!sc)
        return;
    for (size_t i = 0; i < sc->n; i++)
        close_fd(&sc->entries[i].fd);
    close_fd(&sc->dir);
    (void)pthread_mutex_destroy(&sc->compiling);
    (void)pthread_mutex_destroy(&sc->lock);
    free(sc);
}

/* Return: a duplicate of the cached descriptor, or -1. */
static int look_up(struct seccomp_cache *sc, const char *key)
{
    int fd = -1;

    (void)pthread_mutex_lock(&sc->lock);
    for (size_t i = 0; i < sc->n; i++)
        if (strcmp(sc->entries[i].key, key) == 0)
            fd = fcntl(sc->entries[i].fd, F_DUPFD_CLOEXEC, 3);
    (void)pthread_mutex_unlock(&sc->lock);
    return fd;
}

static void keep(struct seccomp_cache *sc, const char *key, int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

    if (copy < 0)
        return; /* only a cache */
    (void)pthread_mutex_lock(&sc->lock);
    size_t at = sc->n < CACHE_MAX ? sc->n++ : sc->oldest++ % CACHE_MAX;
    if (sc->entries[at].key[0])
        close_fd(&sc->entries[at].fd);
    memcpy(sc->entries[at].key, key, sizeof(sc->entries[at].key));
    sc->entries[at].fd = copy;
    (void)pthread_mutex_unlock(&sc->lock);
}

/* What the user chose: "builtin", "unconfined", or the text of a profile (the CLI sends the text,
 * a path in daemon.json is the daemon's). */
static const char *chosen(const struct container *c)
{
    const struct strv *opts = &c->host->security_opt;

    for (size_t i = 0; i < opts->n; i++) {
        const char *v = str_starts(opts->v[i], "seccomp=");
        if (!v)
            v = str_starts(opts->v[i], "seccomp:");
        if (v)
            return v;
    }
    return c->host->privileged ? "unconfined" : c->e->conf->seccomp_profile;
}

static int compile(const char *text, const struct strv *caps, struct buf *out, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct seccomp_profile p = {0};

    if (text) {
        int r = seccomp_profile_docker(text, strlen(text), caps, &a, &p, err);
        if (r < 0)
            return err_wrap(err, r, "Decoding seccomp profile failed");
    } else {
        seccomp_default_fill(&a, caps, &p);
    }
    return seccomp_compile(&p, out, err);
}

/* ---- files ---- */

static const char *file_name(const char *key)
{
    return key + strlen("sha256:");
}

/* Return: true with the filter in @out. */
static bool read_kept(struct seccomp_cache *sc, const char *key, struct buf *out)
{
    auto_buf struct buf file = BUF_INIT;
    char digest[DIGEST_LEN + 1];

    if (read_file_at(sc->dir, file_name(key), FILTER_MAX, &file, NULL) < 0 ||
        file.len <= DIGEST_LEN)
        return false;
    sha256_of(file.data + DIGEST_LEN, file.len - DIGEST_LEN, digest);
    if (memcmp(digest, file.data, DIGEST_LEN) != 0)
        return false;
    buf_put(out, file.data + DIGEST_LEN, file.len - DIGEST_LEN);
    return true;
}

/* Only a cache: what cannot be written is compiled again. */
static void write_kept(struct seccomp_cache *sc, const char *key, const struct buf *bpf)
{
    auto_buf struct buf file = BUF_INIT;
    char digest[DIGEST_LEN + 1];
    struct err err = {0};

    if (dir_count(sc->dir, FILES_MAX, NULL) >= FILES_MAX)
        return;
    sha256_of(bpf->data, bpf->len, digest);
    buf_put(&file, digest, DIGEST_LEN);
    buf_put(&file, bpf->data, bpf->len);
    if (write_file_at(sc->dir, file_name(key), 0600, file.data, file.len, false, &err) < 0)
        log_warn("keep a seccomp filter: %s", err.msg);
}

static int make(struct seccomp_cache *sc, const char *key, const char *text,
                const struct strv *caps, int *ret_fd, struct err *err)
{
    auto_buf struct buf bpf = BUF_INIT;

    if (!read_kept(sc, key, &bpf)) {
        int r = compile(text, caps, &bpf, err);
        (void)malloc_trim(0); /* libseccomp leaves a megabyte of small pieces */
        if (r < 0)
            return r;
        write_kept(sc, key, &bpf);
    }
    *ret_fd = shim_memfd("cleat-seccomp", bpf.data, bpf.len, err);
    if (*ret_fd < 0)
        return *ret_fd;
    keep(sc, key, *ret_fd);
    return 0;
}

int ctr_seccomp(struct container *c, const struct strv *caps, int *ret_fd, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf file = BUF_INIT;
    char key[DIGEST_LEN + 1];
    const char *text = NULL, *what = chosen(c);

    if (strcmp(what, "unconfined") == 0) {
        *ret_fd = -1;
        return 0;
    }
    if (*what == '/') {
        int r = read_file_at(AT_FDCWD, what, PROFILE_MAX, &file, err);
        if (r < 0)
            return err_wrap(err, r, "seccomp profile");
        text = file.data;
    } else if (strcmp(what, "builtin") != 0 && *what) {
        text = what;
    }
    struct seccomp_cache *sc = c->e->seccomp;
    const char *seed =
        arena_printf(&a, "%s\n%s\n%s", sc->program, text ? text : "", strv_join(&a, caps, ","));
    sha256_of(seed, strlen(seed), key);
    *ret_fd = look_up(sc, key);
    if (*ret_fd >= 0)
        return 0;
    (void)pthread_mutex_lock(&sc->compiling);
    *ret_fd = look_up(sc, key); /* somebody else was at it */
    int r = *ret_fd >= 0 ? 0 : make(sc, key, text, caps, ret_fd, err);
    (void)pthread_mutex_unlock(&sc->compiling);
    return r;
}
