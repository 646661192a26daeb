/*
 * dot2hsm verify: is a certificate, a signedData or a Signed...Request good under a trust anchor?
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>

#include "apps/app.h"
#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/input.h"
#include "apps/dot2hsm/inspect.h"
#include "apps/dot2hsm/json.h"
#include "apps/dot2hsm/support.h"
#include "apps/dot2hsm/verify_crl.h"
#include "protocol/scms/scms.h"

static const char usage[] =
    "Usage: dot2hsm verify --root FILE... [OPTION]... FILE\n"
    "Verifies a certificate, a signedData or a Signed...Request up to a trust anchor, and prints\n"
    "the chain.\n"
    "\n"
    "      --root FILE       a trust anchor, whichever certificate that is; may be repeated\n"
    "      --cert FILE|DIR   certificates that may stand between, and signers that a message "
    "names\n"
    "                        by digest; of a directory, every file that is a certificate\n"
    "      --crl FILE        a SecuredCrl or CompositeCrl; hash-based lists revoke, linkage-based "
    "ones\n"
    "                        are named as not evaluated; may be repeated\n"
    "      --at TIME         when: ISO 8601 (2026-11-23T00:00:00Z) or Time32; default: now\n"
    "      --only signature  leave out validity, permissions, region and revocation\n"
    "      --purpose WORD    what the end of the chain must be: any, or enrollment; default:\n"
    "                        enrollment for a Signed...Request, any otherwise\n"
    "      --json            as JSON\n"
    "      --help            this text\n"
    "Exit status: 0 valid, 1 not, with the reason.\n";

#define FILES_MAX 64

struct verify {
    const char *roots[FILES_MAX], *certs[FILES_MAX], *crls[FILES_MAX];
    size_t root_count, cert_count, crl_count;
    const char *purpose;
    bool signature_only, as_json;
    bool has_time;
    uint32_t time;
};

enum kind {
    KIND_CERTIFICATE,
    KIND_SIGNED_DATA,
    KIND_SIGNED_REQUEST
};

/* ---- trust ---- */

static int add_certificate(const dot2_crypto *crypto, dot2_trust *trust, const char *path,
                           bool anchor)
{
    dot2_cert *cert = NULL;
    enum dot2_status status;
    int result = command_certificate(crypto, path, &cert);

    if (result != APP_OK)
        return result;
    status = anchor ? dot2_trust_add_anchor(trust, cert) : dot2_trust_add(trust, cert);
    if (status != DOT2_OK) {
        app_error("%s: %s (%s)", path, dot2_status_text(status), dot2_status_name(status));
        result = APP_REFUSED;
    }
    dot2_cert_free(cert);
    return result;
}

/*
 * A file of a directory that is not a certificate is none of our business; one that might be, and
 * for which there was no memory, is.
 */
static int add_if_certificate(const dot2_crypto *crypto, dot2_trust *trust, const char *path)
{
    uint8_t *octets = NULL;
    size_t size = 0;
    dot2_cert *cert = NULL;
    enum dot2_status status = DOT2_E_DECODE;
    int result = APP_OK;

    if (app_file_read(path, INPUT_MAX, &octets, &size) == APP_OK)
        status = dot2_cert_new(crypto, octets, size, &cert, NULL);
    if (status == DOT2_OK)
        status = dot2_trust_add(trust, cert);
    if (command_cannot_tell(status)) {
        app_error("%s: %s (%s)", path, dot2_status_text(status), dot2_status_name(status));
        result = APP_REFUSED;
    }
    ERR_clear_error();
    dot2_cert_free(cert);
    OPENSSL_free(octets);
    return result;
}

