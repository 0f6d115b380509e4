/* Connections of a session: agents, and directories of the client. */
#include <string.h>

#include "base/auto.h"
#include "base/mem.h"
#include "build/layout_line.h"
#include "engine/build_session-priv.h"
#include "engine/build_ssh.h"

static int check_id(const char *what, const char *id, struct err *err)
{
    return str_empty(id) || strlen(id) > SESSION_NAME_MAX
               ? err_invalid(err, "the id of %s has 1 to %d bytes", what, SESSION_NAME_MAX)
               : 0;
}

static int check_agent(const struct build_session *s, const char *id, struct err *err)
{
    int r = check_id("an agent", id, err);

    if (r >= 0 && s->nagents == SESSION_AGENTS_MAX)
        return err_invalid(err, "more than %d agents", SESSION_AGENTS_MAX);
    for (size_t i = 0; r >= 0 && i < s->nagents; i++)
        if (strcmp(s->agents[i].id, id) == 0)
            return err_invalid(err, "agent %s is given twice", id);
    return r;
}

static int check_layout(const struct build_session *s, const char *id, struct err *err)
{
    int r = check_id("a directory", id, err);

    if (r >= 0 && s->nlayouts == SESSION_LAYOUTS_MAX)
        return err_invalid(err, "more than %d directories", SESSION_LAYOUTS_MAX);
    for (size_t i = 0; r >= 0 && i < s->nlayouts; i++)
        if (strcmp(s->layouts[i].id, id) == 0)
            return err_invalid(err, "directory %s is given twice", id);
    return r;
}

typedef int (*check_fn)(const struct build_session *s, const char *id, struct err *err);

int engine_build_agent_let_in(struct engine *e, const char *session, const char *id,
                              struct err *err)
{
    return build_session_let_in(e, session, check_agent, id, err);
}

int engine_build_layout_let_in(struct engine *e, const char *session, const char *id,
                               struct err *err)
{
    return build_session_let_in(e, session, check_layout, id, err);
}

static int add_agent(struct engine *e, struct build_session *s, const char *id, int *conn,
                     struct err *err)
{
    int r = build_agent_new(e->build_run_path, take_fd(conn), &s->agents[s->nagents].agent, err);

    if (r >= 0)
        s->agents[s->nagents++].id = xstrdup(id);
    return r;
}

static int add_layout(struct engine *e, struct build_session *s, const char *id, int *conn,
                      struct err *err)
{
    (void)e, (void)err;
    s->layouts[s->nlayouts++] = (struct build_layout){xstrdup(id), layout_line_new(take_fd(conn))};
    return 0;
}

/* @fd: given away; -1: what was let in does not come */
static int add_connection(struct engine *e, const char *session, const char *id, int fd,
                          check_fn check,
                          int (*add)(struct engine *e, struct build_session *s, const char *id,
                                     int *conn, struct err *err),
                          struct err *err)
{
    auto_close int conn = fd;
    struct build_session *s = NULL;

    if (fd < 0) {
        build_session_missed(e, session);
        return 0;
    }
    int r = build_session_add_begin(e, session, &s, err);
    if (r < 0)
        return r;
    r = check(s, id, err);
    if (r >= 0)
        r = add(e, s, id, &conn, err);
    build_session_add_end(s);
    return r;
}

int engine_build_agent(struct engine *e, const char *session, const char *id, int fd,
                       struct err *err)
{
    return add_connection(e, session, id, fd, check_agent, add_agent, err);
}

int engine_build_layout(struct engine *e, const char *session, const char *id, int fd,
                        struct err *err)
{
    return add_connection(e, session, id, fd, check_layout, add_layout, err);
}
