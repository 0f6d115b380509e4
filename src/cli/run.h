/* Pieces of run that start, attach and wait use as well. */
#pragma once

#include "base/err.h"
#include "http/client.h"

struct cli;
struct container_create_request;
struct run_opts;
struct session;

struct attach_to {
    bool in, out, err;
};

/** run_create() - create, pulling the image when it is missing; prints warnings. */
int run_create(struct cli *cli, const struct run_opts *o, const struct container_create_request *rq,
               char **ret_id, struct err *err) MUST;

/** attach_open() - upgrade the attach call; fills the session's stream and resize target. */
int attach_open(struct cli *cli, const char *id, const struct attach_to *to, struct session *s,
                struct err *err) MUST;

/** wait_begin() - returns once the daemon watches, so that no exit is missed.
 * wait_end() - block until the condition; Return: the exit code. Frees the reply. */
int wait_begin(struct cli *cli, const char *id, const char *condition, struct http_reply **ret,
               struct err *err) MUST;
int wait_end(struct cli *cli, struct http_reply *reply, struct err *err) MUST;
