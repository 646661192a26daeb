/*
 * cmd_ee.c: dot2hsm ee download: the options, the configuration, what is opened.
 */
#include "apps/dot2hsm/commands.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "apps/dot2hsm/ee_device.h"
#include "apps/dot2hsm/ee_report.h"

#define CERTIFICATE_MAX 65536

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* The signal ends the transfer at its next octet or tick, and the part is kept. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* ---- options and configuration ----------------------------------------------------------------*/

struct job {
    struct app_provider provider;
    CONF *conf;
    struct ee_config config;
    struct ee_download download;
    const struct ee_service *service;
    const char *service_name, *filename, *certificate_path, *key_uri, *out, *ra_path;
    char canonical[32];
    char output[4096];
    bool quiet, json;
    struct ee_watch watch;
    OSSL_LIB_CTX *libctx;
    dot2_crypto *crypto;
    dot2_cert *certificate, *ra;
    EVP_PKEY *key;
};

static int download_help(void)
{
    printf(
        "Usage: dot2hsm ee download [OPTION]... [FILE]\n"
        "Downloads a file from the RA, and goes on where an earlier run ended. FILE is a name of\n"
        "the RA's, such as 3339AB342CEF1139.zip; policy and chain have none.\n\n"
        "      --service NAME       application, identity, batch, info, policy or chain; needed\n"
        "                           where FILE does not tell (identity and batch look alike)\n"
        "  -o, --out PATH           file or directory to write to; default: FILE, here\n"
        "      --have NAME          the version that is there (file name or ETag): fetch another\n"
        "                           one only\n"
        "      --restart            do not go on with a part that is there\n"
        "      --stop-after BYTES   end this run after about so many octets, for metered links;\n"
        "                           the part is kept, the next run goes on; exit status 1\n"
        "      --limit-rate BYTES   a second on average at most, for links that others share\n"
        "      --max-size BYTES     refuse a larger file (default 1 GiB)\n"
        "  -q, --quiet              say nothing but errors\n"
        "      --json               the result as JSON\n"
        "\nSettings, each also a key of the section [ee] of the configuration:\n"
        "      --ra-url URL                   https://HOST[:PORT], port 8892 if there is none\n"
        "      --tls-root FILE                the X.509 root(s) that may have issued the RA's\n"
        "                                     certificate, in PEM; no other is trusted\n"
        "      --resolve HOST:PORT:ADDRESS    instead of DNS\n"
        "      --enrollment-certificate FILE  IEEE 1609.2, COER\n"
        "      --enrollment-key URI           pkcs11:... or a PEM file\n"
        "      --connect-timeout SECONDS      default 10\n"
        "      --stall-timeout SECONDS        without an octet; default 30\n%s",
        COMMAND_PROVIDER_HELP);
    return APP_OK;
}

static const char *setting(const struct job *job, const char *key)
{
    const char *value;

    if (job->conf == NULL)
        return NULL;
    ERR_set_mark();
    value = NCONF_get_string(job->conf, "ee", key);
    ERR_pop_to_mark();
    return value;
}

static void default_setting(const struct job *job, const char **value, const char *key)
{
    if (*value == NULL)
        *value = setting(job, key);
}

static bool parse_number(const char *name, const char *text, uint64_t max, uint64_t *value)
{
    char *end = NULL;

    errno = 0;
    if (*text >= '0' && *text <= '9')
        *value = strtoull(text, &end, 10);
    if (end == NULL || *end != '\0' || errno != 0 || *value == 0 || *value > max) {
        app_error("%s is a number from 1 to %llu", name, (unsigned long long)max);
        return false;
    }
    return true;
}

enum {
    OPT_SERVICE = 1,
    OPT_HAVE,
    OPT_RESTART,
    OPT_STOP_AFTER,
    OPT_LIMIT_RATE,
    OPT_MAX_SIZE,
    OPT_JSON,
    OPT_RA_URL,
    OPT_TLS_ROOT,
    OPT_RESOLVE,
    OPT_CERTIFICATE,
    OPT_KEY,
    OPT_CONNECT,
    OPT_STALL
};

