#include "base/test.h"

#include <errno.h>

#include "image/remote.h"

#define D "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define CONFIG "{\"mediaType\":\"" MEDIA_OCI_CONFIG "\",\"digest\":\"" D "\",\"size\":2}"
#define LAYER "{\"mediaType\":\"" MEDIA_OCI_LAYER "+gzip\",\"digest\":\"" D "\",\"size\":3}"
#define MANIFEST "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[" LAYER "]}"
#define ENTRY(p) "{\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"digest\":\"" D "\",\"size\":2" p "}"
#define INDEX(list)                                                                                \
    "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"manifests\":[" list "]}"

static int check(struct arena *a, const char *text, const char *type, struct remote_manifest *ret,
                 struct err *e)
{
    struct dist_manifest doc = {.text = text, .len = strlen(text), .media_type = type};

    return remote_manifest_check(&doc, a, ret, e);
}

TEST(manifests_and_indexes_are_told_apart)
{
    auto_arena struct arena a = ARENA_INIT;
    struct remote_manifest m;
    struct err e = {0};

    CHECK_OK(check(&a, MANIFEST, "", &m, &e));
    CHECK(!m.index);
    CHECK_STR(m.doc.media_type, MEDIA_OCI_MANIFEST);
    CHECK_OK(check(&a, MANIFEST, MEDIA_DOCKER_MANIFEST, &m, &e));
    CHECK_STR(m.doc.media_type, MEDIA_DOCKER_MANIFEST);
    CHECK_OK(check(&a, INDEX(""), "application/json", &m, &e));
    CHECK(m.index);
}

TEST(what_is_ambiguous_or_no_image_is_refused)
{
    static const struct {
        const char *text, *type, *says;
        int no;
    } bad[] = {
        {"{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[],\"manifests\":[]}", "",
         "a manifest and an index at once", EINVAL},
        {INDEX(""), MEDIA_OCI_MANIFEST, "announced as", EINVAL},
        {MANIFEST, MEDIA_OCI_INDEX, "not what it holds", EINVAL},
        {"{\"schemaVersion\":1,\"mediaType\":\"x\"}", "", "schema version 1", ENOTSUP},
        {"{\"schemaVersion\":2,\"mediaType\":\"text/html\"}", "", "media type \"text/html\"",
         ENOTSUP},
        {"{\"schemaVersion\":2,\"layers\":[]}", "", "no config", EINVAL},
        {"{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/vnd.x\",\"digest\":\"" D
         "\",\"size\":2},\"layers\":[]}",
         "", "no image of a container", ENOTSUP},
        {"{\"schemaVersion\":2,\"config\":{\"mediaType\":\"x\",\"digest\":\"md5:1\",\"size\":2}}",
         "", "digest", EINVAL},
        {"{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[{\"mediaType\":\""
         "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip\",\"digest\":\"" D
         "\",\"size\":2}]}",
         "", "unsupported layer media type", ENOTSUP},
        {"{\"schemaVersion\":2,\"config\":{\"mediaType\":\"" MEDIA_OCI_CONFIG "\",\"digest\":\"" D
         "\",\"size\":-1}}",
         "", "size of", EINVAL},
        {"{\"schemaVersion\":2,\"config\":{\"mediaType\":\"" MEDIA_OCI_CONFIG "\",\"digest\":\"" D
         "\",\"size\":99999999}}",
         "", "99999999 bytes", E2BIG},
        {"{\"schemaVersion\":2,\"config\":{\"digest\":\"" D "\",\"size\":2}}", "", "no media type",
         EINVAL},
        {"[]", "", "invalid manifest", EINVAL},
        {"", "", "invalid manifest", EINVAL},
    };
    struct remote_manifest m;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        auto_arena struct arena a = ARENA_INIT;
        struct err e = {0};
        int r = check(&a, bad[i].text, bad[i].type, &m, &e);
        if (r != -bad[i].no || !strstr(e.msg, bad[i].says) || e.kind != ERR_INVALID)
            TEST_FAIL("case %zu: %d %s", i, r, e.msg);
    }
}

#define PLATFORM(os, arch, variant)                                                                \
    ",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\",\"variant\":\"" variant "\"}"

