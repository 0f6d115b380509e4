/* Events of a build in the shape of BuildKit's status (wire/build.h). */
#pragma once

#include "build/build.h"
#include "wire/build.h"

/** build_status_of() - @ret: zeroed; all in @a, but for an excerpt of no step. @now_ns: when it
 * happened. */
void build_status_of(const struct build_event *e, int64_t now_ns, struct arena *a,
                     struct build_status *ret);
