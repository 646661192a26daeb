/*
 * PKCS#11 URIs beside p11-kit's: what one writes the other reads, octet for octet, and both find
 * that a token is meant or not.
 */

#include <openssl/crypto.h>
#include <p11-kit/uri.h>

#include "pkcs11/internal.h"
#include "tests/pkcs11/lab.h"

#define ROUNDS 3000

static uint32_t seed;

static uint32_t number(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

/* One module, slot and token with an object, all of them told by seed. */
struct named {
    uint8_t label[40], id[33];
    struct p11_uri_object object;
    CK_OBJECT_CLASS class_;
    struct p11_slot slot;
    CK_INFO module;
};

/* A padded field: any octets but NUL, often printable ones, sometimes as many as there is room for.
 */
static void fill(CK_UTF8CHAR *field, size_t size)
{
    size_t used = number(4) == 0 ? size : 1 + number((uint32_t)size);

    memset(field, ' ', size);
    for (size_t i = 0; i < used; i++)
        field[i] = (CK_UTF8CHAR)(number(3) == 0 ? 1 + number(255) : 33 + number(94));
    if (field[used - 1] == ' ') /* padding, on both sides */
        field[used - 1] = 'x';
}

static void fill_slot(struct p11_slot *slot, CK_INFO *module)
{
    memset(slot, 0, sizeof(*slot));
    memset(module, 0, sizeof(*module));
    fill(slot->token_info.label, sizeof(slot->token_info.label));
    fill(slot->token_info.manufacturerID, sizeof(slot->token_info.manufacturerID));
    fill(slot->token_info.model, sizeof(slot->token_info.model));
    fill(slot->token_info.serialNumber, sizeof(slot->token_info.serialNumber));
    fill(slot->slot_info.slotDescription, sizeof(slot->slot_info.slotDescription));
    fill(slot->slot_info.manufacturerID, sizeof(slot->slot_info.manufacturerID));
    fill(module->manufacturerID, sizeof(module->manufacturerID));
    fill(module->libraryDescription, sizeof(module->libraryDescription));
    module->libraryVersion.major = (CK_BYTE)number(256);
    module->libraryVersion.minor = (CK_BYTE)number(256);
    slot->id = number(1000);
}

/* All that a URI can say of it, or no more than token and object, as p11-kit writes it. */
static P11KitUri *describe(struct named *n, bool all)
{
    P11KitUri *kit = p11_kit_uri_new();
    CK_ATTRIBUTE attributes[] = {
        {CKA_CLASS, &n->class_, sizeof(n->class_)},
        {CKA_ID, n->id, n->object.id_size},
        {CKA_LABEL, n->label, n->object.label_size},
    };

    assert_non_null(kit);
    *p11_kit_uri_get_token_info(kit) = n->slot.token_info;
    if (all) {
        *p11_kit_uri_get_module_info(kit) = n->module;
        *p11_kit_uri_get_slot_info(kit) = n->slot.slot_info;
        p11_kit_uri_set_slot_id(kit, n->slot.id);
    }
    for (size_t i = 0; i < 3; i++)
        if (attributes[i].ulValueLen != 0)
            assert_int_equal(p11_kit_uri_set_attribute(kit, &attributes[i]), P11_KIT_URI_OK);
    return kit;
}

static struct p11_uri *parsed(const char *text)
{
    p11_ctx ctx = {.refs = 1};
    struct p11_uri *uri = NULL;

    if (p11_uri_parse(&ctx, text, &uri) != P11_OK)
        fail_msg("%s is refused", text);
    return uri;
}

static void object_of(struct named *n)
{
    static const struct {
        const char *type;
        CK_OBJECT_CLASS class_;
    } types[] = {
        {"private", CKO_PRIVATE_KEY}, {"public", CKO_PUBLIC_KEY}, {"cert", CKO_CERTIFICATE}};
    size_t type = number(3);

    n->object = (struct p11_uri_object){.type = types[type].type,
                                        .label = n->label,
                                        .label_size = number(40),
                                        .id = n->id,
                                        .id_size = number(33)};
    n->class_ = types[type].class_;
    for (size_t i = 0; i < n->object.label_size; i++)
        n->label[i] = (uint8_t)number(256);
    for (size_t i = 0; i < n->object.id_size; i++)
        n->id[i] = (uint8_t)number(256);
}

static void each_round(void (*compare)(struct named *named))
{
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        struct named named;

        seed = round;
        fill_slot(&named.slot, &named.module);
        object_of(&named);
        compare(&named);
    }
}

static void written_alike(struct named *n)
{
    P11KitUri *kit = describe(n, false);
    const struct {
        P11KitUriType type;
        const struct p11_uri_object *object;
    } forms[] = {{P11_KIT_URI_FOR_OBJECT_ON_TOKEN, &n->object}, {P11_KIT_URI_FOR_TOKEN, NULL}};

    for (size_t i = 0; i < 2; i++) {
        char *ours = p11_uri_format(&n->slot.token_info, forms[i].object), *theirs = NULL;

        assert_non_null(ours);
        assert_int_equal(p11_kit_uri_format(kit, forms[i].type, &theirs), P11_KIT_URI_OK);
        assert_string_equal(ours, theirs);
        free(theirs);
        OPENSSL_free(ours);
    }
    p11_kit_uri_free(kit);
}

