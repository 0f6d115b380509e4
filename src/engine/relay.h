#pragma once

#include "base/err.h"

/**
 * relay_start() - copy both ways between two sockets until both directions have ended
 * Both descriptors become the relay's, also on failure. Runs on a thread of its own: it is for the
 * few sessions whose socket cannot be handed over as it is.
 */
int relay_start(int a, int b, struct err *err) MUST;
