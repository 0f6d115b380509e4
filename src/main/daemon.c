/* cleatd: reads its configuration, opens the engine, serves the API until it is told to stop. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api.h"
#include "base/auto.h"
#include "base/io.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/pool.h"
#include "daemon_flags.h"
#include "engine/engine.h"
#include "http/server.h"
#include "http/tls.h"

#define DEFAULT_HOST "unix:///run/cleat/cleat.sock"
#define HTTP_THREADS 512
#define JOB_THREADS 256
#define DRAIN_MS 5000

struct daemon {
    struct engine_config conf;
    struct loop *loop;
    struct pool *http_pool, *jobs;
    struct engine *engine;
    struct api *api;
    struct http_server *server;
    struct tls_ctx *tls;
    struct loop_source *signals;
    int pid_fd;
    bool stopping;
};

/* Programs of ours lie beside us in a build tree, in libexec when installed. */
static char *find_program_of_ours(const char *name)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (n > 0) {
        self[n] = '\0';
        char *slash = strrchr(self, '/');
        auto_free char *beside = xasprintf("%.*s/%s", (int)(slash - self), self, name);
        if (access(beside, X_OK) == 0)
            return take_ptr(&beside);
    }
    return xasprintf("/usr/libexec/cleat/%s", name);
}

/* The lock, not the file, says that a daemon runs: a killed one leaves no obstacle. */
static int write_pidfile(struct daemon *d, struct err *err)
{
    char text[16];

    d->pid_fd = -1;
    if (str_empty(d->conf.pidfile))
        return 0;
    d->pid_fd = lock_file_at(AT_FDCWD, d->conf.pidfile, 0644, err);
    if (d->pid_fd == -EAGAIN)
        return err_conflict(err, "%s is held by another daemon", d->conf.pidfile);
    if (d->pid_fd < 0)
        return d->pid_fd;
    int n = snprintf(text, sizeof(text), "%d\n", getpid());
    if (ftruncate(d->pid_fd, 0) < 0 || write(d->pid_fd, text, (size_t)n) != n)
        return err_sys(err, "write %s", d->conf.pidfile);
    return 0;
}

static int group_of(const struct daemon *d, struct err *err)
{
    const char *name = d->conf.group;
    uint64_t gid;

    if (str_empty(name))
        return -1;
    if (str_to_u64(name, &gid) == 0)
        return (int)gid;
    const struct group *g = getgrnam(name);
    return g ? (int)g->gr_gid : err_not_found(err, "group %s not found", name);
}

static int open_tls(struct daemon *d, struct err *err)
{
    const struct engine_config *c = &d->conf;

    if (!c->tls && !c->tlsverify)
        return 0;
    struct tls_opts o = {.ca_file = c->tlscacert,
                         .cert_file = c->tlscert,
                         .key_file = c->tlskey,
                         .verify = c->tlsverify};
    return tls_ctx_new(true, &o, &d->tls, err);
}

static int listen_all(struct daemon *d, struct err *err)
{
    struct strv *hosts = &d->conf.hosts;
    int gid = group_of(d, err), r = gid < -1 ? gid : 0;

    for (size_t i = 0; r >= 0 && i < hosts->n; i++) {
        bool tcp = str_starts(hosts->v[i], "tcp://") != NULL;
        if (tcp && !d->tls)
            log_warn("%s: anybody who can reach this address is root on this machine: use "
                     "--tlsverify",
                     hosts->v[i]);
        bool local = str_starts(hosts->v[i], "unix://") != NULL;
        r = http_server_listen(d->server, hosts->v[i], 0660, gid, local ? NULL : d->tls, err);
        if (r >= 0)
            log_info("API listens on %s", hosts->v[i]);
    }
    return r;
}

/* Containers that are to be stopped tell their end by the loop, so it still runs meanwhile. */
static void stop_job(void *arg)
{
    struct daemon *d = arg;

    engine_stop(d->engine);
    loop_stop(d->loop);
}

