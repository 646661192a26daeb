/* test_encrypt.c: EncryptedData, to a certificate and to a key, in software and in a token. */
#include "tests/dot2/fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#include "protocol/dot2/asn1_key.h"
#include "protocol/dot2/ecies.h"
#include "tests/provider/token_lab.h"

/* An Ieee1609Dot2Data.unsecuredData, the shortest message that is encrypted in the field. */
static const uint8_t plaintext[] = {0x03, 0x80, 0x05, 0x01, 0x83, 0x80, 0x00, 0x01};

struct recipient {
    EVP_PKEY *key;
    dot2_cert *cert;
};

static struct fixture fixture;
static struct recipient ra[2], in_token; /* on each curve; P-256 in the token */

/* A self-signed certificate with this encryption key; NULL = none. */
static dot2_cert *certificate(const char *name, const EVP_PKEY *encryption)
{
    ToBeSignedCertificate_t *body = fixture_body(&fixture, name, FIXTURE_START, 1000);
    EVP_PKEY *key = fixture_key(&fixture, DOT2_CURVE_P256);
    dot2_cert *cert = NULL;

    fixture_app(&fixture, body, 0x23, "8b0001", NULL);
    if (encryption != NULL) {
        body->encryptionKey = coer_arena_alloc(fixture.arena, sizeof(*body->encryptionKey));
        assert_non_null(body->encryptionKey);
        assert_int_equal(dot2_asn1_set_encryption_key(fixture.arena, body->encryptionKey,
                                                      encryption, "encryptionKey", NULL),
                         DOT2_OK);
    }
    cert = fixture_explicit(&fixture, body, key, NULL, key);
    EVP_PKEY_free(key);
    return cert;
}

static int set_up(void **state)
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

static void forget_decrypters(void);

static int tear_down(void **state)
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

static const struct recipient *const recipients[] = {&ra[0], &ra[1], &in_token};
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

/*
 * Every other time by a decrypter, which has seen what came before: whatever was decrypted or
 * refused then, the answer is that of a key that is used for the first time.
 */
static enum dot2_status decrypt(const struct recipient *recipient, bool by_cert,
                                const uint8_t *octets, size_t size, struct dot2_error *error)
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

static size_t encrypt(const struct recipient *recipient, bool to_cert, uint8_t **octets)
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

/* 03 82 01 01, 82 (cert) or 84 (rek), recipientId, 80|81, 82|83 V, C, T, 80, nonce, length. */
static void has_the_layout_of_the_type(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        for (int to_cert = 0; to_cert < 2; to_cert++) {
            uint8_t *one = NULL, *other = NULL;
            uint8_t id[8];
            size_t size = encrypt(recipients[i], to_cert, &one);

            assert_int_equal(encrypt(recipients[i], to_cert, &other), size);
            assert_int_equal(size, 5 + 8 + 1 + 1 + 32 + 16 + 16 + 1 + 12 + 1 + 8 + 16);
            assert_memory_equal(one, "\x03\x82\x01\x01", 4);
            assert_int_equal(one[4], to_cert ? 0x82 : 0x84);
            if (to_cert)
                memcpy(id, dot2_cert_hashedid8(recipients[i]->cert), 8);
            else
                assert_int_equal(
                    dot2_encryption_key_hashedid8(fixture.crypto, recipients[i]->key, id, NULL),
                    DOT2_OK);
            assert_memory_equal(one + 5, id, 8);
            assert_int_equal(one[13], i == 1 ? 0x81 : 0x80);
            assert_true(one[14] == 0x82 || one[14] == 0x83);
            assert_int_equal(one[79], 0x80);
            assert_int_equal(one[92], 24);
            /* New ephemeral key, AES key and nonce. */
            assert_memory_not_equal(one + 15, other + 15, 32);
            assert_memory_not_equal(one + 47, other + 47, 16);
            assert_memory_not_equal(one + 80, other + 80, 12);
            assert_memory_not_equal(one + 93, other + 93, 24);
            OPENSSL_free(one);
            OPENSSL_free(other);
        }
    }
}

