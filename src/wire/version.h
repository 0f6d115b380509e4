/*
 * API versions. "1.43" is the integer API(1, 43), so that versions compare with < and >=. The
 * engine speaks API_MIN to API_MAX; a request without a version in its path gets API_MAX.
 */
#pragma once

#include "base/err.h"

#include <stddef.h>

#define API(major, minor) ((major)*1000 + (minor))
#define API_MIN API(1, 24)
#define API_MAX API(1, 51)
#define API_MIN_TEXT "1.24"
#define API_MAX_TEXT "1.51"

/* The engine's own version: Version, ServerVersion and the Server header. */
#ifndef CLEAT_VERSION
#define CLEAT_VERSION "unknown"
#endif
#define ENGINE_VERSION CLEAT_VERSION

/**
 * api_version_parse() - "1.43" to API(1, 43)
 * @s: @n bytes, need not be NUL-terminated; digits, one dot, digits, each below 1000
 * Return: the version, or -EINVAL.
 */
int api_version_parse(const char *s, size_t n) MUST;

/**
 * api_version_check() - may a client that asks for @s be served?
 * Return: the version, or -EINVAL with Docker's text ("client version 1.99 is too new. ...").
 */
int api_version_check(const char *s, size_t n, struct err *err) MUST;
