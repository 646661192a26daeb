/* format.c: the two forms of an ECDSA signature. */
#include <string.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>

#include "provider/provider.h"

/* A DER INTEGER of a number that is not negative: the least octets, and the first is below 80. */
static uint8_t *put_integer(uint8_t *out, const uint8_t *number, size_t size)
{
    while (size > 1 && *number == 0) {
        number++;
        size--;
    }
    *out++ = 0x02;
    *out++ = (uint8_t)(size + (*number >> 7));
    if (*number >> 7)
        *out++ = 0;
    memcpy(out, number, size);
    return out + size;
}

/*
 * By hand, because it is in the way of every signature: libcrypto's numbers and encoder take 10,600
 * instructions, a fiftieth of a signature in SoftHSM.
 */
int prov_der_from_p1363(const uint8_t *raw, size_t size, uint8_t *der, size_t *der_size)
{
    uint8_t whole[2 + 2 * (2 + 1 + PROV_MAX_COORDINATE)]; /* all lengths are below 128 */
    uint8_t *end = put_integer(put_integer(whole + 2, raw, size), raw + size, size);
    size_t length = (size_t)(end - whole);

    if (length > *der_size) {
        PROV_RAISE(PROV_R_BUFFER, "%zu octets for a DER signature of %zu", *der_size, length);
        return 0;
    }
    whole[0] = 0x30;
    whole[1] = (uint8_t)(length - 2);
    memcpy(der, whole, length);
    *der_size = length;
    return 1;
}

size_t prov_der_max_size(const struct prov_curve *curve)
{
    /* SEQUENCE and two INTEGERs of a coordinate and a sign octet, all lengths below 128. */
    return 2 + 2 * (2 + 1 + curve->size);
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