/* HashedId8 of the COER octets, put together by hand. */
static void a_key_is_named_by_the_hash_of_its_encoding(void **state)
{
    uint8_t octets[35] = {0x00}, hash[32], id[8], point[49];
    size_t size = 0;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(dot2_public_point(ra[i].key, point, &size), DOT2_OK);
        octets[1] = (uint8_t)(0x80 | i);
        octets[2] = (uint8_t)(0x80 | point[0]);
        memcpy(octets + 3, point + 1, 32);
        assert_true(EVP_Digest(octets, sizeof(octets), hash, NULL, EVP_sha256(), NULL));
        assert_int_equal(dot2_encryption_key_hashedid8(fixture.crypto, ra[i].key, id, NULL),
                         DOT2_OK);
        assert_memory_equal(id, hash + 24, 8);
    }
}

static void decrypts_what_was_encrypted_and_nobody_else_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        for (int to_cert = 0; to_cert < 2; to_cert++) {
            uint8_t *octets = NULL;
            size_t size = encrypt(recipients[i], to_cert, &octets);

            assert_int_equal(decrypt(recipients[i], to_cert, octets, size, NULL), DOT2_OK);
            /* The other kind of recipient is not there. */
            assert_int_equal(decrypt(recipients[i], !to_cert, octets, size, NULL),
                             DOT2_E_NOT_RECIPIENT);
            for (size_t j = 0; j < 3; j++) {
                struct dot2_error error = {0};
                enum dot2_status status =
                    j == i ? DOT2_OK : decrypt(recipients[j], to_cert, octets, size, &error);

                if (j != i) {
                    assert_int_equal(status, to_cert ? DOT2_E_NOT_RECIPIENT : DOT2_E_DECRYPT);
                    assert_int_equal(error.status, status);
                    assert_non_null(strstr(error.field, "recipients"));
                }
            }
            OPENSSL_free(octets);
        }
    }
}

/* The certificate of the recipient, a private key that is not its. */
static void says_so_if_key_and_certificate_do_not_belong_together(void **state)
{
    struct recipient wrong = {fixture_key(&fixture, DOT2_CURVE_P256), ra[0].cert};
    struct dot2_error error = {0};
    uint8_t *octets = NULL;
    size_t size = encrypt(&ra[0], true, &octets);

    (void)state;
    assert_int_equal(decrypt(&wrong, true, octets, size, &error), DOT2_E_KEY_MISMATCH);
    assert_non_null(strstr(error.field, "encryptionKey"));
    OPENSSL_free(octets);
    EVP_PKEY_free(wrong.key);
}

/* Two certificates with one key: P1 binds the message to the certificate that it names. */
static void is_bound_to_the_certificate_by_p1(void **state)
{
    struct recipient renewed = {ra[0].key, certificate("renewed.example", ra[0].key)};
    uint8_t *octets = NULL;
    size_t size = encrypt(&ra[0], true, &octets);

    (void)state;
    assert_int_equal(decrypt(&renewed, true, octets, size, NULL), DOT2_E_NOT_RECIPIENT);
    memcpy(octets + 5, dot2_cert_hashedid8(renewed.cert), 8);
    assert_int_equal(decrypt(&renewed, true, octets, size, NULL), DOT2_E_DECRYPT);
    octets[4] = 0x84; /* and to a rekRecipInfo it cannot be turned */
    assert_int_equal(decrypt(&renewed, false, octets, size, NULL), DOT2_E_DECRYPT);
    OPENSSL_free(octets);
    dot2_cert_free(renewed.cert);
}

/* What the field sends: a rekRecipInfo under the HashedId8 of the RA's certificate. */
static void takes_a_rek_recipient_under_another_name(void **state)
{
    uint8_t *octets = NULL;
    size_t size = encrypt(&in_token, false, &octets);

    (void)state;
    memcpy(octets + 5, dot2_cert_hashedid8(ra[1].cert), 8);
    assert_int_equal(decrypt(&in_token, false, octets, size, NULL), DOT2_OK);
    assert_int_equal(decrypt(&ra[0], false, octets, size, NULL), DOT2_E_DECRYPT);
    OPENSSL_free(octets);
}

