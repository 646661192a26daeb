/*
 * dot2hsm sign: a signature over the octets of a file. What is signed is never guessed: one of
 * --signer, --self and --plain says which digest is meant.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include <openssl/ecdsa.h>
#include <openssl/err.h>

#include "apps/app.h"
#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/support.h"

static const char usage[] =
    "Usage: dot2hsm sign --signer FILE|--self|--plain [OPTION]... --key URI FILE\n"
    "Signs the octets of FILE (\"-\": standard input) with a private key that a URI names.\n"
    "\n"
    "      --signer FILE         1609.2 signature under this certificate: the digest is\n"
    "                            H( H(data) || H(certificate) ), the certificate in canonical "
    "form\n"
    "      --self                1609.2 signature with signer self: H( H(data) || H(\"\") )\n"
    "      --plain               plain ECDSA: the digest is H(data)\n"
    "      --format FORMAT       coer (default): Signature of IEEE 1609.2, rSig x-only;\n"
    "                            der: ECDSA-Sig-Value; raw: r || s. --plain: der (default) or raw\n"
    "      --key URI             pkcs11:... of a token, or file:... of a PEM file\n"
    "      --out FILE            instead of standard output\n" COMMAND_PROVIDER_HELP
    "H is SHA-256, and SHA-384 for the two 384-bit curves. A NIST P-384 key has no place in a\n"
    "Signature of this release: --format der or raw only.\n";

#define DATA_MAX ((size_t)64 << 20)

enum form {
    FORM_NONE = 0,
    FORM_COER,
    FORM_DER,
    FORM_RAW
};

struct sign {
    const char *key_uri, *signer, *out;
    bool self, plain;
    enum form form;
    struct app_provider provider;
};

/* r || s, each as long as the curve's coordinate, from a DER ECDSA-Sig-Value. */
static int der_to_raw(const uint8_t *der, size_t der_size, size_t coordinate, uint8_t *raw)
{
    const uint8_t *end = der;
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &end, (long)der_size);
    int ok = 0;

    if (signature != NULL && end == der + der_size)
        ok = BN_bn2binpad(ECDSA_SIG_get0_r(signature), raw, (int)coordinate) >= 0 &&
             BN_bn2binpad(ECDSA_SIG_get0_s(signature), raw + coordinate, (int)coordinate) >= 0;
    ECDSA_SIG_free(signature);
    return ok;
}

/* ECDSA over the curve's hash of the data, without any signer in it. */
static int sign_plain(OSSL_LIB_CTX *libctx, EVP_PKEY *key, const struct sign *what,
                      const uint8_t *data, size_t size, uint8_t signature[112],
                      size_t *signature_size)
{
    enum dot2_curve curve = dot2_key_curve(key);
    size_t coordinate = dot2_curve_size(curve);
    const char *digest = dot2_curve_hash_size(curve) == 48 ? "SHA2-384" : "SHA2-256";
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t raw[96];
    int result = APP_REFUSED;

    *signature_size = 112;
    if (ctx == NULL) {
        app_error("%s cannot sign: out of memory", what->key_uri);
        goto out;
    }
    if (EVP_DigestSignInit_ex(ctx, NULL, digest, libctx, NULL, key, NULL) <= 0 ||
        EVP_DigestSign(ctx, signature, signature_size, data, size) <= 0) {
        app_error_openssl("%s cannot sign", what->key_uri);
        goto out;
    }
    if (what->form == FORM_RAW) {
        if (!der_to_raw(signature, *signature_size, coordinate, raw)) {
            app_error_openssl("%s gave a signature that is not DER", what->key_uri);
            goto out;
        }
        memcpy(signature, raw, 2 * coordinate);
        *signature_size = 2 * coordinate;
    }
    result = APP_OK;
out:
    EVP_MD_CTX_free(ctx);
    return result;
}

/* That an explicit certificate is the key's is checked here; nobody can say it of an implicit one
 * without its issuer. */
static int check_signer(const dot2_cert *cert, const EVP_PKEY *key, const struct sign *what)
{
    struct dot2_error error = {0};
    enum dot2_status status = dot2_cert_check_key(cert, key, NULL, &error);

    if (status == DOT2_E_KEY_MISMATCH)
        app_error("%s is not the private key of %s (DOT2_E_KEY_MISMATCH)", what->key_uri,
                  what->signer);
    else if (status != DOT2_OK)
        command_error(what->signer, &error);
    return status == DOT2_OK ? APP_OK : APP_REFUSED;
}

