/*
 * config.c: section [ra] of the configuration. ra.conf.example and dot2hsm-ra(8) describe the keys.
 */
#include "apps/ra/ra_app.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

static const struct app_conf_key known[] = {
    {"provider", NULL},        {"ra", "address"},         {"ra", "port"},
    {"ra", "port-file"},       {"ra", "pid-file"},        {"ra", "threads"},
    {"ra", "tls-certificate"}, {"ra", "tls-key"},         {"ra", "anchors"},
    {"ra", "certificates"},    {"ra", "store"},           {"ra", "download-dir"},
    {"ra", "policy-file"},     {"ra", "chain-file"},      {"ra", "tolerance"},
    {"ra", "stage"},           {"ra", "on-auth-failure"}, {"ra", "log"},
    {"ra", "max-header"},      {"ra", "max-headers"},     {"ra", "max-body"},
    {"ra", "header-deadline"}, {"ra", "body-deadline"},   {"ra", "idle-timeout"},
    {"ra", "write-deadline"},  {"ra", "stop-deadline"},   {"ra", "max-connections"},
    {"ra", "max-per-address"},
};

struct reader {
    const char *path;
    const CONF *conf;
    bool failed;
};

static const char *get(struct reader *reader, const char *key)
{
    const char *value;

    ERR_set_mark();
    value = NCONF_get_string(reader->conf, "ra", key);
    ERR_pop_to_mark();
    if (value != NULL && value[0] == '\0') {
        app_error("%s: [ra]: %s is empty", reader->path, key);
        reader->failed = true;
    }
    return value;
}

static const char *require(struct reader *reader, const char *key)
{
    const char *value = get(reader, key);

    if (value == NULL) {
        app_error("%s: [ra]: %s is missing", reader->path, key);
        reader->failed = true;
    }
    return value;
}

/* A decimal number from min to max; otherwise is what holds without the key. */
static unsigned long number(struct reader *reader, const char *key, unsigned long min,
                            unsigned long max, unsigned long otherwise)
{
    const char *text = get(reader, key);
    unsigned long value;
    char *end;

    if (text == NULL)
        return otherwise;
    errno = 0;
    value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < min ||
        value > max) {
        app_error("%s: [ra]: %s is \"%s\", not a number from %lu to %lu", reader->path, key, text,
                  min, max);
        reader->failed = true;
        return otherwise;
    }
    return value;
}

static int one_of(struct reader *reader, const char *key, const char *first, const char *second)
{
    const char *text = get(reader, key);

    if (text == NULL || strcmp(text, first) == 0)
        return 0;
    if (strcmp(text, second) == 0)
        return 1;
    app_error("%s: [ra]: %s is \"%s\", neither %s nor %s", reader->path, key, text, first, second);
    reader->failed = true;
    return 0;
}

static void read_limits(struct reader *reader, struct ra_server_config *server)
{
    server->threads = (unsigned)number(reader, "threads", 1, 256, 0);
    server->tolerance = (uint32_t)number(reader, "tolerance", 0, 86400, UINT32_MAX);
    server->max_header = number(reader, "max-header", 512, 65536, 0);
    server->max_headers = number(reader, "max-headers", 1024, 1048576, 0);
    server->max_body = number(reader, "max-body", 1024, 1048576, 0);
    server->header_deadline = (unsigned)number(reader, "header-deadline", 1, 3600, 0);
    server->body_deadline = (unsigned)number(reader, "body-deadline", 1, 3600, 0);
    server->idle_timeout = (unsigned)number(reader, "idle-timeout", 1, 3600, 0);
    server->write_deadline = (unsigned)number(reader, "write-deadline", 1, 3600, 0);
    server->stop_deadline = (unsigned)number(reader, "stop-deadline", 1, 3600, 0);
    server->max_connections = (unsigned)number(reader, "max-connections", 1, 1000000, 0);
    server->max_per_address = (unsigned)number(reader, "max-per-address", 1, 1000000, 0);
}

int ra_app_config_load(const char *path, struct ra_app_config *config)
{
    struct reader reader = {.path = path};
    int code;

    memset(config, 0, sizeof *config);
    code = app_conf_load(path, known, sizeof known / sizeof known[0], &config->conf);
    if (code != APP_OK)
        return code;
    reader.conf = config->conf;
    config->tls_certificate = require(&reader, "tls-certificate");
    config->tls_key = require(&reader, "tls-key");
    config->anchors = require(&reader, "anchors");
    config->certificates = get(&reader, "certificates");
    config->store = require(&reader, "store");
    config->log = get(&reader, "log");
    config->port_file = get(&reader, "port-file");
    config->pid_file = get(&reader, "pid-file");
    config->server.address = get(&reader, "address");
    config->server.port = (uint16_t)number(&reader, "port", 0, 65535, 8892);
    config->server.download_dir = require(&reader, "download-dir");
    config->server.policy_file = get(&reader, "policy-file");
    config->server.chain_file = get(&reader, "chain-file");
    config->server.stage = (enum ra_stage)one_of(&reader, "stage", "PROD", "QA");
    config->server.on_auth_failure =
        (enum ra_on_auth_failure)one_of(&reader, "on-auth-failure", "answer", "close");
    read_limits(&reader, &config->server);
    config->server.log = ra_app_log;
    if (reader.failed) {
        ra_app_config_clear(config);
        return APP_USAGE;
    }
    return APP_OK;
}

void ra_app_config_clear(struct ra_app_config *config)
{
    NCONF_free(config->conf);
    memset(config, 0, sizeof *config);
}
