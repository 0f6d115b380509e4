/* Absolute URLs of http and https, and references relative to them (RFC 3986, what HTTP needs). */
#pragma once

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define URL_MAX 16384 /* bytes of a URL from outside */

struct url {
    bool https;
    char host[256]; /* name or address, without brackets, lower case */
    uint16_t port;
    const char *target; /* path and query, ready to send; begins with "/" */
    const char *user;   /* "name" or "name:password", decoded, or NULL */
};

/**
 * url_parse() - "https://user:pw@host:5000/path?query"; a fragment is dropped
 * Return: 0; -EINVAL: no such URL; control characters and blanks are refused.
 */
int url_parse(const char *text, struct arena *a, struct url *ret, struct err *err) MUST;
/** url_resolve() - a Location as seen from @base: absolute, "//host/x", "/x", "x" or "?q". */
int url_resolve(const struct url *base, const char *location, struct arena *a, struct url *ret,
                struct err *err) MUST;
/** url_same_origin() - the same scheme, host and port: what credentials belong to. */
bool url_same_origin(const struct url *a, const struct url *b);
/** url_host() - "host", or "host:port" unless it is the scheme's own; IPv6 in brackets. */
char *url_host(const struct url *u, struct arena *a);
/** url_text() - the whole URL without user and password. */
char *url_text(const struct url *u, struct arena *a);
