/*
 * The processes of a container, read from /proc: no program is started for it. What `ps` options
 * people use with top is understood: the formats of -ef and aux, and -o with a list of columns.
 */
#include "engine/engine-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/time.h"

struct ps {
    pid_t pid, ppid;
    uint32_t uid;
    char comm[64], state;
    int tty;
    long nice, threads;
    uint64_t ticks, start, vsize, rss_pages;
    char *args;
};

static void read_stat(const char *text, struct ps *p)
{
    const char *open = strchr(text, '('), *close = strrchr(text, ')');
    unsigned long long utime = 0, stime = 0, start = 0, vsize = 0;
    long rss = 0;

    if (!open || !close || close < open)
        return;
    (void)snprintf(p->comm, sizeof(p->comm), "%.*s", (int)(close - open - 1), open + 1);
    (void)sscanf(close + 2,
                 "%c %d %*d %*d %d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %ld %ld %*d %llu "
                 "%llu %ld",
                 &p->state, &p->ppid, &p->tty, &utime, &stime, &p->nice, &p->threads, &start,
                 &vsize, &rss);
    p->ticks = utime + stime;
    p->start = start;
    p->vsize = vsize;
    p->rss_pages = rss > 0 ? (uint64_t)rss : 0;
}

/* Return: 1 read, 0 the process is gone. */
static int read_ps(pid_t pid, struct arena *a, struct ps *p)
{
    auto_buf struct buf stat = BUF_INIT, status = BUF_INIT, cmd = BUF_INIT;
    char path[40];

    *p = (struct ps){.pid = pid};
    (void)snprintf(path, sizeof(path), "/proc/%d", pid);
    auto_close int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || read_file_at(dir, "stat", 4096, &stat, NULL) < 0 ||
        read_file_at(dir, "status", 65536, &status, NULL) < 0 ||
        read_file_at(dir, "cmdline", 4U << 20, &cmd, NULL) < 0)
        return 0;
    read_stat(stat.data, p);
    const char *uid = strstr(status.data, "\nUid:");
    if (uid)
        (void)sscanf(uid + 5, "%u", &p->uid);
    for (size_t i = 0; i + 1 < cmd.len; i++)
        if (!cmd.data[i])
            cmd.data[i] = ' ';
    p->args = cmd.len ? arena_strndup(a, cmd.data, cmd.len) : arena_printf(a, "[%s]", p->comm);
    return 1;
}

/* ---- columns ---- */

static char *col_user(const struct ps *p, struct arena *a)
{
    char space[1024];
    struct passwd pw, *found = NULL;

    if (getpwuid_r(p->uid, &pw, space, sizeof(space), &found) == 0 && found)
        return arena_strdup(a, pw.pw_name);
    return arena_printf(a, "%u", p->uid);
}

static char *col_uid(const struct ps *p, struct arena *a)
{
    return arena_printf(a, "%u", p->uid);
}

static char *col_pid(const struct ps *p, struct arena *a)
{
    return arena_printf(a, "%d", p->pid);
}

static char *col_ppid(const struct ps *p, struct arena *a)
{
    return arena_printf(a, "%d", p->ppid);
}

static double age_s(const struct ps *p)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_BOOTTIME, &ts);
    double age = (double)ts.tv_sec - (double)p->start / (double)sysconf(_SC_CLK_TCK);
    return age > 1 ? age : 1;
}

static double cpu_percent(const struct ps *p)
{
    return 100.0 * (double)p->ticks / (double)sysconf(_SC_CLK_TCK) / age_s(p);
}

static char *col_c(const struct ps *p, struct arena *a)
{
    return arena_printf(a, "%d", (int)cpu_percent(p));
}

static char *col_pcpu(const struct ps *p, struct arena *a)
{
    return arena_printf(a, "%.1f", cpu_percent(p));
}

static char *col_pmem(const struct ps *p, struct arena *a)
{
    double total = (double)get_phys_pages();

    return arena_printf(a, "%.1f", 100.0 * (double)p->rss_pages / total);
}

static char *col_stime(const struct ps *p, struct arena *a)
{
    time_t at = time(NULL) - (time_t)age_s(p);
    struct tm tm;
    char text[16];

    (void)localtime_r(&at, &tm);
    (void)strftime(text, sizeof(text), age_s(p) < 86400 ? "%H:%M" : "%b%d", &tm);
    return arena_strdup(a, text);
}

static char *col_tty(const struct ps *p, struct arena *a)
{
    int minor = (p->tty & 0xff) | ((p->tty >> 12) & 0xfff00), major = (p->tty >> 8) & 0xfff;

    if (p->tty == 0)
        return arena_strdup(a, "?");
    return major == 136 ? arena_printf(a, "pts/%d", minor) : arena_printf(a, "tty%d", minor);
}

static char *col_time(const struct ps *p, struct arena *a)
{
    uint64_t s = p->ticks / (uint64_t)sysconf(_SC_CLK_TCK);

    return arena_printf(a, "%02llu:%02llu:%02llu", (unsigned long long)(s / 3600),
                        (unsigned long long)(s / 60 % 60), (unsigned long long)(s % 60));
}

static char *col_etime(const struct ps *p, struct arena *a)
{
    long s = (long)age_s(p);

    return arena_printf(a, "%02ld:%02ld", s / 60, s % 60);
}

static char *col_args(const struct ps *p, struct arena *a)
{
    (void)a;
    return p->args;
}

static char *col_comm(const struct ps *p, struct arena *a)
{
    return arena_strdup(a, p->comm);
}

