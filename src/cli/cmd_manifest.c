#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/manifests.h"
#include "distribution/manifest.h"
#include "distribution/session.h"

/*
 * cleat manifest: lists of manifests, made here and pushed by the client itself: the daemon has no
 * part in it, as with docker.
 */

struct manifest_opts {
    char *os, *arch, *os_version, *variant;
    struct strv os_features;
    bool amend, insecure, purge;
};

/* ---- create ---- */

/* One that the list has already stays as it was annotated. */
static int add_image(struct cli *cli, const struct reference *list, const char *name, bool insecure,
                     struct err *err)
{
    auto_dist_session struct dist_session *s = NULL;
    struct listed_manifest *m = NULL;
    struct reference ref;
    char text[REF_TEXT_MAX + 1];
    int r = manifest_reference(name, &ref, err);

    if (r < 0)
        return r;
    r = manifests_get(cli, list, &ref, &m, err);
    if (r == -ENOENT) {
        err_clear(err);
        r = remote_open(cli, &ref, insecure, false, &s, err);
        if (r >= 0)
            r = remote_manifest(cli, s, &ref, &m, err);
    }
    if (r > 0)
        return err_invalid(err, "%s is a manifest list", reference_text(&ref, text));
    return r < 0 ? r : manifests_put(cli, list, &ref, m, err);
}

static int run_create(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct manifest_opts *o = opts;
    struct listed_manifests old = {0};
    struct reference list;
    char text[REF_TEXT_MAX + 1];
    int r = manifest_reference(args->v[0], &list, err);

    if (r < 0)
        return err_wrap(err, r, "error parsing name for manifest list %s", args->v[0]);
    r = manifests_all(cli, &list, &old, err);
    if (r == -ENOENT)
        err_clear(err);
    else if (r < 0)
        return r;
    else if (!o->amend)
        return err_conflict(err,
                            "refusing to amend an existing manifest list with no --amend flag");
    r = 0;
    for (size_t i = 1; r >= 0 && i < args->n; i++)
        r = add_image(cli, &list, args->v[i], o->insecure, err);
    if (r >= 0)
        printf("Created manifest list %s\n", reference_text(&list, text));
    return r;
}

/* ---- annotate ---- */

/* What images are made for: Go's names. */
static bool is_platform(const char *os, const char *arch)
{
    static const char known[] =
        " darwin/386 darwin/amd64 darwin/arm darwin/arm64 dragonfly/amd64 freebsd/386 "
        "freebsd/amd64 freebsd/arm linux/386 linux/amd64 linux/arm linux/arm64 linux/mips64 "
        "linux/mips64le linux/ppc64le linux/riscv64 linux/s390x netbsd/386 netbsd/amd64 netbsd/arm "
        "openbsd/386 openbsd/amd64 openbsd/arm plan9/386 plan9/amd64 solaris/amd64 windows/386 "
        "windows/amd64 windows/arm windows/arm64 ";
    char pair[64];
    int n = snprintf(pair, sizeof(pair), " %s/%s ", os, arch);

    return n > 0 && (size_t)n < sizeof(pair) && !strpbrk(os, " /") && !strpbrk(arch, " /") &&
           strstr(known, pair);
}

static void take(char **to, char *given)
{
    if (!str_empty(given))
        *to = given;
}

static int annotate(struct cli *cli, const struct manifest_opts *o, struct listed_manifest *m,
                    struct err *err)
{
    struct oci_platform *p = m->descriptor.platform;

    if (!p)
        p = m->descriptor.platform = arena_new(&cli->arena, struct oci_platform);
    take(&p->os, o->os);
    take(&p->architecture, o->arch);
    take(&p->variant, o->variant);
    take(&p->os_version, o->os_version);
    for (size_t i = 0; i < o->os_features.n; i++)
        if (!strv_has(&p->os_features, o->os_features.v[i]))
            strv_push(&cli->arena, &p->os_features, o->os_features.v[i]);
    if (!is_platform(str_or(p->os, ""), str_or(p->architecture, "")))
        return err_invalid(err,
                           "manifest entry for image has unsupported os/arch combination: %s/%s",
                           str_or(o->os, ""), str_or(o->arch, ""));
    return 0;
}

static int run_annotate(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    struct listed_manifest *m = NULL;
    struct reference list, ref;
    int r = manifest_reference(args->v[0], &list, err);

    if (r < 0)
        return err_wrap(err, r, "annotate: error parsing name for manifest list %s", args->v[0]);
    r = manifest_reference(args->v[1], &ref, err);
    if (r < 0)
        return err_wrap(err, r, "annotate: error parsing name for manifest %s", args->v[1]);
    r = manifests_get(cli, &list, &ref, &m, err);
    if (r == -ENOENT)
        return err_not_found(err, "manifest for image %s does not exist in %s", args->v[1],
                             args->v[0]);
    if (r >= 0)
        r = annotate(cli, opts, m, err);
    return r < 0 ? r : manifests_put(cli, &list, &ref, m, err);
}

/* ---- push ---- */

static int check_platforms(const struct listed_manifests *all, struct err *err)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct oci_platform *p = all->v[i]->descriptor.platform;
        if (!p || str_empty(p->os) || str_empty(p->architecture))
            return err_invalid(err,
                               "manifest %s must have an OS and Architecture to be pushed to a "
                               "registry",
                               all->v[i]->ref);
    }
    return 0;
}

