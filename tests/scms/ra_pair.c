/* ra_pair.c: what ra_pair.h says. */
#include "tests/scms/ra_pair.h"

struct fixture f;
struct pki pki;
EVP_PKEY *ra_key[2], *ra_decryption_key[2];
dot2_cert *ra[2];

int ra_pair_setup(void **state)
{
    (void)state;
    fixture_open(&f);
    pki_open(&f, DOT2_CURVE_P256, &pki);
    for (int i = 0; i < 2; i++) {
        ToBeSignedCertificate_t *body =
            fixture_body(&f, i == 0 ? "ra.old" : "ra.new", FIXTURE_START, 10000);

        ra_key[i] = fixture_key(&f, DOT2_CURVE_P256);
        ra_decryption_key[i] = fixture_key(&f, DOT2_CURVE_P256);
        fixture_app(&f, body, SCMS_PSID, "8b0001", NULL);
        fixture_region(&f, body, "83 0101 80 0348");
        fixture_encryption(&f, body, ra_decryption_key[i]);
        ra[i] = fixture_explicit(&f, body, ra_key[i], pki.ica, pki.ica_key);
        assert_int_equal(dot2_trust_add(pki.trust, ra[i]), DOT2_OK);
    }
    return 0;
}

int ra_pair_teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        EVP_PKEY_free(ra_key[i]);
        EVP_PKEY_free(ra_decryption_key[i]);
        dot2_cert_free(ra[i]);
    }
    pki_close(&pki);
    fixture_close(&f);
    return 0;
}

uint8_t *put(uint8_t *p, const char *hex)
{
    return p + fixture_hex(hex, p, 64);
}
