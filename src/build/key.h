/* The identity of a step: a digest of everything that its result depends on, field by field. */
#pragma once

#include "base/hash.h"
#include "base/str.h"

#include <stdint.h>

struct key;

/** key_new() - @what: kind of step, "run". */
struct key *key_new(const char *what);
/** key_text(), key_list(), key_number() - a field; NULL differs from "". */
void key_text(struct key *k, const char *name, const char *val);
void key_list(struct key *k, const char *name, const struct strv *val);
void key_number(struct key *k, const char *name, int64_t val);
/** key_free() - of a step that is not carried out after all. */
void key_free(struct key *k);
/** key_end() - "sha256:<hex>"; frees @k. */
void key_end(struct key *k, char out[DIGEST_LEN + 1]);
