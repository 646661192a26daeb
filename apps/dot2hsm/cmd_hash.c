/*
 * dot2hsm hash: the hashes by which IEEE 1609.2 names things. A certificate is hashed in its
 * canonical form (clause 6.4.3) with the hash of its key; a signedData with rSig as x-only
 * (Guidance Note 4); everything else as it is, with SHA-256.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "apps/app.h"
#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/inspect.h"
#include "apps/dot2hsm/json.h"
#include "apps/dot2hsm/support.h"

#include "asn1/types.h"

static const char usage[] =
    "Usage: dot2hsm hash [OPTION]... FILE\n"
    "Prints the hash of a structure and the HashedId10, HashedId8 and HashedId3 made of it.\n"
    "A certificate is hashed in its canonical form, a signedData with rSig as x-only.\n"
    "\n"
    "      --type TYPE   name of the standard; else what the octets decode as\n"
    "      --input FORM  auto (default), coer, hex or base64\n"
    "      --json        as JSON\n"
    "      --help        this text\n";

struct hashed {
    const char *type;
    const char *algorithm; /* "SHA-256", "SHA-384" */
    uint8_t hash[48];
    size_t size;
    bool canonicalised; /* the octets hashed are not those of the file */
    bool has_canonical; /* the type has a canonical form at all */
};

static int hash_certificate(const dot2_crypto *crypto, const struct inspect_input *input,
                            const char *path, struct hashed *hashed)
{
    struct dot2_error error = {0};
    dot2_cert *cert = NULL;
    const uint8_t *canonical, *hash;
    size_t canonical_size = 0;

    if (dot2_cert_new(crypto, input->octets, input->size, &cert, &error) != DOT2_OK) {
        command_error(path, &error);
        return APP_REFUSED;
    }
    hash = dot2_cert_hash(cert, &hashed->size);
    memcpy(hashed->hash, hash, hashed->size);
    hashed->algorithm = hashed->size == 48 ? "SHA-384" : "SHA-256";
    canonical = dot2_cert_canonical(cert, &canonical_size);
    hashed->has_canonical = true;
    hashed->canonicalised =
        canonical_size != input->size || memcmp(canonical, input->octets, canonical_size) != 0;
    dot2_cert_free(cert);
    return APP_OK;
}

/* rSig of 32 octets as x-only; a r that is no x-coordinate at all (fill) stays. */
static void x_only_256(EccP256CurvePoint_t *point)
{
    OCTET_STRING_t x;

    if (point->present == EccP256CurvePoint_PR_uncompressedP256)
        x = point->choice.uncompressedP256.x;
    else if (point->present == EccP256CurvePoint_PR_compressed_y_0)
        x = point->choice.compressed_y_0;
    else if (point->present == EccP256CurvePoint_PR_compressed_y_1)
        x = point->choice.compressed_y_1;
    else
        return;
    point->present = EccP256CurvePoint_PR_x_only;
    point->choice.x_only = x;
}

static void x_only_384(EccP384CurvePoint_t *point)
{
    OCTET_STRING_t x;

    if (point->present == EccP384CurvePoint_PR_uncompressedP384)
        x = point->choice.uncompressedP384.x;
    else if (point->present == EccP384CurvePoint_PR_compressed_y_0)
        x = point->choice.compressed_y_0;
    else if (point->present == EccP384CurvePoint_PR_compressed_y_1)
        x = point->choice.compressed_y_1;
    else
        return;
    point->present = EccP384CurvePoint_PR_x_only;
    point->choice.x_only = x;
}

static enum coer_status encode_signature(const Signature_t *signature, uint8_t **octets,
                                         size_t *size)
{
    Signature_t copy = *signature;

    switch (copy.present) {
    case Signature_PR_ecdsaNistP256Signature:
        x_only_256(&copy.choice.ecdsaNistP256Signature.rSig);
        break;
    case Signature_PR_ecdsaBrainpoolP256r1Signature:
        x_only_256(&copy.choice.ecdsaBrainpoolP256r1Signature.rSig);
        break;
    case Signature_PR_ecdsaBrainpoolP384r1Signature:
        x_only_384(&copy.choice.ecdsaBrainpoolP384r1Signature.rSig);
        break;
    default:
        break;
    }
    return coer_encode_alloc(&asn_DEF_Signature, &copy, octets, size, NULL);
}

/*
 * The octets that are hashed: those of the file up to the signature of a signedData, which is its
 * last component, and the signature with rSig as x-only. Nothing else is encoded again.
 */
