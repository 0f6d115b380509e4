#include "cli/units.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

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
