/* A data root with a catalog and an image store in a temporary directory; for tests only. */
#pragma once

#include "base/test.h"

#include <fcntl.h>
#include <limits.h>

#include "archive/stream.h"
#include "base/auto.h"
#include "base/buf.h"
#include "base/io.h"
#include "store/db.h"
#include "store/store.h"

struct fix {
    char path[64];
    int fd;
    struct db *db;
    struct image_store *s;
    struct arena a;
};

static inline void fix_open(struct fix *f)
{
    struct err e = {0};
    char name[80];

    (void)snprintf(name, sizeof(name), "%s/catalog", f->path);
    CHECK_OK(db_open(name, &f->db, &e));
    CHECK_OK(image_store_open(f->fd, f->db, &f->s, &e));
}

static inline void fix_close(struct fix *f)
{
    image_store_close(f->s);
    db_close(f->db);
    f->s = NULL;
    f->db = NULL;
}

static inline void fix_init(struct fix *f)
{
    memset(f, 0, sizeof(*f));
    (void)snprintf(f->path, sizeof(f->path), "/tmp/test_image.XXXXXX");
    CHECK(mkdtemp(f->path) != NULL);
    f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(f->fd >= 0);
    fix_open(f);
}

static inline void fix_done(struct fix *f)
{
    struct err e = {0};

    fix_close(f);
    close(f->fd);
    arena_done(&f->a);
    CHECK_OK(remove_tree_at(AT_FDCWD, f->path, &e));
}

/* Runs a shell script in the fixture's directory; its output, NULL-terminated. Fails if it fails.
 */
static inline char *fix_sh(struct fix *f, const char *script)
{
    struct buf out = BUF_INIT;
    char path[80];

    (void)snprintf(path, sizeof(path), "%s/script", f->path);
    FILE *w = fopen(path, "we");
    CHECK(w && fputs(script, w) >= 0 && fclose(w) == 0);
    char *line = arena_printf(&f->a, "cd %s && sh -e ./script 2>&1", f->path);
    FILE *p = popen(line, "r");
    CHECK(p != NULL);
    for (size_t n = 1; n > 0;) {
        char *to = buf_room(&out, 65536);
        n = fread(to, 1, 65536, p);
        buf_commit(&out, n);
    }
    int status = pclose(p);
    char *text = arena_strdup(&f->a, buf_str(&out));
    buf_done(&out);
    if (status != 0)
        TEST_FAIL("script ended with %d: %s", status, text);
    return text;
}

static inline void fix_read(struct fix *f, const char *name, struct buf *out)
{
    struct err e = {0};

    CHECK_OK(read_file_at(f->fd, name, 1u << 30, out, &e));
}

static inline int fix_to_buf(void *ctx, const void *p, size_t n, struct err *err)
{
    (void)err;
    buf_put(ctx, p, n);
    return 0;
}
