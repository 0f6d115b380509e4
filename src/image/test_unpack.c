/* Layers into the store and back: what GNU tar and Python make, what nobody should make. */
#include "image/test_fixture.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "archive/tar.h"
#include "image/layer.h"
#include "store/layers.h"

#define S(text) ((char *)(uintptr_t)(text)) /* entries are not const */

static int unpack(struct fix *f, const struct buf *tar, struct unpacked_layer *out, struct err *err)
{
    auto_lease struct lease *l = lease_new(f->s);
    auto_source struct source *s = source_mem(tar->data, tar->len);

    return layer_unpack(f->s, s, &(struct layer_wish){.blob = true}, l, out, err);
}

/* The stored layer gives the same bytes again, in a second process of the store, too. */
static void check_rebuilds(struct fix *f, const struct unpacked_layer *l, const struct buf *tar)
{
    struct err e = {0};
    struct source *s = NULL;
    auto_buf struct buf out = BUF_INIT;
    const uint8_t *p = NULL;
    ssize_t n = 0;

    CHECK_OK(layer_tar(f->s, l->diff_id, &s, &e));
    while ((n = source_next(s, &p, 100000, &e)) > 0)
        buf_put(&out, p, (size_t)n);
    CHECK_OK(n);
    source_free(s);
    CHECK_INT(out.len, tar->len);
    CHECK(memcmp(buf_str(&out), tar->data, tar->len) == 0);
}

/* Path of the layer's files, for scripts. */
static const char *diff_of(struct fix *f, const struct unpacked_layer *l)
{
    return arena_printf(&f->a, "%s/%s", f->path, layer_path(l->diff_id, &f->a));
}

static void unpack_file(struct fix *f, const char *name, struct unpacked_layer *l)
{
    struct err e = {0};
    auto_buf struct buf tar = BUF_INIT;

    fix_read(f, name, &tar);
    CHECK_OK(unpack(f, &tar, l, &e));
    if (strcmp(l->blob, l->diff_id) == 0)
        check_rebuilds(f, l, &tar);
}

/* ---- what other tools make ---- */

static const char make_tree[] =
    "mkdir -p t/usr/lib t/empty t/deep/er t/sticky\n"
    "chmod 1777 t/sticky; chmod 700 t/deep\n"
    "echo hello > t/usr/lib/f; chmod 4755 t/usr/lib/f\n"
    "ln t/usr/lib/f t/hard; ln -s usr/lib t/lib; ln -s /nowhere t/dangling\n"
    "mkfifo t/fifo; mknod t/null c 1 3; mknod t/blk b 7 200\n"
    "chown 1000:2000 t/deep/er; chown -h 7:8 t/lib\n"
    "head -c 700000 /dev/urandom > t/big; : > t/zero\n"
    "touch -d '2001-02-03 04:05:06 UTC' t/big t/usr/lib t/empty; touch -h -d @99 t/dangling\n"
    "long=$(printf 'n%.0s' $(seq 120)); mkdir -p t/$long/$long; echo x > t/$long/$long/$long\n"
    "printf 'with\\nnewline' > \"t/a name\n\"\n";

/* Both trees as lists: type, mode, owner, times, link targets, contents. */
static void check_same_tree(struct fix *f, const char *diff)
{
    char *script = arena_printf(
        &f->a,
        "list() { (cd $1; find . -mindepth 1 -printf '%%p %%y %%m %%U %%G %%n %%l %%s %%T@\\n' |"
        " sed '/ d /s/ [0-9]* \\([0-9.]*\\)$/ \\1/' | sort;"
        " find . -type f | sort | tr '\\n' '\\0' | xargs -0 cat 2>/dev/null | sha256sum); }\n"
        "list t > want; list %s > got; diff want got",
        diff);
    fix_sh(f, script);
}

static void check_format(const char *format)
{
    struct fix f;
    fix_init(&f);
    struct unpacked_layer l;

    fix_sh(&f, make_tree);
    fix_sh(&f, arena_printf(&f.a, "tar -C t --format=%s -cf layer.tar .", format));
    unpack_file(&f, "layer.tar", &l);
    if (strcmp(format, "posix") != 0) /* the others have whole seconds */
        fix_sh(&f, "find t -exec touch -h -d @1000 {} +; tar -C t --format=gnu -cf layer.tar .");
    unpack_file(&f, "layer.tar", &l);
    check_same_tree(&f, diff_of(&f, &l));
    fix_done(&f);
}

