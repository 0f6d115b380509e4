/* The list of all commands; each is a struct command cmd_NAME in its own file. */
#pragma once

#include "cli/cmd.h"

#define COMMANDS(X)                                                                                \
    X(run)                                                                                         \
    X(create)                                                                                      \
    X(exec)                                                                                        \
    X(ps)                                                                                          \
    X(attach)                                                                                      \
    X(start)                                                                                       \
    X(stop)                                                                                        \
    X(restart)                                                                                     \
    X(kill)                                                                                        \
    X(pause)                                                                                       \
    X(unpause)                                                                                     \
    X(rm)                                                                                          \
    X(rename)                                                                                      \
    X(wait)                                                                                        \
    X(logs)                                                                                        \
    X(inspect)                                                                                     \
    X(container_inspect)                                                                           \
    X(image_inspect)                                                                               \
    X(network_inspect)                                                                             \
    X(volume_inspect)                                                                              \
    X(top)                                                                                         \
    X(port)                                                                                        \
    X(diff)                                                                                        \
    X(update)                                                                                      \
    X(images)                                                                                      \
    X(history)                                                                                     \
    X(rmi)                                                                                         \
    X(tag)                                                                                         \
    X(load)                                                                                        \
    X(save)                                                                                        \
    X(import)                                                                                      \
    X(export)                                                                                      \
    X(commit)                                                                                      \
    X(pull)                                                                                        \
    X(push)                                                                                        \
    X(stats)                                                                                       \
    X(df)                                                                                          \
    X(version)                                                                                     \
    X(info)                                                                                        \
    X(events)                                                                                      \
    X(network_ls)                                                                                  \
    X(network_create)                                                                              \
    X(network_rm)                                                                                  \
    X(network_connect)                                                                             \
    X(network_disconnect)                                                                          \
    X(volume_ls)                                                                                   \
    X(volume_create)                                                                               \
    X(volume_rm)                                                                                   \
    X(volume_clone)                                                                                \
    X(volume_snapshot)                                                                             \
    X(volume_export)                                                                               \
    X(volume_import)                                                                               \
    X(container_prune)                                                                             \
    X(image_prune)                                                                                 \
    X(network_prune)                                                                               \
    X(volume_prune)                                                                                \
    X(builder_prune)                                                                               \
    X(system_prune)                                                                                \
    X(context_ls)                                                                                  \
    X(context_show)                                                                                \
    X(context_inspect)                                                                             \
    X(login)                                                                                       \
    X(logout)                                                                                      \
    X(search)                                                                                      \
    X(manifest_annotate)                                                                           \
    X(manifest_create)                                                                             \
    X(manifest_inspect)                                                                            \
    X(manifest_push)                                                                               \
    X(manifest_referrers)                                                                          \
    X(manifest_rm)                                                                                 \
    X(cp)                                                                                          \
    X(build)                                                                                       \
    X(history_ls)                                                                                  \
    X(history_inspect)                                                                             \
    X(history_logs)                                                                                \
    X(history_rm)                                                                                  \
    X(completion)

#define DECLARE(name) extern const struct command cmd_##name;
COMMANDS(DECLARE)
#undef DECLARE
