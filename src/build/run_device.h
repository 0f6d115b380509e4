/* Devices of the host that a RUN asks for. */
#pragma once

#include "build/solve-priv.h"

/** run_devices_plan() - paths below /dev, in the stage's memory. Return: 0; -EPERM (denied): not
 * allowed; -ENOSYS: by CDI. */
int run_devices_plan(struct stage *st, const struct planned *p, struct strv *ret,
                     struct err *err) MUST;
