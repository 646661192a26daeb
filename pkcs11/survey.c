/*
 * survey.c: what a module and its tokens tell of themselves, for a program that looks for what is
 * wrong. Nothing is kept between two surveys, and no login is made.
 *
 * The flags of a token change by the minute (the count of wrong PINs), so C_GetTokenInfo is asked
 * here, not the memory of a search.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "pkcs11/internal.h"

struct entry {
    struct p11_token_info info;
    char label[33];
};

struct p11_survey {
    struct entry *entries;
    size_t count, all;
    char module[128];
};

static void trim(char *to, const unsigned char *from, size_t size)
{
    size = strnlen((const char *)from, size);
    while (size > 0 && from[size - 1] == ' ')
        size--;
    memcpy(to, from, size);
    to[size] = '\0';
}

static bool take(struct p11_op *op, const struct p11_slot *slot, struct entry *entry)
{
    struct p11_token_info *info = &entry->info;
    CK_FLAGS flags = slot->token_info.flags;

    trim(entry->label, slot->token_info.label, sizeof(slot->token_info.label));
    info->label = entry->label;
    info->initialized = (flags & CKF_TOKEN_INITIALIZED) != 0;
    info->pin_set = (flags & CKF_USER_PIN_INITIALIZED) != 0;
    info->login_required = (flags & CKF_LOGIN_REQUIRED) != 0;
    info->protected_path = (flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0;
    info->pin_locked = (flags & CKF_USER_PIN_LOCKED) != 0;
    info->pin_final_try = (flags & CKF_USER_PIN_FINAL_TRY) != 0;
    info->pin_count_low = (flags & CKF_USER_PIN_COUNT_LOW) != 0;
    (void)p11_slot_offers(op, slot, CKM_ECDSA, &info->ecdsa);
    (void)p11_slot_offers(op, slot, CKM_ECDH1_DERIVE, &info->ecdh);
    (void)p11_slot_offers(op, slot, CKM_EC_KEY_PAIR_GEN, &info->generate);
    info->uri = p11_uri_format(&slot->token_info, NULL);
    return info->uri != NULL;
}

static enum p11_status look(struct p11_op *op, const struct p11_uri *uri,
                            const struct p11_slot *slots, size_t count, p11_survey *survey)
{
    enum p11_status status = p11_enter(op);
    char maker[33], what[33];
    CK_INFO *about = &op->module->info;

    if (status != P11_OK)
        return status;
    trim(maker, about->manufacturerID, sizeof(about->manufacturerID));
    trim(what, about->libraryDescription, sizeof(about->libraryDescription));
    snprintf(survey->module, sizeof(survey->module), "%s, %s, version %u.%u", maker, what,
             about->libraryVersion.major, about->libraryVersion.minor);
    for (size_t i = 0; status == P11_OK && i < count; i++) {
        struct p11_slot slot = slots[i];

        /* What cannot be asked any more has gone since the listing. */
        if (P11_CALL(op, C_GetTokenInfo, slot.id, &slot.token_info) != CKR_OK)
            continue;
        survey->all++;
        if (uri != NULL && !p11_uri_matches(uri, &op->module->info, &slot))
            continue;
        if (!take(op, &slot, &survey->entries[survey->count++]))
            status = P11_E_MEMORY;
    }
    p11_leave(op);
    return status == P11_E_MEMORY ? p11_fail(op, status, "out of memory") : status;
}

enum p11_status p11_survey_new(p11_ctx *ctx, const char *text, p11_survey **result)
{
    struct p11_uri *parsed = NULL;
    const struct p11_uri *uri = ctx->token;
    struct p11_slot *slots = NULL;
    p11_survey *survey = NULL;
    struct p11_op op;
    size_t count = 0;
    enum p11_status status = P11_OK;

    *result = NULL;
    ERR_clear_error();
    p11_op_init(&op, ctx, text);
    if (text != NULL) {
        status = p11_uri_parse(ctx, text, &parsed);
        if (status != P11_OK)
            goto out;
        op.uri = parsed->shown;
        if (parsed->has_token)
            uri = parsed;
    } else if (uri != NULL) {
        op.uri = uri->shown;
    }
    status = p11_module_get(&op);
    if (status == P11_OK)
        status = p11_slots_list(&op, true, &slots, &count);
    if (status != P11_OK)
        goto out;
    survey = OPENSSL_zalloc(sizeof(*survey));
    if (survey != NULL)
        survey->entries = OPENSSL_zalloc((count + 1) * sizeof(*survey->entries));
    if (survey == NULL || survey->entries == NULL) {
        status = p11_fail(&op, P11_E_MEMORY, "out of memory");
        goto out;
    }
    status = look(&op, uri, slots, count, survey);
    if (status == P11_OK) {
        *result = survey;
        survey = NULL;
    }
out:
    p11_survey_free(survey);
    OPENSSL_free(slots);
    p11_uri_free(parsed);
    return status;
}

const char *p11_survey_module(const p11_survey *survey)
{
    return survey->module;
}

size_t p11_survey_count(const p11_survey *survey, size_t *all)
{
    if (all != NULL)
        *all = survey->all;
    return survey->count;
}

const struct p11_token_info *p11_survey_get(const p11_survey *survey, size_t index)
{
    return &survey->entries[index].info;
}

void p11_survey_free(p11_survey *survey)
{
    if (survey == NULL)
        return;
    for (size_t i = 0; survey->entries != NULL && i < survey->count; i++)
        OPENSSL_free((void *)(uintptr_t)survey->entries[i].info.uri);
    OPENSSL_free(survey->entries);
    OPENSSL_free(survey);
}

enum p11_status p11_pin_check(p11_ctx *ctx, const char *text, bool *there)
{
    struct p11_uri *uri = NULL;
    struct p11_pin *pin = NULL;
    struct p11_op op;
    enum p11_status status;

    *there = false;
    ERR_clear_error();
    status = p11_uri_parse(ctx, text, &uri);
    if (status != P11_OK)
        return status;
    p11_op_init(&op, ctx, uri->shown);
    status = p11_pin_obtain(&op, uri, NULL, NULL, "", &pin);
    *there = pin != NULL;
    p11_pin_free(pin);
    p11_uri_free(uri);
    return status;
}
