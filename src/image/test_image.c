/* Images: load, save, import, names. The archives are made by Python, as another tool would. */
#include "image/test_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>

#include "image/import.h"
#include "image/load.h"
#include "image/save.h"
#include "image/store.h"
#include "store/blobs.h"
#include "store/containers.h"
#include "store/layers.h"

/* Functions for the scripts below: layers, configs and archives in a dozen lines. */
#define PY                                                                                         \
    "python3 - <<'E'\n"                                                                            \
    "import tarfile, io, json, hashlib, gzip\n"                                                    \
    "def sha(b): return hashlib.sha256(b).hexdigest()\n"                                           \
    "def tar(*files):\n"                                                                           \
    "  out = io.BytesIO(); t = tarfile.open(fileobj=out, mode='w')\n"                              \
    "  for name, data in files:\n"                                                                 \
    "    i = tarfile.TarInfo(name); i.mode = 0o644; i.size = len(data or b'')\n"                   \
    "    if isinstance(data, str): i.type, i.linkname, i.size = tarfile.SYMTYPE, data, 0\n"        \
    "    t.addfile(i, io.BytesIO(data) if isinstance(data, bytes) else None)\n"                    \
    "  t.close(); return out.getvalue()\n"                                                         \
    "def config(*layers, **more):\n"                                                               \
    "  return json.dumps({'architecture': more.get('arch', 'amd64'), 'os': more.get('os', "        \
    "'linux'),\n"                                                                                  \
    "    'created': '2024-01-02T03:04:05Z', 'config': {'Cmd': ['sh'], 'Labels': more}, 'rootfs':"  \
    " {\n"                                                                                         \
    "    'type': 'layers', 'diff_ids': ['sha256:' + sha(x) for x in layers]}}).encode()\n"         \
    "def archive(name, tags, conf, *layers):\n"                                                    \
    "  m = json.dumps([{'Config': 'c.json', 'RepoTags': tags, 'Layers': ['%d/layer.tar' % i for "  \
    "i, _ in enumerate(layers)]}]).encode()\n"                                                     \
    "  open(name, 'wb').write(tar(*[('%d/layer.tar' % i, x) for i, x in enumerate(layers)],\n"     \
    "    ('c.json', conf), ('manifest.json', m)))\n"                                               \
    "A = tar(('a', b'first'), ('shared', b'x' * 3000))\n"                                          \
    "B = tar(('b', b'second'), ('.wh.a', b''))\n"

#define END "\nE\n"

static int load_fd(struct fix *f, int fd, struct load_result *ret, struct err *err)
{
    auto_source struct source *s = source_fd(fd);

    return image_load(f->s, s, NULL, &f->a, ret, err);
}

static int load(struct fix *f, const char *name, struct load_result *ret, struct err *err)
{
    auto_close int fd = openat(f->fd, name, O_RDONLY | O_CLOEXEC);

    CHECK(fd >= 0);
    return load_fd(f, fd, ret, err);
}

static void load_ok(struct fix *f, const char *name, struct load_result *ret)
{
    struct err e = {0};

    memset(ret, 0, sizeof(*ret));
    CHECK_OK(load(f, name, ret, &e));
}

/* Nothing of it is left: no layers, no blobs, no rows. */
static void check_empty(struct fix *f)
{
    struct err e = {0};
    struct image_rows rows;

    CHECK_OK(image_rows_all(f->s, &f->a, &rows, &e));
    CHECK_INT(rows.n, 0);
    CHECK_STR(
        fix_sh(f, "ls layers image/blobs/sha256 image/blobs/ingest | grep -v : | tr -d '\\n'"), "");
}

static int save(struct fix *f, const char *names, struct buf *out, struct err *err)
{
    struct strv v = str_split(&f->a, names, ' ');
    auto_image_export struct image_export *x = NULL;
    auto_sink struct sink *s = sink_cb(fix_to_buf, out);
    int r = image_export_new(f->s, &v, NULL, &x, err);

    return r < 0 ? r : image_export_write(x, s, err);
}

