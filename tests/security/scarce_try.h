/*
 * scarce_try.h: something is tried with its first allocation failing, its second, and so on until
 * none fails.
 */
#ifndef DOT2HSM_TESTS_SECURITY_SCARCE_TRY_H
#define DOT2HSM_TESTS_SECURITY_SCARCE_TRY_H

#include "protocol/dot2/dot2.h"
#include "tests/security/scarce.h"

#define SCARCE_MOST 20000 /* more allocations than anything that is tried makes */

/* What is tried, with what it is about. */
typedef enum dot2_status scarce_trial(const void *arg, struct dot2_error *error);

/* An error of memory, or the store's or a library's that may have memory for its reason. */
bool scarce_is_reason(enum dot2_status status);
/*
 * Tries it with one failing allocation after the other: it fails for want of memory and of nothing
 * else, and succeeds afterwards. Returns how many allocations there were.
 */
unsigned scarce_each(const char *name, scarce_trial *try, const void *arg);
/* The same, and prints their number. */
void scarce_tell(const char *name, scarce_trial *try, const void *arg);
/* The end of a loop over failing allocations that does more: n is the first that did not fail. */
void scarce_tell_end(const char *name, unsigned n);

#endif
