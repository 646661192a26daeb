/*
 * main.c: dot2hsm-ra, the server of a registration authority.
 *
 * The thread of main waits for signals; the loops of the server have threads of their own.
 */
#include "apps/ra/ra_app.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <syslog.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/err.h>

static const char usage[] =
    "Usage: dot2hsm-ra [--check[=file]] CONFIG\n"
    "Serve requests and downloads of a registration authority over HTTPS.\n"
    "\n"
    "  --check    read the configuration, open keys, certificates, store and download-dir, and "
    "end;\n"
    "             --check=file reads the configuration only\n"
    "  --version  print the version\n"
    "  --help     print this\n"
    "\n"
    "SIGHUP reads certificates, keys, CRLs, policy and chain file names anew and opens the log "
    "again;\n"
    "SIGTERM and SIGINT finish open requests. CONFIG is described in dot2hsm-ra(8).\n"
    "\n"
    "Exit codes: 0 ended as asked, 2 usage or configuration, 3 the HSM, the store or the port\n"
    "cannot be reached.\n";

struct program {
    const char *path; /* of the configuration */
    struct ra_app_config config;
    struct ra_app_user user;
    OSSL_LIB_CTX *libctx;
    dot2_crypto *crypto;
    EVP_PKEY *key;
    SSL_CTX *tls;
    dot2_trust *trust;
    struct ra_app_crls crls;
    struct ra_app_policy policy;
    ra_keys *keys;
    ra_store *store;
    struct service {
        ra_server *server;
        pthread_t thread;
        bool running;
    } ra, crl;                      /* crl.server NULL: not served */
    struct ra_app_metrics *metrics; /* NULL: not served */
    sigset_t signals;
};