/* Puts the recipients of the messages into one list, with the ciphertext of the last. */
static size_t join(uint8_t *const messages[], size_t count, uint8_t *out)
{
    uint8_t *p = out;

    memcpy(p, messages[0], 4);
    p[3] = (uint8_t)count;
    p += 4;
    for (size_t i = 0; i < count; i++, p += 75)
        memcpy(p, messages[i] + 4, 75);
    memcpy(p, messages[count - 1] + 79, 38);
    return (size_t)(p + 38 - out);
}

static void finds_its_recipient_among_several(void **state)
{
    uint8_t *messages[DOT2_RECIPIENTS_MAX + 1] = {NULL};
    uint8_t joined[2000];
    struct dot2_encrypted encrypted;
    size_t size = 0;

    (void)state;
    encrypt(&ra[1], true, &messages[0]);
    encrypt(&ra[0], false, &messages[1]);
    encrypt(&in_token, true, &messages[2]);
    size = join(messages, 3, joined);
    assert_int_equal(dot2_encrypted_parse(joined, size, &encrypted, NULL), DOT2_OK);
    assert_int_equal(encrypted.count, 3);
    assert_int_equal(encrypted.recipients[0].kind, DOT2_RECIPIENT_CERT);
    assert_memory_equal(encrypted.recipients[0].id, dot2_cert_hashedid8(ra[1].cert), 8);
    assert_int_equal(encrypted.recipients[1].kind, DOT2_RECIPIENT_REK);
    assert_int_equal(encrypted.recipients[2].kind, DOT2_RECIPIENT_CERT);
    assert_memory_equal(encrypted.recipients[2].id, dot2_cert_hashedid8(in_token.cert), 8);
    dot2_encrypted_clear(&encrypted);
    assert_int_equal(decrypt(&in_token, true, joined, size, NULL), DOT2_OK);
    /* Its key unwraps, but it is not the key of this ciphertext. */
    assert_int_equal(decrypt(&ra[0], false, joined, size, NULL), DOT2_E_DECRYPT);
    for (size_t i = 0; i < 3; i++)
        OPENSSL_free(messages[i]);

    for (size_t i = 0; i <= DOT2_RECIPIENTS_MAX; i++)
        encrypt(&ra[i % 2], true, &messages[i]);
    size = join(messages, DOT2_RECIPIENTS_MAX, joined);
    assert_int_equal(decrypt(&ra[(DOT2_RECIPIENTS_MAX - 1) % 2], true, joined, size, NULL),
                     DOT2_E_DECRYPT); /* the first of its name counts, and is of another message */
    size = join(messages, DOT2_RECIPIENTS_MAX + 1, joined);
    assert_int_equal(dot2_encrypted_parse(joined, size, &encrypted, NULL), DOT2_E_MESSAGE);
    for (size_t i = 0; i <= DOT2_RECIPIENTS_MAX; i++)
        OPENSSL_free(messages[i]);
    /* None at all: only a ciphertext. */
    memcpy(joined, "\x03\x82\x01\x00\x80", 5);
    memset(joined + 5, 0, 12);
    memcpy(joined + 17,
           "\x11"
           "0123456789abcdefg",
           18);
    assert_int_equal(dot2_encrypted_parse(joined, 35, &encrypted, NULL), DOT2_E_MESSAGE);
}

