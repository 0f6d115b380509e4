#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "base/base64.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/manifests.h"
#include "distribution/session.h"

/* cleat manifest inspect: of a local list, else of a registry. */

struct inspect_opts {
    bool insecure, verbose;
};

static void print_pretty(const struct buf *text, const char *indent)
{
    auto_buf struct buf out = BUF_INIT;

    json_pretty(text->data, text->len, "", indent, &out);
    printf("%s\n", buf_str(&out));
}

static int print_one(const struct listed_manifest *m, bool verbose, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;

    if (verbose)
        json_encode(&listed_manifest_type, m, &text);
    else if (base64_decode(str_or(m->raw, ""), strlen(str_or(m->raw, "")), &text) < 0)
        return err_invalid(err, "manifest %s is damaged", m->ref);
    print_pretty(&text, "\t");
    return 0;
}

static int print_list(struct cli *cli, const struct reference *target,
                      const struct listed_manifests *all, bool verbose, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    struct manifest_list list = {0};

    if (!verbose) {
        int r = manifests_encode(cli, target, all, &list, &text, err);
        if (r >= 0)
            printf("%s\n", buf_str(&text));
        return r;
    }
    buf_putc(&text, '[');
    for (size_t i = 0; i < all->n; i++) {
        if (i > 0)
            buf_putc(&text, ',');
        json_encode(&listed_manifest_type, all->v[i], &text);
    }
    buf_putc(&text, ']');
    print_pretty(&text, "\t");
    return 0;
}

static int inspect_remote(struct cli *cli, const struct inspect_opts *o,
                          const struct reference *ref, struct err *err)
{
    auto_dist_session struct dist_session *s = NULL;
    struct listed_manifests all = {0};
    struct listed_manifest *m = NULL;
    int r = remote_open(cli, ref, o->insecure, false, &s, err);

    if (r >= 0)
        r = remote_manifest(cli, s, ref, &m, err);
    if (r == 0)
        return print_one(m, o->verbose, err);
    if (r > 0)
        r = remote_list(cli, s, ref, &all, err);
    return r < 0 ? r : print_list(cli, ref, &all, o->verbose, err);
}

static int run_inspect(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    const struct inspect_opts *o = opts;
    struct listed_manifests all = {0};
    struct listed_manifest *m = NULL;
    struct reference ref, list;
    int r = manifest_reference(args->v[args->n - 1], &ref, err);

    if (r < 0)
        return r;
    if (args->n == 2) {
        r = manifest_reference(args->v[0], &list, err);
        if (r >= 0)
            r = manifests_get(cli, &list, &ref, &m, err);
        return r < 0 ? r : print_one(m, o->verbose, err);
    }
    r = manifests_all(cli, &ref, &all, err);
    if (r >= 0)
        return print_list(cli, &ref, &all, o->verbose, err);
    if (r != -ENOENT)
        return r;
    err_clear(err);
    return inspect_remote(cli, o, &ref, err);
}

static const struct opt inspect_opts[] = {
    OPT(struct inspect_opts, "insecure", 0, O_BOOL, insecure, INSECURE_HELP),
    OPT(struct inspect_opts, "verbose", 'v', O_BOOL, verbose,
        "Show platforms and where it is from, too"),
};

const struct command cmd_manifest_inspect = {
    .paths = (const char *const[]){"manifest inspect", NULL},
    .usage = "[OPTIONS] [MANIFEST_LIST] MANIFEST",
    .help = "Show a manifest or a list of manifests",
    OPTS(inspect_opts),
    .opts_size = sizeof(struct inspect_opts),
    .args = {1, 2},
    .run = run_inspect,
};
