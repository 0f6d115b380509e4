#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/map.h"
#include "cli/build.h"
#include "cli/build_export.h"
#include "cli/build_output.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/pull.h"
#include "cli/specs.h"

/* cleat build: context and options to the daemon, its progress to the terminal. */

/* ---- the build ---- */

static const char *mode_of(const struct build_flags *f)
{
    if (f->quiet || str_eq(f->progress, "quiet") || str_eq(f->progress, "none"))
        return "quiet";
    if (!str_eq(f->progress, "auto"))
        return f->progress;
    return isatty(2) ? "tty" : "plain";
}

/* One build, as far as it has come. */
struct job {
    struct cli *cli;
    struct build_flags *f;
    struct build_context context;
    struct build_outputs outputs;
    struct build_agent *agents;
    struct build_layouts *layouts;
    struct http_reply *reply;
    struct build_outcome out;
};

static int send_context(struct job *j, const char *target, struct err *err)
{
    struct http_call call = {.method = "POST", .once = true};
    const char *auths = config_all_auths(j->cli);

    if (j->context.dockerfile)
        target = cli_query(j->cli, target, "dockerfile", j->context.dockerfile);
    call.target = cli_query(j->cli, target, "remote", j->context.remote);
    if (auths)
        strmap_set(&j->cli->arena, &call.headers, "X-Registry-Config", auths);
    return build_context_send(&j->context, &call, &j->reply, err);
}

/* Secrets and agents first, then what the daemon lacks. */
static int begin(struct job *j, bool sync, const char *target, struct err *err)
{
    char *session = NULL;
    int r = build_session_open(j->cli, j->f, &session, err);

    if (r >= 0)
        r = build_agents_open(j->cli, j->f, session, &j->agents, err);
    if (r >= 0)
        r = build_layouts_open(j->cli, j->f, session, &j->layouts, err);
    if (r >= 0)
        r = build_named_send(j->cli, j->f, !sync, &session, err);
    if (r >= 0 && sync)
        r = build_sync(&j->context, session, &session, err);
    return r < 0 ? r : send_context(j, cli_query(j->cli, target, "session", session), err);
}

static int start(struct job *j, struct err *err)
{
    struct err e = {0};
    char *target = NULL;
    int r = build_target(j->cli, j->f, &target, err);

    if (r < 0)
        return r;
    r = begin(j, true, target, &e);
    if (r < 0 && e.kind == ERR_CONFLICT &&
        (j->context.wanted || j->f->named.n)) { /* it changed while it was sent */
        map_free(take_ptr(&j->context.wanted));
        build_agents_close(&j->agents);
        build_layouts_close(&j->layouts);
        err_clear(&e);
        r = begin(j, false, target, &e);
    }
    if (r < 0)
        *err = e;
    return r;
}

/* Return: 0; 1 a check found something; -errno. */
static int build(struct job *j, struct err *err)
{
    const struct build_flags *f = j->f;
    int r = start(j, err);

    if (r < 0)
        return r;
    r = build_follow(j->cli, j->reply, mode_of(f), &j->context, f->check, &j->out, err);
    if (r < 0)
        return err_wrap(err, r, "ERROR: failed to build");
    if (f->check)
        return j->out.warnings ? 1 : 0;
    return str_empty(j->out.image) ? err_invalid(err, "the daemon told no result") : 0;
}

/* ---- what is left behind ---- */

static int write_text(const char *path, const char *text, struct err *err)
{
    int r = write_file_at(AT_FDCWD, path, 0644, text, strlen(text), false, err);

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
    if (out->platforms.n <= 1) {
        json_w_key(&w, "containerimage.config.digest");
        json_w_str(&w, out->image);
    }
    if (out->descriptor) {
        json_w_key(&w, "containerimage.descriptor");
        json_w_type(&w, &oci_descriptor_type, out->descriptor);
    }
    json_w_key(&w, "containerimage.digest");
    json_w_str(&w, out->descriptor ? out->descriptor->digest : out->image);
    if (names.n) {
        json_w_key(&w, "image.name");
        json_w_str(&w, strv_join(&cli->arena, &names, ","));
    }
    json_w_end_obj(&w);
    json_pretty(text.data, text.len, "", "  ", &pretty);
    return write_text(f->metadata_file, buf_str(&pretty), err);
}

static int leave(struct job *j, struct err *err)
{
    const struct build_flags *f = j->f;
    int r = 0;

    if (!str_empty(f->iidfile))
        r = write_text(f->iidfile, build_outcome_id(&j->out), err);
    if (r >= 0 && !str_empty(f->metadata_file))
        r = write_metadata(j->cli, f, &j->out, err);
    if (r >= 0 && f->quiet && !build_outputs_use_stdout(&j->outputs))
        printf("%s\n", build_outcome_id(&j->out));
    return r;
}

static int finish(struct job *j, struct err *err)
{
    bool quiet = str_eq(mode_of(j->f), "quiet");
    int r = build_outputs_write(j->cli, j->f, &j->outputs, &j->out, quiet, err);

    return r < 0 ? r : leave(j, err);
}

