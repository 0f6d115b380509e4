#include "base/json.h"

#include <errno.h>

#include "base/test.h"

struct inner {
    char *name;
    int64_t num;
};
struct outer {
    char *title;
    bool on;
    bool *maybe;
    double ratio;
    uint32_t small;
    struct strv cmd, set;
    struct strmap labels;
    struct inner in;
    struct inner *ptr;
    VEC_OF(struct inner *) list;
    MAP_OF(struct inner *) map;
    MAP_OF(struct objv *) ports;
    VEC_OF(struct strv) caps;
    VEC_OF(int64_t) nums;
    struct json_raw raw;
    struct strmap rest;
};

static const struct field inner_fields[] = {
    FIELD(struct inner, "Name", F_STR, name, .flags = F_REQUIRED),
    FIELD(struct inner, "Num", F_I64, num, .flags = F_OMIT),
};
static const struct json_type inner_type = JSON_TYPE("Inner", struct inner, inner_fields);
static const struct field outer_fields[] = {
    FIELD(struct outer, "Title", F_STR, title),
    FIELD(struct outer, "On", F_BOOL, on),
    FIELD(struct outer, "Maybe", F_BOOLP, maybe, .flags = F_OMIT),
    FIELD(struct outer, "Ratio", F_F64, ratio, .flags = F_OMIT),
    FIELD(struct outer, "Small", F_U32, small, .flags = F_OMIT),
    FIELD(struct outer, "Cmd", F_STRV, cmd, .flags = F_FLEX),
    FIELD(struct outer, "Set", F_SETMAP, set, .flags = F_OMIT),
    FIELD(struct outer, "Labels", F_STRMAP, labels, .flags = F_EMPTY),
    FIELD(struct outer, "In", F_OBJ, in, .type = &inner_type),
    FIELD(struct outer, "Ptr", F_PTR, ptr, .type = &inner_type, .flags = F_OMIT),
    FIELD(struct outer, "List", F_OBJV, list, .type = &inner_type, .flags = F_OMIT),
    FIELD(struct outer, "Map", F_OBJMAP, map, .type = &inner_type, .flags = F_OMIT),
    FIELD(struct outer, "Ports", F_OBJVMAP, ports, .type = &inner_type, .flags = F_OMIT),
    FIELD(struct outer, "Caps", F_STRVV, caps, .flags = F_OMIT),
    FIELD(struct outer, "Nums", F_I64V, nums, .flags = F_OMIT),
    FIELD(struct outer, "Raw", F_RAW, raw, .flags = F_OMIT),
};
static const struct json_type outer_type = {
    .name = "Outer",
    .size = sizeof(struct outer),
    .fields = outer_fields,
    .nfields = sizeof(outer_fields) / sizeof(outer_fields[0]),
    .unknown = offsetof(struct outer, rest) + 1,
};

static const char full[] =
    "{\"Title\":\"a\\u003cb\",\"On\":true,\"Maybe\":false,\"Ratio\":0.5,\"Small\":7,"
    "\"Cmd\":[\"x\",\"y\"],\"Set\":{\"80/tcp\":{}},\"Labels\":{\"a\":\"1\",\"b\":\"2\"},"
    "\"In\":{\"Name\":\"n\",\"Num\":-5},\"Ptr\":{\"Name\":\"p\"},"
    "\"List\":[{\"Name\":\"l\"}],\"Map\":{\"k\":{\"Name\":\"m\"}},"
    "\"Ports\":{\"80/tcp\":[{\"Name\":\"x\"}],\"81/tcp\":null},\"Caps\":[[\"gpu\"],[]],"
    "\"Nums\":[1,2,3],\"Raw\":{\"z\":[1, 2]},\"Extra\":{\"kept\":true}}";

static int decode(const char *text, struct arena *a, struct outer *o, unsigned flags, struct err *e)
{
    memset(o, 0, sizeof(*o));
    return json_decode(&outer_type, text, strlen(text), a, o, flags, e);
}

TEST(round_trip_keeps_every_kind)
{
    struct err e = {0};
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf out = BUF_INIT;
    struct outer o;

    CHECK_OK(decode(full, &a, &o, 0, &e));
    json_encode(&outer_type, &o, &out);
    CHECK_STR(out.data, full);
}

TEST(clone_shares_nothing_with_its_source)
{
    struct err e = {0};
    struct arena a = ARENA_INIT;
    auto_arena struct arena b = ARENA_INIT;
    auto_buf struct buf out = BUF_INIT;
    struct outer o;

    CHECK_OK(decode(full, &a, &o, 0, &e));
    struct outer *copy = json_clone(&outer_type, &o, &b);
    arena_done(&a);
    json_encode(&outer_type, copy, &out);
    CHECK_STR(out.data, full);
}

