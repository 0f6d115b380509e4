/*
 * Finding the hierarchies, handles, reading and writing their files. Detection asks statfs() and
 * /proc/self/cgroup, not the mount table, which may have thousands of lines.
 */
#include "kern/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/mem.h"
#include "kern/cgroup-priv.h"

#define ROOT "/sys/fs/cgroup"

static const char *const ctl_names[CTL_COUNT] = {
    [CTL_CPU] = "cpu",         [CTL_CPUACCT] = "cpuacct",   [CTL_CPUSET] = "cpuset",
    [CTL_MEMORY] = "memory",   [CTL_DEVICES] = "devices",   [CTL_FREEZER] = "freezer",
    [CTL_IO] = "io",           [CTL_PIDS] = "pids",         [CTL_HUGETLB] = "hugetlb",
    [CTL_NET_CLS] = "net_cls", [CTL_NET_PRIO] = "net_prio", [CTL_PERF] = "perf_event",
    [CTL_RDMA] = "rdma",       [CTL_MISC] = "misc",
};

const char *cg_ctl_name(enum cg_ctl ctl, bool v2)
{
    return ctl == CTL_IO && !v2 ? "blkio" : ctl_names[ctl];
}

/* "cpu,cpuacct" or "cpuset cpu io" to bits. */
static unsigned parse_ctls(char *text, bool v2)
{
    char *save = NULL;
    unsigned bits = 0;

    for (char *p = strtok_r(text, ", \n", &save); p; p = strtok_r(NULL, ", \n", &save))
        for (int i = 0; i < CTL_COUNT; i++)
            if (strcmp(p, cg_ctl_name((enum cg_ctl)i, v2)) == 0)
                bits |= 1U << i;
    return bits;
}

static int add_hier(struct cgroup_host *host, const char *name, unsigned ctls, bool v2)
{
    struct cg_hier *h = &host->h[host->n];
    char path[128];

    if (host->n == CG_HIERS || strlen(name) >= sizeof(h->name))
        return 0;
    (void)snprintf(path, sizeof(path), ROOT "/%s", name);
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno; /* known to the kernel, mounted nowhere */
    *h = (struct cg_hier){.fd = fd, .ctls = ctls, .v2 = v2};
    memcpy(h->name, name, strlen(name) + 1);
    if (v2)
        host->v2 = (int)host->n;
    host->n++;
    return 0;
}

/* The controllers of a v2 tree, from its cgroup.controllers. */
static int v2_ctls(int dir, unsigned *ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = read_file_at(dir, "cgroup.controllers", CG_FILE_MAX, &text, err);

    if (r < 0)
        return r;
    *ret = text.data ? parse_ctls(text.data, true) : 0;
    return 0;
}

static int detect_v2(struct cgroup_host *host, const char *name, struct err *err)
{
    int r = add_hier(host, name, 0, true);

    if (r < 0)
        return err_no(err, r, "open cgroup tree %s", name);
    if (host->v2 < 0)
        return 0;
    return v2_ctls(host->h[host->v2].fd, &host->h[host->v2].ctls, err);
}

/* A line is "4:memory:/path", "9:name=systemd:/path", or "0::/path" for the v2 tree. */
static int detect_line(struct cgroup_host *host, char *line, struct err *err)
{
    char *name = strchr(line, ':'), *end = name ? strchr(name + 1, ':') : NULL;

    if (!end)
        return 0;
    *end = '\0';
    name++;
    if (!*name)
        return detect_v2(host, "unified", err);
    const char *named = str_starts(name, "name=");
    if (named)
        return add_hier(host, named, 0, false);
    char dir[64];
    (void)snprintf(dir, sizeof(dir), "%s", name);
    int r = add_hier(host, dir, parse_ctls(name, false), false);
    return r < 0 ? err_no(err, r, "open cgroup hierarchy %s", dir) : 0;
}

static int detect_v1(struct cgroup_host *host, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    char *line;
    int r = read_file_at(AT_FDCWD, "/proc/self/cgroup", CG_FILE_MAX, &text, err);
    char *p = text.data;

    while (r >= 0 && p && (line = cg_next_line(&p)))
        r = detect_line(host, line, err);
    if (r < 0)
        return r;
    host->mode = host->v2 >= 0 ? CGROUP_HYBRID : CGROUP_V1;
    return host->n ? 0 : err_no(err, ENOENT, "find a cgroup hierarchy below " ROOT);
}

int cgroup_host_open(struct cgroup_host **ret, struct err *err)
{
    struct cgroup_host *host = xnew(struct cgroup_host);
    struct statfs sfs;
    int r;

    host->v2 = -1;
    host->mode = CGROUP_V2;
    if (statfs(ROOT, &sfs) < 0)
        r = err_sys(err, "find cgroups: " ROOT);
    else if (sfs.f_type == CGROUP2_SUPER_MAGIC)
        r = detect_v2(host, "", err);
    else
        r = detect_v1(host, err);
    if (r < 0) {
        cgroup_host_free(host);
        return r;
    }
    *ret = host;
    return 0;
}

void cgroup_host_free(struct cgroup_host *host)
{
    if (!host)
        return;
    for (size_t i = 0; i < host->n; i++)
        (void)close(host->h[i].fd);
    free(host);
}

enum cgroup_mode cgroup_host_mode(const struct cgroup_host *host)
{
    return host->mode;
}

bool cgroup_host_has(const struct cgroup_host *host, const char *controller)
{
    for (int i = 0; i < CTL_COUNT; i++)
        if (strcmp(controller, ctl_names[i]) == 0 ||
            strcmp(controller, cg_ctl_name((enum cg_ctl)i, false)) == 0)
            return cg_hier_of(host, (enum cg_ctl)i) >= 0;
    return false;
}

