/*
 * --build-context: what FROM, COPY --from and mounts find under a name. Images and repositories the
 * daemon gets by itself; directories go ahead of the build into its session, each like the build's
 * own context: listed first, and with its own .dockerignore.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/map.h"
#include "cli/build.h"
#include "cli/cli.h"
#include "cli/cmds.h"

#define LAYOUT "oci-layout://"

static int check_place(struct cli *cli, const char *place, struct err *err)
{
    if (str_starts(place, LAYOUT) || access(place, F_OK) == 0)
        return 0;
    return err_as(err, ERR_INVALID, errno, "failed to get build context: could not find %s: %s",
                  place, errno_text(&cli->arena, errno));
}

int build_named_options(struct cli *cli, struct build_flags *f, struct err *err)
{
    struct arena *a = &cli->arena;
    struct strv out = {0};

    for (size_t i = 0; i < f->build_context.n; i++) {
        const char *text = f->build_context.v[i], *eq = strchr(text, '=');
        if (!eq || eq == text || !eq[1])
            return err_invalid(err, "invalid context value: %s, expected key=value", text);
        if (str_starts(eq + 1, "docker-image://") || build_is_remote(eq + 1)) {
            strv_push(a, &out, text);
            continue;
        }
        int r = check_place(cli, eq + 1, err);
        if (r < 0)
            return r;
        const char *name = arena_strndup(a, text, (size_t)(eq - text));
        strmap_set(a, &f->named, name, eq + 1);
        strv_push(a, &out, arena_printf(a, "%s=" BUILD_CONTEXT_SENT, name));
    }
    f->build_context = out;
    return 0;
}

/* ---- sending ---- */

/* Only what the daemon lacks, when there is much; else all of it. */
static int send_dir(struct build_context *c, bool whole, char **session, struct err *err)
{
    struct cli *cli = c->cli;
    struct http_call call = {.method = "POST", .once = true};
    struct http_reply *reply = NULL;
    int r = whole ? 0 : build_sync(c, *session, session, err);

    if (r < 0)
        return r;
    char *t = cli_target(cli, "/build/session/%s/context", *session, NULL);
    call.target = cli_query(cli, t, "name", c->name);
    r = build_context_send(c, &call, &reply, err);
    if (r >= 0)
        http_reply_free(reply);
    return r;
}

static int send_one(struct cli *cli, const struct build_flags *f, const struct strpair *p,
                    bool whole, char **session, struct err *err)
{
    const char *layout = str_starts(p->val, LAYOUT);
    struct build_context c;

    if (layout) {
        char *t = cli_target(cli, "/build/session/%s/image", *session, NULL);
        t = cli_query(cli, t, "platform", f->platform.n ? f->platform.v[0] : NULL);
        return build_oci_send(cli, layout, cli_query(cli, t, "name", p->key), err);
    }
    int r = build_context_open_named(cli, p->key, p->val, &c, err);
    if (r >= 0)
        r = send_dir(&c, whole, session, err);
    build_context_done(&c);
    return r;
}

int build_named_send(struct cli *cli, const struct build_flags *f, bool whole, char **session,
                     struct err *err)
{
    int r = f->named.n && !*session ? build_session_new(cli, session, err) : 0;

    for (size_t i = 0; r >= 0 && i < f->named.n; i++) {
        r = send_one(cli, f, &f->named.v[i], whole, session, err);
        if (r < 0)
            return err_wrap(err, r, "context %s", f->named.v[i].key);
    }
    return r < 0 ? r : 0;
}
