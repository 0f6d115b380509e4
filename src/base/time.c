#include "base/time.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/str.h"

#define GO_ZERO_S INT64_C(-62135596800) /* 0001-01-01T00:00:00Z */

static int64_t clock_ns(clockid_t id)
{
    struct timespec ts;

    (void)clock_gettime(id, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t now_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

int64_t mono_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static char *put_digits(char *out, int64_t v, int digits)
{
    for (int i = digits; i-- > 0; v /= 10)
        out[i] = (char)('0' + v % 10);
    return out + digits;
}

/* Days since the epoch to a date, in the calendar whose years begin with March: leap days are then
 * at the end of a year, and months have lengths that a formula gives. */
static char *put_date(char *out, int64_t days)
{
    int64_t z = days + 719468; /* since 0000-03-01 */
    int64_t era = (z >= 0 ? z : z - 146096) / 146097, day = z - era * 146097;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int64_t of_year = day - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;

    year += era * 400 + (month >= 10);
    out = put_digits(out, year % 10000, 4);
    *out++ = '-';
    out = put_digits(out, month < 10 ? month + 3 : month - 9, 2);
    *out++ = '-';
    return put_digits(out, of_year - (153 * month + 2) / 5 + 1, 2);
}

/* By hand, since every line of a log has one: gmtime_r() and snprintf() take longer than all the
 * rest of such a line. */
char *time_rfc3339_fixed(int64_t t, char *out)
{
    int64_t s = t / NS_PER_S, ns = t % NS_PER_S;

    if (ns < 0) {
        ns += NS_PER_S;
        s--;
    }
    int64_t days = s / 86400, of_day = s % 86400;
    if (of_day < 0) {
        of_day += 86400;
        days--;
    }
    char *p = put_date(out, days);
    *p++ = 'T';
    p = put_digits(p, of_day / 3600, 2);
    *p++ = ':';
    p = put_digits(p, of_day / 60 % 60, 2);
    *p++ = ':';
    p = put_digits(p, of_day % 60, 2);
    *p++ = '.';
    p = put_digits(p, ns, 9);
    memcpy(p, "Z", 2);
    return out;
}

char *time_rfc3339(int64_t t, char *out)
{
    if (t == 0) {
        memcpy(out, TIME_ZERO_TEXT, sizeof(TIME_ZERO_TEXT));
        return out;
    }
    (void)time_rfc3339_fixed(t, out);
    char *end = out + strlen(out) - 1; /* the 'Z' */
    while (end[-1] == '0')
        end--;
    if (end[-1] == '.')
        end--;
    end[0] = 'Z';
    end[1] = '\0';
    return out;
}

struct cursor {
    const char *p, *end;
};

/* Exactly @digits digits in [lo, hi]. */
static bool take_num(struct cursor *c, int digits, int lo, int hi, int *ret)
{
    int v = 0;

    if (c->end - c->p < digits)
        return false;
    for (int i = 0; i < digits; i++, c->p++) {
        if (*c->p < '0' || *c->p > '9')
            return false;
        v = v * 10 + (*c->p - '0');
    }
    *ret = v;
    return v >= lo && v <= hi;
}

static bool take_char(struct cursor *c, char ch)
{
    if (c->p == c->end || *c->p != ch)
        return false;
    c->p++;
    return true;
}

static int64_t take_fraction(struct cursor *c)
{
    int64_t ns = 0, unit = NS_PER_S / 10;

    for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++, unit /= 10)
        ns += (*c->p - '0') * unit;
    return ns;
}

static bool take_zone(struct cursor *c, int64_t *ret_s)
{
    int h, m, sign;

    *ret_s = 0;
    if (take_char(c, 'Z') || take_char(c, 'z'))
        return true;
    if (take_char(c, '+'))
        sign = 1;
    else if (take_char(c, '-'))
        sign = -1;
    else
        return false;
    if (!take_num(c, 2, 0, 23, &h) || !take_char(c, ':') || !take_num(c, 2, 0, 59, &m))
        return false;
    *ret_s = sign * (h * 3600 + m * 60);
    return true;
}

/* The year 1 is Go's time of nothing, and ours is 0. Other years must be within what fits: 1678 to
 * 2262. */
static int to_ns(int64_t s, int64_t ns, int64_t *ret)
{
    int64_t t = 0;

    if (s == GO_ZERO_S)
        t = 0;
    else if (__builtin_mul_overflow(s, NS_PER_S, &t) || __builtin_add_overflow(t, ns, &t))
        return -EINVAL;
    *ret = t;
    return 0;
}

/* @cut allows the forms that users type: no zone, no seconds, no minutes, no time at all. */
static int parse_date(const char *s, size_t n, bool cut, int64_t *ret)
{
    struct cursor c = {s, s + n};
    struct tm tm = {0};
    int64_t ns = 0, zone = 0;

    if (!take_num(&c, 4, 0, 9999, &tm.tm_year) || !take_char(&c, '-') ||
        !take_num(&c, 2, 1, 12, &tm.tm_mon) || !take_char(&c, '-') ||
        !take_num(&c, 2, 1, 31, &tm.tm_mday))
        return -EINVAL;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    bool more = take_char(&c, 'T') || take_char(&c, 't');
    if (more && !take_num(&c, 2, 0, 23, &tm.tm_hour))
        return -EINVAL;
    bool min = more && take_char(&c, ':');
    if (min && !take_num(&c, 2, 0, 59, &tm.tm_min))
        return -EINVAL;
    bool sec = min && take_char(&c, ':');
    if (sec && !take_num(&c, 2, 0, 60, &tm.tm_sec))
        return -EINVAL;
    if (sec && take_char(&c, '.'))
        ns = take_fraction(&c);
    bool zoned = c.p < c.end && take_zone(&c, &zone);
    if (c.p != c.end || (!cut && (!sec || !zoned)))
        return -EINVAL;
    return to_ns((int64_t)timegm(&tm) - zone, ns, ret);
}

int time_parse_rfc3339(const char *s, size_t n, int64_t *ret)
{
    return parse_date(s, n, false, ret);
}

/* "123", "123.456", "-5" */
static int parse_unix(const char *s, int64_t *ret)
{
    const char *dot = strchrnul(s, '.');
    char whole[24];
    int64_t v;

    if ((size_t)(dot - s) >= sizeof(whole))
        return -EINVAL;
    memcpy(whole, s, (size_t)(dot - s));
    whole[dot - s] = '\0';
    if (str_to_i64(whole, &v) < 0 || __builtin_mul_overflow(v, NS_PER_S, &v))
        return -EINVAL;
    if (*dot) {
        struct cursor c = {dot + 1, dot + strlen(dot)};
        v += take_fraction(&c);
        if (c.p != c.end)
            return -EINVAL;
    }
    *ret = v;
    return 0;
}

int time_parse_user(const char *s, int64_t now, int64_t *ret, struct err *err)
{
    int64_t d;

    if (parse_unix(s, ret) == 0 || parse_date(s, strlen(s), true, ret) == 0)
        return 0;
    if (duration_parse(s, &d) == 0) {
        *ret = now - d;
        return 0;
    }
    return err_invalid(err, "failed to parse value as time or duration: \"%.100s\"", s);
}

/* The unit at @p: its length in ns, and how many bytes it took. */
static int64_t duration_unit(const char *p, size_t *ret_len)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"ns", 1},       {"us", 1000},    {"\xc2\xb5s", 1000},  {"\xce\xbcs", 1000},
                 {"ms", 1000000}, {"s", NS_PER_S}, {"m", 60 * NS_PER_S}, {"h", 3600 * NS_PER_S}};

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t n = strlen(units[i].name);
        if (strncmp(p, units[i].name, n) == 0) {
            *ret_len = n;
            return units[i].ns;
        }
    }
    return 0;
}

