/*
 * cmd_ee_enroll.c: dot2hsm ee enroll. Bootstrapping is by files (protocol 1.5, use case 2): a
 * request that somebody carries to the ECA, and a response that somebody carries back.
 *
 * The request is kept in the state directory as enrollment.request: the response must name its
 * hash. A software key k of the request is enrollment.pem there, until the response makes of it the
 * key of an implicit certificate, d = e k + s, which is written to enrollment-key. With
 * assemble-key-on-host and a key in a token, k is enrollment.sealed (ee_assemble.h), and d is put
 * into the token.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>

#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/ee_assemble.h"
#include "apps/dot2hsm/input.h"
#include "apps/dot2hsm/support.h"
#include "apps/dot2hsm/token.h"

#include "asn1/types.h"
#include "pkcs11/p11.h"

#define REQUEST_NAME "enrollment.request"
#define KEY_NAME "enrollment.pem"
#define SEALED_NAME "enrollment.sealed"
#define PSIDS_MAX 32

struct enroll {
    struct device device;
    const char *request, *response;
    long psids[PSIDS_MAX];
    size_t psid_count;
    long years;
    bool assemble;
};

static int enroll_help(void)
{
    printf(
        "Usage: dot2hsm ee enroll --config FILE --request OUT --psid N [--psid N]...\n"
        "       dot2hsm ee enroll --config FILE --response IN\n"
        "The first form makes the key enrollment-key, in its token or as a file, and writes a\n"
        "SignedEeEnrollmentCertRequest to OUT, for the enrollment CA. The second form checks the\n"
        "CA's SignedEeEnrollmentCertResponse and installs enrollment-certificate and, for an\n"
        "implicit certificate, its key.\n"
        "A key that is made in a token can have an explicit certificate only, for which the\n"
        "configuration must say enrollment = explicit; a CA of the CV Pilots issues implicit\n"
        "ones. With assemble-key-on-host the key is made on this host, where it and what it\n"
        "becomes exist for moments, and is then put into the token.\n\n"
        "      --assemble-key-on-host\n"
        "                           as in the configuration; for both forms\n"
        "      --psid N             what the device will be allowed to ask for (0x82 or 130)\n"
        "      --years N            validity that is asked for, 1 to 7 (default 3)\n%s",
        COMMAND_PROVIDER_HELP);
    return APP_OK;
}

static bool in_token(const struct device *device)
{
    return strncmp(device->key_uri, "pkcs11:", strlen("pkcs11:")) == 0;
}

/* The path of enrollment-key, if that is a file. */
static const char *key_path(const struct device *device)
{
    const char *uri = device->key_uri;

    return strncmp(uri, "file:", 5) == 0 ? uri + 5 : uri;
}

/* ---- the request ---- */

/* Is k made on the host for a key in the token? An explicit certificate needs no such thing. */
static bool assembles(const struct device *device)
{
    return in_token(device) && device->assemble && !device->explicit_enrollment;
}

/* APP_REFUSED if there is a private key at enrollment-key already. */
static int token_key_refuse(struct device *device)
{
    p11_ctx *ctx = NULL;
    p11_objects *objects = NULL;
    enum p11_status status;
    int code = token_open(&device->provider, device->conf, &ctx);

    if (code != APP_OK)
        return code;
    status = p11_find(ctx, device->key_uri, P11_PRIVATE, token_prompt, NULL, &objects);
    if (status == P11_OK && p11_objects_count(objects) > 0) {
        app_error("%s is there already; it is not replaced", device->key_uri);
        code = APP_REFUSED;
    } else if (status != P11_OK && status != P11_E_NO_OBJECT) {
        code = token_failed(status, device->key_uri);
    }
    ERR_clear_error();
    p11_objects_free(objects);
    p11_ctx_free(ctx);
    return code;
}

static int make_key(struct device *device, EVP_PKEY **key)
{
    EVP_PKEY *public_key = NULL;
    char path[DEVICE_PATH];
    int code = APP_OK;

    device_path(device, SEALED_NAME, path);
    if (assembles(device)) {
        if (access(path, F_OK) != 0)
            code = token_key_refuse(device);
        if (code != APP_OK)
            return code;
        code = sealed_key_make(device, path, device->key_uri, &public_key);
        EVP_PKEY_free(public_key);
        /* The request is signed with it. */
        return code == APP_OK ? sealed_key_open(device, path, device->key_uri, key) : code;
    }
    if (in_token(device)) {
        code = device_token_key_make(device, device->key_uri, P11_USAGE_SIGN);
        return code == APP_OK ? app_key_open(device->libctx, device->key_uri, key) : code;
    }
    device_path(device, KEY_NAME, path);
    if (access(path, F_OK) == 0)
        return app_key_open(device->libctx, path, key);
    *key = EVP_PKEY_Q_keygen(device->libctx, "provider!=dot2hsm", "EC", "P-256");
    if (*key == NULL) {
        app_error_openssl("a key cannot be made");
        return APP_REFUSED;
    }
    return device_key_write(device, path, *key);
}

