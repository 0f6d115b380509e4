#include "base/units.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* What may stand behind the number: "k", "kb", "kib", in any case. */
static int suffix_shift(const char *s)
{
    static const char units[] = "kmgtpe";
    const char *at;

    if (str_eq(s, "") || strcmp(s, "b") == 0)
        return 0;
    at = strchr(units, s[0]);
    if (!at || (s[1] && strcmp(s + 1, "b") != 0 && strcmp(s + 1, "ib") != 0))
        return -1;
    return 10 * (int)(at - units + 1);
}

int units_parse_bytes(const char *s, int64_t *ret, struct err *err)
{
    char suffix[16] = "";
    size_t n = strspn(s, "0123456789.");
    const char *rest = s + n;

    if (n == 0)
        return err_invalid(err, "invalid size: '%s'", s);
    while (*rest == ' ')
        rest++;
    for (size_t i = 0; rest[i] && i + 1 < sizeof(suffix); i++)
        suffix[i] = (char)tolower((unsigned char)rest[i]);
    int shift = suffix_shift(suffix);
    if (shift < 0)
        return err_invalid(err, "invalid suffix: '%s'", suffix);
    char *end = NULL;
    double v = strtod(s, &end);
    if (end != s + n)
        return err_invalid(err, "invalid size: '%s'", s);
    v *= (double)(UINT64_C(1) << shift);
    if (v >= 9.2e18)
        return err_invalid(err, "invalid size: '%s': too large", s);
    *ret = (int64_t)v;
    return 0;
}
