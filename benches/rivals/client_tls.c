/*
 * What wrk and h2load can't be told about TLS, told to OpenSSL below them (LD_PRELOAD): which
 * certificate to show (CLIENT_CERT, CLIENT_KEY) and whether to resume sessions (CLIENT_RESUME: 1
 * always, 0 never). At the end it says how many handshakes were full and how many resumed, so that
 * a round can prove what it measured. The few prototypes stand here so that it builds without
 * OpenSSL's headers.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct ssl SSL;
typedef struct ctx SSL_CTX;
typedef struct session SSL_SESSION;

long SSL_CTX_ctrl(SSL_CTX *, int, long, void *);
int SSL_CTX_use_certificate_chain_file(SSL_CTX *, const char *);
int SSL_CTX_use_PrivateKey_file(SSL_CTX *, const char *, int);
void SSL_CTX_sess_set_new_cb(SSL_CTX *, int (*)(SSL *, SSL_SESSION *));
int SSL_in_before(const SSL *);
int SSL_is_init_finished(const SSL *);
int SSL_session_reused(const SSL *);
int SSL_set_session(SSL *, SSL_SESSION *);
void SSL_SESSION_free(SSL_SESSION *);

enum { PEM = 1, SET_SESSION_CACHE_MODE = 44, CLIENT_WITHOUT_STORE = 0x0001 | 0x0300 };

static SSL_SESSION *kept;
static unsigned long full, resumed;

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) {
        fprintf(stderr, "client_tls: no %s\n", name);
        abort();
    }
    return found;
}

static int keep(SSL *ssl, SSL_SESSION *session) {
    (void)ssl;
    if (kept)
        SSL_SESSION_free(kept);
    kept = session;
    return 1;
}

SSL_CTX *SSL_CTX_new(const void *method) {
    SSL_CTX *(*make)(const void *) = real("SSL_CTX_new");
    SSL_CTX *ctx = make(method);
    const char *cert = getenv("CLIENT_CERT"), *key = getenv("CLIENT_KEY");
    if (ctx && cert && key
        && (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1
            || SSL_CTX_use_PrivateKey_file(ctx, key, PEM) != 1)) {
        fprintf(stderr, "client_tls: no certificate in %s\n", cert);
        abort();
    }
    if (ctx && getenv("CLIENT_RESUME")) {
        SSL_CTX_ctrl(ctx, SET_SESSION_CACHE_MODE, CLIENT_WITHOUT_STORE, NULL);
        SSL_CTX_sess_set_new_cb(ctx, keep);
    }
    return ctx;
}

static int shake(const char *name, SSL *ssl) {
    int (*go)(SSL *) = real(name);
    const char *resume = getenv("CLIENT_RESUME");
    if (SSL_is_init_finished(ssl))
        return go(ssl);
    if (resume && SSL_in_before(ssl))
        SSL_set_session(ssl, *resume == '1' ? kept : NULL);
    int done = go(ssl);
    if (done == 1)
        *(SSL_session_reused(ssl) ? &resumed : &full) += 1;
    return done;
}

int SSL_connect(SSL *ssl) { return shake("SSL_connect", ssl); }
int SSL_do_handshake(SSL *ssl) { return shake("SSL_do_handshake", ssl); }

__attribute__((destructor)) static void report(void) {
    fprintf(stderr, "handshakes: %lu full, %lu resumed\n", full, resumed);
}