TEST(gnu_tar_gnu)
{
    NEED_ROOT();
    check_format("gnu");
}

TEST(gnu_tar_oldgnu)
{
    NEED_ROOT();
    check_format("oldgnu");
}

TEST(gnu_tar_posix)
{
    NEED_ROOT();
    check_format("posix");
}

TEST(sparse_files_of_every_kind)
{
    static const char *const formats[] = {"--format=gnu", "--format=posix --sparse-version=0.0",
                                          "--format=posix --sparse-version=0.1",
                                          "--format=posix --sparse-version=1.0"};
    NEED_ROOT();
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        struct fix f;
        fix_init(&f);
        struct unpacked_layer l;
        struct stat st;
        /* Many holes, so that GNU's needs extension headers; and one file that is nothing else. */
        fix_sh(&f, "mkdir t; for i in $(seq 0 40); do echo x$i |"
                   " dd of=t/s bs=1 seek=$((i * 100000)) conv=notrunc status=none; done;"
                   " truncate -s 9000000 t/s; truncate -s 5000000 t/hole; echo after > t/z");
        fix_sh(&f, arena_printf(&f.a, "tar -C t -S %s -cf layer.tar .", formats[i]));
        unpack_file(&f, "layer.tar", &l);
        fix_sh(&f, arena_printf(&f.a, "diff -r t %s", diff_of(&f, &l)));
        CHECK_INT(stat(arena_printf(&f.a, "%s/s", diff_of(&f, &l)), &st), 0);
        CHECK(st.st_blocks * 512 < 2000000);
        fix_done(&f);
    }
}

TEST(compressed_layers_have_two_digests)
{
    static const char *const tools[] = {"gzip -c", "zstd -q -c", "xz -c", "bzip2 -c"};
    struct unpacked_layer plain, packed;

    NEED_ROOT();
    for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++) {
        struct fix f;
        fix_init(&f);
        fix_sh(&f, "mkdir t; seq 100000 > t/f; tar -C t -cf layer.tar .");
        fix_sh(&f, arena_printf(&f.a, "%s layer.tar > layer.x", tools[i]));
        unpack_file(&f, "layer.x", &packed);
        unpack_file(&f, "layer.tar", &plain);
        CHECK_STR(packed.diff_id, plain.diff_id);
        CHECK(strcmp(packed.blob, packed.diff_id) != 0);
        char *sum = fix_sh(&f, "sha256sum < layer.x | cut -d' ' -f1 | tr -d '\\n'");
        CHECK_STR(packed.blob + 7, sum);
        CHECK_INT(packed.tar_size, plain.tar_size);
        fix_done(&f);
    }
}

TEST(xattrs_are_set_and_those_of_overlay_are_not)
{
    struct fix f;
    struct unpacked_layer l;
    char val[16] = "";

    NEED_ROOT();
    fix_init(&f);
    fix_sh(&f, "python3 - <<'E'\n"
               "import tarfile\n"
               "t = tarfile.open('layer.tar', 'w', format=tarfile.PAX_FORMAT)\n"
               "i = tarfile.TarInfo('f'); i.mode = 0o755\n"
               "i.pax_headers = {'SCHILY.xattr.user.x': 'y',\n"
               "  'SCHILY.xattr.trusted.overlay.redirect': '/',\n"
               "  'SCHILY.xattr.user.overlay.opaque': 'y'}\n"
               "t.addfile(i)\n"
               "i = tarfile.TarInfo('d'); i.type = tarfile.DIRTYPE; i.mode = 0o755\n"
               "i.pax_headers = {'SCHILY.xattr.trusted.overlay.opaque': 'y'}\n"
               "t.addfile(i); t.close()\nE\n");
    unpack_file(&f, "layer.tar", &l);
    const char *file = arena_printf(&f.a, "%s/f", diff_of(&f, &l));
    const char *dir = arena_printf(&f.a, "%s/d", diff_of(&f, &l));
    CHECK_INT(getxattr(file, "user.x", val, sizeof(val)), 1);
    CHECK_STR(val, "y");
    CHECK_INT(getxattr(file, "trusted.overlay.redirect", val, sizeof(val)), -1);
    CHECK_INT(getxattr(file, "user.overlay.opaque", val, sizeof(val)), -1);
    CHECK_INT(getxattr(dir, "trusted.overlay.opaque", val, sizeof(val)), -1);
    fix_done(&f);
}

