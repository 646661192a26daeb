/*
 * fuzz_signed.c: policies and CRLs behind a signature that is good. The input is what is signed;
 * the parsers alone are in fuzz_decoders.c.
 */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "protocol/dot2/crl.h"
#include "protocol/scms/scms.h"
#include "tests/dot2/fixture.h"
#include "tests/fuzz/fuzz.h"

/* A target is compiled with one of them; the others are there for the other targets. */
fuzz_decoder_fn fuzz_signed_policy, fuzz_signed_crl;

static struct fixture f;
static struct pki pki;
static EVP_PKEY *craca_key;
static dot2_cert *craca;

static void open_world(void)
{
    ToBeSignedCertificate_t *body;

    if (craca != NULL)
        return;
    fixture_open(&f);
    pki_open(&f, DOT2_CURVE_P256, &pki);
    craca_key = fixture_key(&f, DOT2_CURVE_P256);
    body = fixture_body(&f, "craca", FIXTURE_START, 20000);
    fixture_app(&f, body, 0x100, "00 01 00 0101 0004", NULL); /* a CRACA, of series 4 */
    fixture_app(&f, body, SCMS_PSID, "8b0001", NULL);
    craca = fixture_explicit(&f, body, craca_key, pki.root, pki.root_key);
    DEMAND(dot2_trust_add(pki.trust, craca) == DOT2_OK);
}

/* Signed by the CRACA: what is behind the signature is reached as well. OPENSSL_free'd. */
static uint8_t *sign(uint64_t psid, const uint8_t *data, size_t size, size_t *signed_size)
{
    const struct dot2_header header = {.psid = psid};
    uint8_t *octets = NULL;

    DEMAND(dot2_signed_data_build(f.crypto, craca_key, craca, DOT2_SIGNER_CERTIFICATE, &header,
                                  data, size, &octets, signed_size, NULL) == DOT2_OK);
    return octets;
}

/* ---- policies ---- */

static bool read_policy(const uint8_t *data, size_t size, bool *is_signed)
{
    struct scms_policy policy;
    struct dot2_error error = {0};

    *is_signed = false;
    if (scms_policy_read(data, size, (uint64_t)FIXTURE_NOW * 1000000, &policy, &error) != DOT2_OK) {
        DEMAND(error.offset <= size);
        return false;
    }
    DEMAND(memchr(policy.ra_host, '\0', sizeof(policy.ra_host)) != NULL);
    *is_signed = policy.is_signed;
    return true;
}

/* A ScmsFile as it is, which nobody has signed, and as the payload of a signature. */
void fuzz_signed_policy(const uint8_t *data, size_t size)
{
    uint8_t *octets;
    size_t octets_size = 0;
    bool is_file, is_signed, is_verified;

    open_world();
    if (size == 0)
        return;
    is_file = read_policy(data, size, &is_signed) && !is_signed;
    DEMAND(scms_policy_verify(f.crypto, pki.trust, craca, FIXTURE_NOW, data, size, NULL) !=
           DOT2_OK);
    octets = sign(SCMS_PSID, data, size, &octets_size);
    is_verified = scms_policy_verify(f.crypto, pki.trust, craca, FIXTURE_NOW, octets, octets_size,
                                     NULL) == DOT2_OK;
    DEMAND(read_policy(octets, octets_size, &is_signed) == is_file);
    DEMAND(is_signed == is_file && (is_verified || !is_file));
    OPENSSL_free(octets);
    ERR_clear_error();
}

/* ---- CRLs ---- */

static void check_info(const struct dot2_crl_info *info)
{
    DEMAND(info->next_crl >= info->issue_date);
    DEMAND(info->evaluated || info->entries == 0);
}

/*
 * A copy, in which the CRACA, whose key is another in each run, stands for "CRACA ID".
 * OPENSSL_free'd.
 */
static uint8_t *name_craca(const uint8_t *data, size_t size)
{
    static const char placeholder[] = "CRACA ID";
    uint8_t *copy = OPENSSL_memdup(data, size);

    DEMAND(copy != NULL);
    if (size >= 11 && memcmp(copy + 3, placeholder, 8) == 0)
        memcpy(copy + 3, dot2_cert_hashedid8(craca), 8);
    return copy;
}

/* A CrlContents, signed by a CRACA. */
void fuzz_signed_crl(const uint8_t *data, size_t size)
{
    struct dot2_crl_info info = {.entries = 0}, told = {.entries = 0};
    dot2_trust *trust = NULL;
    uint8_t *octets, *contents;
    size_t octets_size = 0;

    open_world();
    if (size == 0)
        return;
    contents = name_craca(data, size);
    DEMAND(dot2_trust_new(f.crypto, NULL, &trust) == DOT2_OK);
    DEMAND(dot2_trust_add_anchor(trust, pki.root) == DOT2_OK);
    octets = sign(0x100, contents, size, &octets_size);
    if (dot2_trust_add_crl(trust, octets, octets_size, FIXTURE_NOW, &info, NULL) == DOT2_OK) {
        check_info(&info);
        DEMAND(info.current && info.issue_date <= FIXTURE_NOW && info.series == 4);
        DEMAND(memcmp(info.craca_id, dot2_cert_hashedid8(craca), 8) == 0);
        DEMAND(dot2_crl_peek(octets, octets_size, &told, NULL) == DOT2_OK);
        DEMAND(told.issue_date == info.issue_date && told.entries == info.entries);
        DEMAND(dot2_trust_crls(trust, &told, 1) == 1);
    }
    OPENSSL_free(contents);
    OPENSSL_free(octets);
    dot2_trust_free(trust);
    ERR_clear_error();
}
