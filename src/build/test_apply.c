#include "base/test.h"

#include <errno.h>

#include "base/buf.h"
#include "base/json.h"
#include "build/apply.h"

/* The config after some lines, as JSON; or the error's text. */
static char *apply(struct arena *a, const char *const *lines, size_t n)
{
    auto_buf struct buf out = BUF_INIT;
    struct oci_image_config config = {0};
    struct strv v = {0};
    struct err e = {0};

    for (size_t i = 0; i < n; i++)
        strv_push(a, &v, lines[i]);
    if (changes_apply(a, &v, &config, &e) < 0)
        return arena_strdup(a, e.msg);
    json_encode(&oci_image_config_type, &config, &out);
    return arena_strdup(a, buf_str(&out));
}

static const struct {
    const char *line, *want;
} cases[] = {
    {"CMD [\"sh\", \"-c\", \"x\"]", "{\"Cmd\":[\"sh\",\"-c\",\"x\"]}"},
    {"cmd echo $HOME 'a b'", "{\"Cmd\":[\"/bin/sh\",\"-c\",\"echo $HOME 'a b'\"]}"},
    {"CMD [\"broken", "{\"Cmd\":[\"/bin/sh\",\"-c\",\"[\\\"broken\"]}"},
    {"CMD [1]", "when using JSON array syntax, arrays must be comprised of strings only"},
    {"ENTRYPOINT [\"/init\"]", "{\"Entrypoint\":[\"/init\"]}"},
    {"  ENV  A=b C=\"d e\" F='g' H=i\\ j  ", "{\"Env\":[\"A=b\",\"C=d e\",\"F=g\",\"H=i j\"]}"},
    {"ENV A b  c", "{\"Env\":[\"A=b  c\"]}"},
    {"ENV A", "ENV must have two arguments"},
    {"ENV", "ENV requires at least one argument"},
    {"ENV =b", "ENV names can not be blank"},
    {"ENV A=\"b",
     "failed to process \"\\\"b\": unexpected end of statement while looking for matching "
     "double-quote"},
    {"LABEL b=2 a=1", "{\"Labels\":{\"a\":\"1\",\"b\":\"2\"}}"},
    {"EXPOSE 80 53/UDP 8000-8002", "{\"ExposedPorts\":{\"53/udp\":{},\"80/tcp\":{},\"8000/tcp\":{},"
                                   "\"8001/tcp\":{},\"8002/tcp\":{}}}"},
    {"EXPOSE 127.0.0.1:80:81 [::1]::82/sctp 1:83",
     "{\"ExposedPorts\":{\"81/tcp\":{},\"82/sctp\":{},\"83/tcp\":{}}}"},
    {"EXPOSE x", "invalid containerPort: x"},
    {"EXPOSE 80/", "{\"ExposedPorts\":{\"80/tcp\":{}}}"},
    {"EXPOSE /tcp", "no port specified: /tcp<empty>"},
    {"EXPOSE x:80", "invalid hostPort: x"},
    {"EXPOSE 1.2.3:1:80", "invalid IP address: 1.2.3"},
    {"EXPOSE 1-2-3", "invalid containerPort: 1-2-3"},
    {"EXPOSE 0", "invalid containerPort: 0"},
    {"EXPOSE 65536", "invalid containerPort: 65536"},
    {"EXPOSE 9-8", "invalid containerPort: 9-8"},
    {"EXPOSE 80/icmp", "invalid proto: icmp"},
    {"USER web:www", "{\"User\":\"web:www\"}"},
    {"USER", "USER requires exactly one argument"},
    {"VOLUME /a /b", "{\"Volumes\":{\"/a\":{},\"/b\":{}}}"},
    {"VOLUME [\"/a b\"]", "{\"Volumes\":{\"/a b\":{}}}"},
    {"WORKDIR /x", "{\"WorkingDir\":\"/x\"}"},
    {"WORKDIR x/../y/.", "{\"WorkingDir\":\"/y\"}"},
    {"WORKDIR /a/../b/", "{\"WorkingDir\":\"/a/../b/\"}"},
    {"WORKDIR ..", "{\"WorkingDir\":\"/\"}"},
    {"STOPSIGNAL SIGNOT", "invalid signal: SIGNOT"},
    {"STOPSIGNAL SIGINT", "{\"StopSignal\":\"SIGINT\"}"},
    {"ONBUILD RUN x", "{\"OnBuild\":[\"RUN x\"]}"},
    {"ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"},
    {"ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"},
    {"HEALTHCHECK NONE", "{\"Healthcheck\":{\"Test\":[\"NONE\"]}}"},
    {"HEALTHCHECK --interval=5s --retries=3 CMD curl x",
     "{\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"curl x\"],\"Interval\":5000000000,"
     "\"Retries\":3}}"},
    {"HEALTHCHECK CMD [\"a\"]", "{\"Healthcheck\":{\"Test\":[\"CMD\",\"a\"]}}"},
    {"HEALTHCHECK --what=1 CMD x", "unknown flag: --what"},
    {"HEALTHCHECK --interval=x CMD y", "time: invalid duration \"x\""},
    {"HEALTHCHECK SH x", "Unknown type \"SH\" in HEALTHCHECK (try CMD)"},
    {"RUN x", "RUN is not a valid change command"},
    {"SHELL [\"x\"]", "SHELL is not a valid change command"},
    {"FOO x", "FOO is not a valid change command"},
    {"FROM x", "FROM is not a valid change command"},
    {"", "{}"},
};

