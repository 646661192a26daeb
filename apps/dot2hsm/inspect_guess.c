#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "apps/app.h"
#include "apps/dot2hsm/input.h"
#include "apps/dot2hsm/inspect.h"

#include "asn1/types.h"

/*
 * The most specific first: what has version numbers and fixed octets stands before what nearly any
 * octets could be.
 */
#define LONG_GUESSES 11 /* the first so many are long enough to say how far an input got */
static const char *const guesses[] = {
    "Ieee1609Dot2Data",
    "Certificate",
    "ScmsPDU",
    "ScmsFile",
    "CrlContents",
    "SignedCertificateRequest",
    "ToBeSignedEncryptedCertificateResponse",
    "PlaintextCertificateResponse",
    "CompositeCrl",
    "CertificateChainFiles",
    "PolicyFiles",
    "ToBeSignedData",
    "ToBeSignedCertificate",
    "Signature",
    "PublicVerificationKey",
    "PublicEncryptionKey",
    "Time32",
};

/* What the standard calls a certificate of this kind; the wire format is the same. */
static const asn_TYPE_descriptor_t *refine(const asn_TYPE_descriptor_t *type, const void *value)
{
    const CertificateBase_t *certificate = value;
    const asn_TYPE_descriptor_t *refined;

    if (strcmp(type->name, "Certificate") != 0)
        return type;
    refined = coer_type(certificate->type == CertificateType_implicit ? "ImplicitCertificate"
                                                                      : "ExplicitCertificate");
    return refined != NULL ? refined : type;
}

const asn_TYPE_descriptor_t *inspect_guess(const uint8_t *octets, size_t size, char *others,
                                           size_t others_size, const char **nearest,
                                           struct coer_error *error)
{
    const asn_TYPE_descriptor_t *found = NULL;
    coer_arena *arena = coer_arena_new();
    size_t used = 0;

    memset(error, 0, sizeof(*error));
    error->status = COER_E_MEMORY;
    *nearest = guesses[0];
    others[0] = '\0';
    for (size_t i = 0; arena != NULL && i < sizeof(guesses) / sizeof(guesses[0]); i++) {
        const asn_TYPE_descriptor_t *type = coer_type(guesses[i]);
        struct coer_error e;
        void *value = NULL;
        enum coer_status status;

        if (type == NULL)
            continue;
        status = coer_decode(arena, type, octets, size, &value, &e);
        if (status == COER_OK && found == NULL) {
            found = refine(type, value);
        } else if (status == COER_OK && used < others_size) {
            int n = snprintf(others + used, others_size - used, "%s%s", used > 0 ? ", " : "",
                             guesses[i]);

            used += n > 0 ? (size_t)n : 0;
        } else if (status != COER_OK && found == NULL && i < LONG_GUESSES &&
                   (error->status == COER_E_MEMORY || e.offset > error->offset)) {
            *error = e;
            *nearest = guesses[i];
        }
        coer_arena_reset(arena);
    }
    coer_arena_free(arena);
    return found;
}

size_t inspect_content_types(const char *parent, const char *field, int64_t psid,
                             const asn_TYPE_descriptor_t *types[INSPECT_CONTENT_MAX], bool *must)
{
    const char *names[INSPECT_CONTENT_MAX];
    size_t count = 0, known = 0;

    *must = false;
    if (field == NULL)
        return 0;
    if (strcmp(field, "signedCertificateRequest") == 0) {
        names[count++] = "SignedCertificateRequest";
        *must = true;
    } else if (strcmp(field, "unsecuredData") == 0) {
        if (psid == 0x100) {
            names[count++] = "CrlContents";
        } else {
            names[count++] = "ScmsPDU";
            names[count++] = "ScmsFile";
            names[count++] = "ToBeSignedEncryptedCertificateResponse";
            names[count++] = "PlaintextCertificateResponse";
        }
    } else if (strcmp(field, "opaque") == 0 && strcmp(parent, "ServiceSpecificPermissions") == 0) {
        if (psid == 0x23)
            names[count++] = "ScmsSsp";
        else if (psid == 0x100)
            names[count++] = "CrlSsp";
    }
    for (size_t i = 0; i < count; i++) {
        types[known] = coer_type(names[i]);
        if (types[known] != NULL)
            known++;
    }
    return known;
}

