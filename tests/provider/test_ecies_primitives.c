/* test_ecies_primitives.c: KDF2 and MAC1 against published figures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/crypto.h>

#include "provider/ecies.h"

/* ANSI X9.63 KDF with SHA-256, which is KDF2 of IEEE 1363a (NIST CAVS 12.0). */
static const struct {
    const char *secret, *p1, *key;
} kdf2[] = {
    {"96c05619d56c328ab95fe84b18264b08725b85e33fd34f08", "", "443024c3dae66b95e6f5670601558f71"},
    {"96f600b73ad6ac5629577eced51743dd2c24c21b1ac83ee4", "", "b6295162a7804f5667ba9070f82fa522"},
    {"22518b10e70f2a3f243810ae3254139efbee04aa57c7af7d", "75eef81aa3041e33b80971203d2c0c52",
     "c498af77161cc59f2962b9a713e2b215152d139766ce34a776df11866a69bf2e52a13d9c7c6fc878c50c5ea0bc7b"
     "00e0da2447cfd874f6cf92f30d0097111485500c90c3af8b487872d04685d14c8d1dc8d7fa08beb0ce0ababc11f0"
     "bd496269142d43525a78e5bc79a17f59676a5706dc54d54d4d1f0bd7e386128ec26afc21"},
    {"7e335afa4b31d772c0635c7b0e06f26fcd781df947d2990a", "d65a4812733f8cdbcdfb4b2f4c191d87",
     "c0bd9e38a8f9de14c2acd35b2f3410c6988cf02400543631e0d6a4c1d030365acbf398115e51aaddebdc95906642"
     "10f9aa9fed770d4c57edeafa0b8c14f93300865251218c262d63dadc47dfa0e0284826793985137e0a544ec80abf"
     "2fdf5ab90bdaea66204012efe34971dc431d625cd9a329b8217cc8fd0d9f02b13f2f6b0b"},
};

/* HMAC-SHA-256 of RFC 4231, its first 16 octets. */
static const struct {
    const char *key, *message, *tag;
} mac1[] = {
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
     "b0344c61d8db38535ca8afceaf0bf12b"},
    {"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
     "5bdcc146bf60754e6a042426089575c7"},
    {"0102030405060708090a0b0c0d0e0f10111213141516171819",
     "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdc"
     "dcdcdcd",
     "82558a389a443c0ea4cc819899f2083a"},
    {"0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c", "546573742057697468205472756e636174696f6e",
     "a3b6167473100ee06e0c796c2955552b"},
};

static size_t from_hex(const char *hex, uint8_t *octets, size_t capacity)
{
    size_t size = 0;

    if (*hex == '\0')
        return 0;
    assert_true(OPENSSL_hexstr2buf_ex(octets, capacity, &size, hex, '\0'));
    return size;
}

static void kdf2_gives_the_published_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(kdf2) / sizeof(kdf2[0]); i++) {
        uint8_t secret[64], p1[64], key[160], out[160];
        size_t secret_size = from_hex(kdf2[i].secret, secret, sizeof(secret));
        size_t p1_size = from_hex(kdf2[i].p1, p1, sizeof(p1));
        size_t size = from_hex(kdf2[i].key, key, sizeof(key));

        /* Of every length: a shorter key is the beginning of a longer one. */
        for (size_t n = 0; n <= size; n++) {
            memset(out, 0x5a, sizeof(out));
            assert_int_equal(
                prov_ecies_kdf2(EVP_sha256(), secret, secret_size, p1, p1_size, out, n), 1);
            assert_memory_equal(out, key, n);
            assert_int_equal(out[n], 0x5a);
        }
        secret[0] ^= 1;
        assert_int_equal(prov_ecies_kdf2(EVP_sha256(), secret, secret_size, p1, p1_size, out, size),
                         1);
        assert_memory_not_equal(out, key, size);
    }
}

static void mac1_gives_the_published_tags(void **state)
{
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);

    (void)state;
    assert_non_null(hmac);
    for (size_t i = 0; i < sizeof(mac1) / sizeof(mac1[0]); i++) {
        uint8_t key[64], message[64], tag[16], out[17];
        size_t key_size = from_hex(mac1[i].key, key, sizeof(key));
        size_t size = from_hex(mac1[i].message, message, sizeof(message));

        assert_int_equal(from_hex(mac1[i].tag, tag, sizeof(tag)), 16);
        out[16] = 0x5a;
        assert_int_equal(prov_ecies_mac1(hmac, key, key_size, message, size, out), 1);
        assert_memory_equal(out, tag, 16);
        assert_int_equal(out[16], 0x5a);
        message[0] ^= 1;
        assert_int_equal(prov_ecies_mac1(hmac, key, key_size, message, size, out), 1);
        assert_memory_not_equal(out, tag, 16);
    }
    EVP_MAC_free(hmac);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kdf2_gives_the_published_keys),
        cmocka_unit_test(mac1_gives_the_published_tags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