TEST(null_and_empty_lists_differ)
{
    struct err e = {0};
    auto_arena struct arena a = ARENA_INIT;
    struct outer o;

    CHECK_OK(decode("{\"Cmd\":null,\"In\":{\"Name\":\"\"}}", &a, &o, 0, &e));
    CHECK(o.cmd.v == NULL);
    CHECK_OK(decode("{\"Cmd\":[],\"In\":{\"Name\":\"\"}}", &a, &o, 0, &e));
    CHECK(o.cmd.v != NULL && o.cmd.n == 0);
    CHECK_OK(decode("{\"Cmd\":\"one\"}", &a, &o, 0, &e));
    CHECK_INT(o.cmd.n, 1);
}

TEST(errors_name_the_path)
{
    static const struct {
        const char *text, *msg;
    } bad[] = {
        {"{\"In\":{\"Name\":5}}", "In.Name: want a string, got a number"},
        {"{\"List\":[{\"Name\":\"a\",\"Num\":\"x\"}]}", "List[0].Num: want a number, got a string"},
        {"{\"In\":{}}", "In.Name: missing"},
        {"{\"In\":{\"Name\":null}}", "In.Name: missing"},
        {"{\"List\":[{\"Name\":\"a\"},null]}", "List[1].Name: missing"},
        {"{\"Small\":-1}", "Small: number out of range"},
        {"{\"Nums\":[1.5]}", "Nums[0]: want an integer"},
        {"[]", "want an object, got an array"},
        {"{\"Title\":\"a\",\"Title\":\"b\"}", "invalid JSON at byte 25: duplicate key \"Title\""},
        {"{\"Title\":\"a\"", "invalid JSON at byte 12: want ',' or the closing bracket"},
        {"{\"Title\":\"\xff\"}", "invalid JSON at byte 12: string is not UTF-8"},
        {"", "invalid JSON at byte 0: unexpected end of JSON input"},
        {"{} x", "invalid JSON at byte 3: something follows the value"},
        {"{\"On\":01}", "invalid JSON at byte 6: bad number"},
    };
    auto_arena struct arena a = ARENA_INIT;
    struct outer o;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err e = {0};
        CHECK_INT(decode(bad[i].text, &a, &o, 0, &e), -EINVAL);
        CHECK_INT(e.kind, ERR_INVALID);
        CHECK_STR(e.msg, bad[i].msg);
    }
}

TEST(keys_match_in_any_case_only_when_asked)
{
    struct err e = {0};
    auto_arena struct arena a = ARENA_INIT;
    struct outer o;

    CHECK_OK(decode("{\"tITLE\":\"x\"}", &a, &o, JSON_NOCASE, &e));
    CHECK_STR(o.title, "x");
    CHECK_OK(decode("{\"tITLE\":\"x\"}", &a, &o, 0, &e));
    CHECK(o.title == NULL);
    CHECK_STR(strmap_get(&o.rest, "tITLE"), "\"x\"");
}

TEST(depth_is_limited)
{
    struct err e = {0};
    auto_arena struct arena a = ARENA_INIT;
    struct json *j;
    char deep[JSON_DEPTH + 1];

    memset(deep, '[', sizeof(deep));
    CHECK_INT(json_parse(deep, sizeof(deep), &a, &j, &e), -EINVAL);
    CHECK(strstr(e.msg, "nested too deeply"));
}

TEST(surrogates_and_escapes)
{
    struct err e = {0};
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf out = BUF_INIT;
    const char text[] = "\"\\ud83d\\ude00\\ud800\\n\\u2028<\"";
    struct json *j;

    CHECK_OK(json_parse(text, strlen(text), &a, &j, &e));
    CHECK_STR(j->text, "\xf0\x9f\x98\x80\xef\xbf\xbd\n\xe2\x80\xa8<");
    json_write(j, &out);
    CHECK_STR(out.data, "\"\xf0\x9f\x98\x80\xef\xbf\xbd\\n\\u2028\\u003c\"");
}

TEST(floats_print_as_go_prints_them)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = {{0, "0"},
                 {1, "1"},
                 {0.1, "0.1"},
                 {1e21, "1e+21"},
                 {1e20, "100000000000000000000"},
                 {-2.5, "-2.5"},
                 {1.0 / 3, "0.3333333333333333"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        auto_buf struct buf out = BUF_INIT;
        struct json_w w = {.out = &out};
        json_w_f64(&w, cases[i].v);
        CHECK_STR(out.data, cases[i].text);
    }
}

TEST(pretty_is_gos_indent)
{
    auto_buf struct buf out = BUF_INIT;
    const char text[] = "{\"a\":[1,{\"b\":\"x,y\"}],\"c\":{},\"d\":[]}";

    json_pretty(text, strlen(text), "", "    ", &out);
    CHECK_STR(out.data, "{\n    \"a\": [\n        1,\n        {\n            \"b\": \"x,y\"\n"
                        "        }\n    ],\n    \"c\": {},\n    \"d\": []\n}");
}
