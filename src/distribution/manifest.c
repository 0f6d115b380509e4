#include "distribution/manifest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "distribution/repo-priv.h"
#include "distribution/session.h"

/* Everything we can read, the most exact first. */
#define ACCEPT                                                                                     \
    MEDIA_OCI_MANIFEST ", " MEDIA_DOCKER_MANIFEST ", " MEDIA_OCI_INDEX ", " MEDIA_DOCKER_LIST

static struct dist_call call_for(struct dist_session *s, const char *method, const char *repo,
                                 const char *ref, struct arena *a)
{
    struct dist_call call = {.method = method,
                             .path = repo_path(a, repo, "manifests", ref),
                             .scopes = dist_scope(s, repo, a)};

    strmap_set(a, &call.headers, "Accept", ACCEPT);
    return call;
}

static const char *media_type(const struct dist_reply *reply, struct arena *a)
{
    const char *type = str_or(dist_reply_header(reply, "Content-Type"), "");

    return arena_strndup(a, type, strcspn(type, "; \t"));
}

int dist_manifest_get(struct dist_session *s, const char *repo, const char *ref, struct arena *a,
                      struct dist_manifest *ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    auto_dist_reply struct dist_reply *reply = NULL;
    struct dist_call call = call_for(s, "GET", repo, ref, a);
    struct dist_manifest m = {0};
    int r = dist_send(s, &call, &reply, err);

    if (r >= 0)
        r = dist_reply_all(reply, DIST_MANIFEST_MAX, &text, err);
    if (r < 0)
        return r == -E2BIG ? err_as(err, ERR_INVALID, E2BIG, "manifest %s is larger than %u bytes",
                                    ref, DIST_MANIFEST_MAX)
                           : r;
    sha256_of(buf_str(&text), text.len, m.digest);
    if (digest_valid(ref) && strcmp(ref, m.digest) != 0)
        return err_as(err, ERR_INVALID, EBADMSG,
                      "manifest verification failed for digest %s: it is %s", ref, m.digest);
    const char *said = dist_reply_header(reply, "Docker-Content-Digest");
    if (said && digest_valid(said) && strcmp(said, m.digest) != 0)
        return err_as(err, ERR_INVALID, EBADMSG,
                      "manifest verification failed: the registry calls it %s, it is %s", said,
                      m.digest);
    m.text = arena_strndup(a, buf_str(&text), text.len);
    m.len = text.len;
    m.media_type = media_type(reply, a);
    *ret = m;
    return 0;
}

int dist_manifest_head(struct dist_session *s, const char *repo, const char *ref, struct arena *a,
                       struct dist_manifest *ret, struct err *err)
{
    auto_dist_reply struct dist_reply *reply = NULL;
    struct dist_call call = call_for(s, "HEAD", repo, ref, a);
    struct dist_manifest m = {0};

    call.also[0] = 404;
    int r = dist_send(s, &call, &reply, err);
    if (r < 0)
        return r;
    if (dist_reply_status(reply) == 404)
        return 1;
    const char *said = str_or(dist_reply_header(reply, "Docker-Content-Digest"), "");
    if (digest_valid(said))
        memcpy(m.digest, said, sizeof(m.digest));
    m.media_type = media_type(reply, a);
    *ret = m;
    return 0;
}

int dist_manifest_put(struct dist_session *s, const char *repo, const char *ref,
                      const struct dist_manifest *m, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_dist_reply struct dist_reply *reply = NULL;
    struct dist_call call = call_for(s, "PUT", repo, ref, &a);

    call.body = m->text;
    call.body_len = m->len;
    call.content_type = m->media_type;
    int r = dist_send(s, &call, &reply, err);
    if (r < 0)
        return r;
    const char *said = dist_reply_header(reply, "Docker-Content-Digest");
    if (said && digest_valid(said) && strcmp(said, m->digest) != 0)
        return err_as(err, ERR_UNAVAILABLE, EBADMSG, "the registry stored %s as %s", m->digest,
                      said);
    return 0;
}

int dist_manifest_delete(struct dist_session *s, const char *repo, const char *ref, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_dist_reply struct dist_reply *reply = NULL;
    struct dist_call call = call_for(s, "DELETE", repo, ref, &a);

    call.scopes = (struct strv){0};
    strv_push(&a, &call.scopes, arena_printf(&a, "repository:%s:delete", repo));
    return dist_send(s, &call, &reply, err);
}
