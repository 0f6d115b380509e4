/*
 * --ssh: steps may ask the agent of whoever builds. The daemon passes their requests on over a
 * connection of its own; only those go to the agent that list keys or sign with one. A step cannot
 * add, remove or lock anything, nor use extensions.
 *
 * Source: draft-miller-ssh-agent; what is refused is what BuildKit refuses.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/auto.h"
#include "base/mem.h"
#include "cli/build.h"
#include "cli/build_key.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "http/stream.h"
#include "wire/agent.h"

#define REQUEST_IDENTITIES 11
#define SIGN_REQUEST 13

struct build_agent {
    struct build_agent *next;
    struct http_raw raw;
    struct sockaddr_un agent;
    struct key_agent *keys; /* when it is one of our own */
    pthread_t thread;
};

/* ---- messages ---- */

static int read_raw(void *raw, void *p, size_t n)
{
    return http_raw_read_full(raw, p, n);
}

/* A connection of its own for every request: nothing of one step clings to another's. */
static int ask(const struct sockaddr_un *agent, const struct buf *request, struct buf *out)
{
    auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)agent, sizeof(*agent)) < 0)
        return -errno;
    if (send(fd, request->data, request->len, MSG_NOSIGNAL) != (ssize_t)request->len)
        return -EPIPE;
    return agent_message_read(agent_read_fd, &fd, out);
}

static void answer(const struct sockaddr_un *agent, const struct buf *request, struct buf *out)
{
    static const char failure[] = {0, 0, 0, 1, 5};
    char type = request->data[sizeof(uint32_t)];

    if ((type == REQUEST_IDENTITIES || type == SIGN_REQUEST) && ask(agent, request, out) >= 0)
        return;
    buf_clear(out);
    buf_put(out, failure, sizeof(failure));
}

/* Until the daemon, or build_agents_close(), hangs up. */
static void *agent_main(void *arg)
{
    struct build_agent *a = arg;

    for (;;) {
        auto_buf struct buf request = BUF_INIT, out = BUF_INIT;
        if (agent_message_read(read_raw, &a->raw, &request) < 0)
            return NULL;
        answer(&a->agent, &request, &out);
        if (stream_write(a->raw.s, out.data, out.len) < 0)
            return NULL;
    }
}

/* ---- "id=socket", "id=key,key" ---- */

static int set_path(struct build_agent *a, const char *spec, const char *path, struct err *err)
{
    a->agent = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(a->agent.sun_path))
        return err_invalid(err, "--ssh %s: the path is too long for a socket", spec);
    memcpy(a->agent.sun_path, path, strlen(path) + 1);
    return 0;
}

/* Return: 1 it is a socket; 0 a file. */
static int is_socket(struct cli *cli, const char *spec, const char *path, struct err *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return err_as(err, ERR_INVALID, errno, "--ssh %s: %s: %s", spec, path,
                      errno_text(&cli->arena, errno));
    if (!S_ISSOCK(st.st_mode) && !S_ISREG(st.st_mode))
        return err_invalid(err, "--ssh %s: %s is neither a socket nor a key", spec, path);
    return S_ISSOCK(st.st_mode);
}

static int use_keys(struct cli *cli, const char *spec, const struct strv *files,
                    struct build_agent *a, struct err *err)
{
    for (size_t i = 0; i < files->n; i++) {
        int r = is_socket(cli, spec, files->v[i], err);
        if (r < 0)
            return r;
        if (r > 0)
            return err_invalid(err, "--ssh %s: only one socket can be given, and no key with it",
                               spec);
    }
    int r = key_agent_new(cli, files, &a->keys, err);
    return r < 0 ? err_wrap(err, r, "--ssh %s", spec)
                 : set_path(a, spec, key_agent_path(a->keys), err);
}

static int find_agent(struct cli *cli, const char *spec, char **ret_id, struct build_agent *a,
                      struct err *err)
{
    const char *eq = strchr(spec, '='), *path = eq ? eq + 1 : getenv("SSH_AUTH_SOCK");

    *ret_id = arena_strndup(&cli->arena, spec, eq ? (size_t)(eq - spec) : strlen(spec));
    if (str_empty(path))
        return err_invalid(err, "--ssh %s: there is no agent: SSH_AUTH_SOCK is not set", spec);
    struct strv files = str_split(&cli->arena, path, ',');
    int r = files.n == 1 ? is_socket(cli, spec, path, err) : 0;
    if (r != 0)
        return r < 0 ? r : set_path(a, spec, path, err);
    return use_keys(cli, spec, &files, a, err);
}

static void agent_free(struct build_agent *a)
{
    key_agent_free(a->keys);
    free(a);
}

static int open_one(struct cli *cli, const char *spec, const char *session,
                    struct build_agent **all, struct err *err)
{
    struct build_agent *a = xnew(struct build_agent);
    char *id = NULL;
    int r = find_agent(cli, spec, &id, a, err);

    if (r >= 0) {
        char *t = cli_target(cli, "/build/session/%s/ssh", session, NULL);
        r = client_upgrade(cli->client, cli_query(cli, t, "id", id), NULL, NULL, &a->raw, err);
    }
    if (r < 0) {
        agent_free(a);
        return r;
    }
    int no = pthread_create(&a->thread, NULL, agent_main, a);
    if (no) {
        http_raw_done(&a->raw);
        agent_free(a);
        return err_no(err, no, "start a thread");
    }
    a->next = *all;
    *all = a;
    return 0;
}

int build_agents_open(struct cli *cli, const struct build_flags *f, const char *session,
                      struct build_agent **ret, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < f->ssh.n; i++)
        r = open_one(cli, f->ssh.v[i], session, ret, err);
    return r;
}

void build_agents_close(struct build_agent **all)
{
    while (*all) {
        struct build_agent *a = *all;
        *all = a->next;
        (void)shutdown(a->raw.s->fd, SHUT_RDWR);
        (void)pthread_join(a->thread, NULL);
        http_raw_done(&a->raw);
        agent_free(a);
    }
}
