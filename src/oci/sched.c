/* Scheduling of the process: policy, I/O priority, CPU affinity, personality. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "oci/oci-priv.h"

struct name {
    const char *name;
    int value;
};

static const struct name policies[] = {
    {"SCHED_OTHER", 0}, {"SCHED_FIFO", 1}, {"SCHED_RR", 2},       {"SCHED_BATCH", 3},
    {"SCHED_ISO", 4},   {"SCHED_IDLE", 5}, {"SCHED_DEADLINE", 6}, {NULL, 0},
};

static const struct name flags[] = {
    {"SCHED_FLAG_RESET_ON_FORK", 0x01},  {"SCHED_FLAG_RECLAIM", 0x02},
    {"SCHED_FLAG_DL_OVERRUN", 0x04},     {"SCHED_FLAG_KEEP_POLICY", 0x08},
    {"SCHED_FLAG_KEEP_PARAMS", 0x10},    {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40}, {NULL, 0},
};

static const struct name io_classes[] = {
    {"IOPRIO_CLASS_RT", 1},
    {"IOPRIO_CLASS_BE", 2},
    {"IOPRIO_CLASS_IDLE", 3},
    {NULL, 0},
};

static int lookup(const struct name *t, const char *name, const char *what, struct err *err)
{
    for (; t->name; t++)
        if (str_eq(t->name, name))
            return t->value;
    return err_invalid(err, "%s \"%s\" is not known", what, str_or(name, ""));
}

static int set_scheduler(const struct oci_scheduler *o, struct err *err)
{
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attr = {.size = sizeof(attr),
              .nice = o->nice,
              .priority = (uint32_t)o->priority,
              .runtime = o->runtime,
              .deadline = o->deadline,
              .period = o->period};
    int r = lookup(policies, o->policy, "scheduler policy", err);

    if (r < 0)
        return r;
    attr.policy = (uint32_t)r;
    for (size_t i = 0; i < o->flags.n; i++) {
        r = lookup(flags, o->flags.v[i], "scheduler flag", err);
        if (r < 0)
            return r;
        attr.flags |= (uint64_t)r;
    }
    return syscall(SYS_sched_setattr, 0, &attr, 0) < 0 ? err_sys(err, "set scheduler %s", o->policy)
                                                       : 0;
}

static int set_io_priority(const struct oci_io_priority *o, struct err *err)
{
    int class = lookup(io_classes, o->class_, "I/O priority class", err);

    if (class < 0)
        return class;
    if (o->priority < 0 || o->priority > 7)
        return err_invalid(err, "I/O priority %d is not in 0..7", o->priority);
    if (syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, class << 13 | o->priority) < 0)
        return err_sys(err, "set I/O priority");
    return 0;
}

/* "0-3,7" */
static int parse_cpus(const char *list, cpu_set_t *set)
{
    CPU_ZERO(set);
    for (const char *p = list; *p;) {
        char *end;
        unsigned long from = strtoul(p, &end, 10), to = from;
        if (end == p)
            return -EINVAL;
        if (*end == '-') {
            p = end + 1;
            to = strtoul(p, &end, 10);
            if (end == p)
                return -EINVAL;
        }
        if (from > to || to >= CPU_SETSIZE)
            return -EINVAL;
        for (; from <= to; from++)
            CPU_SET(from, set);
        p = end + strspn(end, ", ");
    }
    return 0;
}

static int set_affinity(const struct oci_cpu_affinity *o, struct err *err)
{
    const char *list = str_or(o->final, str_or(o->initial, ""));
    cpu_set_t set;

    if (!*list)
        return 0;
    if (parse_cpus(list, &set) < 0)
        return err_invalid(err, "CPU list \"%s\" is not valid", list);
    return sched_setaffinity(0, sizeof(set), &set) < 0 ? err_sys(err, "set CPU affinity %s", list)
                                                       : 0;
}

static int set_personality(const struct oci_personality *o, struct err *err)
{
    bool p32 = str_eq(o->domain, "LINUX32");

    if (!p32 && !str_eq(o->domain, "LINUX"))
        return err_invalid(err, "personality \"%s\" is not known", o->domain);
    if (o->flags.n)
        return err_as(err, ERR_NOT_IMPLEMENTED, EOPNOTSUPP, "personality flags are not supported");
    return personality(p32 ? PER_LINUX32 : PER_LINUX) < 0 ? err_sys(err, "set personality") : 0;
}

int setup_scheduling(struct setup *s, struct err *err)
{
    const struct oci_process *p = s->id->p;
    int r = p->scheduler ? set_scheduler(p->scheduler, err) : 0;

    if (r == 0 && p->io_priority)
        r = set_io_priority(p->io_priority, err);
    if (r == 0 && !s->c && p->exec_cpu_affinity)
        r = set_affinity(p->exec_cpu_affinity, err);
    if (r == 0 && s->spec->lnx && s->spec->lnx->personality)
        r = set_personality(s->spec->lnx->personality, err);
    return r;
}
