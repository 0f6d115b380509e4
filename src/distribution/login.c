#include "distribution/login.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "distribution/session.h"

char *dist_login_host(const char *address, struct arena *a)
{
    const char *host = str_or(address, DIST_HUB);

    if (strncasecmp(host, "https://", 8) == 0)
        host += 8;
    else if (strncasecmp(host, "http://", 7) == 0)
        host += 7;
    char *out = arena_strndup(a, host, strcspn(host, "/"));
    bool hub = strcasecmp(out, DIST_HUB_INDEX) == 0 || strcasecmp(out, DIST_HUB_HOST) == 0;
    return hub ? arena_strdup(a, DIST_HUB) : out;
}

int dist_login(struct dist_session *s, struct arena *a, char **ret_token, struct err *err)
{
    auto_dist_reply struct dist_reply *reply = NULL;
    struct dist_call call = {.method = "GET", .path = "", .also = {401}};
    int r = dist_send(s, &call, &reply, err);

    if (r == -EACCES && err)
        err->kind = ERR_UNAUTHORIZED;
    if (r < 0)
        return r;
    if (dist_reply_status(reply) == 401)
        return err_as(err, ERR_UNAUTHORIZED, EKEYREJECTED,
                      "login attempt to %s failed with status: 401 Unauthorized",
                      dist_session_url(s, a));
    *ret_token = dist_session_refresh_token(s, a);
    return 0;
}
