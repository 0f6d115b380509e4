#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/base64.h"
#include "base/io.h"
#include "cli/cli.h"
#include "cli/creds.h"
#include "wire/system.h"

/*
 * Docker's client configuration: config.json, contexts, TLS files. It is read for every command; a
 * missing file costs one failed open. Only login and logout write to it.
 */

#define CONFIG_MAX (4 * 1024 * 1024)
#define HUB "https://index.docker.io/v1/"

static char *config_dir(struct cli *cli)
{
    const char *env = getenv("DOCKER_CONFIG"), *home = getenv("HOME");

    if (!str_empty(cli->global.config))
        return cli->global.config;
    if (!str_empty(env))
        return arena_strdup(&cli->arena, env);
    return arena_printf(&cli->arena, "%s/.docker", home ? home : "");
}

static int load_json(struct cli *cli, const char *path, struct json **ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = read_file_at(AT_FDCWD, path, CONFIG_MAX, &text, err);

    if (r < 0)
        return r;
    char *copy = arena_strndup(&cli->arena, buf_str(&text), text.len);
    r = json_parse(copy, text.len, &cli->arena, ret, err);
    return r < 0 ? err_wrap(err, r, "%s", path) : 0;
}

int config_load(struct cli *cli, struct err *err)
{
    struct err e = {0};

    cli->config.dir = config_dir(cli);
    char *path = arena_printf(&cli->arena, "%s/config.json", cli->config.dir);
    int r = load_json(cli, path, &cli->config.root, &e);
    if (r == 0 || r == -ENOENT || r == -ENOTDIR)
        return 0;
    if (r == -EACCES || r == -EINVAL) { /* docker warns and goes on */
        fprintf(stderr, "WARNING: Error loading config file: %s\n", e.msg);
        return 0;
    }
    if (err)
        *err = e;
    return r;
}

const char *config_str(const struct cli *cli, const char *key)
{
    return json_str(cli->config.root, key);
}

/* ---- contexts ---- */

const char *config_context(struct cli *cli)
{
    if (!str_empty(cli->global.context))
        return cli->global.context;
    if (cli->global.hosts.n > 0 || !str_empty(getenv("CLEAT_HOST")) ||
        !str_empty(getenv("DOCKER_HOST")))
        return "default";
    const char *env = getenv("DOCKER_CONTEXT");
    if (!str_empty(env))
        return env;
    return str_or(config_str(cli, "currentContext"), "default");
}

/* A context's folder is named after the digest of its name; looking into each needs no digest. */
static int find_context(struct cli *cli, const char *name, struct json **ret, char **ret_id,
                        struct err *err)
{
    char *base = arena_printf(&cli->arena, "%s/contexts/meta", cli->config.dir);
    auto_dir DIR *d = opendir(base);

    for (struct dirent *e; d && (e = readdir(d));) {
        struct json *meta = NULL;
        if (e->d_name[0] == '.')
            continue;
        char *path = arena_printf(&cli->arena, "%s/%s/meta.json", base, e->d_name);
        if (load_json(cli, path, &meta, NULL) == 0 && str_eq(json_str(meta, "Name"), name)) {
            *ret = meta;
            *ret_id = arena_strdup(&cli->arena, e->d_name);
            return 0;
        }
    }
    return err_not_found(err, "context \"%s\": context not found", name);
}

struct contexts config_contexts(struct cli *cli)
{
    char *base = arena_printf(&cli->arena, "%s/contexts/meta", cli->config.dir);
    const char *env = str_or(getenv("CLEAT_HOST"), getenv("DOCKER_HOST"));
    struct contexts all = {0};
    auto_dir DIR *d = opendir(base);

    arena_push(&cli->arena, all) =
        (struct context_info){"default", "What DOCKER_HOST says, or the default address",
                              arena_strdup(&cli->arena, str_or(env, DEFAULT_HOST))};
    for (struct dirent *e; d && (e = readdir(d));) {
        struct json *meta = NULL;
        char *path = arena_printf(&cli->arena, "%s/%s/meta.json", base, e->d_name);
        if (e->d_name[0] == '.' || load_json(cli, path, &meta, NULL) < 0)
            continue;
        const struct json *docker = json_get(json_get(meta, "Endpoints"), "docker");
        arena_push(&cli->arena, all) = (struct context_info){
            str_or(json_str(meta, "Name"), ""), json_str(json_get(meta, "Metadata"), "Description"),
            json_str(docker, "Host")};
    }
    return all;
}

static char *existing(struct cli *cli, const char *dir, const char *name)
{
    char *path = arena_printf(&cli->arena, "%s/%s", dir, name);

    return access(path, F_OK) == 0 ? path : NULL;
}

static struct tls_opts *tls_in(struct cli *cli, const char *dir, bool verify)
{
    struct tls_opts *t = arena_new(&cli->arena, struct tls_opts);

