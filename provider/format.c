/* format.c: the two forms of an ECDSA signature. */
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>

#include "provider/provider.h"

int prov_der_from_p1363(const uint8_t *raw, size_t size, uint8_t *der, size_t *der_size)
{
    ECDSA_SIG *signature = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, (int)size, NULL);
    BIGNUM *s = BN_bin2bn(raw + size, (int)size, NULL);
    int length = 0;
    int ok = 0;

    if (signature == NULL || r == NULL || s == NULL || !ECDSA_SIG_set0(signature, r, s)) {
        PROV_RAISE(PROV_R_MEMORY, NULL);
        goto out;
    }
    r = NULL;
    s = NULL;
    length = i2d_ECDSA_SIG(signature, NULL);
    if (length <= 0 || (size_t)length > *der_size) {
        PROV_RAISE(PROV_R_BUFFER, "%zu octets for a DER signature of %d", *der_size, length);
        goto out;
    }
    *der_size = (size_t)i2d_ECDSA_SIG(signature, &der);
    ok = 1;
out:
    ECDSA_SIG_free(signature);
    BN_free(r);
    BN_free(s);
    return ok;
}

int prov_p1363_from_der(const uint8_t *der, size_t der_size, uint8_t *raw, size_t size)
{
    const unsigned char *cursor = der;
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &cursor, (long)der_size);
    int ok = 0;

    if (signature == NULL ||
        BN_bn2binpad(ECDSA_SIG_get0_r(signature), raw, (int)size) != (int)size ||
        BN_bn2binpad(ECDSA_SIG_get0_s(signature), raw + size, (int)size) != (int)size) {
        PROV_RAISE(PROV_R_SIGNATURE_FORM, "not a DER Ecdsa-Sig-Value for %zu-octet numbers", size);
        goto out;
    }
    ok = 1;
out:
    ECDSA_SIG_free(signature);
    return ok;
}
