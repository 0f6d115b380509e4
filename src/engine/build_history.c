#include "engine/build_history.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "archive/compress.h"
#include "base/auto.h"
#include "base/dir.h"
#include "base/io.h"
#include "base/log.h"
#include "base/time.h"
#include "store/build_records.h"

#define DIR_PATH "build/history"
#define DAY_NS (INT64_C(86400) * NS_PER_S)
#define INTERRUPTED "the daemon ended before the build"

char *history_log_path(const char *id, struct arena *a)
{
    return arena_printf(a, DIR_PATH "/%s", id);
}

int history_put(struct engine *e, const struct build_record *rec, int64_t created_ns,
                struct err *err)
{
    auto_buf struct buf text = BUF_INIT;

    json_encode(&build_record_type, rec, &text);
    const struct build_record_row row = {
        .id = rec->id, .status = rec->status, .created_ns = created_ns, .json = text.data};
    return build_record_put(e->db, &row, err);
}

/* ---- reading ---- */

/* The row's status counts: that of a daemon that was killed was changed there alone. */
static int decode(const struct build_record_row *row, struct arena *a, struct build_record *ret,
                  struct err *err)
{
    int r = json_decode(&build_record_type, row->json, strlen(row->json), a, ret, 0, err);

    if (r < 0)
        return err_wrap(err, r, "record of build %s", row->id);
    if (!str_eq(ret->status, row->status)) {
        ret->status = row->status;
        ret->error = arena_strdup(a, INTERRUPTED);
    }
    if (str_eq(ret->status, BUILD_RUNNING))
        ret->duration_ns = now_ns() - row->created_ns;
    return 0;
}

static bool wanted(const struct filters *f, const struct build_record *r)
{
    return (!filters_get(f, "status") || filters_exact(f, "status", r->status)) &&
           (!filters_get(f, "ref") || filters_prefix(f, "ref", r->id)) &&
           (!filters_get(f, "name") || filters_pattern(f, "name", r->name));
}

int engine_build_history(struct engine *e, const struct filters *f, struct arena *a,
                         struct build_records *ret, struct err *err)
{
    static const char *const accepted[] = {"status", "ref", "name", NULL};
    struct build_record_rows rows = {0};
    int r = filters_check(f, accepted, err);

    if (r >= 0)
        r = build_record_list(e->db, a, &rows, err);
    for (size_t i = 0; r >= 0 && i < rows.n; i++) {
        struct build_record *rec = arena_new(a, struct build_record);
        r = decode(&rows.v[i], a, rec, err);
        if (r < 0 || !wanted(f, rec))
            continue;
        rec->steps.n = 0;
        arena_push(a, *ret) = rec;
    }
    return r;
}

/* "^N": so many before the newest. */
static int nth(const struct build_record_rows *rows, const char *text,
               const struct build_record_row **ret, struct err *err)
{
    uint64_t n = 0;

    if (str_to_u64(text, &n) < 0)
        return err_invalid(err, "invalid offset \"^%s\" of a build", text);
    if (n >= rows->n)
        return err_not_found(err, "no build record found for \"^%s\"", text);
    *ret = &rows->v[n];
    return 0;
}

static int find(struct engine *e, const char *ref, struct arena *a,
                const struct build_record_row **ret, struct err *err)
{
    struct build_record_rows rows = {0};
    const struct build_record_row *found = NULL;
    int r = build_record_list(e->db, a, &rows, err);

    if (r < 0)
        return r;
    if (*ref == '^')
        return nth(&rows, ref + 1, ret, err);
    for (size_t i = 0; i < rows.n; i++) {
        if (!str_starts(rows.v[i].id, ref))
            continue;
        if (found)
            return err_as(err, ERR_INVALID, ENOTUNIQ, "\"%s\" is the beginning of several builds",
                          ref);
        found = &rows.v[i];
    }
    if (!*ref || !found)
        return err_not_found(err, "no build record found for \"%s\"", ref);
    *ret = found;
    return 0;
}

int engine_build_record(struct engine *e, const char *ref, struct arena *a,
                        struct build_record *ret, struct err *err)
{
    const struct build_record_row *row = NULL;
    int r = find(e, ref, a, &row, err);

