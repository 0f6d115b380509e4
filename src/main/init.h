#pragma once

/** init_main() - the first process of a container with --init: starts the command, passes signals
 * on to it, reaps what is left to it. Return: exit status of the command. */
int init_main(int argc, char **argv);
