/* test_format.c: the provider's DER of a signature is the one that libcrypto writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>

#include "provider/provider.h"

#define MOST (2 + 2 * (2 + 1 + PROV_MAX_COORDINATE))

static size_t by_libcrypto(const uint8_t *raw, size_t size, uint8_t *der)
{
    ECDSA_SIG *signature = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, (int)size, NULL), *s = BN_bin2bn(raw + size, (int)size, NULL);
    int length;

    assert_true(signature != NULL && ECDSA_SIG_set0(signature, r, s));
    length = i2d_ECDSA_SIG(signature, &der);
    ECDSA_SIG_free(signature);
    assert_true(length > 0);
    return (size_t)length;
}

static void assert_same(const uint8_t *raw, size_t size)
{
    uint8_t ours[MOST], theirs[MOST], back[2 * PROV_MAX_COORDINATE];
    size_t due = by_libcrypto(raw, size, theirs), length = sizeof(ours);

    assert_int_equal(prov_der_from_p1363(raw, size, ours, &length), 1);
    assert_int_equal(length, due);
    assert_memory_equal(ours, theirs, due);
    assert_int_equal(prov_p1363_from_der(ours, length, back, size), 1);
    assert_memory_equal(back, raw, 2 * size);

    /* It fits exactly, and not into an octet less, which is not written to. */
    memset(ours, 0xee, sizeof(ours));
    length = due - 1;
    assert_int_equal(prov_der_from_p1363(raw, size, ours, &length), 0);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), PROV_R_BUFFER);
    assert_int_equal(ours[0], 0xee);
    assert_int_equal(ours[due - 1], 0xee);
    ERR_clear_error();
    length = due;
    assert_int_equal(prov_der_from_p1363(raw, size, ours, &length), 1);
}

/* Any number of octets 00 before a first octet with its highest bit, without it, and at its ends.
 */
static void numbers_are_as_short_as_they_can_be(void **state)
{
    static const size_t sizes[] = {32, 48};
    static const uint8_t firsts[] = {0x01, 0x7f, 0x80, 0xff};
    uint8_t raw[2 * PROV_MAX_COORDINATE];

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t size = sizes[i];

        for (size_t zeros = 0; zeros <= size; zeros++) {
            for (size_t k = 0; k < sizeof(firsts); k++) {
                memset(raw, 0xa5, sizeof(raw));
                memset(raw, 0, zeros);
                if (zeros < size)
                    raw[zeros] = firsts[k];
                raw[size] = firsts[sizeof(firsts) - 1 - k];
                assert_same(raw, size);
                memset(raw + size, 0, zeros); /* s, too */
                assert_same(raw, size);
            }
        }
    }
}

static void what_is_no_signature_is_refused(void **state)
{
    static const uint8_t cut[] = {0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01};
    uint8_t large[] = {0x30, 0x26, 0x02, 0x21, [4] = 0x01, [37] = 0x02, [38] = 0x01, [39] = 0x01};
    uint8_t raw[2 * PROV_MAX_COORDINATE];

    (void)state;
    assert_int_equal(prov_p1363_from_der(cut, sizeof(cut), raw, 32), 0);
    assert_int_equal(prov_p1363_from_der(large, sizeof(large), raw, 32), 0); /* 33 octets */
    assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), PROV_R_SIGNATURE_FORM);
    ERR_clear_error();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_as_short_as_they_can_be),
        cmocka_unit_test(what_is_no_signature_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
