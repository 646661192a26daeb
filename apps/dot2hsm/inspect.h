/*
 * inspect.h: what `dot2hsm inspect` says of a decoded value beside the value itself.
 */
#ifndef DOT2HSM_APPS_DOT2HSM_INSPECT_H
#define DOT2HSM_APPS_DOT2HSM_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "asn1/coer.h"
#include "protocol/dot2/dot2.h"

#define INSPECT_FACTS_MAX 4

/* One thing that follows from a value: "utc", "2026-11-23T00:00:00Z". In JSON it is a member of the
 * node, so that no key may be one of the node's own (name, type, kind, value and so on). */
struct inspect_fact {
    const char *key;
    char text[160];
};
struct inspect_facts {
    size_t count;
    bool no_memory; /* for all of them */
    struct inspect_fact fact[INSPECT_FACTS_MAX];
};

/* Times, validity ends, names of psids, HashedId8 of certificates. octets: the node's own. */
void inspect_facts_of(const dot2_crypto *crypto, const struct coer_node *node,
                      const uint8_t *octets, struct inspect_facts *facts);

/* The name of a psid, or NULL. */
const char *inspect_psid_name(uint64_t psid);

/*
 * The type of octets of which nobody said what they are: the first of the top-level types that
 * decodes, the most specific first. others gets the names of the others that decode too, separated
 * by ", " ("" if none). NULL if there is none; then *nearest and *error say which type went
 * furthest and where it ended.
 */
const asn_TYPE_descriptor_t *inspect_guess(const uint8_t *octets, size_t size, char *others,
                                           size_t others_size, const char **nearest,
                                           struct coer_error *error);

/*
 * The APDU that an Ieee1609Dot2Data is, by what is in it ("SignedAuthenticatedDownloadRequest"),
 * or NULL.
 */
const char *inspect_apdu_name(const uint8_t *octets, size_t size);

/*
 * What may be in an octet string: the types to try, by where it stands. parent is the type and
 * field the component; psid that of the message or permission around it, or -1. count types are
 * written to types; *must is set if the standard says CONTAINING, so that other octets are wrong.
 */
#define INSPECT_CONTENT_MAX 6
size_t inspect_content_types(const char *parent, const char *field, int64_t psid,
                             const asn_TYPE_descriptor_t *types[INSPECT_CONTENT_MAX], bool *must);

/* Reads the input of a command, decodes it by a type's name or, if that is NULL, guesses. */
struct inspect_input {
    uint8_t *octets;
    size_t size;
    const char *form; /* of the file: "COER", "hexadecimal", "Base64" */
    const asn_TYPE_descriptor_t *type;
    bool guessed;
    char others[200];
};
/* form is "auto", "coer", "hex" or "base64", or NULL. Returns an enum app_exit; says why. */
int inspect_input_read(const char *path, const char *form, const char *type,
                       struct inspect_input *input);
void inspect_input_clear(struct inspect_input *input);

#endif
