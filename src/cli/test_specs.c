#include "base/test.h"

#include <errno.h>
#include <unistd.h>

#include "base/base64.h"
#include "cli/cmd.h"
#include "cli/cmds.h"
#include "cli/commands.h"
#include "cli/list.h"
#include "cli/pull.h"
#include "cli/specs.h"
#include "cli/units.h"

static struct arena a;
static struct err e;

/* ---- options ---- */

struct values {
    bool all, quiet, yes;
    char *name;
    int64_t num, mem, time;
    struct strv env, csv;
};

static const struct opt table[] = {
    OPT(struct values, "all", 'a', O_BOOL, all, ""),
    OPT(struct values, "quiet", 'q', O_BOOL, quiet, ""),
    OPT(struct values, "yes", 0, O_BOOL, yes, "", .def = "true"),
    OPT(struct values, "name", 'n', O_STR, name, "", .def = "none"),
    OPT(struct values, "num", 0, O_INT, num, "", .def = "-1"),
    OPT(struct values, "memory", 'm', O_BYTES, mem, ""),
    OPT(struct values, "time", 't', O_DURATION, time, ""),
    OPT(struct values, "env", 'e', O_LIST, env, ""),
    OPT(struct values, "csv", 0, O_CSV, csv, ""),
};

static int parse(bool first, struct values *v, struct parsed *p, const char *const *words)
{
    struct strv w = {0};

    memset(v, 0, sizeof(*v));
    err_clear(&e);
    for (; *words; words++)
        strv_push(&a, &w, *words);
    return opts_parse(table, sizeof(table) / sizeof(table[0]), first, &w, &a, v, p, &e);
}

#define PARSE(FIRST, ...) parse(FIRST, &v, &p, (const char *const[]){__VA_ARGS__, NULL})

TEST(options_of_every_form)
{
    struct values v;
    struct parsed p;

    CHECK_OK(PARSE(false, "-aq", "--name", "x", "-e", "A=1", "-eB=2", "--env=C", "pos", "--num=7",
                   "-m", "64m", "-t1m30s", "--csv", "a,b", "--yes=false"));
    CHECK(v.all && v.quiet && !v.yes);
    CHECK_STR(v.name, "x");
    CHECK_INT(v.num, 7);
    CHECK_INT(v.mem, 64 << 20);
    CHECK_INT(v.time, 90000000000);
    CHECK_INT(v.env.n, 3);
    CHECK_STR(v.env.v[1], "B=2");
    CHECK_INT(v.csv.n, 2);
    CHECK_INT(p.args.n, 1);
    CHECK_OK(PARSE(false, "-n=eq", "a", "--", "-b"));
    CHECK_STR(v.name, "eq");
    CHECK_INT(p.args.n, 2);
    CHECK_STR(p.args.v[1], "-b");
    CHECK_OK(PARSE(false, "-"));
    CHECK_STR(p.args.v[0], "-");
}

TEST(options_have_defaults)
{
    struct values v;
    struct parsed p;

    CHECK_OK(PARSE(false, "x"));
    CHECK_STR(v.name, "none");
    CHECK_INT(v.num, -1);
    CHECK(v.yes);
    CHECK(!p.given[0]);
}

TEST(options_end_at_the_first_argument)
{
    struct values v;
    struct parsed p;

    CHECK_OK(PARSE(true, "-a", "img", "-q", "--", "--name"));
    CHECK(v.all && !v.quiet);
    CHECK_INT(p.args.n, 4);
    CHECK_STR(p.args.v[2], "--");
}

static void bad(const char *const *words, const char *want)
{
    struct values v;
    struct parsed p;

    CHECK_INT(parse(false, &v, &p, words), -EINVAL);
    CHECK_STR(e.msg, want);
}