/* Index of a ScmsPDU's ee-ra alternative to the name of its message, less "Signed" or "Secured". */
static const char *ee_ra_name(const ScmsPDU_t *pdu, bool is_request)
{
    const EndEntityRaInterfacePDU_t *ee_ra;

    if (pdu->content.present != ScmsPDUContent_PR_ee_ra)
        return NULL;
    ee_ra = &pdu->content.choice.ee_ra;
    if (is_request) {
        switch (ee_ra->present) {
        case EndEntityRaInterfacePDU_PR_eeRaPseudonymCertProvisioningRequest:
            return "SignedPseudonymCertProvisioningRequest";
        case EndEntityRaInterfacePDU_PR_eeRaIdCertProvisioningRequest:
            return "SignedIdCertProvisioningRequest";
        case EndEntityRaInterfacePDU_PR_eeRaAppCertProvisioningRequest:
            return "SignedAppCertProvisioningRequest";
        case EndEntityRaInterfacePDU_PR_eeRaAuthenticatedDownloadRequest:
            return "SignedAuthenticatedDownloadRequest";
        default:
            return NULL;
        }
    }
    switch (ee_ra->present) {
    case EndEntityRaInterfacePDU_PR_raEePseudonymCertProvisioningAck:
        return "SignedPseudonymCertProvisioningAck";
    case EndEntityRaInterfacePDU_PR_raEeIdCertProvisioningAck:
        return "SignedIdCertProvisioningAck";
    case EndEntityRaInterfacePDU_PR_raEeAppCertProvisioningAck:
        return "SignedAppCertProvisioningAck";
    default:
        return NULL;
    }
}

static const void *decode_as(coer_arena *arena, const asn_TYPE_descriptor_t *type,
                             const OCTET_STRING_t *octets)
{
    void *value = NULL;

    if (coer_decode(arena, type, octets->buf, (size_t)octets->size, &value, NULL) != COER_OK)
        return NULL;
    return value;
}

/* A signedCertificateRequest, or the ScmsPDU in a signedData. */
static const char *signed_name(coer_arena *arena, const Ieee1609Dot2Content_t *content)
{
    const SignedCertificateRequest_t *request;
    const Ieee1609Dot2Data_t *payload;
    const ScmsPDU_t *pdu;

    if (content->present == Ieee1609Dot2Content_PR_signedCertificateRequest) {
        request = decode_as(arena, &asn_DEF_SignedCertificateRequest,
                            &content->choice.signedCertificateRequest);
        if (request == NULL)
            return NULL;
        if (request->tbsRequest.content.present == ScmsPDUContent_PR_eca_ee)
            return "SignedEeEnrollmentCertRequest";
        return ee_ra_name(&request->tbsRequest, true);
    }
    payload = content->choice.signedData->tbsData->payload->data;
    if (payload == NULL || payload->content->present != Ieee1609Dot2Content_PR_unsecuredData)
        return NULL;
    if (content->choice.signedData->tbsData->headerInfo.psid == 0x100)
        return "SecuredCrl";
    pdu = decode_as(arena, &asn_DEF_ScmsPDU, &payload->content->choice.unsecuredData);
    if (pdu != NULL)
        return ee_ra_name(pdu, false);
    if (decode_as(arena, &asn_DEF_ToBeSignedEncryptedCertificateResponse,
                  &payload->content->choice.unsecuredData) != NULL)
        return "SignedEncryptedCertificateResponse";
    return NULL;
}

static const char *unsecured_name(coer_arena *arena, const Ieee1609Dot2Content_t *content)
{
    const ScmsPDU_t *pdu = decode_as(arena, &asn_DEF_ScmsPDU, &content->choice.unsecuredData);

    if (pdu == NULL || pdu->content.present != ScmsPDUContent_PR_ee_ra)
        return NULL;
    switch (pdu->content.choice.ee_ra.present) {
    case EndEntityRaInterfacePDU_PR_eeRaCertRequest:
        return "SecuredRACertRequest";
    case EndEntityRaInterfacePDU_PR_raEeCertResponse:
        return "SecuredRACertResponse";
    default:
        return NULL;
    }
}

const char *inspect_apdu_name(const uint8_t *octets, size_t size)
{
    coer_arena *arena = coer_arena_new();
    const Ieee1609Dot2Data_t *data;
    const char *name = NULL;
    void *value = NULL;

    if (arena == NULL ||
        coer_decode(arena, &asn_DEF_Ieee1609Dot2Data, octets, size, &value, NULL) != COER_OK)
        goto out;
    data = value;
    switch (data->content->present) {
    case Ieee1609Dot2Content_PR_signedCertificateRequest:
    case Ieee1609Dot2Content_PR_signedData:
        name = signed_name(arena, data->content);
        break;
    case Ieee1609Dot2Content_PR_unsecuredData:
        name = unsecured_name(arena, data->content);
        break;
    default:
        break;
    }
out:
    coer_arena_free(arena);
    return name;
}

