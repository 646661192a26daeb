/* recipients.c: what recipients.h says. */
#include "tests/dot2/recipients.h"

const uint8_t plaintext[8] = {0x03, 0x80, 0x05, 0x01, 0x83, 0x80, 0x00, 0x01};

struct fixture fixture;
struct recipient ra[2], in_token;

dot2_cert *certificate(const char *name, const EVP_PKEY *encryption)
{
    ToBeSignedCertificate_t *body = fixture_body(&fixture, name, FIXTURE_START, 1000);
    EVP_PKEY *key = fixture_key(&fixture, DOT2_CURVE_P256);
    dot2_cert *cert = NULL;

    fixture_app(&fixture, body, 0x23, "8b0001", NULL);
    if (encryption != NULL)
        fixture_encryption(&fixture, body, encryption);
    cert = fixture_explicit(&fixture, body, key, NULL, key);
    EVP_PKEY_free(key);
    return cert;
}

int recipients_setup(void **state)
{
    (void)state;
    lab_open();
    fixture_open(&fixture);
    ra[0].key = fixture_key(&fixture, DOT2_CURVE_P256);
    ra[1].key = fixture_key(&fixture, DOT2_CURVE_BRAINPOOL_P256R1);
    in_token.key = lab_generate(fixture.libctx, "P-256", lab_uri("ra"), "derive");
    assert_non_null(in_token.key);
    for (int i = 0; i < 2; i++)
        ra[i].cert = certificate(i == 0 ? "ra.example" : "ra2.example", ra[i].key);
    in_token.cert = certificate("hsm.example", in_token.key);
    return 0;
}

const struct recipient *const recipients[3] = {&ra[0], &ra[1], &in_token};
/* Of each of them: without and with the certificate. Kept from the first message to the last. */
static dot2_decrypter *decrypters[3][2];

static void forget_decrypters(void)
{
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 2; j++) {
            dot2_decrypter_free(decrypters[i][j]);
            decrypters[i][j] = NULL;
        }
    }
}

int recipients_teardown(void **state)
{
    (void)state;
    forget_decrypters();
    for (int i = 0; i < 2; i++) {
        EVP_PKEY_free(ra[i].key);
        dot2_cert_free(ra[i].cert);
    }
    EVP_PKEY_free(in_token.key);
    dot2_cert_free(in_token.cert);
    fixture_close(&fixture);
    lab_close();
    return 0;
}

/* NULL if the recipient is none of ours. */
static dot2_decrypter *decrypter_of(const struct recipient *recipient, bool by_cert)
{
    size_t at = 0;

    while (at < 3 && recipients[at] != recipient)
        at++;
    if (at == 3)
        return NULL;
    if (decrypters[at][by_cert] == NULL)
        assert_int_equal(dot2_decrypter_new(fixture.crypto, recipient->key,
                                            by_cert ? recipient->cert : NULL,
                                            &decrypters[at][by_cert], NULL),
                         DOT2_OK);
    return decrypters[at][by_cert];
}

enum dot2_status decrypt(const struct recipient *recipient, bool by_cert, const uint8_t *octets,
                         size_t size, struct dot2_error *error)
{
    static unsigned turn;
    dot2_decrypter *decrypter = turn++ % 2 == 0 ? NULL : decrypter_of(recipient, by_cert);
    struct dot2_encrypted encrypted;
    uint8_t *plain = NULL;
    size_t plain_size = 0;
    enum dot2_status status;

    if (decrypter == NULL) {
        plain = (uint8_t *)1;
        plain_size = 1;
        status = dot2_decrypt(fixture.crypto, recipient->key, by_cert ? recipient->cert : NULL,
                              octets, size, &plain, &plain_size, error);
    } else if ((status = dot2_encrypted_parse(octets, size, &encrypted, error)) == DOT2_OK) {
        plain = (uint8_t *)1;
        plain_size = 1;
        status = dot2_decrypter_decrypt(decrypter, &encrypted, &plain, &plain_size, error);
        dot2_encrypted_clear(&encrypted);
    }
    if (status == DOT2_OK) {
        assert_int_equal(plain_size, sizeof(plaintext));
        assert_memory_equal(plain, plaintext, sizeof(plaintext));
        OPENSSL_clear_free(plain, plain_size);
    } else {
        assert_null(plain);
        assert_int_equal(plain_size, 0);
    }
    return status;
}

size_t encrypt(const struct recipient *recipient, bool to_cert, uint8_t **octets)
{
    struct dot2_error error = {0};
    size_t size = 0;
    enum dot2_status status = to_cert
                                  ? dot2_encrypt_to_cert(fixture.crypto, recipient->cert, plaintext,
                                                         sizeof(plaintext), octets, &size, &error)
                                  : dot2_encrypt_to_key(fixture.crypto, recipient->key, plaintext,
                                                        sizeof(plaintext), octets, &size, &error);

    if (status != DOT2_OK)
        fail_msg("%s: %s", dot2_status_name(status), error.detail);
    return size;
}
