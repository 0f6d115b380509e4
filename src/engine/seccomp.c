/*
 * The seccomp filter of a container, as a sealed memfd with its BPF. Compiling Docker's profile
 * costs more than starting a container, so filters are kept: in memory by (profile, capabilities),
 * since the built-in rules depend on the capabilities.
 */
#include "engine/engine-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "engine/seccomp_json.h"
#include "kern/seccomp.h"
#include "kern/seccomp_default.h"

#define PROFILE_MAX (4U << 20)
#define CACHE_MAX 32

struct cached {
    char key[DIGEST_LEN + 1];
    int fd;
};

struct seccomp_cache {
    pthread_mutex_t lock;
    struct cached entries[CACHE_MAX];
    size_t n, oldest;
};

struct seccomp_cache *seccomp_cache_new(void)
{
    struct seccomp_cache *sc = xnew(struct seccomp_cache);

    (void)pthread_mutex_init(&sc->lock, NULL);
    return sc;
}

void seccomp_cache_free(struct seccomp_cache *sc)
{
    if (!sc)
        return;
    for (size_t i = 0; i < sc->n; i++)
        close_fd(&sc->entries[i].fd);
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

int ctr_seccomp(struct container *c, const struct strv *caps, int *ret_fd, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf file = BUF_INIT, bpf = BUF_INIT;
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
    const char *seed = arena_printf(&a, "%s\n%s", text ? text : "", strv_join(&a, caps, ","));
    sha256_of(seed, strlen(seed), key);
    *ret_fd = look_up(c->e->seccomp, key);
    if (*ret_fd >= 0)
        return 0;
    int r = compile(text, caps, &bpf, err);
    if (r < 0)
        return r;
    *ret_fd = shim_memfd("cleat-seccomp", bpf.data, bpf.len, err);
    if (*ret_fd < 0)
        return *ret_fd;
    keep(c->e->seccomp, key, *ret_fd);
    return 0;
}
