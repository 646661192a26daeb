/*
 * main.c: dot2hsm-ra, the server of a registration authority.
 *
 * The thread of main waits for signals; the loops of the server have threads of their own.
 */
#include "apps/ra/ra_app.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <syslog.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/err.h>

static const char usage[] =
    "Usage: dot2hsm-ra [--check] CONFIG\n"
    "Serve downloads of a registration authority over HTTPS.\n"
    "\n"
    "  --check    read the configuration, open keys, certificates and store, then end\n"
    "  --version  print the version\n"
    "  --help     print this\n"
    "\n"
    "SIGHUP reads certificates, the TLS key, policy and chain file names anew and opens the log\n"
    "again; SIGTERM and SIGINT finish open requests. CONFIG is described in dot2hsm-ra(8).\n"
    "\n"
    "Exit codes: 0 ended as asked, 2 usage or configuration, 3 the HSM, the store or the port\n"
    "cannot be reached.\n";

struct program {
    const char *path; /* of the configuration */
    struct ra_app_config config;
    OSSL_LIB_CTX *libctx;
    dot2_crypto *crypto;
    EVP_PKEY *key;
    SSL_CTX *tls;
    dot2_trust *trust;
    ra_store *store;
    ra_server *server;
    sigset_t signals;
};

/* libevent's own complaints go where the others go. */
static void on_libevent(int severity, const char *message)
{
    static const int priorities[] = {LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR};

    ra_app_say(severity >= 0 && severity < 4 ? priorities[severity] : LOG_ERR,
               "event=libevent detail=\"%s\"", message);
}

/* The key and the certificate: an enum app_exit. */
static int open_tls(struct program *program, const struct ra_app_config *config, EVP_PKEY **key,
                    SSL_CTX **tls)
{
    int code = app_key_open(program->libctx, config->tls_key, key);

    *tls = NULL;
    if (code != APP_OK)
        return code;
    *tls = ra_app_tls(program->libctx, config, *key);
    return *tls == NULL ? APP_USAGE : APP_OK;
}

static int open_store(struct program *program)
{
    char text[400];

    switch (ra_store_open(program->config.store, true, &program->store, text, sizeof text)) {
    case RA_STORE_OK:
        return APP_OK;
    case RA_STORE_ARGUMENT:
    case RA_STORE_SCHEMA:
        app_error("%s", text);
        return APP_USAGE;
    default:
        app_error("%s", text);
        return APP_UNREACHABLE;
    }
}

static int open_all(struct program *program)
{
    struct app_provider provider = {.config = program->path};
    struct dot2_error error = {0};
    int code = app_provider_load(&provider, &program->libctx);

    if (code != APP_OK)
        return code;
    if (dot2_crypto_new(program->libctx, &program->crypto, &error) != DOT2_OK) {
        app_error_openssl("%s: %s", dot2_status_name(error.status), error.detail);
        return APP_UNREACHABLE;
    }
    code = open_tls(program, &program->config, &program->key, &program->tls);
    if (code != APP_OK)
        return code;
    program->trust = ra_app_trust(program->crypto, &program->config);
    if (program->trust == NULL)
        return APP_USAGE;
    return open_store(program);
}

/* A file that says that the server is ready, for whoever waits for it. */
static int write_number(const char *path, unsigned long number)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%lu\n", number);

    return path == NULL ? APP_OK : app_file_write(path, (const uint8_t *)text, (size_t)n, 0644);
}

/*
 * Everything is made first and put into the server only when all of it is good: a reload with a
 * mistake in it leaves the server as it was.
 */
