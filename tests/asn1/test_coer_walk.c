/* The walk over the nodes of a message: their order, places and values. */
#include "tests/asn1/vectors.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "asn1/types.h"

struct listing {
    char *text;
    size_t size;
    FILE *file;
    unsigned nodes;
    unsigned limit;
    unsigned open;
};

static void listing_begin(struct listing *listing)
{
    *listing = (struct listing){.text = NULL};
    listing->file = open_memstream(&listing->text, &listing->size);
    assert_non_null(listing->file);
}

static void listing_end(struct listing *listing, const char *expected)
{
    assert_int_equal(fclose(listing->file), 0);
    assert_string_equal(listing->text, expected);
    free(listing->text);
}

static bool enter(void *arg, const struct coer_node *node)
{
    struct listing *listing = arg;

    if (listing->limit > 0 && listing->nodes == listing->limit) {
        return false;
    }
    listing->nodes++;
    fprintf(listing->file, "%u %zu+%zu ", node->depth, node->offset, node->size);
    if (node->is_element) {
        fprintf(listing->file, "[%zu]", node->index);
    }
    fprintf(listing->file, "%s %s %s", node->field == NULL ? "-" : node->field, node->type_name,
            coer_kind_name(node->kind));
    switch (node->kind) {
    case COER_INTEGER:
        fprintf(listing->file, node->is_unsigned ? " %" PRIu64 : " %" PRId64, node->number);
        break;
    case COER_SEQUENCE_OF:
        fprintf(listing->file, " %zu", node->count);
        break;
    case COER_ENUMERATED:
    case COER_CHOICE:
        fprintf(listing->file, " %s", node->identifier);
        break;
    case COER_OCTET_STRING:
    case COER_UTF8_STRING:
    case COER_BIT_STRING:
    case COER_UNKNOWN_EXTENSION:
        fprintf(listing->file, " ");
        for (size_t i = 0; i < node->data_size; i++) {
            fprintf(listing->file, "%02X", node->data[i]);
        }
        break;
    default:
        break;
    }
    fprintf(listing->file, "%s\n", node->is_default ? " default" : "");
    return true;
}

static bool leave(void *arg, const struct coer_node *node)
{
    struct listing *listing = arg;

    fprintf(listing->file, "%u end %s\n", node->depth, node->type_name);
    return true;
}

static bool count_enter(void *arg, const struct coer_node *node)
{
    struct listing *listing = arg;

    listing->open += node->kind <= COER_CHOICE;
    return true;
}

static bool count_leave(void *arg, const struct coer_node *node)
{
    struct listing *listing = arg;

    assert_true(listing->open > 0);
    listing->open--;
    assert_int_equal(node->depth, listing->open);
    return true;
}

static void walk_lists_every_node(void **state)
{
    const struct coer_visitor visitor = {.enter = enter, .leave = leave};
    struct listing listing;
    uint8_t in[64];
    size_t size = from_hex("01 83 88 00 1A2B3C4D 03 61627A", in, sizeof(in));

    (void)state;
    listing_begin(&listing);
    assert_int_equal(coer_walk(&asn_DEF_ScmsPDU, in, size, &visitor, &listing, NULL), COER_OK);
    listing_end(&listing,
                "0 0+12 - ScmsPDU SEQUENCE\n"
                "1 0+1 version Uint8 INTEGER 1\n"
                "1 1+11 content ScmsPDUContent CHOICE ee-ra\n"
                "2 2+10 ee-ra EndEntityRaInterfacePDU CHOICE eeRaAuthenticatedDownloadRequest\n"
                "3 3+9 eeRaAuthenticatedDownloadRequest AuthenticatedDownloadRequest SEQUENCE\n"
                "4 4+4 timestamp Time32 INTEGER 439041101\n"
                "4 8+4 filename UTF8String UTF8String 61627A\n"
                "3 end AuthenticatedDownloadRequest\n"
                "2 end EndEntityRaInterfacePDU\n"
                "1 end ScmsPDUContent\n"
                "0 end ScmsPDU\n");
}

