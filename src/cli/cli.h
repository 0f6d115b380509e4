/* What every command has at hand: the daemon, the configuration, the terminal, memory. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "client/client.h"

#include <stdbool.h>
#include <stdio.h>

#define DEFAULT_HOST "unix:///run/cleat/cleat.sock"

/* Options in front of the command. */
struct global_opts {
    char *config, *context, *log_level, *tlscacert, *tlscert, *tlskey;
    struct strv hosts;
    bool debug, tls, tlsverify, version, man;
};

/* What applies of ~/.docker/config.json. */
struct config {
    struct json *root; /* NULL: no file */
    char *dir;
};

struct cli {
    struct arena arena; /* lives as long as the process */
    struct global_opts global;
    struct config config;
    struct client *client; /* by cli_client() */
    char *host;
    const char *path; /* of the command that runs: "container ls" */
    const bool *given;
    const struct command *command;
};

/** cli_main() - Return: exit status. */
int cli_main(int argc, char **argv);

/** cli_client() - the daemon that options, environment and contexts select. */
int cli_client(struct cli *cli, struct client **ret, struct err *err) MUST;
/** cli_client_new() - a client of its own for a thread; the caller frees it. */
int cli_client_new(struct cli *cli, struct client **ret, struct err *err) MUST;
/** cli_given() - the option was on the command line. */
bool cli_given(const struct cli *cli, const char *option);

/* config.c */
int config_load(struct cli *cli, struct err *err) MUST;
/** config_str() - string member of config.json, or NULL. */
const char *config_str(const struct cli *cli, const char *key);
/** config_host() - the address to talk to; @ret_tls: whether TLS is wanted and how. */
int config_host(struct cli *cli, char **ret, struct tls_opts **ret_tls, struct err *err) MUST;
const char *config_context(struct cli *cli);
struct auth_config;
/** config_credentials() - of the registry of an image reference; @ret stays empty without any. */
void config_credentials(struct cli *cli, const char *reference, struct auth_config *ret);
/** config_auth() - X-Registry-Auth for an image reference or registry, or NULL. */
const char *config_auth(struct cli *cli, const char *reference);
/** config_all_auths() - X-Registry-Config: of every registry that there are credentials of; NULL
 * without any. */
const char *config_all_auths(struct cli *cli);

struct context_info {
    const char *name, *description, *host;
};

struct contexts {
    struct context_info *v;
    size_t n;
};

/** config_contexts() - the default one and those of the configuration. */
struct contexts config_contexts(struct cli *cli);

/** config_store_auth() - remember a registry's credentials; NULL forgets them. Rewrites
 * config.json, all else in it stays as it was. */
int config_store_auth(struct cli *cli, const char *registry, const struct auth_config *auth,
                      struct err *err) MUST;

/* Shorthands for calls; targets are built in the arena. */
char *cli_target(struct cli *cli, const char *fmt, const char *a, const char *b);
char *cli_query(struct cli *cli, const char *target, const char *key, const char *val);
/** cli_query_platform() - "linux/arm/v7" as the API reads it; NULL or "" adds nothing.
 * Return: 0; -EINVAL with docker's words. */
int cli_query_platform(struct cli *cli, const char *target, const char *key, const char *platform,
                       char **ret, struct err *err) MUST;
char *cli_query_filters(struct cli *cli, const char *target, const struct strv *filters,
                        struct err *err);

/**
 * each() - do the same to every argument: print it when that went well, the error when not
 * Return: 0, or 1 when one failed.
 */
int each(struct cli *cli, const struct strv *args,
         int (*fn)(struct cli *cli, const char *name, void *arg, struct err *err), void *arg);

/** confirm() - "... [y/N]" on stdin; true for y or yes. */
bool confirm(const char *question);
