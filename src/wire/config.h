/*
 * What a container is: its portable configuration, which an image may carry too. The machine's
 * side (binds, limits, ports) is host_config.h. Null and empty lists are different things to
 * clients, so a list keeps the form in which it was given.
 */
#pragma once

#include "base/json.h"
#include "base/str.h"

/* Test: {} or NULL inherits the image's, {"NONE"} switches off, {"CMD", ...}, {"CMD-SHELL", "x"}.
 */
struct healthcheck {
    struct strv test;
    int64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns; /* 0: default */
    int64_t retries;                                                     /* 0: default */
};

struct container_config {
    char *hostname, *domainname;
    char *user; /* "user", "uid", "user:group" ...; "" is root */
    bool attach_stdin, attach_stdout, attach_stderr;
    struct strv exposed_ports; /* "80/tcp" */
    bool tty, open_stdin, stdin_once;
    struct strv env;
    struct strv cmd;
    struct healthcheck *healthcheck;
    bool args_escaped; /* Windows only; kept */
    char *image;
    struct strv volumes; /* paths */
    char *working_dir;
    struct strv entrypoint;
    bool network_disabled;
    char *mac_address; /* before API 1.44; newer clients set it in the endpoint */
    struct strv on_build;
    struct strmap labels;
    char *stop_signal;
    int64_t *stop_timeout_s; /* NULL: the engine's default; -1: forever */
    struct strv shell;
};

extern const struct json_type healthcheck_type;
extern const struct json_type container_config_type;
