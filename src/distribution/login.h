/* Are these credentials good? What "docker login" asks before it keeps them. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

struct dist_session;

/**
 * dist_login() - show the session's credentials to its registry
 * @ret_token: a token to keep in place of the password, in @a, or NULL when there is none
 * Return: 0; -EKEYREJECTED (unauthorized) with Docker's words.
 */
int dist_login(struct dist_session *s, struct arena *a, char **ret_token, struct err *err) MUST;
/** dist_login_host() - the registry of a login's server address, in @a:
 * "https://index.docker.io/v1/" is "docker.io", "http://reg:5000/" is "reg:5000". */
char *dist_login_host(const char *address, struct arena *a);