static int add_directory(const dot2_crypto *crypto, dot2_trust *trust, const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    struct stat status;
    char name[4096];
    int result = APP_OK;

    if (directory == NULL) {
        app_error("%s: %s", path, strerror(errno));
        return APP_REFUSED;
    }
    while (result == APP_OK && (entry = readdir(directory)) != NULL) {
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (stat(name, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
            (size_t)status.st_size <= INPUT_MAX)
            result = add_if_certificate(crypto, trust, name);
    }
    closedir(directory);
    return result;
}

static int make_trust(const struct verify *what, dot2_crypto *crypto, uint32_t time,
                      dot2_trust **trust)
{
    struct stat status;
    int result = APP_OK;

    if (dot2_trust_new(crypto, NULL, trust) != DOT2_OK) {
        app_error("out of memory");
        return APP_REFUSED;
    }
    for (size_t i = 0; result == APP_OK && i < what->root_count; i++)
        result = add_certificate(crypto, *trust, what->roots[i], true);
    for (size_t i = 0; result == APP_OK && i < what->cert_count; i++) {
        if (stat(what->certs[i], &status) == 0 && S_ISDIR(status.st_mode))
            result = add_directory(crypto, *trust, what->certs[i]);
        else
            result = add_certificate(crypto, *trust, what->certs[i], false);
    }
    for (size_t i = 0; result == APP_OK && i < what->crl_count; i++)
        result = verify_crl_add(*trust, what->crls[i], time);
    return result;
}

/* ---- the verdict ---- */

static enum dot2_status verify_certificate(const dot2_crypto *crypto, dot2_trust *trust,
                                           const struct inspect_input *input,
                                           const struct dot2_check *check, struct dot2_chain *chain,
                                           struct dot2_error *error)
{
    dot2_cert *cert = NULL;
    enum dot2_status status = dot2_cert_new(crypto, input->octets, input->size, &cert, error);

    if (status == DOT2_OK)
        status = dot2_chain_verify(trust, cert, check, chain, error);
    dot2_cert_free(cert);
    return status;
}

static enum dot2_status verify_request(const dot2_crypto *crypto, dot2_trust *trust,
                                       const struct inspect_input *input,
                                       const struct dot2_check *check, struct dot2_chain *chain,
                                       struct dot2_error *error)
{
    struct scms_signed_request request = {0};
    enum dot2_status status =
        scms_signed_request_parse(crypto, input->octets, input->size, false, &request, error);

    if (status == DOT2_OK)
        status = dot2_chain_verify(trust, request.cert, check, chain, error);
    if (status == DOT2_OK)
        status = scms_signed_request_verify_by(crypto, &request, chain, error);
    scms_signed_request_clear(&request);
    return status;
}

static const char *kind_of(const dot2_cert *cert, bool anchor)
{
    if (dot2_cert_is_implicit(cert))
        return anchor ? "implicit, anchor" : "implicit";
    if (dot2_cert_is_self_issued(cert))
        return anchor ? "explicit, self-issued, anchor" : "explicit, self-issued";
    return anchor ? "explicit, anchor" : "explicit";
}

static void print_chain(const struct dot2_chain *chain)
{
    char id[17], start[21], end[21];

    for (size_t i = 0; i < chain->depth && i < 16; i++) {
        const dot2_cert *cert = chain->certs[i];
        const char *name = dot2_cert_name(cert);

        dot2_time32_format(dot2_cert_start(cert), start);
        dot2_time32_format(dot2_cert_end(cert), end);
        printf("  %zu  %s  %s to %s  %s  %s\n", i, command_hex(dot2_cert_hashedid8(cert), 8, id),
               start, end, name[0] != '\0' ? name : "(no name)",
               kind_of(cert, i + 1 == chain->depth));
    }
}

static void json_chain(struct json *json, const struct dot2_chain *chain)
{
    char start[21], end[21];

    json_array(json, "chain");
    for (size_t i = 0; i < chain->depth && i < 16; i++) {
        const dot2_cert *cert = chain->certs[i];

        dot2_time32_format(dot2_cert_start(cert), start);
        dot2_time32_format(dot2_cert_end(cert), end);
        json_object(json, NULL);
        json_string(json, "name", dot2_cert_name(cert));
        json_hex(json, "HashedId8", dot2_cert_hashedid8(cert), 8);
        json_string(json, "start", start);
        json_string(json, "end", end);
        json_bool(json, "implicit", dot2_cert_is_implicit(cert));
        json_bool(json, "anchor", i + 1 == chain->depth);
        json_end_object(json);
    }
    json_end_array(json);
}

/*
 * An implicit certificate has no signature: any one of its octets may be changed, and a public key
 * comes out of it all the same, to which nobody has the private one. So the verdict says it.
 */
static void report_valid(const struct verify *what, const char *path, const char *type,
                         enum kind kind, const struct dot2_chain *chain, const dot2_trust *trust,
                         uint32_t time)
{
    bool unproven =
        kind == KIND_CERTIFICATE && dot2_cert_is_implicit(chain->certs[0]) && chain->depth > 1;
    struct json json;

    if (!what->as_json) {
        printf("%s: %s: valid%s\n", path, type, what->signature_only ? " (signatures only)" : "");
        print_chain(chain);
        verify_crl_print(trust, time);
        if (unproven)
            printf("  An implicit certificate is proven only by a signature under it.\n");
        return;
    }
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_bool(&json, "valid", true);
    json_string(&json, "type", type);
    json_bool(&json, "signatureOnly", what->signature_only);
    json_bool(&json, "proven", !unproven);
    json_chain(&json, chain);
    verify_crl_json(trust, &json, time);
    json_end_object(&json);
    json_finish(&json);
}

static void report_not_valid(const struct verify *what, const char *path, const char *type,
                             const struct dot2_error *error)
{
    struct json json;

    command_error(path, error);
    if (!what->as_json) {
        printf("%s: %s: NOT valid: %s\n", path, type, dot2_status_name(error->status));
        return;
    }
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_bool(&json, "valid", false);
    json_string(&json, "type", type);
    json_string(&json, "status", dot2_status_name(error->status));
    json_string(&json, "reason", dot2_status_text(error->status));
    json_string(&json, "field", error->field);
    json_uint(&json, "offset", error->offset);
    json_string(&json, "detail", error->detail);
    json_end_object(&json);
    json_finish(&json);
}

static int kind_of_input(const struct inspect_input *input, const char *path, enum kind *kind)
{
    static const char *const certificates[] = {"Certificate", "CertificateBase",
                                               "ImplicitCertificate", "ExplicitCertificate"};

    for (size_t i = 0; i < sizeof(certificates) / sizeof(certificates[0]); i++) {
        if (strcmp(input->type->name, certificates[i]) == 0) {
            *kind = KIND_CERTIFICATE;
            return APP_OK;
        }
    }
    switch (scms_form_of(input->octets, input->size)) {
    case SCMS_FORM_SIGNED_DATA:
        *kind = KIND_SIGNED_DATA;
        return APP_OK;
    case SCMS_FORM_SIGNED_REQUEST:
        *kind = KIND_SIGNED_REQUEST;
        return APP_OK;
    default:
        app_error("%s: is a %s: neither a certificate nor signed", path, input->type->name);
        return APP_REFUSED;
    }
}

static int make_check(const struct verify *what, enum kind kind, struct dot2_check *check)
{
    memset(check, 0, sizeof(*check));
    check->signature_only = what->signature_only;
    check->purpose = kind == KIND_SIGNED_REQUEST ? DOT2_PURPOSE_ENROLLMENT : DOT2_PURPOSE_ANY;
    if (what->purpose != NULL)
        check->purpose =
            strcmp(what->purpose, "enrollment") == 0 ? DOT2_PURPOSE_ENROLLMENT : DOT2_PURPOSE_ANY;
    check->time = what->time;
    if (!what->has_time && dot2_time32_now(&check->time) != DOT2_OK) {
        app_error("the clock is outside of what Time32 can say; --at gives a time");
        return APP_USAGE;
    }
    return APP_OK;
}

static int verify_file(const struct verify *what, const char *path)
{
    struct inspect_input input = {0};
    struct dot2_error error = {0};
    struct dot2_chain chain = {0};
    struct dot2_check check;
    OSSL_LIB_CTX *libctx = NULL;
    dot2_crypto *crypto = NULL;
    dot2_trust *trust = NULL;
    const char *type = NULL;
    enum dot2_status status;
    enum kind kind;
    int result;

    result = inspect_input_read(path, NULL, NULL, &input);
    if (result == APP_OK)
        result = kind_of_input(&input, path, &kind);
    if (result == APP_OK)
        result = make_check(what, kind, &check);
    if (result == APP_OK)
        result = command_crypto(NULL, &libctx, &crypto);
    if (result == APP_OK)
        result = make_trust(what, crypto, check.time, &trust);
    if (result != APP_OK)
        goto out;
    if (kind == KIND_CERTIFICATE)
        status = verify_certificate(crypto, trust, &input, &check, &chain, &error);
    else if (kind == KIND_SIGNED_REQUEST)
        status = verify_request(crypto, trust, &input, &check, &chain, &error);
    else
        status = dot2_signed_data_verify(trust, input.octets, input.size, &check, &chain, &error);
    type = inspect_apdu_name(input.octets, input.size);
    if (type == NULL)
        type = input.type->name;
    if (status == DOT2_OK) {
        report_valid(what, path, type, kind, &chain, trust, check.time);
    } else {
        error.status = status;
        report_not_valid(what, path, type, &error);
        result = APP_REFUSED;
    }
out:
    dot2_chain_clear(&chain);
    dot2_trust_free(trust);
    inspect_input_clear(&input);
    dot2_crypto_free(crypto);
    OSSL_LIB_CTX_free(libctx);
    return result;
}

/* ---- the command line ---- */

static int add_path(const char **paths, size_t *count, const char *path)
{
    if (*count == FILES_MAX) {
        app_error("at most %d of --root, of --cert and of --crl", FILES_MAX);
        return APP_USAGE;
    }
    paths[(*count)++] = path;
    return APP_OK;
}

/* One option; APP_OK, or APP_USAGE after saying why. */
static int take_option(struct verify *what, int option, const char *value)
{
    switch (option) {
    case 'r':
        return add_path(what->roots, &what->root_count, value);
    case 'c':
        return add_path(what->certs, &what->cert_count, value);
    case 'l':
        return add_path(what->crls, &what->crl_count, value);
    case 'a':
        what->has_time = true;
        if (dot2_time32_parse(value, &what->time) == DOT2_OK)
            return APP_OK;
        app_error("--at: \"%s\" is neither ISO 8601 with Z nor a Time32", value);
        return APP_USAGE;
    case 'o':
        what->signature_only = true;
        if (strcmp(value, "signature") == 0)
            return APP_OK;
        app_error("--only takes the word signature, not \"%s\"", value);
        return APP_USAGE;
    case 'p':
        what->purpose = value;
        if (strcmp(value, "any") == 0 || strcmp(value, "enrollment") == 0)
            return APP_OK;
        app_error("--purpose is any or enrollment, not \"%s\"", value);
        return APP_USAGE;
    case 'j':
        what->as_json = true;
        return APP_OK;
    default:
        return command_usage();
    }
}

int cmd_verify(int argc, char **argv)
{
    static const struct option options[] = {{"root", required_argument, NULL, 'r'},
                                            {"cert", required_argument, NULL, 'c'},
                                            {"crl", required_argument, NULL, 'l'},
                                            {"at", required_argument, NULL, 'a'},
                                            {"only", required_argument, NULL, 'o'},
                                            {"purpose", required_argument, NULL, 'p'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct verify what = {0};
    int c, result;

    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (c == 'h') {
            fputs(usage, stdout);
            return APP_OK;
        }
        result = take_option(&what, c, optarg);
        if (result != APP_OK)
            return result;
    }
    if (what.root_count == 0 || argc - optind != 1) {
        app_error(what.root_count == 0 ? "--root is missing" : "one FILE is wanted");
        return command_usage();
    }
    return verify_file(&what, argv[optind]);
}
