/*
 * point.c: a compressed point of a message as x and y, by what is kept of its curve.
 *
 * A key that is made of a compressed point makes the group of its name again, and the numbers for
 * the square root, which together cost half as much as the ECDH that follows. Here they are kept.
 * What is computed is public, and only a proposal: whether it is on the curve is for the delegate
 * to say, which gets both coordinates.
 */
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>

#include "provider/provider.h"

struct prov_field {
    BIGNUM *p, *a, *b;
    BIGNUM *root; /* (p + 1) / 4: as a power, a square root where p mod 4 is 3 */
    BN_MONT_CTX *mont;
};

void prov_field_free(struct prov_field *field)
{
    if (field == NULL)
        return;
    BN_free(field->p);
    BN_free(field->a);
    BN_free(field->b);
    BN_free(field->root);
    BN_MONT_CTX_free(field->mont);
    OPENSSL_free(field);
}

static struct prov_field *field_new(struct prov_ctx *ctx, const struct prov_curve *curve)
{
    struct prov_field *field = OPENSSL_zalloc(sizeof(*field));
    EC_GROUP *group = EC_GROUP_new_by_curve_name_ex(ctx->libctx, NULL, OBJ_sn2nid(curve->name));
    BN_CTX *bn = BN_CTX_new_ex(ctx->libctx);
    bool ok = false;

    if (field == NULL || group == NULL || bn == NULL)
        goto out;
    field->p = BN_new();
    field->a = BN_new();
    field->b = BN_new();
    field->root = BN_new();
    field->mont = BN_MONT_CTX_new();
    ok = field->p != NULL && field->a != NULL && field->b != NULL && field->root != NULL &&
         field->mont != NULL && EC_GROUP_get_curve(group, field->p, field->a, field->b, bn) == 1 &&
         BN_MONT_CTX_set(field->mont, field->p, bn) == 1 && BN_is_bit_set(field->p, 0) &&
         BN_is_bit_set(field->p, 1) && BN_copy(field->root, field->p) != NULL &&
         BN_add_word(field->root, 1) == 1 && BN_rshift(field->root, field->root, 2) == 1;
out:
    if (!ok) {
        PROV_RAISE(PROV_R_DELEGATE, "the curve %s cannot be made", curve->name);
        prov_field_free(field);
        field = NULL;
    }
    BN_CTX_free(bn);
    EC_GROUP_free(group);
    return field;
}

static const struct prov_field *field_get(struct prov_ctx *ctx, const struct prov_curve *curve)
{
    struct prov_field **slot = &ctx->fields[prov_curve_index(curve)];
    struct prov_field *field = NULL;

    if (!CRYPTO_THREAD_read_lock(ctx->lock))
        return NULL;
    field = *slot;
    CRYPTO_THREAD_unlock(ctx->lock);
    if (field != NULL)
        return field;
    field = field_new(ctx, curve);
    if (field == NULL || !CRYPTO_THREAD_write_lock(ctx->lock)) {
        prov_field_free(field);
        return NULL;
    }
    if (*slot == NULL)
        *slot = field;
    else
        prov_field_free(field); /* another thread was first */
    field = *slot;
    CRYPTO_THREAD_unlock(ctx->lock);
    return field;
}

/* y so that y^2 = x^3 + ax + b, if there is one, and of the oddness that is asked for. */
static bool solve(const struct prov_field *field, const BIGNUM *x, int odd, BIGNUM *y, BN_CTX *bn)
{
    BIGNUM *square = BN_CTX_get(bn);

    return square != NULL && BN_mod_sqr(square, x, field->p, bn) == 1 &&
           BN_mod_add_quick(square, square, field->a, field->p) == 1 &&
           BN_mod_mul(square, square, x, field->p, bn) == 1 &&
           BN_mod_add_quick(square, square, field->b, field->p) == 1 &&
           BN_mod_exp_mont(y, square, field->root, field->p, bn, field->mont) == 1 &&
           (BN_is_odd(y) == odd || BN_sub(y, field->p, y) == 1);
}

int prov_point_decompress(struct prov_ctx *ctx, const struct prov_curve *curve,
                          const uint8_t *compressed, uint8_t *point)
{
    const struct prov_field *field = field_get(ctx, curve);
    BN_CTX *bn = field == NULL ? NULL : BN_CTX_new_ex(ctx->libctx);
    BIGNUM *x = NULL, *y = NULL;
    int ok = 0;

    if (field == NULL)
        return 0;
    if (bn != NULL) {
        BN_CTX_start(bn);
        x = BN_CTX_get(bn);
        y = BN_CTX_get(bn);
    }
    if (y != NULL && BN_bin2bn(compressed + 1, (int)curve->size, x) != NULL &&
        solve(field, x, compressed[0] & 1, y, bn) &&
        BN_bn2binpad(y, point + 1 + curve->size, (int)curve->size) > 0) {
        point[0] = 4;
        for (size_t i = 1; i <= curve->size; i++)
            point[i] = compressed[i];
        ok = 1;
    } else {
        PROV_RAISE(PROV_R_MEMORY, NULL);
    }
    if (bn != NULL)
        BN_CTX_end(bn);
    BN_CTX_free(bn);
    return ok;
}
