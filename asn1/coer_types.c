/* The types by their names. */
#include "asn1/coer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "Signature.h"
#include "asn1/types.h"

extern asn_TYPE_descriptor_t *asn_pdu_collection[];

#define TYPES_MAX 512

static const asn_TYPE_descriptor_t *sorted[TYPES_MAX];
static size_t sorted_count;
static pthread_once_t sort_once = PTHREAD_ONCE_INIT;

static int compare_types(const void *a, const void *b)
{
    return strcmp((*(const asn_TYPE_descriptor_t *const *)a)->name,
                  (*(const asn_TYPE_descriptor_t *const *)b)->name);
}

static void sort_run(void)
{
    while (asn_pdu_collection[sorted_count] != NULL && sorted_count < TYPES_MAX) {
        sorted[sorted_count] = asn_pdu_collection[sorted_count];
        sorted_count++;
    }
    qsort(sorted, sorted_count, sizeof(sorted[0]), compare_types);
}

const asn_TYPE_descriptor_t *const *coer_types(size_t *count)
{
    pthread_once(&sort_once, sort_run);
    *count = sorted_count;
    return sorted;
}

const asn_TYPE_descriptor_t *coer_type(const char *name)
{
    size_t low = 0;
    size_t high;
    const asn_TYPE_descriptor_t *const *types = coer_types(&high);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, types[middle]->name);

        if (order == 0) {
            return types[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

/* Aliases are left out: they are one on the wire. */
static const asn_TYPE_descriptor_t *const top_types[] = {
    &asn_DEF_Ieee1609Dot2Data,
    &asn_DEF_Certificate,
    &asn_DEF_ScmsPDU,
    &asn_DEF_ScmsFile,
    &asn_DEF_SignedCertificateRequest,
    &asn_DEF_ToBeSignedEncryptedCertificateResponse,
    &asn_DEF_PlaintextCertificateResponse,
    &asn_DEF_CrlContents,
    &asn_DEF_CompositeCrl,
    &asn_DEF_ElectorBallot,
    &asn_DEF_ToBeSignedCertificate,
    &asn_DEF_ToBeSignedData,
    &asn_DEF_ToBeSignedPolicyData,
    &asn_DEF_PublicEncryptionKey,
    &asn_DEF_Signature,
    &asn_DEF_ScmsSsp,
    &asn_DEF_CrlSsp,
};

const asn_TYPE_descriptor_t *const *coer_top_types(size_t *count)
{
    *count = sizeof(top_types) / sizeof(top_types[0]);
    return top_types;
}
