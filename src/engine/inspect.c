/* What inspect and list say about a container. */
#include "engine/engine-priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/dir.h"
#include "base/time.h"
#include "shim/logfile.h"

/* ---- sizes ---- */

int64_t ctr_size_rw(struct container *c)
{
    int fd = openat(c->data_fd, "diff", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    return fd < 0 ? 0 : dir_size(fd);
}

static void sizes(struct container *c, struct arena *a, int64_t **rw, int64_t **rootfs)
{
    int64_t own = ctr_size_rw(c), all = own;
    struct image_row row;

    if (c->image_id && image_by_id(c->e->images, c->image_id, a, &row, NULL) >= 0)
        all += row.size;
    *rw = arena_memdup(a, &own, sizeof(own));
    *rootfs = arena_memdup(a, &all, sizeof(all));
}

/* ---- inspect ---- */

static char *when(int64_t t, struct arena *a)
{
    char text[TIME_TEXT];

    return arena_strdup(a, time_rfc3339(t, text));
}

static void put_state(const struct container *c, struct arena *a, struct container_state *s)
{
    s->status = arena_strdup(a, ctr_status_word(c));
    s->running = c->status == CTR_RUNNING;
    s->paused = c->paused;
    s->restarting = c->restarting;
    s->oom_killed = c->oom;
    s->dead = c->status == CTR_DEAD;
    s->pid = c->pid;
    s->exit_code = c->exit_code;
    s->error = arena_strdup(a, c->error);
    s->started_at = when(c->started_ns, a);
    s->finished_at = when(c->finished_ns, a);
    s->health = health_describe(c, a);
}

/* The command as it will be executed: entrypoint, then arguments. */
static void put_command(const struct container *c, struct arena *a, struct container_inspect *ret)
{
    struct strv all = {0};

    for (size_t i = 0; i < c->config->entrypoint.n; i++)
        strv_push(a, &all, c->config->entrypoint.v[i]);
    for (size_t i = 0; i < c->config->cmd.n; i++)
        strv_push(a, &all, c->config->cmd.v[i]);
    ret->args.v = arena_alloc(a, sizeof(char *));
    ret->path = all.n ? all.v[0] : arena_strdup(a, "");
    for (size_t i = 1; i < all.n; i++)
        strv_push(a, &ret->args, all.v[i]);
}

static char *file_path(const struct container *c, struct arena *a, const char *name)
{
    return arena_printf(a, "%s/containers/%s/%s", c->e->data_path, c->id, name);
}

static void put_driver(const struct container *c, struct arena *a, struct container_inspect *ret)
{
    char *diff = file_path(c, a, "diff");

    ret->driver = arena_strdup(a, "overlay2");
    ret->graph_driver.name = ret->driver;
    strmap_set(a, &ret->graph_driver.data, "ID", c->id);
    strmap_set(a, &ret->graph_driver.data, "LowerDir", strv_join(a, &c->lowers, ":"));
    strmap_set(a, &ret->graph_driver.data, "UpperDir", diff);
    strmap_set(a, &ret->graph_driver.data, "WorkDir", file_path(c, a, "work"));
}

static void put_execs(const struct container *c, struct arena *a, struct container_inspect *ret)
{
    for (const struct exec *x = c->execs; x; x = x->next)
        if (x->running)
            strv_push(a, &ret->exec_ids, x->id);
}

int ctr_inspect(struct engine *e, const char *id, bool size, struct arena *a,
                struct container_inspect *ret, struct err *err)
{
    auto_ctr struct container *c = ctr_find(e, id, err);

    if (!c)
        return err_code(err);
    (void)pthread_mutex_lock(&c->lock);
    *ret = (struct container_inspect){
        .id = arena_strdup(a, c->id),
        .created = when(c->created_ns, a),
        .image = arena_strdup(a, c->image_id),
        .resolv_conf_path = file_path(c, a, "resolv.conf"),
        .hostname_path = file_path(c, a, "hostname"),
        .hosts_path = file_path(c, a, "hosts"),
        .log_path = str_eq(c->host->log_config.type, "json-file") ? file_path(c, a, LOG_NAME)
                                                                  : arena_strdup(a, ""),
        .name = arena_printf(a, "/%s", c->name),
        .restart_count = c->restart_count,
        .platform = arena_strdup(a, "linux"),
        .apparmor_profile = arena_strdup(a, ctr_apparmor(c)),
        .host_config = json_clone(&host_config_type, c->host, a),
        .config = json_clone(&container_config_type, c->config, a),
    };
    if (c->host->links.n)
        ret->host_config->links = links_describe(c, a);
    put_command(c, a, ret);
    put_state(c, a, &ret->state);
    put_driver(c, a, ret);
    put_execs(c, a, ret);
    ret->mounts.v = arena_alloc(a, sizeof(*ret->mounts.v));
    ctr_mount_points(c, a, ret);
    ctr_net_settings(c, a, &ret->network_settings);
    (void)pthread_mutex_unlock(&c->lock);
    if (size)
        sizes(c, a, &ret->size_rw_b, &ret->size_rootfs_b);
    return 0;
}

/* ---- list ---- */

static const char *health_suffix(const struct container *c)
{
    const char *word = health_word(c);

    return strcmp(word, "none") == 0       ? ""
           : strcmp(word, "starting") == 0 ? " (health: starting)"
           : strcmp(word, "healthy") == 0  ? " (healthy)"
                                           : " (unhealthy)";
}

static char *status_text(const struct container *c, struct arena *a)
{
    int64_t now = now_ns();
    char human[TIME_TEXT];

    switch (c->status) {
    case CTR_CREATED:
        return arena_strdup(a, "Created");
    case CTR_REMOVING:
        return arena_strdup(a, "Removal In Progress");
    case CTR_DEAD:
        return arena_strdup(a, "Dead");
    case CTR_RUNNING:
        if (c->restarting)
            return arena_printf(a, "Restarting (%" PRId64 ") %s ago", c->exit_code,
                                duration_human(now - c->finished_ns, human));
        return arena_printf(a, "Up %s%s", duration_human(now - c->started_ns, human),
                            c->paused ? " (Paused)" : health_suffix(c));
    default:
        if (c->started_ns == 0)
            return arena_strdup(a, "Created");
        return arena_printf(a, "Exited (%" PRId64 ") %s ago", c->exit_code,
                            duration_human(now - c->finished_ns, human));
    }
}

static struct port_summary *add_port(struct container_summary *s, struct arena *a, uint32_t port,
                                     const char *proto)
{
    struct port_summary *p = arena_new(a, struct port_summary);

    p->private_port = port;
    p->type = arena_strdup(a, proto);
    arena_push(a, s->ports) = p;
    return p;
}

static void put_ports(const struct container *c, const struct network_settings *ns, struct arena *a,
                      struct container_summary *s)
{
    s->ports.v = arena_alloc(a, sizeof(*s->ports.v));
    for (size_t i = 0; i < ns->ports.n; i++) {
        const struct objv *list = ns->ports.v[i].val;
        unsigned port = 0;
        char proto[8] = "tcp";
        (void)sscanf(ns->ports.v[i].key, "%u/%7s", &port, proto);
        for (size_t k = 0; list && k < list->n; k++) {
            const struct port_binding *b = list->v[k];
            struct port_summary *p = add_port(s, a, port, proto);
            uint64_t host = 0;
            p->ip = b->host_ip;
            if (str_to_u64(b->host_port, &host) == 0)
                p->public_port = (uint32_t)host;
        }
        if (!list || list->n == 0)
            (void)add_port(s, a, port, proto);
    }
    (void)c;
}

/* "sh -c 'a b'" as Docker shows it: quoted only where there is a blank. */
static char *command_text(const struct container_inspect *in, struct arena *a)
{
    auto_buf struct buf t = BUF_INIT;

    buf_puts(&t, in->path);
    for (size_t i = 0; i < in->args.n; i++)
        buf_printf(&t, strchr(in->args.v[i], ' ') ? " '%s'" : " %s", in->args.v[i]);
    return arena_strdup(a, buf_str(&t));
}

static struct container_summary *summary(struct container *c, struct arena *a)
{
    struct container_summary *s = arena_new(a, struct container_summary);
    struct container_inspect in = {0};

    put_command(c, a, &in);
    in.mounts.v = arena_alloc(a, sizeof(*in.mounts.v));
    ctr_mount_points(c, a, &in);
    ctr_net_settings(c, a, &in.network_settings);
    s->id = arena_strdup(a, c->id);
    strv_push(a, &s->names, arena_printf(a, "/%s", c->name));
    s->image = arena_strdup(a, c->image_name);
    s->image_id = arena_strdup(a, c->image_id);
    s->command = command_text(&in, a);
    s->created_s = c->created_ns / NS_PER_S;
    put_ports(c, &in.network_settings, a, s);
    s->labels.v = arena_alloc(a, sizeof(*s->labels.v));
    for (size_t i = 0; i < c->config->labels.n; i++)
        strmap_set(a, &s->labels, c->config->labels.v[i].key, c->config->labels.v[i].val);
    s->state = arena_strdup(a, ctr_status_word(c));
    s->status = status_text(c, a);
    s->host_config.network_mode = arena_strdup(a, c->host->network_mode);
    s->network_settings.networks.v = (void *)in.network_settings.networks.v;
    s->network_settings.networks.n = in.network_settings.networks.n;
    s->mounts.v = in.mounts.v;
    s->mounts.n = in.mounts.n;
    return s;
}

/* ---- the filters of ps ---- */

struct list_ctx {
    struct engine *e;
    const struct filters *f;
    struct arena *a;
    int64_t before_ns, since_ns; /* of the containers that "before" and "since" name */
    struct strv ancestors;       /* image ids */
};

static bool match_port(const struct container_summary *s, const struct filters *f, const char *key,
                       bool published)
{
    const struct strv *want = filters_get(f, key);

    if (!want)
        return true;
    for (size_t i = 0; i < want->n; i++) {
        unsigned first = 0, last = 0;
        char proto[8] = "tcp";
        const char *slash = strchr(want->v[i], '/');
        if (slash)
            (void)snprintf(proto, sizeof(proto), "%s", slash + 1);
        if (sscanf(want->v[i], "%u-%u", &first, &last) < 2)
            last = first;
        for (size_t k = 0; k < s->ports.n; k++) {
            const struct port_summary *p = s->ports.v[k];
            unsigned port = published ? p->public_port : p->private_port;
            if (port && port >= first && port <= last && strcmp(p->type, proto) == 0)
                return true;
        }
    }
    return false;
}

static bool match_ancestor(const struct list_ctx *x, const struct container *c)
{
    if (!filters_get(x->f, "ancestor"))
        return true;
    return c->image_id && strv_has(&x->ancestors, c->image_id);
}

static bool match_network(const struct container *c, const struct filters *f)
{
    bool found = !filters_get(f, "network");

    for (size_t i = 0; !found && i < c->networks.endpoints.n; i++) {
        struct net *n = net_get(c->e, c->networks.endpoints.v[i].key, NULL);
        found = filters_exact(f, "network", c->networks.endpoints.v[i].key) ||
                (n && filters_prefix(f, "network", n->rec.net.id));
        net_put(c->e, n);
    }
    return found;
}

static bool match_mount(const struct container_summary *s, const struct filters *f)
{
    if (!filters_get(f, "volume"))
        return true;
    for (size_t i = 0; i < s->mounts.n; i++)
        if (filters_exact(f, "volume", s->mounts.v[i]->destination) ||
            filters_exact(f, "volume", s->mounts.v[i]->source) ||
            filters_exact(f, "volume", str_or(s->mounts.v[i]->name, "")))
            return true;
    return false;
}

static bool match_exited(const struct container *c, const struct filters *f)
{
    const struct strv *want = filters_get(f, "exited");
    int64_t code;

    if (!want)
        return true;
    if (c->status != CTR_EXITED || c->started_ns == 0)
        return false;
    for (size_t i = 0; i < want->n; i++)
        if (str_to_i64(want->v[i], &code) == 0 && code == c->exit_code)
            return true;
    return false;
}

static bool matches(const struct list_ctx *x, const struct container *c,
                    const struct container_summary *s)
{
    const struct filters *f = x->f;

    return (filters_pattern(f, "name", c->name) ||
            filters_pattern(f, "name", arena_printf(x->a, "/%s", c->name))) &&
           filters_prefix(f, "id", c->id) && filters_exact(f, "status", s->state) &&
           filters_labels(f, "label", &c->config->labels) && match_exited(c, f) &&
           match_port(s, f, "expose", false) && match_port(s, f, "publish", true) &&
           match_ancestor(x, c) && match_network(c, f) && match_mount(s, f) &&
           filters_exact(f, "health", health_word(c)) && filters_exact(f, "is-task", "false") &&
           (!x->before_ns || c->created_ns < x->before_ns) &&
           (!x->since_ns || c->created_ns > x->since_ns);
}

static int creation_of(struct list_ctx *x, const char *key, int64_t *ret, struct err *err)
{
    const struct strv *v = filters_get(x->f, key);

    if (!v || v->n == 0)
        return 0;
    auto_ctr struct container *c = ctr_find(x->e, v->v[0], err);
    if (!c)
        return err_code(err);
    *ret = c->created_ns;
    return 0;
}

static int check_values(const struct filters *f, struct err *err)
{
    static const char *const states[] = {"created",  "running", "paused", "restarting",
                                         "removing", "exited",  "dead"};
    static const char *const healths[] = {"none", "starting", "healthy", "unhealthy"};
    const struct strv *v = filters_get(f, "status");
    int64_t n;

    for (size_t i = 0; v && i < v->n; i++) {
        bool known = false;
        for (size_t k = 0; k < sizeof(states) / sizeof(states[0]); k++)
            known |= strcmp(states[k], v->v[i]) == 0;
        if (!known)
            return err_invalid(err, "invalid value for state: %s", v->v[i]);
    }
    v = filters_get(f, "health");
    for (size_t i = 0; v && i < v->n; i++) {
        bool known = false;
        for (size_t k = 0; k < sizeof(healths) / sizeof(healths[0]); k++)
            known |= strcmp(healths[k], v->v[i]) == 0;
        if (!known)
            return err_invalid(err, "unrecognised filter value for health: %s", v->v[i]);
    }
    v = filters_get(f, "exited");
    for (size_t i = 0; v && i < v->n; i++)
        if (str_to_i64(v->v[i], &n) < 0)
            return err_invalid(err, "invalid filter 'exited=%s'", v->v[i]);
    return 0;
}

static int prepare(struct list_ctx *x, struct err *err)
{
    static const char *const accepted[] = {
        "ancestor", "before", "exited",  "expose",  "health", "id",     "is-task", "isolation",
        "label",    "name",   "network", "publish", "since",  "status", "volume",  NULL};
    const struct strv *images = filters_get(x->f, "ancestor");
    int r = filters_check(x->f, accepted, err);

    if (r >= 0)
        r = check_values(x->f, err);
    if (r >= 0)
        r = creation_of(x, "before", &x->before_ns, err);
    if (r >= 0)
        r = creation_of(x, "since", &x->since_ns, err);
    for (size_t i = 0; r >= 0 && images && i < images->n; i++) {
        struct image_row row;
        if (image_resolve(x->e->images, images->v[i], x->a, &row, NULL) >= 0)
            strv_push(x->a, &x->ancestors, row.id);
    }
    return r;
}

/* These filters look at stopped containers too, without -a. */
static bool implies_all(const struct filters *f)
{
    return filters_get(f, "status") || filters_get(f, "exited") || filters_get(f, "before") ||
           filters_get(f, "since") || filters_get(f, "isolation");
}

int ctr_list(struct engine *e, const struct ctr_list_opts *o, struct arena *a,
             struct ctr_summaries *ret, struct err *err)
{
    struct list_ctx x = {.e = e, .f = &o->filters, .a = a};
    bool all = o->all || o->limit > 0 || implies_all(&o->filters);
    size_t n;
    int r = prepare(&x, err);

    if (r < 0)
        return r;
    auto_free struct container **v = ctr_all(e, &n);
    for (size_t i = 0; i < n; i++) {
        struct container *c = v[i];
        struct container_summary *s = NULL;
        (void)pthread_mutex_lock(&c->lock);
        if ((all || c->status == CTR_RUNNING) && !c->removed && !ctr_hidden(c))
            s = summary(c, a);
        bool in = s && matches(&x, c, s);
        (void)pthread_mutex_unlock(&c->lock);
        if (in && o->size)
            sizes(c, a, &s->size_rw_b, &s->size_rootfs_b);
        if (in && (o->limit <= 0 || (int64_t)ret->n < o->limit))
            arena_push(a, *ret) = s;
        ctr_unref(c);
    }
    return 0;
}
