/*
 * config.c: sections [ra] and [ra-key NAME] of the configuration. ra.conf.example and dot2hsm-ra(8)
 * describe the keys.
 */
#include "apps/ra/ra_app.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/safestack.h>

static const struct app_conf_key known[] = {
    {"provider", NULL},
    {"ra", "address"},
    {"ra", "port"},
    {"ra", "port-file"},
    {"ra", "pid-file"},
    {"ra", "user"},
    {"ra", "threads"},
    {"ra", "tls-certificate"},
    {"ra", "tls-key"},
    {"ra", "ocsp-file"},
    {"ra", "anchors"},
    {"ra", "certificates"},
    {"ra", "crl-files"},
    {"ra", "elector-ballot"},
    {"ra", "store"},
    {"ra", "download-dir"},
    {"ra", "policy-file"},
    {"ra", "chain-file"},
    {"ra", "tolerance"},
    {"ra", "stage"},
    {"ra", "on-auth-failure"},
    {"ra", "log"},
    {"ra", "log-format"},
    {"ra", "metrics-address"},
    {"ra", "metrics-port"},
    {"ra", "metrics-port-file"},
    {"ra", "max-header"},
    {"ra", "max-headers"},
    {"ra", "max-body"},
    {"ra", "header-deadline"},
    {"ra", "body-deadline"},
    {"ra", "idle-timeout"},
    {"ra", "write-deadline"},
    {"ra", "stop-deadline"},
    {"ra", "max-connections"},
    {"ra", "max-per-address"},
    {"ra", "profile"},
    {"ra", "require-secured"},
    {"ra", "url-base"},
    {"ra", "certificate-delay"},
    {"ra", "start-time-past"},
    {"ra", "start-time-future"},
    {"ra", "policy-limits"},
    {"ra", "max-requests"},
    {"ra", "request-window"},
    {"ra", "retention"},
    {"ra", "one-application-request"},
    {"ra", "application-psids"},
    {"ra", "identity-psids"},
    {"ra", "pseudonym-psids"},
    {"ra", "crl-file"},
    {"ra", "crl-port"},
    {"ra", "crl-port-file"},
    {"ra", "path-application-certificate"},
    {"ra", "path-identity-certificate"},
    {"ra", "path-batch"},
    {"ra", "path-info"},
    {"ra", "path-local-policy"},
    {"ra", "path-local-certificate-chain"},
    {"ra", "path-provision-application-certificate"},
    {"ra", "path-provision-identity-certificate"},
    {"ra", "path-provision-pseudonym-certificate-batch"},
    {"ra", "path-retrieve-ra-certificate"},
    {"ra", "path-crl"},
    {"ra-key *", "certificate"},
    {"ra-key *", "sign-key"},
    {"ra-key *", "decrypt-key"},
};

static const struct {
    const char *key;
    enum ra_route route;
} paths[] = {
    {"path-application-certificate", RA_ROUTE_APPLICATION},
    {"path-identity-certificate", RA_ROUTE_IDENTITY},
    {"path-batch", RA_ROUTE_BATCH},
    {"path-info", RA_ROUTE_INFO},
    {"path-local-policy", RA_ROUTE_POLICY},
    {"path-local-certificate-chain", RA_ROUTE_CHAIN},
    {"path-provision-application-certificate", RA_ROUTE_PROVISION_APP},
    {"path-provision-identity-certificate", RA_ROUTE_PROVISION_ID},
    {"path-provision-pseudonym-certificate-batch", RA_ROUTE_PROVISION_PSEUDONYM},
    {"path-retrieve-ra-certificate", RA_ROUTE_RA_CERTIFICATE},
    {"path-crl", RA_ROUTE_CRL},
};

static void read_limits(struct ra_app_reader *reader, struct ra_server_config *server)
{
    server->threads = (unsigned)ra_app_number(reader, "threads", 1, 256, 0);
    server->tolerance = (uint32_t)ra_app_number(reader, "tolerance", 0, 86400, UINT32_MAX);
    server->max_header = ra_app_number(reader, "max-header", 512, 65536, 0);
    server->max_headers = ra_app_number(reader, "max-headers", 1024, 1048576, 0);
    server->max_body = ra_app_number(reader, "max-body", 1024, 1048576, 0);
    server->header_deadline = (unsigned)ra_app_number(reader, "header-deadline", 1, 3600, 0);
    server->body_deadline = (unsigned)ra_app_number(reader, "body-deadline", 1, 3600, 0);
    server->idle_timeout = (unsigned)ra_app_number(reader, "idle-timeout", 1, 3600, 0);
    server->write_deadline = (unsigned)ra_app_number(reader, "write-deadline", 1, 3600, 0);
    server->stop_deadline = (unsigned)ra_app_number(reader, "stop-deadline", 1, 3600, 0);
    server->max_connections = (unsigned)ra_app_number(reader, "max-connections", 1, 1000000, 0);
    server->max_per_address = (unsigned)ra_app_number(reader, "max-per-address", 1, 1000000, 0);
}

