/*
 * signed_request.c: SignedCertificateRequest in an Ieee1609Dot2Data, `03 83` length (SCMS 1.2.2).
 *
 * The data input of the signature is the COER of tbsRequest, nothing around it; the signer input is
 * the canonical enrollment certificate, or the empty string for self.
 */
#include <string.h>

#include <openssl/crypto.h>

#include <Ieee1609Dot2Data.h>
#include <SignedCertificateRequest.h>

#include "protocol/dot2/fail.h"
#include "protocol/scms/scms.h"

static bool is_384(enum dot2_curve curve)
{
    return dot2_curve_hash_size(curve) == 48;
}

/* The message from its parts, each of them COER already. */
struct builder {
    uint8_t *data;
    size_t size;
};

static void put(struct builder *builder, const void *octets, size_t size)
{
    if (size > 0)
        memcpy(builder->data + builder->size, octets, size);
    builder->size += size;
}

/* Length determinant of X.696 8.6, in the least number of octets. */
static void put_length(struct builder *builder, size_t length)
{
    uint8_t octets[1 + sizeof(length)];
    size_t count = 0;

    if (length < 0x80) {
        octets[0] = (uint8_t)length;
        put(builder, octets, 1);
        return;
    }
    for (size_t rest = length; rest != 0; rest >>= 8)
        count++;
    octets[0] = (uint8_t)(0x80 | count);
    for (size_t i = 0; i < count; i++)
        octets[1 + i] = (uint8_t)(length >> (8 * (count - 1 - i)));
    put(builder, octets, 1 + count);
}

/* Octets of a length determinant. */
static size_t length_size(size_t length)
{
    size_t count = 1;

    for (size_t rest = length >= 0x80 ? length : 0; rest != 0; rest >>= 8)
        count++;
    return count;
}

size_t scms_signed_request_size(const EVP_PKEY *key, const dot2_cert *cert, size_t tbs_size)
{
    size_t coordinate = dot2_curve_size(dot2_key_curve(key)), signer = 0, size;

    if (coordinate == 0 || dot2_key_curve(key) == DOT2_CURVE_P384)
        return 0;
    if (cert != NULL)
        dot2_cert_octets(cert, &signer);
    /* hashId, tbsRequest, signer, and a Signature with rSig x-only */
    size = 1 + tbs_size + (cert == NULL ? 1 : 3 + signer) + 2 + 2 * coordinate;
    if (dot2_key_curve(key) == DOT2_CURVE_BRAINPOOL_P384R1)
        size += length_size(2 * coordinate + 1); /* behind the extension marker: an open type */
    return 2 + length_size(size) + size;
}

enum dot2_status scms_signed_request_build(const dot2_crypto *crypto, EVP_PKEY *key,
                                           const dot2_cert *cert, const uint8_t *tbs,
                                           size_t tbs_size, uint8_t **octets, size_t *size,
                                           struct dot2_error *error)
{
    static const uint8_t self[] = {0x82}, one_certificate[] = {0x81, 0x01, 0x01};
    static const uint8_t data[] = {0x03, 0x83}; /* protocolVersion, signedCertificateRequest */
    const uint8_t hash_id = is_384(dot2_key_curve(key)) ? 1 : 0;
    enum dot2_status status = DOT2_OK;
    uint8_t signature[DOT2_SIGNATURE_MAX];
    const uint8_t *canonical = NULL, *signer = NULL;
    size_t canonical_size = 0, signer_size = 0, signature_size = 0, request_size = 0;
    struct builder builder = {0};

    *octets = NULL;
    *size = 0;
    if (tbs_size == 0 || tbs_size > 1 << 20)
        return dot2_fail(error, DOT2_E_ARGUMENT, "tbsRequest", "%zu octets", tbs_size);
    if (cert != NULL)
        status = dot2_cert_check_key(cert, key, "SignedCertificateRequest.signer", error);
    if (status != DOT2_OK)
        return status;
    if (cert != NULL) {
        canonical = dot2_cert_canonical(cert, &canonical_size);
        signer = dot2_cert_octets(cert, &signer_size);
    }
    status = dot2_sign(crypto, key, tbs, tbs_size, canonical, canonical_size, signature,
                       &signature_size, error);
    if (status != DOT2_OK)
        return status;
    request_size = 1 + tbs_size + (cert == NULL ? sizeof(self) : sizeof(one_certificate)) +
                   signer_size + signature_size;
    builder.data = OPENSSL_malloc(sizeof(data) + 1 + sizeof(request_size) + request_size);
    if (builder.data == NULL)
        return dot2_fail_memory(error);
    put(&builder, data, sizeof(data));
    put_length(&builder, request_size);
    put(&builder, &hash_id, 1);
    put(&builder, tbs, tbs_size);
    if (cert == NULL)
        put(&builder, self, sizeof(self));
    else
        put(&builder, one_certificate, sizeof(one_certificate));
    put(&builder, signer, signer_size);
    put(&builder, signature, signature_size);
    *octets = builder.data;
    *size = builder.size;
    return DOT2_OK;
}

