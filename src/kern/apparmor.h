/*
 * AppArmor: whether the kernel has it, which profiles are loaded, and loading one through the
 * host's apparmor_parser. What a process is to be confined by is written by itself just before its
 * execve() (oci/identity.c).
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>

#define APPARMOR_UNCONFINED "unconfined" /* the name that asks for no profile */

/** apparmor_enabled() - does the kernel confine by AppArmor, and is its file system in sight? */
bool apparmor_enabled(void);

/**
 * apparmor_loaded() - is there a profile of this name, in whatever mode?
 * Return: 1, 0; -errno when the kernel does not tell (it tells root alone).
 */
int apparmor_loaded(const char *name, struct err *err) MUST;

/** apparmor_can_load() - is there an apparmor_parser? */
bool apparmor_can_load(void);

/**
 * apparmor_load() - compile profiles and load them, replacing those of the same names
 * Blocks for some ten ms, five seconds at most; starts the host's apparmor_parser.
 * @text: in AppArmor's language
 * @name: a profile in @text, which must be there afterwards
 * Return: 0; -ENOENT without apparmor_parser; -EINVAL with what it said.
 */
int apparmor_load(const char *text, const char *name, struct err *err) MUST;
