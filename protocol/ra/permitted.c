/*
 * permitted.c: the request of a device does not name PSIDs; what it is for stands in the enrollment
 * certificate's certRequestPermissions (IEEE 1609.2 6.4.28 to 6.4.32).
 */
#include "protocol/ra/permitted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "asn1/coer.h"
#include "asn1/types.h"

#define APP 0x80 /* eeType, its default */

static bool served(Psid_t psid, const uint64_t *psids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (psids[i] == (uint64_t)psid)
            return true;
    return count == 0;
}

struct items {
    char **list;
    size_t count, size; /* size: octets of all of them with separators */
    bool failed;
};

static void add(struct items *items, char *item)
{
    char **list = item == NULL ? NULL : realloc(items->list, (items->count + 1) * sizeof *list);

    if (list == NULL) {
        free(item);
        items->failed = true;
        return;
    }
    items->list = list;
    list[items->count++] = item;
    items->size += strlen(item) + 1;
}

/* "80", or "80:" and the COER of the range. */
static char *item_of(const PsidSspRange_t *range)
{
    uint8_t *octets = NULL;
    size_t size = 0, used;
    char *item;

    if (range->sspRange != NULL &&
        coer_encode_alloc(&asn_DEF_SspRange, range->sspRange, &octets, &size, NULL) != COER_OK)
        return NULL;
    item = malloc(20 + 2 * size);
    if (item != NULL) {
        used = (size_t)snprintf(item, 20, "%lx%s", (unsigned long)range->psid,
                                octets == NULL ? "" : ":");
        for (size_t i = 0; i < size; i++)
            used += (size_t)snprintf(item + used, 3, "%02X", (unsigned)octets[i]);
    }
    free(octets);
    return item;
}

static void add_group(struct items *items, const PsidGroupPermissions_t *group,
                      const uint64_t *psids, size_t count)
{
    const SubjectPermissions_t *subject = &group->subjectPermissions;

    if (group->eeType != NULL && (group->eeType->size < 1 || (group->eeType->buf[0] & APP) == 0))
        return;
    if (subject->present == SubjectPermissions_PR_all)
        add(items, strdup("all"));
    if (subject->present != SubjectPermissions_PR_explicit)
        return;
    for (int i = 0; i < subject->choice.Explicit.list.count; i++) {
        const PsidSspRange_t *range = subject->choice.Explicit.list.array[i];

        if (served(range->psid, psids, count))
            add(items, item_of(range));
    }
}

static int in_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool join(const dot2_crypto *crypto, const struct items *items, char text[256])
{
    char *whole = malloc(items->size);
    size_t used = 0;
    uint8_t hash[48];
    bool ok = whole != NULL;

    for (size_t i = 0; ok && i < items->count; i++)
        used += (size_t)sprintf(whole + used, "%s%s", i == 0 ? "" : ",", items->list[i]);
    if (ok && used < 256) {
        memcpy(text, whole, used + 1);
    } else if (ok) {
        ok = dot2_hash(crypto, DOT2_CURVE_P256, (const uint8_t *)whole, used, hash) == DOT2_OK;
        snprintf(text, 256, "sha256:");
        for (size_t i = 0; i < 32; i++)
            snprintf(text + 7 + 2 * i, 3, "%02X", (unsigned)hash[i]);
    }
    free(whole);
    return ok;
}

enum dot2_status ra_permitted(const dot2_crypto *crypto, const dot2_cert *cert,
                              const uint64_t *psids, size_t count, char text[256])
{
    const SequenceOfPsidGroupPermissions_t *groups =
        dot2_cert_asn1(cert)->toBeSigned.certRequestPermissions;
    struct items items = {.count = 0};
    enum dot2_status status = DOT2_E_PERMISSION;

    text[0] = '\0';
    for (int i = 0; groups != NULL && i < groups->list.count; i++)
        add_group(&items, groups->list.array[i], psids, count);
    if (items.failed) {
        status = DOT2_E_MEMORY;
    } else if (items.count > 0) {
        qsort(items.list, items.count, sizeof *items.list, in_order);
        status = join(crypto, &items, text) ? DOT2_OK : DOT2_E_MEMORY;
    }
    for (size_t i = 0; i < items.count; i++)
        free(items.list[i]);
    free(items.list);
    return status;
}
