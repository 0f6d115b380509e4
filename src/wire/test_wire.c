/* The field tables: what a client sends survives, what is absent looks as Docker's does. */
#include "wire/agent.h"
#include "wire/container.h"
#include "wire/exec.h"
#include "wire/filters.h"
#include "base/frame.h"
#include "wire/system.h"
#include "wire/version.h"

#include <errno.h>

#include "base/test.h"

/* Decode @text as @type and encode it again; the result lives in @a. */
static const char *again(const struct json_type *type, const char *text, struct arena *a)
{
    struct err e = {0};
    auto_buf struct buf b = BUF_INIT;
    void *obj = arena_alloc(a, type->size);

    CHECK_OK(json_decode(type, text, strlen(text), a, obj, JSON_NOCASE, &e));
    json_encode(type, json_clone(type, obj, a), &b);
    return arena_strdup(a, buf_str(&b));
}

static void same(const struct json_type *type, const char *text)
{
    auto_arena struct arena a = ARENA_INIT;

    CHECK_STR(again(type, text, &a), text);
}

#define HOST_CONFIG_EMPTY                                                                          \
    "{\"Binds\":null,\"ContainerIDFile\":\"\",\"LogConfig\":{\"Type\":\"\",\"Config\":{}},"        \
    "\"NetworkMode\":\"\",\"PortBindings\":{},"                                                    \
    "\"RestartPolicy\":{\"Name\":\"\",\"MaximumRetryCount\":0},\"AutoRemove\":false,"              \
    "\"VolumeDriver\":\"\",\"VolumesFrom\":null,\"ConsoleSize\":[0,0],\"CapAdd\":null,"            \
    "\"CapDrop\":null,\"CgroupnsMode\":\"\",\"Dns\":null,\"DnsOptions\":null,\"DnsSearch\":null,"  \
    "\"ExtraHosts\":null,\"GroupAdd\":null,\"IpcMode\":\"\",\"Cgroup\":\"\",\"Links\":null,"       \
    "\"OomScoreAdj\":0,\"PidMode\":\"\",\"Privileged\":false,\"PublishAllPorts\":false,"           \
    "\"ReadonlyRootfs\":false,\"SecurityOpt\":null,\"UTSMode\":\"\",\"UsernsMode\":\"\","          \
    "\"ShmSize\":0,\"Isolation\":\"\",\"CpuShares\":0,\"Memory\":0,\"NanoCpus\":0,"                \
    "\"CgroupParent\":\"\",\"BlkioWeight\":0,\"BlkioWeightDevice\":null,"                          \
    "\"BlkioDeviceReadBps\":null,\"BlkioDeviceWriteBps\":null,\"BlkioDeviceReadIOps\":null,"       \
    "\"BlkioDeviceWriteIOps\":null,\"CpuPeriod\":0,\"CpuQuota\":0,\"CpuRealtimePeriod\":0,"        \
    "\"CpuRealtimeRuntime\":0,\"CpusetCpus\":\"\",\"CpusetMems\":\"\",\"Devices\":null,"           \
    "\"DeviceCgroupRules\":null,\"DeviceRequests\":null,\"MemoryReservation\":0,"                  \
    "\"MemorySwap\":0,\"MemorySwappiness\":null,\"OomKillDisable\":null,\"PidsLimit\":null,"       \
    "\"Ulimits\":null,\"CpuCount\":0,\"CpuPercent\":0,\"IOMaximumIOps\":0,"                        \
    "\"IOMaximumBandwidth\":0,\"MaskedPaths\":null,\"ReadonlyPaths\":null}"

TEST(host_config_absent_members_look_as_dockers)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf b = BUF_INIT;
    struct host_config hc = {0};

    host_config_defaults(&hc, &a);
    json_encode(&host_config_type, &hc, &b);
    CHECK_STR(buf_str(&b), HOST_CONFIG_EMPTY);
}

TEST(config_absent_members_look_as_dockers)
{
    auto_arena struct arena a = ARENA_INIT;

    CHECK_STR(again(&container_config_type, "{}", &a),
              "{\"Hostname\":\"\",\"Domainname\":\"\",\"User\":\"\",\"AttachStdin\":false,"
              "\"AttachStdout\":false,\"AttachStderr\":false,\"Tty\":false,\"OpenStdin\":false,"
              "\"StdinOnce\":false,\"Env\":null,\"Cmd\":null,\"Image\":\"\",\"Volumes\":null,"
              "\"WorkingDir\":\"\",\"Entrypoint\":null,\"OnBuild\":null,\"Labels\":{}}");
}