static char *col_vsz(const struct ps *p, struct arena *a)
{
    return arena_printf(a, "%llu", (unsigned long long)(p->vsize / 1024));
}

static char *col_rss(const struct ps *p, struct arena *a)
{
    uint64_t kb = p->rss_pages * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;

    return arena_printf(a, "%llu", (unsigned long long)kb);
}

static char *col_stat(const struct ps *p, struct arena *a)
{
    return arena_printf(a, "%c", p->state ? p->state : '?');
}

static char *col_nice(const struct ps *p, struct arena *a)
{
    return arena_printf(a, "%ld", p->nice);
}

struct column {
    const char *name, *title;
    char *(*get)(const struct ps *p, struct arena *a);
};

static const struct column columns[] = {
    {"uid", "UID", col_uid},       {"user", "USER", col_user},    {"euser", "EUSER", col_user},
    {"pid", "PID", col_pid},       {"ppid", "PPID", col_ppid},    {"c", "C", col_c},
    {"pcpu", "%CPU", col_pcpu},    {"%cpu", "%CPU", col_pcpu},    {"pmem", "%MEM", col_pmem},
    {"%mem", "%MEM", col_pmem},    {"vsz", "VSZ", col_vsz},       {"rss", "RSS", col_rss},
    {"stime", "STIME", col_stime}, {"start", "START", col_stime}, {"tty", "TTY", col_tty},
    {"tt", "TT", col_tty},         {"stat", "STAT", col_stat},    {"s", "S", col_stat},
    {"state", "S", col_stat},      {"time", "TIME", col_time},    {"etime", "ELAPSED", col_etime},
    {"cmd", "CMD", col_args},      {"args", "COMMAND", col_args}, {"command", "COMMAND", col_args},
    {"comm", "COMMAND", col_comm}, {"ucmd", "CMD", col_comm},     {"ni", "NI", col_nice},
    {"nice", "NI", col_nice},
};
static const struct column full_uid = {"uid", "UID", col_user};

struct chosen {
    const struct column *v[32];
    size_t n;
};

static int choose(const char *list, struct chosen *out, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv names = str_split(&a, list, ',');

    for (size_t i = 0; i < names.n; i++) {
        const struct column *found = NULL;
        for (size_t k = 0; k < sizeof(columns) / sizeof(columns[0]); k++)
            if (strcmp(columns[k].name, names.v[i]) == 0)
                found = &columns[k];
        if (!found || out->n == 32)
            return err_invalid(err, "Error running ps: unknown column \"%s\"", names.v[i]);
        out->v[out->n++] = found;
    }
    return 0;
}

/* "-ef", "aux", "-o pid,cmd", "-eo pid,cmd" */
static int parse_args(const char *text, struct chosen *out, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct strv w = str_split(&a, str_or(text, "-ef"), ' ');
    int r = 0;

    for (size_t i = 0; r >= 0 && i < w.n; i++) {
        const char *arg = w.v[i], *bare = *arg == '-' ? arg + 1 : arg;
        size_t len = strlen(bare);
        if (len == 0)
            continue;
        if (bare[len - 1] == 'o' && i + 1 < w.n) {
            r = choose(w.v[++i], out, err);
        } else if (strcmp(bare, "aux") == 0 || strcmp(bare, "axu") == 0) {
            r = choose("user,pid,%cpu,%mem,vsz,rss,tty,stat,start,time,command", out, err);
        } else if (strcmp(bare, "ef") == 0 || strcmp(bare, "f") == 0) {
            out->v[out->n++] = &full_uid;
            r = choose("pid,ppid,c,stime,tty,time,cmd", out, err);
        } else if (strcmp(bare, "e") == 0 || strcmp(bare, "A") == 0) {
            continue;
        } else {
            return err_as(err, ERR_NOT_IMPLEMENTED, ENOSYS,
                          "ps option \"%s\" is not built: use -ef, aux or -o COLUMNS", arg);
        }
    }
    if (r >= 0 && out->n == 0)
        r = choose("pid,tty,time,ucmd", out, err);
    return r;
}

int ctr_top(struct engine *e, const char *id, const char *ps_args, struct arena *a,
            struct container_top_response *ret, struct err *err)
{
    auto_ctr struct container *c = ctr_find(e, id, err);
    struct chosen cols = {.n = 0};
    struct cgroup *group = NULL;
    struct pid_list pids = {0};

    if (!c)
        return err_code(err);
    (void)pthread_mutex_lock(&c->lock);
    bool running = ctr_running(c);
    (void)pthread_mutex_unlock(&c->lock);
    if (!running)
        return err_conflict(err, "container %s is not running", c->id);
    int r = parse_args(ps_args, &cols, err);
    if (r >= 0)
        r = cgroup_new(e->cgroups, ctr_cgroup_path(c, a), &group, err);
    if (r >= 0)
        r = cgroup_pids(group, &pids, err);
    cgroup_free(group);
    auto_free pid_t *list = pids.v;
    if (r < 0)
        return r;
    for (size_t i = 0; i < cols.n; i++)
        strv_push(a, &ret->titles, cols.v[i]->title);
    for (size_t i = 0; i < pids.n; i++) {
        struct ps p;
        struct strv row = {0};
        if (!read_ps(list[i], a, &p))
            continue;
        for (size_t k = 0; k < cols.n; k++)
            strv_push(a, &row, cols.v[k]->get(&p, a));
        arena_push(a, ret->processes) = row;
    }
    ctr_event(c, "top", NULL);
    return 0;
}