static const struct option options[] = {
    {"service", required_argument, NULL, OPT_SERVICE},
    {"out", required_argument, NULL, 'o'},
    {"have", required_argument, NULL, OPT_HAVE},
    {"restart", no_argument, NULL, OPT_RESTART},
    {"stop-after", required_argument, NULL, OPT_STOP_AFTER},
    {"limit-rate", required_argument, NULL, OPT_LIMIT_RATE},
    {"max-size", required_argument, NULL, OPT_MAX_SIZE},
    {"quiet", no_argument, NULL, 'q'},
    {"json", no_argument, NULL, OPT_JSON},
    {"ra-url", required_argument, NULL, OPT_RA_URL},
    {"tls-root", required_argument, NULL, OPT_TLS_ROOT},
    {"resolve", required_argument, NULL, OPT_RESOLVE},
    {"enrollment-certificate", required_argument, NULL, OPT_CERTIFICATE},
    {"enrollment-key", required_argument, NULL, OPT_KEY},
    {"connect-timeout", required_argument, NULL, OPT_CONNECT},
    {"stall-timeout", required_argument, NULL, OPT_STALL},
    COMMAND_PROVIDER_OPTIONS,
    {NULL, 0, NULL, 0}};

/* One option with a number; false if it is none, or has another value. */
static bool take_number(struct job *job, int option, const char *value)
{
    uint64_t number = 0;

    switch (option) {
    case OPT_STOP_AFTER:
        return parse_number("--stop-after", value, INT64_MAX, &job->watch.stop_after);
    case OPT_LIMIT_RATE:
        return parse_number("--limit-rate", value, INT64_MAX, &job->download.limit_rate);
    case OPT_MAX_SIZE:
        return parse_number("--max-size", value, INT64_MAX, &job->download.max_size);
    case OPT_CONNECT:
        if (!parse_number("--connect-timeout", value, 3600, &number))
            return false;
        job->config.connect_timeout = (unsigned)number;
        return true;
    case OPT_STALL:
        if (!parse_number("--stall-timeout", value, 3600, &number))
            return false;
        job->config.stall_timeout = (unsigned)number;
        return true;
    default:
        return command_provider_option(option, value, &job->provider);
    }
}

static bool take_option(struct job *job, int option, const char *value)
{
    const struct {
        int option;
        const char **target;
    } texts[] = {
        {OPT_SERVICE, &job->service_name},
        {'o', &job->out},
        {OPT_HAVE, &job->download.have},
        {OPT_RA_URL, &job->config.ra_url},
        {OPT_KEY, &job->key_uri},
        {OPT_TLS_ROOT, &job->config.tls_root},
        {OPT_RESOLVE, &job->config.resolve},
        {OPT_CERTIFICATE, &job->certificate_path},
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].option == option) {
            *texts[i].target = value;
            return true;
        }
    }
    if (option == OPT_RESTART)
        job->download.restart = true;
    else if (option == 'q')
        job->quiet = true;
    else if (option == OPT_JSON)
        job->json = true;
    else
        return take_number(job, option, value);
    return true;
}

static bool conf_number(const struct job *job, const char *key, uint64_t max, uint64_t *value)
{
    const char *text = setting(job, key);

    if (text == NULL || *value != 0)
        return true;
    return parse_number(key, text, max, value);
}

