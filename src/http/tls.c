#include "http/tls.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/mem.h"

/*
 * OpenSSL's functions are called through a table that dlopen(3) fills. A context holds the table:
 * there is no file-scope state, and the library is opened once per context, which is once per
 * process.
 */
#define SSL_FUNCTIONS(X)                                                                           \
    X(TLS_server_method)                                                                           \
    X(TLS_client_method)                                                                           \
    X(SSL_CTX_new)                                                                                 \
    X(SSL_CTX_free)                                                                                \
    X(SSL_CTX_ctrl)                                                                                \
    X(SSL_CTX_use_certificate_chain_file)                                                          \
    X(SSL_CTX_use_PrivateKey_file)                                                                 \
    X(SSL_CTX_check_private_key)                                                                   \
    X(SSL_CTX_load_verify_locations)                                                               \
    X(SSL_CTX_set_default_verify_paths)                                                            \
    X(SSL_CTX_set_verify)                                                                          \
    X(SSL_CTX_set_client_CA_list)                                                                  \
    X(SSL_load_client_CA_file)                                                                     \
    X(SSL_new)                                                                                     \
    X(SSL_free)                                                                                    \
    X(SSL_ctrl)                                                                                    \
    X(SSL_set_fd)                                                                                  \
    X(SSL_get0_param)                                                                              \
    X(SSL_set1_host)                                                                               \
    X(SSL_accept)                                                                                  \
    X(SSL_connect)                                                                                 \
    X(SSL_read)                                                                                    \
    X(SSL_write)                                                                                   \
    X(SSL_pending)                                                                                 \
    X(SSL_shutdown)                                                                                \
    X(SSL_get_error)                                                                               \
    X(SSL_get_verify_result)                                                                       \
    X(X509_verify_cert_error_string)                                                               \
    X(X509_VERIFY_PARAM_set1_ip_asc)                                                               \
    X(ERR_get_error)                                                                               \
    X(ERR_clear_error)                                                                             \
    X(ERR_error_string_n)                                                                          \
    X(ERR_reason_error_string)

struct ssl_api {
    void *lib;
#define X(name) __typeof__(&name) name;
    SSL_FUNCTIONS(X)
#undef X
};

struct tls_ctx {
    struct ssl_api api;
    SSL_CTX *ctx;
    bool verify;
};

struct tls_stream {
    struct stream base;
    const struct ssl_api *api;
    SSL *ssl;
    const char *why; /* static text of OpenSSL's, such as an alert of the peer's */
};

static int load_api(struct ssl_api *api, struct err *err)
{
    static const char *const names[] = {
#define X(name) #name,
        SSL_FUNCTIONS(X)
#undef X
    };

    /* Opening libssl brings libcrypto with it; both are searched through the one handle. */
    api->lib = dlopen("libssl.so.3", RTLD_NOW | RTLD_LOCAL);
    if (!api->lib)
        return err_as(err, ERR_UNAVAILABLE, ELIBACC, "TLS needs libssl.so.3: %s", dlerror());
    char *slot = (char *)api + offsetof(struct ssl_api, TLS_server_method);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++, slot += sizeof(void *)) {
        void *fn = dlsym(api->lib, names[i]);
        if (!fn)
            return err_as(err, ERR_UNAVAILABLE, ELIBBAD, "libssl.so.3 has no %s", names[i]);
        memcpy(slot, &fn, sizeof(fn));
    }
    return 0;
}

/* OpenSSL's own reason for a failure, as an error of ours. */
static int ssl_err(const struct ssl_api *api, struct err *err, const char *what)
{
    char text[256] = "unknown error";
    unsigned long code = api->ERR_get_error();

    if (code)
        api->ERR_error_string_n(code, text, sizeof(text));
    api->ERR_clear_error();
    return err_as(err, ERR_UNAVAILABLE, EPROTO, "%s: %s", what, text);
}

static int load_files(struct tls_ctx *t, bool server, const struct tls_opts *o, struct err *err)
{
    const struct ssl_api *api = &t->api;

    if (o->cert_file && api->SSL_CTX_use_certificate_chain_file(t->ctx, o->cert_file) != 1)
        return ssl_err(api, err, o->cert_file);
    if (o->key_file &&
        (api->SSL_CTX_use_PrivateKey_file(t->ctx, o->key_file, SSL_FILETYPE_PEM) != 1 ||
         api->SSL_CTX_check_private_key(t->ctx) != 1))
        return ssl_err(api, err, o->key_file);
    if (o->ca_file && api->SSL_CTX_load_verify_locations(t->ctx, o->ca_file, NULL) != 1)
        return ssl_err(api, err, o->ca_file);
    if (!o->ca_file && !server)
        api->SSL_CTX_set_default_verify_paths(t->ctx);
    for (const char *const *f = o->more_ca_files; f && *f; f++)
        if (api->SSL_CTX_load_verify_locations(t->ctx, *f, NULL) != 1)
            return ssl_err(api, err, *f);
    if (o->ca_file && server)
        api->SSL_CTX_set_client_CA_list(t->ctx, api->SSL_load_client_CA_file(o->ca_file));
    return 0;
}

