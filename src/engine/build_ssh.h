/* Agents (ssh-agent) that a client forwards to the steps of its build. */
#pragma once

#include "base/err.h"

struct build_agent;

/**
 * build_agent_new() - a socket for steps, answered over a connection to the client
 * @run_path: directory that lives in memory; @fd: the connection, given away also on failure
 */
int build_agent_new(const char *run_path, int fd, struct build_agent **ret, struct err *err) MUST;
/** build_agent_path() - of the socket, absolute. */
const char *build_agent_path(const struct build_agent *a);
/** build_agent_free() - hang up to all; NULL is fine. Waits for the agent's thread. */
void build_agent_free(struct build_agent *a);
