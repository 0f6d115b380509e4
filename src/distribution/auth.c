#include "distribution/auth.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/base64.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/time.h"
#include "distribution/error.h"
#include "http/query.h"

#define REPLY_MAX (1u << 20)
#define TOKEN_MAX (256u << 10) /* bytes; it goes into every request's head */
#define LIFE_S 60              /* of a token that does not say, as the specification has it */
#define SPARE_S 5              /* a token is replaced so long before its end */
#define TOKENS_MAX 64

struct token {
    char *scope, *text;
    int64_t until_ns; /* monotonic */
};

struct auth {
    struct transport *t;
    struct arena mem;
    struct url registry;
    struct dist_credentials cred;
    pthread_mutex_t lock;
    bool basic, bearer; /* what the registry asks for */
    char *realm, *service;
    char *refresh;
    struct {
        struct token *v;
        size_t n;
    } tokens;
};

static char *copy(struct auth *au, const char *s)
{
    return str_empty(s) ? NULL : arena_strdup(&au->mem, s);
}

struct auth *auth_new(struct transport *t, const struct url *registry,
                      const struct dist_credentials *cred)
{
    struct auth *au = xnew(struct auth);

    au->t = t;
    au->registry = *registry;
    au->registry.target = au->registry.user = NULL;
    if (cred)
        au->cred = (struct dist_credentials){copy(au, cred->username), copy(au, cred->password),
                                             copy(au, cred->identity_token),
                                             copy(au, cred->registry_token)};
    (void)pthread_mutex_init(&au->lock, NULL);
    return au;
}

void auth_free(struct auth *au)
{
    if (!au)
        return;
    arena_done(&au->mem);
    (void)pthread_mutex_destroy(&au->lock);
    free(au);
}

/* ---- tokens ---- */

static char *basic_header(const struct auth *au, struct arena *a)
{
    auto_buf struct buf plain = BUF_INIT, coded = BUF_INIT;

    buf_printf(&plain, "%s:%s", str_or(au->cred.username, ""), str_or(au->cred.password, ""));
    base64_encode(plain.data, plain.len, false, &coded);
    return arena_printf(a, "Basic %s", buf_str(&coded));
}

static bool has_password(const struct auth *au)
{
    return !str_empty(au->cred.username) && !str_empty(au->cred.password);
}

static bool has_secret(const struct auth *au)
{
    return has_password(au) || au->cred.identity_token;
}

static struct token *find_token(struct auth *au, const char *scope)
{
    for (size_t i = 0; i < au->tokens.n; i++)
        if (strcmp(au->tokens.v[i].scope, scope) == 0)
            return &au->tokens.v[i];
    return NULL;
}

/*
 * May the password go there? A realm is named by the registry. It was really the registry that
 * named it if we know its certificate; else the realm must be at the same host, or at one that the
 * administrator calls insecure, too.
 */
static int check_realm(const struct auth *au, const struct url *realm, struct err *err)
{
    const struct dist_config *c = transport_config(au->t);

    if (!realm->https && !dist_is_insecure(c, realm))
        return err_as(err, ERR_DENIED, EPERM,
                      "the registry %s wants a token from %s, which has no TLS", au->registry.host,
                      realm->host);
    if (has_secret(au) && (!au->registry.https || dist_is_insecure(c, &au->registry)) &&
        strcmp(realm->host, au->registry.host) != 0 && !dist_is_insecure(c, realm))
        return err_as(err, ERR_DENIED, EPERM,
                      "the insecure registry %s wants the password to be sent to %s",
                      au->registry.host, realm->host);
    return 0;
}

/* With a password, or as nobody: GET. */
static int ask_by_get(struct auth *au, const struct url *realm, const struct strv *scopes,
                      struct http_reply **ret, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf target = BUF_INIT;
    struct http_call call = {.method = "GET"};
    struct url u = *realm;

    buf_puts(&target, realm->target);
    if (has_password(au))
        query_add(&target, "account", au->cred.username);
    for (size_t i = 0; i < scopes->n; i++)
        query_add(&target, "scope", scopes->v[i]);
    if (au->service)
        query_add(&target, "service", au->service);
    if (has_password(au) && scopes->n == 0) { /* login: something to keep in place of it */
        query_add(&target, "client_id", "cleat");
        query_add(&target, "offline_token", "true");
    }
    u.target = buf_str(&target);
    if (has_password(au))
        strmap_set(&a, &call.headers, "Authorization", basic_header(au, &a));
    return transport_send(au->t, &u, &call, ret, err);
}

static void add_form(struct buf *form, const char *key, const char *val)
{
    /* query_add() begins with "?", which a form does not have. */
    query_add(form, key, val);
}

/* With an identity token: OAuth2. */
static int ask_by_post(struct auth *au, const struct url *realm, const struct strv *scopes,
                       struct http_reply **ret, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf form = BUF_INIT;

    add_form(&form, "grant_type", "refresh_token");
    add_form(&form, "client_id", "cleat");
    add_form(&form, "service", str_or(au->service, ""));
    add_form(&form, "refresh_token", au->cred.identity_token);
    if (scopes->n)
        add_form(&form, "scope", strv_join(&a, scopes, " "));
    struct http_call call = {.method = "POST",
                             .body = form.data + 1,
                             .body_len = form.len - 1,
                             .content_type = "application/x-www-form-urlencoded"};
    return transport_send(au->t, realm, &call, ret, err);
}

