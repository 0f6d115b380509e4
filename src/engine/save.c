/* Containers and their rows: what is written when, and how it is read back at start-up. */
#include "engine/engine-priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"

static const struct field port_fields[] = {
    FIELD(struct ctr_port, "host_ip", F_STR, host_ip),
    FIELD(struct ctr_port, "proto", F_STR, proto),
    FIELD(struct ctr_port, "host_port", F_U32, host_port),
    FIELD(struct ctr_port, "port", F_U32, port),
};
static const struct json_type port_type = JSON_TYPE("Port", struct ctr_port, port_fields);

static const struct field state_fields[] = {
    FIELD(struct ctr_state, "status", F_STR, status, .flags = F_REQUIRED),
    FIELD(struct ctr_state, "pid", F_I64, pid, .flags = F_OMIT),
    FIELD(struct ctr_state, "exit_code", F_I64, exit_code, .flags = F_OMIT),
    FIELD(struct ctr_state, "paused", F_BOOL, paused, .flags = F_OMIT),
    FIELD(struct ctr_state, "oom", F_BOOL, oom, .flags = F_OMIT),
    FIELD(struct ctr_state, "manual_stop", F_BOOL, manual_stop, .flags = F_OMIT),
    FIELD(struct ctr_state, "error", F_STR, error, .flags = F_OMIT),
    FIELD(struct ctr_state, "started_ns", F_I64, started_ns, .flags = F_OMIT),
    FIELD(struct ctr_state, "finished_ns", F_I64, finished_ns, .flags = F_OMIT),
    FIELD(struct ctr_state, "restart_count", F_I64, restart_count, .flags = F_OMIT),
    FIELD(struct ctr_state, "ip", F_STR, ip, .flags = F_OMIT),
    FIELD(struct ctr_state, "mac", F_STR, mac, .flags = F_OMIT),
    FIELD(struct ctr_state, "host_if", F_STR, host_if, .flags = F_OMIT),
    FIELD(struct ctr_state, "ports", F_OBJV, ports, .flags = F_OMIT, .type = &port_type),
};
const struct json_type ctr_state_type = JSON_TYPE("State", struct ctr_state, state_fields);

static const char *const words[] = {"created", "running", "exited", "removing", "dead"};

static void put_network(const struct container *c, struct arena *a, struct ctr_state *st)
{
    char text[INET6_ADDRSTRLEN];

    if (c->ep.ip.family == 0)
        return;
    st->ip = arena_printf(a, "%s/%d", ip_format(&c->ep.ip, text), c->ep.ip.prefix);
    st->mac = arena_strdup(a, c->ep.mac);
    st->host_if = arena_strdup(a, c->ep.host_if);
    for (size_t i = 0; i < c->nports; i++) {
        struct ctr_port *p = arena_new(a, struct ctr_port);
        const struct publish *pub = &c->ports[i];
        p->host_ip = pub->host.family ? arena_strdup(a, ip_format(&pub->host, text)) : NULL;
        p->proto = arena_strdup(a, pub->proto);
        p->host_port = pub->host_port;
        p->port = pub->port;
        arena_push(a, st->ports) = p;
    }
}

static char *state_json(const struct container *c, struct arena *a)
{
    auto_buf struct buf out = BUF_INIT;
    struct ctr_state st = {.status = arena_strdup(a, words[c->status]),
                           .pid = c->pid,
                           .exit_code = c->exit_code,
                           .paused = c->paused,
                           .oom = c->oom,
                           .manual_stop = c->manual_stop,
                           .error = c->error,
                           .started_ns = c->started_ns,
                           .finished_ns = c->finished_ns,
                           .restart_count = c->restart_count};

    put_network(c, a, &st);
    json_encode(&ctr_state_type, &st, &out);
    return arena_strndup(a, out.data, out.len);
}

static char *encode(const struct json_type *type, const void *obj, struct arena *a)
{
    auto_buf struct buf out = BUF_INIT;

    json_encode(type, obj, &out);
    return arena_strndup(a, out.data, out.len);
}