static int make_ctx(struct tls_ctx *t, bool server, const struct tls_opts *o, struct err *err)
{
    const struct ssl_api *api = &t->api;

    t->ctx = api->SSL_CTX_new(server ? api->TLS_server_method() : api->TLS_client_method());
    if (!t->ctx)
        return ssl_err(api, err, "make TLS context");
    api->SSL_CTX_ctrl(t->ctx, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL);
    api->SSL_CTX_ctrl(t->ctx, SSL_CTRL_MODE,
                      SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                          SSL_MODE_RELEASE_BUFFERS,
                      NULL);
    int mode = SSL_VERIFY_NONE;
    if (o->verify)
        mode = SSL_VERIFY_PEER | (server ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    api->SSL_CTX_set_verify(t->ctx, mode, NULL);
    t->verify = o->verify;
    return load_files(t, server, o, err);
}

DEFINE_AUTO(ctx, struct tls_ctx *, tls_ctx_free)

int tls_ctx_new(bool server, const struct tls_opts *opts, struct tls_ctx **ret, struct err *err)
{
    AUTO(auto_ctx_) struct tls_ctx *t = xnew(struct tls_ctx);
    int r = load_api(&t->api, err);

    if (r < 0 || (r = make_ctx(t, server, opts, err)) < 0)
        return r;
    (void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes with write(2), which cannot be told not to */
    *ret = take_ptr(&t);
    return 0;
}

void tls_ctx_free(struct tls_ctx *t)
{
    if (!t)
        return;
    if (t->ctx)
        t->api.SSL_CTX_free(t->ctx);
    /* libssl stays loaded: it registers an exit handler. */
    free(t);
}

static struct tls_stream *tls_of(struct stream *s)
{
    return (struct tls_stream *)s;
}

static ssize_t result(struct tls_stream *t, int n)
{
    int saved = errno;

    switch (t->api->SSL_get_error(t->ssl, n)) {
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return -EAGAIN;
    case SSL_ERROR_SYSCALL:
        return saved ? -saved : -ECONNRESET;
    default:
        t->why = t->api->ERR_reason_error_string(t->api->ERR_get_error());
        return -EPROTO;
    }
}

static ssize_t tls_read(struct stream *s, void *p, size_t n)
{
    struct tls_stream *t = tls_of(s);

    errno = 0;
    t->api->ERR_clear_error();
    int r = t->api->SSL_read(t->ssl, p, n > INT_MAX ? INT_MAX : (int)n);
    return r > 0 ? r : result(t, r);
}

static ssize_t tls_write(struct stream *s, const void *p, size_t n)
{
    struct tls_stream *t = tls_of(s);

    errno = 0;
    t->api->ERR_clear_error();
    int r = t->api->SSL_write(t->ssl, p, n > INT_MAX ? INT_MAX : (int)n);
    if (r > 0)
        return r;
    ssize_t e = result(t, r);
    return e ? e : -EPIPE;
}

static int tls_shutdown(struct stream *s)
{
    struct tls_stream *t = tls_of(s);

    t->api->ERR_clear_error();
    return t->api->SSL_shutdown(t->ssl) < 0 ? -ECONNRESET : 0;
}

static bool tls_pending(struct stream *s)
{
    return tls_of(s)->api->SSL_pending(tls_of(s)->ssl) > 0;
}

static const char *tls_why(struct stream *s)
{
    return tls_of(s)->why;
}

static void tls_free(struct stream *s)
{
    tls_of(s)->api->ERR_clear_error();
    tls_of(s)->api->SSL_free(tls_of(s)->ssl);
    free(s);
}

static const struct stream_ops tls_ops = {
    .read = tls_read,
    .write = tls_write,
    .shutdown = tls_shutdown,
    .pending = tls_pending,
    .why = tls_why,
    .free = tls_free,
};

DEFINE_AUTO(stream, struct stream *, stream_free)

static struct stream *tls_new(struct tls_ctx *ctx, int fd)
{
    struct tls_stream *t = xnew(struct tls_stream);

    t->base.ops = &tls_ops;
    t->base.fd = fd;
    t->api = &ctx->api;
    t->ssl = ctx->api.SSL_new(ctx->ctx);
    if (!t->ssl)
        abort(); /* only without memory */
    ctx->api.SSL_set_fd(t->ssl, fd);
    return &t->base;
}

/* The descriptor stays the caller's. */
static int refused(struct tls_ctx *ctx, struct stream *s, struct err *err)
{
    const struct ssl_api *api = &ctx->api;
    long why = api->SSL_get_verify_result(tls_of(s)->ssl);

    s->fd = -1;
    if (ctx->verify && why != X509_V_OK) {
        api->ERR_clear_error();
        return err_as(err, ERR_UNAVAILABLE, EPROTO, "tls: failed to verify certificate: %s",
                      api->X509_verify_cert_error_string(why));
    }
    return ssl_err(api, err, "TLS handshake");
}

int tls_accept(struct tls_ctx *ctx, int fd, struct stream **ret, struct err *err)
{
    AUTO(auto_stream_) struct stream *s = tls_new(ctx, fd);

    if (ctx->api.SSL_accept(tls_of(s)->ssl) != 1)
        return refused(ctx, s, err);
    *ret = take_ptr(&s);
    return 0;
}

static void set_name(struct tls_ctx *ctx, SSL *ssl, const char *host)
{
    const struct ssl_api *api = &ctx->api;
    unsigned char ip[16];

    if (inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1) {
        api->X509_VERIFY_PARAM_set1_ip_asc(api->SSL_get0_param(ssl), host);
        return;
    }
    api->SSL_set1_host(ssl, host);
    api->SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                  (void *)(uintptr_t)host);
}

int tls_connect(struct tls_ctx *ctx, int fd, const char *host, struct stream **ret, struct err *err)
{
    AUTO(auto_stream_) struct stream *s = tls_new(ctx, fd);

    set_name(ctx, tls_of(s)->ssl, host);
    if (ctx->api.SSL_connect(tls_of(s)->ssl) != 1)
        return refused(ctx, s, err);
    *ret = take_ptr(&s);
    return 0;
}
