/*
 * Who the process is and what it may: limits, ids, capabilities, filter, and at last execve(). The
 * order is fixed by the kernel: what needs a privilege comes before the step that gives it up; the
 * filter comes as late as its own privileges allow.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/io.h"
#include "kern/apparmor.h"
#include "kern/rlimit.h"
#include "kern/rootfs.h"
#include "kern/seccomp.h"
#include "kern/sig.h"
#include "kern/tty.h"
#include "oci/oci-priv.h"

#define DEFAULT_UMASK 0022
#define PASSWD_MAX (4 * 1024 * 1024)

/* ---- plan (parent) ---- */

static int plan_caps(const struct oci_capabilities *c, struct identity *id, struct err *err)
{
    struct {
        const struct strv *names;
        uint64_t *mask;
    } sets[] = {
        {&c->bounding, &id->caps.bounding},       {&c->effective, &id->caps.effective},
        {&c->inheritable, &id->caps.inheritable}, {&c->permitted, &id->caps.permitted},
        {&c->ambient, &id->caps.ambient},
    };

    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        int r = sets[i].names->n ? caps_mask(sets[i].names, sets[i].mask, err) : 0;
        if (r < 0)
            return r;
        if (r > 0)
            id->warnings |= OCI_WARN_CAPS;
    }
    return 0;
}

int identity_plan(const struct oci_process *p, struct arena *a, struct identity *ret,
                  struct err *err)
{
    struct identity id = {.p = p, .path = strv_env(&p->env, "PATH")};
    int r = p->capabilities ? plan_caps(p->capabilities, &id, err) : 0;

    for (size_t i = 0; i < p->rlimits.n; i++)
        arena_push(a, id.rlimits) = (struct plan_rlimit){
            rlimit_parse(p->rlimits.v[i]->type), p->rlimits.v[i]->soft, p->rlimits.v[i]->hard};
    id.ngids = p->user.additional_gids.n;
    id.gids = arena_alloc(a, (id.ngids + 1) * sizeof(gid_t));
    for (size_t i = 0; i < id.ngids; i++)
        id.gids[i] = (gid_t)p->user.additional_gids.v[i];
    id.argv = strv_z(a, &p->args);
    id.env = arena_alloc(a, (p->env.n + 2) * sizeof(char *)); /* room for HOME */
    for (size_t i = 0; i < p->env.n; i++)
        id.env[i] = p->env.v[i];
    if (r == 0)
        *ret = id;
    return r;
}

/* ---- steps (child) ---- */

static int open_lsm(struct setup *s, struct err *err)
{
    const char *profile = s->id->p->apparmor_profile;

    if (str_empty(profile))
        return 0;
    if (!apparmor_enabled())
        return strcmp(profile, APPARMOR_UNCONFINED) == 0
                   ? 0
                   : err_invalid(err, "AppArmor profile %s: this machine has no AppArmor", profile);
    s->lsm_fd = open("/proc/self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC);
    if (s->lsm_fd < 0)
        s->lsm_fd = open("/proc/self/attr/exec", O_WRONLY | O_CLOEXEC);
    return s->lsm_fd < 0 ? err_sys(err, "open the AppArmor attribute") : 0;
}

/* What is written through the host's /proc, while we still see it. */
int setup_host_proc(struct setup *s, struct err *err)
{
    char text[24];

    if (s->id->p->oom_score_adj) {
        (void)snprintf(text, sizeof(text), "%lld", (long long)*s->id->p->oom_score_adj);
        int r = write_value_at(AT_FDCWD, "/proc/self/oom_score_adj", text, err);
        if (r == -EACCES || r == -EPERM) {
            s->id->warnings |= OCI_WARN_OOM_SCORE;
            err_clear(err);
        } else if (r < 0) {
            return r;
        }
    }
    return open_lsm(s, err);
}

int setup_rlimits(struct setup *s, struct err *err)
{
    for (size_t i = 0; i < s->id->rlimits.n; i++) {
        const struct plan_rlimit *l = &s->id->rlimits.v[i];
        int r = rlimit_set(l->resource, l->soft, l->hard, err);
        if (r < 0)
            return r;
        if (r > 0)
            s->id->warnings |= OCI_WARN_RLIMIT;
    }
    return 0;
}

/* Pipes and terminals made by root must be usable by the container's user through /dev/stdout. */
static void own_stdio(const struct setup *s)
{
    const struct oci_user *u = &s->id->p->user;
    struct stat st;

    for (int fd = 0; fd < 3; fd++) {
        if (fstat(fd, &st) < 0 || st.st_uid == u->uid || !(S_ISFIFO(st.st_mode) || isatty(fd)))
            continue;
        (void)!fchown(fd, u->uid, st.st_gid); /* a read-only or foreign device may refuse */
    }
}

static int place_stdio(const struct setup *s, struct err *err)
{
    int from[3];

    for (int i = 0; i < 3; i++) {
        from[i] = s->console >= 0 ? s->console : s->stdio[i];
        if (from[i] < 0 || from[i] > 2 || from[i] == i)
            continue;
        from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 3); /* its place may be taken by then */
        if (from[i] < 0)
            return err_sys(err, "set up descriptor %d", i);
    }
    for (int i = 0; i < 3; i++) {
        int fd = from[i];
        if (fd >= 0 && fd != i && dup2(fd, i) < 0)
            return err_sys(err, "set up descriptor %d", i);
        if (fd == i && fcntl(i, F_SETFD, 0) < 0)
            return err_sys(err, "set up descriptor %d", i);
    }
    return 0;
}