/* ---- archives made by hand ---- */

struct item {
    const char *name;
    int type;
    const char *content; /* of files; target of links */
};

static void make_tar(const struct item *items, size_t n, struct buf *out)
{
    struct err e = {0};
    auto_sink struct sink *s = sink_cb(fix_to_buf, out);
    auto_tar_writer struct tar_writer *w = tar_writer_new(s);

    for (size_t i = 0; i < n; i++) {
        const struct item *it = &items[i];
        bool link = it->type == TAR_SYMLINK || it->type == TAR_HARDLINK;
        struct tar_entry t = {.name = S(it->name),
                              .type = (enum tar_type)it->type,
                              .mode = it->type == TAR_DIR ? 0755 : 0644,
                              .link = link ? S(it->content) : NULL,
                              .size = it->type == TAR_FILE ? strlen(it->content) : 0,
                              .mtime_ns = 1000000000};
        CHECK_OK(tar_write_entry(w, &t, &e));
        CHECK_OK(tar_write_data(w, it->content, t.size, &e));
    }
    CHECK_OK(tar_write_end(w, &e));
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void unpack_items(struct fix *f, const struct item *items, size_t n,
                         struct unpacked_layer *l)
{
    struct err e = {0};
    auto_buf struct buf tar = BUF_INIT;

    make_tar(items, n, &tar);
    CHECK_OK(unpack(f, &tar, l, &e));
    check_rebuilds(f, l, &tar);
}

static char *content(struct fix *f, const struct unpacked_layer *l, const char *name)
{
    auto_buf struct buf b = BUF_INIT;

    fix_read(f, arena_printf(&f->a, "%s/%s", layer_path(l->diff_id, &f->a), name), &b);
    return arena_strdup(&f->a, buf_str(&b));
}

static struct stat stat_of(struct fix *f, const struct unpacked_layer *l, const char *name)
{
    struct stat st = {0};

    if (lstat(arena_printf(&f->a, "%s/%s", diff_of(f, l), name), &st) < 0)
        st.st_mode = 0;
    return st;
}

TEST(whiteouts_become_overlays)
{
    static const struct item items[] = {
        {"d/", TAR_DIR, ""},           {"d/.wh.gone", TAR_FILE, ""},
        {"o/", TAR_DIR, ""},           {"o/.wh..wh..opq", TAR_FILE, ""},
        {"o/kept", TAR_FILE, "k"},     {".wh..wh.plnk", TAR_FILE, ""},
        {"d/.wh..wh.x", TAR_FILE, ""}, {".wh.newdir", TAR_FILE, ""},
        {"newdir/", TAR_DIR, ""},      {"olddir/", TAR_DIR, ""},
        {".wh.olddir", TAR_FILE, ""},  {"both", TAR_FILE, "b"},
        {".wh.both", TAR_FILE, ""},    {"implied/.wh.x", TAR_FILE, ""},
    };
    struct fix f;
    struct unpacked_layer l;
    char val[4] = "";

    NEED_ROOT();
    fix_init(&f);
    unpack_items(&f, items, COUNT(items), &l);
    struct stat st = stat_of(&f, &l, "d/gone");
    CHECK(S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0));
    static const char *const opaque[] = {"o", "newdir", "olddir"};
    for (size_t i = 0; i < COUNT(opaque); i++) {
        CHECK_INT(getxattr(arena_printf(&f.a, "%s/%s", diff_of(&f, &l), opaque[i]),
                           "trusted.overlay.opaque", val, sizeof(val)),
                  1);
        CHECK_INT(val[0], 'y');
    }
    CHECK_STR(content(&f, &l, "o/kept"), "k");
    CHECK_STR(content(&f, &l, "both"), "b");
    CHECK(stat_of(&f, &l, ".wh..wh.plnk").st_mode == 0);
    CHECK(stat_of(&f, &l, "d/.wh..wh.x").st_mode == 0);
    CHECK(S_ISCHR(stat_of(&f, &l, "implied/x").st_mode));
    fix_done(&f);
}

