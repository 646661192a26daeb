/*
 * keys.c: the RA's own 1609.2 certificates with their keys, several at once: requests that were
 * encrypted to an old one arrive for weeks after there is a new one.
 */
#include "protocol/dot2/fail.h"
#include "protocol/ra/ra.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

struct ra_keys {
    atomic_uint references;
    size_t count;
    struct ra_key *list; /* by the begin of validity, the newest first */
    struct scms_ra_key *decrypt;
};

static int newest_first(const void *a, const void *b)
{
    uint32_t one = dot2_cert_start(((const struct ra_key *)a)->cert);
    uint32_t other = dot2_cert_start(((const struct ra_key *)b)->cert);

    return one < other ? 1 : one > other ? -1 : 0;
}

enum dot2_status ra_keys_new(const dot2_crypto *crypto, const struct ra_key *list, size_t count,
                             ra_keys **keys, size_t *which, struct dot2_error *error)
{
    enum dot2_status status = DOT2_OK;
    ra_keys *made = NULL;

    *keys = NULL;
    *which = 0;
    if (count == 0)
        return dot2_fail(error, DOT2_E_ARGUMENT, "ra-key", "there is none");
    for (size_t i = 0; i < count; i++) {
        *which = i;
        if (list[i].sign != NULL)
            status = dot2_cert_check_key(list[i].cert, list[i].sign, "ra-sign-key", error);
        if (status == DOT2_OK)
            status = dot2_decrypt_check(crypto, list[i].decrypt, list[i].cert, error);
        if (status != DOT2_OK)
            return status;
    }
    made = OPENSSL_zalloc(sizeof *made);
    if (made == NULL)
        return dot2_fail_memory(error);
    atomic_init(&made->references, 1);
    made->list = OPENSSL_memdup(list, count * sizeof *list);
    made->decrypt = OPENSSL_zalloc(count * sizeof *made->decrypt);
    if (made->list == NULL || made->decrypt == NULL) {
        ra_keys_free(made);
        return dot2_fail_memory(error);
    }
    made->count = count;
    qsort(made->list, count, sizeof *made->list, newest_first);
    for (size_t i = 0; i < count; i++) {
        struct ra_key *key = &made->list[i];

        dot2_cert_up_ref(key->cert);
        EVP_PKEY_up_ref(key->decrypt);
        if (key->sign != NULL)
            EVP_PKEY_up_ref(key->sign);
        made->decrypt[i] = (struct scms_ra_key){.cert = key->cert, .key = key->decrypt};
    }
    for (size_t i = 0; i < count && status == DOT2_OK; i++)
        status = dot2_decrypter_new(crypto, made->list[i].decrypt, made->list[i].cert,
                                    &made->decrypt[i].decrypter, error);
    if (status == DOT2_OK)
        *keys = made;
    else
        ra_keys_free(made);
    return status;
}

ra_keys *ra_keys_up_ref(ra_keys *keys)
{
    if (keys != NULL)
        atomic_fetch_add(&keys->references, 1);
    return keys;
}

void ra_keys_free(ra_keys *keys)
{
    if (keys == NULL || atomic_fetch_sub(&keys->references, 1) != 1)
        return;
    for (size_t i = 0; i < keys->count; i++) {
        dot2_cert_free(keys->list[i].cert);
        EVP_PKEY_free(keys->list[i].sign);
        EVP_PKEY_free(keys->list[i].decrypt);
        dot2_decrypter_free(keys->decrypt[i].decrypter);
    }
    OPENSSL_free(keys->list);
    OPENSSL_free(keys->decrypt);
    OPENSSL_free(keys);
}

const struct scms_ra_key *ra_keys_decrypt(const ra_keys *keys, size_t *count)
{
    *count = keys->count;
    return keys->decrypt;
}

const struct ra_key *ra_keys_newest(const ra_keys *keys, uint32_t now)
{
    for (size_t i = 0; i < keys->count; i++) {
        const struct ra_key *key = &keys->list[i];

        if (key->sign != NULL && dot2_cert_start(key->cert) <= now &&
            now <= dot2_cert_end(key->cert))
            return key;
    }
    return NULL;
}
