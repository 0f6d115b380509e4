#include "distribution/search.h"

#include <errno.h>
#include <stdio.h>

#include "distribution/session.h"
#include "http/query.h"

#define ANSWER_MAX (4u << 20)

static const struct field hit_fields[] = {
    FIELD(struct dist_hit, "name", F_STR, name),
    FIELD(struct dist_hit, "description", F_STR, description),
    FIELD(struct dist_hit, "star_count", F_I64, stars),
    FIELD(struct dist_hit, "is_official", F_BOOL, official),
};
static const struct json_type hit_type = JSON_TYPE("result", struct dist_hit, hit_fields);

static const struct field hits_fields[] = {
    FIELD(struct dist_hits, "results", F_OBJV, v, .type = &hit_type),
};
static const struct json_type hits_type = JSON_TYPE("search", struct dist_hits, hits_fields);

int dist_search(struct dist_session *s, const char *term, unsigned limit, struct arena *a,
                struct dist_hits *ret, struct err *err)
{
    auto_buf struct buf path = BUF_INIT, text = BUF_INIT;
    auto_dist_reply struct dist_reply *reply = NULL;
    struct dist_hits hits = {0};
    char n[16];

    (void)snprintf(n, sizeof(n), "%u", limit);
    buf_puts(&path, "search");
    query_add(&path, "q", term);
    query_add(&path, "n", n);
    struct dist_call call = {.method = "GET", .version = "v1/", .path = buf_str(&path)};
    int r = dist_send(s, &call, &reply, err);
    if (r >= 0)
        r = dist_reply_all(reply, ANSWER_MAX, &text, err);
    if (r >= 0)
        r = json_decode(&hits_type, buf_str(&text), text.len, a, &hits, 0, err);
    if (r < 0)
        return err_wrap(err, r, "search for %.100s", term);
    *ret = hits;
    return 0;
}