#define PRIVATE_FDS 3

/* Our own descriptors that live on, above the range that the container's will fill. */
static int lift(int *const *fds, int min, struct err *err)
{
    for (int i = 0; i < PRIVATE_FDS; i++) {
        if (*fds[i] < 0)
            continue;
        *fds[i] = fcntl(*fds[i], F_DUPFD_CLOEXEC, min);
        if (*fds[i] < 0)
            return err_sys(err, "move a descriptor");
    }
    return 0;
}

/* Extra descriptors may sit where another of them belongs: lift all, then drop each into place. */
static int place_extra(const struct setup *s, int min, struct err *err)
{
    auto_free int *copy = xcalloc(s->nextra_fds + 1, sizeof(int));
    int r = place_stdio(s, err);

    for (size_t i = 0; i < s->nextra_fds && r == 0; i++) {
        copy[i] = fcntl(s->extra_fds[i], F_DUPFD_CLOEXEC, min);
        if (copy[i] < 0)
            r = err_sys(err, "move descriptor %d", s->extra_fds[i]);
    }
    for (size_t i = 0; i < s->nextra_fds && r == 0; i++)
        if (dup2(copy[i], 3 + (int)i) < 0)
            r = err_sys(err, "set up descriptor %zu", 3 + i);
    return r;
}

/*
 * Leaves 0, 1, 2, the extra descriptors and our private ones, and closes all others for real: with
 * close-on-exec alone a working directory or program named /proc/self/fd/7/... would still lead to
 * the host (CVE-2024-21626).
 */
int setup_fds(struct setup *s, struct err *err)
{
    int *const ours[PRIVATE_FDS] = {&s->sync, &s->lsm_fd, &s->start_fd};
    int top = 3 + (int)s->nextra_fds, next = top;
    int r = lift(ours, top + PRIVATE_FDS, err);

    if (r == 0)
        r = place_extra(s, top + PRIVATE_FDS, err);
    for (int i = 0; i < PRIVATE_FDS && r == 0; i++) {
        if (*ours[i] < 0)
            continue;
        *ours[i] = dup3(*ours[i], next++, O_CLOEXEC);
        if (*ours[i] < 0)
            r = err_sys(err, "set up descriptors");
    }
    if (r < 0)
        return r;
    return close_range((unsigned)next, ~0U, 0) < 0 ? err_sys(err, "close descriptors") : 0;
}

/* ---- user ---- */

