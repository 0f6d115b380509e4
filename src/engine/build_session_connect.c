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

int engine_build_line_begin(struct engine *e, const char *session, enum build_line kind,
                            const char *id, struct build_session **ret, struct err *err)
{
    return build_session_hold(e, session, kind == BUILD_LINE_AGENT ? check_agent : check_layout, id,
                              ret, err);
}

/* What a connection becomes. */
struct adding {
    const char *id;
    struct build_agent *agent;
    struct layout_line *line;
    struct err *err;
};

/* Looked at again: another may have come meanwhile. */
static int add(struct build_session *s, void *arg)
{
    struct adding *x = arg;
    int r = x->agent ? check_agent(s, x->id, x->err) : check_layout(s, x->id, x->err);

    if (r < 0)
        return r;
    if (x->agent) {
        s->agents[s->nagents].id = xstrdup(x->id);
        s->agents[s->nagents++].agent = take_ptr(&x->agent);
    } else {
        s->layouts[s->nlayouts++] = (struct build_layout){xstrdup(x->id), take_ptr(&x->line)};
    }
    return 0;
}

int engine_build_line_end(struct build_session *s, enum build_line kind, const char *id, int fd,
                          struct err *err)
{
    struct adding x = {.id = id, .err = err};
    int r = 0;

    if (fd < 0)
        return build_session_release(s, NULL, NULL);
    if (kind == BUILD_LINE_AGENT)
        r = build_agent_new(s->e->build_run_path, fd, &x.agent, err);
    else
        x.line = layout_line_new(fd);
    if (r < 0) {
        (void)build_session_release(s, NULL, NULL);
        return r;
    }
    r = build_session_release(s, add, &x);
    build_agent_free(x.agent);
    layout_line_free(x.line);
    return r;
}
