#include "cli/manifests.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/io.h"
#include "distribution/manifest.h"

#define FILE_MAX (16u << 20) /* a manifest, three times */

#define T struct oci_descriptor
/* In another order within a list, which decides about its digest. */
static const struct field entry_fields[] = {
    FIELD(T, "mediaType", F_STR, media_type, .flags = F_OMIT),
    FIELD(T, "size", F_I64, size),
    FIELD(T, "digest", F_STR, digest, .flags = F_REQUIRED),
    FIELD(T, "platform", F_PTR, platform, .type = &oci_platform_type),
};
static const struct json_type entry_type = JSON_TYPE("manifest", T, entry_fields);
#undef T

#define T struct listed_manifest
static const struct field listed_fields[] = {
    FIELD(T, "Ref", F_STR, ref),
    FIELD(T, "Descriptor", F_OBJ, descriptor, .type = &oci_descriptor_type),
    FIELD(T, "Raw", F_STR, raw, .flags = F_OMIT),
    FIELD(T, "SchemaV2Manifest", F_RAW, docker, .flags = F_OMIT),
    FIELD(T, "OCIManifest", F_RAW, oci, .flags = F_OMIT),
};
const struct json_type listed_manifest_type = JSON_TYPE("manifest", T, listed_fields);
#undef T

#define T struct manifest_list
static const struct field list_fields[] = {
    FIELD(T, "schemaVersion", F_I64, schema_version),
    FIELD(T, "mediaType", F_STR, media_type, .flags = F_OMIT),
    FIELD(T, "manifests", F_OBJV, manifests, .type = &entry_type, .flags = F_EMPTY),
};
const struct json_type manifest_list_type = JSON_TYPE("manifest list", T, list_fields);
#undef T

int manifest_reference(const char *text, struct reference *ret, struct err *err)
{
    int r = reference_parse(text, ret, err);

    if (r >= 0)
        reference_default_tag(ret);
    return r;
}

/* ---- files ---- */

/* "docker.io/library/busybox:latest" -> "docker.io_library_busybox-latest" */
static char *file_name(struct cli *cli, const struct reference *ref)
{
    char text[REF_TEXT_MAX + 1];
    char *name = arena_strdup(&cli->arena, reference_text(ref, text));

    for (char *c = name; *c; c++)
        *c = *c == ':' ? '-' : *c == '/' ? '_' : *c;
    return name;
}

static char *list_dir(struct cli *cli, const struct reference *list)
{
    return arena_printf(&cli->arena, "%s/manifests/%s", cli->config.dir, file_name(cli, list));
}

static int no_such(const struct reference *ref, struct err *err)
{
    char text[REF_TEXT_MAX + 1];

    return err_not_found(err, "No such manifest: %s", reference_text(ref, text));
}

static int read_one(struct cli *cli, const char *path, struct listed_manifest **ret,
                    struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    struct listed_manifest *m = arena_new(&cli->arena, struct listed_manifest);
    int r = read_file_at(AT_FDCWD, path, FILE_MAX, &text, err);

    if (r < 0)
        return r;
    char *copy = arena_strndup(&cli->arena, buf_str(&text), text.len);
    r = json_decode(&listed_manifest_type, copy, text.len, &cli->arena, m, 0, err);
    if (r < 0)
        return err_wrap(err, r, "%s", path);
    *ret = m;
    return 0;
}

int manifests_get(struct cli *cli, const struct reference *list, const struct reference *ref,
                  struct listed_manifest **ret, struct err *err)
{
    char *path = arena_printf(&cli->arena, "%s/%s", list_dir(cli, list), file_name(cli, ref));
    int r = read_one(cli, path, ret, err);

    return r == -ENOENT ? no_such(ref, err) : r;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Files of a list in the order of their names: it is the order of the pushed list. */
static int list_files(struct cli *cli, const char *dir, struct strv *ret, struct err *err)
{
    auto_dir DIR *d = opendir(dir);

    if (!d)
        return err_sys(err, "%s", dir);
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        if (ret->n == MANIFESTS_MAX)
            return err_invalid(err, "%s: more than %d manifests", dir, MANIFESTS_MAX);
        strv_push(&cli->arena, ret, e->d_name);
    }
    if (ret->n)
        qsort(ret->v, ret->n, sizeof(*ret->v), by_name);
    return 0;
}

int manifests_all(struct cli *cli, const struct reference *list, struct listed_manifests *ret,
                  struct err *err)
{
    struct listed_manifests all = {0};
    struct strv files = {0};
    char *dir = list_dir(cli, list);
    int r = list_files(cli, dir, &files, err);

    if (r == -ENOENT)
        return no_such(list, err);
    for (size_t i = 0; r >= 0 && i < files.n; i++) {
        struct listed_manifest *m = NULL;
        r = read_one(cli, arena_printf(&cli->arena, "%s/%s", dir, files.v[i]), &m, err);
        if (r >= 0)
            arena_push(&cli->arena, all) = m;
    }
    if (r >= 0)
        *ret = all;
    return r;
}

int manifests_put(struct cli *cli, const struct reference *list, const struct reference *ref,
                  const struct listed_manifest *m, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    char *dir = list_dir(cli, list);
    int r = mkdir_p_at(AT_FDCWD, dir, 0755, err);

    if (r < 0)
        return r;
    json_encode(&listed_manifest_type, m, &text);
    return write_file_at(AT_FDCWD, arena_printf(&cli->arena, "%s/%s", dir, file_name(cli, ref)),
                         0644, text.data, text.len, true, err);
}

int manifests_remove(struct cli *cli, const struct reference *list, struct err *err)
{
    return remove_tree_at(AT_FDCWD, list_dir(cli, list), err);
}

/* ---- as a document ---- */

int manifests_encode(struct cli *cli, const struct reference *target,
                     const struct listed_manifests *all, struct manifest_list *list,
                     struct buf *out, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;

    list->schema_version = 2;
    for (size_t i = 0; i < all->n; i++) {
        struct listed_manifest *m = all->v[i];
        struct reference from;
        int r = reference_parse(m->ref, &from, err);
        if (r < 0)
            return r;
        if (from.domain_len != target->domain_len ||
            strncmp(from.name, target->name, from.domain_len) != 0)
            return err_invalid(err,
                               "cannot use source images from a different registry than the "
                               "target image: %.*s != %.*s",
                               (int)from.domain_len, from.name, (int)target->domain_len,
                               target->name);
        if (!m->descriptor.platform)
            m->descriptor.platform = arena_new(&cli->arena, struct oci_platform);
        arena_push(&cli->arena, list->manifests) = &m->descriptor;
    }
    bool oci = all->n && str_eq(all->v[0]->descriptor.media_type, MEDIA_OCI_MANIFEST);
    list->media_type = arena_strdup(&cli->arena, oci ? MEDIA_OCI_INDEX : MEDIA_DOCKER_LIST);
    json_encode(&manifest_list_type, list, &text);
    json_pretty(text.data, text.len, "", "   ", out);
    return 0;
}