static void reload(struct program *program)
{
    struct ra_app_config config = {0};
    EVP_PKEY *key = NULL;
    SSL_CTX *tls = NULL;
    dot2_trust *trust = NULL;
    char text[400];

    ra_app_log_reopen();
    if (ra_app_config_load(program->path, &config) != APP_OK ||
        open_tls(program, &config, &key, &tls) != APP_OK ||
        (trust = ra_app_trust(program->crypto, &config)) == NULL) {
        ra_app_say(LOG_ERR, "event=not_reloaded detail=\"the configuration has a mistake (see "
                            "stderr); what was in force stays\"");
        goto out;
    }
    if (ra_server_set_files(program->server, config.server.policy_file, config.server.chain_file,
                            text, sizeof text) != 0) {
        ra_app_say(LOG_ERR, "event=not_reloaded detail=\"%s\"", text);
        goto out;
    }
    ra_server_set_trust(program->server, trust);
    ra_server_set_tls(program->server, tls);
    ra_app_say(LOG_NOTICE, "event=reloaded tls_key=\"%s\"", config.tls_key);
out:
    dot2_trust_free(trust);
    SSL_CTX_free(tls);
    EVP_PKEY_free(key);
    ra_app_config_clear(&config);
    ERR_clear_error();
}

static void *run(void *arg)
{
    struct program *program = arg;

    ra_server_run(program->server);
    /* However it ended: main waits for signals. */
    kill(getpid(), SIGTERM);
    return NULL;
}

static int serve(struct program *program)
{
    struct ra_app_config *config = &program->config;
    pthread_t thread;
    char text[400];
    int signal_number, code;

    config->server.log = ra_app_log;
    program->server = ra_server_new(&config->server, program->crypto, program->tls, program->trust,
                                    program->store, text, sizeof text);
    if (program->server == NULL) {
        app_error("%s", text);
        return APP_UNREACHABLE;
    }
    if (pthread_create(&thread, NULL, run, program) != 0) {
        app_error("no thread can be made");
        return APP_UNREACHABLE;
    }
    ra_app_say(LOG_NOTICE, "event=started port=%u tls_key=\"%s\" stage=%s",
               ra_server_port(program->server), config->tls_key,
               config->server.stage == RA_STAGE_QA ? "QA" : "PROD");
    code = write_number(config->pid_file, (unsigned long)getpid());
    if (code == APP_OK)
        code = write_number(config->port_file, ra_server_port(program->server));
    while (code == APP_OK && sigwait(&program->signals, &signal_number) == 0 &&
           signal_number == SIGHUP)
        reload(program);
    ra_app_say(LOG_NOTICE, "event=stopping");
    ra_server_stop(program->server);
    pthread_join(thread, NULL);
    if (config->port_file != NULL)
        unlink(config->port_file);
    if (config->pid_file != NULL)
        unlink(config->pid_file);
    ra_app_say(LOG_NOTICE, "event=stopped");
    return code;
}

static void harden(void)
{
    struct rlimit limit = {0, 0};
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    sigaction(SIGPIPE, &ignore, NULL);
    setrlimit(RLIMIT_CORE, &limit);
    /* A connection is a descriptor: as many as we may have. */
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void close_all(struct program *program)
{
    ra_server_free(program->server);
    ra_store_close(program->store);
    dot2_trust_free(program->trust);
    SSL_CTX_free(program->tls);
    EVP_PKEY_free(program->key);
    dot2_crypto_free(program->crypto);
    OSSL_LIB_CTX_free(program->libctx);
    ra_app_config_clear(&program->config);
    ra_app_log_close();
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"check", no_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {NULL, 0, NULL, 0}};
    struct program program = {0};
    bool check = false;
    int option, code;

    app_name_set("dot2hsm-ra");
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            check = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return APP_OK;
        case 'V':
            puts("dot2hsm-ra " DOT2HSM_VERSION);
            return APP_OK;
        default:
            fputs(usage, stderr);
            return APP_USAGE;
        }
    }
    if (optind != argc - 1) {
        fputs(usage, stderr);
        return APP_USAGE;
    }
    program.path = argv[optind];
    harden();
    /* Before any thread, the module's too: they must not take the signals that main waits for. */
    sigemptyset(&program.signals);
    sigaddset(&program.signals, SIGTERM);
    sigaddset(&program.signals, SIGINT);
    sigaddset(&program.signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &program.signals, NULL);
    event_set_log_callback(on_libevent);

    code = ra_app_config_load(program.path, &program.config);
    if (code == APP_OK)
        code = ra_app_log_open(program.config.log);
    if (code == APP_OK)
        code = open_all(&program);
    if (code == APP_OK && check)
        puts("ok");
    else if (code == APP_OK)
        code = serve(&program);
    close_all(&program);
    return code;
}
