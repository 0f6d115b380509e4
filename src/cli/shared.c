#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/time.h"
#include "cli/cli.h"
#include "cli/cmds.h"

int check_filter(const char *val, struct err *err)
{
    if (*val && !strchr(val, '='))
        return err_invalid(err, "bad format of filter (expected name=value)");
    return 0;
}

char *errno_text(struct arena *a, int no)
{
    char *s = arena_strdup(a, strerror(no < 0 ? -no : no));

    *s = (char)tolower((unsigned char)*s);
    return s;
}

int user_time(struct cli *cli, const char *option, const char *val, char **ret, struct err *err)
{
    int64_t t = 0;

    *ret = NULL;
    if (str_empty(val))
        return 0;
    int r = time_parse_user(val, now_ns(), &t, err);
    if (r < 0 && !option)
        return r;
    if (r < 0)
        return err_wrap(err, r, "invalid value for \"%s\"", option);
    *ret = arena_printf(&cli->arena, "%" PRId64 ".%09" PRId64, t / NS_PER_S, t % NS_PER_S);
    return 0;
}
