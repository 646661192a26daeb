/*
 * common.c: results of protocol/ as those of the API, structures with a size. It is in both
 * libraries, and says what it has to say through the public functions.
 */
#include "api/common.h"

#include <string.h>

#define DOT2(name) [DOT2_##name] = DOT2HSM_##name
static const dot2hsm_status of_dot2[] = {
    [DOT2_OK] = DOT2HSM_OK,
    DOT2(E_MEMORY),
    DOT2(E_ARGUMENT),
    DOT2(E_DECODE),
    DOT2(E_PROVIDER),
    DOT2(E_CRYPTO),
    DOT2(E_ALGORITHM),
    DOT2(E_POINT),
    DOT2(E_KEY_MISMATCH),
    DOT2(E_SIGNATURE),
    DOT2(E_SIGNER),
    DOT2(E_CERTIFICATE),
    DOT2(E_ISSUER_UNKNOWN),
    DOT2(E_ISSUER_SIGNATURE),
    DOT2(E_NOT_YET_VALID),
    DOT2(E_EXPIRED),
    DOT2(E_VALIDITY_NESTING),
    DOT2(E_PERMISSION),
    DOT2(E_REGION),
    DOT2(E_ASSURANCE),
    DOT2(E_TYPE),
    DOT2(E_DEPTH),
    DOT2(E_TIME),
    DOT2(E_MESSAGE),
    DOT2(E_NOT_RECIPIENT),
    DOT2(E_DECRYPT),
    DOT2(E_REVOKED),
};
#define OF_DOT2 (sizeof(of_dot2) / sizeof(of_dot2[0]))

enum dot2_status api_status_to_dot2(dot2hsm_status status)
{
    for (size_t i = 0; i < OF_DOT2; i++) {
        if (of_dot2[i] == status)
            return (enum dot2_status)i;
    }
    return DOT2_OK;
}

void api_begin(dot2hsm_error *error)
{
    dot2hsm_error_set(error, DOT2HSM_OK, NULL, 0, NULL);
}

dot2hsm_status api_fail(dot2hsm_error *error, dot2hsm_status status, const char *detail)
{
    return dot2hsm_error_set(error, status, NULL, 0, detail);
}

dot2hsm_status api_result(dot2hsm_error *error, enum dot2_status status,
                          const struct dot2_error *cause)
{
    bool explained = cause != NULL && cause->status == status;

    if (status == DOT2_OK)
        return DOT2HSM_OK;
    return dot2hsm_error_set(error, (size_t)status < OF_DOT2 ? of_dot2[status] : DOT2HSM_E_CRYPTO,
                             explained ? cause->field : NULL, explained ? cause->offset : 0,
                             explained ? cause->detail : NULL);
}

bool api_take(void *ours, size_t our_size, const void *theirs, size_t least)
{
    size_t size = 0;

    memset(ours, 0, our_size);
    if (theirs == NULL)
        return false;
    memcpy(&size, theirs, sizeof(size));
    if (size < least || size > 4096)
        return false;
    for (size_t i = our_size; i < size; i++) {
        if (((const unsigned char *)theirs)[i] != 0)
            return false;
    }
    memcpy(ours, theirs, size < our_size ? size : our_size);
    return true;
}

bool api_room(const void *theirs, size_t least)
{
    size_t size = 0;

    if (theirs == NULL)
        return false;
    memcpy(&size, theirs, sizeof(size));
    return size >= least && size <= 4096;
}

void api_give(void *theirs, const void *ours, size_t our_size)
{
    size_t size = 0;

    memcpy(&size, theirs, sizeof(size));
    memset((unsigned char *)theirs + sizeof(size), 0, size - sizeof(size));
    if (size > our_size)
        size = our_size;
    memcpy((unsigned char *)theirs + sizeof(size), (const unsigned char *)ours + sizeof(size),
           size - sizeof(size));
}
