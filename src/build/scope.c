#include "build/scope.h"

#include <string.h>

static const char *const proxies[] = {"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy",
                                      "FTP_PROXY",  "ftp_proxy",  "NO_PROXY",    "no_proxy",
                                      "ALL_PROXY",  "all_proxy"};

bool scope_is_proxy(const char *name)
{
    for (size_t i = 0; i < sizeof(proxies) / sizeof(proxies[0]); i++)
        if (strcmp(proxies[i], name) == 0)
            return true;
    return false;
}

void scope_set(struct scope *s, const char *name, const char *val)
{
    strmap_set(s->a, &s->args, name, val);
}

const char *scope_get(const struct scope *s, const char *name)
{
    const char *val = s->env ? strv_env(s->env, name) : NULL;

    if (!val)
        val = strmap_get(&s->args, name);
    return val || !scope_is_proxy(name) ? val : strmap_get(s->given, name);
}

static const char *get(void *ctx, const char *name)
{
    return scope_get(ctx, name);
}

static void note_unset(void *ctx, const char *name)
{
    struct scope *s = ctx;

    if (!strv_has(&s->unset, name))
        strv_push(s->a, &s->unset, name);
}

struct expander scope_expander(struct scope *s, char escape)
{
    return (struct expander){
        .get = get, .ctx = s, .escape = escape, .total = s->total, .unset = note_unset};
}

/* What the request gives wins over the default; "ARG NAME" alone takes over what is set outside. */
static int declare_one(struct scope *s, const struct ins_pair *p, char escape, struct err *err)
{
    const char *given = strmap_get(s->given, p->key);
    const struct expander x = scope_expander(s, escape);
    char *val = NULL;

    if (given) {
        scope_set(s, p->key, given);
        return 0;
    }
    if (p->val) {
        int r = expand_word(&x, p->val, s->a, &val, err);
        if (r < 0)
            return r;
    } else if (s->outer) {
        val = (char *)strmap_get(&s->outer->args, p->key);
    }
    if (val)
        scope_set(s, p->key, val);
    return 0;
}

int scope_declare(struct scope *s, const struct ins *arg, char escape, struct err *err)
{
    for (size_t i = 0; i < arg->pairs.pairs.n; i++) {
        int r = declare_one(s, &arg->pairs.pairs.v[i], escape, err);
        if (r < 0)
            return r;
    }
    return 0;
}

struct strv scope_environment(const struct scope *s, bool with_proxies, struct arena *a)
{
    struct strv out = {0};

    if (s->env)
        out = strv_clone(a, s->env);
    for (size_t i = 0; i < s->args.n; i++)
        if (!strv_env(&out, s->args.v[i].key))
            strv_push(a, &out, arena_printf(a, "%s=%s", s->args.v[i].key, s->args.v[i].val));
    for (size_t i = 0; with_proxies && i < sizeof(proxies) / sizeof(proxies[0]); i++) {
        const char *val = strmap_get(s->given, proxies[i]);
        if (val && !strv_env(&out, proxies[i]))
            strv_push(a, &out, arena_printf(a, "%s=%s", proxies[i], val));
    }
    return out;
}