TEST(replaced_files_stay_in_the_recipe)
{
    static const struct item items[] = {
        {"f", TAR_FILE, "first"},
        {"f", TAR_FILE, "second"},
        {"h", TAR_HARDLINK, "f"},
        {"f", TAR_FILE, "third"},
        {"h", TAR_FILE, "fourth"},
        {"d/", TAR_DIR, ""},
        {"d/x", TAR_FILE, "deep"},
        {"d/y/z", TAR_FILE, "deeper"},
        {"d", TAR_FILE, "no longer"},
        {"d", TAR_SYMLINK, "e"},
        {"e/", TAR_DIR, ""},
        {"d/via", TAR_FILE, "through a link"},
        {"e/via", TAR_FILE, "directly"},
        {"d", TAR_DIR, ""},
        {"d/via", TAR_FILE, "in a directory now"},
        {"link/to/nothing/f", TAR_FILE, "implied"},
        {"link/to", TAR_FILE, "gone again"},
    };
    struct fix f;
    struct unpacked_layer l;

    NEED_ROOT();
    fix_init(&f);
    unpack_items(&f, items, COUNT(items), &l);
    CHECK_STR(content(&f, &l, "f"), "third");
    CHECK_STR(content(&f, &l, "h"), "fourth");
    CHECK_STR(content(&f, &l, "e/via"), "directly");
    CHECK_STR(content(&f, &l, "d/via"), "in a directory now");
    CHECK_STR(content(&f, &l, "link/to"), "gone again");
    fix_done(&f);
}

TEST(links_are_followed_inside_the_root_only)
{
    static const struct item items[] = {
        {"real/", TAR_DIR, ""},          {"abs", TAR_SYMLINK, "/real"},
        {"abs/f", TAR_FILE, "1"},        {"up", TAR_SYMLINK, "../../../../real"},
        {"up/g", TAR_FILE, "2"},         {"/absolute/name", TAR_FILE, "3"},
        {"a/./b//../c", TAR_FILE, "4"},  {"hard", TAR_HARDLINK, "/abs/f"},
        {"abs/h", TAR_HARDLINK, "up/g"},
    };
    struct fix f;
    struct unpacked_layer l;

    NEED_ROOT();
    fix_init(&f);
    unpack_items(&f, items, COUNT(items), &l);
    CHECK_STR(content(&f, &l, "real/f"), "1");
    CHECK_STR(content(&f, &l, "real/g"), "2");
    CHECK_STR(content(&f, &l, "absolute/name"), "3");
    CHECK_STR(content(&f, &l, "a/c"), "4");
    CHECK_INT(stat_of(&f, &l, "hard").st_ino, stat_of(&f, &l, "real/f").st_ino);
    CHECK_INT(stat_of(&f, &l, "real/h").st_ino, stat_of(&f, &l, "real/g").st_ino);
    fix_done(&f);
}

struct hostile {
    struct item items[2];
    size_t n;
    const char *msg; /* part of it */
};