static bool set_permissions(const struct enroll *enroll, coer_arena *arena,
                            ToBeSignedCertificate_t *body)
{
    SequenceOfPsidGroupPermissions_t *list = coer_arena_alloc(arena, sizeof(*list));
    PsidGroupPermissions_t *group = coer_arena_alloc(arena, sizeof(*group));

    if (list == NULL || group == NULL)
        return false;
    group->minChainLength = coer_long(arena, 0);
    group->subjectPermissions.present = SubjectPermissions_PR_explicit;
    for (size_t i = 0; i < enroll->psid_count; i++) {
        PsidSspRange_t *range = coer_arena_alloc(arena, sizeof(*range));

        if (range == NULL)
            return false;
        range->psid = enroll->psids[i];
        if (!coer_list_add(arena, &group->subjectPermissions.choice.Explicit, range))
            return false;
    }
    body->certRequestPermissions = list;
    return group->minChainLength != NULL && coer_list_add(arena, list, group);
}

static bool set_region(coer_arena *arena, ToBeSignedCertificate_t *body)
{
    IdentifiedRegion_t *country = coer_arena_alloc(arena, sizeof(*country));

    body->region = coer_arena_alloc(arena, sizeof(*body->region));
    if (country == NULL || body->region == NULL)
        return false;
    country->present = IdentifiedRegion_PR_countryOnly;
    country->choice.countryOnly = 840; /* the profile has the USA */
    body->region->present = GeographicRegion_PR_identifiedRegion;
    return coer_list_add(arena, &body->region->choice.identifiedRegion, country);
}

/* The profile of an enrollment certificate, protocol 2.6; cracaId is of the first anchor. */
static bool set_body(const struct enroll *enroll, coer_arena *arena, uint32_t now,
                     ToBeSignedCertificate_t *body)
{
    dot2_cert *root = NULL;
    bool ok;

    if (device_read_cert(&enroll->device, enroll->device.anchors, &root) != APP_OK)
        return false;
    body->id.present = CertificateId_PR_name;
    coer_octets_view(&body->id.choice.name, "", 0);
    body->crlSeries = 4;
    body->validityPeriod.start = now;
    body->validityPeriod.duration.present = Duration_PR_years;
    body->validityPeriod.duration.choice.years = enroll->years;
    body->canRequestRollover = coer_arena_alloc(arena, sizeof(NULL_t));
    ok = coer_octets(arena, &body->cracaId, dot2_cert_hashedid8(root) + 5, 3) &&
         body->canRequestRollover != NULL && set_region(arena, body) &&
         set_permissions(enroll, arena, body);
    dot2_cert_free(root);
    return ok;
}

static int build_request(const struct enroll *enroll, EVP_PKEY *key, uint8_t **octets, size_t *size)
{
    const struct device *device = &enroll->device;
    struct dot2_error error = {.status = DOT2_OK};
    coer_arena *arena = coer_arena_new();
    ToBeSignedCertificate_t body = {.crlSeries = 0};
    uint8_t *tbs = NULL;
    size_t tbs_size = 0;
    uint32_t now = 0;
    int code = APP_REFUSED;

    if (arena == NULL || dot2_time32_now(&now) != DOT2_OK || !set_body(enroll, arena, now, &body))
        app_error("the request cannot be made: out of memory, or the clock or an anchor is not to "
                  "be had");
    else if (scms_enrollment_request_build(now, &body, key, &tbs, &tbs_size, &error) != DOT2_OK ||
             scms_signed_request_build(device->crypto, key, NULL, tbs, tbs_size, octets, size,
                                       &error) != DOT2_OK)
        command_error("the request", &error);
    else
        code = APP_OK;
    OPENSSL_free(tbs);
    coer_arena_free(arena);
    return code;
}

