/* cleat-oci: the container runtime as an OCI command line. */
#include "oci/cli.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
