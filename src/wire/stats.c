/* Field tables of a container's resource use. */
#include "wire/stats.h"

#include <errno.h>

static const struct field cpu_usage_fields[] = {
    FIELD(struct cpu_usage, "total_usage", F_U64, total_ns),
    FIELD(struct cpu_usage, "percpu_usage", F_I64V, percpu_ns, .flags = F_OMIT),
    FIELD(struct cpu_usage, "usage_in_kernelmode", F_U64, kernel_ns),
    FIELD(struct cpu_usage, "usage_in_usermode", F_U64, user_ns),
};
static const struct json_type cpu_usage_type =
    JSON_TYPE("cpu_usage", struct cpu_usage, cpu_usage_fields);

static const struct field throttling_fields[] = {
    FIELD(struct throttling_data, "periods", F_U64, periods),
    FIELD(struct throttling_data, "throttled_periods", F_U64, throttled_periods),
    FIELD(struct throttling_data, "throttled_time", F_U64, throttled_ns),
};
static const struct json_type throttling_type =
    JSON_TYPE("throttling_data", struct throttling_data, throttling_fields);

static const struct field cpu_stats_fields[] = {
    FIELD(struct cpu_stats, "cpu_usage", F_OBJ, usage, .type = &cpu_usage_type),
    FIELD(struct cpu_stats, "system_cpu_usage", F_U64, system_ns, .flags = F_OMIT),
    FIELD(struct cpu_stats, "online_cpus", F_U32, online_cpus, .flags = F_OMIT),
    FIELD(struct cpu_stats, "throttling_data", F_OBJ, throttling, .type = &throttling_type),
};
static const struct json_type cpu_stats_type =
    JSON_TYPE("cpu_stats", struct cpu_stats, cpu_stats_fields);

static const struct field memory_stats_fields[] = {
    FIELD(struct memory_stats, "usage", F_U64, usage_b, .flags = F_OMIT),
    FIELD(struct memory_stats, "max_usage", F_U64, max_usage_b, .flags = F_OMIT),
    FIELD(struct memory_stats, "stats", F_RAW, stats, .flags = F_OMIT),
    FIELD(struct memory_stats, "failcnt", F_U64, failcnt, .flags = F_OMIT),
    FIELD(struct memory_stats, "limit", F_U64, limit_b, .flags = F_OMIT),
};
static const struct json_type memory_stats_type =
    JSON_TYPE("memory_stats", struct memory_stats, memory_stats_fields);

static const struct field pids_stats_fields[] = {
    FIELD(struct pids_stats, "current", F_U64, current, .flags = F_OMIT),
    FIELD(struct pids_stats, "limit", F_U64, limit, .flags = F_OMIT),
};
static const struct json_type pids_stats_type =
    JSON_TYPE("pids_stats", struct pids_stats, pids_stats_fields);

static const struct field blkio_entry_fields[] = {
    FIELD(struct blkio_entry, "major", F_U64, major),
    FIELD(struct blkio_entry, "minor", F_U64, minor),
    FIELD(struct blkio_entry, "op", F_STR, op),
    FIELD(struct blkio_entry, "value", F_U64, value),
};
static const struct json_type blkio_entry_type =
    JSON_TYPE("blkio_entry", struct blkio_entry, blkio_entry_fields);

#define BLKIO(NAME, MEMBER)                                                                        \
    FIELD(struct blkio_stats, NAME, F_OBJV, MEMBER, .type = &blkio_entry_type)

static const struct field blkio_stats_fields[] = {
    BLKIO("io_service_bytes_recursive", service_bytes),
    BLKIO("io_serviced_recursive", serviced),
    BLKIO("io_queue_recursive", queue),
    BLKIO("io_service_time_recursive", service_time),
    BLKIO("io_wait_time_recursive", wait_time),
    BLKIO("io_merged_recursive", merged),
    BLKIO("io_time_recursive", time),
    BLKIO("sectors_recursive", sectors),
};
static const struct json_type blkio_stats_type =
    JSON_TYPE("blkio_stats", struct blkio_stats, blkio_stats_fields);

