/* Calls of the daemon as commands make them: connect, build the target, decode into the arena. */
#pragma once

#include "base/json.h"
#include "cli/cli.h"

/* A call without bodies: POST /containers/x/start. */
int call_do(struct cli *cli, const char *method, const char *target, struct err *err) MUST;
/** call_get() - typed answer of a GET; @out is zeroed by the caller. */
int call_get(struct cli *cli, const char *target, const struct json_type *type, void *out,
             struct err *err) MUST;
/** call_list() - an array of objects of @elem as {v, n}. */
int call_list(struct cli *cli, const char *target, const struct json_type *elem, struct objv *ret,
              struct err *err) MUST;
/** call_post() - typed body, typed answer (either may be NULL). */
int call_post(struct cli *cli, const char *target, const struct json_type *in_type, const void *in,
              const struct json_type *out_type, void *out, struct err *err) MUST;
/** call_text() - the answer as it came. */
int call_text(struct cli *cli, const char *target, struct buf *out, struct err *err) MUST;

/** need_client() - connect to whatever is configured, so that targets can be built. */
int need_client(struct cli *cli, struct err *err) MUST;
