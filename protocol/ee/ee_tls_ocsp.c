/*
 * ee_tls_ocsp.c: the RA proves with a stapled OCSP response (RFC 6066 clause 8) that its
 * certificate is not revoked.
 *
 * libcurl's CURLOPT_SSL_VERIFYSTATUS looks for the issuer in the chain that was sent, where the
 * root usually is not; this looks in the chain that was verified. It runs within the handshake, so
 * that nothing is sent to an RA that does not pass.
 */
#include "protocol/ee/ee_internal.h"

#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/ssl.h>

/* Seconds that two clocks may be apart. */
#define CLOCK_SKEW 300

/* The callback and who asks for the reason are in one thread: that of curl_easy_perform(). */
static _Thread_local const char *reason;

const char *ee_ocsp_reason(void)
{
    return reason;
}

void ee_ocsp_forget(void)
{
    reason = NULL;
}

/* The answer that is about this very certificate; its id may be made with any hash. */
static OCSP_SINGLERESP *find(OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer)
{
    OCSP_SINGLERESP *found = NULL;

    for (int i = 0; i < OCSP_resp_count(basic) && found == NULL; i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
        const OCSP_CERTID *theirs = OCSP_SINGLERESP_get0_id(single);
        const EVP_MD *digest = NULL;
        ASN1_OBJECT *algorithm = NULL;
        OCSP_CERTID *ours = NULL;

        if (OCSP_id_get0_info(NULL, &algorithm, NULL, NULL, (OCSP_CERTID *)(uintptr_t)theirs) != 1)
            continue;
        digest = EVP_get_digestbyobj(algorithm);
        ours = digest == NULL ? NULL : OCSP_cert_to_id(digest, leaf, issuer);
        if (ours != NULL && OCSP_id_cmp(ours, theirs) == 0)
            found = single;
        OCSP_CERTID_free(ours);
    }
    return found;
}

/* The responder's certificate leads to the configured root: the issuer, or one that it named. */
static bool is_signed(OCSP_BASICRESP *basic, STACK_OF(X509) * chain, const struct ee_roots *roots)
{
    X509_STORE *store = X509_STORE_new();
    bool ok = store != NULL;

    for (int i = 0; ok && i < sk_X509_num(roots->certificates); i++)
        ok = X509_STORE_add_cert(store, sk_X509_value(roots->certificates, i)) == 1;
    ok = ok && OCSP_basic_verify(basic, chain, store, 0) == 1;
    X509_STORE_free(store);
    return ok;
}

static const char *fault_of_answer(OCSP_SINGLERESP *single)
{
    ASN1_GENERALIZEDTIME *this_update = NULL, *next_update = NULL;

    switch (OCSP_single_get0_status(single, NULL, NULL, &this_update, &next_update)) {
    case V_OCSP_CERTSTATUS_GOOD:
        break;
    case V_OCSP_CERTSTATUS_REVOKED:
        return "the RA's certificate is revoked (OCSP)";
    default:
        return "the RA's certificate is not known to the OCSP responder";
    }
    /* Without nextUpdate a response of any age could be stapled for ever. */
    if (next_update == NULL)
        return "the OCSP response has no nextUpdate";
    if (OCSP_check_validity(this_update, next_update, CLOCK_SKEW, -1) != 1)
        return "the OCSP response has expired, or is not valid yet";
    return NULL;
}

static const char *fault_of(SSL *ssl, const struct ee_roots *roots)
{
    STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
    const unsigned char *octets = NULL, *at = NULL;
    long size = SSL_get_tlsext_status_ocsp_resp(ssl, &octets);
    OCSP_RESPONSE *response = NULL;
    OCSP_BASICRESP *basic = NULL;
    OCSP_SINGLERESP *single = NULL;
    const char *fault = NULL;

    if (octets == NULL || size <= 0)
        return "the RA gave no OCSP response";
    if (SSL_get_verify_result(ssl) != X509_V_OK || sk_X509_num(chain) < 2)
        return "an OCSP response for a certificate that is not verified";
    at = octets;
    response = d2i_OCSP_RESPONSE(NULL, &at, size);
    if (response == NULL || at != octets + size)
        fault = "the OCSP response cannot be read";
    else if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL ||
             (basic = OCSP_response_get1_basic(response)) == NULL)
        fault = "the OCSP response is an error of the responder";
    else if (!is_signed(basic, chain, roots))
        fault = "the OCSP response is not signed under the configured root";
    else if ((single = find(basic, sk_X509_value(chain, 0), sk_X509_value(chain, 1))) == NULL)
        fault = "the OCSP response is about another certificate";
    else
        fault = fault_of_answer(single);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    return fault;
}

/* 1: go on; 0: the handshake ends with bad_certificate_status_response. */
static int check(SSL *ssl, void *arg)
{
    ERR_set_mark();
    reason = fault_of(ssl, arg);
    ERR_pop_to_mark();
    return reason == NULL ? 1 : 0;
}

bool ee_ocsp_demand(SSL_CTX *ctx, const struct ee_roots *roots)
{
    return SSL_CTX_set_tlsext_status_type(ctx, TLSEXT_STATUSTYPE_ocsp) == 1 &&
           SSL_CTX_set_tlsext_status_cb(ctx, check) == 1 &&
           SSL_CTX_set_tlsext_status_arg(ctx, (void *)(uintptr_t)roots) == 1;
}
