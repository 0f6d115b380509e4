#include <stdio.h>

#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/commands.h"

/* cleat completion. */

static int run_completion(struct cli *cli, void *opts, const struct strv *args, struct err *err)
{
    struct buf out = BUF_INIT;

    (void)cli, (void)opts;
    int r = completion_write(args->v[0], &out, err);
    if (r == 0)
        (void)fwrite(buf_str(&out), 1, out.len, stdout);
    buf_done(&out);
    return r;
}

const struct command cmd_completion = {
    .paths = (const char *const[]){"completion", NULL},
    .usage = "bash|zsh|fish",
    .help = "Print a completion script for a shell",
    .args = {1, 1},
    .flags = CMD_HIDDEN,
    .run = run_completion,
};
