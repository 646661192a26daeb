/* cmd_ee_sign.c: dot2hsm ee sign: signs a file under a certificate that sync has installed. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/ee_device.h"
#include "apps/dot2hsm/support.h"

#define DATA_MAX ((size_t)1 << 20)

static int sign_help(void)
{
    printf(
        "Usage: dot2hsm ee sign --config FILE --psid N [OPTION]... FILE\n"
        "Makes an IEEE 1609.2 SignedData of the octets of FILE (\"-\": standard input) under a\n"
        "certificate that sync has installed.\n\n"
        "      --kind KIND          application, pseudonym (each time any one of those that are\n"
        "                           valid) or identification; default: the first of these that\n"
        "                           `provision` in [ee] names\n"
        "      --psid N             the PSID, which must be among the certificate's (0x82 or\n"
        "                           130)\n"
        "      --digest             name the certificate by its HashedId8 instead of giving it\n"
        "  -o, --out FILE           instead of standard output\n%s",
        COMMAND_PROVIDER_HELP);
    return APP_OK;
}

struct sign {
    struct device device;
    struct dot2_header header;
    enum dot2_signer_form form;
    const char *out, *file, *psid, *kind_name;
    enum device_kind kind;
};

static bool parse_psid(const char *text, uint64_t *psid)
{
    char *end = NULL;

    errno = 0;
    *psid = *text >= '0' && *text <= '9' ? strtoull(text, &end, 0) : 0;
    return end != NULL && *end == '\0' && errno == 0 && *psid <= INT64_MAX;
}

static int check_cert(const struct sign *sign, dot2_cert *cert)
{
    const SequenceOfPsidSsp_t *list = dot2_cert_asn1(cert)->toBeSigned.appPermissions;
    const char *validity = NULL;
    char why[200];
    uint32_t now = 0;

    if (device_now(&sign->device, &now) != APP_OK)
        return APP_REFUSED;
    validity = command_validity(dot2_cert_start(cert), dot2_cert_end(cert), now);
    if (strcmp(validity, "valid") != 0) {
        app_error("the %s certificate is %s", device_kind_info(sign->kind)->name, validity);
        return APP_REFUSED;
    }
    if (device_revoked(&sign->device, cert, why, sizeof(why))) {
        app_error("the %s certificate is revoked: %s", device_kind_info(sign->kind)->name, why);
        return APP_REFUSED;
    }
    for (int i = 0; list != NULL && i < list->list.count; i++) {
        if ((uint64_t)list->list.array[i]->psid == sign->header.psid)
            return APP_OK;
    }
    app_error("the %s certificate does not permit psid %s", device_kind_info(sign->kind)->name,
              sign->psid);
    return APP_REFUSED;
}

static int choose_kind(struct sign *sign)
{
    for (int kind = DEVICE_APPLICATION; kind < DEVICE_KINDS; kind++) {
        sign->kind = (enum device_kind)kind;
        if (sign->kind_name != NULL
                ? strcmp(sign->kind_name, device_kind_info(sign->kind)->name) == 0
                : sign->device.wants[kind])
            return APP_OK;
    }
    app_error("--kind is application, pseudonym or identification");
    return command_usage();
}

/* Of a batch any one: who hears two messages is not to know them by their certificate. */
static int open_of_batch(struct sign *sign, dot2_cert **cert, char *uri)
{
    struct device *device = &sign->device;
    const struct device_batch *batch = NULL;
    uint32_t list[DEVICE_BATCH_MAX], now = 0, random = 0;
    size_t count = 0;
    int code;

    if (device_now(device, &now) == APP_OK)
        batch = device_batch_at(&device->state, sign->kind, now);
    if (batch == NULL) {
        app_error("there is no %s certificate that is valid now; dot2hsm ee sync gets some",
                  device_kind_info(sign->kind)->name);
        return APP_REFUSED;
    }
    code = device_batch_list(device, batch, list, &count);
    if (code != APP_OK)
        return code;
    if (RAND_bytes((unsigned char *)&random, sizeof(random)) <= 0) {
        app_error_openssl("no random octets");
        return APP_REFUSED;
    }
    return device_batch_open(device, batch, list[random % count], cert, uri);
}

