/* download_request.c: AuthenticatedDownloadRequest, alternative 8 of EndEntityRaInterfacePDU. */
#include <string.h>

#include <openssl/crypto.h>

#include "protocol/dot2/fail.h"
#include "protocol/scms/scms.h"

enum dot2_status scms_download_request_build(uint32_t time32, const char *filename,
                                             uint8_t **octets, size_t *size,
                                             struct dot2_error *error)
{
    AuthenticatedDownloadRequest_t *request = NULL;
    struct coer_error coer = {0};
    size_t length = strlen(filename), written = 0;
    ScmsPDU_t pdu = {0};
    uint8_t *out = NULL;

    *octets = NULL;
    *size = 0;
    if (length > 255)
        return dot2_fail(error, DOT2_E_ARGUMENT, "AuthenticatedDownloadRequest.filename",
                         "%zu octets, at most 255", length);
    pdu.version = 1;
    pdu.content.present = ScmsPDUContent_PR_ee_ra;
    pdu.content.choice.ee_ra.present = EndEntityRaInterfacePDU_PR_eeRaAuthenticatedDownloadRequest;
    request = &pdu.content.choice.ee_ra.choice.eeRaAuthenticatedDownloadRequest;
    request->timestamp = time32;
    coer_octets_view(&request->filename, filename, length);
    if (coer_encoded_size(&asn_DEF_ScmsPDU, &pdu, &written, &coer) != COER_OK)
        return dot2_fail_coer(error, &coer, 0);
    out = OPENSSL_malloc(written);
    if (out == NULL)
        return dot2_fail_memory(error);
    if (coer_encode(&asn_DEF_ScmsPDU, &pdu, out, written, size, &coer) != COER_OK) {
        OPENSSL_free(out);
        *size = 0;
        return dot2_fail_coer(error, &coer, 0);
    }
    *octets = out;
    return DOT2_OK;
}

enum dot2_status scms_download_request_parse(const ScmsPDU_t *pdu, uint32_t *time32,
                                             const char **filename, size_t *filename_size,
                                             struct dot2_error *error)
{
    const EndEntityRaInterfacePDU_t *interface = &pdu->content.choice.ee_ra;
    const AuthenticatedDownloadRequest_t *request =
        &interface->choice.eeRaAuthenticatedDownloadRequest;

    if (pdu->version != 1 || pdu->content.present != ScmsPDUContent_PR_ee_ra ||
        interface->present != EndEntityRaInterfacePDU_PR_eeRaAuthenticatedDownloadRequest)
        return dot2_fail(error, DOT2_E_MESSAGE, "ScmsPDU.content",
                         "is not an AuthenticatedDownloadRequest");
    *time32 = (uint32_t)request->timestamp;
    *filename = (const char *)request->filename.buf;
    *filename_size = (size_t)request->filename.size;
    return DOT2_OK;
}