static void every_truncation_and_flipped_bit_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        for (int to_cert = 0; to_cert < 2; to_cert++) {
            uint8_t *octets = NULL;
            size_t size = encrypt(recipients[i], to_cert, &octets);

            for (size_t n = 0; n < size; n++) {
                uint8_t *cut = OPENSSL_memdup(octets, n > 0 ? n : 1);
                struct dot2_error error = {0};

                assert_int_equal(decrypt(recipients[i], to_cert, cut, n, &error), DOT2_E_DECODE);
                assert_int_equal(error.status, DOT2_E_DECODE);
                OPENSSL_free(cut);
            }
            for (size_t bit = 0; bit < 8 * size; bit++) {
                enum dot2_status status;

                octets[bit / 8] ^= (uint8_t)(1 << bit % 8);
                status = decrypt(recipients[i], to_cert, octets, size, NULL);
                /*
                 * Two things the tag does not bind: the sign of V, as ECDH gives x alone, and the
                 * name of a rekRecipInfo, which is taken leniently.
                 */
                if (bit == 14 * 8 || (!to_cert && bit / 8 >= 5 && bit / 8 < 13))
                    assert_int_equal(status, DOT2_OK);
                else
                    assert_true(status == DOT2_E_DECODE || status == DOT2_E_DECRYPT ||
                                status == DOT2_E_NOT_RECIPIENT || status == DOT2_E_MESSAGE ||
                                status == DOT2_E_POINT);
                octets[bit / 8] ^= (uint8_t)(1 << bit % 8);
            }
            OPENSSL_free(octets);
        }
    }
    assert_int_equal(ERR_peek_error(), 0); /* a refused message is an answer */
}

/* V uncompressed is the same point; x-only and fill are none; and one that is off the curve. */
static void takes_v_in_each_form_that_is_a_point(void **state)
{
    uint8_t *octets = NULL, changed[200];
    size_t size = encrypt(&in_token, true, &octets), n = 0;
    uint8_t v[33];
    EVP_PKEY *point = NULL;
    BIGNUM *y = NULL;
    struct dot2_error error = {0};

    (void)state;
    v[0] = octets[14] & 3;
    memcpy(v + 1, octets + 15, 32);
    assert_int_equal(dot2_public_key(fixture.crypto, DOT2_CURVE_P256, v, 33, &point, NULL),
                     DOT2_OK);
    assert_true(EVP_PKEY_get_bn_param(point, "qy", &y));
    memcpy(changed, octets, 47);
    changed[14] = 0x84;
    assert_int_equal(BN_bn2binpad(y, changed + 47, 32), 32);
    memcpy(changed + 79, octets + 47, size - 47);
    n = size + 32;
    assert_int_equal(decrypt(&in_token, true, changed, n, NULL), DOT2_OK);
    changed[78] ^= 1;
    assert_int_equal(decrypt(&in_token, true, changed, n, &error), DOT2_E_DECRYPT);
    assert_non_null(strstr(error.detail, "V is not on"));

    octets[14] = 0x80; /* x-only */
    assert_int_equal(decrypt(&in_token, true, octets, size, &error), DOT2_E_POINT);
    memcpy(changed, octets, 14);
    changed[14] = 0x81; /* fill */
    memcpy(changed + 15, octets + 47, size - 47);
    assert_int_equal(decrypt(&in_token, true, changed, size - 32, &error), DOT2_E_POINT);
    assert_non_null(strstr(error.field, "encKey.v"));
    OPENSSL_free(octets);
    EVP_PKEY_free(point);
    BN_free(y);
}

