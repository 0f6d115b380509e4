/*
 * What instructions do to the config of an image: those that touch no file (CMD, ENTRYPOINT, ENV,
 * LABEL, EXPOSE, VOLUME, USER, WORKDIR, STOPSIGNAL, SHELL, HEALTHCHECK, ONBUILD). One home for
 * builds and for the --change of import and commit.
 */
#pragma once

#include "build/expand.h"
#include "build/instruction.h"

/**
 * config_apply() - one instruction
 * @x: variables, as they are before the instruction
 * @config: what is added to it lives in @a. Its lists are changed in place, so it must not share
 *   them with another; they come from the JSON decoder, arena_push() or a clone.
 * @cmd_set: CMD was given in this stage; updated. An ENTRYPOINT drops a CMD that was not.
 * Return: 0; 1: @ins is none of these; -EINVAL, -E2BIG with Docker's words.
 */
int config_apply(const struct ins *ins, const struct expander *x, struct arena *a,
                 struct oci_image_config *config, bool *cmd_set, struct err *err) MUST;

/** command_argv() - what is executed, in @a: the argv, or the text behind the shell of @config,
 * else behind /bin/sh -c. An empty argv has v != NULL. */
struct strv command_argv(const struct ins_command *c, const struct oci_image_config *config,
                         struct arena *a);

/**
 * changes_apply() - the --change of import and commit, upon a config
 * @changes: lines of a Dockerfile; one may have several
 * Return: 0; -EINVAL, -E2BIG with Docker's words: "RUN is not a valid change command".
 * Source: moby, CommitConfig: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD,
 * STOPSIGNAL, USER, VOLUME, WORKDIR.
 */
int changes_apply(struct arena *a, const struct strv *changes, struct oci_image_config *config,
                  struct err *err) MUST;
