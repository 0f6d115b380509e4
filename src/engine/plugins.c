#include "engine/plugins.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "base/io.h"
#include "base/mem.h"
#include "http/client.h"

#define MEDIA_TYPE "application/vnd.docker.plugins.v1.2+json"
#define NAME_MAX_LEN 128
#define SPEC_MAX 65536
#define ANSWER_MAX (4U << 20)
#define ERROR_TEXT_MAX 512
#define CONNECT_MS 10000
#define MOMENT_MS 1000
#define FOUND_MAX 256 /* names that a directory may bring */

/* A plugin that has said what it does. */
struct known {
    char *name, *address;
    struct strv implements; /* in mem */
    struct arena mem;
    struct known *next;
};

struct plugins {
    const struct strv *dirs;
    unsigned timeout_ms;
    int running, stop; /* a pipe: the one hangs up when the other is closed */
    pthread_mutex_t lock;
    struct known *known; /* under the lock */
};

/* Where it is, and how to get there. */
struct place {
    const char *name;
    char *address;
    struct addr addr;
    bool tls;
    struct tls_opts tls_opts;
};

int plugins_new(const struct strv *dirs, int64_t timeout_s, struct plugins **ret, struct err *err)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_sys(err, "create pipe");
    struct plugins *ps = xnew(struct plugins);
    *ps = (struct plugins){
        .dirs = dirs, .timeout_ms = (unsigned)timeout_s * 1000, .running = fds[0], .stop = fds[1]};
    (void)pthread_mutex_init(&ps->lock, NULL);
    *ret = ps;
    return 0;
}

void plugins_stop(struct plugins *ps)
{
    if (ps)
        close_fd(&ps->stop);
}

static void free_known(struct known *k)
{
    free(k->name);
    free(k->address);
    arena_done(&k->mem);
    free(k);
}

void plugins_free(struct plugins *ps)
{
    if (!ps)
        return;
    while (ps->known) {
        struct known *next = ps->known->next;
        free_known(ps->known);
        ps->known = next;
    }
    close_fd(&ps->running);
    close_fd(&ps->stop);
    (void)pthread_mutex_destroy(&ps->lock);
    free(ps);
}

/* ---- finding ---- */

struct spec_tls {
    bool insecure;
    char *ca, *cert, *key;
};
struct spec {
    char *addr;
    struct spec_tls *tls;
};
static const struct field spec_tls_fields[] = {
    FIELD(struct spec_tls, "InsecureSkipVerify", F_BOOL, insecure),
    FIELD(struct spec_tls, "CAFile", F_STR, ca),
    FIELD(struct spec_tls, "CertFile", F_STR, cert),
    FIELD(struct spec_tls, "KeyFile", F_STR, key),
};
static const struct json_type spec_tls_type =
    JSON_TYPE("TLSConfig", struct spec_tls, spec_tls_fields);
static const struct field spec_fields[] = {
    FIELD(struct spec, "Addr", F_STR, addr),
    FIELD(struct spec, "TLSConfig", F_PTR, tls, .type = &spec_tls_type),
};
static const struct json_type spec_type = JSON_TYPE("plugin", struct spec, spec_fields);

/* It becomes part of a path. */
static bool is_name(const char *s)
{
    if (!isalnum((unsigned char)*s) || strlen(s) > NAME_MAX_LEN)
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr("_.-", *s))
            return false;
    return true;
}

static int take_address(struct place *p, const char *text, struct arena *a, struct err *err)
{
    if (!strstr(text, "://"))
        return err_invalid(err, "no address: \"%.100s\"", text);
    p->address = arena_strdup(a, text);
    return addr_parse(text, p->tls ? 443 : 80, &p->addr, err);
}

static int read_text(struct place *p, const char *path, struct arena *a, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = read_file_at(AT_FDCWD, path, SPEC_MAX, &text, err);

    return r < 0 ? r : take_address(p, str_trim(a, buf_str(&text), text.len), a, err);
}

static int read_json(struct place *p, const char *path, struct arena *a, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    struct spec s = {0};
    int r = read_file_at(AT_FDCWD, path, SPEC_MAX, &text, err);

    if (r >= 0)
        r = json_decode(&spec_type, buf_str(&text), text.len, a, &s, JSON_NOCASE, err);
    if (r < 0)
        return r;
    p->tls = s.tls != NULL;
    if (p->tls)
        p->tls_opts = (struct tls_opts){.ca_file = str_empty(s.tls->ca) ? NULL : s.tls->ca,
                                        .cert_file = str_empty(s.tls->cert) ? NULL : s.tls->cert,
                                        .key_file = str_empty(s.tls->key) ? NULL : s.tls->key,
                                        .verify = !s.tls->insecure};
    return take_address(p, str_or(s.addr, ""), a, err);
}

static int take_socket(struct place *p, const char *path, struct arena *a, struct err *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return err_sys(err, "look at %s", path);
    if (!S_ISSOCK(st.st_mode))
        return err_as(err, ERR_INVALID, ENOTSOCK, "%s is no socket", path);
    return take_address(p, arena_printf(a, "unix://%s", path), a, err);
}

