/* What asks registries without changing anything here: login, search, inspection. */
#include "engine/registry-priv.h"

#include <errno.h>
#include <string.h>

#include "distribution/blob.h"
#include "distribution/login.h"
#include "distribution/manifest.h"
#include "distribution/search.h"
#include "image/remote.h"

#define LIMIT_USUAL 25
#define LIMIT_MAX 100

int registry_login(struct engine *e, const struct auth_config *auth, int gone_fd, struct arena *a,
                   struct auth_response *ret, struct err *err)
{
    auto_dist_session struct dist_session *s = NULL;
    char *token = NULL;
    int r = registry_session(e, dist_login_host(auth->server_address, a), auth, REGISTRY_LOOK,
                             gone_fd, &s, err);

    if (r >= 0)
        r = dist_login(s, a, &token, err);
    if (r < 0)
        return r;
    *ret = (struct auth_response){.identity_token = arena_strdup(a, token ? token : ""),
                                  .status = arena_strdup(a, "Login Succeeded")};
    return 0;
}

/* ---- search ---- */

/* "reg:5000/term" searches there, anything else in Docker Hub's index. */
static const char *split_term(const char *term, struct arena *a, const char **ret_host)
{
    size_t n = strcspn(term, "/");
    bool host = term[n] && (memchr(term, '.', n) || memchr(term, ':', n) ||
                            (n == 9 && strncmp(term, "localhost", 9) == 0));

    *ret_host = host ? arena_strndup(a, term, n) : DIST_HUB_INDEX;
    if (str_eq(*ret_host, DIST_HUB))
        *ret_host = DIST_HUB_INDEX;
    return host ? term + n + 1 : term;
}

static int read_filters(const struct filters *f, bool *official, int64_t *stars, struct err *err)
{
    static const char *const accepted[] = {"is-automated", "is-official", "stars", NULL};
    const struct strv *least = filters_get(f, "stars");
    int r = filters_check(f, accepted, err);

    if (r >= 0)
        r = filters_bool(f, "is-official", false, official, err);
    for (size_t i = 0; r >= 0 && least && i < least->n; i++) {
        int64_t n = 0;
        if (str_to_i64(least->v[i], &n) < 0)
            return err_invalid(err, "invalid filter 'stars=%s'", least->v[i]);
        *stars = n > *stars ? n : *stars;
    }
    return r;
}

int registry_search(struct engine *e, const char *term, int64_t limit, const struct filters *f,
                    const struct auth_config *auth, int gone_fd, struct arena *a,
                    struct search_results *ret, struct err *err)
{
    auto_dist_session struct dist_session *s = NULL;
    struct dist_hits hits = {0};
    const char *host = NULL;
    bool official = false;
    int64_t stars = 0;
    int r = read_filters(f, &official, &stars, err);

    if (r >= 0 && (limit < 0 || limit > LIMIT_MAX))
        r = err_invalid(err, "limit %lld is outside the range of [1, %d]", (long long)limit,
                        LIMIT_MAX);
    if (r < 0)
        return r;
    const char *rest = split_term(term, a, &host);
    r = registry_session(e, host, auth, REGISTRY_LOOK, gone_fd, &s, err);
    if (r >= 0)
        r = dist_search(s, rest, limit ? (unsigned)limit : LIMIT_USUAL, a, &hits, err);
    for (size_t i = 0; r >= 0 && i < hits.n; i++) {
        const struct dist_hit *h = hits.v[i];
        if ((filters_get(f, "is-official") && h->official != official) || h->stars < stars)
            continue;
        struct search_result *one = arena_new(a, struct search_result);
        *one = (struct search_result){.name = h->name,
                                      .description = h->description,
                                      .star_count = h->stars,
                                      .is_official = h->official};
        arena_push(a, *ret) = one;
    }
    return r;
}

/* ---- inspection ---- */

static void add_platform(struct distribution_inspect *out, const struct oci_platform *from,
                         struct arena *a)
{
    struct oci_platform *p = arena_new(a, struct oci_platform);

    *p = *from;
    p->os = arena_strdup(a, str_or(from->os, ""));
    p->architecture = arena_strdup(a, str_or(from->architecture, ""));
    arena_push(a, out->platforms) = p;
}

/* An image does not say in its manifest for whom it is, but in its config. */
static int platform_of_image(struct dist_session *s, const char *repo,
                             const struct oci_manifest *man, struct arena *a,
                             struct distribution_inspect *out, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    struct oci_platform platform = {0};
    int r = dist_blob_get(s, repo, man->config->digest, (uint64_t)man->config->size, &text, err);

    if (r >= 0)
        r = json_decode(&oci_platform_type, buf_str(&text), text.len, a, &platform, JSON_NOCASE,
                        err);
    if (r >= 0 && !str_empty(platform.architecture))
        add_platform(out, &platform, a);
    return r;
}

static int describe(struct dist_session *s, const struct reference *ref, struct arena *a,
                    struct distribution_inspect *ret, struct err *err)
{
    const char *repo = ref->name + ref->domain_len + 1;
    struct dist_manifest doc;
    struct remote_manifest m;
    int r = dist_manifest_get(s, repo, *ref->digest ? ref->digest : ref->tag, a, &doc, err);

    if (r >= 0)
        r = remote_manifest_check(&doc, a, &m, err);
    if (r < 0)
        return r;
    ret->descriptor = (struct oci_descriptor){.media_type = arena_strdup(a, m.doc.media_type),
                                              .digest = arena_strdup(a, doc.digest),
                                              .size = (int64_t)doc.len};
    if (!m.index)
        return platform_of_image(s, repo, &m.man, a, ret, err);
    for (size_t i = 0; i < m.man.manifests.n; i++) {
        const struct oci_descriptor *d = m.man.manifests.v[i];
        if (d->platform)
            add_platform(ret, d->platform, a);
    }
    return 0;
}

int registry_inspect(struct engine *e, const char *name, const struct auth_config *auth,
                     int gone_fd, struct arena *a, struct distribution_inspect *ret,
                     struct err *err)
{
    auto_dist_session struct dist_session *s = NULL;
    struct reference ref;
    int r = reference_parse(name, &ref, err);

    if (r < 0)
        return r;
    reference_default_tag(&ref);
    r = registry_session(e, registry_of(&ref, a), auth, REGISTRY_PULL, gone_fd, &s, err);
    return r < 0 ? r : describe(s, &ref, a, ret, err);
}
