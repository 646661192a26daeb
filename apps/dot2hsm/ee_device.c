#include "apps/dot2hsm/ee_device.h"
#include "protocol/dot2/crl.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>

#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/support.h"

#define CERTIFICATE_MAX 65536

static const char *setting(const struct device *device, const char *key)
{
    const char *value;

    if (device->conf == NULL)
        return NULL;
    ERR_set_mark();
    value = NCONF_get_string(device->conf, "ee", key);
    ERR_pop_to_mark();
    return value;
}

static int number(const struct device *device, const char *key, unsigned max, unsigned *value)
{
    const char *text = setting(device, key);
    char *end = NULL;
    unsigned long parsed;

    if (text == NULL)
        return APP_OK;
    parsed = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || parsed == 0 || parsed > max) {
        app_error("[ee]: %s is a number from 1 to %u", key, max);
        return APP_USAGE;
    }
    *value = (unsigned)parsed;
    return APP_OK;
}

static int choices(struct device *device)
{
    const char *enrollment = setting(device, "enrollment"), *ocsp = setting(device, "require-ocsp");
    const char *assemble = setting(device, "assemble-key-on-host");
    const char *ballot = setting(device, "elector-ballot");

    device->config.require_ocsp = ocsp != NULL && strcmp(ocsp, "yes") == 0;
    if (ocsp != NULL && !device->config.require_ocsp && strcmp(ocsp, "no") != 0) {
        app_error("[ee]: require-ocsp is yes or no");
        return APP_USAGE;
    }
    device->assemble = assemble != NULL && strcmp(assemble, "yes") == 0;
    if (assemble != NULL && !device->assemble && strcmp(assemble, "no") != 0) {
        app_error("[ee]: assemble-key-on-host is yes or no");
        return APP_USAGE;
    }
    if (ballot != NULL && strcmp(ballot, "1.2.2") != 0 && strcmp(ballot, "1.2.1") != 0) {
        app_error("[ee]: elector-ballot is 1.2.2 or 1.2.1");
        return APP_USAGE;
    }
    device->ballots =
        ballot != NULL && strcmp(ballot, "1.2.1") == 0 ? DOT2_BALLOTS_121 : DOT2_BALLOTS_122;
    device->header = setting(device, "download-header");
    if (device->header != NULL && strcmp(device->header, "signed") != 0 &&
        strcmp(device->header, "secured") != 0) {
        app_error("[ee]: download-header is signed or secured");
        return APP_USAGE;
    }
    if (enrollment != NULL && strcmp(enrollment, "implicit") != 0 &&
        strcmp(enrollment, "explicit") != 0) {
        app_error("[ee]: enrollment is implicit or explicit");
        return APP_USAGE;
    }
    device->explicit_enrollment = enrollment != NULL && strcmp(enrollment, "explicit") == 0;
    device->config.secured_header =
        device->header != NULL && strcmp(device->header, "secured") == 0;
    return APP_OK;
}

/* provision = application, pseudonym, identification */
static int kinds(struct device *device)
{
    const char *list = setting(device, "provision");
    int kind;

    if (list == NULL)
        list = device_kind_info(DEVICE_APPLICATION)->name;
    for (list += strspn(list, ", \t"); *list != '\0'; list += strspn(list, ", \t")) {
        size_t length = strcspn(list, ", \t");

        for (kind = 0; kind < DEVICE_KINDS; kind++) {
            const char *name = device_kind_info((enum device_kind)kind)->name;

            if (strlen(name) == length && strncmp(list, name, length) == 0)
                break;
        }
        if (kind == DEVICE_KINDS) {
            app_error("[ee]: provision is a list of application, pseudonym and identification");
            return APP_USAGE;
        }
        device->wants[kind] = true;
        list += length;
    }
    return APP_OK;
}

