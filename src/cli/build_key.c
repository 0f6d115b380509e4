/*
 * An agent for keys in files. What reads keys and signs with them is OpenSSH's own: ssh-agent runs
 * a shell that adds the keys, says so, and waits until we close its input. So it also ends when we
 * are killed: ssh-agent goes when its child has gone.
 */
#include "cli/build_key.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/mem.h"
#include "cli/cli.h"

#define READY "ready" /* as the script says it */

static const char script[] = "ssh-add -q -- \"$@\" && echo ready && exec cat >/dev/null";

struct key_agent {
    pid_t pid; /* of ssh-agent's child, which it has become; 0: none */
    int hold;  /* it ends when this is closed */
    char *dir, *path;
};

static int spawn(struct cli *cli, struct key_agent *a, const struct strv *files, int in, int out,
                 struct err *err)
{
    struct arena *mem = &cli->arena;
    const char *const first[] = {"ssh-agent", "-a", a->path, "sh", "-c", script, "sh"};
    posix_spawn_file_actions_t fa;
    struct strv argv = {0};

    for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
        strv_push(mem, &argv, first[i]);
    for (size_t i = 0; i < files->n; i++)
        strv_push(mem, &argv, files->v[i]);
    (void)posix_spawn_file_actions_init(&fa);
    (void)posix_spawn_file_actions_adddup2(&fa, in, 0);
    (void)posix_spawn_file_actions_adddup2(&fa, out, 1);
    int no = posix_spawnp(&a->pid, "ssh-agent", &fa, NULL, strv_z(mem, &argv), environ);
    (void)posix_spawn_file_actions_destroy(&fa);
    if (!no)
        return 0;
    a->pid = 0;
    return err_as(err, ERR_INVALID, no, "run ssh-agent, which holds keys of files: %s",
                  strerror(no));
}

/* What ssh-add has to say of a key goes to our standard error. */
static int wait_ready(int from, struct err *err)
{
    auto_buf struct buf said = BUF_INIT;
    char c;

    while (said.len < 64 && read_full(from, &c, 1) >= 0 && c != '\n')
        buf_putc(&said, c);
    return str_eq(buf_str(&said), READY) ? 0 : err_invalid(err, "ssh-add took no key of it");
}

static int start(struct cli *cli, struct key_agent *a, const struct strv *files, struct err *err)
{
    int to[2], from[2];

    if (pipe2(to, O_CLOEXEC) < 0)
        return err_sys(err, "make a pipe");
    auto_close int in = to[0];
    a->hold = to[1];
    if (pipe2(from, O_CLOEXEC) < 0)
        return err_sys(err, "make a pipe");
    auto_close int out_r = from[0], out_w = from[1];
    int r = spawn(cli, a, files, in, out_w, err);
    close_fd(&out_w);
    return r < 0 ? r : wait_ready(out_r, err);
}

int key_agent_new(struct cli *cli, const struct strv *files, struct key_agent **ret,
                  struct err *err)
{
    const char *base = str_or(getenv("XDG_RUNTIME_DIR"), "/tmp");
    struct key_agent *a = xnew(struct key_agent);

    *a = (struct key_agent){.hold = -1, .dir = xasprintf("%s/cleat-ssh-XXXXXX", base)};
    int r = mkdtemp(a->dir) ? 0 : err_sys(err, "make a directory in %s", base);
    if (r < 0)
        a->dir[0] = '\0';
    a->path = xasprintf("%s/agent", a->dir);
    if (r >= 0)
        r = start(cli, a, files, err);
    if (r < 0) {
        key_agent_free(a);
        return r;
    }
    *ret = a;
    return 0;
}

const char *key_agent_path(const struct key_agent *a)
{
    return a->path;
}

void key_agent_free(struct key_agent *a)
{
    int status;

    if (!a)
        return;
    close_fd(&a->hold);
    while (a->pid && waitpid(a->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (*a->dir)
        (void)!remove_tree_at(AT_FDCWD, a->dir, NULL);
    free(a->path);
    free(a->dir);
    free(a);
}
