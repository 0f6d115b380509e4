#include "base/test.h"

#include <errno.h>

#include "distribution/reference.h"

struct good {
    const char *in, *name, *tag, *familiar;
};

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct good goods[] = {
    {"busybox", "docker.io/library/busybox", "", "busybox"},
    {"busybox:1.36", "docker.io/library/busybox", "1.36", "busybox:1.36"},
    {"docker.io/busybox", "docker.io/library/busybox", "", "busybox"},
    {"index.docker.io/busybox", "docker.io/library/busybox", "", "busybox"},
    {"docker.io/library/busybox:x", "docker.io/library/busybox", "x", "busybox:x"},
    {"team/app", "docker.io/team/app", "", "team/app"},
    {"library/a/b", "docker.io/library/a/b", "", "library/a/b"},
    {"localhost/app", "localhost/app", "", "localhost/app"},
    {"localhost:5000/app:v1", "localhost:5000/app", "v1", "localhost:5000/app:v1"},
    {"host:5000/a/b__c/d-----e/f.g_h", "host:5000/a/b__c/d-----e/f.g_h", "",
     "host:5000/a/b__c/d-----e/f.g_h"},
    {"UPPER/app", "UPPER/app", "", "UPPER/app"},
    {"a-b.example.com/x:Tag_1.0-", "a-b.example.com/x", "Tag_1.0-", "a-b.example.com/x:Tag_1.0-"},
    {"[2001:db8::1]:5000/x", "[2001:db8::1]:5000/x", "", "[2001:db8::1]:5000/x"},
    {"[::1]/x:y", "[::1]/x", "y", "[::1]/x:y"},
    {"192.168.0.1/x", "192.168.0.1/x", "", "192.168.0.1/x"},
    {"busybox@" DIGEST, "docker.io/library/busybox", "", "busybox@" DIGEST},
    {"busybox:1@" DIGEST, "docker.io/library/busybox", "1", "busybox:1@" DIGEST},
    {"docker.io/a.b/c:x", "docker.io/a.b/c", "x", "docker.io/a.b/c:x"},
    {"docker.io/localhost/c", "docker.io/localhost/c", "", "docker.io/localhost/c"},
    {"sha256:abc", "docker.io/library/sha256", "abc", "sha256:abc"},
};

TEST(good_names_are_filled_in_and_shortened)
{
    for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
        struct err e = {0};
        struct reference r;
        char text[REF_TEXT_MAX + 1];
        CHECK_OK(reference_parse(goods[i].in, &r, &e));
        CHECK_STR(r.name, goods[i].name);
        CHECK_STR(r.tag, goods[i].tag);
        CHECK_STR(reference_familiar(&r, text), goods[i].familiar);
        struct reference again;
        CHECK_OK(reference_parse(reference_text(&r, text), &again, &e));
        CHECK_STR(again.name, r.name);
        CHECK_STR(again.digest, r.digest);
    }
}

#define INVALID "invalid reference format"

static const struct {
    const char *in, *msg;
} bads[] = {
    {"", INVALID},
    {"FOO", INVALID ": repository name (library/FOO) must be lowercase"},
    {"foo/BAR:x", INVALID ": repository name (foo/BAR) must be lowercase"},
    {"host.com/FOO", INVALID ": repository name (FOO) must be lowercase"},
    {"a b", INVALID},
    {":x", INVALID},
    {"a:", INVALID},
    {"a:-x", INVALID},
    {"a:x/y", INVALID},
    {"a//b", INVALID},
    {"/a", INVALID},
    {"a/", INVALID},
    {"../../x:1", INVALID},
    {"-a", INVALID},
    {"a-", INVALID},
    {"a..b", INVALID},
    {"a___b", INVALID},
    {"a._b", INVALID},
    {"h:port/x", INVALID},
    {"h:/x", INVALID},
    {"-h.com/x", INVALID},
    {"h-.com/x", INVALID},
    {"[::1/x", INVALID},
    {"a@", INVALID},
    {"a@sha256:abc", INVALID},
    {"a@sha256:0123456789abcdef0123456789abcdef", "invalid checksum digest length"},
    {"a@md5:0123456789abcdef0123456789abcdef", "unsupported digest algorithm"},
    {"a:b:c", INVALID},
    {"a@b@c", INVALID},
    {"a\nb", INVALID},
    {"b\xc3\xa4r", INVALID},
    {"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
     "invalid repository name "
     "(0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef), "
     "cannot specify 64-byte hexadecimal strings"},
};

TEST(bad_names_get_dockers_words)
{
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
        struct err e = {0};
        struct reference r;
        if (reference_parse(bads[i].in, &r, &e) != -EINVAL)
            TEST_FAIL("\"%s\" was taken", bads[i].in);
        CHECK_STR(e.msg, bads[i].msg);
    }
}

TEST(lengths_are_limited)
{
    struct err e = {0};
    struct reference r;
    char name[1024];

    memset(name, 'a', sizeof(name));
    name[REF_NAME_MAX - strlen("docker.io/library/")] = '\0';
    CHECK_OK(reference_parse(name, &r, &e));
    CHECK_INT(strlen(r.name), REF_NAME_MAX);
    name[strlen(name)] = 'a';
    name[300] = '\0';
    CHECK_INT(reference_parse(name, &r, &e), -EINVAL);
    CHECK_STR(e.msg, "repository name must not be more than 255 characters");
    memcpy(name, "x:", 2);
    name[2 + REF_TAG_MAX] = '\0';
    CHECK_OK(reference_parse(name, &r, &e));
    name[2 + REF_TAG_MAX] = 'a';
    name[3 + REF_TAG_MAX] = '\0';
    CHECK_INT(reference_parse(name, &r, &e), -EINVAL);
}

TEST(default_tag_and_ids)
{
    struct err e = {0};
    struct reference r;
    char text[REF_TEXT_MAX + 1];

    CHECK_OK(reference_parse("busybox", &r, &e));
    reference_default_tag(&r);
    CHECK_STR(reference_text(&r, text), "docker.io/library/busybox:latest");
    CHECK_STR(reference_familiar_name(&r, text), "busybox");
    CHECK_OK(reference_parse("busybox@" DIGEST, &r, &e));
    reference_default_tag(&r);
    CHECK_STR(r.tag, "");
    CHECK(reference_is_id(DIGEST));
    CHECK(reference_is_id(&DIGEST[7]));
    CHECK(!reference_is_id("sha256:abc"));
    CHECK(!reference_is_id("busybox"));
}