int cg_hier_of(const struct cgroup_host *host, enum cg_ctl ctl)
{
    for (size_t i = 0; i < host->n; i++)
        if (host->h[i].ctls & (1U << ctl) && (!host->h[i].v2 || host->mode == CGROUP_V2))
            return (int)i;
    return -1;
}

static bool path_ok(const char *path)
{
    if (*path != '/' || !path[1])
        return false;
    for (const char *p = path; *p; p += strcspn(p, "/")) {
        p += strspn(p, "/");
        size_t n = strcspn(p, "/");
        if ((n == 1 && *p == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
    }
    return strlen(path) < 4000 && !strchr(path, '\n');
}

int cgroup_new(struct cgroup_host *host, const char *path, struct cgroup **ret, struct err *err)
{
    if (!path_ok(path))
        return err_invalid(err, "cgroup path %s is not valid", path);
    struct cgroup *cg = xnew(struct cgroup);
    cg->host = host;
    cg->path = xstrdup(path);
    for (size_t i = 0; i < CG_HIERS; i++)
        cg->dir[i] = cg->join[i] = -1;
    *ret = cg;
    return 0;
}

void cgroup_free(struct cgroup *cg)
{
    if (!cg)
        return;
    cgroup_finish_join(cg);
    for (size_t i = 0; i < CG_HIERS; i++)
        close_fd(&cg->dir[i]);
    free(cg->path);
    free(cg);
}

const char *cgroup_path(const struct cgroup *cg)
{
    return cg->path;
}

struct cgroup_host *cgroup_host_of(const struct cgroup *cg)
{
    return cg->host;
}

/* ---- files ---- */

int cg_dir(struct cgroup *cg, int i, struct err *err)
{
    const struct cg_hier *h = &cg->host->h[i];

    if (cg->dir[i] < 0) {
        cg->dir[i] = openat(h->fd, cg->path + 1, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (cg->dir[i] < 0)
            return err_sys(err, "open cgroup %s%s", h->name, cg->path);
    }
    return cg->dir[i];
}

int cg_write_hier(struct cgroup *cg, int i, const char *file, const char *text, struct err *err)
{
    int dir = cg_dir(cg, i, err);

    if (dir < 0)
        return dir;
    auto_close int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "open %s of cgroup %s", file, cg->path);
    if (write(fd, text, strlen(text)) < 0)
        return err_sys(err, "write \"%s\" to %s of cgroup %s", text, file, cg->path);
    return 0;
}

static int no_controller(enum cg_ctl ctl, bool v2, const char *where, struct err *err)
{
    return err_as(err, ERR_INVALID, EOPNOTSUPP, "%s has no cgroup controller \"%s\"", where,
                  cg_ctl_name(ctl, v2));
}

/* On v2 the file of a controller is missing where some group above does not hand it down. */
static bool handed_down(struct cgroup *cg, int i, enum cg_ctl ctl)
{
    auto_buf struct buf text = BUF_INIT;

    return cg_read_hier(cg, i, "cgroup.controllers", &text, NULL) < 0 ||
           cg_has_word(buf_str(&text), cg_ctl_name(ctl, true));
}

int cg_write(struct cgroup *cg, enum cg_ctl ctl, const char *file, struct err *err, const char *fmt,
             ...)
{
    int i = cg_hier_of(cg->host, ctl);
    char text[512];
    va_list ap;

    if (i < 0)
        return no_controller(ctl, cg->host->mode == CGROUP_V2, "this machine", err);
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof(text))
        return err_invalid(err, "value for %s is too long", file);
    int r = cg_write_hier(cg, i, file, text, err);
    if (r == -ENOENT && cg->host->h[i].v2 && !handed_down(cg, i, ctl))
        return no_controller(ctl, true, cg->path, err);
    return r;
}

int cg_read_hier(struct cgroup *cg, int i, const char *file, struct buf *out, struct err *err)
{
    int dir = cg_dir(cg, i, err);

    if (dir < 0)
        return dir;
    buf_clear(out);
    return read_file_at(dir, file, CG_FILE_MAX, out, err);
}

int cg_read(struct cgroup *cg, enum cg_ctl ctl, const char *file, struct buf *out, struct err *err)
{
    int i = cg_hier_of(cg->host, ctl);

    return i < 0 ? err_no(err, ENOENT, "read %s", file) : cg_read_hier(cg, i, file, out, err);
}

int cg_read_u64(struct cgroup *cg, enum cg_ctl ctl, const char *file, uint64_t *ret,
                struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = cg_read(cg, ctl, file, &text, err);

    if (r < 0)
        return r;
    char *p = text.data, *line = p ? cg_next_line(&p) : NULL;
    if (line && strcmp(line, "max") == 0) {
        *ret = UINT64_MAX;
        return 0;
    }
    if (!line || str_to_u64(line, ret) < 0)
        return err_no(err, EBADMSG, "parse %s of cgroup %s", file, cg->path);
    return 0;
}

int cg_key(const char *text, const char *key, uint64_t *ret)
{
    size_t n = strlen(key);

    for (const char *p = text; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
        if (strncmp(p, key, n) == 0 && p[n] == ' ') {
            *ret = strtoull(p + n + 1, NULL, 10);
            return 0;
        }
    }
    return -ENOENT;
}

char *cg_next_line(char **text)
{
    char *line = *text + strspn(*text, "\n");
    size_t n = strcspn(line, "\n");

    if (n == 0)
        return NULL;
    *text = line + n;
    if (**text)
        *(*text)++ = '\0';
    return line;
}
