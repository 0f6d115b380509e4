#include "base/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "build/materials.h"
#include "build/purl.h"
#include "build/sbom-priv.h"

struct fix {
    char path[64];
    int fd;
    struct arena a;
    struct sbom_packages got;
};

static void setup(struct fix *f)
{
    memset(f, 0, sizeof(*f));
    (void)snprintf(f->path, sizeof(f->path), "/tmp/test_sbom.XXXXXX");
    CHECK(mkdtemp(f->path) != NULL);
    f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(f->fd >= 0);
    f->got.a = &f->a;
}

static void teardown(struct fix *f)
{
    struct err e = {0};

    close(f->fd);
    arena_done(&f->a);
    CHECK_OK(remove_tree_at(AT_FDCWD, f->path, &e));
}

static void put(struct fix *f, const char *dir, const char *name, const char *text, size_t n)
{
    struct err e = {0};
    char path[128];

    CHECK_OK(mkdir_p_at(f->fd, dir, 0755, &e));
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    CHECK_OK(write_file_at(f->fd, path, 0644, text, n, false, &e));
}

#define PUT(f, dir, name, text) put((f), (dir), (name), (text), sizeof(text) - 1)

TEST(stanzas_of_dpkg)
{
    struct fix f;
    struct err e = {0};

    setup(&f);
    PUT(&f, "var/lib/dpkg", "status",
        "Package: a\nStatus: install ok installed\nVersion: 1\n more: x\nArchitecture:   amd64  "
        "\n\n\n"
        "Package: b\nStatus: deinstall ok config-files\n\n"
        "Version: without a name\n\n"
        "Package:\n\n"
        "Packages: c\n\n"
        "Package: last\nStatus: hold ok installed");
    CHECK_OK(sbom_dpkg(f.fd, &f.got, &e));
    CHECK_INT(f.got.n, 2);
    CHECK_STR(f.got.v[0].name, "a");
    CHECK_STR(f.got.v[0].version, "1");
    CHECK_STR(f.got.v[0].arch, "amd64");
    CHECK_STR(f.got.v[1].name, "last");
    CHECK(f.got.v[1].version == NULL);
    teardown(&f);
}

TEST(a_file_for_each_package)
{
    struct fix f;
    struct err e = {0};

    setup(&f);
    PUT(&f, "var/lib/dpkg/status.d", "b", "Package: b\nVersion: 2\n");
    PUT(&f, "var/lib/dpkg/status.d", "a", "Package: a\nVersion: 1\n");
    PUT(&f, "var/lib/dpkg/status.d", "a.md5sums", "Package: not-this\n");
    CHECK_OK(sbom_dpkg(f.fd, &f.got, &e));
    CHECK_INT(f.got.n, 2);
    CHECK_STR(f.got.v[0].name, "a");
    CHECK_STR(f.got.v[1].name, "b");
    teardown(&f);
}

TEST(packages_of_apk)
{
    struct fix f;
    struct err e = {0};

    setup(&f);
    PUT(&f, "lib/apk/db", "installed", "C:x\nP:musl\nV:1-r0\nA:x86_64\nL:MIT\no:src\nm:M\n\nP:z\n");
    CHECK_OK(sbom_apk(f.fd, &f.got, &e));
    CHECK_INT(f.got.n, 2);
    CHECK_STR(f.got.v[0].type, "apk");
    CHECK_STR(f.got.v[0].license, "MIT");
    CHECK_STR(f.got.v[0].source, "src");
    CHECK_STR(f.got.v[1].name, "z");
    teardown(&f);
}

TEST(bytes_that_are_no_text)
{
    struct fix f;
    struct err e = {0};

    setup(&f);
    PUT(&f, "var/lib/dpkg", "status", "Package: \xff\xfe\nVersion: a\0b\n\n\0\0\n\nPackage: x\n");
    CHECK_OK(sbom_dpkg(f.fd, &f.got, &e));
    CHECK_INT(f.got.n, 2);
    CHECK_STR(f.got.v[1].name, "x");
    teardown(&f);
}

TEST(nothing_is_there_or_no_file)
{
    struct fix f;
    struct err e = {0};

    setup(&f);
    CHECK_OK(sbom_dpkg(f.fd, &f.got, &e));
    CHECK_OK(sbom_apk(f.fd, &f.got, &e));
    CHECK_OK(mkdir_p_at(f.fd, "var/lib/dpkg/status", 0755, &e));
    CHECK_OK(mkdir_p_at(f.fd, "lib/apk/db", 0755, &e));
    CHECK_INT(mkfifoat(f.fd, "lib/apk/db/installed", 0644), 0);
    CHECK_INT(symlinkat("/etc/passwd", f.fd, "var/lib/dpkg/status.d"), 0);
    CHECK_OK(sbom_dpkg(f.fd, &f.got, &e));
    CHECK_OK(sbom_apk(f.fd, &f.got, &e));
    CHECK_INT(f.got.n, 0);
    teardown(&f);
}

TEST(a_database_has_a_limit)
{
    struct fix f;
    struct err e = {0};

    setup(&f);
    PUT(&f, "lib/apk/db", "installed", "P:x\n");
    CHECK_INT(truncate(arena_printf(&f.a, "%s/lib/apk/db/installed", f.path), SBOM_FILE_MAX + 1),
              0);
    CHECK_INT(sbom_apk(f.fd, &f.got, &e), -E2BIG);
    teardown(&f);
}

TEST(names_as_package_urls)
{
    auto_arena struct arena a = ARENA_INIT;
    struct platform p;
    struct purl u = {.type = "deb", .space = "debian", .name = "g++", .version = "4:12.2~0-3+x"};
    struct err e = {0};

    strmap_set(&a, &u.qualifiers, "arch", "amd64");
    strmap_set(&a, &u.qualifiers, "distro", "");
    strmap_set(&a, &u.qualifiers, "upstream", "a b");
    CHECK_STR(purl_text(&u, &a),
              "pkg:deb/debian/g%2B%2B@4%3A12.2~0-3%2Bx?arch=amd64&upstream=a%20b");
    CHECK_OK(platform_parse("linux/arm/v7", &p, &e));
    CHECK_STR(purl_image("busybox", &p, &a), "pkg:docker/busybox@latest?platform=linux%2Farm%2Fv7");
    CHECK_STR(purl_image("docker.io/library/busybox:1", NULL, &a), "pkg:docker/busybox@1");
    CHECK_STR(purl_image("host:5000/a/b:1", NULL, &a), "pkg:docker/host:5000/a/b@1");
    CHECK_STR(purl_image("x@sha256:"
                         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                         NULL, &a),
              "pkg:docker/x?digest=sha256%3A"
              "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    CHECK(purl_image("NOT A NAME", NULL, &a) == NULL);
}

TEST(addresses_lose_their_passwords)
{
    auto_arena struct arena a = ARENA_INIT;

    CHECK_STR(material_address("https://u:p@h/x@y?z=a@b", &a), "https://h/x@y?z=a@b");
    CHECK_STR(material_address("https://u:p@q@h", &a), "https://h");
    CHECK_STR(material_address("http://h/u:p@x", &a), "http://h/u:p@x");
    CHECK_STR(material_address("git@h:r.git", &a), "git@h:r.git");
}