static void recipients_that_cannot_be_are_refused(void **state)
{
    EVP_PKEY *p384 = fixture_key(&fixture, DOT2_CURVE_P384);
    dot2_cert *without = certificate("no-key.example", NULL);
    struct dot2_encrypted encrypted;
    struct dot2_error error = {0};
    uint8_t *octets = NULL, *plain = NULL;
    size_t size = 0;

    (void)state;
    assert_int_equal(dot2_encrypt_to_key(fixture.crypto, p384, plaintext, sizeof(plaintext),
                                         &octets, &size, &error),
                     DOT2_E_ALGORITHM);
    assert_null(octets);
    assert_int_equal(dot2_encrypt_to_cert(fixture.crypto, without, plaintext, sizeof(plaintext),
                                          &octets, &size, &error),
                     DOT2_E_TYPE);
    assert_null(octets);
    assert_int_equal(
        dot2_encrypt_to_key(fixture.crypto, ra[0].key, plaintext, 0, &octets, &size, &error),
        DOT2_E_ARGUMENT);
    assert_int_equal(dot2_encrypt_to_key(fixture.crypto, ra[0].key, plaintext,
                                         DOT2_PLAINTEXT_MAX + 1, &octets, &size, &error),
                     DOT2_E_ARGUMENT);
    assert_int_equal(dot2_encrypted_parse(plaintext, sizeof(plaintext), &encrypted, &error),
                     DOT2_E_MESSAGE);
    size = encrypt(&ra[0], true, &octets);
    assert_int_equal(
        dot2_decrypt(fixture.crypto, p384, ra[0].cert, octets, size, &plain, &size, &error),
        DOT2_E_KEY_MISMATCH);
    assert_null(plain);
    OPENSSL_free(octets);
    dot2_cert_free(without);
    EVP_PKEY_free(p384);
}

/* A key in the token that may sign only. */
static void a_key_that_may_not_derive_is_no_verdict_on_the_message(void **state)
{
    struct recipient signer = {lab_generate(fixture.libctx, "P-256", lab_uri("signer"), "sign"),
                               NULL};
    struct dot2_error error = {0};
    uint8_t *octets = NULL;
    size_t size = 0;

    (void)state;
    assert_non_null(signer.key);
    size = encrypt(&signer, false, &octets);
    assert_int_equal(decrypt(&signer, false, octets, size, &error), DOT2_E_PROVIDER);
    assert_non_null(strstr(error.detail, "may not derive"));
    ERR_clear_error();
    OPENSSL_free(octets);
    EVP_PKEY_free(signer.key);
}

static void a_key_can_be_checked_before_there_is_a_message(void **state)
{
    EVP_PKEY *signer = lab_generate(fixture.libctx, "P-256", lab_uri("signer2"), "sign");
    EVP_PKEY *p384 = fixture_key(&fixture, DOT2_CURVE_P384);
    struct dot2_error error = {0};

    (void)state;
    assert_non_null(signer);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(
            dot2_decrypt_check(fixture.crypto, recipients[i]->key, recipients[i]->cert, &error),
            DOT2_OK);
        assert_int_equal(dot2_decrypt_check(fixture.crypto, recipients[i]->key, NULL, &error),
                         DOT2_OK);
        assert_int_equal(dot2_decrypt_check(fixture.crypto, recipients[i]->key,
                                            recipients[(i + 1) % 3]->cert, &error),
                         DOT2_E_KEY_MISMATCH);
    }
    assert_int_equal(dot2_decrypt_check(fixture.crypto, p384, NULL, &error), DOT2_E_ALGORITHM);
    assert_int_equal(dot2_decrypt_check(fixture.crypto, signer, NULL, &error), DOT2_E_PROVIDER);
    assert_non_null(strstr(error.detail, "CKM_ECDH1_DERIVE"));
    ERR_clear_error();
    EVP_PKEY_free(signer);
    EVP_PKEY_free(p384);
}

struct work {
    const uint8_t *octets;
    size_t size;
    dot2_decrypter *decrypter; /* of all threads */
    int failures;
};

