/* curve.c: the four curves, each with its one digest. */
#include <strings.h>

#include "provider/provider.h"

/* RFC 5758 section 3.2: ecdsa-with-SHA256 and ecdsa-with-SHA384, parameters absent. */
static const uint8_t ecdsa_sha256[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                       0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
static const uint8_t ecdsa_sha384[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                       0x48, 0xce, 0x3d, 0x04, 0x03, 0x03};

static const struct prov_curve curves[] = {
    {"prime256v1", 32, "SHA256", ecdsa_sha256, sizeof(ecdsa_sha256)},
    {"secp384r1", 48, "SHA384", ecdsa_sha384, sizeof(ecdsa_sha384)},
    {"brainpoolP256r1", 32, "SHA256", ecdsa_sha256, sizeof(ecdsa_sha256)},
    {"brainpoolP384r1", 48, "SHA384", ecdsa_sha384, sizeof(ecdsa_sha384)},
};

static const struct {
    const char *alias;
    size_t curve;
} aliases[] = {
    {"prime256v1", 0}, {"P-256", 0},           {"secp256r1", 0},       {"secp384r1", 1},
    {"P-384", 1},      {"brainpoolP256r1", 2}, {"brainpoolP384r1", 3},
};

const struct prov_curve *prov_curve_find(const char *name)
{
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
        if (strcasecmp(name, aliases[i].alias) == 0)
            return &curves[aliases[i].curve];
    }
    return NULL;
}
