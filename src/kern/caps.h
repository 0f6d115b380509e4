/*
 * Capabilities by capset(2) and prctl(2). A set is a 64-bit mask; names are looked up in a table
 * that ends with the newest capability we know, and numbers above the kernel's last one are
 * dropped with a note to the caller, as Docker does.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

struct caps {
    uint64_t bounding, effective, inheritable, permitted, ambient;
};

/** caps_parse() - "CAP_CHOWN", "chown". Return: number or -EINVAL. */
int caps_parse(const char *name) MUST;
/** caps_name() - "CAP_CHOWN", or NULL. */
const char *caps_name(int cap);
/** caps_last() - highest capability of the running kernel (by prctl, no /proc needed). */
int caps_last(void);
/**
 * caps_mask() - list of names to a mask
 * Return: 0; 1 when names unknown to us or the kernel were skipped.
 */
int caps_mask(const struct strv *list, uint64_t *ret, struct err *err) MUST;

/** caps_bound() - drop everything outside @mask from the bounding set. */
int caps_bound(uint64_t mask, struct err *err) MUST;
/** caps_raise() - make everything permitted effective (a change of user has cleared it). */
int caps_raise(struct err *err) MUST;
/** caps_hold_back() - this thread does without @cap (CAP_SYS_RESOURCE ...) until caps_raise(). */
int caps_hold_back(int cap, struct err *err) MUST;
/** caps_apply() - permitted, effective, inheritable, then ambient. */
int caps_apply(const struct caps *c, struct err *err) MUST;
