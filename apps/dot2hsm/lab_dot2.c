#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "apps/dot2hsm/lab.h"
#include "apps/dot2hsm/support.h"

/* Who they are, where their files go, who issues them. */
static const struct {
    const char *title, *file, *key_file;
    enum lab_cert issuer;
} table[LAB_CERTS] = {
    [LAB_ROOT] = {"1609.2 root CA", "trust/root.oer", "ca/root.key", LAB_ROOT},
    [LAB_ICA] = {"intermediate CA", "trust/ica.oer", "ca/ica.key", LAB_ROOT},
    [LAB_ECA] = {"enrollment CA", "trust/eca.oer", "ca/eca.key", LAB_ICA},
    [LAB_PCA] = {"pseudonym CA", "trust/pca.oer", "ca/pca.key", LAB_ICA},
    [LAB_MA] = {"misbehavior authority", "trust/ma.oer", "ca/ma.key", LAB_ICA},
    [LAB_PG] = {"policy generator", "trust/pg.oer", "ca/pg.key", LAB_ICA},
    [LAB_RA] = {"registration authority", "trust/ra.oer", "ra/sign.key", LAB_ICA},
    [LAB_RSE] = {"road-side unit, enrollment", "rse/enrollment.oer", "rse/enrollment.key", LAB_ECA},
    [LAB_OBE] = {"on-board unit, enrollment", "obe/enrollment.oer", "obe/enrollment.key", LAB_ECA},
};

const char *lab_cert_file(enum lab_cert which)
{
    return table[which].file;
}

const char *lab_cert_title(enum lab_cert which)
{
    return table[which].title;
}

const char *lab_cert_key_file(enum lab_cert which)
{
    return table[which].key_file;
}

static int make_keys(struct lab *lab)
{
    int result = APP_OK;

    for (int i = 0; result == APP_OK && i < LAB_CERTS; i++) {
        if (i == LAB_RA)
            result = lab_key_make(lab, &lab->ra_token, "ra-sign", P11_USAGE_SIGN, table[i].key_file,
                                  &lab->keys[i]);
        else if (i == LAB_RSE)
            result = lab_key_make(lab, &lab->rse_token, "enrollment", P11_USAGE_SIGN,
                                  table[i].key_file, &lab->keys[i]);
        else
            result = lab_key_make(lab, NULL, NULL, 0, table[i].key_file, &lab->keys[i]);
    }
    if (result == APP_OK)
        result = lab_key_make(lab, &lab->ra_token, "ra-encryption", P11_USAGE_DERIVE,
                              "ra/encryption.key", &lab->ra_encryption);
    return result;
}

static int issue(struct lab *lab, enum lab_cert which, uint8_t s[32])
{
    enum lab_cert issuer = table[which].issuer;
    struct dot2_error error = {0};
    ToBeSignedCertificate_t body;
    const uint8_t *octets;
    size_t size = 0;

    if (!lab_profile(lab, which, &body)) {
        app_error("%s: the certificate cannot be put together: out of memory", table[which].title);
        return APP_REFUSED;
    }
    if (dot2_cert_issue(lab->crypto, lab->arena, &body, lab->keys[which].key,
                        which == LAB_ROOT ? NULL : lab->certs[issuer], lab->keys[issuer].key,
                        which == LAB_OBE, &lab->certs[which], s, &error) != DOT2_OK) {
        command_error(table[which].title, &error);
        return APP_REFUSED;
    }
    octets = dot2_cert_octets(lab->certs[which], &size);
    return lab_write(lab, table[which].file, octets, size, 0644);
}

/* The private key of the implicit certificate takes the place of the request's. */
static int finish_implicit(struct lab *lab, const uint8_t s[32])
{
    struct dot2_error error = {0};
    EVP_PKEY *key = NULL;
    int result;

    if (dot2_ecqv_private_key(lab->crypto, lab->certs[LAB_OBE], lab->certs[LAB_ECA],
                              lab->keys[LAB_OBE].key, s, &key, &error) != DOT2_OK) {
        command_error(table[LAB_OBE].title, &error);
        return APP_REFUSED;
    }
    lab_key_clear(&lab->keys[LAB_OBE]);
    lab->keys[LAB_OBE].key = key;
    result = lab_key_write(lab, table[LAB_OBE].key_file, &lab->keys[LAB_OBE]);
    if (result == APP_OK)
        result = lab_write(lab, "obe/enrollment.s", s, 32, 0600);
    return result;
}

/* What was made must hold: each certificate up to the root, as the RA will look at it. */
static int check(struct lab *lab)
{
    struct dot2_check check = {.time = lab->start + 3600};
    struct dot2_error error = {0};
    dot2_trust *trust = NULL;
    int result = APP_OK;

    bool ok = dot2_trust_new(lab->crypto, NULL, &trust) == DOT2_OK &&
              dot2_trust_add_anchor(trust, lab->certs[LAB_ROOT]) == DOT2_OK;

    for (int i = LAB_ICA; ok && i <= LAB_RA; i++)
        ok = dot2_trust_add(trust, lab->certs[i]) == DOT2_OK;
    if (!ok) {
        app_error("out of memory");
        result = APP_REFUSED;
        goto out;
    }
    for (int i = LAB_ROOT; result == APP_OK && i < LAB_CERTS; i++) {
        check.purpose = i == LAB_RSE || i == LAB_OBE ? DOT2_PURPOSE_ENROLLMENT : DOT2_PURPOSE_ANY;
        if (dot2_chain_verify(trust, lab->certs[i], &check, NULL, &error) != DOT2_OK) {
            command_error(table[i].title, &error);
            result = APP_REFUSED;
        }
    }
out:
    dot2_trust_free(trust);
    return result;
}

int lab_make_dot2(struct lab *lab)
{
    uint8_t s[32] = {0};
    int result = make_keys(lab);

    for (int i = 0; result == APP_OK && i < LAB_CERTS; i++)
        result = issue(lab, (enum lab_cert)i, i == LAB_OBE ? s : NULL);
    if (result == APP_OK)
        result = finish_implicit(lab, s);
    if (result == APP_OK)
        result = check(lab);
    OPENSSL_cleanse(s, sizeof(s));
    return result;
}