TEST(the_best_platform_of_an_index)
{
    static const char index[] = INDEX(
        ENTRY(PLATFORM("windows", "amd64", "")) "," ENTRY(PLATFORM("linux", "arm", "v5")) "," ENTRY(
            PLATFORM(
                "linux", "arm",
                "v6")) "," ENTRY(PLATFORM("linux", "arm64",
                                          "v8")) "," ENTRY(PLATFORM("linux", "amd64",
                                                                    "v3")) "," ENTRY(PLATFORM("linu"
                                                                                              "x",
                                                                                              "386",
                                                                                              "")));
    static const struct {
        const char *want, *arch, *variant; /* NULL: none */
    } cases[] = {
        {"linux/arm/v7", "arm", "v6"},
        {"arm/v5", "arm", "v5"},
        {"linux/arm64", "arm64", "v8"},
        {"amd64", "386", ""},
        {"linux/amd64/v3", "amd64", "v3"},
        {"linux/amd64/v4", "amd64", "v3"},
        {"s390x", NULL, NULL},
        {"linux/arm/v4", NULL, NULL},
    };
    auto_arena struct arena a = ARENA_INIT;
    struct remote_manifest m;
    struct platform want;
    struct err e = {0};

    CHECK_OK(check(&a, index, "", &m, &e));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK_OK(platform_parse(cases[i].want, &want, &e));
        const struct oci_descriptor *d = remote_choose(&m, &want);
        if (!d != !cases[i].arch || (d && (!str_eq(d->platform->architecture, cases[i].arch) ||
                                           !str_eq(d->platform->variant, cases[i].variant))))
            TEST_FAIL("%s: %s/%s", cases[i].want, d ? d->platform->architecture : "none",
                      d ? d->platform->variant : "");
    }
}

TEST(who_names_a_platform_gets_no_other_architecture)
{
    static const struct {
        const char *want, *have;
        bool serves;
    } cases[] = {
        {"linux/amd64", "linux/amd64", true},    {"linux/amd64", "linux/386", false},
        {"linux/arm64", "linux/arm/v7", false},  {"linux/arm/v7", "linux/arm/v6", true},
        {"linux/arm/v6", "linux/arm/v7", false}, {"linux/amd64/v3", "linux/amd64", true},
        {"linux/amd64", "windows/amd64", false},
    };
    struct platform want, have;
    struct err e = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK_OK(platform_parse(cases[i].want, &want, &e));
        CHECK_OK(platform_parse(cases[i].have, &have, &e));
        if (platform_serves(&want, &have) != cases[i].serves)
            TEST_FAIL("%s for %s", cases[i].have, cases[i].want);
    }
}

TEST(an_artifact_in_an_index_is_never_chosen)
{
    static const char index[] = INDEX(
        ENTRY(",\"artifactType\":\"application/x\"") "," ENTRY(PLATFORM("linux", "amd64", "")));
    auto_arena struct arena a = ARENA_INIT;
    struct remote_manifest m;
    struct platform want;
    struct err e = {0};

    CHECK_OK(check(&a, index, "", &m, &e));
    CHECK_OK(platform_parse("linux/amd64", &want, &e));
    CHECK(remote_choose(&m, &want) == m.man.manifests.v[1]);
    CHECK_OK(platform_parse("linux/s390x", &want, &e));
    CHECK(!remote_choose(&m, &want));
}

TEST(platform_names)
{
    static const struct {
        const char *text, *means;
    } good[] = {
        {"linux/aarch64", "linux/arm64"},   {"x86_64", "linux/amd64"},
        {"LINUX/ARM/7", "linux/arm/v7"},    {"armhf", "linux/arm/v7"},
        {"arm64/v8", "linux/arm64"},        {"linux/amd64/v1", "linux/amd64"},
        {"windows/amd64", "windows/amd64"},
    };
    static const char *const bad[] = {"a/b/c/d", "linux/", "/", "linux/a b", "lin*x/amd64"};
    char text[PLATFORM_TEXT];
    struct platform p;
    struct err e = {0};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CHECK_OK(platform_parse(good[i].text, &p, &e));
        CHECK_STR(platform_text(&p, text), good[i].means);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_INT(platform_parse(bad[i], &p, &e), -EINVAL);
}

TEST(configs_must_fit_their_manifest)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"{\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}", "its manifest 1"},
        {"{\"os\":\"windows\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" D "\"]}}",
         "\"windows\""},
        {"{\"os\":\"linux\"}", "invalid rootfs"},
        {"{\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"x\"]}}",
         "diff ID \"x\""},
        {"nonsense", "invalid image config"},
    };
    auto_arena struct arena a = ARENA_INIT;
    struct remote_manifest m;
    struct oci_image *img;
    struct err e = {0};
    static const char good[] = "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" D "\"]}}";

    CHECK_OK(check(&a, MANIFEST, "", &m, &e));
    CHECK_OK(remote_config_check(&m.man, good, strlen(good), &a, &img, &e));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int r = remote_config_check(&m.man, bad[i].text, strlen(bad[i].text), &a, &img, &e);
        if (r != -EINVAL || !strstr(e.msg, bad[i].says))
            TEST_FAIL("case %zu: %d %s", i, r, e.msg);
    }
}