/*
 * The names Signed... of the protocol are all Ieee1609Dot2Data to the decoder: what is in it must
 * be what the name says.
 */
static int check_apdu(const char *path, const struct inspect_input *input, const char *name)
{
    const char *apdu;

    if (strncmp(name, "Signed", 6) != 0 && strncmp(name, "Secured", 7) != 0)
        return APP_OK;
    apdu = inspect_apdu_name(input->octets, input->size);
    if (apdu == NULL || strcmp(apdu, name) == 0 || strcmp(name, "SecuredScmsPDU") == 0)
        return APP_OK;
    app_error("%s: %s: at octet 2: is a %s", path, name, apdu);
    return APP_REFUSED;
}

/* The octets must be of the type: one error with the field and the offset otherwise. */
static int check_type(const char *path, struct inspect_input *input, const char *name)
{
    struct coer_error error;
    char line[COER_PATH_SIZE + 160];
    coer_arena *arena = NULL;
    void *value = NULL;
    int result = APP_REFUSED;

    input->type = coer_type(name);
    if (input->type == NULL) {
        app_error("unknown type \"%s\"; the names are those of the standard, such as "
                  "Ieee1609Dot2Data, Certificate, ScmsPDU",
                  name);
        return APP_USAGE;
    }
    arena = coer_arena_new();
    if (arena == NULL) {
        app_error("out of memory");
        return APP_REFUSED;
    }
    if (coer_decode(arena, input->type, input->octets, input->size, &value, &error) == COER_OK)
        result = APP_OK;
    else
        app_error("%s: %s", path, coer_error_format(&error, line, sizeof(line)));
    coer_arena_free(arena);
    if (result == APP_OK)
        result = check_apdu(path, input, name);
    return result;
}

/* Does it decode as it is? Few octets may well be text by accident: a Time32 of 2031 is. */
static bool is_coer(const uint8_t *octets, size_t size, const char *type)
{
    const asn_TYPE_descriptor_t *named = type != NULL ? coer_type(type) : NULL;
    coer_arena *arena = coer_arena_new();
    struct coer_error error;
    char others[200];
    const char *nearest;
    void *value = NULL;
    bool is;

    if (type == NULL)
        is = inspect_guess(octets, size, others, sizeof(others), &nearest, &error) != NULL;
    else
        is = arena != NULL && named != NULL &&
             coer_decode(arena, named, octets, size, &value, NULL) == COER_OK;
    coer_arena_free(arena);
    return is;
}

int inspect_input_read(const char *path, const char *form, const char *type,
                       struct inspect_input *input)
{
    enum input_form want = INPUT_AUTO, got = INPUT_AUTO;
    struct coer_error error;
    char line[COER_PATH_SIZE + 160];
    const char *nearest;
    uint8_t *data = NULL;
    size_t size = 0;
    int result;

    memset(input, 0, sizeof(*input));
    if (form != NULL && input_form_parse(form, &want) != 0) {
        app_error("--input is auto, coer, hex or base64, not \"%s\"", form);
        return APP_USAGE;
    }
    if (coer_init() != COER_OK) {
        app_error("the tables of the types cannot be made: out of memory");
        return APP_REFUSED;
    }
    result = app_file_read(path, INPUT_MAX, &data, &size);
    if (result != APP_OK)
        return result;
    if (want == INPUT_AUTO && size > 0 && is_coer(data, size, type))
        want = INPUT_COER;
    result = input_interpret(path, want, data, size, &input->octets, &input->size, &got);
    if (result != APP_OK)
        return result;
    input->form = input_form_name(got);
    if (type != NULL)
        return check_type(path, input, type);
    input->guessed = true;
    input->type = inspect_guess(input->octets, input->size, input->others, sizeof(input->others),
                                &nearest, &error);
    if (input->type == NULL) {
        app_error("%s (as %s): of no type that is looked for; %s goes furthest: %s", path,
                  input->form, nearest, coer_error_format(&error, line, sizeof(line)));
        return APP_REFUSED;
    }
    return APP_OK;
}

void inspect_input_clear(struct inspect_input *input)
{
    OPENSSL_free(input->octets);
    memset(input, 0, sizeof(*input));
}