static void *worker(void *arg)
{
    struct work *work = arg;

    for (int i = 0; i < 40; i++) {
        uint8_t *plain = NULL, *mine = NULL;
        size_t size = 0, mine_size = 0;
        struct dot2_encrypted encrypted;

        if (dot2_decrypt(fixture.crypto, in_token.key, in_token.cert, work->octets, work->size,
                         &plain, &size, NULL) != DOT2_OK ||
            size != sizeof(plaintext) || memcmp(plain, plaintext, size) != 0)
            work->failures++;
        OPENSSL_clear_free(plain, size);
        plain = NULL;
        if (dot2_encrypted_parse(work->octets, work->size, &encrypted, NULL) != DOT2_OK ||
            dot2_decrypter_decrypt(work->decrypter, &encrypted, &plain, &size, NULL) != DOT2_OK ||
            size != sizeof(plaintext) || memcmp(plain, plaintext, size) != 0)
            work->failures++;
        OPENSSL_clear_free(plain, size);
        dot2_encrypted_clear(&encrypted);
        if (dot2_encrypt_to_cert(fixture.crypto, ra[i % 2].cert, plaintext, sizeof(plaintext),
                                 &mine, &mine_size, NULL) != DOT2_OK ||
            dot2_decrypt(fixture.crypto, ra[i % 2].key, ra[i % 2].cert, mine, mine_size, &plain,
                         &size, NULL) != DOT2_OK)
            work->failures++;
        OPENSSL_clear_free(plain, size);
        OPENSSL_free(mine);
    }
    return NULL;
}

