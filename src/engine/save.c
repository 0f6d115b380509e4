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
    FIELD(struct ctr_port, "twin", F_BOOL, twin, .flags = F_OMIT),
};
static const struct json_type port_type = JSON_TYPE("Port", struct ctr_port, port_fields);

static const struct field end_fields[] = {
    FIELD(struct ctr_end_state, "network", F_STR, network, .flags = F_REQUIRED),
    FIELD(struct ctr_end_state, "id", F_STR, id, .flags = F_REQUIRED),
    FIELD(struct ctr_end_state, "ifname", F_STR, ifname),
    FIELD(struct ctr_end_state, "ip", F_STR, ip, .flags = F_OMIT),
    FIELD(struct ctr_end_state, "ip6", F_STR, ip6, .flags = F_OMIT),
    FIELD(struct ctr_end_state, "mac", F_STR, mac),
    FIELD(struct ctr_end_state, "host_if", F_STR, host_if, .flags = F_OMIT),
};
static const struct json_type end_type = JSON_TYPE("End", struct ctr_end_state, end_fields);

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
    FIELD(struct ctr_state, "ends", F_OBJV, ends, .flags = F_OMIT, .type = &end_type),
    FIELD(struct ctr_state, "port_end", F_STR, port_end, .flags = F_OMIT),
    FIELD(struct ctr_state, "ports", F_OBJV, ports, .flags = F_OMIT, .type = &port_type),
};
const struct json_type ctr_state_type = JSON_TYPE("State", struct ctr_state, state_fields);

static const char *const words[] = {"created", "running", "exited", "removing", "dead"};

static char *cidr(const struct ip *ip, struct arena *a)
{
    char text[IP_TEXT];

    return ip->family ? arena_strdup(a, ip_format_cidr(ip, text)) : NULL;
}

static void put_network(const struct container *c, struct arena *a, struct ctr_state *st)
{
    char text[IP_TEXT];

    for (size_t i = 0; i < c->net.nends; i++) {
        const struct ctr_end *end = &c->net.ends[i];
        struct ctr_end_state *s = arena_new(a, struct ctr_end_state);
        *s = (struct ctr_end_state){.network = end->net->rec.net.id,
                                    .id = (char *)end->id,
                                    .ifname = (char *)end->ifname,
                                    .ip = cidr(&end->ep.ip, a),
                                    .ip6 = cidr(&end->ep.ip6, a),
                                    .mac = (char *)end->ep.mac,
                                    .host_if = (char *)end->ep.host_if};
        arena_push(a, st->ends) = s;
    }
    st->port_end = (char *)c->net.port_end;
    for (size_t i = 0; i < c->net.nports; i++) {
        struct ctr_port *p = arena_new(a, struct ctr_port);
        const struct publish *pub = &c->net.ports[i];
        p->host_ip = pub->host.family ? arena_strdup(a, ip_format(&pub->host, text)) : NULL;
        p->proto = arena_strdup(a, pub->proto);
        p->host_port = pub->host_port;
        p->port = pub->port;
        p->twin = pub->twin;
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
                                .network = encode(&networking_config_type, &c->networks, &a),
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

int ctr_save_networks(struct container *c, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;

    return container_set_network(c->e->db, c->id, encode(&networking_config_type, &c->networks, &a),
                                 err);
}

/* ---- reading back ---- */

static int restore_end(struct container *c, const struct ctr_end_state *s, struct err *err)
{
    struct ctr_end end = {.net = net_hold_end(c->e, s->network, err)};
    int r = end.net ? 0 : err_code(err);

    if (r >= 0 && !end.net->links)
        r = err_no(err, ENODEV, "network %s could not be set up", end.net->rec.net.name);
    (void)snprintf(end.id, sizeof(end.id), "%s", s->id);
    (void)snprintf(end.ifname, sizeof(end.ifname), "%s", str_or(s->ifname, ""));
    (void)snprintf(end.ep.mac, sizeof(end.ep.mac), "%s", str_or(s->mac, ""));
    (void)snprintf(end.ep.host_if, sizeof(end.ep.host_if), "%s", str_or(s->host_if, ""));
    if (r >= 0 && !str_empty(s->ip) && ip_parse(s->ip, &end.ep.ip) < 0)
        r = err_invalid(err, "bad address %s in the catalog", s->ip);
    if (r >= 0 && !str_empty(s->ip6) && ip_parse(s->ip6, &end.ep.ip6) < 0)
        r = err_invalid(err, "bad address %s in the catalog", s->ip6);
    if (r >= 0)
        r = network_rejoin(end.net->links, &end.ep, err);
    if (r < 0) {
        if (end.net)
            net_put_end(c->e, end.net);
        return r;
    }
    ctr_end_add(c, &end);
    end_names_add(c, &end);
    return 0;
}

static int restore_port(const struct ctr_port *p, struct publish *ret, struct err *err)
{
    *ret = (struct publish){.proto = port_proto(str_or(p->proto, "")),
                            .port = (uint16_t)p->port,
                            .host_port = (uint16_t)p->host_port,
                            .twin = p->twin,
                            .reserved = -1};
    if (!ret->proto || (!str_empty(p->host_ip) && ip_parse(p->host_ip, &ret->host) < 0))
        return err_invalid(err, "bad port in the catalog");
    return 0;
}

int ctr_net_restore(struct container *c, const struct ctr_state *st, struct err *err)
{
    struct ctr_end *end = NULL;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < st->ends.n; i++)
        r = restore_end(c, st->ends.v[i], err);
    for (size_t i = 0; i < c->net.nends; i++)
        if (str_eq(c->net.ends[i].id, st->port_end))
            end = &c->net.ends[i];
    if (r >= 0)
        r = ctr_open_ports(c, err);
    if (r < 0 || !end || st->ports.n == 0)
        return r;
    struct publish *ports = xcalloc(st->ports.n, sizeof(*ports));
    for (size_t i = 0; r >= 0 && i < st->ports.n; i++)
        r = restore_port(st->ports.v[i], &ports[i], err);
    if (r >= 0)
        r = network_publish(end->net->links, &end->ep, ports, st->ports.n, c->name, err);
    if (r < 0) {
        free(ports);
        return r;
    }
    c->net.ports = ports;
    c->net.nports = st->ports.n;
    memcpy(c->net.port_end, end->id, sizeof(end->id));
    return 0;
}

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
    if (r >= 0 && row->network)
        r = json_decode(&networking_config_type, row->network, strlen(row->network), a,
                        &c->networks, 0, err);
    if (r >= 0)
        r = ctr_volumes_read(c, row->rest, err);
    if (r >= 0)
        r = json_decode(&ctr_state_type, row->state, strlen(row->state), a, st, 0, err);
    if (r < 0)
        return r;
    c->image_name = c->config->image;
    take_state(c, st);
    if (c->image_id && img_resolve(c->e, c->image_id, NULL, a, &image, err) >= 0)
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
    r = ctr_adopt(c, err);
    return r >= 0 && ctr_hidden(c) ? ctr_remove(e, c->id, true, true, err) : r;
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