TEST(options_that_are_wrong)
{
    bad((const char *const[]){"--nope", NULL}, "unknown flag: --nope");
    bad((const char *const[]){"-axz", NULL}, "unknown shorthand flag: 'x' in -xz");
    bad((const char *const[]){"--name", NULL}, "flag needs an argument: --name");
    bad((const char *const[]){"-an", NULL}, "flag needs an argument: 'n' in -n");
    bad((const char *const[]){"--=x", NULL}, "bad flag syntax: --=x");
    bad((const char *const[]){"-m", "3x", NULL},
        "invalid argument \"3x\" for \"-m, --memory\" flag: invalid suffix: 'x'");
    bad((const char *const[]){"--num=z", NULL}, "invalid argument \"z\" for \"--num\" flag: "
                                                "strconv.ParseInt: parsing \"z\": invalid syntax");
    bad((const char *const[]){"--all=maybe", NULL},
        "invalid argument \"maybe\" for \"-a, --all\" flag: strconv.ParseBool: parsing \"maybe\": "
        "invalid syntax");
}

TEST(every_command_table_is_sound)
{
    for (size_t i = 0; all_commands[i]; i++) {
        const struct command *c = all_commands[i];
        CHECK(c->paths && c->paths[0] && c->usage && c->help && c->run);
        CHECK(command_find(c->paths[0]) == c);
        void *v = arena_alloc(&a, c->opts_size ? c->opts_size : 1);
        struct strv none = {0};
        struct parsed p;
        CHECK_OK(opts_parse(c->opts, c->nopts, false, &none, &a, v, &p, &e));
        for (size_t k = 0; k < c->nopts; k++)
            for (size_t j = 0; j < k; j++) {
                bool same = strcmp(c->opts[k].name, c->opts[j].name) == 0 ||
                            (c->opts[k].letter && c->opts[k].letter == c->opts[j].letter);
                if (same)
                    TEST_FAIL("%s: --%s twice", c->paths[0], c->opts[k].name);
            }
    }
}

TEST(help_looks_like_docker)
{
    struct buf out = BUF_INIT;

    help_command(command_find("rm"), "rm", &out);
    CHECK_STR(out.data,
              "Usage:  cleat rm [OPTIONS] CONTAINER [CONTAINER...]\n\nRemove containers\n\n"
              "Aliases:\n  cleat container rm, cleat container remove, cleat rm\n\nOptions:\n"
              "  -f, --force     Remove it even if it runs (with SIGKILL)\n"
              "  -l, --link      Remove the link of that name\n"
              "  -v, --volumes   Remove its anonymous volumes as well\n");
    buf_done(&out);
}

TEST(completions_are_written)
{
    static const char *const shells[] = {"bash", "zsh", "fish"};

    for (int i = 0; i < 3; i++) {
        struct buf out = BUF_INIT;
        CHECK_OK(completion_write(shells[i], &out, &e));
        CHECK(strstr(out.data, "container"));
        buf_done(&out);
    }
    struct buf out = BUF_INIT;
    CHECK_INT(completion_write("csh", &out, &e), -EINVAL);
}

/* ---- units ---- */

TEST(units_in)
{
    static const struct {
        const char *text;
        int64_t want;
    } cases[] = {
        {"0", 0},           {"32", 32},
        {"32b", 32},        {"32k", 32768},
        {"32K", 32768},     {"32kb", 32768},
        {"32KiB", 32768},   {"1.5g", 1610612736},
        {"64m", 67108864},  {"1t", 1099511627776},
        {"32 m", 33554432},
    };
    static const char *const wrong[] = {"", "x", "-1", "1.2.3", "32mm", "1e3", "9999999p"};
    int64_t v;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK_OK(units_parse_bytes(cases[i].text, &v, &e));
        CHECK_INT(v, cases[i].want);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CHECK_INT(units_parse_bytes(wrong[i], &v, &e), -EINVAL);
    CHECK_OK(units_parse_cpus("1.5", &v, &e));
    CHECK_INT(v, 1500000000);
    CHECK_OK(units_parse_cpus(".25", &v, &e));
    CHECK_INT(v, 250000000);
    CHECK_INT(units_parse_cpus("x", &v, &e), -EINVAL);
    CHECK_INT(units_parse_cpus("0.1234567891", &v, &e), -EINVAL);
    CHECK_INT(units_parse_cpus("99999999999", &v, &e), -EINVAL);
}

TEST(units_out)
{
    char t[UNITS_TEXT];

    CHECK_STR(units_size(0, 3, t), "0B");
    CHECK_STR(units_size(999, 3, t), "999B");
    CHECK_STR(units_size(1234567, 3, t), "1.23MB");
    CHECK_STR(units_size(1000000, 4, t), "1MB");
    CHECK_STR(units_bytes(1.5 * 1024 * 1024, t), "1.5MiB");
    CHECK_STR(units_bytes(7.672e9, t), "7.145GiB");
}