TEST(load_save_load)
{
    struct fix f;
    struct err e = {0};
    struct load_result res, again;
    auto_buf struct buf one = BUF_INIT, two = BUF_INIT;
    struct image_row row;

    NEED_ROOT();
    fix_init(&f);
    fix_sh(&f, PY "archive('i.tar', ['it:1', 'host:5000/it:2'], config(A, B), A, B)" END);
    load_ok(&f, "i.tar", &res);
    CHECK_INT(res.n, 1);
    CHECK_INT(res.v[0].refs.n, 2);
    CHECK_STR(res.v[0].refs.v[0], "it:1");
    CHECK_STR(res.v[0].refs.v[1], "host:5000/it:2");
    CHECK_OK(image_resolve(f.s, "it:1", &f.a, &row, &e));
    CHECK_INT(row.size, 5 + 3000 + 6);
    CHECK_INT(row.created_ns, INT64_C(1704164645000000000));
    CHECK_INT(row.layers.n, 2);

    CHECK_OK(save(&f, "it:1 host:5000/it:2", &one, &e));
    CHECK_OK(write_file_at(f.fd, "saved.tar", 0600, one.data, one.len, false, &e));
    fix_close(&f);
    fix_sh(&f, "mkdir old; mv catalog* layers image old");
    fix_open(&f);
    load_ok(&f, "saved.tar", &again);
    CHECK_STR(again.v[0].id, res.v[0].id);
    CHECK_INT(again.v[0].refs.n, 2);
    CHECK_OK(save(&f, "it:1 host:5000/it:2", &two, &e));
    CHECK_INT(one.len, two.len);
    CHECK(memcmp(one.data, two.data, one.len) == 0); /* the same bytes, from another store */
    fix_sh(&f,
           PY "t = tarfile.open('saved.tar')\n"
              "names = t.getnames(); assert names == sorted(names), names\n"
              "m, = json.load(t.extractfile('manifest.json'))\n"
              "assert [t.extractfile(n).read() for n in m['Layers']] == [A, B]\n"
              "assert t.extractfile(m['Config']).read() == config(A, B)\n"
              "assert m['RepoTags'] == ['it:1', 'host:5000/it:2']\n"
              "ix = json.load(t.extractfile('index.json'))\n"
              "man = json.load(t.extractfile('blobs/sha256/' + ix['manifests'][0]['digest'][7:]))\n"
              "assert [l['size'] for l in man['layers']] == [len(A), len(B)]\n"
              "assert json.load(t.extractfile('repositories'))['it']['1'] == sha(B)\n" END);
    fix_done(&f);
}

