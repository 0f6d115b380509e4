/*
 * What the files of the cgroup module share: the table of hierarchies, a group's descriptors, and
 * small readers and writers. A v2 machine is one hierarchy with many controllers; v1 has a
 * hierarchy per controller, or per few; so nearly all code asks "which hierarchy has controller x"
 * and is the same for both.
 */
#pragma once

#include "kern/cgroup.h"

#include <stddef.h>

#define CG_HIERS CGROUP_JOIN_FDS
#define CG_FILE_MAX (1024 * 1024)

enum cg_ctl {
    CTL_CPU,
    CTL_CPUACCT,
    CTL_CPUSET,
    CTL_MEMORY,
    CTL_DEVICES,
    CTL_FREEZER,
    CTL_IO, /* "blkio" on v1 */
    CTL_PIDS,
    CTL_HUGETLB,
    CTL_NET_CLS,
    CTL_NET_PRIO,
    CTL_PERF,
    CTL_RDMA,
    CTL_MISC,
    CTL_COUNT,
};

struct cg_hier {
    char name[64]; /* directory below /sys/fs/cgroup; "" on v2 */
    int fd;        /* O_PATH of its mount */
    unsigned ctls; /* bit per enum cg_ctl */
    bool v2;
};

struct cgroup_host {
    enum cgroup_mode mode;
    struct cg_hier h[CG_HIERS];
    size_t n;
    int v2; /* index of the v2 tree, or -1 */
};

struct cgroup {
    struct cgroup_host *host;
    char *path;         /* "/cleat/x" */
    int dir[CG_HIERS];  /* O_PATH, or -1: not opened yet */
    int join[CG_HIERS]; /* tasks or cgroup.procs for writing, between prepare and finish */
    bool unified;       /* cgroup_create_unified() has made the v2 directory */
};

const char *cg_ctl_name(enum cg_ctl ctl, bool v2);
/** cg_hier_of() - index of the hierarchy with the controller, or -1. */
int cg_hier_of(const struct cgroup_host *host, enum cg_ctl ctl);
/** cg_dir() - the group's directory in hierarchy @i; opened at first use; borrowed. */
int cg_dir(struct cgroup *cg, int i, struct err *err) MUST;

/** cg_write() - one write to a file of the controller's hierarchy; -ENOENT when there is none. */
int cg_write(struct cgroup *cg, enum cg_ctl ctl, const char *file, struct err *err, const char *fmt,
             ...) PRINTF(5, 6) MUST;
int cg_write_hier(struct cgroup *cg, int i, const char *file, const char *text,
                  struct err *err) MUST;
/** cg_read() - a whole file, NUL-terminated, into @out (cleared before). */
int cg_read(struct cgroup *cg, enum cg_ctl ctl, const char *file, struct buf *out,
            struct err *err) MUST;
int cg_read_hier(struct cgroup *cg, int i, const char *file, struct buf *out, struct err *err) MUST;
/** cg_read_u64() - a number; "max" is UINT64_MAX. */
int cg_read_u64(struct cgroup *cg, enum cg_ctl ctl, const char *file, uint64_t *ret,
                struct err *err) MUST;
/** cg_key() - value of "key value" in a flat keyed file's text. Return: 0 or -ENOENT. */
int cg_key(const char *text, const char *key, uint64_t *ret) MUST;
/** cg_has_word() - is @word one of the words of @text? */
bool cg_has_word(const char *text, const char *word);
/** cg_next_line() - cut the next line off *text; NULL at the end. Empty lines are skipped. */
char *cg_next_line(char **text);

/* cgroup1.c, cgroup2.c */
int cg1_prepare_parent(int fd, const char *dir, struct err *err) MUST;
int cg1_prepare_leaf(struct cgroup *cg, int i, struct err *err) MUST;
int cg2_enable(int fd, const char *dir, unsigned ctls, struct err *err) MUST;

/* cgroup1_limits.c, cgroup2_limits.c */
int cg1_apply(struct cgroup *cg, const struct cgroup_limits *lim, struct err *err) MUST;
int cg2_apply(struct cgroup *cg, const struct cgroup_limits *lim, struct err *err) MUST;
/* cgroup1_devices.c, cgroup2_devices.c */
int cg1_devices(struct cgroup *cg, const struct cgroup_limits *lim, struct err *err) MUST;
int cg2_devices(struct cgroup *cg, const struct cgroup_limits *lim, struct err *err) MUST;
/* cgroup_limits.c: what both versions write alike */
int cg_apply_common(struct cgroup *cg, const struct cgroup_limits *lim, struct err *err) MUST;

/* cgroup1_stats.c, cgroup2_stats.c */
int cg1_stats(struct cgroup *cg, struct arena *a, struct cgroup_stats *ret, struct err *err) MUST;
int cg2_stats(struct cgroup *cg, struct arena *a, struct cgroup_stats *ret, struct err *err) MUST;
void cg_stat_map(struct arena *a, char *text, struct cgroup_stats *ret);
void cg_io_add(struct arena *a, struct cgroup_io_stats *list, uint64_t major, uint64_t minor,
               const char *op, uint64_t value);
