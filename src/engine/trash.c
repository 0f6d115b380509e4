/*
 * Deleting many files can take long, and nobody has to wait for it: a rename into the trash is all
 * that must be done before something counts as removed; a job does the rest, or the next daemon.
 */
#include "engine/engine-priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

#define NAME_LEN 32

struct trash {
    struct engine *e;
    char name[NAME_LEN + 1];
};

static void delete (void *arg)
{
    auto_free struct trash *t = arg;

    trash_delete(t->e, t->name);
}

void trash_delete(struct engine *e, const char *name)
{
    struct err err = {0};

    if (remove_tree_at(e->trash_fd, name, &err) < 0)
        log_warn("trash: %s", err.msg); /* the next start tries again */
}

int trash_put(struct engine *e, int dir_fd, const char *name, struct err *err)
{
    struct trash *t = xnew(struct trash);

    t->e = e;
    rand_hex(t->name, NAME_LEN);
    if (renameat(dir_fd, name, e->trash_fd, t->name) < 0) {
        free(t);
        return errno == ENOENT ? 0 : err_sys(err, "move %s to the trash", name);
    }
    engine_job(e, delete, t);
    return 0;
}