/* The home directory of /etc/passwd, "/" where it says nothing. The file is the container's. */
static void find_home(const char *text, uid_t uid, char *out, size_t size)
{
    (void)snprintf(out, size, "/");
    for (const char *p = text; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
        const char *f[6] = {p};
        int n = 1;
        for (const char *q = p; *q && *q != '\n' && n < 6; q++)
            if (*q == ':')
                f[n++] = q + 1;
        if (n < 6 || f[2] == f[3] - 1 || strtoul(f[2], NULL, 10) != uid)
            continue;
        size_t len = strcspn(f[5], ":\n");
        if (len && len < size)
            (void)snprintf(out, size, "%.*s", (int)len, f[5]);
        return;
    }
}

/* Programs expect $HOME, and engines leave it to the runtime. */
static void set_home(struct setup *s)
{
    static const char name[] = "HOME=";
    auto_buf struct buf passwd = BUF_INIT;
    char **env = s->id->env, home[PATH_MAX], *text;
    size_t n = 0, at = SIZE_MAX;

    for (; env[n]; n++)
        if (strncmp(env[n], name, sizeof(name) - 1) == 0)
            at = n;
    if (at != SIZE_MAX && env[at][sizeof(name) - 1])
        return;
    auto_close int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        (void)!read_fd(fd, PASSWD_MAX, &passwd, NULL);
    find_home(buf_str(&passwd), s->id->p->user.uid, home, sizeof(home));
    if (asprintf(&text, "%s%s", name, home) >= 0)
        env[at == SIZE_MAX ? n : at] = text;
}

int setup_user(struct setup *s, struct err *err)
{
    const struct oci_user *u = &s->id->p->user;

    set_home(s);
    own_stdio(s);
    if (caps_bound(s->id->caps.bounding, err) < 0)
        return -EPERM;
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return err_sys(err, "keep capabilities");
    /* Refused in a user namespace where setgroups is denied; nothing to drop there then. */
    if (setgroups(s->id->ngids, s->id->gids) < 0 && (s->id->ngids || errno != EPERM))
        return err_sys(err, "set groups");
    if (setresgid(u->gid, u->gid, u->gid) < 0)
        return err_sys(err, "set group %u", u->gid);
    if (setresuid(u->uid, u->uid, u->uid) < 0)
        return err_sys(err, "set user %u", u->uid);
    umask(u->umask ? (mode_t)*u->umask : DEFAULT_UMASK);
    return 0;
}

/* ---- working directory ---- */

/* A directory outside the root has no path in here, and getcwd() says so (CVE-2024-21626). */
static int verify_cwd(struct err *err)
{
    char path[PATH_MAX];

    if (!getcwd(path, sizeof(path)))
        return err_sys(err, "find the working directory inside the container");
    if (*path != '/')
        return err_as(err, ERR_DENIED, EPERM,
                      "the working directory is outside the container's root");
    return 0;
}

/* A missing one is made, by root, before the user is set; only a new container does that. */
int setup_make_cwd(struct setup *s, struct err *err)
{
    const char *cwd = s->id->p->cwd;

    if (access(cwd, F_OK) == 0 || errno != ENOENT)
        return 0;
    int r = mkdir_p_at(AT_FDCWD, cwd, 0755, err);
    return r < 0 ? err_wrap(err, r, "make cwd (\"%s\") set in config.json", cwd) : 0;
}

int setup_cwd(struct setup *s, struct err *err)
{
    const char *cwd = s->id->p->cwd;

    if (strcmp(cwd, "/") == 0)
        return chdir("/") < 0 ? err_sys(err, "chdir to cwd (\"/\") set in config.json failed") : 0;
    if (chdir(cwd) < 0)
        return err_sys(err, "chdir to cwd (\"%s\") set in config.json failed", cwd);
    return verify_cwd(err);
}

/* ---- program ---- */

/* Return: 0, or what execve() would say: -ENOENT, -EACCES, -EISDIR ... */
static int check_exe(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode))
        return -EACCES;
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

