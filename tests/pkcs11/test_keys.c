/*
 * Keys made, found, used and deleted in a SoftHSM token.
 */
#include "tests/pkcs11/lab.h"

#include <stdio.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

static const enum p11_curve curves[] = {P11_CURVE_P256, P11_CURVE_P384, P11_CURVE_BRAINPOOL_P256R1,
                                        P11_CURVE_BRAINPOOL_P384R1};

static void test_generate_and_sign(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        p11_ctx *ctx = lab_ctx(NULL);
        p11_key *key = lab_key(ctx, p11_curve_name(curves[i]), curves[i], P11_USAGE_SIGN);

        assert_int_equal(p11_key_curve(key), curves[i]);
        assert_true(p11_key_can_sign(key));
        assert_false(p11_key_can_derive(key));
        for (int k = 0; k < 5; k++)
            if (lab_sign(key) != P11_OK) {
                lab_last_error();
                fail_msg("%s", lab_error);
            }
        p11_ctx_free(ctx);
        assert_int_equal(lab_sign(key), P11_OK); /* the key outlives its context */
        p11_key_free(key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generate_and_sign),
    };
    int failed;

    lab_open();
    failed = cmocka_run_group_tests_name("p11 keys", tests, NULL, NULL);
    lab_close();
    return failed;
}