static void on_signal(struct loop_source *s, uint32_t sig, void *arg)
{
    struct daemon *d = arg;
    struct err err = {0};

    (void)s;
    log_info("signal %u: stopping", sig);
    if (d->stopping) /* asked twice: do not wait for anything */
        loop_stop(d->loop);
    else if (pool_run(d->http_pool, stop_job, d, &err) < 0)
        log_error("%s", err.msg);
    d->stopping = true;
}

static int bring_up(struct daemon *d, struct err *err)
{
    static const int stop[] = {SIGTERM, SIGINT};
    auto_free char *shim = find_program_of_ours("cleat-shim");
    int r = loop_new(&d->loop, err);

    if (r >= 0) /* before any thread is made: they inherit the mask */
        r = loop_add_signals(d->loop, stop, 2, on_signal, d, &d->signals, err);
    if (r >= 0)
        r = pool_new("http", HTTP_THREADS, &d->http_pool, err);
    if (r >= 0)
        r = pool_new("job", JOB_THREADS, &d->jobs, err);
    if (r >= 0)
        r = write_pidfile(d, err);
    if (r >= 0)
        r = open_tls(d, err);
    if (r >= 0)
        r = engine_open(&d->conf, d->loop, d->jobs, shim, shim, &d->engine, err);
    if (r < 0)
        return r;
    d->api = api_new(d->engine);
    struct http_server_opts o = {.loop = d->loop,
                                 .pool = d->http_pool,
                                 .api = d->api,
                                 .dispatch = api_dispatch,
                                 .log_path = d->conf.request_log};
    r = http_server_new(&o, &d->server, err);
    return r < 0 ? r : listen_all(d, err);
}

static void shut_down(struct daemon *d)
{
    if (d->server && http_server_stop(d->server, DRAIN_MS) > 0) {
        log_warn("requests are still running: leaving without tidying up");
        _exit(0); /* no exit handlers: OpenSSL's would pull away what those requests use */
    }
    http_server_free(d->server);
    pool_free(d->http_pool);
    engine_free(d->engine);
    pool_free(d->jobs);
    api_free(d->api);
    loop_source_free(d->signals);
    loop_free(d->loop);
    tls_ctx_free(d->tls);
    if (d->pid_fd >= 0) {
        (void)unlink(d->conf.pidfile);
        close_fd(&d->pid_fd);
    }
}

static int run(struct daemon *d)
{
    struct err err = {0};
    int r = bring_up(d, &err);

    (void)malloc_trim(0); /* reading the catalog and the packet filter has left free pieces */
    if (r >= 0)
        r = loop_run(d->loop, &err);
    if (r < 0)
        (void)fprintf(stderr, "cleatd: %s\n", err.msg);
    shut_down(d);
    return r < 0;
}

int main(int argc, char **argv)
{
    auto_arena struct arena a = ARENA_INIT;
    struct daemon d = {.pid_fd = -1};
    struct daemon_args args;
    struct err err = {0};

    if (daemon_flags_parse(argc, argv, &a, &args, &d.conf, &err) < 0) {
        (void)fprintf(stderr, "cleatd: %s\nSee 'cleatd --help'.\n", err.msg);
        return 1;
    }
    if (args.help) {
        daemon_flags_help();
        return 0;
    }
    if (args.version) {
        printf("Cleat version %s\n", CLEAT_VERSION);
        return 0;
    }
    if (args.validate) {
        printf("configuration OK\n");
        return 0;
    }
    int level = d.conf.debug ? LOG_DEBUG : log_level_parse(d.conf.log_level);
    if (level < 0) {
        (void)fprintf(stderr, "cleatd: invalid log level \"%s\"\n", d.conf.log_level);
        return 1;
    }
    log_setup((enum log_level)level, strcmp(d.conf.log_format, "json") == 0);
    if (d.conf.hosts.n == 0)
        strv_push(&a, &d.conf.hosts, DEFAULT_HOST);
    (void)umask(0022);
    /* What our parent left open is ours (fd://) or nobody's, and no shim's in any case. */
    (void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGCHLD, SIG_IGN); /* shims are reaped by the kernel */
    return run(&d);
}
