/* curve.c: the four curves, each with its digest. */
#include <strings.h>

#include "provider/provider.h"

static const struct prov_curve curves[] = {
    {"prime256v1", 32, "SHA256"},
    {"secp384r1", 48, "SHA384"},
    {"brainpoolP256r1", 32, "SHA256"},
    {"brainpoolP384r1", 48, "SHA384"},
};

static const struct {
    const char *alias;
    size_t curve;
} aliases[] = {
    {"prime256v1", 0}, {"P-256", 0},           {"secp256r1", 0},       {"secp384r1", 1},
    {"P-384", 1},      {"brainpoolP256r1", 2}, {"brainpoolP384r1", 3},
};

size_t prov_curve_index(const struct prov_curve *curve)
{
    return (size_t)(curve - curves);
}

const struct prov_curve *prov_curve_find(const char *name)
{
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
        if (strcasecmp(name, aliases[i].alias) == 0)
            return &curves[aliases[i].curve];
    }
    return NULL;
}