/* Decodes the message and the request that it contains. */
static enum dot2_status decode(coer_arena *arena, const uint8_t *octets, size_t size,
                               const SignedCertificateRequest_t **request, struct dot2_error *error)
{
    struct coer_error coer = {0};
    const Ieee1609Dot2Data_t *message = NULL;
    const Opaque_t *inner = NULL;
    void *value = NULL;

    if (coer_decode(arena, &asn_DEF_Ieee1609Dot2Data, octets, size, &value, &coer) != COER_OK)
        return dot2_fail_coer(error, &coer, 0);
    message = value;
    if (message->content == NULL ||
        message->content->present != Ieee1609Dot2Content_PR_signedCertificateRequest)
        return dot2_fail(error, DOT2_E_MESSAGE, "Ieee1609Dot2Data.content",
                         "is not signedCertificateRequest");
    inner = &message->content->choice.signedCertificateRequest;
    if (coer_decode(arena, &asn_DEF_SignedCertificateRequest, inner->buf, (size_t)inner->size,
                    &value, &coer) != COER_OK)
        return dot2_fail_coer(error, &coer, (size_t)(inner->buf - octets));
    *request = value;
    return DOT2_OK;
}

/* trust may be NULL. */
static enum dot2_status read_signer(const dot2_crypto *crypto, const dot2_trust *trust,
                                    const SignerIdentifier_t *signer, bool allow_self,
                                    const uint8_t *octets, dot2_cert **cert,
                                    struct dot2_error *error)
{
    static const char field[] = "SignedCertificateRequest.signer";
    struct coer_span span = {0};
    enum dot2_status status = DOT2_OK;

    if (signer->present == SignerIdentifier_PR_self && allow_self)
        return DOT2_OK;
    if (signer->present != SignerIdentifier_PR_certificate)
        return dot2_fail(error, DOT2_E_SIGNER, field, "is not a certificate");
    if (signer->choice.certificate.list.count != 1)
        return dot2_fail(error, DOT2_E_SIGNER, field, "holds %d certificates, not one",
                         signer->choice.certificate.list.count);
    if (!coer_span_of(&asn_DEF_CertificateBase, signer->choice.certificate.list.array[0], &span))
        return dot2_fail(error, DOT2_E_DECODE, field, "has no octets");
    status = trust == NULL ? dot2_cert_new(crypto, span.data, span.size, cert, error)
                           : dot2_trust_cert(trust, span.data, span.size, cert, error);
    if (status != DOT2_OK && error != NULL)
        error->offset += (size_t)(span.data - octets);
    return status;
}

static enum dot2_status parse(const dot2_crypto *crypto, const dot2_trust *trust,
                              const uint8_t *octets, size_t size, bool allow_self,
                              struct scms_signed_request *request, struct dot2_error *error)
{
    const SignedCertificateRequest_t *decoded = NULL;
    enum dot2_status status = DOT2_OK;

    memset(request, 0, sizeof(*request));
    request->arena = coer_arena_new();
    if (request->arena == NULL)
        return dot2_fail_memory(error);
    status = decode(request->arena, octets, size, &decoded, error);
    if (status != DOT2_OK)
        goto out;
    if (!coer_span_of(&asn_DEF_ScmsPDU, &decoded->tbsRequest, &request->tbs)) {
        status =
            dot2_fail(error, DOT2_E_DECODE, "SignedCertificateRequest.tbsRequest", "has no octets");
        goto out;
    }
    request->pdu = &decoded->tbsRequest;
    request->signature = &decoded->signature;
    request->is_sha384 = decoded->hashId == HashAlgorithm_sha384;
    status =
        read_signer(crypto, trust, &decoded->signer, allow_self, octets, &request->cert, error);
out:
    if (status != DOT2_OK)
        scms_signed_request_clear(request);
    return status;
}

enum dot2_status scms_signed_request_parse(const dot2_crypto *crypto, const uint8_t *octets,
                                           size_t size, bool allow_self,
                                           struct scms_signed_request *request,
                                           struct dot2_error *error)
{
    return parse(crypto, NULL, octets, size, allow_self, request, error);
}

enum dot2_status scms_signed_request_receive(const dot2_trust *trust, const uint8_t *octets,
                                             size_t size, struct scms_signed_request *request,
                                             struct dot2_error *error)
{
    return parse(NULL, trust, octets, size, false, request, error);
}

static enum dot2_status check_hash(const struct scms_signed_request *request, enum dot2_curve curve,
                                   struct dot2_error *error)
{
    if (is_384(curve) == request->is_sha384)
        return DOT2_OK;
    return dot2_fail(error, DOT2_E_SIGNATURE, "SignedCertificateRequest.hashId",
                     "is not the hash of the signer's key");
}

enum dot2_status scms_signed_request_verify(const dot2_crypto *crypto,
                                            const struct scms_signed_request *request,
                                            EVP_PKEY *key, struct dot2_error *error)
{
    const uint8_t *signer = NULL;
    size_t signer_size = 0;
    enum dot2_status status = check_hash(request, dot2_key_curve(key), error);

    if (status != DOT2_OK)
        return status;
    if (request->cert != NULL)
        signer = dot2_cert_canonical(request->cert, &signer_size);
    return dot2_verify(crypto, key, request->tbs.data, request->tbs.size, signer, signer_size,
                       request->signature, error);
}

enum dot2_status scms_signed_request_verify_by(const dot2_crypto *crypto,
                                               const struct scms_signed_request *request,
                                               const struct dot2_chain *chain,
                                               struct dot2_error *error)
{
    enum dot2_status status = check_hash(request, chain->curve, error);

    return status != DOT2_OK
               ? status
               : dot2_chain_verify_signature(crypto, chain, request->tbs.data, request->tbs.size,
                                             request->signature, error);
}

void scms_signed_request_clear(struct scms_signed_request *request)
{
    dot2_cert_free(request->cert);
    coer_arena_free(request->arena);
    memset(request, 0, sizeof(*request));
}
