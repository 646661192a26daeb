/*
 * Fuzzing of the decoders of foreign octets that are no COER type of their own: FUZZ_DECODER is the
 * function of this file that a target calls. A broken promise of a decoder aborts.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>

#include "protocol/dot2/crl.h"
#include "protocol/ra/http_head.h"
#include "protocol/ra/http_range.h"
#include "protocol/scms/scms.h"
#include "provider/key_file.h"
#include "tests/fuzz/fuzz.h"

/* A target is compiled with one of them; the others are there for the other targets. */
fuzz_decoder_fn fuzz_base64, fuzz_head, fuzz_range, fuzz_cert, fuzz_signed_request, fuzz_encrypted,
    fuzz_key_file, fuzz_crl, fuzz_composite_crl, fuzz_chain_file, fuzz_policy;

/* Strict: what is taken is the one encoding of what it gives. */
void fuzz_base64(const uint8_t *data, size_t size)
{
    struct dot2_error error = {0};
    uint8_t *octets = NULL;
    size_t octets_size = 0;
    char *text = NULL;

    if (scms_base64_decode((const char *)data, size, &octets, &octets_size, &error) == DOT2_OK) {
        DEMAND(scms_base64_encode(octets, octets_size, &text) == DOT2_OK);
        DEMAND(strlen(text) == size && memcmp(text, data, size) == 0);
    } else {
        DEMAND(octets == NULL && error.offset <= size);
    }
    OPENSSL_free(text);
    OPENSSL_free(octets);
}

static void within(const char *at, size_t n, const uint8_t *data, size_t size)
{
    const char *begin = (const char *)data;

    DEMAND(at == NULL || (at >= begin && at + n <= begin + size));
}

void fuzz_head(const uint8_t *data, size_t size)
{
    struct ra_head head;

    /* The parser is given a head that ends with its empty line, as the gate does. */
    if (size < 4 || memcmp(data + size - 4, "\r\n\r\n", 4) != 0)
        return;
    if (ra_head_parse((const char *)data, size, &head) != RA_HEAD_OK)
        return;
    within(head.target, head.target_size, data, size);
    within(head.content_type.at, head.content_type.size, data, size);
    for (int i = 0; i < RA_HEADERS; i++)
        within(head.values[i].at, head.values[i].size, data, size);
    for (size_t i = 0; i < head.target_size; i++)
        DEMAND(head.target[i] > ' ' && head.target[i] < 0x7f);
    DEMAND(head.minor <= 1 && (head.has_length || head.length == 0));
}

void fuzz_range(const uint8_t *data, size_t size)
{
    uint64_t whole = 0, first = 0, last = 0;
    char *value;

    if (size < 8)
        return;
    memcpy(&whole, data, 8);
    value = OPENSSL_strndup((const char *)data + 8, size - 8);
    DEMAND(value != NULL);
    if (ra_range_parse(value, whole, &first, &last) == RA_RANGE_PART)
        DEMAND(first <= last && last < whole);
    (void)ra_if_range_matches(value, "\"validator\"");
    (void)ra_if_none_match(value, "\"validator\"");
    OPENSSL_free(value);
}

/* The canonical form of a certificate is its own canonical form, under the same hash. */
void fuzz_cert(const uint8_t *data, size_t size)
{
    struct dot2_error error = {0};
    dot2_cert *cert = NULL, *again = NULL;
    uint8_t hashes[2][48];
    size_t n = 0, hash_size = 0, count = 0;
    const uint8_t *canonical;

    if (dot2_cert_new(fuzz_crypto(), data, size, &cert, &error) != DOT2_OK) {
        DEMAND(error.offset <= size && error.detail[sizeof error.detail - 1] == '\0');
        return;
    }
    canonical = dot2_cert_canonical(cert, &n);
    DEMAND(dot2_cert_new(fuzz_crypto(), canonical, n, &again, &error) == DOT2_OK);
    DEMAND(memcmp(dot2_cert_hashedid8(cert), dot2_cert_hashedid8(again), 8) == 0);
    if (dot2_cert_blacklist_hashes(cert, hashes, &hash_size, &count) == DOT2_OK)
        DEMAND(count >= 1 && count <= 2 &&
               memcmp(hashes[0] + hash_size - 8, dot2_cert_hashedid8(cert), 8) == 0);
    dot2_cert_free(again);
    dot2_cert_free(cert);
}

void fuzz_signed_request(const uint8_t *data, size_t size)
{
    struct scms_signed_request request = {0};
    struct dot2_error error = {0};
    const char *name = NULL;
    size_t name_size = 0;
    uint32_t time32 = 0;

    if (scms_signed_request_parse(fuzz_crypto(), data, size, true, &request, &error) == DOT2_OK) {
        within((const char *)request.tbs.data, request.tbs.size, data, size);
        if (scms_download_request_parse(request.pdu, &time32, &name, &name_size, &error) ==
            DOT2_OK) {
            within(name, name_size, data, size);
            DEMAND(name_size <= 255);
        }
    } else {
        DEMAND(error.offset <= size);
    }
    scms_signed_request_clear(&request);
}

void fuzz_encrypted(const uint8_t *data, size_t size)
{
    struct dot2_encrypted encrypted = {0};
    struct dot2_error error = {0};

    if (dot2_encrypted_parse(data, size, &encrypted, &error) == DOT2_OK)
        DEMAND(encrypted.count >= 1 && encrypted.count <= DOT2_RECIPIENTS_MAX);
    else
        DEMAND(error.offset <= size);
    dot2_encrypted_clear(&encrypted);
}