TEST(each_instruction)
{
    auto_arena struct arena a = ARENA_INIT;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        CHECK_STR(apply(&a, &cases[i].line, 1), cases[i].want);
}

TEST(later_lines_add_and_replace)
{
    auto_arena struct arena a = ARENA_INIT;
    static const char *const lines[] = {"ENV A=1",   "ENV B=2", "ENV A=3",    "WORKDIR /a",
                                        "WORKDIR b", "CMD x",   "CMD [\"y\"]"};

    CHECK_STR(apply(&a, lines, sizeof(lines) / sizeof(lines[0])),
              "{\"Env\":[\"A=3\",\"B=2\"],\"Cmd\":[\"y\"],\"WorkingDir\":\"/a/b\"}");
}

TEST(variables_are_those_before_the_line)
{
    auto_arena struct arena a = ARENA_INIT;
    static const char *const lines[] = {"ENV A=1 B=$A", "ENV A=2 B=$A C=${NO:-x}",
                                        "USER $A",      "LABEL l=$B",
                                        "WORKDIR /$C",  "CMD [\"$A\"]"};

    CHECK_STR(apply(&a, lines, sizeof(lines) / sizeof(lines[0])),
              "{\"User\":\"2\",\"Env\":[\"A=2\",\"B=1\",\"C=x\"],\"Cmd\":[\"$A\"],"
              "\"WorkingDir\":\"/x\",\"Labels\":{\"l\":\"1\"}}");
}

TEST(one_change_may_have_many_lines)
{
    auto_arena struct arena a = ARENA_INIT;
    static const char *const lines[] = {"USER a\n# b\nENV A=1 \\\n B=2\n", ""};
    static const char *const bad[] = {"USER a\nRUN b"};

    CHECK_STR(apply(&a, lines, 2), "{\"User\":\"a\",\"Env\":[\"A=1\",\"B=2\"]}");
    CHECK_STR(apply(&a, bad, 1), "RUN is not a valid change command");
}

TEST(an_entrypoint_drops_the_command_of_the_base)
{
    auto_arena struct arena a = ARENA_INIT;
    struct oci_image_config config = {0};
    const struct expander x = {0};
    struct ins *ins = NULL;
    struct err e = {0};
    bool cmd_set = false;

    strv_push(&a, &config.cmd, "base");
    CHECK_OK(ins_decode("ENTRYPOINT [\"e\"]", &a, &ins, &e));
    CHECK_INT(config_apply(ins, &x, &a, &config, &cmd_set, &e), 0);
    CHECK(config.cmd.v == NULL);
    CHECK_OK(ins_decode("CMD [\"c\"]", &a, &ins, &e));
    CHECK_INT(config_apply(ins, &x, &a, &config, &cmd_set, &e), 0);
    CHECK(cmd_set);
    CHECK_OK(ins_decode("ENTRYPOINT f", &a, &ins, &e));
    CHECK_INT(config_apply(ins, &x, &a, &config, &cmd_set, &e), 0);
    CHECK_STR(config.cmd.v[0], "c");
    CHECK_STR(strv_join(&a, &config.entrypoint, " "), "/bin/sh -c f");
}