static void walk_shows_defaults_and_elements(void **state)
{
    const struct coer_visitor visitor = {.enter = enter, .leave = leave};
    struct listing listing;
    uint8_t in[64];
    size_t size = from_hex("01 02  80 81 01 00  20 81 40", in, sizeof(in));

    (void)state;
    listing_begin(&listing);
    assert_int_equal(
        coer_walk(&asn_DEF_SequenceOfPsidGroupPermissions, in, size, &visitor, &listing, NULL),
        COER_OK);
    listing_end(&listing, "0 0+9 - SequenceOfPsidGroupPermissions SEQUENCE OF 2\n"
                          "1 2+4 [0]- PsidGroupPermissions SEQUENCE\n"
                          "2 3+1 subjectPermissions SubjectPermissions CHOICE all\n"
                          "3 4+0 all NULL NULL\n"
                          "2 end SubjectPermissions\n"
                          "2 4+2 minChainLength INTEGER INTEGER 0\n"
                          "2 6+0 chainLengthRange INTEGER INTEGER 0 default\n"
                          "2 6+0 eeType EndEntityType BIT STRING 80 default\n"
                          "1 end PsidGroupPermissions\n"
                          "1 6+3 [1]- PsidGroupPermissions SEQUENCE\n"
                          "2 7+1 subjectPermissions SubjectPermissions CHOICE all\n"
                          "3 8+0 all NULL NULL\n"
                          "2 end SubjectPermissions\n"
                          "2 8+0 minChainLength INTEGER INTEGER 1 default\n"
                          "2 8+0 chainLengthRange INTEGER INTEGER 0 default\n"
                          "2 8+1 eeType EndEntityType BIT STRING 40\n"
                          "1 end PsidGroupPermissions\n"
                          "0 end SequenceOfPsidGroupPermissions\n");
}

static void walk_shows_additions(void **state)
{
    const struct coer_visitor visitor = {.enter = enter};
    struct listing listing;
    uint8_t in[64];
    size_t size =
        from_hex("C0 01 20 FFFFFFFFFFFFFFFF 02 05 A0 05 01 01 AABBCC 03 DDEEFF", in, sizeof(in));

    (void)state;
    listing_begin(&listing);
    assert_int_equal(coer_walk(&asn_DEF_HeaderInfo, in, size, &visitor, &listing, NULL), COER_OK);
    listing_end(&listing, "0 0+24 - HeaderInfo SEQUENCE\n"
                          "1 1+2 psid Psid INTEGER 32\n"
                          "1 3+8 generationTime Time64 INTEGER 18446744073709551615\n"
                          "1 15+5 inlineP2pcdRequest SequenceOfHashedId3 SEQUENCE OF 1\n"
                          "2 17+3 [0]- HashedId3 OCTET STRING AABBCC\n"
                          "1 21+3 - unknown unknown extension DDEEFF\n");
}

static void walk_names_enumerators(void **state)
{
    const struct coer_visitor visitor = {.enter = enter, .leave = NULL};
    struct listing listing;
    uint8_t in[1] = {1};

    (void)state;
    listing_begin(&listing);
    assert_int_equal(coer_walk(&asn_DEF_CertificateType, in, 1, &visitor, &listing, NULL), COER_OK);
    listing_end(&listing, "0 0+1 - CertificateType ENUMERATED implicit\n");
}

static void walk_ends_when_told(void **state)
{
    const struct coer_visitor visitor = {.enter = enter, .leave = leave};
    struct listing listing;
    uint8_t in[128];
    size_t size = from_hex(published_certificate, in, sizeof(in));

    (void)state;
    listing_begin(&listing);
    listing.limit = 2;
    assert_int_equal(coer_walk(&asn_DEF_Certificate, in, size, &visitor, &listing, NULL), COER_OK);
    listing_end(&listing, "0 0+89 - Certificate SEQUENCE\n"
                          "1 1+1 version Uint8 INTEGER 3\n");
}

static void walk_enters_and_leaves_in_pairs(void **state)
{
    const struct coer_visitor visitor = {.enter = count_enter, .leave = count_leave};
    struct listing listing = {.open = 0};
    uint8_t in[128];
    size_t size = from_hex(published_certificate, in, sizeof(in));

    (void)state;
    assert_int_equal(coer_walk(&asn_DEF_Certificate, in, size, &visitor, &listing, NULL), COER_OK);
    assert_int_equal(listing.open, 0);
}

static void walk_visits_nothing_that_is_wrong(void **state)
{
    const struct coer_visitor visitor = {.enter = enter, .leave = leave};
    struct coer_error error;
    struct listing listing;
    uint8_t in[128];
    size_t size = from_hex(published_certificate, in, sizeof(in));

    (void)state;
    listing_begin(&listing);
    assert_int_equal(coer_walk(&asn_DEF_Certificate, in, size - 1, &visitor, &listing, &error),
                     COER_E_TRUNCATED);
    assert_string_equal(error.path, "Certificate.toBeSigned.verifyKeyIndicator.reconstructionValue."
                                    "compressed-y-1");
    assert_int_equal(error.offset, 57);
    listing_end(&listing, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walk_lists_every_node),
        cmocka_unit_test(walk_shows_defaults_and_elements),
        cmocka_unit_test(walk_shows_additions),
        cmocka_unit_test(walk_names_enumerators),
        cmocka_unit_test(walk_ends_when_told),
        cmocka_unit_test(walk_enters_and_leaves_in_pairs),
        cmocka_unit_test(walk_visits_nothing_that_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