/* The release of the SCMS software whose messages these are. */
static void read_profile(struct ra_app_reader *reader)
{
    const char *profile = ra_app_get(reader, "profile");

    if (profile == NULL || strcmp(profile, "1.2.2") == 0)
        return;
    app_error("%s: [ra]: profile is \"%s\"; this version knows 1.2.2 alone", reader->path, profile);
    reader->failed = true;
}

static void read_provision(struct ra_app_reader *reader, struct ra_app_config *config)
{
    static const char *const psids[] = {[SCMS_PROVISION_PSEUDONYM] = "pseudonym-psids",
                                        [SCMS_PROVISION_ID] = "identity-psids",
                                        [SCMS_PROVISION_APP] = "application-psids"};
    struct ra_server_config *server = &config->server;
    struct ra_provision *provision = &server->provision;
    struct ra_request_limits *limits = &provision->limits;

    *provision = ra_provision_default();
    provision->start_past =
        (uint32_t)ra_app_number(reader, "start-time-past", 0, 2000000000, provision->start_past);
    provision->start_future = (uint32_t)ra_app_number(reader, "start-time-future", 0, 2000000000,
                                                      provision->start_future);
    provision->certificate_delay = (uint32_t)ra_app_number(reader, "certificate-delay", 0, 31556952,
                                                           provision->certificate_delay);
    config->policy_limits = ra_app_one_of(reader, "policy-limits", "no", "yes") == 1;
    if (config->policy_limits && server->policy_file == NULL) {
        app_error("%s: [ra]: policy-limits needs policy-file", reader->path);
        reader->failed = true;
    }
    limits->max_requests =
        (unsigned)ra_app_number(reader, "max-requests", 0, 1000000, limits->max_requests);
    limits->window = (int64_t)ra_app_number(reader, "request-window", 1, 31556952,
                                            (unsigned long)limits->window);
    limits->retention = (int64_t)ra_app_number(reader, "retention", 1, 2000000000,
                                               (unsigned long)limits->retention);
    limits->one_application = ra_app_one_of(reader, "one-application-request", "yes", "no") == 0;
    for (size_t i = SCMS_PROVISION_PSEUDONYM; i <= SCMS_PROVISION_APP; i++) {
        config->psids[i] = ra_app_numbers(reader, psids[i], &server->psid_counts[i]);
        server->psids[i] = config->psids[i];
    }
    server->require_secured = ra_app_one_of(reader, "require-secured", "no", "yes") == 1;
    server->url_base = ra_app_get(reader, "url-base");
    if (server->url_base != NULL && strncmp(server->url_base, "https://", 8) != 0) {
        app_error("%s: [ra]: url-base is \"%s\", not https://...", reader->path, server->url_base);
        reader->failed = true;
    }
}

static void read_crl(struct ra_app_reader *reader, struct ra_app_config *config)
{
    config->crl = config->server; /* the address and the limits */
    config->crl.keys = NULL;
    config->crl.crl_file = ra_app_get(reader, "crl-file");
    config->crl.port = (uint16_t)ra_app_number(reader, "crl-port", 0, 65535, 8894);
    config->crl_port_file = ra_app_get(reader, "crl-port-file");
    if (config->crl.crl_file == NULL && (NCONF_get_string(reader->conf, "ra", "crl-port") != NULL ||
                                         config->crl_port_file != NULL)) {
        app_error("%s: [ra]: crl-port and crl-port-file need crl-file", reader->path);
        reader->failed = true;
    }
    ERR_clear_error();
}