static const struct hostile hostiles[] = {
    {{{"../f", TAR_FILE, "x"}}, 1, "\"../f\" is outside of \"/\""},
    {{{"a/../../f", TAR_FILE, "x"}}, 1, "is outside of"},
    {{{"h", TAR_HARDLINK, "../../etc/passwd"}},
     1,
     "invalid hardlink \"h\" -> \"../../etc/passwd\""},
    {{{"h", TAR_HARDLINK, "/etc/passwd"}}, 1, "No such file or directory"},
    {{{"h", TAR_HARDLINK, "."}}, 1, "invalid hardlink"},
    {{{"out", TAR_SYMLINK, "/tmp"}, {"out/test_unpack_canary", TAR_FILE, "x"}}, 2, "out"},
    {{{"out", TAR_SYMLINK, "/etc"}, {"h", TAR_HARDLINK, "out/passwd"}}, 2, "No such file"},
    {{{"magic", TAR_SYMLINK, "/proc/self/root/tmp"}, {"magic/f", TAR_FILE, "x"}}, 2, "magic"},
    {{{"f", TAR_FILE, "x"}, {"f/g", TAR_FILE, "x"}}, 2, "Not a directory"},
    {{{"self", TAR_SYMLINK, "self"}, {"self/f", TAR_FILE, "x"}}, 2, "symbolic links"},
    {{{".wh...", TAR_FILE, ""}}, 1, "invalid whiteout name"},
    {{{".wh.", TAR_FILE, ""}}, 1, "invalid whiteout name"},
    {{{"/", TAR_FILE, "x"}}, 1, ""},
    {{{".", TAR_SYMLINK, "/etc"}}, 1, "is no name of a file"},
    {{{"v", 'V', ""}}, 1, "unhandled tar header type 86"},
};

TEST(hostile_layers_leave_nothing)
{
    struct fix f;

    NEED_ROOT();
    fix_init(&f);
    for (size_t i = 0; i < COUNT(hostiles); i++) {
        struct err e = {0};
        struct unpacked_layer l;
        auto_buf struct buf tar = BUF_INIT;
        make_tar(hostiles[i].items, hostiles[i].n, &tar);
        int r = unpack(&f, &tar, &l, &e);
        if (!hostiles[i].msg[0])
            continue; /* either way, as long as it stays inside */
        if (r >= 0 || !strstr(e.msg, hostiles[i].msg))
            TEST_FAIL("layer %zu: %d %s", i, r, e.msg);
        CHECK(strstr(e.msg, "Error processing tar file(exit status 1): ") != NULL);
    }
    CHECK_INT(access("/tmp/test_unpack_canary", F_OK), -1);
    struct err e = {0};
    CHECK_OK(store_gc(f.s, NULL, NULL, &e));
    CHECK_STR(fix_sh(&f, "ls layers"), "");
    fix_done(&f);
}

TEST(an_expected_diff_id_is_checked)
{
    static const struct item items[] = {{"f", TAR_FILE, "x"}};
    struct fix f;
    struct err e = {0};
    struct unpacked_layer l;
    auto_buf struct buf tar = BUF_INIT;

    NEED_ROOT();
    fix_init(&f);
    make_tar(items, COUNT(items), &tar);
    struct lease *lease = lease_new(f.s);
    struct source *s = source_mem(tar.data, tar.len);
    CHECK_INT(layer_unpack(f.s, s, &(struct layer_wish){.diff_id = "sha256:1234"}, lease, &l, &e),
              -EBADMSG);
    CHECK(strstr(e.msg, "invalid diffID for layer: expected \"sha256:1234\"") != NULL);
    source_free(s);
    CHECK_INT(unpack(&f, &tar, &l, &e), 0);
    CHECK_INT(unpack(&f, &tar, &l, &e), 1);
    lease_free(lease);
    CHECK_STR(fix_sh(&f, "ls layers | grep -c ."), "1\n");
    fix_done(&f);
}

TEST(a_changed_layer_is_not_given_out)
{
    static const struct item items[] = {{"f", TAR_FILE, "xyz"}};
    struct fix f;
    struct err e = {0};
    struct unpacked_layer l;
    struct source *s = NULL;
    const uint8_t *p = NULL;
    ssize_t n = 0;

    NEED_ROOT();
    fix_init(&f);
    unpack_items(&f, items, COUNT(items), &l);
    fix_sh(&f, arena_printf(&f.a, "printf abc > %s/f", diff_of(&f, &l)));
    CHECK_OK(layer_tar(f.s, l.diff_id, &s, &e));
    while ((n = source_next(s, &p, 1000, &e)) > 0)
        ;
    CHECK_INT(n, -EBADMSG);
    CHECK(strstr(e.msg, "has changed on disk") != NULL);
    source_free(s);
    fix_done(&f);
}
