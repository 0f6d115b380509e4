/*
 * The child's side: lists of named steps, executed in order. The order is the design; each step is
 * in the file of its topic. An error ends the list, is sent to the parent with the step's name in
 * front of it, and the child exits.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "kern/ns.h"
#include "kern/rootfs.h"
#include "kern/sig.h"
#include "kern/tty.h"
#include "oci/oci-priv.h"

int steps_run(struct setup *s, const struct step *steps, struct err *err)
{
    for (; steps->name; steps++) {
        int r = steps->run(s, err);
        if (r < 0)
            return *steps->name ? err_wrap(err, r, "%s", steps->name) : r;
    }
    return 0;
}

/* ---- namespaces ---- */

static int join_namespaces(struct setup *s, struct err *err)
{
    for (size_t i = 0; i < s->plan->njoin; i++) {
        const struct plan_ns *n = &s->plan->join[i];
        if (setns(n->fd, n->flag) < 0)
            return err_sys(err, "join the %s namespace", ns_by_flag(n->flag)->name);
    }
    return 0;
}

/* Ids of a user namespace mean nothing until the parent has mapped them; then we become its root.
 */
static int become_root(struct setup *s, struct err *err)
{
    if (!(s->plan->new_ns & CLONE_NEWUSER) && s->plan->join_user < 0)
        return 0;
    int r = s->plan->new_ns & CLONE_NEWUSER ? msg_expect(s->sync, MSG_MAPS, err) : 0;
    if (r == 0 && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
        r = err_sys(err, "become root of the user namespace");
    return r;
}

/*
 * The dearest of the namespaces: the parent makes the root and the cgroup meanwhile, and the
 * network when it hears from us.
 */
static int net_namespace(struct setup *s, struct err *err)
{
    if (!s->plan->new_netns)
        return 0;
    if (unshare(CLONE_NEWNET) < 0)
        return err_sys(err, "make a network namespace");
    return s->c->setup_net ? msg_send(s->sync, MSG_NETNS, err) : 0;
}

/* Offsets can be set only while nobody is inside, so the namespace is entered after them. */
static int time_namespace(struct setup *s, struct err *err)
{
    const struct oci_linux *l = s->spec->lnx;
    char text[128];

    if (!s->plan->new_timens)
        return 0;
    if (unshare(CLONE_NEWTIME) < 0)
        return err_sys(err, "make a time namespace");
    for (size_t i = 0; i < l->time_offsets.n; i++) {
        const struct oci_time_offset *o = l->time_offsets.v[i].val;
        (void)snprintf(text, sizeof(text), "%s %lld %u", l->time_offsets.v[i].key,
                       (long long)o->secs, o->nanosecs);
        int r = write_value_at(AT_FDCWD, "/proc/self/timens_offsets", text, err);
        if (r < 0)
            return r;
    }
    auto_close int fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWTIME) < 0)
        return err_sys(err, "enter the time namespace");
    return 0;
}

static int names(struct setup *s, struct err *err)
{
    const char *host = s->spec->hostname, *domain = s->spec->domainname;

    if (!str_empty(host) && sethostname(host, strlen(host)) < 0)
        return err_sys(err, "set hostname %s", host);
    if (!str_empty(domain) && setdomainname(domain, strlen(domain)) < 0)
        return err_sys(err, "set domainname %s", domain);
    return 0;
}

/* "net.ipv4.ip_forward" and "net/ipv4/ip_forward" name the same file. */
static void sysctl_path(const char *key, char *out, size_t size)
{
    bool dots = key[strcspn(key, "./")] == '.';

    (void)snprintf(out, size, "%s", key);
    for (char *p = out; dots && *p; p++)
        *p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
}

/*
 * /proc shows the namespaces of whoever looks, so the host's would do. But of the host's the kernel
 * keeps a name of each namespace in one chain of its cache, which it searches: with hundreds of
 * containers that takes longer than all else that is done for the network.
 */
