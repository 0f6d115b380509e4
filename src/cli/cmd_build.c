#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/map.h"
#include "cli/build.h"
#include "cli/build_output.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/pull.h"
#include "cli/specs.h"

/* cleat build: context and options to the daemon, its progress to the terminal. */

/* ---- what is left behind ---- */

static int write_text(struct cli *cli, const char *path, const char *text, struct err *err)
{
    int r = write_file_at(AT_FDCWD, path, 0644, text, strlen(text), false, err);

    (void)cli;
    return r < 0 ? err_wrap(err, r, "write %s", path) : 0;
}

static int write_metadata(struct cli *cli, const struct build_flags *f,
                          const struct build_outcome *out, struct err *err)
{
    auto_buf struct buf text = BUF_INIT, pretty = BUF_INIT;
    struct json_w w = {.out = &text};
    struct strv names = {0};

    for (size_t i = 0; i < f->tag.n; i++)
        strv_push(&cli->arena, &names, ref_full(&cli->arena, f->tag.v[i]));
    json_w_obj(&w);
    json_w_key(&w, "containerimage.config.digest");
    json_w_str(&w, out->image);
    json_w_key(&w, "containerimage.digest");
    json_w_str(&w, out->image);
    if (names.n) {
        json_w_key(&w, "image.name");
        json_w_str(&w, strv_join(&cli->arena, &names, ","));
    }
    json_w_end_obj(&w);
    json_pretty(text.data, text.len, "", "  ", &pretty);
    return write_text(cli, f->metadata_file, buf_str(&pretty), err);
}

static int leave(struct cli *cli, const struct build_flags *f, const struct build_outcome *out,
                 bool stdout_taken, struct err *err)
{
    int r = 0;

    if (!str_empty(f->iidfile))
        r = write_text(cli, f->iidfile, out->image, err);
    if (r >= 0 && !str_empty(f->metadata_file))
        r = write_metadata(cli, f, out, err);
    if (r >= 0 && f->quiet && !stdout_taken)
        printf("%s\n", out->image);
    return r;
}

/* ---- the build ---- */

static const char *mode_of(const struct build_flags *f)
{
    if (f->quiet || str_eq(f->progress, "quiet") || str_eq(f->progress, "none"))
        return "quiet";
    if (!str_eq(f->progress, "auto"))
        return f->progress;
    return isatty(2) ? "tty" : "plain";
}

static int send(struct cli *cli, const struct build_flags *f, struct build_context *c,
                const char *target, struct http_reply **ret, struct err *err)
{
    struct http_call call = {.method = "POST", .once = true};
    const char *auths = config_all_auths(cli);

    if (c->dockerfile)
        target = cli_query(cli, target, "dockerfile", c->dockerfile);
    call.target = cli_query(cli, target, "remote", c->remote);
    if (auths)
        strmap_set(&cli->arena, &call.headers, "X-Registry-Config", auths);
    return build_context_send(c, f->compress, &call, ret, err);
}

/* Secrets first, then what the daemon lacks. Return: 1 it was asked what that is, 0, -errno. */
static int begin(struct cli *cli, const struct build_flags *f, struct build_context *c, bool sync,
                 const char *target, struct http_reply **ret, struct err *err)
{
    char *session = NULL;
    int r = build_session_open(cli, f, &session, err), synced = 0;

    if (r >= 0 && sync)
        synced = r = build_sync(c, session, &session, err);
    if (r >= 0)
        r = send(cli, f, c, cli_query(cli, target, "session", session), ret, err);
    return r < 0 ? r : synced;
}

static int build(struct cli *cli, const struct build_flags *f, struct build_context *c,
                 struct build_outcome *out, struct err *err)
{
    struct http_reply *reply = NULL;
    struct err e = {0};
    char *target = NULL;
    int r = build_target(cli, f, &target, err);