/* A list names only what its own repository has. */
static int copy_images(struct cli *cli, struct dist_session *s, const struct reference *target,
                       const struct listed_manifests *all, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < all->n; i++) {
        const struct listed_manifest *m = all->v[i];
        struct reference from;
        r = reference_parse(m->ref, &from, err);
        if (r < 0 || strcmp(from.name, target->name) == 0)
            continue;
        r = remote_copy(cli, s, m, target, err);
        if (r >= 0)
            printf("Pushed ref %s@%s with digest: %s\n", target->name, m->descriptor.digest,
                   m->descriptor.digest);
    }
    return r;
}

static int push_list(struct cli *cli, const struct manifest_opts *o, const struct reference *target,
                     const struct listed_manifests *all, struct err *err)
{
    auto_dist_session struct dist_session *s = NULL;
    auto_buf struct buf text = BUF_INIT;
    struct manifest_list list = {0};
    struct dist_manifest doc = {0};
    int r = manifests_encode(cli, target, all, &list, &text, err);

    if (r >= 0)
        r = remote_open(cli, target, o->insecure, true, &s, err);
    if (r >= 0)
        r = copy_images(cli, s, target, all, err);
    if (r < 0)
        return r;
    doc.text = buf_str(&text);
    doc.len = text.len;
    doc.media_type = list.media_type;
    sha256_of(doc.text, doc.len, doc.digest);
    r = dist_manifest_put(s, reference_repo(target), *target->digest ? target->digest : target->tag,
                          &doc, err);
    if (r >= 0)
        printf("%s\n", doc.digest);
    return r;
}

static int run_push(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct manifest_opts *o = opts;
    struct listed_manifests all = {0};
    struct reference target;
    char text[REF_TEXT_MAX + 1];
    int r = manifest_reference(args->v[0], &target, err);

    if (r >= 0)
        r = manifests_all(cli, &target, &all, err);
    if (r >= 0 && all.n == 0)
        r = err_not_found(err, "%s not found", reference_text(&target, text));
    if (r >= 0)
        r = check_platforms(&all, err);
    if (r >= 0)
        r = push_list(cli, o, &target, &all, err);
    return r < 0 || !o->purge ? r : manifests_remove(cli, &target, err);
}

/* ---- rm ---- */

static int remove_list(struct cli *cli, const char *name, struct err *err)
{
    struct listed_manifests all = {0};
    struct reference list;
    int r = manifest_reference(name, &list, err);

    if (r >= 0)
        r = manifests_all(cli, &list, &all, err);
    return r < 0 ? r : manifests_remove(cli, &list, err);
}

static int run_rm(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    int status = 0;

    (void)opts, (void)err;
    for (size_t i = 0; i < args->n; i++) {
        struct err why = {0};
        if (remove_list(cli, args->v[i], &why) >= 0)
            continue;
        fprintf(stderr, "%s\n", why.msg);
        status = 1;
    }
    return status;
}

#define O(...) OPT(struct manifest_opts, __VA_ARGS__)
#define O_INSECURE O("insecure", 0, O_BOOL, insecure, INSECURE_HELP)

static const struct opt annotate_opts[] = {
    O("arch", 0, O_STR, arch, "Architecture"),
    O("os", 0, O_STR, os, "Operating system"),
    O("os-features", 0, O_CSV, os_features, "Features of the operating system"),
    O("os-version", 0, O_STR, os_version, "Version of the operating system"),
    O("variant", 0, O_STR, variant, "Variant of the architecture"),
};
static const struct opt create_opts[] = {
    O("amend", 'a', O_BOOL, amend, "Add to a list that exists"),
    O_INSECURE,
};
static const struct opt push_opts[] = {
    O_INSECURE,
    O("purge", 'p', O_BOOL, purge, "Remove the local list after the push"),
};

const struct command cmd_manifest_annotate = {
    .paths = (const char *const[]){"manifest annotate", NULL},
    .usage = "[OPTIONS] MANIFEST_LIST MANIFEST",
    .help = "Say more about an image of a local list",
    OPTS(annotate_opts),
    .opts_size = sizeof(struct manifest_opts),
    .args = {2, 2},
    .run = run_annotate,
};
const struct command cmd_manifest_create = {
    .paths = (const char *const[]){"manifest create", NULL},
    .usage = "MANIFEST_LIST MANIFEST [MANIFEST...]",
    .help = "Make a local list of manifests, to annotate and push it",
    OPTS(create_opts),
    .opts_size = sizeof(struct manifest_opts),
    .args = {2, -1},
    .run = run_create,
};
const struct command cmd_manifest_push = {
    .paths = (const char *const[]){"manifest push", NULL},
    .usage = "[OPTIONS] MANIFEST_LIST",
    .help = "Push a list of manifests to its repository",
    OPTS(push_opts),
    .opts_size = sizeof(struct manifest_opts),
    .args = {1, 1},
    .run = run_push,
};
const struct command cmd_manifest_rm = {
    .paths = (const char *const[]){"manifest rm", NULL},
    .usage = "MANIFEST_LIST [MANIFEST_LIST...]",
    .help = "Remove local lists of manifests",
    .args = {1, -1},
    .run = run_rm,
};
