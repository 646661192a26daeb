/* server.c: the HTTPS server of an RA, in threads of the program's process. */
#include "api/ra/ra.h"

#include <pthread.h>
#include <signal.h>

#include <event2/event.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>

struct dot2hsm_ra_server {
    dot2hsm_ra *ra; /* of the store and the limits */
    ra_server *server;
    pthread_t thread; /* waits for the loops */
    dot2hsm_ra_log_fn *log;
    void *log_arg;
};

static void on_line(void *arg, int priority, const char *line)
{
    const dot2hsm_ra_server *server = arg;

    if (server->log != NULL)
        server->log(server->log_arg, priority, line);
}

static dot2hsm_status make_tls(const dot2hsm_ra *ra, const char *chain, const dot2hsm_key *key,
                               const char *ocsp_file, SSL_CTX **tls, dot2hsm_error *error)
{
    char text[400] = "";

    *tls = ra_tls_new(dot2hsm_ctx_libctx(ra->ctx), chain, dot2hsm_key_evp(key), text, sizeof(text));
    if (*tls == NULL)
        return api_fail(error, DOT2HSM_E_SERVER, text);
    if (ocsp_file == NULL || ra_tls_set_ocsp(*tls, ocsp_file, text, sizeof(text)) == 0)
        return DOT2HSM_OK;
    SSL_CTX_free(*tls);
    *tls = NULL;
    return api_fail(error, DOT2HSM_E_SERVER, text);
}

static void *run(void *arg)
{
    const dot2hsm_ra_server *server = arg;

    return ra_server_run(server->server) == 0 ? NULL : arg;
}

/* The thread, and so the loops that it makes, get no signal. */
static bool start(dot2hsm_ra_server *server)
{
    sigset_t all, before;
    bool started;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    started = pthread_create(&server->thread, NULL, run, server) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

static void release(dot2hsm_ra_server *server)
{
    ra_server_free(server->server);
    dot2hsm_ra_free(server->ra);
    OPENSSL_free(server);
}

static struct ra_server_config config_of(dot2hsm_ra *ra,
                                         const struct dot2hsm_ra_server_options *options,
                                         dot2hsm_ra_server *server)
{
    return (struct ra_server_config){
        .address = options->address,
        .port = options->port,
        .threads = options->threads,
        .download_dir = options->download_dir,
        .policy_file = options->policy_file,
        .chain_file = options->chain_file,
        .url_base = options->url_base,
        .stage = options->stage_qa ? RA_STAGE_QA : RA_STAGE_PROD,
        .on_auth_failure = options->close_on_refusal ? RA_CLOSE : RA_ANSWER,
        .tolerance = ra->tolerance,
        .max_connections = options->max_connections,
        .max_per_address = options->max_per_address,
        .stop_deadline = options->stop_deadline,
        .log = on_line,
        .log_arg = server,
        .keys = ra->keys,
        .require_secured = ra->require_secured,
        .provision = ra->provision,
    };
}

dot2hsm_status dot2hsm_ra_server_start(dot2hsm_ra *ra,
                                       const struct dot2hsm_ra_server_options *options,
                                       dot2hsm_ra_server **server, dot2hsm_error *error)
{
    struct dot2hsm_ra_server_options taken;
    struct ra_server_config config;
    dot2hsm_ra_server *made = NULL;
    SSL_CTX *tls = NULL;
    dot2hsm_status code;
    char text[400] = "";

    api_begin(error);
    if (server != NULL)
        *server = NULL;
    if (ra == NULL || server == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    if (!api_take(&taken, sizeof(taken), options, sizeof(taken)))
        return api_fail(error, DOT2HSM_E_ARGUMENT, "options: size is wrong");
    if (taken.tls_chain == NULL || taken.tls_key == NULL || taken.download_dir == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "tls_chain, tls_key or download_dir is NULL");
    atomic_store(&ra->used, true);
    made = OPENSSL_zalloc(sizeof(*made));
    if (made == NULL)
        return api_fail(error, DOT2HSM_E_MEMORY, NULL);
    made->ra = api_ra_up_ref(ra);
    made->log = taken.log;
    made->log_arg = taken.log_arg;
    code = make_tls(ra, taken.tls_chain, taken.tls_key, taken.ocsp_file, &tls, error);
    if (code == DOT2HSM_OK) {
        config = config_of(ra, &taken, made);
        made->server = ra_server_new(&config, ra->crypto, tls, ra->trust, ra->store->store, text,
                                     sizeof(text));
        if (made->server == NULL)
            code = api_fail(error, DOT2HSM_E_SERVER, text);
    }
    SSL_CTX_free(tls);
    if (code == DOT2HSM_OK && !start(made))
        code = api_fail(error, DOT2HSM_E_SERVER, "no thread can be made");
    if (code == DOT2HSM_OK)
        *server = made;
    else
        release(made);
    return code;
}

uint16_t dot2hsm_ra_server_port(const dot2hsm_ra_server *server)
{
    return server == NULL ? 0 : ra_server_port(server->server);
}

dot2hsm_status dot2hsm_ra_server_use(dot2hsm_ra_server *server, dot2hsm_ra *ra,
                                     dot2hsm_error *error)
{
    char text[400] = "";

    api_begin(error);
    if (server == NULL || ra == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    if (dot2hsm_ctx_libctx(ra->ctx) != dot2hsm_ctx_libctx(server->ra->ctx) ||
        ra->store != server->ra->store || (ra->keys == NULL) != (server->ra->keys == NULL))
        return api_fail(
            error, DOT2HSM_E_ARGUMENT,
            "another context or store, or keys where there were none, or none where there were");
    if (ra->keys != NULL && ra_server_set_keys(server->server, ra->keys, text, sizeof(text)) != 0)
        return api_fail(error, DOT2HSM_E_SERVER, text);
    atomic_store(&ra->used, true);
    ra_server_set_trust(server->server, ra->trust);
    api_ra_up_ref(ra);
    dot2hsm_ra_free(server->ra);
    server->ra = ra;
    return DOT2HSM_OK;
}

dot2hsm_status dot2hsm_ra_server_set_tls(dot2hsm_ra_server *server, const char *tls_chain,
                                         const dot2hsm_key *tls_key, const char *ocsp_file,
                                         dot2hsm_error *error)
{
    SSL_CTX *tls = NULL;
    dot2hsm_status code;

    api_begin(error);
    if (server == NULL || tls_chain == NULL || tls_key == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    code = make_tls(server->ra, tls_chain, tls_key, ocsp_file, &tls, error);
    if (code == DOT2HSM_OK)
        ra_server_set_tls(server->server, tls);
    SSL_CTX_free(tls);
    return code;
}

void dot2hsm_ra_server_stop(dot2hsm_ra_server *server)
{
    if (server == NULL)
        return;
    ra_server_stop(server->server);
    pthread_join(server->thread, NULL);
    release(server);
}

static void drop(int severity, const char *message)
{
    (void)severity;
    (void)message;
}

void dot2hsm_ra_quiet_libevent(void)
{
    event_set_log_callback(drop);
}
