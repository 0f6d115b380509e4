/* The command line of cleat-oci, for its main program. */
#pragma once

/** cli_main() - the whole program. Return: exit code. */
int cli_main(int argc, char **argv);