static void read_metrics(struct ra_app_reader *reader, struct ra_app_config *config)
{
    const char *address = ra_app_get(reader, "metrics-address");

    config->metrics = ra_app_get(reader, "metrics-port") != NULL;
    config->metrics_port = (uint16_t)ra_app_number(reader, "metrics-port", 0, 65535, 0);
    config->metrics_address = address == NULL ? "127.0.0.1" : address;
    config->metrics_port_file = ra_app_get(reader, "metrics-port-file");
    if (!config->metrics && (address != NULL || config->metrics_port_file != NULL)) {
        app_error("%s: [ra]: metrics-address and metrics-port-file need metrics-port",
                  reader->path);
        reader->failed = true;
    }
}

static void read_keys(struct ra_app_reader *reader, struct ra_app_config *config)
{
    STACK_OF(OPENSSL_CSTRING) *sections = NCONF_get_section_names(reader->conf);
    int count = sections == NULL ? 0 : sk_OPENSSL_CSTRING_num(sections);

    for (int i = 0; i < count; i++) {
        struct ra_app_key *key = &config->keys[config->key_count];

        reader->section = sk_OPENSSL_CSTRING_value(sections, i);
        if (strncmp(reader->section, "ra-key ", 7) != 0)
            continue;
        if (config->key_count == RA_APP_KEYS) {
            app_error("%s: more than %d sections [ra-key NAME]", reader->path, RA_APP_KEYS);
            reader->failed = true;
            break;
        }
        key->section = reader->section;
        key->certificate = ra_app_require(reader, "certificate");
        key->sign = ra_app_get(reader, "sign-key");
        key->decrypt = ra_app_require(reader, "decrypt-key");
        config->key_count++;
    }
    sk_OPENSSL_CSTRING_free(sections);
    reader->section = "ra";
    if (config->key_count == 0 && config->server.require_secured) {
        app_error("%s: [ra]: require-secured needs a section [ra-key NAME]", reader->path);
        reader->failed = true;
    }
}

int ra_app_config_load(const char *path, struct ra_app_config *config)
{
    struct ra_app_reader reader = {.path = path, .section = "ra"};
    int code;

    memset(config, 0, sizeof *config);
    code = app_conf_load(path, known, sizeof known / sizeof known[0], &config->conf);
    if (code != APP_OK)
        return code;
    reader.conf = config->conf;
    config->tls_certificate = ra_app_require(&reader, "tls-certificate");
    config->tls_key = ra_app_require(&reader, "tls-key");
    config->ocsp_file = ra_app_get(&reader, "ocsp-file");
    config->anchors = ra_app_require(&reader, "anchors");
    config->certificates = ra_app_get(&reader, "certificates");
    config->crl_files = ra_app_get(&reader, "crl-files");
    config->ballots = ra_app_one_of(&reader, "elector-ballot", "1.2.2", "1.2.1") == 0
                          ? DOT2_BALLOTS_122
                          : DOT2_BALLOTS_121;
    config->store = ra_app_require(&reader, "store");
    config->log = ra_app_get(&reader, "log");
    config->log_json = ra_app_one_of(&reader, "log-format", "text", "json") == 1;
    config->user = ra_app_get(&reader, "user");
    config->port_file = ra_app_get(&reader, "port-file");
    config->pid_file = ra_app_get(&reader, "pid-file");
    config->server.address = ra_app_get(&reader, "address");
    config->server.port = (uint16_t)ra_app_number(&reader, "port", 0, 65535, 8892);
    config->server.download_dir = ra_app_require(&reader, "download-dir");
    config->server.policy_file = ra_app_get(&reader, "policy-file");
    config->server.chain_file = ra_app_get(&reader, "chain-file");
    config->server.stage = (enum ra_stage)ra_app_one_of(&reader, "stage", "PROD", "QA");
    config->server.on_auth_failure =
        (enum ra_on_auth_failure)ra_app_one_of(&reader, "on-auth-failure", "answer", "close");
    read_limits(&reader, &config->server);
    config->server.log = ra_app_log;
    read_profile(&reader);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        config->server.paths[paths[i].route] = ra_app_get(&reader, paths[i].key);
    read_provision(&reader, config);
    read_crl(&reader, config);
    read_metrics(&reader, config);
    read_keys(&reader, config);
    if (reader.failed) {
        ra_app_config_clear(config);
        return APP_USAGE;
    }
    return APP_OK;
}

void ra_app_config_clear(struct ra_app_config *config)
{
    for (size_t i = 0; i <= SCMS_PROVISION_APP; i++)
        OPENSSL_free(config->psids[i]);
    NCONF_free(config->conf);
    memset(config, 0, sizeof *config);
}
