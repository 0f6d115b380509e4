/* What plan.c and plan_shared.c share. */
#pragma once

#include "build/solve-priv.h"

/** plan_shared() - the stage of an earlier target that does the very same as @st, or NULL. Those
 * before it in @st's target are settled. */
struct stage *plan_shared(struct build *b, const struct stage *st);
