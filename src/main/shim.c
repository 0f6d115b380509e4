/*
 * cleat-shim: one per running container, started by the daemon alone (shim/run.h). The same file,
 * bound into a container as its init, is cleat-init: one small static program less to install.
 */
#include "shim/run.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "init.h"
#include "shim/protocol.h"

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];

    if (strcmp(name, "docker-init") == 0 || strcmp(name, "cleat-init") == 0)
        return init_main(argc, argv);
    if (argc != 2 || fcntl(SHIM_FD_PLAN, F_GETFD) < 0) {
        (void)fputs("cleat-shim is started by cleatd, not by hand.\n", stderr);
        return 2;
    }
    return shim_run();
}
