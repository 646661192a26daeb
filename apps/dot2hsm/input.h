/*
 * input.h: files that hold one structure: as COER octets, or as text in hexadecimal or Base64.
 */
#ifndef DOT2HSM_APPS_DOT2HSM_INPUT_H
#define DOT2HSM_APPS_DOT2HSM_INPUT_H

#include <stddef.h>
#include <stdint.h>

enum input_form {
    INPUT_AUTO = 0,
    INPUT_COER,
    INPUT_HEX,
    INPUT_BASE64
};

/* The most octets that a file of one structure may have: 16 MiB, a large chain file or CRL. */
#define INPUT_MAX ((size_t)16 << 20)

/* "COER", "hexadecimal", "Base64". */
const char *input_form_name(enum input_form form);
/* "auto", "coer", "hex", "base64" of a command line; returns 0, or -1 for another word. */
int input_form_parse(const char *word, enum input_form *form);

/*
 * Reads a file ("-": standard input) and gives its octets, whatever their form. A file of nothing
 * but hexadecimal digits and white space is hexadecimal; of nothing but the Base64 alphabet and
 * white space, Base64; text that is neither is an error with the offset of the first octet that
 * fits nothing; everything else is COER. want other than INPUT_AUTO demands one form.
 * form may be NULL. Returns an enum app_exit and says why on stderr; *octets is OPENSSL_free'd.
 */
int input_read(const char *path, enum input_form want, uint8_t **octets, size_t *size,
               enum input_form *form);

/*
 * The same for octets that were read already; data is OPENSSL_free'd or given back in *octets.
 */
int input_interpret(const char *path, enum input_form want, uint8_t *data, size_t data_size,
                    uint8_t **octets, size_t *size, enum input_form *form);

/* Hexadecimal digits (with "0x" in front or not) to at most max octets; -1 if it is not that. */
int input_hex(const char *text, uint8_t *octets, size_t max, size_t *size);

#endif