TEST(oci_layouts_of_every_compression)
{
    struct err e = {0};
    struct fix f;
    struct load_result res;

    NEED_ROOT();
    fix_init(&f);
    fix_sh(
        &f, PY
        "import subprocess\n"
        "squeeze = {'gzip': gzip.compress, 'zstd': lambda b: subprocess.run(['zstd', '-qc'], "
        "input=b,"
        " stdout=subprocess.PIPE).stdout, '': bytes}\n"
        "for kind, fn in squeeze.items():\n"
        "  blobs = {}\n"
        "  def blob(b, media, **more):\n"
        "    blobs[sha(b)] = b\n"
        "    return dict(more, mediaType='application/vnd.oci.image.' + media, digest='sha256:' +"
        " sha(b), size=len(b))\n"
        "  def manifest(*layers, **more):\n"
        "    return json.dumps({'schemaVersion': 2, 'config': blob(config(*layers, **more),"
        " 'config.v1+json'), 'layers': [blob(fn(x), 'layer.v1.tar+' + kind) for x in"
        " layers]}).encode()\n"
        "  here = blob(manifest(A, B, k=kind), 'manifest.v1+json', platform={'os': 'linux',"
        " 'architecture': 'amd64'})\n"
        "  other = blob(manifest(A, arch='s390x'), 'manifest.v1+json', platform={'os': 'linux',"
        " 'architecture': 's390x'})\n"
        "  note = blob(b'{\"schemaVersion\":2}', 'manifest.v1+json', platform={'os': 'unknown',"
        " 'architecture': 'unknown'}, annotations={'vnd.docker.reference.type': "
        "'attestation-manifest'})\n"
        "  inner = blob(json.dumps({'schemaVersion': 2, 'manifests': [other, here,"
        " note]}).encode(), 'index.v1+json')\n"
        "  inner['annotations'] = {'io.containerd.image.name': 'docker.io/library/oci:' + (kind or"
        " 'plain')}\n"
        "  index = json.dumps({'schemaVersion': 2, 'manifests': [inner]}).encode()\n"
        "  data = tar(('oci-layout', b'{}'), ('index.json', index), *[('blobs/sha256/' + k, v) for"
        " k, v in blobs.items()])\n"
        "  open('oci-%s.tar' % (kind or 'plain'), 'wb').write(data)\n"
        "  open('oci-%s.tar.gz' % (kind or 'plain'), 'wb').write(gzip.compress(data))" END);
    static const char *const names[] = {"oci-gzip.tar", "oci-zstd.tar", "oci-plain.tar",
                                        "oci-gzip.tar.gz", "oci-plain.tar.gz"};
    static const char *const refs[] = {"oci:gzip", "oci:zstd", "oci:plain", "oci:gzip",
                                       "oci:plain"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        load_ok(&f, names[i], &res);
        CHECK_INT(res.n, 2);
        CHECK_INT(res.v[0].refs.n, 0); /* another platform's */
        CHECK_STR(res.v[1].refs.v[0], refs[i]);
        CHECK_INT(res.v[1].moved.n, 0);
    }
    /* The layers were the same ones each time. Three configs, and one of the other platform;
     * manifests of both platforms and indexes of those with compressed layers; the note in them. */
    CHECK_STR(fix_sh(&f, "ls layers | grep -c .; ls image/blobs/sha256 | grep -c ."), "2\n11\n");
    CHECK_OK(image_store_keep_blobs(f.s, true, &e));
    load_ok(&f, "oci-zstd.tar", &res);
    CHECK_STR(fix_sh(&f, "ls image/blobs/sha256 | grep -c ."), "13\n");
    load_ok(&f, "oci-plain.tar", &res); /* a plain tar is never kept beside its layer */
    CHECK_STR(fix_sh(&f, "ls image/blobs/sha256 | grep -c ."), "13\n");
    fix_close(&f);
    fix_open(&f); /* collects, and must keep what images need */
    CHECK_STR(fix_sh(&f, "ls image/blobs/sha256 | grep -c ."), "13\n");
    CHECK_OK(image_store_keep_blobs(f.s, false, &e));
    CHECK_STR(fix_sh(&f, "ls image/blobs/sha256 | grep -c ."), "11\n");
    fix_done(&f);
}

TEST(a_name_moves_and_the_old_image_stays)
{
    struct fix f;
    struct err e = {0};
    struct load_result first, second;
    struct image_row row;

    NEED_ROOT();
    fix_init(&f);
    fix_sh(&f, PY "archive('1.tar', ['x:1'], config(A), A)\n"
                  "archive('2.tar', ['x:1'], config(A, B), A, B)" END);
    load_ok(&f, "1.tar", &first);
    load_ok(&f, "2.tar", &second);
    CHECK_INT(second.v[0].moved.n, 1);
    CHECK_STR(second.v[0].moved.v[0].key, "x:1");
    CHECK_STR(second.v[0].moved.v[0].val, first.v[0].id);
    CHECK_OK(image_resolve(f.s, "x:1", &f.a, &row, &e));
    CHECK_STR(row.id, second.v[0].id);
    CHECK_OK(image_resolve(f.s, first.v[0].id, &f.a, &row, &e));
    CHECK_INT(row.tags.n, 0);
    CHECK_OK(image_delete(f.s, first.v[0].id, &e));
    CHECK_OK(image_delete(f.s, second.v[0].id, &e));
    CHECK_OK(store_gc(f.s, NULL, NULL, &e));
    check_empty(&f);
    fix_done(&f);
}

