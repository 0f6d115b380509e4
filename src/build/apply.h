/*
 * What instructions do to the config of an image: those that touch no file (CMD, ENTRYPOINT, ENV,
 * LABEL, EXPOSE, VOLUME, USER, WORKDIR, STOPSIGNAL, SHELL, HEALTHCHECK, ONBUILD). One home for
 * builds and for the --change of import and commit.
 */
#pragma once

#include "build/expand.h"
#include "build/instruction.h"

/**
 * config_apply() - @config's members are replaced by what lives in @a
 * @x: variables, as they are before the instruction
 * CMD of an earlier ENTRYPOINT's image: an ENTRYPOINT drops a CMD that came from the base image
 *   (@cmd_set: CMD was given in this stage; updated).
 * Return: 0; 1: @ins is none of these; -EINVAL with Docker's words.
 */
int config_apply(const struct ins *ins, const struct expander *x, struct arena *a,
                 struct oci_image_config *config, bool *cmd_set, struct err *err) MUST;

/** command_argv() - what is executed: the argv, or the shell (of @config, else /bin/sh -c). */
struct strv command_argv(const struct ins_command *c, const struct oci_image_config *config,
                         struct arena *a);

/** changes_apply() - the lines of --change, upon a config. Return: 0; -EINVAL with Docker's words.
 */
int changes_apply(struct arena *a, const struct strv *changes, struct oci_image_config *config,
                  struct err *err) MUST;
