/*
 * dot2hsm inspect: what is in a structure, as a tree with the standard's names. The tree is made in
 * one walk; a payload that holds a structure of its own is walked in its place, with offsets that
 * go on counting from the start of the input.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "apps/app.h"
#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/input.h"
#include "apps/dot2hsm/inspect.h"
#include "apps/dot2hsm/json.h"
#include "apps/dot2hsm/support.h"

#include "asn1/types.h"

static const char usage[] =
    "Usage: dot2hsm inspect [OPTION]... FILE\n"
    "Shows a structure of IEEE 1609.2 or the SCMS as a tree: offset in octets, name, value, and\n"
    "what follows from it. FILE (\"-\": standard input) is COER, or text in hexadecimal or "
    "Base64.\n"
    "\n"
    "      --type TYPE   name of the standard, such as Ieee1609Dot2Data or Certificate; else the\n"
    "                    first type that the octets decode as, the most specific first\n"
    "      --input FORM  auto (default), coer, hex or base64\n"
    "      --json        as JSON\n"
    "      --full        octet strings of any length in full (JSON has them always)\n"
    "      --list-types  names of all types\n"
    "      --help        this text\n"
    "Exit status: 0, or 1 when FILE is not of the type (the error names field and octet).\n";

/* Octets of an octet string that a line of text shows. */
#define SHOWN 48
#define NESTED_MAX 4

struct view {
    const dot2_crypto *crypto;
    const uint8_t *octets; /* of the whole input */
    bool full;
    struct json *json;  /* NULL: text */
    unsigned indent;    /* depth at which the walk hangs in the tree */
    size_t base;        /* offset of the walk's input in the whole input */
    unsigned nested;    /* payloads opened around this walk */
    const char *opened; /* field that the walk's whole value stands under; NULL for the outermost */
    int64_t psid;       /* of the message or permission around; -1 if none */
    const char *parents[COER_DEPTH_MAX + 2]; /* type names by depth */
    struct coer_error error;                 /* of a payload that must decode and does not */
    bool failed;
};

static bool walk(struct view *view, const asn_TYPE_descriptor_t *type, size_t offset, size_t size);

/* ---- text ---- */

static void text_octets(const struct view *view, const uint8_t *octets, size_t size)
{
    size_t shown = view->full || size <= SHOWN ? size : SHOWN;

    for (size_t i = 0; i < shown; i++)
        printf("%02x", octets[i]);
    if (shown < size)
        printf("... (%zu octets)", size);
    if (size == 0)
        printf("(empty)");
}

static void text_value(const struct view *view, const struct coer_node *node)
{
    switch (node->kind) {
    case COER_SEQUENCE:
        printf("%s", node->type_name);
        break;
    case COER_SEQUENCE_OF:
        printf("%s, %zu element%s", node->type_name, node->count, node->count == 1 ? "" : "s");
        break;
    case COER_CHOICE:
        printf("%s", node->identifier);
        break;
    case COER_INTEGER:
        if (node->is_unsigned)
            printf("%" PRIu64, (uint64_t)node->number);
        else
            printf("%" PRId64, node->number);
        break;
    case COER_ENUMERATED:
        printf("%s", node->identifier);
        break;
    case COER_BOOLEAN:
        printf("%s", node->number ? "TRUE" : "FALSE");
        break;
    case COER_NULL:
        printf("NULL");
        break;
    case COER_UTF8_STRING:
        putchar('"');
        for (size_t i = 0; i < node->data_size; i++) {
            uint8_t c = node->data[i];

            if (c < 0x20 || c == 0x7f || c == '"' || c == '\\')
                printf("\\x%02x", c);
            else
                putchar(c);
        }
        putchar('"');
        break;
    default:
        text_octets(view, node->data, node->data_size);
        break;
    }
}

static void text_node(const struct view *view, const struct coer_node *node,
                      const struct inspect_facts *facts)
{
    unsigned depth = view->indent + node->depth;

    if (node->is_default)
        printf("%8s", "-");
    else
        printf("%8zu", view->base + node->offset);
    printf("  %*s", (int)(2 * depth), "");
    if (node->kind == COER_UNKNOWN_EXTENSION)
        printf("unknown extension: ");
    else if (node->is_element)
        printf("[%zu]: ", node->index);
    else if (node->field != NULL)
        printf("%s: ", node->field);
    else if (view->opened != NULL)
        printf("contains ");
    text_value(view, node);
    if (node->is_default)
        printf(" (DEFAULT)");
    for (size_t i = 0; i < facts->count; i++)
        printf("%s%s %s%s", i == 0 ? "  (" : ", ", facts->fact[i].key, facts->fact[i].text,
               i + 1 == facts->count ? ")" : "");
    putchar('\n');
}

/* ---- JSON ---- */