TEST(member_links_lead_to_members)
{
    struct fix f;
    struct load_result res;

    NEED_ROOT();
    fix_init(&f);
    /* Docker before 25 wrote a layer that two images share once, and links for the others. */
    fix_sh(&f, PY "m = json.dumps([{'Config': 'c', 'RepoTags': None, 'Layers': ['./1/layer.tar', "
                  "'2/layer.tar']}]).encode()\n"
                  "open('i.tar', 'wb').write(tar(('manifest.json', m), ('./1/layer.tar', A),"
                  " ('2/layer.tar', '../1/layer.tar'), ('c', config(A, A))))" END);
    load_ok(&f, "i.tar", &res);
    CHECK_INT(res.v[0].refs.n, 0);
    fix_done(&f);
}

struct refused {
    const char *script, *msg;
};

static const struct refused refusals[] = {
    {"tar(('x', b'y'))", "open manifest.json: no such file or directory"},
    {"tar(('manifest.json', b'null'))", "invalid manifest, manifest cannot be null"},
    {"tar(('manifest.json', b'{'))", "invalid manifest"},
    {"tar(('manifest.json', json.dumps([{'Config': '../../../etc/passwd'}]).encode()))",
     "open ../../../etc/passwd: no such file"},
    {"tar(('manifest.json', json.dumps([{'Config': 'c'}]).encode()), ('c', '/etc/passwd'))",
     "open c: no such file"},
    {"tar(('l', A), ('c', config(B)), ('manifest.json', json.dumps([{'Config': 'c', 'Layers':"
     " ['l']}]).encode()))",
     "invalid diffID for layer 0: expected \"sha256:"},
    {"tar(('l', A), ('c', config(A, A)), ('manifest.json', json.dumps([{'Config': 'c', 'Layers':"
     " ['l']}]).encode()))",
     "layers length mismatch: expected 1, got 2"},
    {"tar(('l', A), ('c', config(A, os='windows')), ('manifest.json', json.dumps([{'Config': 'c',"
     " 'Layers': ['l']}]).encode()))",
     "cannot load windows image on linux"},
    {"tar(('l', A), ('c', config(A)), ('manifest.json', json.dumps([{'Config': 'c', 'RepoTags':"
     " ['x'], 'Layers': ['l']}]).encode()))",
     "invalid tag \"x\""},
    {"tar(('l', A), ('c', b'{}'), ('manifest.json', json.dumps([{'Config': 'c', 'Layers':"
     " ['l']}]).encode()))",
     "invalid image JSON, no RootFS key"},
    {"tar(('l', gzip.compress(A)[:-9]), ('c', config(A)), ('manifest.json', json.dumps([{'Config':"
     " 'c', 'Layers': ['l']}]).encode()))",
     "unexpected EOF"},
    {"tar(('l', A))[:1500]", "Error processing tar file(exit status 1): unexpected EOF"},
    {"gzip.compress(tar(('l', A)))[:-30]", "unexpected EOF"},
    {"tar(('index.json', b'{\"schemaVersion\":2,\"manifests\":[]}'))", "invalid index: no images"},
    {"tar(('index.json', json.dumps({'schemaVersion': 2, 'manifests': [{'digest': 'sha256:' + "
     "'a' * 64, 'size': 1}]}).encode()))",
     "no such file"},
    {"b'no archive ' * 100", "archive/tar: invalid tar header"},
};