TEST(cells)
{
    CHECK_STR(cell_short_id(&a, "sha256:0123456789abcdef", false), "0123456789ab");
    CHECK_STR(cell_short_id(&a, "0123", false), "0123");
    CHECK_STR(cell_cut(&a, "short", 20), "short");
    CHECK_STR(cell_cut(&a, "01234567890123456789x", 20), "0123456789012345678\xe2\x80\xa6");
    CHECK(list_wants("{{.Size}}", ".Size"));
    CHECK(!list_wants("{{.Sizes}}", ".Size"));
}

/* ---- ports ---- */

static void publish(const char *spec, const char *port, const char *ip, const char *host)
{
    port_map m = {0};
    struct strv exposed = {0};

    CHECK_OK(spec_publish(spec, &a, &m, &exposed, &e));
    const struct objv *v = port_map_get(&m, port);
    if (!v || v->n != 1)
        TEST_FAIL("%s: no binding of %s", spec, port);
    const struct port_binding *b = v->v[0];
    CHECK_STR(b->host_ip, ip);
    CHECK_STR(b->host_port, host);
    CHECK(strv_has(&exposed, port));
}

TEST(ports_published)
{
    publish("80", "80/tcp", "", "");
    publish("8080:80", "80/tcp", "", "8080");
    publish("127.0.0.1:8080:80/udp", "80/udp", "127.0.0.1", "8080");
    publish("127.0.0.1::80", "80/tcp", "127.0.0.1", "");
    publish("[::1]:8080:80", "80/tcp", "::1", "8080");
    publish("::1:8080:80", "80/tcp", "::1", "8080");
    publish("8000-8002:80-82", "81/tcp", "", "8001");
    publish("8000-8010:80", "80/tcp", "", "8000-8010");
    publish("53:53/UDP", "53/udp", "", "53");
    publish("target=80,published=8080,protocol=udp", "80/udp", "", "8080");
}

