#include "base/test.h"

#include <errno.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/time.h"
#include "image/import.h"
#include "image/manifest.h"

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
    {"CMD [1]", "{\"Cmd\":[\"/bin/sh\",\"-c\",\"[1]\"]}"},
    {"ENTRYPOINT [\"/init\"]", "{\"Entrypoint\":[\"/init\"]}"},
    {"  ENV  A=b C=\"d e\" F='g' H=i\\ j  ", "{\"Env\":[\"A=b\",\"C=d e\",\"F=g\",\"H=i j\"]}"},
    {"ENV A b  c", "{\"Env\":[\"A=b  c\"]}"},
    {"ENV A", "ENV must have two arguments"},
    {"ENV", "ENV requires at least one argument"},
    {"ENV =b", "ENV names can not be blank"},
    {"ENV A=\"b", "unexpected end of statement while looking for matching quote: A=\"b"},
    {"LABEL b=2 a=1", "{\"Labels\":{\"a\":\"1\",\"b\":\"2\"}}"},
    {"EXPOSE 80 53/UDP 8000-8002", "{\"ExposedPorts\":{\"53/udp\":{},\"80/tcp\":{},\"8000/tcp\":{},"
                                   "\"8001/tcp\":{},\"8002/tcp\":{}}}"},
    {"EXPOSE x", "invalid containerPort: x"},
    {"EXPOSE 0", "invalid containerPort: 0"},
    {"EXPOSE 65536", "invalid containerPort: 65536"},
    {"EXPOSE 9-8", "invalid containerPort: 9-8"},
    {"EXPOSE 80/icmp", "invalid proto: icmp"},
    {"USER web:www", "{\"User\":\"web:www\"}"},
    {"USER", "USER requires exactly one argument"},
    {"VOLUME /a /b", "{\"Volumes\":{\"/a\":{},\"/b\":{}}}"},
    {"VOLUME [\"/a b\"]", "{\"Volumes\":{\"/a b\":{}}}"},
    {"WORKDIR /x", "{\"WorkingDir\":\"/x\"}"},
    {"STOPSIGNAL SIGINT", "{\"StopSignal\":\"SIGINT\"}"},
    {"ONBUILD RUN x", "{\"OnBuild\":[\"RUN x\"]}"},
    {"ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"},
    {"ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"},
    {"HEALTHCHECK NONE", "{\"Healthcheck\":{\"Test\":[\"NONE\"]}}"},
    {"HEALTHCHECK --interval=5s --retries=3 CMD curl x",
     "{\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"curl x\"],\"Interval\":5000000000,"
     "\"Retries\":3}}"},
    {"HEALTHCHECK CMD [\"a\"]", "{\"Healthcheck\":{\"Test\":[\"CMD\",\"a\"]}}"},
    {"HEALTHCHECK --what=1 CMD x", "unknown flag: --what=1"},
    {"HEALTHCHECK --interval=x CMD y", "time: invalid duration \"x\""},
    {"HEALTHCHECK SH x", "Unknown type \"SH\" in HEALTHCHECK (try CMD)"},
    {"RUN x", "RUN is not a valid change command"},
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

TEST(chain_ids)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv v = {0};
    char got[DIGEST_LEN + 1], want[DIGEST_LEN + 1];

    strv_push(&a, &v, "sha256:aa");
    strv_push(&a, &v, "sha256:bb");
    chain_id(&v, 1, got);
    CHECK_STR(got, "sha256:aa");
    chain_id(&v, 2, got);
    sha256_of("sha256:aa sha256:bb", 19, want);
    CHECK_STR(got, want);
}
