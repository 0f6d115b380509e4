/* Documents of caches, and the secrets that let git in. */
#include "base/test.h"

#include <errno.h>

#include "build/build.h"
#include "build/cache_doc.h"
#include "build/fetch.h"

#define S(text) ((char *)(uintptr_t)(text))
#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ONE "sha256:" HEX

/* ---- documents ---- */

static int read_text(const char *text, size_t layers, struct arena *a, struct cache_doc *ret,
                     struct err *err)
{
    struct oci_descriptor config = {.media_type = S(MEDIA_BUILD_CACHE)};
    struct oci_manifest man = {.config = &config};

    while (man.layers.n < layers)
        arena_push(a, man.layers) = arena_new(a, struct oci_descriptor);
    return cache_doc_read(&man, text, strlen(text), a, ret, err);
}

TEST(a_document_survives)
{
    struct err e = {0};
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf text = BUF_INIT, manifest = BUF_INIT;
    struct cache_step step = {.key = S(ONE), .layer = 0, .created_ns = 7, .text = S("RUN x")};
    struct cache_step empty = {.key = S(ONE), .layer = -1};
    struct oci_descriptor layer = {.media_type = S("m"), .digest = S(ONE), .size = 3};
    struct cache_doc doc = {.version = CACHE_DOC_VERSION}, got = {0};
    struct oci_manifest man = {0};

    strv_push(&a, &doc.layers, ONE);
    arena_push(&a, doc.steps) = &step;
    arena_push(&a, doc.steps) = &empty;
    cache_doc_write(&doc, &layer, &text, &manifest);
    CHECK_OK(json_decode(&oci_manifest_type, manifest.data, manifest.len, &a, &man, 0, &e));
    CHECK_INT(man.config->size, text.len);
    CHECK_STR(man.config->media_type, MEDIA_BUILD_CACHE);
    CHECK_INT(man.layers.n, 1);
    CHECK_OK(cache_doc_read(&man, text.data, text.len, &a, &got, &e));
    CHECK_INT(got.steps.n, 2);
    CHECK_INT(got.steps.v[0]->created_ns, 7);
    CHECK_INT(got.steps.v[1]->layer, -1);
}

TEST(documents_that_are_none_are_refused)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"version\":2,\"layers\":[\"" ONE "\"],\"steps\":[]}",
        "{\"version\":1,\"layers\":[],\"steps\":[]}",
        "{\"version\":1,\"layers\":[\"x\"],\"steps\":[]}",
        "{\"version\":1,\"layers\":[\"" ONE "\"],\"steps\":[{}]}",
        "{\"version\":1,\"layers\":[\"" ONE "\"],\"steps\":[{\"key\":\"x\",\"layer\":0}]}",
        "{\"version\":1,\"layers\":[\"" ONE "\"],\"steps\":[{\"key\":\"" ONE "\",\"layer\":1}]}",
        "{\"version\":1,\"layers\":[\"" ONE "\"],\"steps\":[{\"key\":\"" ONE "\",\"layer\":-2}]}",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err e = {0};
        auto_arena struct arena a = ARENA_INIT;
        struct cache_doc got = {0};
        CHECK(read_text(bad[i], 1, &a, &got, &e) < 0);
        CHECK_INT(got.version, 0);
    }
}

/* ---- git ---- */

static int header_of(const char *url, const struct build_secret *secrets, size_t n, struct arena *a,
                     char **key, char **val)
{
    struct err e = {0};
    struct git_url u = {0};
    const struct fetcher f = {.secrets = secrets, .nsecrets = n};

    CHECK_OK(git_url_parse(url, a, &u, &e));
    return git_auth_header(&f, &u, a, key, val, &e);
}

TEST(secrets_hold_for_the_server_alone)
{
    auto_arena struct arena a = ARENA_INIT;
    const struct build_secret all[] = {{S("GIT_AUTH_TOKEN"), "word\n", 5},
                                       {S("GIT_AUTH_TOKEN.own:8"), "mine", 4},
                                       {S("GIT_AUTH_HEADER.h"), "Bearer x", 8}};
    char *key = NULL, *val = NULL;

    CHECK_INT(header_of("https://u:p@x.org/r.git", all, 3, &a, &key, &val), 1);
    CHECK_STR(key, "http.https://x.org/.extraHeader");
    CHECK_STR(val, "Authorization: basic eC1hY2Nlc3MtdG9rZW46d29yZA==");
    CHECK_INT(header_of("http://own:8/r.git", all, 3, &a, &key, &val), 1);
    CHECK_STR(val, "Authorization: basic eC1hY2Nlc3MtdG9rZW46bWluZQ==");
    CHECK_INT(header_of("https://h/r.git", all, 3, &a, &key, &val), 1);
    CHECK_STR(val, "Authorization: Bearer x");
    CHECK_INT(header_of("git://h/r.git", all, 3, &a, &key, &val), 0);
    CHECK_INT(header_of("ssh://git@h/r.git", all, 3, &a, &key, &val), 0);
    CHECK_INT(header_of("https://x.org/r.git", NULL, 0, &a, &key, &val), 0);
}

TEST(secrets_of_several_lines_are_no_header)
{
    auto_arena struct arena a = ARENA_INIT;
    const struct build_secret one = {S("GIT_AUTH_HEADER"), "a\nHost: b", 9};
    char *key = NULL, *val = NULL;

    CHECK_INT(header_of("https://h/r.git", &one, 1, &a, &key, &val), -EINVAL);
}
