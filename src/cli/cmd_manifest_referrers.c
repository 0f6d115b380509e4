#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/list.h"
#include "cli/manifests.h"
#include "distribution/manifest.h"
#include "distribution/referrers.h"
#include "distribution/session.h"

/* cleat manifest referrers: signatures, attestations and other artifacts about a manifest. */

struct referrers_opts {
    bool insecure, no_trunc;
    char *artifact_type, *format;
};

static const struct heading headings[] = {
    {"Digest", "DIGEST"},        {"ArtifactType", "ARTIFACT TYPE"},
    {"MediaType", "MEDIA TYPE"}, {"Size", "SIZE"},
    {"Created", "CREATED"},      {NULL, "*manifest.referrer"},
};

#define REFERRERS "table {{.Digest}}\t{{.ArtifactType}}\t{{.Size}}\t{{.Created}}"

static int put_referrer(struct list *l, const struct oci_descriptor *d, bool whole, struct err *err)
{
    const char *created = strmap_get(&d->annotations, "org.opencontainers.image.created");

    list_row(l);
    list_cell(l, "Digest", whole ? d->digest : cell_short_id(l->a, d->digest, false));
    list_cell(l, "ArtifactType", cell_printable(l->a, str_or(d->artifact_type, "<none>")));
    list_cell(l, "MediaType", cell_printable(l->a, str_or(d->media_type, "")));
    list_cell(l, "Size", cell_size(l->a, (double)d->size));
    list_cell(l, "Created", cell_printable(l->a, str_or(created, "")));
    return list_row_end(l, &d->annotations, err);
}

/* What they are about: a digest as it is, a tag's as the registry says. */
static int digest_of(struct cli *cli, struct dist_session *s, const struct reference *ref,
                     char out[DIGEST_LEN + 1], struct err *err)
{
    char text[REF_TEXT_MAX + 1];
    struct dist_manifest doc;

    if (ref->digest[0]) {
        (void)snprintf(out, DIGEST_LEN + 1, "%s", ref->digest);
        return 0;
    }
    int r = dist_manifest_get(s, reference_repo(ref), ref->tag, &cli->arena, &doc, err);
    if (r == -ENOENT || r == -ENOMEDIUM)
        return err_not_found(err, "no such manifest: %s", reference_text(ref, text));
    if (r >= 0)
        memcpy(out, doc.digest, sizeof(doc.digest));
    return r;
}

static int run_referrers(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct referrers_opts *o = opts;
    auto_dist_session struct dist_session *s = NULL;
    auto_list struct list l = {0};
    struct dist_referrers found = {0};
    char digest[DIGEST_LEN + 1];
    struct reference ref;
    bool json = str_eq(o->format, "json");
    int r = list_begin(&l, &cli->arena, o->format, REFERRERS, headings, err);

    if (r >= 0)
        r = manifest_reference(args->v[0], &ref, err);
    if (r >= 0)
        r = remote_open(cli, &ref, o->insecure, false, &s, err);
    if (r >= 0)
        r = digest_of(cli, s, &ref, digest, err);
    if (r >= 0)
        r = dist_referrers(s, reference_repo(&ref), digest,
                           str_empty(o->artifact_type) ? NULL : o->artifact_type, &cli->arena,
                           &found, err);
    for (size_t i = 0; r >= 0 && i < found.manifests.n; i++)
        r = put_referrer(&l, found.manifests.v[i], o->no_trunc || json, err);
    if (r >= 0)
        list_end(&l);
    return r < 0 ? r : 0;
}

static const struct opt referrers_opts[] = {
    OPT(struct referrers_opts, "artifact-type", 0, O_STR, artifact_type, "Only those of this type"),
    OPT(struct referrers_opts, "format", 0, O_STR, format, FORMAT_HELP),
    OPT(struct referrers_opts, "insecure", 0, O_BOOL, insecure, INSECURE_HELP),
    OPT(struct referrers_opts, "no-trunc", 0, O_BOOL, no_trunc, "Do not shorten the output"),
};

const struct command cmd_manifest_referrers = {
    .paths = (const char *const[]){"manifest referrers", NULL},
    .usage = "[OPTIONS] MANIFEST",
    .help = "List signatures, attestations and other artifacts about a manifest",
    OPTS(referrers_opts),
    .opts_size = sizeof(struct referrers_opts),
    .args = {1, 1},
    .run = run_referrers,
};