static void json_value(struct json *json, const struct coer_node *node)
{
    switch (node->kind) {
    case COER_CHOICE:
        json_string(json, "alternative", node->identifier);
        break;
    case COER_INTEGER:
        if (node->is_unsigned)
            json_uint(json, "value", (uint64_t)node->number);
        else
            json_int(json, "value", node->number);
        break;
    case COER_ENUMERATED:
        json_string(json, "value", node->identifier);
        break;
    case COER_BOOLEAN:
        json_bool(json, "value", node->number != 0);
        break;
    case COER_NULL:
        json_null(json, "value");
        break;
    case COER_UTF8_STRING:
        json_text(json, "value", node->data, node->data_size);
        break;
    case COER_SEQUENCE:
    case COER_SEQUENCE_OF:
        break;
    default:
        json_hex(json, "value", node->data, node->data_size);
        break;
    }
}

static void json_node(const struct view *view, const struct coer_node *node,
                      const struct inspect_facts *facts)
{
    struct json *json = view->json;

    json_object(json, NULL);
    if (node->is_element)
        json_uint(json, "index", node->index);
    else if (node->field != NULL)
        json_string(json, "name", node->field);
    if (node->kind == COER_UNKNOWN_EXTENSION)
        json_bool(json, "unknownExtension", true);
    else
        json_string(json, "type", node->type_name);
    json_string(json, "kind", coer_kind_name(node->kind));
    if (node->is_default) {
        json_bool(json, "default", true);
    } else {
        json_uint(json, "offset", view->base + node->offset);
        json_uint(json, "size", node->size);
    }
    json_value(json, node);
    for (size_t i = 0; i < facts->count; i++)
        json_string(json, facts->fact[i].key, facts->fact[i].text);
}

/* ---- the walk ---- */

static bool is_container(enum coer_kind kind)
{
    return kind == COER_SEQUENCE || kind == COER_SEQUENCE_OF || kind == COER_CHOICE;
}

/* An octet string that holds a structure is walked under its own node. */
static void open_payload(struct view *view, const struct coer_node *node)
{
    const asn_TYPE_descriptor_t *types[INSPECT_CONTENT_MAX];
    size_t offset = (size_t)(node->data - view->octets);
    const char *parent = node->depth > 0 ? view->parents[node->depth - 1] : "";
    const asn_TYPE_descriptor_t *found = NULL;
    struct coer_error error = {0};
    coer_arena *arena;
    size_t count;
    bool must;

    if (node->kind != COER_OCTET_STRING || node->data_size == 0 || view->nested == NESTED_MAX)
        return;
    count = inspect_content_types(parent, node->field, view->psid, types, &must);
    if (count == 0)
        return;
    arena = coer_arena_new();
    for (size_t i = 0; arena != NULL && found == NULL && i < count; i++) {
        void *value = NULL;

        if (coer_decode(arena, types[i], node->data, node->data_size, &value, &error) == COER_OK)
            found = types[i];
    }
    coer_arena_free(arena);
    if (found != NULL) {
        struct view inner = *view;

        inner.indent = view->indent + node->depth + 1;
        inner.base = offset;
        inner.nested = view->nested + 1;
        inner.opened = node->field;
        inner.psid = -1;
        if (view->json != NULL)
            json_array(view->json, "contains");
        if (!walk(&inner, found, offset, node->data_size)) {
            view->failed = true;
            view->error = inner.error;
        }
        if (view->json != NULL)
            json_end_array(view->json);
    } else if (must) {
        view->error = error;
        view->error.offset += offset;
        view->failed = true;
    }
}

/* The psid that says what a payload or an ssp is: that of the header, or beside the ssp. */
static void note_psid(struct view *view, const struct coer_node *node)
{
    if (strcmp(node->type_name, "ToBeSignedData") == 0) {
        const ToBeSignedData_t *tbs = node->value;

        view->psid = tbs->headerInfo.psid;
    } else if (strcmp(node->type_name, "PsidSsp") == 0) {
        const PsidSsp_t *ssp = node->value;

        view->psid = ssp->psid;
    }
}

static bool enter(void *arg, const struct coer_node *node)
{
    struct view *view = arg;
    struct inspect_facts facts = {0};
    const uint8_t *own = view->octets + view->base + node->offset;

    if (node->kind != COER_UNKNOWN_EXTENSION) {
        inspect_facts_of(view->crypto, node, own, &facts);
        if (facts.no_memory) {
            view->error.status = COER_E_MEMORY;
            view->failed = true;
        }
        if (node->depth < COER_DEPTH_MAX + 2)
            view->parents[node->depth] = node->type_name;
        if (node->kind == COER_SEQUENCE)
            note_psid(view, node);
    }
    if (view->json == NULL) {
        text_node(view, node, &facts);
        open_payload(view, node);
        return !view->failed;
    }
    json_node(view, node, &facts);
    if (is_container(node->kind)) {
        json_array(view->json, "members");
    } else {
        open_payload(view, node);
        json_end_object(view->json);
    }
    return !view->failed;
}

static bool leave(void *arg, const struct coer_node *node)
{
    struct view *view = arg;

    (void)node;
    if (view->json != NULL) {
        json_end_array(view->json);
        json_end_object(view->json);
    }
    return true;
}