static const char create_text[] =
    "{\"Image\":\"busybox\",\"Cmd\":\"true\",\"Entrypoint\":[],\"ExposedPorts\":{\"80/tcp\":{}},"
    "\"Labels\":{\"b\":\"2\",\"a\":\"1\"},\"StopTimeout\":0,\"Unknown\":1,"
    "\"Healthcheck\":{\"Test\":[\"CMD\",\"x\"],\"Interval\":1000000000},"
    "\"hostconfig\":{\"Memory\":67108864,\"Init\":true,\"PidsLimit\":-1,"
    "\"PortBindings\":{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":8080}],\"81/udp\":null},"
    "\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/a\",\"Target\":\"/b\","
    "\"BindOptions\":{\"Propagation\":\"rslave\"}},"
    "{\"Type\":\"tmpfs\",\"Target\":\"/t\",\"TmpfsOptions\":{\"SizeBytes\":4096,"
    "\"Options\":[[\"exec\"],[\"size\",\"1m\"]]}}],"
    "\"Ulimits\":[{\"Name\":\"nofile\",\"Hard\":20,\"Soft\":10}]},"
    "\"NetworkingConfig\":{\"EndpointsConfig\":{\"n\":{\"Aliases\":[\"x\"]},\"m\":null}}}";

TEST(create_request_decodes)
{
    struct err e = {0};
    auto_arena struct arena a = ARENA_INIT;
    struct container_create_request req = {0};

    CHECK_OK(json_decode(&container_create_request_type, create_text, sizeof(create_text) - 1, &a,
                         &req, JSON_NOCASE, &e));
    CHECK_STR(req.config.image, "busybox");
    CHECK_INT(req.config.cmd.n, 1);
    CHECK(req.config.entrypoint.v && req.config.entrypoint.n == 0);
    CHECK(!req.config.env.v);
    CHECK_STR(req.config.exposed_ports.v[0], "80/tcp");
    CHECK_INT(*req.config.stop_timeout_s, 0);
    CHECK_INT(req.config.healthcheck->interval_ns, 1000000000);
    struct host_config *hc = req.host_config;
    CHECK_INT(hc->res.memory_b, 64 << 20);
    CHECK_INT(*hc->res.pids_limit, -1);
    CHECK(*hc->init);
    struct objv *bound = port_map_get(&hc->port_bindings, "80/tcp");
    CHECK(bound && bound->n == 1);
    CHECK_STR(((struct port_binding *)bound->v[0])->host_port, "8080");
    CHECK(!port_map_get(&hc->port_bindings, "81/udp"));
    CHECK_INT(hc->port_bindings.n, 2);
    CHECK_STR(hc->mounts.v[0]->bind_options->propagation, "rslave");
    CHECK_STR(hc->mounts.v[1]->tmpfs_options->options.v[1].v[1], "1m");
    CHECK_INT(hc->res.ulimits.v[0]->soft, 10);
    CHECK_STR(req.networking_config->endpoints.v[0].val->aliases.v[0], "x");
    CHECK(!req.networking_config->endpoints.v[1].val);
}

TEST(create_request_errors_name_the_member)
{
    static const struct {
        const char *text, *part;
    } bad[] = {
        {"{\"HostConfig\":{\"Memory\":\"1\"}}", "HostConfig.Memory"},
        {"{\"Cmd\":{}}", "Cmd"},
        {"{\"HostConfig\":{\"Mounts\":[{\"ReadOnly\":1}]}}", "ReadOnly"},
        {"{\"Tty\":true,\"Tty\":true}", "Tty"},
        {"{\"Env\":[1]}", "Env"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err e = {0};
        auto_arena struct arena a = ARENA_INIT;
        struct container_create_request req = {0};
        CHECK_INT(json_decode(&container_create_request_type, bad[i].text, strlen(bad[i].text), &a,
                              &req, JSON_NOCASE, &e),
                  -EINVAL);
        if (!strstr(e.msg, bad[i].part))
            TEST_FAIL("\"%s\" does not name %s", e.msg, bad[i].part);
    }
}

TEST(port_map_grows_by_binding)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf b = BUF_INIT;
    struct network_settings ns = {0};

    port_map_set_null(&ns.ports, &a, "53/udp");
    port_map_add(&ns.ports, &a, "80/tcp", "0.0.0.0", "8080");
    port_map_add(&ns.ports, &a, "80/tcp", "::", "8080");
    json_encode(&network_settings_type, &ns, &b);
    CHECK(strstr(buf_str(&b),
                 "\"Ports\":{\"53/udp\":null,\"80/tcp\":[{\"HostIp\":\"0.0.0.0\","
                 "\"HostPort\":\"8080\"},{\"HostIp\":\"::\",\"HostPort\":\"8080\"}]}"));
}