    return r < 0 ? r : decode(row, a, ret, err);
}

static int copy(struct source *from, struct sink *to, struct err *err)
{
    const uint8_t *p = NULL;
    ssize_t n;

    while ((n = source_next(from, &p, 64u << 10, err)) > 0) {
        int r = sink_write(to, p, (size_t)n, err);
        if (r < 0)
            return r;
    }
    return (int)n;
}

int engine_build_record_log(struct engine *e, const char *ref, struct sink *out, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    const struct build_record_row *row = NULL;
    int r = find(e, ref, &a, &row, err);

    if (r < 0)
        return r;
    auto_close int fd =
        openat(e->data_fd, history_log_path(row->id, &a), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return err_not_found(err, "build %s has no log", row->id);
    if (fd < 0)
        return err_sys(err, "open the log of build %s", row->id);
    auto_source struct source *file = source_fd(fd);
    auto_source struct source *plain = source_inflate(file, COMP_GZIP);
    return copy(plain, out, err);
}

/* ---- removing ---- */

/* The row first: a file without one goes at the next start. */
static int drop(struct engine *e, const char *id, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    int r = build_record_delete(e->db, id, err);

    if (r >= 0 && unlinkat(e->data_fd, history_log_path(id, &a), 0) < 0 && errno != ENOENT)
        r = err_sys(err, "remove the log of build %s", id);
    return r < 0 ? r : 0;
}

static int remove_all(struct engine *e, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct build_record_rows rows = {0};
    int r = build_record_list(e->db, &a, &rows, err);

    for (size_t i = 0; r >= 0 && i < rows.n; i++)
        if (!str_eq(rows.v[i].status, BUILD_RUNNING))
            r = drop(e, rows.v[i].id, err);
    return r;
}

int engine_build_record_remove(struct engine *e, const char *ref, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    const struct build_record_row *row = NULL;

    if (!ref)
        return remove_all(e, err);
    int r = find(e, ref, &a, &row, err);
    if (r < 0)
        return r;
    if (str_eq(row->status, BUILD_RUNNING))
        return err_as(err, ERR_CONFLICT, EBUSY, "build %s is running", row->id);
    return drop(e, row->id, err);
}

void history_trim(struct engine *e)
{
    auto_arena struct arena a = ARENA_INIT;
    struct build_record_rows rows = {0};
    struct err err = {0};
    int64_t oldest = now_ns() - HISTORY_DAYS * DAY_NS;
    int r = build_record_list(e->db, &a, &rows, &err);

    for (size_t i = 0; r >= 0 && i < rows.n; i++)
        if ((i >= HISTORY_RECORDS_MAX || rows.v[i].created_ns < oldest) &&
            !str_eq(rows.v[i].status, BUILD_RUNNING))
            r = drop(e, rows.v[i].id, &err);
    if (r < 0)
        log_warn("history of builds: %s", err.msg);
}

/* ---- the start ---- */

static bool has_row(const struct build_record_rows *rows, const char *id)
{
    for (size_t i = 0; i < rows->n; i++)
        if (strcmp(rows->v[i].id, id) == 0)
            return true;
    return false;
}

int history_open(struct engine *e, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct build_record_rows rows = {0};
    struct strv names = {0};
    int r = mkdir_p_at(e->data_fd, DIR_PATH, 0700, err);
    auto_close int fd =
        r < 0 ? -1 : openat(e->data_fd, DIR_PATH, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (r >= 0 && fd < 0)
        r = err_sys(err, "open " DIR_PATH);
    if (r >= 0)
        r = build_records_end(e->db, BUILD_RUNNING, BUILD_ERROR, err);
    if (r >= 0)
        r = build_record_list(e->db, &a, &rows, err);
    if (r >= 0)
        r = dir_names(fd, &a, &names, err);
    for (size_t i = 0; r >= 0 && i < names.n; i++)
        if (!has_row(&rows, names.v[i]))
            r = remove_tree_at(fd, names.v[i], err);
    return r;
}
