/*
 * The options of the local driver. "type", "device" and "o" describe a file system, which is
 * mounted for each container rather than on the host, so that nothing is left there; a file system
 * that is not in memory is the same one for all. "size" limits a directory of ours.
 */
#include "engine/engine-priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>

#include "base/auto.h"
#include "base/units.h"

/* ---- checks ---- */

/* Which options each of them needs beside it. */
static const struct {
    const char *key, *needs[3];
} known[] = {{"type", {"device"}}, {"device", {"type"}}, {"o", {"device", "type"}}, {"size", {0}}};

#define KNOWN (sizeof(known) / sizeof(known[0]))

static int check_one(const struct volume_create_request *rq, const char *key, struct err *err)
{
    size_t k = 0;

    while (k < KNOWN && strcmp(known[k].key, key) != 0)
        k++;
    if (k == KNOWN)
        return err_invalid(err, "create %s: invalid option: \"%s\"", rq->name, key);
    for (const char *const *need = known[k].needs; *need; need++)
        if (str_empty(strmap_get(&rq->driver_opts, *need)))
            return err_invalid(err, "create %s: missing required option: \"%s\"", rq->name, *need);
    return 0;
}

int vol_size_limit(const struct volume_create_request *rq, uint64_t *ret, struct err *err)
{
    const char *text = strmap_get(&rq->driver_opts, "size");
    int64_t size = 0;

    *ret = 0;
    if (!text)
        return 0;
    if (units_parse_bytes(text, &size, NULL) < 0 || size < 0)
        return err_invalid(err, "create %s: invalid size: '%s'", rq->name, text);
    if (size > 0 && strmap_get(&rq->driver_opts, "type"))
        return err_invalid(
            err,
            "create %s: size limits a directory of the daemon's, not what \"device\" "
            "names: a file system has its own options for that",
            rq->name);
    *ret = (uint64_t)size;
    return 0;
}

int vol_check_options(const struct volume_create_request *rq, struct err *err)
{
    uint64_t size;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < rq->driver_opts.n; i++)
        r = check_one(rq, rq->driver_opts.v[i].key, err);
    return r < 0 ? r : vol_size_limit(rq, &size, err);
}

bool vol_has_device(const struct volume_create_request *rec)
{
    return strmap_get(&rec->driver_opts, "type") != NULL;
}

/* ---- mounting ---- */

static int resolve(const char *host, struct arena *a, char **ret, struct err *err)
{
    const struct addrinfo want = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char text[INET6_ADDRSTRLEN];

    int no = getaddrinfo(host, NULL, &want, &found);
    if (no)
        return err_as(err, ERR_SYSTEM, EHOSTUNREACH, "resolve the address of server %s: %s", host,
                      gai_strerror(no));
    const void *addr = found->ai_family == AF_INET6
                           ? (void *)&((struct sockaddr_in6 *)found->ai_addr)->sin6_addr
                           : (void *)&((struct sockaddr_in *)found->ai_addr)->sin_addr;
    *ret = arena_strdup(a, inet_ntop(found->ai_family, addr, text, sizeof(text)));
    freeaddrinfo(found);
    return 0;
}

/* "//host/share", "host:/path", "[::1]:/path" */
static char *host_of(const char *device, struct arena *a)
{
    const char *start = str_starts(device, "//"), *end;

    if (start)
        end = start + strcspn(start, "/");
    else if (*(start = device) == '[')
        end = strchr(++start, ']');
    else
        end = strchr(start, ':');
    return end && end > start ? arena_strndup(a, start, (size_t)(end - start)) : NULL;
}

/* The kernel wants a server's address; its name is looked up by whoever mounts. */
static int put_address(const struct strmap *options, struct strv *words, struct arena *a,
                       struct err *err)
{
    char *host = host_of(strmap_get(options, "device"), a), *addr = NULL;
    size_t at = words->n;

    for (size_t i = 0; i < words->n; i++) {
        const char *v = str_starts(words->v[i], "addr=");
        if (!v && str_starts(words->v[i], "ip="))
            return 0;
        if (v) {
            host = arena_strdup(a, v);
            at = i;
        }
    }
    if (str_empty(host))
        return 0;
    int r = resolve(host, a, &addr, err);
    if (r < 0)
        return r;
    char *word = arena_printf(a, "addr=%s", addr);
    if (at < words->n)
        words->v[at] = word;
    else
        strv_push(a, words, word);
    return 0;
}

int vol_device_mount(const struct strmap *options, bool ro, struct arena *a, struct oci_mount *m,
                     struct err *err)
{
    static const char *const networked[] = {"nfs", "nfs4", "cifs", "smb3"};
    const char *type = strmap_get(options, "type"), *o = str_or(strmap_get(options, "o"), "");
    struct strv words = *o ? str_split(a, o, ',') : (struct strv){0};
    bool bind = strv_has(&words, "bind") || strv_has(&words, "rbind");
    int r = 0;

    for (size_t i = 0; r >= 0 && i < sizeof(networked) / sizeof(networked[0]); i++)
        if (str_eq(type, networked[i]))
            r = put_address(options, &words, a, err);
    if (r < 0)
        return r;
    if (ro)
        strv_push(a, &words, "ro");
    m->type = arena_strdup(a, bind ? "bind" : type);
    m->source = arena_strdup(a, strmap_get(options, "device"));
    m->options = words;
    m->by_host = !bind;
    return 0;
}
