/* API versions; see version.h. */
#include "wire/version.h"

#include <ctype.h>
#include <errno.h>

/* Digits at s[*i] up to n; below 1000. */
static int number(const char *s, size_t n, size_t *i)
{
    size_t start = *i;
    int v = 0;

    for (; *i < n && isdigit((unsigned char)s[*i]) && v < 1000; (*i)++)
        v = v * 10 + (s[*i] - '0');
    return *i == start || v >= 1000 ? -EINVAL : v;
}

int api_version_parse(const char *s, size_t n)
{
    size_t i = 0;
    int major = number(s, n, &i);

    if (major < 0 || i >= n || s[i] != '.')
        return -EINVAL;
    i++;
    int minor = number(s, n, &i);
    if (minor < 0 || i != n)
        return -EINVAL;
    return API(major, minor);
}

int api_version_check(const char *s, size_t n, struct err *err)
{
    int v = api_version_parse(s, n);

    if (v < 0)
        return err_invalid(err, "invalid API version \"%.*s\"", n > 64 ? 64 : (int)n, s);
    if (v > API_MAX)
        return err_invalid(err,
                           "client version %.*s is too new. Maximum supported API version is %s",
                           (int)n, s, API_MAX_TEXT);
    if (v < API_MIN)
        return err_invalid(err,
                           "client version %.*s is too old. Minimum supported API version is %s, "
                           "please upgrade your client to a newer version",
                           (int)n, s, API_MIN_TEXT);
    return v;
}