static int open_sysctls(struct setup *s, struct err *err)
{
    if (s->sysctl_fd < 0)
        s->sysctl_fd = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return s->sysctl_fd < 0 ? err_sys(err, "open /proc/sys") : 0;
}

static int sysctls(struct setup *s, struct err *err)
{
    const struct strmap *map = &s->spec->lnx->sysctl;
    char path[300];
    int r = map->n ? open_sysctls(s, err) : 0;

    if (r < 0)
        return r;
    for (size_t i = 0; i < map->n; i++) {
        sysctl_path(map->v[i].key, path, sizeof(path));
        auto_close int fd = rootfs_open(s->sysctl_fd, path, O_WRONLY, err);
        if (fd < 0)
            return err_wrap(err, fd, "sysctl %s", map->v[i].key);
        r = write_full(fd, map->v[i].val, strlen(map->v[i].val));
        if (r < 0)
            return err_no(err, r, "set sysctl %s to %s", map->v[i].key, map->v[i].val);
    }
    return 0;
}

/* A session keyring of its own: the host's would be visible inside. */
static int keyring(struct setup *s, struct err *err)
{
    char name[80];

    if (s->c->flags & OCI_NO_NEW_KEYRING)
        return 0;
    (void)snprintf(name, sizeof(name), "_ses.%.64s", str_or(s->c->id, "cleat"));
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name) < 0 && errno != ENOSYS &&
        errno != EDQUOT && errno != EPERM)
        return err_sys(err, "make a session keyring");
    return 0;
}

/* ---- talking to the parent ---- */

static bool has_runtime_hooks(const struct setup *s)
{
    const struct oci_hooks *h = s->spec->hooks;

    return h && (h->prestart.n || h->create_runtime.n);
}

static int runtime_hooks(struct setup *s, struct err *err)
{
    if (!has_runtime_hooks(s))
        return 0;
    int r = msg_send(s->sync, MSG_MOUNTED, err);
    return r < 0 ? r : msg_expect(s->sync, MSG_HOOKS, err);
}

static int inner_hooks(struct setup *s, const struct oci_hook_list *list, const char *what,
                       const char *status, struct err *err)
{
    auto_buf struct buf state = BUF_INIT;

    if (list->n == 0)
        return 0;
    oci_state_json(s->c, status, getpid(), &state);
    return oci_hooks_run(list, what, buf_str(&state), err);
}

static int container_hooks(struct setup *s, struct err *err)
{
    return s->spec->hooks ? inner_hooks(s, &s->spec->hooks->create_container, "createContainer",
                                        "creating", err)
                          : 0;
}

static int start_hooks(struct setup *s, struct err *err)
{
    return s->spec->hooks
               ? inner_hooks(s, &s->spec->hooks->start_container, "startContainer", "created", err)
               : 0;
}

static int network(struct setup *s, struct err *err)
{
    int r = s->c->setup_net ? msg_expect(s->sync, MSG_NET, err) : 0;

    if (r < 0 || !s->c->child_net)
        return r;
    r = open_sysctls(s, err);
    return r < 0 ? r : s->c->child_net(s->c->arg, s->sysctl_fd, err);
}

/*
 * Our creator is gone when the start comes from a process of its own: it connects to us. But it
 * must have said so: one that crashed has told nobody of us, and we would wait for ever.
 */