TEST(what_cannot_be_loaded_leaves_nothing)
{
    struct fix f;

    NEED_ROOT();
    fix_init(&f);
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        struct err e = {0};
        struct load_result res = {0};
        fix_sh(&f, arena_printf(&f.a, "%s%s%s", PY "open('bad.tar', 'wb').write(",
                                refusals[i].script, ")" END));
        int r = load(&f, "bad.tar", &res, &e);
        if (r >= 0 || !strstr(e.msg, refusals[i].msg))
            TEST_FAIL("archive %zu: %d %s", i, r, e.msg);
        CHECK_INT(e.kind, ERR_INVALID);
        check_empty(&f);
    }
    fix_done(&f);
}

/* ---- names ---- */

TEST(images_are_found_by_what_users_write)
{
    struct fix f;
    struct err e = {0};
    struct load_result res;
    struct image_row row;

    NEED_ROOT();
    fix_init(&f);
    fix_sh(&f, PY "archive('i.tar', ['it:latest'], config(A), A)" END);
    load_ok(&f, "i.tar", &res);
    char *hex = res.v[0].id + 7;
    char *with_digest = arena_printf(&f.a, "docker.io/library/it@sha256:%s", hex);
    CHECK_OK(image_digest_set(f.s, with_digest, res.v[0].id, &e));
    char *names[] = {arena_strdup(&f.a, "it"),
                     arena_strdup(&f.a, "docker.io/library/it:latest"),
                     hex,
                     res.v[0].id,
                     arena_strndup(&f.a, hex, 12),
                     arena_strndup(&f.a, hex, 1),
                     arena_strndup(&f.a, res.v[0].id, 20),
                     arena_printf(&f.a, "it@%s", res.v[0].id),
                     arena_printf(&f.a, "it:ignored@%s", res.v[0].id)};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        CHECK_OK(image_resolve(f.s, names[i], &f.a, &row, &e));
        CHECK_STR(row.id, res.v[0].id);
    }
    CHECK_INT(image_resolve(f.s, "it:2", &f.a, &row, &e), -ENOENT);
    CHECK_STR(e.msg, "No such image: it:2");
    CHECK_INT(e.kind, ERR_NOT_FOUND);
    CHECK_INT(image_resolve(f.s, "IT", &f.a, &row, &e), -EINVAL);
    fix_done(&f);
}

TEST(save_names_its_errors)
{
    struct fix f;
    struct err e = {0};
    auto_buf struct buf out = BUF_INIT;

    NEED_ROOT();
    fix_init(&f);
    CHECK_INT(save(&f, "nope:1", &out, &e), -ENOENT);
    CHECK_STR(e.msg, "reference does not exist: nope:1");
    CHECK_INT(save(&f, "nope", &out, &e), -ENOENT);
    CHECK_STR(e.msg, "No such image: nope:latest");
    CHECK_INT(save(&f, "NOPE", &out, &e), -EINVAL);
    CHECK_INT(out.len, 0);
    fix_done(&f);
}

/* ---- import and the built-in image ---- */

static int import(struct fix *f, const char *name, struct import_options *o, char *id,
                  struct err *err)
{
    auto_close int fd = openat(f->fd, name, O_RDONLY | O_CLOEXEC);
    auto_source struct source *s = source_fd(fd);

    return image_import(f->s, s, o, id, err);
}

