/* test_encrypt.c: EncryptedData, to a certificate and to a key, in software and in a token. */
#include "tests/dot2/recipients.h"

#include <pthread.h>

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
        cmocka_unit_test(takes_v_in_each_form_that_is_a_point),
        cmocka_unit_test(recipients_that_cannot_be_are_refused),
        cmocka_unit_test(a_key_that_may_not_derive_is_no_verdict_on_the_message),
        cmocka_unit_test(a_key_can_be_checked_before_there_is_a_message),
        cmocka_unit_test(by_many_threads),
    };

    return cmocka_run_group_tests(tests, recipients_setup, recipients_teardown);
}
