#include "base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "distribution/config.h"

static struct url url(struct arena *a, const char *text)
{
    struct url u;
    struct err e = {0};

    CHECK_OK(url_parse(text, a, &u, &e));
    return u;
}

TEST(urls)
{
    auto_arena struct arena a = ARENA_INIT;
    struct url u = url(&a, "HTTPS://us%40er:p:w@Reg.Example:5000/v2/x?y#z"), v;
    struct err e = {0};

    CHECK(u.https);
    CHECK_STR(u.host, "reg.example");
    CHECK_INT(u.port, 5000);
    CHECK_STR(u.target, "/v2/x?y");
    CHECK_STR(u.user, "us@er:p:w");
    CHECK_STR(url_text(&u, &a), "https://reg.example:5000/v2/x?y");
    CHECK_OK(url_resolve(&u, "/a?b", &a, &v, &e));
    CHECK_STR(url_text(&v, &a), "https://reg.example:5000/a?b");
    CHECK_OK(url_resolve(&u, "z", &a, &v, &e));
    CHECK_STR(v.target, "/v2/z");
    CHECK_OK(url_resolve(&u, "//other/q", &a, &v, &e));
    CHECK_STR(url_text(&v, &a), "https://other/q");
    CHECK(!url_same_origin(&u, &v));
    u = url(&a, "http://[::1]:80");
    CHECK_STR(url_text(&u, &a), "http://[::1]/");
}

TEST(bad_urls)
{
    static const char *const bad[] = {
        "ftp://x",         "https://",      "https://a:0/",  "https://a:65536/",
        "http://a b/",     "http://a\r\n/", "http://[::1/",  "http://[::1]x/",
        "http://a:5x/",    "javascript:x",  "http://a/\x7f", "https://a%/%zz",
        "http://us%er@a/", "//x",           "http:///x"};
    auto_arena struct arena a = ARENA_INIT;
    struct url u;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (url_parse(bad[i], &a, &u, NULL) != -EINVAL)
            TEST_FAIL("taken: %s", bad[i]);
}

TEST(insecure)
{
    auto_arena struct arena a = ARENA_INIT;
    struct dist_config c;
    static const char *const yes[] = {"https://127.3.2.1:5000/", "http://localhost/",
                                      "https://[::1]:5000/",     "https://10.9.8.7/",
                                      "https://reg.lan:5000/",   "https://any.lan:77/"};
    static const char *const no[] = {"https://reg.lan/", "https://11.0.0.1/", "https://docker.io/",
                                     "https://127.0.0.1.evil.example/", "https://notlocalhost/"};

    dist_config_defaults(&c, &a);
    strv_push(&a, &c.insecure, "10.0.0.0/8");
    strv_push(&a, &c.insecure, "reg.lan:5000");
    strv_push(&a, &c.insecure, "any.lan");
    CHECK_INT(dist_config_check(&c, NULL), 0);
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        struct url u = url(&a, yes[i]);
        if (!dist_is_insecure(&c, &u))
            TEST_FAIL("secure: %s", yes[i]);
    }
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        struct url u = url(&a, no[i]);
        if (dist_is_insecure(&c, &u))
            TEST_FAIL("insecure: %s", no[i]);
    }
    strv_push(&a, &c.insecure, "http://x");
    CHECK_INT(dist_config_check(&c, NULL), -EINVAL);
}

TEST(mirrors)
{
    auto_arena struct arena a = ARENA_INIT;
    struct dist_config c;

    dist_config_defaults(&c, &a);
    strv_push(&a, &c.mirrors, "https://m1/?");
    CHECK_INT(dist_config_check(&c, NULL), -EINVAL);
    c.mirrors.n = 0;
    strv_push(&a, &c.mirrors, "https://m1/a=b");
    strv_push(&a, &c.mirrors, "quay.io=http://m2:5000");
    strv_push(&a, &c.mirrors, "https://m3");
    CHECK_INT(dist_config_check(&c, NULL), 0);
    struct strv v = dist_mirrors(&c, "docker.io", &a);
    CHECK_STR(strv_join(&a, &v, " "), "https://m1/a=b https://m3");
    v = dist_mirrors(&c, "quay.io", &a);
    CHECK_STR(strv_join(&a, &v, " "), "http://m2:5000");
    CHECK_INT(dist_mirrors(&c, "ghcr.io", &a).n, 0);
}

TEST(proxies)
{
    auto_arena struct arena a = ARENA_INIT;
    struct dist_config c;
    struct url plain = url(&a, "http://reg.example/"), tls = url(&a, "https://reg.example/"),
               below = url(&a, "https://x.corp.example:5000/"), net = url(&a, "http://10.1.1.1/"),
               self = url(&a, "http://127.0.0.1:5000/");

    dist_config_defaults(&c, &a);
    c.http_proxy = "http://p1:3128";
    c.https_proxy = "http://p2:3128";
    c.no_proxy = "corp.example, 10.0.0.0/8";
    CHECK_STR(dist_proxy(&c, &plain), "http://p1:3128");
    CHECK_STR(dist_proxy(&c, &tls), "http://p2:3128");
    CHECK_STR(dist_proxy(&c, &below), NULL);
    CHECK_STR(dist_proxy(&c, &net), NULL);
    CHECK_STR(dist_proxy(&c, &self), NULL);
    c.no_proxy = "*";
    CHECK_STR(dist_proxy(&c, &plain), NULL);
}

static void put(const char *dir, const char *name)
{
    auto_arena struct arena a = ARENA_INIT;
    struct err e = {0};

    CHECK_OK(
        write_file_at(AT_FDCWD, arena_printf(&a, "%s/%s", dir, name), 0600, "x", 1, false, &e));
}

TEST(certs)
{
    auto_arena struct arena a = ARENA_INIT;
    char top[] = "/tmp/cleat-certs-XXXXXX";
    struct dist_config c;
    struct dist_certs certs;
    struct err e = {0};
    struct url u = url(&a, "https://reg.example:5000/");

    CHECK(mkdtemp(top));
    dist_config_defaults(&c, &a);
    c.certs_dirs.n = 0;
    strv_push(&a, &c.certs_dirs, top);
    CHECK_OK(dist_certs_find(&c, &u, &a, &certs, &e));
    CHECK_INT(certs.ca.n, 0);
    const char *dir = arena_printf(&a, "%s/reg.example:5000", top);
    CHECK_INT(mkdir(dir, 0700), 0);
    put(dir, "ca.crt");
    put(dir, "me.cert");
    CHECK_INT(dist_certs_find(&c, &u, &a, &certs, &e), -EINVAL);
    put(dir, "me.key");
    CHECK_OK(dist_certs_find(&c, &u, &a, &certs, &e));
    CHECK_INT(certs.ca.n, 1);
    CHECK(str_ends(certs.key, "/me.key"));
    CHECK_OK(remove_tree_at(AT_FDCWD, top, &e));
}