static int check_all(struct job *j, struct err *err)
{
    int r = build_outputs_parse(j->cli, j->f, &j->outputs, err);

    if (r >= 0)
        r = build_export_flags(j->cli, j->f, err);
    if (r >= 0)
        r = build_outputs_check(&j->outputs, j->f, err);
    if (r >= 0)
        r = build_cache_options(j->cli, j->f, err);
    if (r >= 0)
        r = build_named_options(j->cli, j->f, err);
    if (r >= 0)
        r = build_flags_check(j->f, err);
    if (r >= 0)
        r = need_client(j->cli, err);
    if (r >= 0 && !str_empty(j->f->iidfile) && unlink(j->f->iidfile) < 0 && errno != ENOENT)
        r = err_sys(err, "remove %s", j->f->iidfile);
    return r;
}

static int run(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    struct job j = {.cli = cli, .f = opts};
    int r = check_all(&j, err);

    if (r < 0)
        return r;
    r = build_context_open(cli, j.f, args->v[0], &j.context, err);
    if (r >= 0)
        r = build(&j, err);
    build_agents_close(&j.agents);
    build_layouts_close(&j.layouts);
    build_context_done(&j.context);
    return r || j.f->check ? r : finish(&j, err);
}

/* ---- the table ---- */

#define O(...) OPT(struct build_flags, __VA_ARGS__)
#define NO_EFFECT "Accepted, without effect"

static const struct opt opts[] = {
    O("add-host", 0, O_CUSTOM, add_host, "Add a line to /etc/hosts while building (\"host:ip\")",
      .type = "strings", .check = check_host),
    O("allow", 0, O_LIST, allow,
      "Allow what steps may ask for (\"network.host\", \"security.insecure\", "
      "\"device=/dev/fuse\")",
      .type = "stringArray"),
    O("annotation", 0, O_LIST, annotation,
      "Say something in the image's manifest (\"KEY=value\"), or \"index:KEY=value\"",
      .type = "stringArray"),
    O("attest", 0, O_LIST, attest,
      "Attestation about the image (\"type=provenance,mode=max\", \"type=sbom\"); none by default",
      .type = "stringArray"),
    O("build-arg", 0, O_LIST, build_arg,
      "Set a variable of the build (\"NAME=value\", or NAME of the environment)",
      .type = "stringArray"),
    O("build-context", 0, O_LIST, build_context,
      "Another context by name (\"NAME=DIR\", \"NAME=docker-image://IMAGE\", "
      "\"NAME=oci-layout://DIR\", \"NAME=REPOSITORY\")",
      .type = "stringArray"),
    O("builder", 0, O_STR, builder, "Builder to use: there is one, \"default\"",
      .flags = OPT_HIDDEN),
    O("cache-from", 0, O_LIST, cache_from,
      "Where known steps are found (\"NAME\", \"type=registry,ref=NAME\", \"type=local,src=DIR\")",
      .type = "stringArray"),
    O("cache-to", 0, O_LIST, cache_to,
      "Where the steps are written (\"type=registry,ref=NAME\", \"type=local,dest=DIR\", "
      "\"type=inline\"; \"mode=max\": of all stages)",
      .type = "stringArray"),
    O("call", 0, O_STR, call, "What to do with the Dockerfile (\"build\", \"check\")",
      .def = "build"),
    O("cgroup-parent", 0, O_STR, cgroup_parent, "Parent cgroup of the steps"),
    O("check", 0, O_BOOL, check, "Only check the Dockerfile; the same as --call=check"),
    O("compress", 0, O_BOOL, compress, NO_EFFECT ": contexts travel as they are",
      .flags = OPT_HIDDEN),
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
    O("platform", 0, O_CSV, platform,
      "Platforms to build for (\"linux/amd64,linux/arm64\"); one image each, and an index",
      .type = "stringArray"),
    O("print", 0, O_STR, call, "The same as --call", .flags = OPT_HIDDEN),
    O("progress", 0, O_STR, progress,
      "How to show what goes on (\"auto\", \"plain\", \"tty\", \"rawjson\", \"quiet\")"),
    O("provenance", 0, O_STR, provenance,
      "How the image came to be, as an attestation (\"true\", \"mode=min\", \"mode=max\"); default "
      "off"),
    O("pull", 0, O_BOOL, pull, "Ask the registries for newer base images"),
    O("push", 0, O_BOOL, push, "Push the image; the same as --output=type=registry"),
    O("quiet", 'q', O_BOOL, quiet, "Print nothing but the image's id"),
    O("rm", 0, O_BOOL, rm, NO_EFFECT ": nothing is left of a step anyway", .def = "true",
      .flags = OPT_HIDDEN),
    O("sbom", 0, O_STR, sbom, "List of its packages, as an attestation (\"true\"); default off"),
    O("secret", 0, O_LIST, secret,
      "Secret for RUN --mount=type=secret (\"id=mine,src=file\", \"id=mine,env=NAME\")",
      .type = "stringArray"),
    O("security-opt", 0, O_LIST, security_opt, "Security options of the steps", .type = "strings"),
    O("shm-size", 0, O_BYTES, shm_size, "Size of /dev/shm of the steps", .def = "0"),
    O("squash", 0, O_BOOL, squash, "Make one layer of all that come after the base image's"),
    O("ssh", 0, O_LIST, ssh,
      "Agent for RUN --mount=type=ssh (\"default\", \"id=socket\", \"id=key\")",
      .type = "stringArray"),
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
