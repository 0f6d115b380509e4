/* Keys in files for --ssh: an agent of our own has them while the build runs. */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct cli;
struct key_agent;

/**
 * key_agent_new() - start the host's ssh-agent in a directory that only we can read, with these
 * keys; ssh-add asks on the terminal for the passphrase of one that has it
 */
int key_agent_new(struct cli *cli, const struct strv *files, struct key_agent **ret,
                  struct err *err) MUST;
/** key_agent_path() - of its socket. */
const char *key_agent_path(const struct key_agent *a);
/** key_agent_free() - it ends, and its directory goes; NULL is fine. */
void key_agent_free(struct key_agent *a);