/* One key in the token, one certificate, one context: by eight threads at the same time. */
static void by_many_threads(void **state)
{
    struct work work[8] = {0};
    pthread_t threads[8];
    uint8_t *octets = NULL;
    size_t size = encrypt(&in_token, true, &octets);
    dot2_decrypter *decrypter = NULL;

    (void)state;
    assert_int_equal(
        dot2_decrypter_new(fixture.crypto, in_token.key, in_token.cert, &decrypter, NULL), DOT2_OK);
    for (size_t i = 0; i < 8; i++) {
        work[i].decrypter = decrypter;
        work[i].octets = octets;
        work[i].size = size;
        assert_int_equal(pthread_create(&threads[i], NULL, worker, &work[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(work[i].failures, 0);
    }
    dot2_decrypter_free(decrypter);
    OPENSSL_free(octets);
}

/* Long plaintexts of all sizes around the borders of the length field. */
static void plaintexts_of_many_sizes(void **state)
{
    static const size_t sizes[] = {1,   15,  16,  17,  31,    32,    111,   112,     255 - 16,
                                   240, 255, 256, 257, 65519, 65520, 65536, 0x100000};
    uint8_t *text = OPENSSL_malloc(0x100000);

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < 0x100000; i++)
        text[i] = (uint8_t)(i * 7 + i / 256);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t *octets = NULL, *plain = NULL;
        size_t size = 0, plain_size = 0;

        assert_int_equal(
            dot2_encrypt_to_cert(fixture.crypto, ra[0].cert, text, sizes[i], &octets, &size, NULL),
            DOT2_OK);
        assert_int_equal(dot2_decrypt(fixture.crypto, ra[0].key, ra[0].cert, octets, size, &plain,
                                      &plain_size, NULL),
                         DOT2_OK);
        assert_int_equal(plain_size, sizes[i]);
        assert_memory_equal(plain, text, sizes[i]);
        OPENSSL_clear_free(plain, plain_size);
        octets[size - 1] ^= 0x80;
        assert_int_equal(dot2_decrypt(fixture.crypto, ra[0].key, ra[0].cert, octets, size, &plain,
                                      &plain_size, NULL),
                         DOT2_E_DECRYPT);
        OPENSSL_free(octets);
    }
    OPENSSL_free(text);
}

/* IEEE 1609.2a-2017 Annex D.6: AES-CCM, two keys and plaintexts of odd and even size. */
static const struct {
    const char *key, *nonce, *plaintext, *sealed;
} ccm[] = {
    {"e58d5c8f8c9ed9785679e08abc7c8116", "a9f593c09eaeea8bf0c1cf6a",
     "0653b5714d1357f4995bddacbe10873951a1eba663718d1af35d2f0d52c79de49be622c4a6d90647ba2b00"
     "4c3e8ae422fd27063afa19ad883dccbd97d98b8b0461b5671e75f19701c24042b8d3af79b9ff62bc448ef9"
     "440b1ea3f7e5c0f4bfefe3e326e62d5ee4cb4b4cfff30ad5f49a7981abf71617245b96e522e1add78a",
     "5f82b9fce34b94835395dd89d71fb758d2a3907fbf2fd58994a2b9cf8725af26f0b23853c27a06e35ee72c"
     "ad827713c18fa5dda971d9baa7b42a301ff60c6e4ad651c1bb6ed4f25f7d0ff387a11627934cd11f86984e"
     "a3ac969dda9a020ad6424b0d393e3fb4b1119adf5cdb012a59753e41d47e5e5a8c3a118ed407049b56d53b"
     "f56cb38c0b20a2502d1da70b9761"},
    {"b8453a728060f8d517baceed3829f4d9", "cfbce69c884d5babbbaaf9a3",
     "f7629b73dae85a9bca45c42eb7fc1818dc74a60e13ae65a043e24b5a4d3ae04c273e7d6f42710f2d223d09"
     "eb7c1315718a5a1293d482e4c45c3e852e5106aad7b695a02c4854801a5efe937a6540bce8734e8141558c"
     "3433b1d4c733dc5ef9c47b5279aa46ee3d8bd33b0950be5c9ebdf18bcf069b6daf82ff1186912f0aba",
     "dede575b6efe390f2cbb4f368a711f6cdf69abd11af580b2bf4029f85eb835d1abddb30e9e9cf3f13cba3b"
     "cc2e918713d218af0d07cc614af69892afa986af2d5e60edb05d09d3b29e2a65b543ad6f26e5d76b660fe9"
     "184906a6315cd6b5355fa291a1e90c510df20e46c116e2180009c287659db8d45cc3968049fa29f08de5d1"
     "56edf7b0dbc84e410f292868c4be"},
    {"b8453a728060f8d517baceed3829f4d9", "cfbce69c884d5babbbaaf9a3",
     "1d76bdf0626a7134beb28a90d54ed7796c4c9535465c090c4b583a8cd40ef0a3864e7c07ccaed140df6b9d"
     "73234e652f8ff425fc206f63dfab7dcdbbbe30411a14695e72a2bd8c4bfb1d6991db4f99eea7435e55261e"
     "37fdf57ce79df725c810192f5e6e0331ed62eb8a72c5b9da6dfd9748b3d168a69bab33319efd1e84ef2570",
     "34ca71d8d67c12a0584c0188e8c3d00d6f5198ea4f07ec1eb7fa582ec78c253e0aadb26610432d9cc1ecaf"
     "5471ccf74dd7b69862f321e65101dbda3a46b044e0fc9c13eeb7e0dfe33bc99f5efda24a2031dab4727c7b"
     "1b87420e11f2fdce048bc0ec862d498edd1b36f7ba83e59ef349a444194a4b1f68ea5aa05196187ed8ed68"
     "4826c0c356a9b8eda55bd91c2ba1022b"},
};

static void ccm_gives_the_published_ciphertexts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ccm) / sizeof(ccm[0]); i++) {
        uint8_t key[16], nonce[12], plain[200], sealed[200], out[200];
        size_t size = fixture_hex(ccm[i].plaintext, plain, sizeof(plain));

        assert_int_equal(fixture_hex(ccm[i].key, key, 16), 16);
        assert_int_equal(fixture_hex(ccm[i].nonce, nonce, 12), 12);
        assert_int_equal(fixture_hex(ccm[i].sealed, sealed, sizeof(sealed)), size + 16);
        assert_int_equal(dot2_ccm_seal(fixture.crypto, key, nonce, plain, size, out, NULL),
                         DOT2_OK);
        assert_memory_equal(out, sealed, size + 16);
        assert_int_equal(dot2_ccm_open(fixture.crypto, key, nonce, sealed, size + 16, out, NULL),
                         DOT2_OK);
        assert_memory_equal(out, plain, size);
        for (size_t bit = 0; bit < (size + 16) * 8; bit += 5) {
            sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(
                dot2_ccm_open(fixture.crypto, key, nonce, sealed, size + 16, out, NULL),
                DOT2_E_DECRYPT);
            for (size_t j = 0; j < size; j++)
                assert_int_equal(out[j], 0);
            sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t n = 0; n <= 16; n++)
            assert_int_equal(dot2_ccm_open(fixture.crypto, key, nonce, sealed, n, out, NULL),
                             DOT2_E_DECRYPT);
        nonce[11] ^= 1;
        assert_int_equal(dot2_ccm_open(fixture.crypto, key, nonce, sealed, size + 16, out, NULL),
                         DOT2_E_DECRYPT);
    }
}