/* Every type must survive an empty object and then encode to the same text again. */
TEST(every_type_is_stable)
{
    static const struct json_type *const types[] = {
        &container_create_request_type,
        &container_inspect_type,
        &container_summary_type,
        &container_stats_type,
        &container_update_request_type,
        &container_top_response_type,
        &container_wait_response_type,
        &container_prune_response_type,
        &path_stat_type,
        &exec_create_request_type,
        &exec_start_request_type,
        &exec_inspect_type,
        &image_summary_type,
        &image_inspect_type,
        &image_inspect_legacy_type,
        &image_history_item_type,
        &progress_message_type,
        &network_inspect_type,
        &network_create_request_type,
        &network_connect_request_type,
        &volume_info_type,
        &volume_create_request_type,
        &volume_list_response_type,
        &system_info_type,
        &system_version_type,
        &event_message_type,
        &disk_usage_type,
        &auth_config_type,
    };

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        auto_arena struct arena a = ARENA_INIT;
        const char *once = again(types[i], "{}", &a);
        CHECK_STR(again(types[i], once, &a), once);
    }
}

TEST(messages_carry_only_what_is_set)
{
    same(&progress_message_type, "{\"stream\":\"Loaded image: a:b\\n\"}");
    same(&progress_message_type,
         "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":1,\"total\":2},"
         "\"id\":\"abc\"}");
    same(&progress_message_type, "{\"status\":\"Pulling fs layer\",\"progressDetail\":{},"
                                 "\"id\":\"abc\"}");
    same(&progress_message_type,
         "{\"errorDetail\":{\"message\":\"no\"},\"error\":\"no\",\"aux\":{\"ID\":\"x\"}}");
    same(&error_body_type, "{\"message\":\"No such container: x\"}");
    same(&container_wait_response_type, "{\"StatusCode\":137}");
    same(&filesystem_change_type, "{\"Kind\":1,\"Path\":\"/etc\"}");
    same(&event_message_type,
         "{\"Type\":\"network\",\"Action\":\"connect\",\"Actor\":{\"ID\":\"i\","
         "\"Attributes\":{}},\"scope\":\"local\",\"time\":1,\"timeNano\":1000000000}");
}

TEST(memory_stat_numbers)
{
    auto_arena struct arena a = ARENA_INIT;
    struct u64_entry v[] = {{"anon", 1}, {"file", UINT64_MAX}};
    struct json_raw raw = u64map_raw(&a, v, 2);
    uint64_t n = 0;

    CHECK_STR(raw.text, "{\"anon\":1,\"file\":18446744073709551615}");
    CHECK_INT(u64map_get(&raw, "file", &n), 0);
    CHECK(n == UINT64_MAX);
    CHECK_INT(u64map_get(&raw, "shmem", &n), -ENOENT);
}

static struct filters parsed(const char *text, struct arena *a)
{
    struct err e = {0};
    struct filters f = {0};

    CHECK_OK(filters_parse(text, text ? strlen(text) : 0, a, &f, &e));
    return f;
}

TEST(filters_both_forms_are_one)
{
    auto_arena struct arena a = ARENA_INIT;
    static const char *const texts[] = {
        "{\"status\":[\"exited\",\"dead\",\"exited\"],\"label\":[\"x\"]}",
        "{\"label\":{\"x\":true,\"y\":false},\"status\":{\"exited\":true,\"dead\":true}}",
    };

    for (size_t i = 0; i < 2; i++) {
        auto_buf struct buf b = BUF_INIT;
        struct filters f = parsed(texts[i], &a);
        filters_encode(&f, &b);
        CHECK_STR(buf_str(&b),
                  "{\"label\":{\"x\":true},\"status\":{\"exited\":true,\"dead\":true}}");
    }
    CHECK_INT(parsed(NULL, &a).n, 0);
    CHECK_INT(parsed("{}", &a).n, 0);
}

TEST(filters_refuse_what_docker_refuses)
{
    static const char *const bad[] = {"x", "[]", "{\"a\":1}", "{\"a\":[1]}", "{\"a\":{\"b\":1}}"};
    static const char *const accepted[] = {"label", "status", NULL};
    auto_arena struct arena a = ARENA_INIT;
    struct err e = {0};
    bool yes = false;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct filters f = {0};
        CHECK_INT(filters_parse(bad[i], strlen(bad[i]), &a, &f, &e), -EINVAL);
        CHECK_STR(e.msg, "invalid filter");
    }
    struct filters f = parsed("{\"label\":[\"x\"],\"colour\":[\"red\"]}", &a);
    CHECK_INT(filters_check(&f, accepted, &e), -EINVAL);
    CHECK_STR(e.msg, "invalid filter 'colour'");
    CHECK_INT(filters_bool(&f, "colour", false, &yes, &e), -EINVAL);
    CHECK_STR(e.msg, "invalid filter 'colour=[red]'");
    CHECK_INT(e.kind, ERR_INVALID);
}

