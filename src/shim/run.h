/*
 * The shim's life: read the plan, make the container, serve it until it is over. What it needs
 * comes as descriptors (enum shim_fd); it looks up no path of its own.
 */
#pragma once

/** shim_run() - main() of cleat-shim, once the descriptors are in place. Return: exit status. */
int shim_run(void);