/* The ways in which a file may tell of a plugin; in each directory in this order. */
static const struct {
    const char *suffix;
    bool own_dir; /* in a directory of the same name */
    int (*take)(struct place *p, const char *path, struct arena *a, struct err *err);
} ways[] = {{".sock", false, take_socket}, {".sock", true, take_socket},
            {".spec", false, read_text},   {".spec", true, read_text},
            {".json", false, read_json},   {".json", true, read_json}};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

static char *way_path(size_t w, const char *dir, const char *name, struct arena *a)
{
    return arena_printf(a, "%s/%s%s%s%s", dir, ways[w].own_dir ? name : "",
                        ways[w].own_dir ? "/" : "", name, ways[w].suffix);
}

static int locate(struct plugins *ps, const char *name, struct arena *a, struct place *ret,
                  struct err *err)
{
    *ret = (struct place){.name = name};
    for (size_t d = 0; is_name(name) && d < ps->dirs->n; d++)
        for (size_t w = 0; w < WAYS; w++) {
            const char *path = way_path(w, ps->dirs->v[d], name, a);
            int r = ways[w].take(ret, path, a, err);
            if (r == -ENOENT || r == -ENOTDIR)
                continue;
            return r < 0 ? err_wrap(err, r, "plugin %s: %s", name, path) : 0;
        }
    return err_not_found(err, "plugin \"%s\" not found", name);
}

int plugin_find(struct plugins *ps, const char *name, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct place p;

    return locate(ps, name, &a, &p, err);
}

/* ---- one request ---- */