static int read_settings(struct job *job)
{
    uint64_t connect = job->config.connect_timeout, stall = job->config.stall_timeout;
    const char *header, *ocsp;

    if (command_conf_load(&job->provider, &job->conf) != APP_OK)
        return APP_USAGE;
    default_setting(job, &job->config.ra_url, "ra-url");
    default_setting(job, &job->config.tls_root, "tls-root");
    default_setting(job, &job->config.resolve, "resolve");
    default_setting(job, &job->certificate_path, "enrollment-certificate");
    default_setting(job, &job->key_uri, "enrollment-key");
    if (!conf_number(job, "connect-timeout", 3600, &connect) ||
        !conf_number(job, "stall-timeout", 3600, &stall) ||
        !conf_number(job, "max-size", INT64_MAX, &job->download.max_size))
        return APP_USAGE;
    job->config.connect_timeout = (unsigned)connect;
    job->config.stall_timeout = (unsigned)stall;
    ocsp = setting(job, "require-ocsp");
    job->config.require_ocsp = ocsp != NULL && strcmp(ocsp, "yes") == 0;
    if (ocsp != NULL && !job->config.require_ocsp && strcmp(ocsp, "no") != 0) {
        app_error("[ee]: require-ocsp is \"%s\", neither yes nor no", ocsp);
        return APP_USAGE;
    }
    header = setting(job, "download-header");
    job->ra_path = setting(job, "ra-certificate");
    job->config.secured_header = header != NULL && strcmp(header, "secured") == 0;
    if (header != NULL && !job->config.secured_header && strcmp(header, "signed") != 0) {
        app_error("[ee]: download-header is signed or secured");
        return APP_USAGE;
    }
    if (job->config.secured_header && job->ra_path == NULL) {
        app_error("[ee]: download-header is secured, and ra-certificate is not set");
        return APP_USAGE;
    }
    return APP_OK;
}

/* Which service, and the name of the file as it is sent. */
static int choose_service(struct job *job)
{
    if (job->service_name != NULL)
        job->service = ee_service_find(job->service_name);
    else if (job->filename != NULL)
        job->service = ee_service_of_file(job->filename);
    if (job->service == NULL) {
        if (job->service_name != NULL)
            app_error("unknown service \"%s\"", job->service_name);
        else if (job->filename != NULL)
            app_error("\"%s\" does not tell its service; give --service", job->filename);
        else
            app_error("which file, or which --service?");
        return command_usage();
    }
    if (job->service->authenticated != (job->filename != NULL)) {
        app_error(job->filename == NULL ? "the service %s needs the name of a file"
                                        : "the service %s has no file names",
                  job->service->name);
        return command_usage();
    }
    job->download.path = job->service->path;
    if (job->filename == NULL)
        return APP_OK;
    if (ee_service_filename(job->service, job->filename, job->canonical) != EE_OK) {
        app_error("\"%s\" is not a file name of the service %s", job->filename, job->service->name);
        return command_usage();
    }
    job->download.filename = job->canonical;
    return APP_OK;
}

static int choose_output(struct job *job)
{
    const char *name = job->filename != NULL ? job->canonical : NULL;
    struct stat about;
    int length;

    if (job->out == NULL && name == NULL) {
        app_error("--out is needed: this service's file has no name yet");
        return command_usage();
    }
    if (job->out == NULL)
        length = snprintf(job->output, sizeof(job->output), "%s", name);
    else if (name != NULL && stat(job->out, &about) == 0 && S_ISDIR(about.st_mode))
        length = snprintf(job->output, sizeof(job->output), "%s/%s", job->out, name);
    else
        length = snprintf(job->output, sizeof(job->output), "%s", job->out);
    if (length < 0 || (size_t)length >= sizeof(job->output)) {
        app_error("the path to write to is too long");
        return APP_USAGE;
    }
    job->download.output = job->output;
    return APP_OK;
}

/* ---- what is opened ---------------------------------------------------------------------------*/

static int open_certificate(struct job *job, const char *path, dot2_cert **certificate)
{
    struct dot2_error error = {.status = DOT2_OK};
    uint8_t *octets = NULL;
    size_t size = 0;
    int code = app_file_read(path, CERTIFICATE_MAX, &octets, &size);

    if (code == APP_OK &&
        dot2_cert_new(job->crypto, octets, size, certificate, &error) != DOT2_OK) {
        app_error("%s is not a certificate: %s (%s, octet %zu)", path,
                  error.detail[0] != '\0' ? error.detail : dot2_status_text(error.status),
                  error.field, error.offset);
        code = APP_REFUSED;
    }
    OPENSSL_free(octets);
    return code;
}

