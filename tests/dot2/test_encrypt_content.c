/*
 * test_encrypt_content.c: what is encrypted: the published ciphertexts of AES-CCM, plaintexts of
 * many sizes, and a message cut or changed anywhere.
 */
#include "tests/dot2/recipients.h"

#include "protocol/dot2/ecies.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_truncation_and_flipped_bit_is_refused),
        cmocka_unit_test(plaintexts_of_many_sizes),
        cmocka_unit_test(ccm_gives_the_published_ciphertexts),
    };

    return cmocka_run_group_tests(tests, recipients_setup, recipients_teardown);
}
