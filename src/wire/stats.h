/*
 * Resource use of a container. Numbers are the kernel's, of either cgroup version: what a version
 * cannot tell stays 0 or null and most of it is then left out.
 */
#pragma once

#include "base/json.h"
#include "base/str.h"

struct cpu_usage {
    uint64_t total_ns;
    VEC_OF(int64_t) percpu_ns; /* cgroup v1 only */
    uint64_t kernel_ns, user_ns;
};

struct throttling_data {
    uint64_t periods, throttled_periods, throttled_ns;
};

struct cpu_stats {
    struct cpu_usage usage;
    uint64_t system_ns; /* all CPUs of the machine */
    uint32_t online_cpus;
    struct throttling_data throttling;
};

struct memory_stats {
    uint64_t usage_b, max_usage_b; /* max: v1 only */
    struct json_raw stats;         /* memory.stat; see u64map_raw() */
    uint64_t failcnt;              /* v1 only */
    uint64_t limit_b;
};

struct pids_stats {
    uint64_t current, limit; /* 0: not sent */
};

struct blkio_entry {
    uint64_t major, minor;
    char *op; /* "read", "write" ... */
    uint64_t value;
};

struct blkio_stats {
    VEC_OF(struct blkio_entry *) service_bytes;
    VEC_OF(struct blkio_entry *) serviced;
    VEC_OF(struct blkio_entry *) queue;
    VEC_OF(struct blkio_entry *) service_time;
    VEC_OF(struct blkio_entry *) wait_time;
    VEC_OF(struct blkio_entry *) merged;
    VEC_OF(struct blkio_entry *) time;
    VEC_OF(struct blkio_entry *) sectors;
};

struct network_stats {
    uint64_t rx_bytes, rx_packets, rx_errors, rx_dropped;
    uint64_t tx_bytes, tx_packets, tx_errors, tx_dropped;
};

struct storage_stats {
    uint64_t read_count, read_size_b, write_count, write_size_b; /* Windows only */
};

struct container_stats {
    char *name, *id;
    char *read, *preread; /* RFC 3339; the zero time when there was no earlier sample */
    struct pids_stats pids;
    struct blkio_stats blkio;
    uint32_t num_procs; /* Windows only */
    struct storage_stats storage;
    struct cpu_stats cpu, precpu;
    struct memory_stats memory;
    MAP_OF(struct network_stats *) networks; /* by interface; none for host networking */
};

extern const struct json_type container_stats_type;

struct u64_entry {
    const char *key;
    uint64_t val;
};

/** u64map_raw() - a JSON object of numbers, as memory_stats.stats wants it, in @a. */
struct json_raw u64map_raw(struct arena *a, const struct u64_entry *v, size_t n);
/** u64map_get() - Return: 0, or -ENOENT when there is no such number. */
int u64map_get(const struct json_raw *raw, const char *key, uint64_t *ret) MUST;