    if (r < 0)
        return r;
    r = begin(cli, f, c, true, target, &reply, &e);
    if (r < 0 && e.kind == ERR_CONFLICT && c->wanted) { /* it changed while it was sent */
        map_free(take_ptr(&c->wanted));
        err_clear(&e);
        r = begin(cli, f, c, false, target, &reply, &e);
    }
    if (r < 0) {
        *err = e;
        return r;
    }
    r = build_follow(cli, reply, mode_of(f), c, f->check, out, err);
    if (r < 0)
        return err_wrap(err, r, "ERROR: failed to build");
    if (f->check)
        return out->warnings ? 1 : 0;
    return str_empty(out->image) ? err_invalid(err, "the daemon told no result") : 0;
}

static int run(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    struct build_flags *f = opts;
    struct build_outcome out = {0};
    struct build_outputs outputs = {0};
    struct build_context c;
    int r = build_outputs_parse(cli, f, &outputs, err);

    if (r >= 0)
        r = build_cache_options(cli, f, err);
    if (r >= 0)
        r = build_flags_check(f, err);
    if (r >= 0)
        r = need_client(cli, err);
    if (r < 0)
        return r;
    if (!str_empty(f->iidfile) && unlink(f->iidfile) < 0 && errno != ENOENT)
        return err_sys(err, "remove %s", f->iidfile);
    r = build_context_open(cli, f, args->v[0], &c, err);
    if (r >= 0)
        r = build(cli, f, &c, &out, err);
    build_context_done(&c);
    if (r || f->check)
        return r;
    r = build_outputs_write(cli, f, &outputs, &out, str_eq(mode_of(f), "quiet"), err);
    return r < 0 ? r : leave(cli, f, &out, build_outputs_use_stdout(&outputs), err);
}

/* ---- the table ---- */

#define O(...) OPT(struct build_flags, __VA_ARGS__)
#define NO_EFFECT "Accepted, without effect"
#define LATER "Not built yet"