static const struct field network_stats_fields[] = {
    FIELD(struct network_stats, "rx_bytes", F_U64, rx_bytes),
    FIELD(struct network_stats, "rx_packets", F_U64, rx_packets),
    FIELD(struct network_stats, "rx_errors", F_U64, rx_errors),
    FIELD(struct network_stats, "rx_dropped", F_U64, rx_dropped),
    FIELD(struct network_stats, "tx_bytes", F_U64, tx_bytes),
    FIELD(struct network_stats, "tx_packets", F_U64, tx_packets),
    FIELD(struct network_stats, "tx_errors", F_U64, tx_errors),
    FIELD(struct network_stats, "tx_dropped", F_U64, tx_dropped),
};
static const struct json_type network_stats_type =
    JSON_TYPE("networks", struct network_stats, network_stats_fields);

static const struct field storage_stats_fields[] = {
    FIELD(struct storage_stats, "read_count_normalized", F_U64, read_count, .flags = F_OMIT),
    FIELD(struct storage_stats, "read_size_bytes", F_U64, read_size_b, .flags = F_OMIT),
    FIELD(struct storage_stats, "write_count_normalized", F_U64, write_count, .flags = F_OMIT),
    FIELD(struct storage_stats, "write_size_bytes", F_U64, write_size_b, .flags = F_OMIT),
};
static const struct json_type storage_stats_type =
    JSON_TYPE("storage_stats", struct storage_stats, storage_stats_fields);

static const struct field container_stats_fields[] = {
    FIELD(struct container_stats, "name", F_STR, name, .flags = F_OMIT),
    FIELD(struct container_stats, "id", F_STR, id, .flags = F_OMIT),
    FIELD(struct container_stats, "read", F_STR, read),
    FIELD(struct container_stats, "preread", F_STR, preread),
    FIELD(struct container_stats, "pids_stats", F_OBJ, pids, .type = &pids_stats_type),
    FIELD(struct container_stats, "blkio_stats", F_OBJ, blkio, .type = &blkio_stats_type),
    FIELD(struct container_stats, "num_procs", F_U32, num_procs),
    FIELD(struct container_stats, "storage_stats", F_OBJ, storage, .type = &storage_stats_type),
    FIELD(struct container_stats, "cpu_stats", F_OBJ, cpu, .type = &cpu_stats_type),
    FIELD(struct container_stats, "precpu_stats", F_OBJ, precpu, .type = &cpu_stats_type),
    FIELD(struct container_stats, "memory_stats", F_OBJ, memory, .type = &memory_stats_type),
    FIELD(struct container_stats, "networks", F_OBJMAP, networks, .flags = F_OMIT,
          .type = &network_stats_type),
};
const struct json_type container_stats_type =
    JSON_TYPE("Stats", struct container_stats, container_stats_fields);

struct json_raw u64map_raw(struct arena *a, const struct u64_entry *v, size_t n)
{
    auto_buf struct buf b = BUF_INIT;
    struct json_w w = {.out = &b};

    json_w_obj(&w);
    for (size_t i = 0; i < n; i++) {
        json_w_key(&w, v[i].key);
        json_w_u64(&w, v[i].val);
    }
    json_w_end_obj(&w);
    return (struct json_raw){.text = arena_strndup(a, b.data, b.len), .len = b.len};
}

int u64map_get(const struct json_raw *raw, const char *key, uint64_t *ret)
{
    auto_arena struct arena a = ARENA_INIT;
    struct json *j = NULL;

    if (!raw->text || json_parse(raw->text, raw->len, &a, &j, NULL) < 0)
        return -ENOENT;
    const struct json *val = json_get(j, key);
    if (!val || val->kind != JSON_NUMBER || str_to_u64(val->text, ret) < 0)
        return -ENOENT;
    return 0;
}