TEST(filters_match_as_docker_does)
{
    auto_arena struct arena a = ARENA_INIT;
    struct filters f = parsed("{\"name\":[\"^/?web.*1$\",\"db\"],\"id\":[\"abc\"],"
                              "\"label\":[\"a\",\"b=2\"],\"label!\":[\"keep\"],"
                              "\"bad\":[\"(\",\"(a)\\\\1\",\"((a{999}){999})\"]}",
                              &a);
    struct strmap labels = {0};

    CHECK(filters_pattern(&f, "name", "web-01"));
    CHECK(filters_pattern(&f, "name", "mydb2"));
    CHECK(!filters_pattern(&f, "name", "web-02"));
    CHECK(!filters_pattern(&f, "bad", "aa"));
    CHECK(filters_pattern(&f, "bad", "("));
    CHECK(filters_prefix(&f, "id", "abcdef") && !filters_prefix(&f, "id", "ab"));
    CHECK(filters_exact(&f, "id", "abc") && !filters_exact(&f, "id", "abcd"));
    CHECK(filters_exact(&f, "absent", "x") && filters_pattern(&f, "absent", "x"));
    strmap_set(&a, &labels, "a", "");
    CHECK(!filters_labels(&f, "label", &labels));
    strmap_set(&a, &labels, "b", "2");
    CHECK(filters_labels(&f, "label", &labels) && filters_prune_labels(&f, &labels));
    strmap_set(&a, &labels, "keep", "1");
    CHECK(!filters_prune_labels(&f, &labels));
}

TEST(versions)
{
    struct err e = {0};

    CHECK_INT(api_version_parse("1.43", 4), API(1, 43));
    CHECK_INT(api_version_parse("1.43/x", 4), API(1, 43));
    CHECK_INT(api_version_parse("1.", 2), -EINVAL);
    CHECK_INT(api_version_parse("1.43.1", 6), -EINVAL);
    CHECK_INT(api_version_parse("1.1000", 6), -EINVAL);
    CHECK_INT(api_version_check("1.51", 4, &e), API_MAX);
    CHECK_INT(api_version_check("1.52", 4, &e), -EINVAL);
    CHECK_STR(e.msg, "client version 1.52 is too new. Maximum supported API version is 1.51");
    CHECK_INT(api_version_check("1.23", 4, &e), -EINVAL);
    CHECK_STR(e.msg, "client version 1.23 is too old. Minimum supported API version is 1.24, "
                     "please upgrade your client to a newer version");
}

TEST(frames)
{
    uint8_t h[FRAME_HEADER];
    enum frame_stream s = FRAME_STDIN;
    uint32_t len = 0;

    frame_put(h, FRAME_STDERR, 0x01020304);
    CHECK(h[0] == 2 && h[4] == 1 && h[7] == 4);
    CHECK(frame_get(h, &s, &len));
    CHECK(s == FRAME_STDERR && len == 0x01020304);
    h[1] = 1;
    CHECK(!frame_get(h, &s, &len));
}

/* ---- messages of agents ---- */

struct bytes {
    const char *p;
    size_t n;
};

static int take(void *ctx, void *p, size_t n)
{
    struct bytes *b = ctx;

    if (b->n < n)
        return -ENODATA;
    memcpy(p, b->p, n);
    b->p += n;
    b->n -= n;
    return 0;
}

TEST(messages_of_agents_are_read_whole)
{
    static const char two[] = "\0\0\0\2ab\0\0\0\1c";
    struct err e = {0}; /* for CHECK_OK */
    struct bytes b = {two, sizeof(two) - 1};
    auto_buf struct buf out = BUF_INIT;

    CHECK_OK(agent_message_read(take, &b, &out));
    CHECK_INT(out.len, 6);
    CHECK_INT(agent_message_len(&out), 6);
    out.len = 5;
    CHECK_INT(agent_message_len(&out), 0);
    out.len = 3;
    CHECK_INT(agent_message_len(&out), 0);
    CHECK_OK(agent_message_read(take, &b, &out));
    CHECK_INT(agent_message_read(take, &b, &out), -ENODATA);
}

TEST(messages_of_agents_have_limits)
{
    static const char *const bad[] = {"\0\0\0\0", "\0\4\0\1", "\xff\xff\xff\xff"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct bytes b = {bad[i], 4};
        auto_buf struct buf out = BUF_INIT, in = BUF_INIT;
        CHECK_INT(agent_message_read(take, &b, &out), -EMSGSIZE);
        buf_put(&in, bad[i], 4);
        CHECK_INT(agent_message_len(&in), -EMSGSIZE);
    }
}
