/* lab_pca_issue.c: one certificate of the pseudonym CA, and the response that carries it. */
#include <string.h>

#include <openssl/crypto.h>

#include "apps/dot2hsm/lab_run.h"

/*
 * Butterfly expansion is for implicit certificates here: their key needs the device's part and the
 * CA's, so that the RA, which knows the expansion, cannot know the key.
 */
static enum scms_response_kind response_kind(const struct lab_run *run, enum scms_provision kind)
{
    if (kind != SCMS_PROVISION_APP)
        return SCMS_RESPONSE_IMPLICIT_BUTTERFLY;
    return run->implicit_application ? SCMS_RESPONSE_IMPLICIT : SCMS_RESPONSE_EXPLICIT;
}

enum dot2_status lab_pca_issue(const struct lab_run *run, const struct lab_subject *subject,
                               EVP_PKEY *key, EVP_PKEY *response_key, uint32_t now,
                               uint8_t **octets, size_t *size, uint8_t hashedid8[8],
                               struct dot2_error *error)
{
    const struct lab *lab = &run->lab;
    struct scms_cert_response response = {.kind = response_kind(run, subject->kind)};
    struct dot2_check check = {.time = now > subject->start ? now : subject->start};
    coer_arena *arena = coer_arena_new();
    ToBeSignedCertificate_t body;
    enum dot2_status status = DOT2_OK;

    if (arena == NULL) {
        *error = (struct dot2_error){.status = DOT2_E_MEMORY};
        return DOT2_E_MEMORY;
    }
    status = lab_body_application(run, arena, subject, &body, error);
    if (status == DOT2_OK)
        status = dot2_cert_issue(lab->crypto, arena, &body, key, lab->certs[LAB_PCA],
                                 lab->keys[LAB_PCA].key, response.kind != SCMS_RESPONSE_EXPLICIT,
                                 &response.cert, response.reconstruction, error);
    if (status == DOT2_OK && response.kind == SCMS_RESPONSE_EXPLICIT)
        memset(response.reconstruction, 0, sizeof(response.reconstruction));
    /* Permissions, region and validity are the PCA's to give: this says whether they were. */
    if (status == DOT2_OK)
        status = dot2_chain_verify(run->trust, response.cert, &check, NULL, error);
    if (status == DOT2_OK) {
        memcpy(hashedid8, dot2_cert_hashedid8(response.cert), 8);
        status = scms_cert_response_build(lab->crypto, lab->keys[LAB_PCA].key, lab->certs[LAB_PCA],
                                          response_key, &response, octets, size, error);
    }
    scms_cert_response_clear(&response);
    coer_arena_free(arena);
    return status;
}