/* The certificate, and the URI of its key. */
static int open_cert(struct sign *sign, dot2_cert **cert, char *uri)
{
    struct device *device = &sign->device;
    char path[DEVICE_PATH];

    if (sign->kind != DEVICE_APPLICATION)
        return open_of_batch(sign, cert, uri);
    if (device->state.certificate[0] == '\0') {
        app_error("there is no application certificate; dot2hsm ee sync gets one");
        return APP_REFUSED;
    }
    snprintf(uri, 512, "%s", device->state.key);
    return device_read_cert(device, device_path(device, device->state.certificate, path), cert);
}

static int make(struct sign *sign)
{
    struct device *device = &sign->device;
    struct dot2_error error = {.status = DOT2_OK};
    char uri[512];
    uint8_t *data = NULL, *octets = NULL;
    size_t data_size = 0, size = 0;
    dot2_cert *cert = NULL;
    EVP_PKEY *key = NULL;
    int code;

    code = open_cert(sign, &cert, uri);
    if (code == APP_OK)
        code = check_cert(sign, cert);
    if (code == APP_OK)
        code = app_key_open(device->libctx, uri, &key);
    if (code == APP_OK)
        code = app_file_read(sign->file, DATA_MAX, &data, &data_size);
    if (code != APP_OK)
        goto out;
    sign->header.has_generation_time = true;
    if (dot2_time64_now(&sign->header.generation_time) != DOT2_OK ||
        dot2_signed_data_build(device->crypto, key, cert, sign->form, &sign->header, data,
                               data_size, &octets, &size, &error) != DOT2_OK) {
        command_error(sign->file, &error);
        code = APP_REFUSED;
        goto out;
    }
    code = app_file_write(sign->out != NULL ? sign->out : "-", octets, size, 0644);
out:
    dot2_cert_free(cert);
    EVP_PKEY_free(key);
    OPENSSL_free(data);
    OPENSSL_free(octets);
    return code;
}

int ee_sign_command(int argc, char **argv)
{
    static const struct option options[] = {{"psid", required_argument, NULL, 'p'},
                                            {"kind", required_argument, NULL, 'k'},
                                            {"digest", no_argument, NULL, 'd'},
                                            {"out", required_argument, NULL, 'o'},
                                            COMMAND_PROVIDER_OPTIONS,
                                            {NULL, 0, NULL, 0}};
    struct sign sign;
    int option, code;

    memset(&sign, 0, sizeof(sign));
    sign.form = DOT2_SIGNER_CERTIFICATE;
    while ((option = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
        if (option == COMMAND_HELP)
            return sign_help();
        if (option == 'p')
            sign.psid = optarg;
        else if (option == 'k')
            sign.kind_name = optarg;
        else if (option == 'd')
            sign.form = DOT2_SIGNER_DIGEST;
        else if (option == 'o')
            sign.out = optarg;
        else if (!command_provider_option(option, optarg, &sign.device.provider))
            return command_usage();
    }
    if (argc - optind != 1 || sign.psid == NULL || !parse_psid(sign.psid, &sign.header.psid)) {
        app_error(argc - optind != 1 ? "one FILE is wanted" : "--psid is wanted, a number");
        return command_usage();
    }
    sign.file = argv[optind];
    code = device_configure(&sign.device);
    if (code == APP_OK)
        code = choose_kind(&sign);
    if (code == APP_OK)
        code = device_state_load(&sign.device);
    if (code == APP_OK)
        code = device_open(&sign.device);
    if (code == APP_OK)
        code = device_load_trust(&sign.device);
    if (code == APP_OK)
        code = make(&sign);
    device_close(&sign.device);
    return code;
}
