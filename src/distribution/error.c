#include "distribution/error.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <stdio.h>

#include "base/json.h"

#define BODY_MAX 65536
#define TEXT_MAX 500

static const struct code {
    const char *name;
    int status;
    enum err_kind kind;
    int no;
    const char *means; /* for an answer without words, as that of a HEAD */
} codes[] = {
    {"UNAUTHORIZED", 401, ERR_UNAUTHORIZED, EKEYREJECTED, "authentication required"},
    {"DENIED", 403, ERR_DENIED, EACCES, "requested access to the resource is denied"},
    {"MANIFEST_UNKNOWN", 404, ERR_NOT_FOUND, ENOENT, "manifest unknown"},
    {"BLOB_UNKNOWN", 0, ERR_NOT_FOUND, ENOENT, "blob unknown to registry"},
    {"NAME_UNKNOWN", 0, ERR_NOT_FOUND, ENOMEDIUM, "repository name not known to registry"},
    {"TOOMANYREQUESTS", 429, ERR_UNAVAILABLE, EDQUOT, "too many requests"},
};

static const struct code *code_of(const char *name, int status)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (name ? strcmp(codes[i].name, name) == 0 : codes[i].status == status)
            return &codes[i];
    return name ? code_of(NULL, status) : NULL;
}

/* "MANIFEST_UNKNOWN" -> "manifest unknown" */
static char *words(struct arena *a, const char *code)
{
    char *out = arena_strndup(a, code, 64);

    for (char *p = out; *p; p++)
        *p = *p == '_' ? ' ' : (char)tolower((unsigned char)*p);
    return out;
}

/* Text from outside: one line, no control characters. */
static const char *clean(struct arena *a, const char *text)
{
    char *out = arena_strndup(a, str_or(text, ""), TEXT_MAX);

    for (char *p = out; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    return out;
}

/* Registries: {"errors":[{"code","message"}]}; token servers also {"details"} or {"message"}. */
static const char *say(const struct json *body, struct arena *a, const char **ret_code)
{
    const struct json *list = json_get(body, "errors");
    const struct json *first = list && list->kind == JSON_ARRAY ? list->child : NULL;
    const char *code = json_str(first, "code");
    const char *details = json_str(body, "details");

    *ret_code = code;
    if (code && !str_empty(json_str(first, "message")))
        return clean(a, arena_printf(a, "%s: %s", words(a, code), json_str(first, "message")));
    if (code)
        return words(a, code);
    return clean(a, str_or(details, json_str(body, "message")));
}

int dist_refused(struct http_reply *r, const char *host, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf text = BUF_INIT;
    struct json *body = NULL;
    const char *name = NULL, *said = "";
    int status = http_reply_status(r);

    if (http_reply_all(r, BODY_MAX, &text, NULL) >= 0 && text.len > 0 &&
        json_parse(text.data, text.len, &a, &body, NULL) >= 0)
        said = say(body, &a, &name);
    const struct code *c = code_of(name, status);
    enum err_kind kind = c ? c->kind : status >= 500 ? ERR_UNAVAILABLE : ERR_SYSTEM;
    int no = c ? c->no : EREMOTEIO;
    if (*said && (name || !c))
        return err_as(err, kind, no, "%s", said);
    if (c)
        return err_as(err, kind, no, "%s: %s", words(&a, c->name), *said ? said : c->means);
    return err_as(err, kind, no, "unexpected status %d from %s", status, host);
}