static int sign_dot2(const dot2_crypto *crypto, EVP_PKEY *key, const struct sign *what,
                     const uint8_t *data, size_t size, uint8_t signature[112],
                     size_t *signature_size)
{
    struct dot2_error error = {0};
    const uint8_t *signer = NULL;
    size_t signer_size = 0;
    dot2_cert *cert = NULL;
    enum dot2_status status;
    int result = APP_OK;

    if (what->signer != NULL) {
        result = command_certificate(crypto, what->signer, &cert);
        if (result == APP_OK)
            result = check_signer(cert, key, what);
        if (result != APP_OK)
            goto out;
        signer = dot2_cert_canonical(cert, &signer_size);
    }
    if (what->form == FORM_COER)
        status = dot2_sign(crypto, key, data, size, signer, signer_size, signature, signature_size,
                           &error);
    else
        status = dot2_sign_format(crypto, key, data, size, signer, signer_size,
                                  what->form == FORM_DER ? DOT2_SIGNATURE_DER : DOT2_SIGNATURE_RAW,
                                  signature, signature_size, &error);
    if (status != DOT2_OK) {
        command_error(what->key_uri, &error);
        result = APP_REFUSED;
    }
out:
    dot2_cert_free(cert);
    return result;
}

static int check_key(const EVP_PKEY *key, const struct sign *what)
{
    enum dot2_curve curve = dot2_key_curve(key);

    if (curve == DOT2_CURVE_NONE) {
        app_error("%s is not on P-256, P-384, brainpoolP256r1 or brainpoolP384r1 "
                  "(DOT2_E_ALGORITHM)",
                  what->key_uri);
        return APP_REFUSED;
    }
    if (curve == DOT2_CURVE_P384 && what->form == FORM_COER) {
        app_error("%s is on NIST P-384, for which the type Signature of this release has no "
                  "alternative (DOT2_E_ALGORITHM); --format der or raw",
                  what->key_uri);
        return APP_REFUSED;
    }
    return APP_OK;
}

static int sign_file(const struct sign *what, const char *path)
{
    OSSL_LIB_CTX *libctx = NULL;
    dot2_crypto *crypto = NULL;
    EVP_PKEY *key = NULL;
    uint8_t *data = NULL;
    uint8_t signature[112];
    size_t size = 0, signature_size = 0;
    int result = app_file_read(path, DATA_MAX, &data, &size);

    if (result == APP_OK)
        result = command_crypto(&what->provider, &libctx, &crypto);
    if (result == APP_OK)
        result = app_key_open(libctx, what->key_uri, &key);
    if (result == APP_OK)
        result = check_key(key, what);
    if (result == APP_OK && what->plain)
        result = sign_plain(libctx, key, what, data, size, signature, &signature_size);
    else if (result == APP_OK)
        result = sign_dot2(crypto, key, what, data, size, signature, &signature_size);
    if (result == APP_OK)
        result = app_file_write(what->out, signature, signature_size, 0644);
    EVP_PKEY_free(key);
    dot2_crypto_free(crypto);
    OSSL_LIB_CTX_free(libctx);
    OPENSSL_free(data);
    return result;
}

static int parse_form(const char *word, enum form *form)
{
    if (strcmp(word, "coer") == 0)
        *form = FORM_COER;
    else if (strcmp(word, "der") == 0)
        *form = FORM_DER;
    else if (strcmp(word, "raw") == 0)
        *form = FORM_RAW;
    else
        return -1;
    return 0;
}

/* Everything that is wrong with the command line, before a token is touched. */
static int check_options(struct sign *what, int files)
{
    int digests = (what->signer != NULL) + what->self + what->plain;

    if (digests != 1) {
        app_error("one of --signer FILE, --self and --plain is wanted%s",
                  digests == 0 ? "" : ", not several");
        return command_usage();
    }
    if (what->key_uri == NULL) {
        app_error("--key is missing");
        return command_usage();
    }
    if (files != 1) {
        app_error("one FILE is wanted");
        return command_usage();
    }
    if (what->plain && what->form == FORM_COER) {
        app_error("a plain ECDSA signature is no Signature of IEEE 1609.2: --format der or raw");
        return command_usage();
    }
    if (what->form == FORM_NONE)
        what->form = what->plain ? FORM_DER : FORM_COER;
    return APP_OK;
}

int cmd_sign(int argc, char **argv)
{
    static const struct option options[] = {{"signer", required_argument, NULL, 's'},
                                            {"self", no_argument, NULL, 'S'},
                                            {"plain", no_argument, NULL, 'p'},
                                            {"format", required_argument, NULL, 'f'},
                                            {"key", required_argument, NULL, 'k'},
                                            {"out", required_argument, NULL, 'o'},
                                            COMMAND_PROVIDER_OPTIONS,
                                            {NULL, 0, NULL, 0}};
    struct sign what = {.out = "-"};
    int c, result;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 's':
            what.signer = optarg;
            break;
        case 'S':
            what.self = true;
            break;
        case 'p':
            what.plain = true;
            break;
        case 'f':
            if (parse_form(optarg, &what.form) != 0) {
                app_error("--format is coer, der or raw, not \"%s\"", optarg);
                return command_usage();
            }
            break;
        case 'k':
            what.key_uri = optarg;
            break;
        case 'o':
            what.out = optarg;
            break;
        case COMMAND_HELP:
            fputs(usage, stdout);
            return APP_OK;
        default:
            if (!command_provider_option(c, optarg, &what.provider))
                return command_usage();
        }
    }
    result = check_options(&what, argc - optind);
    return result == APP_OK ? sign_file(&what, argv[optind]) : result;
}