/* The messages are those of runc, which users and clients know; errno makes 126 or 127 of them. */
static int exe_err(struct err *err, int r, const char *name, bool searched)
{
    int no = -r;
    bool gone = r == -ENOENT;

    if (searched && gone)
        return err_as(err, ERR_INVALID, no, "exec: \"%s\": executable file not found in $PATH",
                      name);
    if (r == -EISDIR)
        return err_as(err, ERR_INVALID, no, "exec: \"%s\": is a directory", name);
    if (r == -EACCES || r == -EPERM)
        return err_as(err, ERR_INVALID, no, "exec: \"%s\": permission denied", name);
    if (gone)
        return err_as(err, ERR_INVALID, no, "exec: \"%s\": stat %s: no such file or directory",
                      name, name);
    return err_as(err, ERR_INVALID, no, "exec: \"%s\": stat %s: %s", name, name,
                  strerrordesc_np(no));
}

static int search_path(struct setup *s, const char *name, struct err *err)
{
    int worst = -ENOENT;

    for (const char *p = s->id->path; p; p = strchr(p, ':'), p = p ? p + 1 : NULL) {
        int n = (int)strcspn(p, ":");
        int len = snprintf(s->exe_buf, sizeof(s->exe_buf), "%.*s/%s", n ? n : 1, n ? p : ".", name);
        if (len < 0 || (size_t)len >= sizeof(s->exe_buf))
            continue;
        int r = check_exe(s->exe_buf);
        if (r == 0) {
            s->exe = s->exe_buf;
            return 0;
        }
        if (r == -EACCES)
            worst = r;
    }
    return exe_err(err, worst, name, true);
}

int setup_lookup(struct setup *s, struct err *err)
{
    const char *name = s->id->argv[0];

    if (!strchr(name, '/'))
        return search_path(s, name, err);
    int r = check_exe(name);
    if (r < 0)
        return exe_err(err, r, name, false);
    s->exe = name;
    return 0;
}

/* ---- privileges ---- */

static int install_filter(const struct setup *s, struct err *err)
{
    if (!s->bpf)
        return 0;
    int r = seccomp_install(s->bpf, s->bpf_len, s->bpf_flags, err);
    return r < 0 ? r : 0;
}

static int write_lsm(const struct setup *s, struct err *err)
{
    char text[PATH_MAX];

    if (s->lsm_fd < 0)
        return 0;
    int n = snprintf(text, sizeof(text), "exec %s", s->id->p->apparmor_profile);
    if (n < 0 || write(s->lsm_fd, text, (size_t)n) < 0)
        return errno == ENOENT
                   ? err_invalid(err, "AppArmor profile %s is not loaded",
                                 s->id->p->apparmor_profile)
                   : err_sys(err, "apply the AppArmor profile %s", s->id->p->apparmor_profile);
    return 0;
}

/*
 * Without no_new_privs a filter needs CAP_SYS_ADMIN, which the container may not have: so the
 * filter goes in first, with all our capabilities raised again after the change of user.
 */
int setup_privileges(struct setup *s, struct err *err)
{
    bool nnp = s->id->p->no_new_privileges;
    int r = write_lsm(s, err);

    if (r == 0 && !nnp && s->bpf) {
        r = caps_raise(err);
        if (r == 0)
            r = install_filter(s, err);
    }
    if (r == 0)
        r = caps_apply(&s->id->caps, err);
    if (r == 0 && nnp) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
            return err_sys(err, "set no_new_privs");
        r = install_filter(s, err);
    }
    return r;
}

int setup_execve(struct setup *s, struct err *err)
{
    execve(s->exe, s->id->argv, s->id->env);
    int no = errno;
    if (no == EACCES || no == EPERM)
        return err_as(err, ERR_INVALID, no, "exec %s: permission denied", s->exe);
    if (no == ENOEXEC)
        return err_as(err, ERR_INVALID, no, "exec %s: exec format error", s->exe);
    if (no == ENOENT) /* the file is there: it is its interpreter or loader that is not */
        return err_as(err, ERR_INVALID, no, "exec %s: no such file or directory", s->exe);
    return err_as(err, ERR_INVALID, no, "exec %s: %s", s->exe, strerrordesc_np(no));
}