/* The provider goes away: an error, and never a message encrypted some other way. */
static void without_the_provider_there_is_an_error(void **state)
{
    struct fixture other;
    EVP_PKEY *key = NULL;
    uint8_t *octets = NULL, *plain = NULL, *right = NULL;
    size_t size = 0, plain_size = 0;
    struct dot2_error error = {0};
    struct dot2_encrypted encrypted;
    dot2_decrypter *decrypter = NULL;

    (void)state;
    fixture_open(&other);
    key = fixture_key(&other, DOT2_CURVE_P256);
    assert_int_equal(
        dot2_encrypt_to_key(other.crypto, key, plaintext, sizeof(plaintext), &right, &size, &error),
        DOT2_OK);
    assert_int_equal(dot2_decrypter_new(other.crypto, key, NULL, &decrypter, &error), DOT2_OK);
    assert_int_equal(dot2_encrypted_parse(right, size, &encrypted, &error), DOT2_OK);
    assert_int_equal(dot2_decrypter_decrypt(decrypter, &encrypted, &plain, &plain_size, &error),
                     DOT2_OK);
    OPENSSL_clear_free(plain, plain_size);
    EVP_PKEY_free(key);
    key = fixture_key(&other, DOT2_CURVE_P256);
    assert_int_equal(OSSL_PROVIDER_unload(other.dot2hsm), 1);
    other.dot2hsm = NULL;
    /* Not with what is kept from before either. */
    assert_int_equal(dot2_decrypter_decrypt(decrypter, &encrypted, &plain, &plain_size, &error),
                     DOT2_E_PROVIDER);
    assert_null(plain);
    dot2_decrypter_free(decrypter);
    dot2_encrypted_clear(&encrypted);
    assert_int_equal(
        dot2_decrypt(other.crypto, key, NULL, right, size, &plain, &plain_size, &error),
        DOT2_E_PROVIDER);
    assert_null(plain);
    assert_int_equal(dot2_encrypt_to_key(other.crypto, key, plaintext, sizeof(plaintext), &octets,
                                         &size, &error),
                     DOT2_E_PROVIDER);
    assert_null(octets);
    ERR_clear_error();
    OPENSSL_free(right);
    EVP_PKEY_free(key);
    fixture_close(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_layout_of_the_type),
        cmocka_unit_test(a_key_is_named_by_the_hash_of_its_encoding),
        cmocka_unit_test(decrypts_what_was_encrypted_and_nobody_else_does),
        cmocka_unit_test(says_so_if_key_and_certificate_do_not_belong_together),
        cmocka_unit_test(is_bound_to_the_certificate_by_p1),
        cmocka_unit_test(takes_a_rek_recipient_under_another_name),
        cmocka_unit_test(finds_its_recipient_among_several),
        cmocka_unit_test(every_truncation_and_flipped_bit_is_refused),
        cmocka_unit_test(takes_v_in_each_form_that_is_a_point),
        cmocka_unit_test(recipients_that_cannot_be_are_refused),
        cmocka_unit_test(a_key_that_may_not_derive_is_no_verdict_on_the_message),
        cmocka_unit_test(a_key_can_be_checked_before_there_is_a_message),
        cmocka_unit_test(by_many_threads),
        cmocka_unit_test(plaintexts_of_many_sizes),
        cmocka_unit_test(ccm_gives_the_published_ciphertexts),
        cmocka_unit_test(without_the_provider_there_is_an_error),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
