/* Exec: a further process in a running container. */
#pragma once

#include "base/json.h"
#include "base/str.h"

struct exec_create_request {
    char *user;
    bool privileged, tty;
    VEC_OF(int64_t) console_size; /* rows, columns; API 1.42 */
    bool attach_stdin, attach_stderr, attach_stdout;
    char *detach_keys;
    struct strv env;
    char *working_dir; /* API 1.35 */
    struct strv cmd;
};

struct exec_start_request {
    bool detach, tty;
    VEC_OF(int64_t) console_size;
};

struct exec_process_config {
    bool tty;
    char *entrypoint;
    struct strv arguments;
    bool *privileged; /* NULL: not sent */
    char *user;
};

struct exec_inspect {
    char *id;
    bool running;
    int64_t *exit_code; /* NULL until it ended */
    struct exec_process_config process;
    bool open_stdin, open_stderr, open_stdout;
    bool can_remove;
    char *container_id;
    char *detach_keys; /* base64 of the key bytes; "" for none of its own */
    int64_t pid;
};

extern const struct json_type exec_create_request_type;
extern const struct json_type exec_start_request_type;
extern const struct json_type exec_inspect_type;