TEST(a_shell_is_used_by_what_follows)
{
    auto_arena struct arena a = ARENA_INIT;
    struct oci_image_config config = {0};
    const struct expander x = {0};
    struct ins *ins = NULL;
    struct err e = {0};
    bool cmd_set = false;

    CHECK_OK(ins_decode("SHELL [\"bash\", \"-ec\"]", &a, &ins, &e));
    CHECK_INT(config_apply(ins, &x, &a, &config, &cmd_set, &e), 0);
    CHECK_OK(ins_decode("CMD a b", &a, &ins, &e));
    CHECK_INT(config_apply(ins, &x, &a, &config, &cmd_set, &e), 0);
    CHECK_STR(strv_join(&a, &config.cmd, "|"), "bash|-ec|a b");
    CHECK_OK(ins_decode("CMD []", &a, &ins, &e));
    CHECK_INT(config_apply(ins, &x, &a, &config, &cmd_set, &e), 0);
    CHECK(config.cmd.v && config.cmd.n == 0);
    CHECK_OK(ins_decode("RUN x", &a, &ins, &e));
    CHECK_INT(config_apply(ins, &x, &a, &config, &cmd_set, &e), 1);
}

TEST(all_ports_at_once)
{
    auto_arena struct arena a = ARENA_INIT;
    struct oci_image_config config = {0};
    struct strv v = {0};
    struct err e = {0};

    strv_push(&a, &v, "EXPOSE 7/tcp 1-65535 1-65535/udp 9/udp");
    CHECK_OK(changes_apply(&a, &v, &config, &e));
    CHECK_INT(config.exposed_ports.n, 2 * 65535);
    CHECK_STR(config.exposed_ports.v[0], "7/tcp");
}

static int many(const char *start, const char *each, size_t n)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf text = BUF_INIT;
    struct oci_image_config config = {0};
    struct strv v = {0};
    struct err e = {0};

    buf_puts(&text, start);
    for (size_t i = 0; i < n; i++) {
        buf_puts(&text, each);
        buf_printf(&text, "%zu=x", i);
    }
    strv_push(&a, &v, buf_str(&text));
    return changes_apply(&a, &v, &config, &e);
}

TEST(limits)
{
    CHECK_INT(many("ENV", " a", 4096), 0);
    CHECK_INT(many("ENV", " a", 4097), -E2BIG);
    CHECK_INT(many("LABEL", " a", 4096), 0);
    CHECK_INT(many("LABEL", " a", 4097), -E2BIG);
    CHECK_INT(many("VOLUME", " a", 4097), -E2BIG);
}

/* A value that doubles, and one of a size that is allowed but used again and again. */
TEST(bombs)
{
    auto_arena struct arena a = ARENA_INIT;
    struct oci_image_config config = {0};
    struct strv v = {0};
    struct err e = {0};

    strv_push(&a, &v, "ENV A=0123456789");
    for (int i = 0; i < 16; i++)
        strv_push(&a, &v, "ENV A=$A$A");
    CHECK_OK(changes_apply(&a, &v, &config, &e));
    strv_push(&a, &v, "ENV A=$A$A");
    CHECK_INT(changes_apply(&a, &v, &config, &e), -E2BIG);
    v.n--;
    for (int i = 0; i < 200; i++)
        strv_push(&a, &v, "USER $A");
    CHECK_INT(changes_apply(&a, &v, &config, &e), -E2BIG);
    CHECK_STR(e.msg, "failed to process \"$A\": variables expand to too much");
}
