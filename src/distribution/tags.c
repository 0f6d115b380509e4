#include "distribution/tags.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "distribution/repo-priv.h"
#include "distribution/session.h"

#define PAGE_MAX (4u << 20) /* bytes */
#define PAGES_MAX 10000

struct page {
    char *name;
    struct strv tags;
};
static const struct field page_fields[] = {
    FIELD(struct page, "name", F_STR, name),
    FIELD(struct page, "tags", F_STRV, tags),
};
static const struct json_type page_type = JSON_TYPE("tags", struct page, page_fields);

static int read_page(struct dist_session *s, const struct dist_call *call, struct arena *a,
                     struct strv *tags, char **ret_next, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    auto_dist_reply struct dist_reply *reply = NULL;
    struct page page = {0};
    int r = dist_send(s, call, &reply, err);

    if (r >= 0)
        r = dist_reply_all(reply, PAGE_MAX, &text, err);
    if (r >= 0)
        r = json_decode(&page_type, buf_str(&text), text.len, a, &page, 0, err);
    if (r < 0)
        return r;
    if (tags->n + page.tags.n > DIST_TAGS_MAX)
        return err_as(err, ERR_INVALID, E2BIG, "more than %d tags", DIST_TAGS_MAX);
    for (size_t i = 0; i < page.tags.n; i++)
        strv_push(a, tags, page.tags.v[i]);
    *ret_next = repo_next_page(reply, a);
    return 0;
}

int dist_tags(struct dist_session *s, const char *repo, struct arena *a, struct strv *ret,
              struct err *err)
{
    const char *path = repo_path(a, repo, "tags", "list");
    struct dist_call call = {.method = "GET", .path = path, .scopes = dist_scope(s, repo, a)};
    struct strv tags = {0};

    for (int pages = 0; pages < PAGES_MAX; pages++) {
        char *next = NULL;
        int r = read_page(s, &call, a, &tags, &next, err);
        if (r < 0)
            return err_wrap(err, r, "list the tags of %s", repo);
        if (!next) {
            *ret = tags;
            return 0;
        }
        call.path = arena_printf(a, "%s%s", path, next);
    }
    return err_as(err, ERR_INVALID, E2BIG, "the list of tags does not end");
}
