#include "base/test.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <sys/socket.h>

#include "http/stream.h"
#include "http/tls.h"

/* A key and a certificate for "localhost", signed by itself, as two PEM files. */
static void make_cert(const char *cert_path, const char *key_path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);

    CHECK(key);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1,
                               0);
    X509_set_issuer_name(x, name);
    X509_EXTENSION *alt =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    X509_add_ext(x, alt, -1);
    CHECK(X509_sign(x, key, EVP_sha256()));
    FILE *f = fopen(cert_path, "we");
    CHECK(f && PEM_write_X509(f, x));
    fclose(f);
    f = fopen(key_path, "we");
    CHECK(f && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL));
    fclose(f);
    X509_EXTENSION_free(alt);
    X509_free(x);
    EVP_PKEY_free(key);
}

struct fixture {
    char dir[32], cert[64], key[64];
    struct tls_ctx *server;
    int sv[2];
    pthread_t thread;
};

/* Echoes until the client's end, then says so. */
static void *serve(void *arg)
{
    struct fixture *f = arg;
    struct stream *s = NULL;
    char tmp[100];
    ssize_t n;

    if (tls_accept(f->server, f->sv[0], &s, NULL) < 0) {
        close(f->sv[0]);
        return NULL;
    }
    while ((n = stream_read(s, tmp, sizeof(tmp))) > 0)
        if (stream_write(s, tmp, (size_t)n) < 0)
            break;
    (void)!stream_write(s, ".", 1);
    (void)stream_shutdown(s);
    stream_free(s);
    return NULL;
}

static void setup(struct fixture *f, bool client_cert)
{
    struct err e = {0};

    *f = (struct fixture){.dir = "/tmp/cleat-tls-XXXXXX"};
    CHECK(mkdtemp(f->dir));
    (void)snprintf(f->cert, sizeof(f->cert), "%s/cert", f->dir);
    (void)snprintf(f->key, sizeof(f->key), "%s/key", f->dir);
    make_cert(f->cert, f->key);
    struct tls_opts o = {.cert_file = f->cert,
                         .key_file = f->key,
                         .ca_file = client_cert ? f->cert : NULL,
                         .verify = client_cert};
    CHECK_OK(tls_ctx_new(true, &o, &f->server, &e));
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, f->sv), 0);
    CHECK_INT(pthread_create(&f->thread, NULL, serve, f), 0);
}

static void teardown(struct fixture *f)
{
    pthread_join(f->thread, NULL);
    tls_ctx_free(f->server);
    unlink(f->cert);
    unlink(f->key);
    CHECK_INT(rmdir(f->dir), 0);
}

/* Connect as @host and exchange a word; Return: 0 or the handshake's error. */
static int try(struct fixture *f, const struct tls_opts *o, const char *host)
{
    struct err e = {0};
    struct tls_ctx *ctx = NULL;
    struct stream *s = NULL;
    char tmp[10] = "";
    size_t len = 0;
    ssize_t n;

    CHECK_OK(tls_ctx_new(false, o, &ctx, &e));
    int r = tls_connect(ctx, f->sv[1], host, &s, &e);
    if (r < 0) {
        close(f->sv[1]);
        tls_ctx_free(ctx);
        return r;
    }
    r = stream_write(s, "hi", 2);
    (void)stream_shutdown(s);
    while ((n = stream_read(s, tmp + len, sizeof(tmp) - len)) > 0)
        len += (size_t)n;
    stream_free(s);
    tls_ctx_free(ctx);
    if (n < 0)
        return (int)n;
    CHECK_STR(tmp, "hi.");
    return r;
}

TEST(tls_with_a_name_that_fits)
{
    struct fixture f;

    setup(&f, false);
    CHECK_INT(try(&f, &(struct tls_opts){.ca_file = f.cert, .verify = true}, "localhost"), 0);
    teardown(&f);
}

TEST(tls_with_an_address_that_fits)
{
    struct fixture f;

    setup(&f, false);
    CHECK_INT(try(&f, &(struct tls_opts){.ca_file = f.cert, .verify = true}, "127.0.0.1"), 0);
    teardown(&f);
}

TEST(tls_with_a_wrong_name_is_refused)
{
    struct fixture f;

    setup(&f, false);
    CHECK_INT(try(&f, &(struct tls_opts){.ca_file = f.cert, .verify = true}, "example.org"),
              -EPROTO);
    teardown(&f);
}

TEST(tls_server_demands_a_certificate)
{
    struct fixture f;

    setup(&f, true);
    CHECK(try(&f, &(struct tls_opts){.ca_file = f.cert, .verify = true}, "localhost") < 0);
    teardown(&f);
}

TEST(tls_server_takes_a_good_certificate)
{
    struct fixture f;

    setup(&f, true);
    struct tls_opts o = {.ca_file = f.cert, .cert_file = f.cert, .key_file = f.key, .verify = true};
    CHECK_INT(try(&f, &o, "localhost"), 0);
    teardown(&f);
}

TEST(tls_bad_files_are_named)
{
    struct err e = {0};
    struct tls_ctx *ctx = NULL;

    CHECK_INT(tls_ctx_new(true, &(struct tls_opts){.cert_file = "/nonexistent"}, &ctx, &e),
              -EPROTO);
    CHECK(strstr(e.msg, "/nonexistent"));
}
