/*
 * Credential helpers: programs "docker-credential-NAME" that keep secrets outside of config.json
 * ("credsStore" for all registries, "credHelpers" for single ones).
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"

struct auth_config;
struct cli;

/** creds_helper() - the helper that is in charge of a registry, or NULL. */
const char *creds_helper(const struct cli *cli, const char *registry);
/** creds_get() - ask it. Return: 0 with texts in @a; 1: it has none; -errno. */
int creds_get(const char *helper, const char *registry, struct arena *a, struct auth_config *ret,
              struct err *err) MUST;
/** creds_store() - let it keep them; @auth NULL: forget them. */
int creds_store(const char *helper, const char *registry, const struct auth_config *auth,
                struct err *err) MUST;