char *plugin_text(struct arena *a, const char *text)
{
    char *out = arena_strndup(a, text, strnlen(text, ERROR_TEXT_MAX));

    for (char *p = out; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            *p = ' ';
    return str_trim(a, out, strlen(out));
}

struct said {
    char *err;
};
static const struct field said_fields[] = {FIELD(struct said, "Err", F_STR, err)};
static const struct json_type said_type = JSON_TYPE("Error", struct said, said_fields);

/* An answer that is no success: its words, whatever form they have. */
static int refused(const struct plugin_call *call, int status, const struct buf *text,
                   struct arena *a, struct err *err)
{
    struct said s = {0};
    const char *words = text->len ? text->data : "";

    if (json_decode(&said_type, words, text->len, a, &s, JSON_NOCASE, NULL) >= 0)
        words = str_or(s.err, "");
    words = plugin_text(a, words);
    if (!*words)
        words = arena_printf(a, "status %d", status);
    return err_as(err, ERR_SYSTEM, EREMOTEIO, "%s: %s", call->method, words);
}

static int read_answer(const struct plugin_call *call, struct http_reply *reply, struct arena *a,
                       struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int status = http_reply_status(reply);
    int r = http_reply_all(reply, ANSWER_MAX, &text, err);

    if (r < 0)
        return err_wrap(err, r, "read the answer");
    (void)buf_str(&text);
    if (status != 200)
        return refused(call, status, &text, a, err);
    if (!call->out_type)
        return 0;
    r = json_decode(call->out_type, text.data, text.len, a, call->out, JSON_NOCASE, err);
    return r < 0 ? err_as(err, ERR_SYSTEM, EBADMSG, "%s: its answer makes no sense: %s",
                          call->method, err ? plugin_text(a, err->msg) : "")
                 : 0;
}

static int send_call(struct http_client *http, const struct plugin_call *call, struct arena *a,
                     struct err *err)
{
    auto_buf struct buf body = BUF_INIT;
    struct http_reply *reply = NULL;
    struct http_call h = {.method = "POST",
                          .target = arena_printf(a, "/%s", call->method),
                          .content_type = MEDIA_TYPE,
                          .once = true};

    strmap_set(a, &h.headers, "Accept", MEDIA_TYPE);
    if (call->in_type) {
        json_encode(call->in_type, call->in, &body);
        h.body = body.data;
        h.body_len = body.len;
    }
    int r = http_send(http, &h, &reply, err);
    if (r >= 0)
        r = read_answer(call, reply, a, err);
    http_reply_free(reply);
    return r;
}

static int exchange(const struct plugins *ps, const struct place *p, const struct plugin_call *call,
                    unsigned ms, struct arena *a, struct err *err)
{
    struct http_client_opts o = {.addr = p->addr,
                                 .tls = p->tls && p->addr.kind == ADDR_TCP ? &p->tls_opts : NULL,
                                 .connect_ms = ms < CONNECT_MS ? ms : CONNECT_MS,
                                 .idle_ms = ms,
                                 .call_ms = ms,
                                 .gone_fd = &ps->running};
    struct http_client *http = NULL;
    int r = http_client_open(&o, &http, err);

    if (r < 0)
        return err_wrap(err, r, "plugin %s", p->name);
    r = send_call(http, call, a, err);
    http_client_free(http);
    if (r < 0 && r != -EREMOTEIO)
        err_wrap(err, r, "plugin %s: %s", p->name, call->method);
    return r;
}

/* ---- what it does ---- */

struct activation {
    struct strv implements;
};
static const struct field activation_fields[] = {
    FIELD(struct activation, "Implements", F_STRV, implements)};
static const struct json_type activation_type =
    JSON_TYPE("Activate", struct activation, activation_fields);

/* The lock is held. */
static struct known **find_known(struct plugins *ps, const struct place *p)
{
    struct known **k = &ps->known;

    while (*k && (strcmp((*k)->name, p->name) != 0 || strcmp((*k)->address, p->address) != 0))
        k = &(*k)->next;
    return k;
}

/* It may be another one when it answers again. */
static void forget(struct plugins *ps, const struct place *p)
{
    (void)pthread_mutex_lock(&ps->lock);
    struct known **at = find_known(ps, p), *k = *at;
    if (k)
        *at = k->next;
    (void)pthread_mutex_unlock(&ps->lock);
    if (k)
        free_known(k);
}

static void remember(struct plugins *ps, const struct place *p, const struct strv *implements)
{
    struct known *k = xnew(struct known);

    k->name = xstrdup(p->name);
    k->address = xstrdup(p->address);
    k->implements = strv_clone(&k->mem, implements);
    (void)pthread_mutex_lock(&ps->lock);
    struct known **at = find_known(ps, p), *had = *at;
    k->next = had ? had->next : NULL;
    *at = k;
    (void)pthread_mutex_unlock(&ps->lock);
    if (had)
        free_known(had);
}

/* Return: 1 it does @what; 0 it does other things; -errno. */
static int does(struct plugins *ps, const struct place *p, const char *what, unsigned ms,
                struct arena *a, struct err *err)
{
    struct activation act = {0};
    const struct plugin_call call = {
        .plugin = p->name, .method = "Plugin.Activate", .out_type = &activation_type, .out = &act};

    (void)pthread_mutex_lock(&ps->lock);
    const struct known *k = *find_known(ps, p);
    int r = k ? strv_has(&k->implements, what) : -ENOENT;
    (void)pthread_mutex_unlock(&ps->lock);
    if (r >= 0)
        return r;
    r = exchange(ps, p, &call, ms, a, err);
    if (r < 0)
        return r;
    remember(ps, p, &act.implements);
    return strv_has(&act.implements, what);
}

int plugin_call(struct plugins *ps, const struct plugin_call *call, struct arena *a,
                struct err *err)
{
    struct place p;
    char *what = arena_strndup(a, call->method, strcspn(call->method, "."));
    int r = locate(ps, call->plugin, a, &p, err);

    if (r >= 0)
        r = does(ps, &p, what, ps->timeout_ms / 2, a, err);
    if (r == 0)
        return err_invalid(err, "plugin %s does not implement %s", call->plugin, what);
    if (r < 0)
        return r;
    r = exchange(ps, &p, call, call->slow ? ps->timeout_ms : ps->timeout_ms / 2, a, err);
    if (r < 0 && r != -EREMOTEIO)
        forget(ps, &p);
    return r;
}

/* ---- lists ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "x.sock", "x.spec", "x.json", or a directory "x". */
static void add_name(const struct dirent *ent, struct arena *a, struct strv *names)
{
    const char *dot = strrchr(ent->d_name, '.');
    size_t n = strlen(ent->d_name);

    for (size_t w = 0; dot && w < WAYS; w++)
        if (strcmp(ways[w].suffix, dot) == 0)
            n = (size_t)(dot - ent->d_name);
    const char *name = arena_strndup(a, ent->d_name, n);
    if (is_name(name) && !strv_has(names, name))
        strv_push(a, names, name);
}

void plugins_with(struct plugins *ps, const char *what, struct arena *a, struct strv *ret)
{
    struct strv names = {0};

    for (size_t d = 0; d < ps->dirs->n; d++) {
        auto_dir DIR *dir = opendir(ps->dirs->v[d]);
        for (struct dirent *ent; dir && names.n < FOUND_MAX && (ent = readdir(dir));)
            add_name(ent, a, &names);
    }
    for (size_t i = 0; i < names.n; i++) {
        struct place p;
        if (locate(ps, names.v[i], a, &p, NULL) >= 0 && does(ps, &p, what, MOMENT_MS, a, NULL) > 0)
            strv_push(a, ret, names.v[i]);
    }
    if (ret->n)
        qsort(ret->v, ret->n, sizeof(*ret->v), by_name);
}

void plugins_used(struct plugins *ps, const char *what, struct arena *a, struct strv *ret)
{
    struct strv names = {0};

    (void)pthread_mutex_lock(&ps->lock);
    for (const struct known *k = ps->known; k; k = k->next)
        if (strv_has(&k->implements, what) && !strv_has(&names, k->name))
            strv_push(a, &names, k->name);
    (void)pthread_mutex_unlock(&ps->lock);
    for (size_t i = 0; i < names.n; i++)
        if (plugin_find(ps, names.v[i], NULL) != -ENOENT) /* not uninstalled since */
            strv_push(a, ret, names.v[i]);
    if (ret->n)
        qsort(ret->v, ret->n, sizeof(*ret->v), by_name);
}