    t->ca_file = existing(cli, dir, "ca.pem");
    t->cert_file = existing(cli, dir, "cert.pem");
    t->key_file = existing(cli, dir, "key.pem");
    t->verify = verify;
    return t;
}

static int context_host(struct cli *cli, const char *name, char **ret, struct tls_opts **ret_tls,
                        struct err *err)
{
    struct json *meta = NULL;
    char *id = NULL;
    int r = find_context(cli, name, &meta, &id, err);

    if (r < 0)
        return r;
    const struct json *docker = json_get(json_get(meta, "Endpoints"), "docker");
    const char *host = json_str(docker, "Host");
    if (str_empty(host))
        return err_invalid(err, "context \"%s\" has no docker endpoint", name);
    char *dir = arena_printf(&cli->arena, "%s/contexts/tls/%s/docker", cli->config.dir, id);
    const struct json *skip = json_get(docker, "SkipTLSVerify");
    if (access(dir, F_OK) == 0)
        *ret_tls = tls_in(cli, dir, !(skip && skip->kind == JSON_TRUE));
    *ret = arena_strdup(&cli->arena, host);
    return 0;
}

/* ---- the daemon's address ---- */

static struct tls_opts *global_tls(struct cli *cli)
{
    struct global_opts *g = &cli->global;
    bool verify = g->tlsverify || !str_empty(getenv("DOCKER_TLS_VERIFY"));

    if (!g->tls && !verify && str_empty(getenv("DOCKER_TLS")))
        return NULL;
    struct tls_opts *t = tls_in(cli, str_or(getenv("DOCKER_CERT_PATH"), cli->config.dir), verify);
    t->ca_file = str_empty(g->tlscacert) ? t->ca_file : g->tlscacert;
    t->cert_file = str_empty(g->tlscert) ? t->cert_file : g->tlscert;
    t->key_file = str_empty(g->tlskey) ? t->key_file : g->tlskey;
    return t;
}

int config_host(struct cli *cli, char **ret, struct tls_opts **ret_tls, struct err *err)
{
    struct global_opts *g = &cli->global;
    const char *cleat = getenv("CLEAT_HOST"), *docker = getenv("DOCKER_HOST");

    if (g->hosts.n > 1)
        return err_invalid(err, "specify only one -H");
    if (g->hosts.n > 0 && !str_empty(g->context))
        return err_invalid(err, "conflicting options: cannot specify both --host and --context");
    *ret_tls = global_tls(cli);
    if (g->hosts.n > 0) {
        *ret = g->hosts.v[0];
        return 0;
    }
    const char *context = config_context(cli);
    if (!str_eq(context, "default"))
        return context_host(cli, context, ret, ret_tls, err);
    const char *host =
        !str_empty(g->context) ? DEFAULT_HOST : str_or(cleat, str_or(docker, DEFAULT_HOST));
    *ret = arena_strdup(&cli->arena, host);
    return 0;
}

/* ---- credentials ---- */

/* "reg.example:5000/a/b" is kept at that registry; "a/b" at the hub. */
static char *registry_of(struct cli *cli, const char *reference)
{
    size_t n = strcspn(reference, "/");
    bool host = reference[n] == '/' && (memchr(reference, '.', n) || memchr(reference, ':', n) ||
                                        strncmp(reference, "localhost/", 10) == 0);

    char *name = arena_strndup(&cli->arena, reference, host ? n : 0);
    return !host || str_eq(name, "docker.io") || str_eq(name, "index.docker.io")
               ? arena_strdup(&cli->arena, HUB)
               : name;
}

static const struct json *auth_entry(struct cli *cli, const char *registry)
{
    const struct json *auths = json_get(cli->config.root, "auths");
    const struct json *e = json_get(auths, registry);

    if (!e)
        e = json_get(auths, arena_printf(&cli->arena, "https://%s", registry));
    return e ? e : json_get(auths, arena_printf(&cli->arena, "https://%s/v1/", registry));
}

/* What config.json itself holds. */
static void auth_of_file(struct cli *cli, const char *registry, struct auth_config *ret)
{
    auto_buf struct buf user = BUF_INIT;
    const struct json *e = auth_entry(cli, registry);
    const char *token = json_str(e, "identitytoken"), *auth = json_str(e, "auth");

    if (!str_empty(token)) {
        ret->identity_token = arena_strdup(&cli->arena, token);
    } else if (auth && base64_decode(auth, strlen(auth), &user) == 0 && user.len > 0) {
        char *colon = strchr(user.data, ':');
        size_t n = colon ? (size_t)(colon - user.data) : user.len;
        ret->username = arena_strndup(&cli->arena, user.data, n);
        ret->password = arena_strdup(&cli->arena, colon ? colon + 1 : "");
    }
}

