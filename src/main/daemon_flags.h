/* The command line of cleatd: dockerd's flags, each a key of daemon.json by another name. */
#pragma once

#include "engine/config.h"

struct daemon_args {
    char *config_file;
    bool config_given, help, version, validate;
};

/**
 * daemon_flags_parse() - flags and daemon.json into one configuration
 * A setting that both give is refused, as dockerd does, since nobody could say which one holds.
 */
int daemon_flags_parse(int argc, char **argv, struct arena *a, struct daemon_args *args,
                       struct engine_config *ret, struct err *err) MUST;
/** daemon_flags_help() - the text of --help, to stdout. */
void daemon_flags_help(void);