static bool walk(struct view *view, const asn_TYPE_descriptor_t *type, size_t offset, size_t size)
{
    static const struct coer_visitor visitor = {enter, leave};
    struct coer_error error;

    if (coer_walk(type, view->octets + offset, size, &visitor, view, &error) != COER_OK) {
        view->error = error;
        view->error.offset += offset;
        view->failed = true;
    }
    return !view->failed;
}

/* ---- the command ---- */

/*
 * A payload that must hold a structure and does not is found before anything is written: one
 * error, and no half of a tree.
 */
static bool check_contents(const struct inspect_input *input, struct coer_error *error)
{
    coer_arena *arena = coer_arena_new();
    const Ieee1609Dot2Data_t *data;
    const OCTET_STRING_t *request;
    void *value = NULL;
    bool good = true;

    if (arena != NULL && coer_decode(arena, &asn_DEF_Ieee1609Dot2Data, input->octets, input->size,
                                     &value, NULL) == COER_OK) {
        data = value;
        if (data->content->present == Ieee1609Dot2Content_PR_signedCertificateRequest) {
            request = &data->content->choice.signedCertificateRequest;
            good = coer_decode(arena, &asn_DEF_SignedCertificateRequest, request->buf,
                               (size_t)request->size, &value, error) == COER_OK;
            error->offset += good ? 0 : (size_t)(request->buf - input->octets);
        }
    }
    coer_arena_free(arena);
    return good;
}

static void print_head(const struct view *view, const struct inspect_input *input)
{
    const char *apdu = inspect_apdu_name(input->octets, input->size);

    if (view->json != NULL) {
        json_object(view->json, NULL);
        json_string(view->json, "type", input->type->name);
        json_bool(view->json, "guessed", input->guessed);
        if (input->others[0] != '\0')
            json_string(view->json, "alsoDecodesAs", input->others);
        if (apdu != NULL)
            json_string(view->json, "message", apdu);
        json_string(view->json, "form", input->form);
        json_uint(view->json, "size", input->size);
        json_array(view->json, "tree");
        return;
    }
    printf("%s%s, %zu octet%s, from %s\n", input->type->name, input->guessed ? " (guessed)" : "",
           input->size, input->size == 1 ? "" : "s", input->form);
    if (input->others[0] != '\0')
        printf("It also decodes as %s; --type decides.\n", input->others);
    if (apdu != NULL)
        printf("It is a %s.\n", apdu);
    putchar('\n');
}

static int show(const struct inspect_input *input, const dot2_crypto *crypto, const char *path,
                bool as_json, bool full)
{
    struct coer_error error = {0};
    char line[COER_PATH_SIZE + 160];
    struct json json;
    struct view view = {0};

    if (!check_contents(input, &error)) {
        app_error("%s: %s", path, coer_error_format(&error, line, sizeof(line)));
        return APP_REFUSED;
    }
    json_init(&json, stdout);
    view.crypto = crypto;
    view.octets = input->octets;
    view.full = full;
    view.json = as_json ? &json : NULL;
    view.psid = -1;
    print_head(&view, input);
    walk(&view, input->type, 0, input->size);
    if (view.failed) {
        app_error("%s: %s", path, coer_error_format(&view.error, line, sizeof(line)));
        return APP_REFUSED;
    }
    if (as_json) {
        json_end_array(&json);
        json_end_object(&json);
        json_finish(&json);
    }
    return APP_OK;
}

static int list_types(void)
{
    const asn_TYPE_descriptor_t *const *types;
    size_t count;

    if (coer_init() != COER_OK) {
        app_error("the tables of the types cannot be made: out of memory");
        return APP_REFUSED;
    }
    types = coer_types(&count);
    for (size_t i = 0; i < count; i++)
        printf("%s\n", types[i]->name);
    return APP_OK;
}

int cmd_inspect(int argc, char **argv)
{
    static const struct option options[] = {{"type", required_argument, NULL, 't'},
                                            {"input", required_argument, NULL, 'i'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"full", no_argument, NULL, 'f'},
                                            {"list-types", no_argument, NULL, 'l'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *type = NULL, *form = NULL;
    bool as_json = false, full = false;
    struct inspect_input input = {0};
    OSSL_LIB_CTX *libctx = NULL;
    dot2_crypto *crypto = NULL;
    int c, result;

    while ((c = getopt_long(argc, argv, "t:jh", options, NULL)) != -1) {
        switch (c) {
        case 't':
            type = optarg;
            break;
        case 'i':
            form = optarg;
            break;
        case 'j':
            as_json = true;
            break;
        case 'f':
            full = true;
            break;
        case 'l':
            return list_types();
        case 'h':
            fputs(usage, stdout);
            return APP_OK;
        default:
            return command_usage();
        }
    }
    if (argc - optind != 1) {
        app_error("one FILE is wanted");
        return command_usage();
    }
    result = command_crypto(NULL, &libctx, &crypto);
    if (result == APP_OK)
        result = inspect_input_read(argv[optind], form, type, &input);
    if (result == APP_OK)
        result = show(&input, crypto, argv[optind], as_json, full);
    inspect_input_clear(&input);
    dot2_crypto_free(crypto);
    OSSL_LIB_CTX_free(libctx);
    return result;
}