/*
 * The form by itself: what is taken is the one encoding of its URI. And through libcrypto, as a
 * program reads a PEM file, with the provider's decoders among the others: without a module no key
 * comes of any key file.
 */
void fuzz_key_file(const uint8_t *data, size_t size)
{
    static OSSL_LIB_CTX *libctx;
    BIO *in = BIO_new_mem_buf(data, (int)size);
    EVP_PKEY *key = NULL;
    uint8_t *again = NULL;
    size_t again_size = 0;
    char *uri = NULL;

    if (libctx == NULL) {
        libctx = OSSL_LIB_CTX_new();
        OSSL_PROVIDER_set_default_search_path(libctx, getenv("DOT2HSM_MODULES"));
        DEMAND(OSSL_PROVIDER_load(libctx, "default") != NULL);
        DEMAND(OSSL_PROVIDER_load(libctx, "dot2hsm") != NULL);
    }
    switch (prov_key_file_parse(data, size, &uri)) {
    case PROV_KEY_FILE_OK:
        DEMAND(prov_key_file_build(uri, &again, &again_size));
        DEMAND(again_size == size && memcmp(again, data, size) == 0);
        break;
    case PROV_KEY_FILE_OTHER:
        DEMAND(uri == NULL && ERR_peek_error() == 0);
        break;
    case PROV_KEY_FILE_MALFORMED:
        DEMAND(uri == NULL && ERR_peek_error() != 0);
        break;
    }
    ERR_clear_error();
    key = PEM_read_bio_PrivateKey_ex(in, NULL, NULL, (void *)"password", libctx, NULL);
    DEMAND(key == NULL ||
           strcmp(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key)), "dot2hsm") != 0);
    ERR_clear_error();
    EVP_PKEY_free(key);
    BIO_free(in);
    OPENSSL_free(again);
    OPENSSL_free(uri);
}

void fuzz_crl(const uint8_t *data, size_t size)
{
    static const uint8_t nothing[8];
    struct dot2_error error = {0};
    struct dot2_crl_info info;

    if (dot2_crl_peek(data, size, &info, &error) == DOT2_OK)
        DEMAND(!info.current && (info.evaluated || info.entries == 0) && info.entries <= size / 14);
    else
        DEMAND(error.offset <= size && memcmp(info.craca_id, nothing, 8) == 0 && info.series == 0);
}

static void spans_within(const struct coer_span *spans, size_t count, const uint8_t *data,
                         size_t size)
{
    for (size_t i = 0; i < count; i++) {
        DEMAND(spans[i].data != NULL && spans[i].size > 0);
        within((const char *)spans[i].data, spans[i].size, data, size);
    }
}

/* What is taken as the form of 1.2.2 is the same where the older form is taken, too. */
void fuzz_composite_crl(const uint8_t *data, size_t size)
{
    struct dot2_composite_crl newer, either;
    struct dot2_error error = {0};
    enum dot2_status status =
        dot2_composite_crl_parse(data, size, DOT2_BALLOTS_122, &newer, &error);

    if (dot2_composite_crl_parse(data, size, DOT2_BALLOTS_121, &either, &error) != DOT2_OK) {
        DEMAND(status != DOT2_OK && error.offset <= size && either.arena == NULL);
        return;
    }
    spans_within(either.crls, either.count, data, size);
    if (status == DOT2_OK) {
        DEMAND(newer.count == either.count && newer.root_ballots == either.root_ballots &&
               newer.elector_ballots == either.elector_ballots);
        dot2_composite_crl_clear(&newer);
    } else {
        /* A file without ballots is the same in both forms. */
        DEMAND(newer.arena == NULL && either.root_ballots + either.elector_ballots > 0);
    }
    dot2_composite_crl_clear(&either);
}

void fuzz_chain_file(const uint8_t *data, size_t size)
{
    struct scms_chain_file newer, either;
    struct dot2_error error = {0};
    enum dot2_status status = scms_chain_file_parse(data, size, DOT2_BALLOTS_122, &newer, &error);

    if (scms_chain_file_parse(data, size, DOT2_BALLOTS_121, &either, &error) != DOT2_OK) {
        DEMAND(status != DOT2_OK && error.offset <= size && either.arena == NULL);
        return;
    }
    within(either.host, either.host_size, data, size);
    DEMAND(either.count >= 1 && either.host_size <= 255);
    spans_within(either.certs, either.count, data, size);
    if (status == DOT2_OK) {
        DEMAND(newer.count == either.count && newer.root_ballots == either.root_ballots &&
               newer.elector_ballots == either.elector_ballots);
        scms_chain_file_clear(&newer);
    } else {
        DEMAND(newer.arena == NULL && either.root_ballots + either.elector_ballots > 0);
    }
    scms_chain_file_clear(&either);
}

void fuzz_policy(const uint8_t *data, size_t size)
{
    struct dot2_error error = {0};
    struct scms_policy policy;

    /* Before and after any interval of a seed. */
    for (uint64_t now = 0; now <= UINT64_C(1) << 50; now += UINT64_C(1) << 50) {
        if (scms_policy_read(data, size, now, &policy, &error) == DOT2_OK)
            DEMAND(policy.scms_version <= 255 && strnlen(policy.ra_host, 256) <= 255 &&
                   (policy.has_host || policy.ra_host[0] == '\0'));
        else
            DEMAND(error.detail[sizeof error.detail - 1] == '\0');
    }
}