TEST(import_makes_one_layer)
{
    struct fix f;
    struct err e = {0};
    char id[DIGEST_LEN + 1];
    struct oci_image_config config = {0};
    struct import_options o = {.ref = "root:1", .message = "by hand", .config = &config};
    struct oci_image *img = NULL;
    struct image_row row;

    NEED_ROOT();
    fix_init(&f);
    fix_sh(&f, "mkdir r; seq 1000 > r/f; tar -C r -czf r.tgz .; head -c 100 r.tgz > cut.tgz");
    strv_push(&f.a, &config.cmd, "f");
    CHECK_OK(import(&f, "r.tgz", &o, id, &e));
    CHECK_OK(image_resolve(f.s, "root:1", &f.a, &row, &e));
    CHECK_STR(row.id, id);
    CHECK_INT(row.layers.n, 1);
    CHECK_OK(image_config_read(f.s, id, &f.a, &img, NULL, &e));
    CHECK_STR(img->config->cmd.v[0], "f");
    CHECK_STR(img->comment, "by hand");
    CHECK_STR(img->history.v[0]->comment, "by hand");
    CHECK_STR(img->os, "linux");
    CHECK_OK(image_delete(f.s, id, &e));
    CHECK_INT(import(&f, "cut.tgz", &o, id, &e), -EBADMSG);
    o = (struct import_options){.ref = "UPPER"};
    CHECK_INT(import(&f, "r.tgz", &o, id, &e), -EINVAL);
    o = (struct import_options){.platform = "plan9/amd64"};
    CHECK_INT(import(&f, "r.tgz", &o, id, &e), -EINVAL);
    CHECK_OK(store_gc(f.s, NULL, NULL, &e));
    check_empty(&f);
    fix_done(&f);
}

TEST(the_builtin_image_is_made_once)
{
    struct fix f;
    struct err e = {0};
    char id[DIGEST_LEN + 1], again[DIGEST_LEN + 1];
    struct oci_image_config config = {0};
    struct image_row row;
    struct stat st;

    NEED_ROOT();
    fix_init(&f);
    strv_push(&f.a, &config.cmd, "/hello");
    CHECK_INT(image_builtin(f.s, "cleat/hello", "hello", "ELF", 3, &config, id, &e), 0);
    CHECK_INT(image_builtin(f.s, "cleat/hello", "hello", "ELF", 3, &config, again, &e), 1);
    CHECK_STR(id, again);
    CHECK_OK(image_resolve(f.s, "cleat/hello:latest", &f.a, &row, &e));
    struct strv lowers = image_lowers(&row, &f.a);
    CHECK_INT(lowers.n, 1);
    CHECK_INT(fstatat(f.fd, arena_printf(&f.a, "%s/hello", lowers.v[0]), &st, 0), 0);
    CHECK_INT(st.st_mode & 07777, 0755);
    CHECK_INT(image_builtin(f.s, "cleat/hello", "hello", "ELF2", 4, &config, again, &e), 0);
    CHECK(strcmp(id, again) != 0);
    fix_done(&f);
}

/* ---- many at once ---- */

static void *load_often(void *arg)
{
    struct fix *f = arg;
    auto_arena struct arena a = ARENA_INIT;

    for (int i = 0; i < 10; i++) {
        struct err e = {0};
        struct load_result res = {0};
        auto_close int fd = openat(f->fd, i % 3 ? "2.tar" : "1.tar", O_RDONLY | O_CLOEXEC);
        auto_source struct source *s = source_fd(fd);
        CHECK_OK(image_load(f->s, s, NULL, &a, &res, &e));
        if (i % 4 == 3) {
            int r = image_delete(f->s, res.v[0].id, &e); /* another thread may be first */
            CHECK(r >= 0 || r == -ENOENT);
            CHECK_OK(store_gc(f->s, NULL, NULL, &e));
        }
    }
    return NULL;
}

TEST(loads_and_collections_at_once)
{
    struct fix f;
    struct err e = {0};
    auto_buf struct buf out = BUF_INIT;
    struct load_result res;
    pthread_t t[4];

    NEED_ROOT();
    fix_init(&f);
    fix_sh(&f, PY "archive('1.tar', ['x:1'], config(A), A)\n"
                  "archive('2.tar', ['x:2'], config(A, B), A, B)" END);
    for (size_t i = 0; i < 4; i++)
        CHECK_INT(pthread_create(&t[i], NULL, load_often, &f), 0);
    for (size_t i = 0; i < 4; i++)
        CHECK_INT(pthread_join(t[i], NULL), 0);
    load_ok(&f, "1.tar", &res);
    load_ok(&f, "2.tar", &res);
    CHECK_OK(save(&f, "x", &out, &e));
    fix_done(&f);
}