int ctr_save_new(struct container *c, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct container_row row = {.id = c->id,
                                .name = c->name,
                                .created_ns = c->created_ns,
                                .image = c->image_id,
                                .config = encode(&container_config_type, c->config, &a),
                                .host_config = encode(&host_config_type, c->host, &a),
                                .state = state_json(c, &a),
                                .rest = ctr_volumes_json(c, &a)};

    FAIL_POINT("container.create.row", err);
    int r = container_insert(c->e->db, &row, err);
    if (r == -EEXIST)
        return err_conflict(err,
                            "Conflict. The container name \"/%s\" is already in use. You have to "
                            "remove (or rename) that container to be able to reuse that name.",
                            c->name);
    if (r < 0)
        return r;
    FAIL_POINT("container.create.done", err);
    return 0;
}

int ctr_save_state(struct container *c, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;

    FAIL_POINT("container.state.row", err);
    return container_set_state(c->e->db, c->id, state_json(c, &a), err);
}

int ctr_save_host(struct container *c, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;

    return container_set_host_config(c->e->db, c->id, encode(&host_config_type, c->host, &a), err);
}

/* ---- reading back ---- */

static enum ctr_status status_of(const char *word)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(words[i], word) == 0)
            return (enum ctr_status)i;
    return CTR_DEAD;
}

static void take_state(struct container *c, const struct ctr_state *st)
{
    c->status = status_of(st->status);
    c->pid = st->pid;
    c->exit_code = st->exit_code;
    c->paused = st->paused;
    c->oom = st->oom;
    c->manual_stop = st->manual_stop;
    c->error = str_empty(st->error) ? NULL : xstrdup(st->error);
    c->started_ns = st->started_ns;
    c->finished_ns = st->finished_ns;
    c->restart_count = st->restart_count;
}

static int decode_row(struct container *c, const struct container_row *row, struct ctr_state *st,
                      struct err *err)
{
    struct arena *a = &c->mem;
    struct img_use image;

    c->name = arena_strdup(a, row->name);
    c->created_ns = row->created_ns;
    c->image_id = arena_strdup(a, row->image);
    c->config = arena_new(a, struct container_config);
    c->host = arena_new(a, struct host_config);
    int r =
        json_decode(&container_config_type, row->config, strlen(row->config), a, c->config, 0, err);
    if (r >= 0)
        r = json_decode(&host_config_type, row->host_config, strlen(row->host_config), a, c->host,
                        0, err);
    if (r >= 0)
        r = ctr_volumes_read(c, row->rest, err);
    if (r >= 0)
        r = json_decode(&ctr_state_type, row->state, strlen(row->state), a, st, 0, err);
    if (r < 0)
        return r;
    c->image_name = c->config->image;
    take_state(c, st);
    if (c->image_id && img_resolve(c->e, c->image_id, a, &image, err) >= 0)
        c->lowers = image.lowers;
    else
        err_clear(err); /* it can be looked at and removed; a start says what is missing */
    c->data_fd = openat(c->e->containers_fd, c->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return c->data_fd < 0 && c->status != CTR_REMOVING ? err_sys(err, "open container directory")
                                                       : 0;
}

static int load_one(struct engine *e, const struct container_row *row, struct err *err)
{
    struct ctr_state st = {0};
    auto_ctr struct container *c = ctr_new(e, row->id);
    int r = decode_row(c, row, &st, err);

    if (r < 0)
        return err_wrap(err, r, "container %s", row->id);
    ctr_link(c);
    if (c->status == CTR_REMOVING) {
        (void)pthread_mutex_lock(&c->op);
        r = ctr_remove_locked(c, true, err);
        (void)pthread_mutex_unlock(&c->op);
        return r;
    }
    if (c->status == CTR_RUNNING && ctr_net_restore(c, &st, err) < 0) {
        log_error("container %s: restore network: %s", c->id, err->msg);
        err_clear(err);
    }
    return ctr_adopt(c, err);
}

int ctr_load_all(struct engine *e, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct container_rows rows = {0};
    int r = container_list(e->db, &a, &rows, err);

    for (size_t i = 0; r >= 0 && i < rows.n; i++) {
        struct err one = {0};
        /* One damaged container must not keep the others from running. */
        if (load_one(e, &rows.v[i], &one) < 0)
            log_error("%s", one.msg);
    }
    return r;
}