int device_check_kinds(const struct device *device)
{
    if ((!device->wants[DEVICE_PSEUDONYM] && !device->wants[DEVICE_IDENTIFICATION]) ||
        device->application_token == NULL || device->assemble)
        return APP_OK;
    app_error("[ee]: pseudonym and identification certificates have keys that are computed from a "
              "seed key, which no token can do; with application-token set they need "
              "assemble-key-on-host (response-token alone holds the keys that decrypt)");
    return APP_USAGE;
}

int device_configure(struct device *device)
{
    const struct {
        const char **target, *key;
        bool needed;
    } texts[] = {
        {&device->config.ra_url, "ra-url", true},
        {&device->config.tls_root, "tls-root", true},
        {&device->config.resolve, "resolve", false},
        {&device->anchors, "anchors", true},
        {&device->certificates, "certificates", false},
        {&device->ra_path, "ra-certificate", false},
        {&device->certificate_path, "enrollment-certificate", true},
        {&device->key_uri, "enrollment-key", true},
        {&device->application_token, "application-token", false},
        {&device->response_token, "response-token", false},
        {&device->hook, "hook", false},
        {&device->crl_url, "crl-url", false},
        {&device->policy_signer, "policy-signer", false},
    };
    const char *dir;

    device->lock = -1;
    device->renew_before = 24;
    device->seed_lifetime = 3 * 365;
    if (command_conf_load(&device->provider, &device->conf) != APP_OK)
        return APP_USAGE;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        *texts[i].target = setting(device, texts[i].key);
        if (*texts[i].target == NULL && texts[i].needed) {
            app_error("%s is not set in [ee] of the configuration", texts[i].key);
            return APP_USAGE;
        }
    }
    dir = setting(device, "state-dir");
    if (dir == NULL || strlen(dir) > DEVICE_PATH - 128) {
        app_error(dir == NULL ? "state-dir is not set in [ee] of the configuration"
                              : "[ee]: state-dir is too long");
        return APP_USAGE;
    }
    device->dir = strdup(dir);
    if (device->dir == NULL) {
        app_error("out of memory");
        return APP_REFUSED;
    }
    if (number(device, "renew-before", 24 * 365, &device->renew_before) != APP_OK ||
        number(device, "seed-lifetime", 36500, &device->seed_lifetime) != APP_OK ||
        number(device, "connect-timeout", 3600, &device->config.connect_timeout) != APP_OK ||
        number(device, "stall-timeout", 3600, &device->config.stall_timeout) != APP_OK)
        return APP_USAGE;
    device->renew_before_set = setting(device, "renew-before") != NULL;
    if (device->response_token == NULL)
        device->response_token = device->application_token;
    return choices(device) == APP_OK ? kinds(device) : APP_USAGE;
}

int device_open(struct device *device)
{
    int code = command_crypto(&device->provider, &device->libctx, &device->crypto);

    device->config.crypto = device->crypto;
    return code;
}

int device_read_cert(const struct device *device, const char *path, dot2_cert **cert)
{
    struct dot2_error error = {.status = DOT2_OK};
    uint8_t *octets = NULL;
    size_t size = 0;
    int code = app_file_read(path, CERTIFICATE_MAX, &octets, &size);

    *cert = NULL;
    if (code == APP_OK && dot2_cert_new(device->crypto, octets, size, cert, &error) != DOT2_OK) {
        command_error(path, &error);
        code = APP_REFUSED;
    }
    OPENSSL_free(octets);
    return code;
}

int device_open_enrollment(struct device *device)
{
    int code = device_read_cert(device, device->certificate_path, &device->enrollment);

    if (code == APP_OK)
        code = app_key_open(device->libctx, device->key_uri, &device->enrollment_key);
    if (code == APP_OK &&
        dot2_cert_check_key(device->enrollment, device->enrollment_key, NULL, NULL) != DOT2_OK) {
        app_error("%s is not the key of the certificate %s", device->key_uri,
                  device->certificate_path);
        code = APP_REFUSED;
    }
    device->config.enrollment_key = device->enrollment_key;
    device->config.enrollment_certificate = device->enrollment;
    return code;
}