static int parse_token(struct auth *au, const char *text, size_t len, const char *scope,
                       struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    struct json *j = NULL;
    int64_t life = 0;
    int r = json_parse(text, len, &a, &j, err);

    if (r < 0)
        return err_wrap(err, r, "answer of the token server");
    const char *token = str_or(json_str(j, "token"), json_str(j, "access_token"));
    if (str_empty(token) || strlen(token) > TOKEN_MAX || token[strcspn(token, "\r\n")])
        return err_as(err, ERR_UNAVAILABLE, EBADMSG,
                      "authorization server did not include a token "
                      "in the response");
    if (json_i64(json_get(j, "expires_in"), &life) < 0 || life < LIFE_S || life > 86400)
        life = LIFE_S;
    if (!str_empty(json_str(j, "refresh_token")))
        au->refresh = arena_strdup(&au->mem, json_str(j, "refresh_token"));
    struct token *t = find_token(au, scope);
    if (!t && au->tokens.n == TOKENS_MAX)
        au->tokens.n = 0; /* they can all be had again */
    if (!t) {
        t = &arena_push(&au->mem, au->tokens);
        *t = (struct token){.scope = arena_strdup(&au->mem, scope)};
    }
    t->text = arena_strdup(&au->mem, token);
    t->until_ns = mono_ns() + (life - SPARE_S) * NS_PER_S;
    return 0;
}

/* The lock is held, so that one thread asks for all. */
static int fetch_token(struct auth *au, const struct strv *scopes, const char *scope,
                       struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    auto_buf struct buf text = BUF_INIT;
    struct http_reply *reply = NULL;
    struct url realm;
    int r = url_parse(au->realm, &a, &realm, err);

    if (r >= 0)
        r = check_realm(au, &realm, err);
    if (r >= 0)
        r = au->cred.identity_token ? ask_by_post(au, &realm, scopes, &reply, err)
                                    : ask_by_get(au, &realm, scopes, &reply, err);
    if (r < 0)
        return r;
    if (http_reply_status(reply) != 200)
        r = dist_refused(reply, realm.host, err);
    else
        r = http_reply_all(reply, REPLY_MAX, &text, err);
    http_reply_free(reply);
    return r < 0 ? r : parse_token(au, text.data, text.len, scope, err);
}

/* ---- the calls ---- */

static int header_locked(struct auth *au, const struct strv *scopes, const char *scope,
                         struct arena *a, char **ret, struct err *err)
{
    *ret = NULL;
    if (au->cred.registry_token) {
        *ret = arena_printf(a, "Bearer %s", au->cred.registry_token);
        return 0;
    }
    if (au->basic) {
        *ret = basic_header(au, a);
        return 0;
    }
    if (!au->bearer)
        return 0;
    const struct token *t = find_token(au, scope);
    if (!t || t->until_ns <= mono_ns()) {
        int r = fetch_token(au, scopes, scope, err);
        if (r < 0)
            return r;
        t = find_token(au, scope);
    }
    *ret = arena_printf(a, "Bearer %s", t->text);
    return 0;
}

int auth_header(struct auth *au, const struct strv *scopes, struct arena *a, char **ret,
                struct err *err)
{
    const char *scope = scopes->n ? strv_join(a, scopes, " ") : "";

    (void)pthread_mutex_lock(&au->lock);
    int r = header_locked(au, scopes, scope, a, ret, err);
    (void)pthread_mutex_unlock(&au->lock);
    return r;
}

static void learn(struct auth *au, const struct challenges *c)
{
    const struct challenge *bearer = challenge_find(c, "bearer");

    au->bearer = au->basic = false;
    if (bearer && !str_empty(strmap_get(&bearer->params, "realm"))) {
        au->bearer = true;
        au->realm = arena_strdup(&au->mem, strmap_get(&bearer->params, "realm"));
        au->service = copy(au, strmap_get(&bearer->params, "service"));
    } else if (challenge_find(c, "basic") && has_password(au)) {
        au->basic = true;
    }
}

int auth_answer(struct auth *au, const struct challenges *c, const struct strv *scopes,
                const char *used, struct err *err)
{
    auto_arena struct arena a = ARENA_INIT;
    const char *scope = scopes->n ? strv_join(&a, scopes, " ") : "";
    char *now = NULL;

    (void)pthread_mutex_lock(&au->lock);
    struct token *t = find_token(au, scope);
    /* The token that was refused is of no use; another thread may have a newer one already. */
    if (t && used && str_eq(str_starts(used, "Bearer "), t->text))
        t->until_ns = 0;
    learn(au, c);
    int r = header_locked(au, scopes, scope, &a, &now, err);
    (void)pthread_mutex_unlock(&au->lock);
    return r < 0 ? r : now && !str_eq(now, used);
}

char *auth_refresh_token(struct auth *au, struct arena *a)
{
    (void)pthread_mutex_lock(&au->lock);
    char *out = au->refresh ? arena_strdup(a, au->refresh) : NULL;
    (void)pthread_mutex_unlock(&au->lock);
    return out;
}
