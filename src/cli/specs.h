/*
 * The small languages inside option values: ports, volumes, mounts, networks, devices, limits. Each
 * parser puts its result where the wire types want it. Strings live in the arena.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "wire/config.h"
#include "wire/host_config.h"
#include "wire/network.h"

/* spec_ports.c */

/** spec_publish() - "-p": "[ip:][host]:container[/proto]" with ranges, or
 * "target=80,published=8080". Fills the bindings and the exposed ports. */
int spec_publish(const char *s, struct arena *a, port_map *bindings, struct strv *exposed,
                 struct err *err) MUST;
/** spec_expose() - "80", "80-90/udp". */
int spec_expose(const char *s, struct arena *a, struct strv *exposed, struct err *err) MUST;

/* spec_mounts.c */

/** spec_mount() - "--mount type=bind,source=/a,target=/b,readonly". */
int spec_mount(const char *s, struct arena *a, struct mount_spec **ret, struct err *err) MUST;
int check_mount(const char *s, struct err *err);
/** spec_volume() - "-v": a bind in @binds, or an anonymous volume's path in @volumes. */
int spec_volume(const char *s, struct arena *a, struct strv *binds, struct strv *volumes,
                struct err *err) MUST;
/** csv_split() - one line of RFC 4180: fields may be quoted. */
int csv_split(const char *s, struct arena *a, struct strv *ret, struct err *err) MUST;

/* spec_network.c */

/** spec_network() - "name", or "name=x,alias=y,ip=..."; @ret_name is the network. */
int spec_network(const char *s, struct arena *a, char **ret_name, struct endpoint_settings **ret,
                 struct err *err) MUST;

/* spec_misc.c */
int spec_ulimit(const char *s, struct arena *a, struct ulimit **ret, struct err *err) MUST;
int check_ulimit(const char *s, struct err *err);
int spec_device(const char *s, struct arena *a, struct device_mapping **ret, struct err *err) MUST;
int check_device(const char *s, struct err *err);
int spec_gpus(const char *s, struct arena *a, struct device_request **ret, struct err *err) MUST;
int check_gpus(const char *s, struct err *err);
/** spec_throttle() - "/dev/sda:1mb" (@bytes) or "/dev/sda:100". */
int spec_throttle(const char *s, bool bytes, struct arena *a, struct throttle_device **ret,
                  struct err *err) MUST;
int check_throttle_bps(const char *s, struct err *err);
int check_throttle_iops(const char *s, struct err *err);
int spec_weight(const char *s, struct arena *a, struct weight_device **ret, struct err *err) MUST;
int check_weight(const char *s, struct err *err);
int spec_restart(const char *s, struct arena *a, struct restart_policy *ret, struct err *err) MUST;
/** spec_host() - "name:ip" or "name=ip" as "name:ip". */
int spec_host(const char *s, struct arena *a, char **ret, struct err *err) MUST;
int check_host(const char *s, struct err *err);
int check_attach(const char *s, struct err *err);
int check_env(const char *s, struct err *err);
int check_link(const char *s, struct err *err);
int check_ip(const char *s, struct err *err);

/** spec_env() - files of variables, then variables; a name alone takes the client's value. */
int spec_env(const struct strv *files, const struct strv *vars, struct arena *a, struct strv *ret,
             struct err *err) MUST;
/** spec_labels() - files of labels, then labels. */
int spec_labels(const struct strv *files, const struct strv *labels, struct arena *a,
                struct strmap *ret, struct err *err) MUST;
/** spec_map() - "k=v" lists to a map; @what is for the message when there is no '='. */
void spec_map(const struct strv *pairs, struct arena *a, struct strmap *ret);
int spec_security(const struct strv *in, struct arena *a, struct host_config *hc,
                  struct err *err) MUST;
