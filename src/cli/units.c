#include "cli/units.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
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

int units_parse_cpus(const char *s, int64_t *ret, struct err *err)
{
    int64_t v = 0, unit = INT64_C(1000000000);
    bool dot = false, digits = false;

    for (const char *p = s; *p; p++) {
        if (*p == '.' && !dot) {
            dot = true;
            continue;
        }
        if (*p < '0' || *p > '9' || v > INT64_MAX / 20)
            return err_invalid(err, "failed to parse %s as a rational number", s);
        digits = true;
        if (dot && unit == 1)
            return err_invalid(err, "value is too precise");
        v = v * 10 + (*p - '0');
        if (dot)
            unit /= 10;
    }
    if (!digits || v > INT64_MAX / unit)
        return err_invalid(err, "failed to parse %s as a rational number", s);
    *ret = v * unit;
    return 0;
}

static char *scaled(double v, double base, const char *const *units, size_t n, int precision,
                    char *out)
{
    size_t i = 0;

    while (v >= base && i + 1 < n) {
        v /= base;
        i++;
    }
    (void)snprintf(out, UNITS_TEXT, "%.*g%s", precision, v, units[i]);
    return out;
}

char *units_size(double size, int precision, char *out)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};

    return scaled(size, 1000, units, 9, precision, out);
}

char *units_bytes(double size, char *out)
{
    static const char *const units[] = {"B",   "KiB", "MiB", "GiB", "TiB",
                                        "PiB", "EiB", "ZiB", "YiB"};

    return scaled(size, 1024, units, 9, 4, out);
}