static int accept_starter(struct setup *s, struct err *err)
{
    int conn;

    if (s->start_fd < 0)
        return 0;
    int r = msg_expect(s->sync, MSG_DETACH, err);
    if (r < 0)
        return r;
    do
        conn = accept4(s->start_fd, NULL, NULL, SOCK_CLOEXEC);
    while (conn < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (conn < 0)
        return err_sys(err, "wait for the start");
    close_fd(&s->start_fd);
    close_fd(&s->sync);
    s->sync = conn;
    return 0;
}

static int ready(struct setup *s, struct err *err)
{
    int r = msg_send_ready(s->sync, s->id->warnings, err);

    if (r < 0 || !s->c || s->c->flags & OCI_START)
        return r;
    r = accept_starter(s, err);
    return r < 0 ? r : msg_expect(s->sync, MSG_START, err);
}

/* ---- small ones ---- */

static int fresh_start(struct setup *s, struct err *err)
{
    (void)err;
    close_fd(&s->parent_sync);
    umask(0); /* modes of nodes and directories are meant as given; the final one comes later */
    return 0;
}

static int session(struct setup *s, struct err *err)
{
    if (s->console >= 0)
        return tty_make_controlling(s->console, err);
    if (s->new_session && setsid() < 0 && errno != EPERM)
        return err_sys(err, "start a session");
    return 0;
}

static int signals(struct setup *s, struct err *err)
{
    (void)s;
    (void)err;
    sig_reset_all();
    return 0;
}

/* The name of a step goes in front of its error; "" where the message says it all. */
static const struct step create_steps[] = {
    {"", fresh_start},
    {"set up ids", become_root},
    {"set up namespaces", net_namespace},
    {"set up namespaces", join_namespaces},
    {"set up time namespace", time_namespace},
    {"set up process", setup_host_proc},
    {"set up names", names},
    {"set up keyring", keyring},
    {"set up root file system", setup_root},
    {"error mounting", setup_mounts},
    {"set up devices", setup_devices},
    {"set up devices", setup_dev_links},
    {"set up console", setup_console},
    {"join cgroup", setup_join_cgroup},
    {"set up readonly paths", setup_readonly_paths},
    {"set up masked paths", setup_masked_paths},
    {"set up network", network},
    {"", runtime_hooks},
    {"set up sysctls", sysctls},
    {"", container_hooks},
    {"set up root file system", setup_root_ro},
    {"switch root", setup_pivot},
    {"set up root file system", setup_root_propagation},
    {"set up limits", setup_rlimits},
    {"set up scheduling", setup_scheduling},
    {"set up session", session},
    {"set up descriptors", setup_fds},
    {"", setup_make_cwd},
    {"set up user", setup_user},
    {"", setup_cwd},
    {"", setup_lookup},
    {"", ready},
    {"", start_hooks},
    {"", signals},
    {"set up privileges", setup_privileges},
    {"", setup_execve},
    {NULL, NULL},
};

void init_child(struct setup *s)
{
    struct err e = {0};

    (void)!steps_run(s, create_steps, &e); /* comes back with an error only */
    msg_send_error(s->sync, &e);
    _exit(127);
}

/* ---- a further process ---- */

static const struct step exec_steps_outside[] = {
    {"join cgroup", setup_join_cgroup},
    {"set up process", setup_host_proc},
    {"set up limits", setup_rlimits},
    {"set up scheduling", setup_scheduling},
    {NULL, NULL},
};

static const struct step exec_steps_inside[] = {
    {"set up console", exec_console},
    {"set up session", session},
    {"set up descriptors", setup_fds},
    {"set up user", setup_user},
    {"", setup_cwd},
    {"", setup_lookup},
    {"", ready},
    {"", signals},
    {"set up privileges", setup_privileges},
    {"", setup_execve},
    {NULL, NULL},
};

static int enter(int pidfd, int ns_flags, struct err *err)
{
    /* We still hold descriptors of the host: nobody inside may look at us (CVE-2016-9962). */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return err_sys(err, "become undumpable");
    if (ns_flags && setns(pidfd, ns_flags) < 0)
        return errno == ESRCH ? err_as(err, ERR_CONFLICT, ESRCH, "container is not running")
                              : err_sys(err, "join the container's namespaces");
    if (ns_flags & CLONE_NEWUSER && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
        return err_sys(err, "become root of the user namespace");
    return 0;
}

void exec_child(struct setup *s, int pidfd, int ns_flags)
{
    struct err e = {0};
    int r;

    close_fd(&s->parent_sync);
    r = steps_run(s, exec_steps_outside, &e);

    if (r == 0)
        r = enter(pidfd, ns_flags, &e);
    if (r == 0)
        (void)!steps_run(s, exec_steps_inside, &e);
    msg_send_error(s->sync, &e);
    _exit(127);
}