TEST(ports_refused)
{
    static const struct {
        const char *spec, *want;
    } cases[] = {
        {"x", "invalid containerPort: x"},
        {"x:80", "invalid hostPort: x"},
        {"99999", "invalid containerPort: 99999"},
        {"1:2:3:4:5", "invalid IP address: 1:2:3"},
        {"80/foo", "invalid proto: foo"},
        {"80:", "no port specified: 80:<empty>"},
        {"80-82:90-91", "invalid ranges specified for container and host Ports: 90-91 and 80-82"},
        {"90-80", "invalid containerPort: 90-80"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        port_map m = {0};
        struct strv exposed = {0};
        CHECK_INT(spec_publish(cases[i].spec, &a, &m, &exposed, &e), -EINVAL);
        CHECK_STR(e.msg, cases[i].want);
    }
}

static struct port_summary *port(const char *ip, uint32_t private_port, uint32_t public_port)
{
    struct port_summary *p = arena_new(&a, struct port_summary);

    *p = (struct port_summary){arena_strdup(&a, ip), private_port, public_port,
                               arena_strdup(&a, "tcp")};
    return p;
}

TEST(ports_shown)
{
    struct port_summary *v[] = {port("0.0.0.0", 80, 80), port("0.0.0.0", 81, 81), port("", 9000, 0),
                                port("::", 80, 80), port("0.0.0.0", 443, 8443)};

    CHECK_STR(ports_text(&a, v, 5), "0.0.0.0:80-81->80-81/tcp, [::]:80->80/tcp, 9000/tcp, "
                                    "0.0.0.0:8443->443/tcp");
    CHECK_STR(ports_text(&a, v, 0), "");
}

/* ---- volumes and mounts ---- */

TEST(volumes)
{
    struct strv binds = {0}, anon = {0};
    char cwd[512], want[600];

    CHECK_OK(spec_volume("/data", &a, &binds, &anon, &e));
    CHECK_OK(spec_volume("/a:/b:ro", &a, &binds, &anon, &e));
    CHECK_OK(spec_volume("name:/b", &a, &binds, &anon, &e));
    CHECK_OK(spec_volume("./x:/b", &a, &binds, &anon, &e));
    CHECK_INT(spec_volume("", &a, &binds, &anon, &e), -EINVAL);
    CHECK_INT(spec_volume(":/x", &a, &binds, &anon, &e), -EINVAL);
    CHECK_INT(anon.n, 1);
    CHECK_STR(binds.v[0], "/a:/b:ro");
    CHECK(getcwd(cwd, sizeof(cwd)));
    (void)snprintf(want, sizeof(want), "%s/x:/b", cwd);
    CHECK_STR(binds.v[2], want);
}

TEST(mounts)
{
    struct mount_spec *m = NULL;

    CHECK_OK(spec_mount("type=bind,source=/a,target=/b,readonly", &a, &m, &e));
    CHECK_STR(m->type, "bind");
    CHECK(m->read_only);
    CHECK_OK(spec_mount("type=tmpfs,dst=/t,tmpfs-size=64m,tmpfs-mode=1770", &a, &m, &e));
    CHECK_INT(m->tmpfs_options->size_b, 64 << 20);
    CHECK_INT(m->tmpfs_options->mode, 01770);
    CHECK_OK(
        spec_mount("src=v,dst=/t,volume-nocopy,volume-label=a=b,\"volume-opt=o=x,y\"", &a, &m, &e));
    CHECK_STR(m->type, "volume");
    CHECK(m->volume_options->no_copy);
    CHECK_STR(strmap_get(&m->volume_options->driver_config->options, "o"), "x,y");
    CHECK_OK(spec_mount("type=bind,src=/a,dst=/b,ro=false", &a, &m, &e));
    CHECK(!m->read_only);
    CHECK_INT(spec_mount("type=bind,src=/a", &a, &m, &e), -EINVAL);
    CHECK_STR(e.msg, "target is required");
    CHECK_INT(spec_mount("type=bind,src=/a,dst=/b,nope=1", &a, &m, &e), -EINVAL);
    CHECK_STR(e.msg, "unexpected key 'nope' in 'nope=1'");
    CHECK_INT(spec_mount("type=bind,src", &a, &m, &e), -EINVAL);
    CHECK_STR(e.msg, "invalid field 'src' must be a key=value pair");
    CHECK_INT(spec_mount("type=tmpfs,dst=/x,volume-nocopy", &a, &m, &e), -EINVAL);
}

/* ---- the others ---- */

TEST(networks)
{
    struct endpoint_settings *s = NULL;
    char *name = NULL;

    CHECK_OK(spec_network("front", &a, &name, &s, &e));
    CHECK_STR(name, "front");
    CHECK_OK(spec_network("name=x,alias=a,alias=b,ip=10.0.0.2,driver-opt=k=v", &a, &name, &s, &e));
    CHECK_STR(name, "x");
    CHECK_INT(s->aliases.n, 2);
    CHECK_STR(s->ipam->ipv4_address, "10.0.0.2");
    CHECK_INT(spec_network("alias=a", &a, &name, &s, &e), -EINVAL);
}

TEST(limits_and_devices)
{
    struct ulimit *u = NULL;
    struct device_mapping *d = NULL;
    struct throttle_device *t = NULL;
    struct restart_policy rp = {0};
    char *host = NULL;

    CHECK_OK(spec_ulimit("nofile=1024:2048", &a, &u, &e));
    CHECK_INT(u->hard, 2048);
    CHECK_OK(spec_ulimit("nproc=-1", &a, &u, &e));
    CHECK_INT(spec_ulimit("nofile", &a, &u, &e), -EINVAL);
    CHECK_INT(spec_ulimit("nofile=2:1", &a, &u, &e), -EINVAL);
    CHECK_OK(spec_device("/dev/a:/dev/b:r", &a, &d, &e));
    CHECK_STR(d->container_path, "/dev/b");
    CHECK_STR(d->permissions, "r");
    CHECK_OK(spec_device("/dev/a:rw", &a, &d, &e));
    CHECK_STR(d->container_path, "/dev/a");
    CHECK_INT(spec_device("/dev/a:/dev/b:x", &a, &d, &e), -EINVAL);
    CHECK_OK(spec_throttle("/dev/sda:1mb", true, &a, &t, &e));
    CHECK_INT(t->rate, 1 << 20);
    CHECK_INT(spec_throttle("/dev/sda:1mb", false, &a, &t, &e), -EINVAL);
    CHECK_OK(spec_restart("on-failure:3", &a, &rp, &e));
    CHECK_STR(rp.name, "on-failure");
    CHECK_INT(rp.max_retries, 3);
    CHECK_INT(spec_restart("on-failure:x", &a, &rp, &e), -EINVAL);
    CHECK_OK(spec_host("h:10.0.0.1", &a, &host, &e));
    CHECK_OK(spec_host("h=[::1]", &a, &host, &e));
    CHECK_STR(host, "h:::1");
    CHECK_OK(spec_host("h:host-gateway", &a, &host, &e));
    CHECK_INT(spec_host("h:nope", &a, &host, &e), -EINVAL);
}

TEST(environment)
{
    char path[] = "/tmp/cleat-env-XXXXXX";
    int fd = mkstemp(path);
    static const char text[] = "# note\nA=1\n  B=2 \nHERE\nGONE\n\n";
    char *files[] = {path};
    struct strv f = {files, 1}, v = str_split(&a, "C=3,HERE,GONE", ','), out = {0};

    CHECK(fd >= 0 && write(fd, text, strlen(text)) > 0);
    setenv("HERE", "yes", 1);
    unsetenv("GONE");
    CHECK_OK(spec_env(&f, &v, &a, &out, &e));
    CHECK_STR(strv_join(&a, &out, ";"), "A=1;B=2 ;HERE=yes;C=3;HERE=yes");
    CHECK(ftruncate(fd, 0) == 0 && pwrite(fd, "x y=1", 5, 0) == 5);
    CHECK_INT(spec_env(&f, &v, &a, &out, &e), -EINVAL);
    CHECK_STR(e.msg, "variable 'x y' contains whitespaces");
    unlink(path);
}

TEST(references)
{
    char *name = NULL, *tag = NULL;

    CHECK_STR(ref_familiar(&a, "busybox"), "busybox:latest");
    CHECK_STR(ref_familiar(&a, "reg:5000/x"), "reg:5000/x:latest");
    ref_split(&a, "reg:5000/x/y:1.0", &name, &tag);
    CHECK_STR(name, "reg:5000/x/y");
    CHECK_STR(tag, "1.0");
    ref_split(&a, "x:1@sha256:ab", &name, &tag);
    CHECK_STR(name, "x");
    CHECK_STR(tag, "sha256:ab");
    CHECK_STR(ref_full(&a, "busybox"), "docker.io/library/busybox:latest");
    CHECK_STR(ref_full(&a, "index.docker.io/a/b:c"), "docker.io/a/b:c");
    CHECK_STR(ref_full(&a, "reg:5000/x:1"), "reg:5000/x:1");
    CHECK_OK(ref_check("reg:5000/a/b_c:tag", &e));
    CHECK_OK(ref_check("localhost/x", &e));
    CHECK_INT(ref_check("Busybox", &e), -EINVAL);
    CHECK_STR(e.msg,
              "invalid reference format: repository name (library/Busybox) must be lowercase");
    CHECK_INT(ref_check("a//b", &e), -EINVAL);
    CHECK_INT(ref_check("a:", &e), -EINVAL);
    CHECK_INT(ref_check("-a", &e), -EINVAL);
    CHECK_INT(ref_check("", &e), -EINVAL);
}

TEST(base64)
{
    static const char *const cases[][2] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"\xff\xfe", "__4="}};

    for (int i = 0; i < 5; i++) {
        struct buf b = BUF_INIT, c = BUF_INIT;
        base64_encode(cases[i][0], strlen(cases[i][0]), true, &b);
        CHECK_STR(buf_str(&b), cases[i][1]);
        CHECK_INT(base64_decode(buf_str(&b), b.len, &c), 0);
        CHECK_STR(buf_str(&c), cases[i][0]);
        buf_done(&b);
        buf_done(&c);
    }
    struct buf c = BUF_INIT;
    CHECK_INT(base64_decode("a", 1, &c), -EINVAL);
    CHECK_INT(base64_decode("a*b=", 4, &c), -EINVAL);
}