static int request(struct enroll *enroll)
{
    struct device *device = &enroll->device;
    EVP_PKEY *key = NULL;
    char path[DEVICE_PATH];
    uint8_t *octets = NULL;
    size_t size = 0;
    int code;

    if (in_token(device) && !device->explicit_enrollment && !device->assemble) {
        app_error("a key that is made in a token can have an explicit certificate only: neither "
                  "enrollment = explicit nor assemble-key-on-host = yes is set");
        return APP_USAGE;
    }
    if (!in_token(device) && access(key_path(device), F_OK) == 0) {
        app_error("%s is there already; it is not replaced", key_path(device));
        return APP_REFUSED;
    }
    code = make_key(device, &key);
    if (code == APP_OK)
        code = build_request(enroll, key, &octets, &size);
    if (code == APP_OK)
        code = app_file_write(device_path(device, REQUEST_NAME, path), octets, size, 0644);
    if (code == APP_OK)
        code = app_file_write(enroll->request, octets, size, 0644);
    OPENSSL_free(octets);
    EVP_PKEY_free(key);
    return code;
}

/* ---- the response ---- */

static int check_hash(const struct device *device, const uint8_t hash[8])
{
    char path[DEVICE_PATH];
    uint8_t *octets = NULL, expected[48];
    size_t size = 0;
    int code = app_file_read(device_path(device, REQUEST_NAME, path), INPUT_MAX, &octets, &size);

    if (code == APP_OK &&
        (dot2_hash(device->crypto, DOT2_CURVE_P256, octets, size, expected) != DOT2_OK ||
         memcmp(expected + 24, hash, 8) != 0)) {
        app_error("the response is not to the request in %s", path);
        code = APP_REFUSED;
    }
    OPENSSL_free(octets);
    return code;
}

/* The key that goes with the certificate; *made: it is new and must be written. */
static int find_key(struct device *device, const struct scms_enrollment_response *response,
                    EVP_PKEY **key, bool *made)
{
    struct dot2_error error = {.status = DOT2_OK};
    EVP_PKEY *request_key = NULL;
    char path[DEVICE_PATH];
    const bool sealed =
        in_token(device) && access(device_path(device, SEALED_NAME, path), F_OK) == 0;
    int code;

    *made = sealed || !in_token(device);
    if (sealed && (code = assemble_allowed(device)) != APP_OK)
        return code;
    if (sealed)
        code = sealed_key_open(device, path, device->key_uri, &request_key);
    else
        code = app_key_open(
            device->libctx,
            in_token(device) ? device->key_uri : device_path(device, KEY_NAME, path), &request_key);
    /* Without the file the key in the token may be what a killed run has assembled: compared. */
    if (code != APP_OK || !dot2_cert_is_implicit(response->enrollment) ||
        (in_token(device) && !sealed && device->assemble)) {
        *key = request_key;
        return code;
    }
    if (in_token(device) && !sealed) {
        app_error("the certificate is implicit: its key cannot be made in a token");
        code = APP_REFUSED;
    } else if (dot2_ecqv_private_key(device->crypto, response->enrollment, response->eca,
                                     request_key, response->s, key, &error) != DOT2_OK) {
        command_error("the enrollment key", &error);
        code = APP_REFUSED;
    }
    EVP_PKEY_free(request_key);
    return code;
}

static int check_enrollment(struct device *device, const struct scms_enrollment_response *response,
                            EVP_PKEY *key, uint32_t now)
{
    const struct dot2_check check = {.purpose = DOT2_PURPOSE_ENROLLMENT, .time = now};
    struct dot2_error error = {.status = DOT2_OK};
    struct dot2_chain chain = {.key = NULL};
    int code = APP_OK;

    if (dot2_chain_verify(device->trust, response->enrollment, &check, &chain, &error) != DOT2_OK) {
        command_error("the enrollment certificate", &error);
        return APP_REFUSED;
    }
    if (EVP_PKEY_eq(chain.key, key) != 1) {
        app_error("the enrollment certificate is not for the key of the request");
        code = APP_REFUSED;
    }
    dot2_chain_clear(&chain);
    return code;
}

static int install(struct device *device, const struct scms_enrollment_response *response,
                   uint32_t now)
{
    char path[DEVICE_PATH];
    const uint8_t *octets;
    EVP_PKEY *key = NULL;
    size_t size = 0;
    bool made = false;
    int code = check_hash(device, response->request_hash);

    if (code == APP_OK)
        code = find_key(device, response, &key, &made);
    if (code == APP_OK)
        code = check_enrollment(device, response, key, now);
    if (code == APP_OK && made)
        code = in_token(device) ? sealed_key_import(device, device->key_uri, key, P11_USAGE_SIGN)
                                : device_key_write(device, key_path(device), key);
    octets = dot2_cert_octets(response->enrollment, &size);
    if (code == APP_OK)
        code = app_file_write(device->certificate_path, octets, size, 0644);
    /* Both are in place; a run that is killed before can be done again. */
    if (code == APP_OK && made && !in_token(device))
        unlink(device_path(device, KEY_NAME, path));
    if (code == APP_OK && in_token(device) && device->assemble)
        code = sealed_key_drop(device, device_path(device, SEALED_NAME, path), device->key_uri);
    EVP_PKEY_free(key);
    return code;
}