/* libevent's own complaints go where the others go. */
static void on_libevent(int severity, const char *message)
{
    static const int priorities[] = {LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR};

    ra_app_say_text(severity >= 0 && severity < 4 ? priorities[severity] : LOG_ERR,
                    "event=libevent", "detail", message);
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

/* The user's file: SIGHUP opens it again. */
static int open_log(struct program *program)
{
    int code = ra_app_user_enter(&program->user);

    if (code != APP_OK)
        return code;
    code = ra_app_log_open(program->config.log, program->config.log_json);
    ra_app_user_leave(&program->user);
    return code;
}

static int open_store(struct program *program)
{
    char text[400];
    enum ra_store_status status;
    int code = ra_app_user_enter(&program->user);

    if (code != APP_OK)
        return code;
    status = ra_store_open(program->config.store, true, &program->store, text, sizeof text);
    ra_app_user_leave(&program->user);
    switch (status) {
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
    code = ra_app_crls_open(&program->crls, &program->config, program->trust, NULL);
    if (code != APP_OK)
        return code;
    ra_app_crls_say(&program->crls, program->trust);
    code = ra_app_policy_open(&program->policy, &program->config);
    if (code != APP_OK)
        return code;
    ra_app_policy_say(&program->policy);
    code = ra_app_keys(program->libctx, program->crypto, &program->config, &program->keys);
    return code == APP_OK ? open_store(program) : code;
}

/* A file that says that the server is ready, for whoever waits for it. */
static int write_number(const char *path, unsigned long number)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%lu\n", number);

    return path == NULL ? APP_OK : app_file_write(path, (const uint8_t *)text, (size_t)n, 0644);
}

static void use_policy(struct program *program)
{
    ra_server_set_policy_limits(program->ra.server, program->policy.max_request_age,
                                program->policy.max_supply);
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
    struct ra_app_crls crls = {.count = 0}, crls_before = program->crls;
    struct ra_app_policy policy = {.path = NULL}, policy_before = program->policy;
    ra_keys *keys = NULL;
    char text[1000] = "";

    ra_app_log_reopen();
    ra_app_hear(text, sizeof text);
    if (ra_app_config_load(program->path, &config) != APP_OK ||
        open_tls(program, &config, &key, &tls) != APP_OK ||
        (trust = ra_app_trust(program->crypto, &config)) == NULL ||
        ra_app_crls_open(&crls, &config, trust, program->trust) != APP_OK ||
        ra_app_policy_open(&policy, &config) != APP_OK ||
        ra_app_keys(program->libctx, program->crypto, &config, &keys) != APP_OK ||
        ra_server_set_keys_and_files(program->ra.server, keys, config.server.policy_file,
                                     config.server.chain_file, text, sizeof text) != 0) {
        ra_app_say_text(LOG_ERR, "event=not_reloaded stays=\"what was in force\"", "detail", text);
        goto out;
    }
    ra_server_set_trust(program->ra.server, trust);
    ra_server_set_tls(program->ra.server, tls);
    if (program->crl.server != NULL)
        ra_server_set_tls(program->crl.server, tls);
    dot2_trust_free(program->trust);
    program->trust = dot2_trust_up_ref(trust);
    program->crls = crls;
    crls = crls_before;
    program->policy = policy;
    policy = policy_before;
    use_policy(program);
    ra_app_crls_say(&program->crls, program->trust);
    if (program->crls.kept > 0)
        ra_app_say(LOG_WARNING,
                   "event=crl_kept lists=%zu detail=\"in force, and no longer in the files\"",
                   program->crls.kept);
    ra_app_policy_say(&program->policy);
    ra_app_metrics_certificates(program->metrics, tls, keys);
    ra_app_say(LOG_NOTICE, "event=reloaded tls_key=\"%s\"", config.tls_key);
out:
    ra_app_hear(NULL, 0);
    ra_keys_free(keys);
    ra_app_crls_clear(&crls);
    ra_app_policy_clear(&policy);
    dot2_trust_free(trust);
    SSL_CTX_free(tls);
    EVP_PKEY_free(key);
    ra_app_config_clear(&config);
    ERR_clear_error();
}

static void *run(void *arg)
{
    struct service *service = arg;

    ra_server_run(service->server);
    /* However it ended: main waits for signals. */
    kill(getpid(), SIGTERM);
    return NULL;
}

static int service_open(struct program *program, const struct ra_server_config *config,
                        struct service *service)
{
    char text[400] = "";

    service->server = ra_server_new(config, program->crypto, program->tls, program->trust,
                                    program->store, text, sizeof text);
    if (service->server == NULL) {
        app_error("%s", text);
        return APP_UNREACHABLE;
    }
    return APP_OK;
}

static int service_start(struct service *service)
{
    if (service->server == NULL)
        return APP_OK;
    if (pthread_create(&service->thread, NULL, run, service) != 0) {
        app_error("no thread can be made");
        return APP_UNREACHABLE;
    }
    service->running = true;
    return APP_OK;
}

static void service_stop(struct service *service)
{
    if (service->running)
        ra_server_stop(service->server);
}

static void service_join(struct service *service)
{
    if (service->running)
        pthread_join(service->thread, NULL);
    service->running = false;
}

static int start_metrics(struct program *program)
{
    ra_server *const servers[] = {program->ra.server, program->crl.server};
    int code =
        ra_app_metrics_start(&program->config, program->libctx, servers, 2, &program->metrics);

    if (code != APP_OK || program->metrics == NULL)
        return code;
    ra_app_metrics_certificates(program->metrics, program->tls, program->keys);
    ra_app_say(LOG_NOTICE, "event=started service=metrics port=%u",
               ra_app_metrics_port(program->metrics));
    return write_number(program->config.metrics_port_file, ra_app_metrics_port(program->metrics));
}

/* After this, nothing is done as root; before it, no octet of a peer is read. */
static int drop_privileges(struct program *program)
{
    int code = ra_app_user_become(&program->user);

    return code == APP_OK && program->user.change ? ra_app_user_key(&program->user, program->key)
                                                  : code;
}

/* What the server alone opens at its start, and --check has to open in its place. */
static int check_download_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        app_error("download-dir %s: %s", path, strerror(errno));
        return APP_UNREACHABLE;
    }
    close(fd);
    return APP_OK;
}

