/*
 * The history of builds. While a build runs, its events are taken down in memory; in the end they
 * become a record of the catalog and a file with what its steps said. Both have limits: so many
 * records, of so many days, with so much of the output each. Values of secrets are struck out of
 * everything that is kept.
 */
#pragma once

#include "engine/build-priv.h"
#include "wire/build_record.h"

#define HISTORY_RECORDS_MAX 100
#define HISTORY_DAYS 30
#define HISTORY_LOG_MAX (2u << 20) /* bytes of output of one build */
#define HISTORY_EVENTS_MAX 20000

struct build_recorder;

/** history_open() - at start: builds of a daemon that was killed have ended. */
int history_open(struct engine *e, struct err *err) MUST;
/** history_begin() - write down that a build begins, and follow it: replaces tell and ctx of
 * @o->rq by those of the recorder, which calls them. */
int history_begin(struct engine *e, struct build_opts *o, struct build_recorder **ret,
                  struct err *err) MUST;
/**
 * history_end() - write down what came of it; frees @rec, NULL is fine
 * @r, @why: of the build; @secrets: struck out
 */
void history_end(struct build_recorder *rec, int r, const struct err *why,
                 const struct build_result *res, const struct build_request *secrets);

/** history_log_path() - below the data root. */
char *history_log_path(const char *id, struct arena *a);
/** history_put() - @rec as a row. */
int history_put(struct engine *e, const struct build_record *rec, int64_t created_ns,
                struct err *err) MUST;
/** history_trim() - remove what is too old or too much. */
void history_trim(struct engine *e);
