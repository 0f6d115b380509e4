/* Modes as chmod(1) takes them: octal, or clauses like "u=rwX,go-w". */
#include "build/tree.h"

#include <string.h>

#include "base/str.h"

static bool octal(const char *text, mode_t *ret)
{
    size_t n = strspn(text, "01234567");

    if (n == 0 || n > 5 || text[n])
        return false;
    *ret = 0;
    for (const char *p = text; *p; p++)
        *ret = *ret * 8 + (mode_t)(*p - '0');
    return *ret <= 07777;
}

/* "ugo" -> the bits of all of them. */
static mode_t who_mask(const char **at)
{
    mode_t who = 0;

    for (; **at && strchr("ugoa", **at); (*at)++)
        who |= **at == 'u' ? 04700 : **at == 'g' ? 02070 : **at == 'o' ? 01007 : 07777;
    return who ? who : 07777;
}

static mode_t perm_bits(const char **at, mode_t mode, bool dir)
{
    mode_t bits = 0;

    for (; **at && strchr("rwxXst", **at); (*at)++)
        switch (**at) {
        case 'r':
            bits |= 0444;
            break;
        case 'w':
            bits |= 0222;
            break;
        case 'x':
            bits |= 0111;
            break;
        case 'X':
            bits |= dir || (mode & 0111) ? 0111 : 0;
            break;
        case 's':
            bits |= 06000;
            break;
        default:
            bits |= 01000;
        }
    return bits;
}

/* One clause, "go-w+r". Return: false when it is none. */
static bool clause(const char **at, bool dir, mode_t *mode)
{
    mode_t who = who_mask(at);

    if (!**at || !strchr("+-=", **at))
        return false;
    while (**at && strchr("+-=", **at)) {
        char op = *(*at)++;
        mode_t bits = perm_bits(at, *mode, dir) & who;
        if (op == '=')
            *mode &= ~(who & 0777);
        *mode = op == '-' ? *mode & ~bits : *mode | bits;
    }
    return **at == '\0' || *(*at)++ == ',';
}

static bool apply(const char *text, bool dir, mode_t *mode)
{
    bool ok = *text != '\0';

    if (octal(text, mode))
        return true;
    while (ok && *text)
        ok = clause(&text, dir, mode);
    return ok;
}

int chmod_check(const char *text, struct err *err)
{
    mode_t mode = 0;

    return apply(text, false, &mode)
               ? 0
               : err_invalid(err,
                             "invalid chmod parameter: '%s'. it should be octal string and "
                             "between 0 and 07777",
                             text);
}

mode_t chmod_apply(const char *text, mode_t mode, bool dir)
{
    mode_t out = mode & 07777;

    return apply(text, dir, &out) ? out : mode & 07777;
}
