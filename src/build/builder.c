#include "build/builder-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"

static int open_dir(int at, const char *name, int *ret, struct err *err)
{
    int r = mkdir_p_at(at, name, 0700, err);

    if (r < 0)
        return r;
    *ret = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return *ret < 0 ? err_sys(err, "open %s", name) : 0;
}

static int open_dirs(struct builder *b, struct err *err)
{
    auto_close int data = open(b->host->data_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = data < 0 ? err_sys(err, "open %s", b->host->data_path) : 0;

    if (r >= 0)
        r = open_dir(data, "build", &b->dir_fd, err);
    if (r >= 0)
        r = open_dir(b->dir_fd, "cache", &b->cache_fd, err);
    if (r >= 0)
        r = open_dir(b->dir_fd, "contexts", &b->contexts_fd, err);
    if (r >= 0)
        r = remove_tree_at(b->dir_fd, "tmp", err); /* of builds that were killed */
    if (r >= 0)
        r = open_dir(b->dir_fd, "tmp", &b->tmp_fd, err);
    if (r >= 0)
        r = remove_tree_at(AT_FDCWD, b->host->run_path, err);
    return r < 0 ? r : mkdir_p_at(AT_FDCWD, b->host->run_path, 0700, err);
}

int builder_new(struct image_store *store, const struct build_host *host, struct builder **ret,
                struct err *err)
{
    struct builder *b = xnew(struct builder);

    *b = (struct builder){.store = store,
                          .host = host,
                          .dir_fd = -1,
                          .cache_fd = -1,
                          .contexts_fd = -1,
                          .tmp_fd = -1,
                          .claimed = map_new()};
    (void)pthread_mutex_init(&b->lock, NULL);
    (void)pthread_cond_init(&b->changed, NULL);
    int r = open_dirs(b, err);
    if (r < 0) {
        builder_free(b);
        return err_wrap(err, r, "builder");
    }
    *ret = b;
    return 0;
}

void builder_free(struct builder *b)
{
    if (!b)
        return;
    close_fd(&b->dir_fd);
    close_fd(&b->cache_fd);
    close_fd(&b->contexts_fd);
    close_fd(&b->tmp_fd);
    map_free(b->claimed);
    (void)pthread_mutex_destroy(&b->lock);
    (void)pthread_cond_destroy(&b->changed);
    free(b);
}

const char *build_default_agent(const struct build_request *rq)
{
    for (size_t i = 0; i < rq->ssh.n; i++)
        if (strcmp(rq->ssh.v[i].id, "default") == 0)
            return rq->ssh.v[i].path;
    return NULL;
}

bool builder_try_claim(struct builder *b, const char *key)
{
    (void)pthread_mutex_lock(&b->lock);
    bool mine = !map_has(b->claimed, key);
    if (mine)
        (void)map_set(b->claimed, key, b);
    (void)pthread_mutex_unlock(&b->lock);
    return mine;
}

int builder_claim(struct builder *b, const char *key, bool (*given_up)(void *ctx), void *ctx,
                  struct err *err)
{
    bool mine = false, over = false;

    (void)pthread_mutex_lock(&b->lock);
    while (!mine && !(over = given_up(ctx))) {
        mine = !map_has(b->claimed, key);
        if (mine)
            (void)map_set(b->claimed, key, b);
        else
            (void)pthread_cond_wait(&b->changed, &b->lock);
    }
    (void)pthread_mutex_unlock(&b->lock);
    return over ? err_no(err, ECANCELED, "build canceled") : 0;
}

void builder_release(struct builder *b, const char *key)
{
    (void)pthread_mutex_lock(&b->lock);
    (void)map_del(b->claimed, key);
    (void)pthread_cond_broadcast(&b->changed);
    (void)pthread_mutex_unlock(&b->lock);
}

void builder_nudge(struct builder *b)
{
    (void)pthread_mutex_lock(&b->lock);
    (void)pthread_cond_broadcast(&b->changed);
    (void)pthread_mutex_unlock(&b->lock);
}
