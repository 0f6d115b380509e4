#include "distribution/referrers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "base/hash.h"
#include "distribution/manifest.h"
#include "distribution/repo-priv.h"
#include "distribution/session.h"
#include "http/query.h"

#define PAGES_MAX 1000

struct page {
    int64_t schema_version;
    VEC_OF(struct oci_descriptor *) manifests;
};
static const struct field page_fields[] = {
    FIELD(struct page, "schemaVersion", F_I64, schema_version, .flags = F_REQUIRED),
    FIELD(struct page, "manifests", F_OBJV, manifests, .type = &oci_descriptor_type),
};
static const struct json_type page_type = JSON_TYPE("referrers", struct page, page_fields);

/* A registry may pass over the wish for a type. */
static int add_page(const char *text, size_t len, const char *artifact_type, struct arena *a,
                    struct dist_referrers *ret, struct err *err)
{
    struct page page = {0};
    int r = json_decode(&page_type, text, len, a, &page, 0, err);

    for (size_t i = 0; r >= 0 && i < page.manifests.n; i++) {
        struct oci_descriptor *d = page.manifests.v[i];
        if (!digest_valid(d->digest))
            return err_invalid(err, "invalid list of referrers: digest \"%.100s\"", d->digest);
        if (artifact_type && !str_eq(d->artifact_type, artifact_type))
            continue;
        if (ret->manifests.n == DIST_REFERRERS_MAX)
            return err_as(err, ERR_INVALID, E2BIG, "more than %d referrers", DIST_REFERRERS_MAX);
        arena_push(a, ret->manifests) = d;
    }
    return r < 0 ? err_wrap(err, r, "invalid list of referrers") : 0;
}

/* Return: 1: the registry has not got the API. */
static int get_page(struct dist_session *s, const struct dist_call *call, const char *artifact_type,
                    struct arena *a, struct dist_referrers *ret, char **ret_next, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    auto_dist_reply struct dist_reply *reply = NULL;
    int r = dist_send(s, call, &reply, err);

    if (r >= 0 && dist_reply_status(reply) == 404)
        return 1;
    if (r >= 0)
        r = dist_reply_all(reply, DIST_MANIFEST_MAX, &text, err);
    if (r >= 0)
        r = add_page(buf_str(&text), text.len, artifact_type, a, ret, err);
    if (r >= 0)
        *ret_next = repo_next_page(reply, a);
    return r;
}

static const char *filtered(const char *path, const char *artifact_type, struct arena *a)
{
    auto_buf struct buf b = BUF_INIT;

    buf_puts(&b, path);
    if (artifact_type)
        query_add(&b, "artifactType", artifact_type);
    return arena_strdup(a, buf_str(&b));
}

/* Return: 1: the registry has not got the API. */
static int by_api(struct dist_session *s, const char *repo, const char *digest,
                  const char *artifact_type, struct arena *a, struct dist_referrers *ret,
                  struct err *err)
{
    const char *path = repo_path(a, repo, "referrers", digest);
    struct dist_call call = {.method = "GET",
                             .path = filtered(path, artifact_type, a),
                             .scopes = dist_scope(s, repo, a),
                             .also = {404}};

    strmap_set(a, &call.headers, "Accept", MEDIA_OCI_INDEX);
    for (int pages = 0; pages < PAGES_MAX; pages++) {
        char *next = NULL;
        int r = get_page(s, &call, artifact_type, a, ret, &next, err);
        if (r != 0 || !next)
            return r;
        call.path = arena_printf(a, "%s%s", path, next);
    }
    return err_as(err, ERR_INVALID, E2BIG, "the list of referrers does not end");
}

static int by_tag(struct dist_session *s, const char *repo, const char *digest,
                  const char *artifact_type, struct arena *a, struct dist_referrers *ret,
                  struct err *err)
{
    const char *tag = arena_printf(a, "sha256-%s", digest + strlen("sha256:"));
    struct dist_manifest doc;
    int r = dist_manifest_get(s, repo, tag, a, &doc, err);

    ret->by_tag = true;
    if (r == -ENOENT || r == -ENOMEDIUM) {
        err_clear(err);
        return 0;
    }
    return r < 0 ? r : add_page(doc.text, doc.len, artifact_type, a, ret, err);
}

int dist_referrers(struct dist_session *s, const char *repo, const char *digest,
                   const char *artifact_type, struct arena *a, struct dist_referrers *ret,
                   struct err *err)
{
    struct dist_referrers out = {0};
    int r = digest_valid(digest) ? 0 : err_invalid(err, "invalid digest \"%.100s\"", digest);

    if (r >= 0)
        r = by_api(s, repo, digest, artifact_type, a, &out, err);
    if (r > 0)
        r = by_tag(s, repo, digest, artifact_type, a, &out, err);
    if (r < 0)
        return err_wrap(err, r, "list what refers to %s", digest);
    *ret = out;
    return 0;
}
