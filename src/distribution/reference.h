/*
 * Image names: "busybox", "host:5000/team/app:1.0", "name@sha256:...". Docker fills in what is not
 * written (docker.io/library/ ... :latest) and hides it again when it shows a name. Stored is only
 * the full form. No file, socket or catalog is known here.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define REF_NAME_MAX 255 /* domain and path */
#define REF_TAG_MAX 128
#define REF_DIGEST_MAX 255
#define REF_TEXT_MAX (REF_NAME_MAX + 1 + REF_TAG_MAX + 1 + REF_DIGEST_MAX)

struct reference {
    char name[REF_NAME_MAX + 1];     /* full: "docker.io/library/busybox" */
    size_t domain_len;               /* bytes of name before the first "/" of the path */
    char tag[REF_TAG_MAX + 1];       /* "" when not given */
    char digest[REF_DIGEST_MAX + 1]; /* "sha256:...", or "" */
};

/**
 * reference_parse() - read a name as a user writes it and fill in the domain; no default tag
 * Return: 0; -EINVAL with Docker's words ("invalid reference format", "invalid reference format:
 *   repository name (library/FOO) must be lowercase", ...).
 * Source: distribution/reference, ParseNormalizedNamed and its grammar.
 */
int reference_parse(const char *text, struct reference *ret, struct err *err) MUST;
/** reference_default_tag() - ":latest" when there is neither tag nor digest. */
void reference_default_tag(struct reference *r);
/** reference_is_id() - 64 lower-case hex digits, with or without "sha256:": an image id, no name.
 */
bool reference_is_id(const char *text);

/** reference_text() - full form: name[:tag][@digest]. Returns @out. */
char *reference_text(const struct reference *r, char out[REF_TEXT_MAX + 1]);
/** reference_familiar() - as Docker shows it: "busybox:latest". Returns @out. */
char *reference_familiar(const struct reference *r, char out[REF_TEXT_MAX + 1]);
/** reference_familiar_name() - without tag and digest: "busybox", the REPOSITORY column. */
char *reference_familiar_name(const struct reference *r, char out[REF_TEXT_MAX + 1]);