int duration_parse(const char *s, int64_t *ret)
{
    int64_t total = 0;
    bool minus = *s == '-';

    if (*s == '-' || *s == '+')
        s++;
    if (strcmp(s, "0") == 0) {
        *ret = 0;
        return 0;
    }
    if (!*s)
        return -EINVAL;
    while (*s) {
        int64_t whole = 0, frac = 0, scale = 1;
        size_t len;
        const char *from = s;
        for (; *s >= '0' && *s <= '9'; s++)
            if (__builtin_mul_overflow(whole, 10, &whole) ||
                __builtin_add_overflow(whole, *s - '0', &whole))
                return -ERANGE;
        bool any = s != from;
        if (*s == '.')
            for (s++; *s >= '0' && *s <= '9'; s++, any = true)
                if (scale < NS_PER_S) {
                    frac = frac * 10 + (*s - '0');
                    scale *= 10;
                }
        int64_t unit = duration_unit(s, &len), part;
        if (!any || unit == 0)
            return -EINVAL;
        s += len;
        if (__builtin_mul_overflow(whole, unit, &part) ||
            __builtin_add_overflow(total, part, &total) ||
            __builtin_add_overflow(total, (int64_t)((double)frac * (double)unit / (double)scale),
                                   &total))
            return -ERANGE;
    }
    *ret = minus ? -total : total;
    return 0;
}

char *duration_human(int64_t ns, char *out)
{
    int64_t s = ns / NS_PER_S, m = s / 60, h = (s + 1800) / 3600;

    if (s < 1)
        (void)snprintf(out, TIME_TEXT, "Less than a second");
    else if (s == 1)
        (void)snprintf(out, TIME_TEXT, "1 second");
    else if (s < 60)
        (void)snprintf(out, TIME_TEXT, "%" PRId64 " seconds", s);
    else if (m == 1)
        (void)snprintf(out, TIME_TEXT, "About a minute");
    else if (m < 60)
        (void)snprintf(out, TIME_TEXT, "%" PRId64 " minutes", m);
    else if (h == 1)
        (void)snprintf(out, TIME_TEXT, "About an hour");
    else if (h < 48)
        (void)snprintf(out, TIME_TEXT, "%" PRId64 " hours", h);
    else if (h < 24 * 7 * 2)
        (void)snprintf(out, TIME_TEXT, "%" PRId64 " days", h / 24);
    else if (h < 24 * 30 * 2)
        (void)snprintf(out, TIME_TEXT, "%" PRId64 " weeks", h / 24 / 7);
    else if (h < 24 * 365 * 2)
        (void)snprintf(out, TIME_TEXT, "%" PRId64 " months", h / 24 / 30);
    else
        (void)snprintf(out, TIME_TEXT, "%" PRId64 " years", h / 24 / 365);
    return out;
}