static int respond(struct enroll *enroll)
{
    struct device *device = &enroll->device;
    struct scms_enrollment_response response;
    struct dot2_error error = {.status = DOT2_OK};
    char id[17], end[21];
    uint8_t *octets = NULL;
    size_t size = 0;
    uint32_t now = 0;
    int code = app_file_read(enroll->response, INPUT_MAX, &octets, &size);

    memset(&response, 0, sizeof(response));
    if (code == APP_OK)
        code = device_load_trust(device);
    if (code != APP_OK)
        goto out;
    if (dot2_time32_now(&now) != DOT2_OK ||
        scms_enrollment_response_open(device->crypto, device->trust, now, octets, size,
                                      device->explicit_enrollment, &response, &error) != DOT2_OK) {
        command_error(enroll->response, &error);
        code = APP_REFUSED;
        goto out;
    }
    /* Named by the response; whether it is trusted is decided by its chain. */
    if (dot2_trust_add(device->trust, response.eca) == DOT2_OK) {
        code = install(device, &response, now);
    } else {
        app_error("%s: its enrollment CA cannot be added: out of memory", enroll->response);
        code = APP_REFUSED;
    }
    if (code == APP_OK) {
        dot2_time32_format(dot2_cert_end(response.enrollment), end);
        printf("%s  HashedId8 %s, %s, until %s\n", device->certificate_path,
               command_hex(dot2_cert_hashedid8(response.enrollment), 8, id),
               dot2_cert_is_implicit(response.enrollment) ? "implicit" : "explicit", end);
    }
out:
    scms_enrollment_response_clear(&response);
    OPENSSL_free(octets);
    return code;
}

/* ---- the command ---- */

static bool parse(const char *text, long max, long *value)
{
    char *end = NULL;

    errno = 0;
    *value = *text >= '0' && *text <= '9' ? strtol(text, &end, 0) : -1;
    return end != NULL && *end == '\0' && errno == 0 && *value <= max;
}

static bool take_option(struct enroll *enroll, int option, const char *value)
{
    switch (option) {
    case 'q':
        enroll->request = value;
        return true;
    case 's':
        enroll->response = value;
        return true;
    case 'p':
        if (enroll->psid_count < PSIDS_MAX &&
            parse(value, INT64_MAX, &enroll->psids[enroll->psid_count])) {
            enroll->psid_count++;
            return true;
        }
        app_error("--psid is a number, and there are at most %d of them", PSIDS_MAX);
        return false;
    case 'a':
        enroll->assemble = true;
        return true;
    case 'y':
        if (parse(value, 7, &enroll->years) && enroll->years > 0)
            return true;
        app_error("--years is a number from 1 to 7");
        return false;
    default:
        return command_provider_option(option, value, &enroll->device.provider);
    }
}

int ee_enroll_command(int argc, char **argv)
{
    static const struct option options[] = {{"request", required_argument, NULL, 'q'},
                                            {"response", required_argument, NULL, 's'},
                                            {"psid", required_argument, NULL, 'p'},
                                            {"years", required_argument, NULL, 'y'},
                                            {"assemble-key-on-host", no_argument, NULL, 'a'},
                                            COMMAND_PROVIDER_OPTIONS,
                                            {NULL, 0, NULL, 0}};
    struct enroll enroll;
    int option, code;

    memset(&enroll, 0, sizeof(enroll));
    enroll.years = 3;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == COMMAND_HELP)
            return enroll_help();
        if (!take_option(&enroll, option, optarg))
            return command_usage();
    }
    if (optind < argc || (enroll.request == NULL) == (enroll.response == NULL)) {
        app_error("either --request or --response is wanted, and no operand");
        return command_usage();
    }
    if (enroll.request != NULL && enroll.psid_count == 0) {
        app_error("--psid is missing: what will the device ask for?");
        return command_usage();
    }
    code = device_configure(&enroll.device);
    enroll.device.assemble = enroll.device.assemble || enroll.assemble;
    if (code == APP_OK)
        code = device_lock(&enroll.device);
    if (code == APP_OK)
        code = device_open(&enroll.device);
    if (code == APP_OK)
        code = enroll.request != NULL ? request(&enroll) : respond(&enroll);
    device_close(&enroll.device);
    return code;
}
