/*
 * tls_group.c: the capability TLS-GROUP. libssl takes a group only from the provider whose EC it
 * would fetch: without this, a program that prefers us by ?provider=dot2hsm would be left with no
 * EC group at all. Where we are not preferred, libssl passes these by.
 */
#include <strings.h>

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/ssl.h>

#include "provider/provider.h"

struct tls_group {
    const char *name, *internal; /* in the registry of IANA, and OpenSSL's group name */
    unsigned id;
    unsigned security_bits;
    int max_tls, max_dtls; /* 0 = no limit */
};

/* IANA, TLS Supported Groups; RFC 8446 has none of RFC 7027's Brainpool numbers. */
static const struct tls_group groups[] = {
    {"secp256r1", "prime256v1", 23, 128, 0, 0},
    {"P-256", "prime256v1", 23, 128, 0, 0},
    {"secp384r1", "secp384r1", 24, 192, 0, 0},
    {"P-384", "secp384r1", 24, 192, 0, 0},
    {"secp521r1", "secp521r1", 25, 256, 0, 0},
    {"P-521", "secp521r1", 25, 256, 0, 0},
    {"brainpoolP256r1", "brainpoolP256r1", 26, 128, TLS1_2_VERSION, DTLS1_2_VERSION},
    {"brainpoolP384r1", "brainpoolP384r1", 27, 192, TLS1_2_VERSION, DTLS1_2_VERSION},
};

int prov_get_capabilities(void *vctx, const char *capability, OSSL_CALLBACK *callback, void *arg)
{
    (void)vctx;
    if (strcasecmp(capability, "TLS-GROUP") != 0)
        return 0;
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        struct tls_group group = groups[i];
        int min_tls = TLS1_VERSION, min_dtls = DTLS1_VERSION;
        OSSL_PARAM params[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_CAPABILITY_TLS_GROUP_NAME, (char *)group.name, 0),
            OSSL_PARAM_construct_utf8_string(OSSL_CAPABILITY_TLS_GROUP_NAME_INTERNAL,
                                             (char *)group.internal, 0),
            OSSL_PARAM_construct_utf8_string(OSSL_CAPABILITY_TLS_GROUP_ALG, (char *)"EC", 0),
            OSSL_PARAM_construct_uint(OSSL_CAPABILITY_TLS_GROUP_ID, &group.id),
            OSSL_PARAM_construct_uint(OSSL_CAPABILITY_TLS_GROUP_SECURITY_BITS,
                                      &group.security_bits),
            OSSL_PARAM_construct_int(OSSL_CAPABILITY_TLS_GROUP_MIN_TLS, &min_tls),
            OSSL_PARAM_construct_int(OSSL_CAPABILITY_TLS_GROUP_MAX_TLS, &group.max_tls),
            OSSL_PARAM_construct_int(OSSL_CAPABILITY_TLS_GROUP_MIN_DTLS, &min_dtls),
            OSSL_PARAM_construct_int(OSSL_CAPABILITY_TLS_GROUP_MAX_DTLS, &group.max_dtls),
            OSSL_PARAM_construct_end(),
        };

        if (!callback(params, arg))
            return 0;
    }
    return 1;
}