static void test_written_alike(void **state)
{
    (void)state;
    each_round(written_alike);
}

/* A field that is not filled in, and one that is blank. */
static void test_empty_fields(void **state)
{
    CK_TOKEN_INFO token;
    char *text;

    (void)state;
    memset(&token, 0, sizeof(token));
    text = p11_uri_format(&token, NULL);
    assert_string_equal(text, "pkcs11:");
    OPENSSL_free(text);
    memset(token.label, ' ', sizeof(token.label));
    memset(token.serialNumber, '7', sizeof(token.serialNumber));
    text = p11_uri_format(&token, NULL);
    assert_string_equal(text, "pkcs11:serial=7777777777777777;token=");
    OPENSSL_free(text);
}

static void assert_value(const struct p11_uri *uri, enum p11_uri_attribute attribute,
                         const void *octets, size_t size)
{
    const struct p11_uri_value *value = &uri->values[attribute];

    assert_int_equal(value->octets != NULL, size != 0);
    if (size != 0) {
        assert_int_equal(value->size, size);
        assert_memory_equal(value->octets, octets, size);
    }
}

/* One octet of one field another, or another slot or version. */
static void disturb(struct named *n)
{
    struct p11_slot *slot = &n->slot;
    CK_INFO *module = &n->module;
    struct {
        CK_UTF8CHAR *field;
        size_t size;
    } fields[] = {
        {slot->token_info.label, sizeof(slot->token_info.label)},
        {slot->token_info.manufacturerID, sizeof(slot->token_info.manufacturerID)},
        {slot->token_info.model, sizeof(slot->token_info.model)},
        {slot->token_info.serialNumber, sizeof(slot->token_info.serialNumber)},
        {slot->slot_info.slotDescription, sizeof(slot->slot_info.slotDescription)},
        {slot->slot_info.manufacturerID, sizeof(slot->slot_info.manufacturerID)},
        {module->manufacturerID, sizeof(module->manufacturerID)},
        {module->libraryDescription, sizeof(module->libraryDescription)},
    };
    uint32_t which = number(11);

    if (which == 8)
        slot->id++;
    else if (which == 9)
        module->libraryVersion.major++;
    else if (which == 10)
        module->libraryVersion.minor++;
    else
        fields[which].field[number((uint32_t)fields[which].size)] ^= 0x80;
}

static void read_alike(struct named *n)
{
    P11KitUri *kit = describe(n, true);
    struct p11_uri *uri;
    char *text = NULL;

    assert_int_equal(p11_kit_uri_format(kit, P11_KIT_URI_FOR_ANY, &text), P11_KIT_URI_OK);
    uri = parsed(text);
    assert_value(uri, P11_URI_OBJECT, n->object.label, n->object.label_size);
    assert_value(uri, P11_URI_ID, n->object.id, n->object.id_size);
    assert_string_equal(uri->values[P11_URI_TYPE].octets, n->object.type);
    assert_true(uri->has_token);
    assert_true(p11_uri_matches(uri, &n->module, &n->slot));
    disturb(n);
    assert_false(p11_uri_matches(uri, &n->module, &n->slot));
    p11_uri_free(uri);
    p11_kit_uri_free(kit);
    free(text);
}

static void test_read_alike(void **state)
{
    (void)state;
    each_round(read_alike);
}

/* Some modules pad with NULs what others pad with blanks. */
static void test_padding(void **state)
{
    struct p11_uri *uri = parsed("pkcs11:token=a%20b");
    struct p11_slot slot;
    CK_INFO module;

    (void)state;
    memset(&slot, 0, sizeof(slot));
    memset(&module, 0, sizeof(module));
    memcpy(slot.token_info.label, "a b", 3);
    assert_true(p11_uri_matches(uri, &module, &slot));
    memset(slot.token_info.label + 3, ' ', sizeof(slot.token_info.label) - 3);
    assert_true(p11_uri_matches(uri, &module, &slot));
    slot.token_info.label[31] = 'c';
    assert_false(p11_uri_matches(uri, &module, &slot));
    p11_uri_free(uri);
    uri = parsed("pkcs11:token=");
    assert_true(uri->has_token);
    assert_false(p11_uri_matches(uri, &module, &slot));
    memset(slot.token_info.label, ' ', sizeof(slot.token_info.label));
    assert_true(p11_uri_matches(uri, &module, &slot));
    p11_uri_free(uri);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_alike),
        cmocka_unit_test(test_empty_fields),
        cmocka_unit_test(test_read_alike),
        cmocka_unit_test(test_padding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