static int start_all(struct program *program)
{
    struct ra_app_config *config = &program->config;
    int code;

    config->server.keys = program->keys;
    config->server.provision.max_request_age = program->policy.max_request_age;
    config->server.provision.max_supply = program->policy.max_supply;
    code = service_open(program, &config->server, &program->ra);
    if (code == APP_OK && config->crl.crl_file != NULL)
        code = service_open(program, &config->crl, &program->crl);
    if (code == APP_OK)
        code = drop_privileges(program);
    if (code == APP_OK)
        code = service_start(&program->ra);
    if (code == APP_OK)
        code = service_start(&program->crl);
    if (code != APP_OK)
        return code;
    ra_app_say(LOG_NOTICE, "event=started port=%u tls_key=\"%s\" stage=%s ra_keys=%zu uid=%lu",
               ra_server_port(program->ra.server), config->tls_key,
               config->server.stage == RA_STAGE_QA ? "QA" : "PROD", config->key_count,
               (unsigned long)geteuid());
    if (program->crl.server != NULL) {
        ra_app_say(LOG_NOTICE, "event=started service=crl port=%u",
                   ra_server_port(program->crl.server));
        code = write_number(config->crl_port_file, ra_server_port(program->crl.server));
    }
    if (code == APP_OK)
        code = start_metrics(program);
    if (code == APP_OK)
        code = write_number(config->pid_file, (unsigned long)getpid());
    if (code == APP_OK)
        code = write_number(config->port_file, ra_server_port(program->ra.server));
    if (code == APP_OK)
        ra_app_notify("READY=1");
    return code;
}

static int serve(struct program *program)
{
    struct ra_app_config *config = &program->config;
    const char *const files[] = {config->port_file, config->pid_file, config->crl_port_file,
                                 config->metrics_port_file};
    const struct timespec pause = {.tv_sec = 1};
    int signal_number = 0, code = start_all(program);

    while (code == APP_OK && (signal_number <= 0 || signal_number == SIGHUP)) {
        signal_number = sigtimedwait(&program->signals, NULL, &pause);
        if (signal_number == SIGHUP)
            reload(program);
        else if (signal_number < 0) {
            ra_app_crls_look(&program->crls, program->trust);
            if (ra_app_policy_look(&program->policy))
                use_policy(program);
        }
    }
    if (program->ra.running) {
        ra_app_say(LOG_NOTICE, "event=stopping");
        ra_app_notify("STOPPING=1");
    }
    service_stop(&program->ra);
    service_stop(&program->crl);
    service_join(&program->ra);
    service_join(&program->crl);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (files[i] != NULL && program->ra.server != NULL)
            unlink(files[i]);
    if (program->ra.server != NULL)
        ra_app_say(LOG_NOTICE, "event=stopped");
    return code;
}

static void harden(void)
{
    struct rlimit limit = {0, 0};
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL); /* a full file is the store's error, not our end */
    setrlimit(RLIMIT_CORE, &limit);
    /* No core by way of a pipe either, and no debugger of the same user. */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    /* No program that we run, or that takes us over, gains rights. Threads made later inherit it.
     */
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    /* A connection is a descriptor: as many as we may have. */
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void close_all(struct program *program)
{
    ra_app_metrics_stop(program->metrics);
    ra_server_free(program->crl.server);
    ra_server_free(program->ra.server);
    ra_app_crls_clear(&program->crls);
    ra_app_policy_clear(&program->policy);
    ra_keys_free(program->keys);
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
    static const struct option options[] = {{"check", optional_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {NULL, 0, NULL, 0}};
    struct program program = {0};
    bool check = false, check_file = false;
    int option, code;

    app_name_set("dot2hsm-ra");
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            check = true;
            check_file = optarg != NULL && strcmp(optarg, "file") == 0;
            if (optarg == NULL || check_file)
                break;
            fputs(usage, stderr);
            return APP_USAGE;
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
    if (code == APP_OK && !check_file)
        code = ra_app_user_find(program.config.user, &program.user);
    if (code == APP_OK && !check_file)
        code = open_log(&program);
    if (code == APP_OK && !check_file)
        code = open_all(&program);
    if (code == APP_OK && check && !check_file)
        code = drop_privileges(&program);
    if (code == APP_OK && check && !check_file)
        code = check_download_dir(program.config.server.download_dir);
    if (code == APP_OK && check)
        puts("ok");
    else if (code == APP_OK)
        code = serve(&program);
    close_all(&program);
    return code;
}