const char *device_path(const struct device *device, const char *name, char *path)
{
    snprintf(path, DEVICE_PATH, "%s/%s", device->dir, name);
    return path;
}

bool device_has(const struct device *device, const char *name)
{
    char path[DEVICE_PATH];

    return access(device_path(device, name, path), F_OK) == 0;
}

static int add_file(struct device *device, const char *path, bool anchor)
{
    dot2_cert *cert = NULL;
    enum dot2_status status;
    int code = device_read_cert(device, path, &cert);

    if (code != APP_OK)
        return code;
    status =
        anchor ? dot2_trust_add_anchor(device->trust, cert) : dot2_trust_add(device->trust, cert);
    if (status != DOT2_OK) {
        app_error("%s: %s", path, dot2_status_text(status));
        code = APP_REFUSED;
    }
    dot2_cert_free(cert);
    return code;
}

/* A certificate, or a directory whose files *.oer, *.coer and *.cert are certificates. */
static int add_certs(struct device *device, const char *path, bool anchor)
{
    struct stat about;
    const struct dirent *entry;
    const char *end;
    char name[DEVICE_PATH];
    DIR *directory;
    int code = APP_OK;

    if (stat(path, &about) != 0 || !S_ISDIR(about.st_mode))
        return add_file(device, path, anchor);
    directory = opendir(path);
    while (code == APP_OK && directory != NULL && (entry = readdir(directory)) != NULL) {
        end = strrchr(entry->d_name, '.');
        if (end == NULL ||
            (strcmp(end, ".oer") != 0 && strcmp(end, ".coer") != 0 && strcmp(end, ".cert") != 0))
            continue;
        if (snprintf(name, sizeof(name), "%s/%s", path, entry->d_name) >= (int)sizeof(name))
            code = APP_USAGE;
        else
            code = add_file(device, name, anchor);
    }
    if (directory == NULL)
        app_error("%s: %s", path, strerror(errno));
    if (directory == NULL || closedir(directory) != 0)
        code = APP_USAGE;
    if (code != APP_OK)
        app_error("%s: its certificates cannot be read", path);
    return code;
}

int device_load_trust(struct device *device)
{
    char path[DEVICE_PATH];
    const char *ra = NULL;
    uint32_t now = 0;
    int code = APP_OK;

    dot2_trust_free(device->trust);
    dot2_cert_free(device->ra);
    device->trust = NULL;
    device->ra = NULL;
    device->config.ra_certificate = NULL;
    if (device_now(device, &now) != APP_OK)
        return APP_REFUSED;
    if (dot2_trust_new(device->crypto, NULL, &device->trust) != DOT2_OK) {
        app_error("out of memory");
        return APP_REFUSED;
    }
    code = add_certs(device, device->anchors, true);
    if (code == APP_OK && device->certificates != NULL)
        code = add_certs(device, device->certificates, false);
    if (code == APP_OK)
        code = device_crl_load(device, device->trust, now);
    if (code == APP_OK && device_has(device, "chain.oer"))
        code = device_chain_load(device, device->trust, device_path(device, "chain.oer", path), now,
                                 NULL, NULL);
    if (device_has(device, "ra.oer"))
        ra = device_path(device, "ra.oer", path);
    else
        ra = device->ra_path;
    if (code == APP_OK && ra != NULL)
        code = device_read_cert(device, ra, &device->ra);
    if (device->ra != NULL && dot2_trust_add(device->trust, device->ra) != DOT2_OK)
        code = APP_REFUSED;
    device->config.ra_certificate = device->ra;
    return code;
}

void device_close(struct device *device)
{
    EVP_PKEY_free(device->enrollment_key);
    dot2_cert_free(device->enrollment);
    dot2_cert_free(device->ra);
    dot2_trust_free(device->trust);
    dot2_crypto_free(device->crypto);
    OSSL_LIB_CTX_free(device->libctx);
    NCONF_free(device->conf);
    free(device->dir);
    if (device->lock >= 0)
        close(device->lock);
}
