#include "cli/creds.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/json.h"
#include "cli/cli.h"
#include "wire/system.h"

#define ANSWER_MAX 65536
#define TOKEN_USER "<token>" /* the secret is an identity token */

const char *creds_helper(const struct cli *cli, const char *registry)
{
    const char *own = json_str(json_get(cli->config.root, "credHelpers"), registry);
    const char *name = str_empty(own) ? config_str(cli, "credsStore") : own;

    /* It becomes a part of a program's name. */
    return str_empty(name) || strchr(name, '/') ? NULL : name;
}

/* Start the helper with @in and @out as its standard input and output; ours are not passed on. */
static int spawn(const char *helper, const char *verb, int in, int out, pid_t *ret, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    char *program = arena_printf(&a, "docker-credential-%s", helper);
    char *const argv[] = {program, arena_strdup(&a, verb), NULL};
    posix_spawn_file_actions_t fa;

    (void)posix_spawn_file_actions_init(&fa);
    (void)posix_spawn_file_actions_adddup2(&fa, in, 0);
    (void)posix_spawn_file_actions_adddup2(&fa, out, 1);
    int r = posix_spawnp(ret, program, &fa, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&fa);
    return r ? err_no(err, r, "error getting credentials: run %s", program) : 0;
}

/* Return: its exit status with what it printed in @out, -errno. */
static int run(const char *helper, const char *verb, const char *input, size_t n, struct buf *out,
               struct err *err)
{
    int to[2], from[2], status = 0;
    pid_t pid = -1;

    if (pipe2(to, O_CLOEXEC) < 0)
        return err_sys(err, "make a pipe");
    auto_close int in_r = to[0], in_w = to[1];
    if (pipe2(from, O_CLOEXEC) < 0)
        return err_sys(err, "make a pipe");
    auto_close int out_r = from[0], out_w = from[1];
    int r = spawn(helper, verb, in_r, out_w, &pid, err);
    if (r < 0)
        return r;
    close_fd(&in_r);
    close_fd(&out_w);
    /* The input fits into the pipe; a helper that does not want it may have ended already. */
    void (*old)(int) = signal(SIGPIPE, SIG_IGN);
    r = write_full(in_w, input, n);
    (void)signal(SIGPIPE, old);
    close_fd(&in_w);
    r = r < 0 && r != -EPIPE ? err_no(err, r, "write to the credential helper")
                             : read_fd(out_r, ANSWER_MAX, out, err);
    close_fd(&out_r);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return r < 0 ? r : WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int failed(const char *helper, const struct buf *said, struct err *err)
{
    return err_as(err, ERR_SYSTEM, EIO, "error of credential helper %s: %.*s", helper,
                  (int)strcspn(buf_str(said), "\n"), buf_str(said));
}

int creds_get(const char *helper, const char *registry, struct arena *a, struct auth_config *ret,
              struct err *err)
{
    auto_buf struct buf out = BUF_INIT;
    struct json *j = NULL;
    int r = run(helper, "get", registry, strlen(registry), &out, err);

    if (r < 0)
        return r;
    if (r > 0)
        return strstr(buf_str(&out), "credentials not found") ? 1 : failed(helper, &out, err);
    r = json_parse(out.data, out.len, a, &j, err);
    if (r < 0)
        return err_wrap(err, r, "answer of credential helper %s", helper);
    char *user = arena_strdup(a, str_or(json_str(j, "Username"), ""));
    char *secret = arena_strdup(a, str_or(json_str(j, "Secret"), ""));
    *ret = strcmp(user, TOKEN_USER) == 0
               ? (struct auth_config){.identity_token = secret}
               : (struct auth_config){.username = user, .password = secret};
    return 0;
}

int creds_store(const char *helper, const char *registry, const struct auth_config *auth,
                struct err *err)
{
    auto_buf struct buf in = BUF_INIT, out = BUF_INIT;
    struct json_w w = {.out = &in};
    bool token = auth && !str_empty(auth->identity_token);

    if (auth) {
        json_w_obj(&w);
        json_w_key(&w, "ServerURL");
        json_w_str(&w, registry);
        json_w_key(&w, "Username");
        json_w_str(&w, token ? TOKEN_USER : auth->username);
        json_w_key(&w, "Secret");
        json_w_str(&w, token ? auth->identity_token : auth->password);
        json_w_end_obj(&w);
    } else {
        buf_puts(&in, registry);
    }
    int r = run(helper, auth ? "store" : "erase", in.data, in.len, &out, err);
    if (r > 0 && (auth || !strstr(buf_str(&out), "credentials not found")))
        return failed(helper, &out, err);
    return r < 0 ? r : 0;
}
