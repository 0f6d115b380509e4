#include "image/manifest.h"

#include <errno.h>
#include <stdio.h>

#define T struct oci_image_health
static const struct field health_fields[] = {
    FIELD(T, "Test", F_STRV, test, .flags = F_OMIT),
    FIELD(T, "Interval", F_I64, interval_ns, .flags = F_OMIT),
    FIELD(T, "Timeout", F_I64, timeout_ns, .flags = F_OMIT),
    FIELD(T, "StartPeriod", F_I64, start_period_ns, .flags = F_OMIT),
    FIELD(T, "StartInterval", F_I64, start_interval_ns, .flags = F_OMIT),
    FIELD(T, "Retries", F_I64, retries, .flags = F_OMIT),
};
const struct json_type oci_image_health_type = JSON_TYPE("Healthcheck", T, health_fields);
#undef T

#define T struct oci_image_config
static const struct field config_fields[] = {
    FIELD(T, "Hostname", F_STR, hostname, .flags = F_OMIT),
    FIELD(T, "Domainname", F_STR, domainname, .flags = F_OMIT),
    FIELD(T, "User", F_STR, user, .flags = F_OMIT),
    FIELD(T, "AttachStdin", F_BOOL, attach_stdin, .flags = F_OMIT),
    FIELD(T, "AttachStdout", F_BOOL, attach_stdout, .flags = F_OMIT),
    FIELD(T, "AttachStderr", F_BOOL, attach_stderr, .flags = F_OMIT),
    FIELD(T, "ExposedPorts", F_SETMAP, exposed_ports, .flags = F_OMIT),
    FIELD(T, "Tty", F_BOOL, tty, .flags = F_OMIT),
    FIELD(T, "OpenStdin", F_BOOL, open_stdin, .flags = F_OMIT),
    FIELD(T, "StdinOnce", F_BOOL, stdin_once, .flags = F_OMIT),
    FIELD(T, "Env", F_STRV, env, .flags = F_OMIT),
    FIELD(T, "Cmd", F_STRV, cmd, .flags = F_OMIT),
    FIELD(T, "Healthcheck", F_PTR, health, .type = &oci_image_health_type, .flags = F_OMIT),
    FIELD(T, "ArgsEscaped", F_BOOL, args_escaped, .flags = F_OMIT),
    FIELD(T, "Image", F_STR, image, .flags = F_OMIT),
    FIELD(T, "Volumes", F_SETMAP, volumes, .flags = F_OMIT),
    FIELD(T, "WorkingDir", F_STR, working_dir, .flags = F_OMIT),
    FIELD(T, "Entrypoint", F_STRV, entrypoint, .flags = F_OMIT),
    FIELD(T, "OnBuild", F_STRV, on_build, .flags = F_OMIT),
    FIELD(T, "Labels", F_STRMAP, labels, .flags = F_OMIT),
    FIELD(T, "StopSignal", F_STR, stop_signal, .flags = F_OMIT),
    FIELD(T, "Shell", F_STRV, shell, .flags = F_OMIT),
};
const struct json_type oci_image_config_type = JSON_TYPE("config", T, config_fields);
#undef T

#define T struct oci_image_history
static const struct field history_fields[] = {
    FIELD(T, "created", F_STR, created, .flags = F_OMIT),
    FIELD(T, "created_by", F_STR, created_by, .flags = F_OMIT),
    FIELD(T, "author", F_STR, author, .flags = F_OMIT),
    FIELD(T, "comment", F_STR, comment, .flags = F_OMIT),
    FIELD(T, "empty_layer", F_BOOL, empty_layer, .flags = F_OMIT),
};
static const struct json_type history_type = JSON_TYPE("history", T, history_fields);
#undef T

static const struct field step_fields[] = {
    FIELD(struct oci_image_step, "key", F_STR, key, .flags = F_REQUIRED),
    FIELD(struct oci_image_step, "layer", F_I64, layer),
};
static const struct json_type step_type = JSON_TYPE("step", struct oci_image_step, step_fields);

#define T struct oci_image_rootfs
static const struct field rootfs_fields[] = {
    FIELD(T, "type", F_STR, type),
    FIELD(T, "diff_ids", F_STRV, diff_ids, .flags = F_EMPTY),
};
static const struct json_type rootfs_type = JSON_TYPE("rootfs", T, rootfs_fields);
#undef T