static int check_key(const struct job *job)
{
    if (dot2_cert_check_key(job->certificate, job->key, NULL, NULL) == DOT2_OK)
        return APP_OK;
    app_error("%s is not the key of the certificate %s", job->key_uri, job->certificate_path);
    return APP_REFUSED;
}

static int open_enrollment(struct job *job)
{
    struct dot2_error error = {.status = DOT2_OK};
    int code;

    if (job->certificate_path == NULL || job->key_uri == NULL) {
        app_error("the %s is not set (option or [ee])",
                  job->key_uri == NULL ? "enrollment-key" : "enrollment-certificate");
        return command_usage();
    }
    code = app_provider_load(&job->provider, &job->libctx);
    if (code != APP_OK)
        return code;
    if (dot2_crypto_new(job->libctx, &job->crypto, &error) != DOT2_OK) {
        app_error_openssl("%s", dot2_status_text(error.status));
        return APP_USAGE;
    }
    code = open_certificate(job, job->certificate_path, &job->certificate);
    if (code == APP_OK && job->config.secured_header)
        code = open_certificate(job, job->ra_path, &job->ra);
    if (code == APP_OK)
        code = app_key_open(job->libctx, job->key_uri, &job->key);
    if (code == APP_OK)
        code = check_key(job);
    job->config.crypto = job->crypto;
    job->config.enrollment_certificate = job->certificate;
    job->config.ra_certificate = job->ra;
    job->config.enrollment_key = job->key;
    return code;
}

static void job_clear(struct job *job)
{
    EVP_PKEY_free(job->key);
    dot2_cert_free(job->certificate);
    dot2_cert_free(job->ra);
    dot2_crypto_free(job->crypto);
    OSSL_LIB_CTX_free(job->libctx);
    NCONF_free(job->conf);
}

static int run(struct job *job)
{
    struct ee_report report = {.service = job->service,
                               .config = &job->config,
                               .key_uri = job->key_uri,
                               .output = job->output};

    if (job->config.ra_url == NULL || job->config.tls_root == NULL) {
        app_error("the %s is not set (option or [ee])",
                  job->config.ra_url == NULL ? "ra-url" : "tls-root");
        return command_usage();
    }
    if (job->service->authenticated) {
        int code = open_enrollment(job);
        if (code != APP_OK)
            return code;
    }
    job->watch.stop = &interrupted;
    job->watch.bar = !job->quiet && !job->json && isatty(STDERR_FILENO);
    job->download.progress = ee_watch_progress;
    job->download.progress_arg = &job->watch;
    catch_signals();
    report.status = ee_download(&job->config, &job->download, &report.result, &report.error);
    ee_watch_end(&job->watch);
    return ee_report_print(&report, &job->watch, job->quiet, job->json);
}

static int ee_download_command(int argc, char **argv)
{
    struct job job;
    int option, code = APP_OK;

    memset(&job, 0, sizeof(job));
    while ((option = getopt_long(argc, argv, "o:q", options, NULL)) != -1) {
        if (option == COMMAND_HELP)
            return download_help();
        if (!take_option(&job, option, optarg))
            return command_usage();
    }
    if (argc - optind > 1) {
        app_error("one file at a time");
        return command_usage();
    }
    job.filename = optind < argc ? argv[optind] : NULL;
    code = read_settings(&job);
    if (code == APP_OK)
        code = choose_service(&job);
    if (code == APP_OK)
        code = choose_output(&job);
    if (code == APP_OK)
        code = run(&job);
    job_clear(&job);
    return code;
}

int cmd_ee(int argc, char **argv)
{
    static const struct command commands[] = {
        {"download", "fetch a file from the RA, signed for with the enrollment key",
         ee_download_command},
        {"enroll", "make the key and the request; install the response", ee_enroll_command},
        {"sync", "get whatever is missing, stale or due from the RA", ee_sync_command},
        {"status", "what is installed, what is next, what went wrong", ee_status_command},
        {"sign", "sign a file under the application certificate", ee_sign_command},
    };

    return command_run(commands, sizeof(commands) / sizeof(commands[0]),
                       "What an end entity does with its RA.\n", argc, argv);
}
