/*
 * Who we are to one registry: Basic, or Bearer with tokens from the server that the registry names.
 * A password is only ever sent to the registry itself and to that server, and to the latter only
 * over TLS unless the administrator allows otherwise. Thread-safe; a token is fetched by one
 * thread while those that need it, too, wait.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "distribution/challenge.h"
#include "distribution/transport.h"

struct auth;

/* What the user gave; members may be NULL. */
struct dist_credentials {
    const char *username, *password;
    const char *identity_token; /* an OAuth2 refresh token, instead of a password */
    const char *registry_token; /* a bearer token as it is to be sent */
};

/**
 * auth_new() - nothing is asked yet
 * @registry: where it is
 * @cred: copied; NULL: nobody
 */
struct auth *auth_new(struct transport *t, const struct url *registry,
                      const struct dist_credentials *cred);
void auth_free(struct auth *au); /* NULL is fine */

/**
 * auth_header() - value of Authorization for a call
 * @scopes: "repository:library/busybox:pull" ...; may be empty
 * @ret: in @a; NULL when the registry has asked for nothing yet. An expired token is replaced.
 */
int auth_header(struct auth *au, const struct strv *scopes, struct arena *a, char **ret,
                struct err *err) MUST;

/**
 * auth_answer() - the registry said 401
 * @used: what auth_header() gave for the call, or NULL
 * Return: 1: try again with a new auth_header(); 0: there is nothing (else) to offer; -EKEYREJECTED
 *   (unauthorized), -EACCES (denied): the token server refused; -errno.
 */
int auth_answer(struct auth *au, const struct challenges *c, const struct strv *scopes,
                const char *used, struct err *err) MUST;

/** auth_refresh_token() - the refresh token that a token server gave with the last token, in @a;
 * NULL: none. What login hands to the client as its identity token. */
char *auth_refresh_token(struct auth *au, struct arena *a);