static int hash_other(const struct inspect_input *input, struct hashed *hashed)
{
    coer_arena *arena = coer_arena_new();
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const Ieee1609Dot2Data_t *data;
    const Signature_t *signature;
    struct coer_span span = {0};
    size_t head = input->size, tail_size = 0;
    uint8_t *tail = NULL;
    void *value = NULL;
    int result = APP_REFUSED;

    if (arena == NULL || ctx == NULL)
        goto out;
    if (coer_decode(arena, &asn_DEF_Ieee1609Dot2Data, input->octets, input->size, &value, NULL) ==
        COER_OK) {
        data = value;
        if (data->content->present == Ieee1609Dot2Content_PR_signedData) {
            signature = &data->content->choice.signedData->signature;
            if (!coer_span_of(&asn_DEF_Signature, signature, &span) ||
                encode_signature(signature, &tail, &tail_size) != COER_OK)
                goto out;
            head = (size_t)(span.data - input->octets);
            hashed->has_canonical = true;
            hashed->canonicalised =
                tail_size != span.size || memcmp(tail, span.data, span.size) != 0;
        }
    }
    if (EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) > 0 &&
        EVP_DigestUpdate(ctx, input->octets, head) > 0 &&
        EVP_DigestUpdate(ctx, tail, tail_size) > 0 &&
        EVP_DigestFinal_ex(ctx, hashed->hash, NULL) > 0)
        result = APP_OK;
    hashed->algorithm = "SHA-256";
    hashed->size = 32;
out:
    if (result != APP_OK)
        app_error_openssl("the hash cannot be made");
    free(tail);
    EVP_MD_CTX_free(ctx);
    coer_arena_free(arena);
    return result;
}

static void print_text(const struct hashed *hashed)
{
    char text[97];
    const uint8_t *end = hashed->hash + hashed->size;

    printf("type        %s\n", hashed->type);
    printf("%-11s %s\n", hashed->algorithm, command_hex(hashed->hash, hashed->size, text));
    printf("HashedId10  %s\n", command_hex(end - 10, 10, text));
    printf("HashedId8   %s\n", command_hex(end - 8, 8, text));
    printf("HashedId3   %s\n", command_hex(end - 3, 3, text));
    if (hashed->has_canonical)
        printf("form        %s\n",
               hashed->canonicalised ? "not canonical; the canonical form is hashed" : "canonical");
}

static void print_json(const struct hashed *hashed)
{
    const uint8_t *end = hashed->hash + hashed->size;
    struct json json;

    json_init(&json, stdout);
    json_object(&json, NULL);
    json_string(&json, "type", hashed->type);
    json_string(&json, "algorithm", hashed->algorithm);
    json_hex(&json, "hash", hashed->hash, hashed->size);
    json_hex(&json, "HashedId10", end - 10, 10);
    json_hex(&json, "HashedId8", end - 8, 8);
    json_hex(&json, "HashedId3", end - 3, 3);
    if (hashed->has_canonical)
        json_bool(&json, "canonicalised", hashed->canonicalised);
    json_end_object(&json);
    json_finish(&json);
}

static bool is_certificate(const char *type)
{
    return strcmp(type, "Certificate") == 0 || strcmp(type, "CertificateBase") == 0 ||
           strcmp(type, "ImplicitCertificate") == 0 || strcmp(type, "ExplicitCertificate") == 0;
}

static int hash_file(const char *path, const char *form, const char *type, bool as_json)
{
    struct inspect_input input = {0};
    struct hashed hashed = {0};
    OSSL_LIB_CTX *libctx = NULL;
    dot2_crypto *crypto = NULL;
    int result;

    result = inspect_input_read(path, form, type, &input);
    if (result != APP_OK)
        goto out;
    hashed.type = input.type->name;
    if (is_certificate(hashed.type)) {
        result = command_crypto(NULL, &libctx, &crypto);
        if (result == APP_OK)
            result = hash_certificate(crypto, &input, path, &hashed);
    } else {
        result = hash_other(&input, &hashed);
    }
    if (result == APP_OK && as_json)
        print_json(&hashed);
    else if (result == APP_OK)
        print_text(&hashed);
out:
    inspect_input_clear(&input);
    dot2_crypto_free(crypto);
    OSSL_LIB_CTX_free(libctx);
    return result;
}

int cmd_hash(int argc, char **argv)
{
    static const struct option options[] = {{"type", required_argument, NULL, 't'},
                                            {"input", required_argument, NULL, 'i'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *type = NULL, *form = NULL;
    bool as_json = false;
    int c;

    while ((c = getopt_long(argc, argv, "t:jh", options, NULL)) != -1) {
        switch (c) {
        case 't':
            type = optarg;
            break;
        case 'i':
            form = optarg;
            break;
        case 'j':
            as_json = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return APP_OK;
        default:
            return command_usage();
        }
    }
    if (argc - optind != 1) {
        app_error("one FILE is wanted");
        return command_usage();
    }
    return hash_file(argv[optind], form, type, as_json);
}
