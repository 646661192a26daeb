/*
 * scarce_try.c: see scarce_try.h.
 */
#include "tests/security/scarce_try.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/err.h>

bool scarce_is_reason(enum dot2_status status)
{
    return status == DOT2_E_MEMORY || status == DOT2_E_CRYPTO || status == DOT2_E_PROVIDER;
}

unsigned scarce_each(const char *name, scarce_trial *try, const void *arg)
{
    unsigned n, errors = 0;

    for (n = 1; n < SCARCE_MOST; n++) {
        struct dot2_error error = {0};
        enum dot2_status status;
        bool failed;

        scarce_set(n);
        status = try(arg, &error);
        failed = scarce_end();
        if (status != DOT2_OK && (!failed || !scarce_is_reason(status)))
            fail_msg("%s, allocation %u: %s, %s: %s", name, n, dot2_status_name(status),
                     error.field, error.detail);
        errors += status != DOT2_OK;
        ERR_clear_error();
        if (!failed)
            break;
        assert_int_equal(try(arg, &error), DOT2_OK);
    }
    assert_true(n > 1 && n < SCARCE_MOST);
    assert_true(errors > 0);
    return n - 1;
}

void scarce_tell(const char *name, scarce_trial *try, const void *arg)
{
    print_message("%s: %u allocations\n", name, scarce_each(name, try, arg));
}

void scarce_tell_end(const char *name, unsigned n)
{
    assert_true(n > 1 && n < SCARCE_MOST);
    print_message("%s: %u allocations\n", name, n - 1);
}