static void credentials_of(struct cli *cli, char *registry, struct auth_config *ret)
{
    const char *helper = creds_helper(cli, registry);
    struct err e = {0};

    if (!helper)
        auth_of_file(cli, registry, ret);
    else if (creds_get(helper, registry, &cli->arena, ret, &e) < 0)
        fprintf(stderr, "WARNING: %s\n", e.msg); /* as docker: without them it may work, too */
    if (ret->username || ret->identity_token)
        ret->server_address = registry;
}

void config_credentials(struct cli *cli, const char *reference, struct auth_config *ret)
{
    credentials_of(cli, registry_of(cli, reference), ret);
}

/* Names of registries: members of an object in config.json. */
static void add_registries(struct cli *cli, const char *key, struct strv *all)
{
    const struct json *j = json_get(cli->config.root, key);

    for (const struct json *m = j && j->kind == JSON_OBJECT ? j->child : NULL; m; m = m->next)
        if (!strv_has(all, m->key))
            strv_push(&cli->arena, all, m->key);
}

const char *config_all_auths(struct cli *cli)
{
    auto_buf struct buf text = BUF_INIT, out = BUF_INIT;
    struct json_w w = {.out = &text};
    struct strv all = {0};
    bool any = false;

    add_registries(cli, "auths", &all);
    add_registries(cli, "credHelpers", &all);
    json_w_obj(&w);
    for (size_t i = 0; i < all.n; i++) {
        struct auth_config auth = {0};
        credentials_of(cli, all.v[i], &auth);
        if (!auth.server_address)
            continue;
        json_w_key(&w, all.v[i]);
        json_w_type(&w, &auth_config_type, &auth);
        any = true;
    }
    json_w_end_obj(&w);
    base64_encode(text.data, text.len, true, &out);
    return any ? arena_strdup(&cli->arena, buf_str(&out)) : NULL;
}

const char *config_auth(struct cli *cli, const char *reference)
{
    auto_buf struct buf text = BUF_INIT, out = BUF_INIT;
    struct auth_config auth = {0};

    config_credentials(cli, reference, &auth);
    json_encode(&auth_config_type, &auth, &text);
    base64_encode(text.data, text.len, true, &out);
    return arena_strdup(&cli->arena, buf_str(&out));
}

/* One entry of "auths". */
static void put_auth(struct json_w *w, const struct auth_config *a)
{
    auto_buf struct buf plain = BUF_INIT, text = BUF_INIT;

    json_w_obj(w);
    if (!str_empty(a->identity_token)) {
        json_w_key(w, "identitytoken");
        json_w_str(w, a->identity_token);
    } else if (!str_empty(a->username)) {
        buf_printf(&plain, "%s:%s", a->username, a->password);
        base64_encode(plain.data, plain.len, false, &text);
        json_w_key(w, "auth");
        json_w_str(w, text.data);
    }
    json_w_end_obj(w);
}

static void put_auths(struct json_w *w, const struct json *old, const char *registry,
                      const struct auth_config *a)
{
    json_w_key(w, "auths");
    json_w_obj(w);
    for (const struct json *m = old ? old->child : NULL; m; m = m->next) {
        if (str_eq(m->key, registry))
            continue;
        json_w_key(w, m->key);
        json_w_raw(w, m->raw, m->raw_len);
    }
    if (a) {
        json_w_key(w, registry);
        put_auth(w, a);
    }
    json_w_end_obj(w);
}

int config_store_auth(struct cli *cli, const char *registry, const struct auth_config *auth,
                      struct err *err)
{
    auto_buf struct buf text = BUF_INIT, pretty = BUF_INIT;
    struct json_w w = {.out = &text};
    char *path = arena_printf(&cli->arena, "%s/config.json", cli->config.dir);
    const struct json *root = cli->config.root;
    const char *helper = creds_helper(cli, registry);
    const struct auth_config elsewhere = {0};

    if (helper) { /* it keeps the secret, the file only knows that there is one */
        int r = creds_store(helper, registry, auth, err);
        if (r < 0)
            return r;
        auth = auth ? &elsewhere : NULL;
    }
    if (!auth && !json_get(json_get(root, "auths"), registry))
        return 0;
    json_w_obj(&w);
    for (const struct json *m = root ? root->child : NULL; m; m = m->next) {
        if (str_eq(m->key, "auths"))
            continue;
        json_w_key(&w, m->key);
        json_w_raw(&w, m->raw, m->raw_len);
    }
    put_auths(&w, json_get(root, "auths"), registry, auth);
    json_w_end_obj(&w);
    json_pretty(text.data, text.len, "", "\t", &pretty);
    int r = mkdir_p_at(AT_FDCWD, cli->config.dir, 0700, err);
    return r < 0 ? r : write_file_at(AT_FDCWD, path, 0600, pretty.data, pretty.len, true, err);
}