static const struct opt opts[] = {
    O("add-host", 0, O_CUSTOM, add_host, "Add a line to /etc/hosts while building (\"host:ip\")",
      .type = "strings", .check = check_host),
    O("allow", 0, O_LIST, allow,
      "Allow what steps may ask for (\"network.host\", \"security.insecure\")",
      .type = "stringArray"),
    O("annotation", 0, O_LIST, annotation, LATER, .type = "stringArray", .flags = OPT_HIDDEN),
    O("attest", 0, O_LIST, attest, LATER, .type = "stringArray", .flags = OPT_HIDDEN),
    O("build-arg", 0, O_LIST, build_arg,
      "Set a variable of the build (\"NAME=value\", or NAME of the environment)",
      .type = "stringArray"),
    O("build-context", 0, O_LIST, build_context, LATER, .type = "stringArray", .flags = OPT_HIDDEN),
    O("builder", 0, O_STR, builder, "Builder to use: there is one, \"default\"",
      .flags = OPT_HIDDEN),
    O("cache-from", 0, O_LIST, cache_from,
      "Image whose steps count as known (\"NAME\", \"type=registry,ref=NAME\")",
      .type = "stringArray"),
    O("cache-to", 0, O_LIST, cache_to, "Put the steps into the image (\"type=inline\")",
      .type = "stringArray"),
    O("call", 0, O_STR, call, "What to do with the Dockerfile (\"build\", \"check\")",
      .def = "build"),
    O("cgroup-parent", 0, O_STR, cgroup_parent, "Parent cgroup of the steps"),
    O("check", 0, O_BOOL, check, "Only check the Dockerfile; the same as --call=check"),
    O("compress", 0, O_BOOL, compress, "Send the context compressed"),
    O("cpu-period", 0, O_INT, cpu_period, "Period of the CPU's scheduler, in microseconds"),
    O("cpu-quota", 0, O_INT, cpu_quota, "Microseconds of CPU that steps get in a period"),
    O("cpu-shares", 'c', O_INT, cpu_shares, "Share of the CPU, relative to others"),
    O("cpuset-cpus", 0, O_STR, cpuset_cpus, "CPUs to run on (\"0-3\", \"0,1\")"),
    O("cpuset-mems", 0, O_STR, cpuset_mems, "Memory nodes to use (\"0-3\", \"0,1\")"),
    O("debug", 'D', O_BOOL, debug, NO_EFFECT, .flags = OPT_HIDDEN),
    O("disable-content-trust", 0, O_BOOL, disable_content_trust, NO_EFFECT, .def = "true",
      .flags = OPT_HIDDEN),
    O("file", 'f', O_STR, file,
      "Dockerfile; \"-\" is standard input (default \"PATH/Dockerfile\")"),
    O("force-rm", 0, O_BOOL, force_rm, NO_EFFECT ": nothing is left of a step anyway",
      .flags = OPT_HIDDEN),
    O("iidfile", 0, O_STR, iidfile, "Write the image's id to this file"),
    O("isolation", 0, O_STR, isolation, "Only \"default\"", .flags = OPT_HIDDEN),
    O("label", 0, O_LIST, label, "Set a label of the image", .type = "stringArray"),
    O("load", 0, O_BOOL, load, "Keep the image among the daemon's, as is done anyway"),
    O("memory", 'm', O_BYTES, memory, "Memory that a step may use", .def = "0"),
    O("memory-swap", 0, O_SWAP, memory_swap, "Memory and swap of a step; -1: no limit of swap",
      .def = "0"),
    O("metadata-file", 0, O_STR, metadata_file, "Write what came of it to this file, as JSON"),
    O("network", 0, O_STR, network, "Network of RUN (\"default\", \"none\", \"host\", or a name)",
      .def = "default"),
    O("no-cache", 0, O_BOOL, no_cache, "Carry out every step"),
    O("no-cache-filter", 0, O_CSV, no_cache_filter, "Carry out every step of these stages",
      .type = "stringArray"),
    O("output", 'o', O_LIST, output,
      "Where the result goes (\"type=local,dest=DIR\"; \"tar\", \"oci\", \"docker\", \"image\", "
      "\"registry\")",
      .type = "stringArray"),
    O("platform", 0, O_CSV, platform, "Platform of the image", .type = "stringArray"),
    O("print", 0, O_STR, call, "The same as --call", .flags = OPT_HIDDEN),
    O("progress", 0, O_STR, progress,
      "How to show what goes on (\"auto\", \"plain\", \"tty\", \"rawjson\", \"quiet\")"),
    O("provenance", 0, O_STR, provenance, LATER, .flags = OPT_HIDDEN),
    O("pull", 0, O_BOOL, pull, "Ask the registries for newer base images"),
    O("push", 0, O_BOOL, push, "Push the image; the same as --output=type=registry"),
    O("quiet", 'q', O_BOOL, quiet, "Print nothing but the image's id"),
    O("rm", 0, O_BOOL, rm, NO_EFFECT ": nothing is left of a step anyway", .def = "true",
      .flags = OPT_HIDDEN),
    O("sbom", 0, O_STR, sbom, LATER, .flags = OPT_HIDDEN),
    O("secret", 0, O_LIST, secret,
      "Secret for RUN --mount=type=secret (\"id=mine,src=file\", \"id=mine,env=NAME\")",
      .type = "stringArray"),
    O("security-opt", 0, O_LIST, security_opt, "Security options of the steps", .type = "strings"),
    O("shm-size", 0, O_BYTES, shm_size, "Size of /dev/shm of the steps", .def = "0"),
    O("squash", 0, O_BOOL, squash, "Make one layer of all new ones"),
    O("ssh", 0, O_LIST, ssh, LATER, .type = "stringArray"),
    O("tag", 't', O_LIST, tag, "Name of the image (\"NAME[:TAG]\")", .type = "stringArray"),
    O("target", 0, O_STR, target, "Stage to build"),
    O("ulimit", 0, O_CUSTOM, ulimit, "Limits of the steps' processes", .type = "ulimit",
      .check = check_ulimit),
};

const struct command cmd_build = {
    .paths = PATHS("image build", "build", "builder build", "buildx build", "buildx b"),
    .usage = "[OPTIONS] PATH | URL | -",
    .help = "Build an image from a Dockerfile",
    OPTS(opts),
    .opts_size = sizeof(struct build_flags),
    .args = {1, 1},
    .run = run,
};