#define T struct oci_image
static const struct field image_fields[] = {
    FIELD(T, "created", F_STR, created, .flags = F_OMIT),
    FIELD(T, "author", F_STR, author, .flags = F_OMIT),
    FIELD(T, "architecture", F_STR, architecture),
    FIELD(T, "os", F_STR, os),
    FIELD(T, "os.version", F_STR, os_version, .flags = F_OMIT),
    FIELD(T, "os.features", F_STRV, os_features, .flags = F_OMIT),
    FIELD(T, "variant", F_STR, variant, .flags = F_OMIT),
    FIELD(T, "comment", F_STR, comment, .flags = F_OMIT),
    FIELD(T, "docker_version", F_STR, docker_version, .flags = F_OMIT),
    FIELD(T, "container", F_STR, container, .flags = F_OMIT),
    FIELD(T, "config", F_PTR, config, .type = &oci_image_config_type, .flags = F_OMIT),
    FIELD(T, "rootfs", F_OBJ, rootfs, .type = &rootfs_type),
    FIELD(T, "history", F_OBJV, history, .type = &history_type, .flags = F_OMIT),
    FIELD(T, "cleat.build.steps", F_OBJV, steps, .type = &step_type, .flags = F_OMIT),
};
const struct json_type oci_image_type = JSON_TYPE("image config", T, image_fields);
#undef T

#define T struct oci_manifest
static const struct field manifest_fields[] = {
    FIELD(T, "schemaVersion", F_I64, schema_version, .flags = F_REQUIRED),
    FIELD(T, "mediaType", F_STR, media_type, .flags = F_OMIT),
    FIELD(T, "artifactType", F_STR, artifact_type, .flags = F_OMIT),
    FIELD(T, "config", F_PTR, config, .type = &oci_descriptor_type, .flags = F_OMIT),
    FIELD(T, "layers", F_OBJV, layers, .type = &oci_descriptor_type, .flags = F_OMIT),
    FIELD(T, "manifests", F_OBJV, manifests, .type = &oci_descriptor_type, .flags = F_OMIT),
    FIELD(T, "annotations", F_STRMAP, annotations, .flags = F_OMIT),
};
const struct json_type oci_manifest_type = JSON_TYPE("manifest", T, manifest_fields);

static const struct field image_manifest_fields[] = {
    FIELD(T, "schemaVersion", F_I64, schema_version, .flags = F_REQUIRED),
    FIELD(T, "mediaType", F_STR, media_type, .flags = F_OMIT),
    FIELD(T, "artifactType", F_STR, artifact_type, .flags = F_OMIT),
    FIELD(T, "config", F_PTR, config, .type = &oci_descriptor_type),
    FIELD(T, "layers", F_OBJV, layers, .type = &oci_descriptor_type, .flags = F_EMPTY),
    FIELD(T, "annotations", F_STRMAP, annotations, .flags = F_OMIT),
};
const struct json_type oci_image_manifest_type = JSON_TYPE("manifest", T, image_manifest_fields);
#undef T

#define T struct archive_image
static const struct field archive_fields[] = {
    FIELD(T, "Config", F_STR, config, .flags = F_REQUIRED),
    FIELD(T, "RepoTags", F_STRV, repo_tags),
    FIELD(T, "Layers", F_STRV, layers),
};
const struct json_type archive_image_type = JSON_TYPE("manifest", T, archive_fields);
#undef T

/* The file is a list; the codec knows objects. */
int archive_manifest_decode(const char *text, size_t len, struct arena *a,
                            struct archive_images *ret, struct err *err)
{
    struct archive_images all = {0};
    struct json *top = NULL;
    int r = json_parse(text, len, a, &top, err);

    if (r < 0)
        return err_wrap(err, r, "invalid manifest");
    if (top->kind != JSON_ARRAY)
        return err_invalid(err, top->kind == JSON_NULL
                                    ? "invalid manifest, manifest cannot be null (but can be [])"
                                    : "invalid manifest: want a list of images");
    for (const struct json *j = top->child; j; j = j->next) {
        struct archive_image *img = arena_new(a, struct archive_image);
        r = json_decode(&archive_image_type, j->raw, j->raw_len, a, img, JSON_NOCASE, err);
        if (r < 0)
            return err_wrap(err, r, "invalid manifest");
        arena_push(a, all) = img;
    }
    *ret = all;
    return 0;
}

struct oci_platform oci_image_platform(const struct oci_image *img)
{
    return (struct oci_platform){.architecture = img->architecture,
                                 .os = img->os,
                                 .os_version = img->os_version,
                                 .os_features = img->os_features,
                                 .variant = img->variant};
}

void chain_id(const struct strv *diff_ids, size_t n, char out[DIGEST_LEN + 1])
{
    char pair[2 * DIGEST_LEN + 2];

    (void)snprintf(out, DIGEST_LEN + 1, "%s", n ? diff_ids->v[0] : "");
    for (size_t i = 1; i < n; i++) {
        int len = snprintf(pair, sizeof(pair), "%s %s", out, diff_ids->v[i]);
        sha256_of(pair, (size_t)len, out);
    }
}
