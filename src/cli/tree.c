#include <string.h>

#include "cli/cmd.h"
#include "cli/commands.h"

/* All commands and groups. A new command is a line in commands.h and one here. */

#define ADDRESS(name) &cmd_##name,

const struct command *const all_commands[] = {COMMANDS(ADDRESS) NULL};

const struct group all_groups[] = {
    {"builder", "Manage builds"},
    {"buildx", "The same as builder, by the name that docker has for it"},
    {"container", "Manage containers"},
    {"context", "Manage contexts"},
    {"image", "Manage images"},
    {"manifest", "Manage lists of manifests, for images of several platforms"},
    {"network", "Manage networks"},
    {"system", "Manage the engine"},
    {"volume", "Manage volumes"},
    {NULL, NULL},
};

const struct command *command_find(const char *path)
{
    for (size_t i = 0; all_commands[i]; i++)
        for (size_t k = 0; all_commands[i]->paths[k]; k++)
            if (strcmp(all_commands[i]->paths[k], path) == 0)
                return all_commands[i];
    return NULL;
}

const struct group *group_find(const char *name)
{
    for (const struct group *g = all_groups; g->name; g++)
        if (strcmp(g->name, name) == 0)
            return g;
    return NULL;
}
