#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>

#include "pkcs11/internal.h"

static const struct {
    const char *name;
    const char *text;
} statuses[] = {
    [P11_OK] = {"P11_OK", "no error"},
    [P11_E_MEMORY] = {"P11_E_MEMORY", "out of memory"},
    [P11_E_CONFIG] = {"P11_E_CONFIG", "an option is missing or has an impossible value"},
    [P11_E_URI] = {"P11_E_URI", "not a PKCS#11 URI, or an attribute that is not known or allowed"},
    [P11_E_MODULE] = {"P11_E_MODULE", "the PKCS#11 module cannot be loaded or initialised"},
    [P11_E_NO_TOKEN] = {"P11_E_NO_TOKEN", "no initialised token matches the URI"},
    [P11_E_AMBIGUOUS] = {"P11_E_AMBIGUOUS", "more than one token or object matches the URI"},
    [P11_E_NO_OBJECT] = {"P11_E_NO_OBJECT", "no object matches the URI"},
    [P11_E_PIN_SOURCE] = {"P11_E_PIN_SOURCE", "the PIN cannot be had"},
    [P11_E_PIN] = {"P11_E_PIN", "the token refused the PIN"},
    [P11_E_NOT_SENSITIVE] = {"P11_E_NOT_SENSITIVE",
                             "require-sensitive: the private key could leave the token"},
    [P11_E_KEY_CHANGED] = {"P11_E_KEY_CHANGED", "another public key stands where the key was"},
    [P11_E_KEY_TYPE] = {"P11_E_KEY_TYPE",
                        "not an EC key on a supported curve, or one without a public key"},
    [P11_E_MECHANISM] = {"P11_E_MECHANISM",
                         "the token does not offer the mechanism, or the key not the usage"},
    [P11_E_EXISTS] = {"P11_E_EXISTS", "an object of this label or id is there already"},
    [P11_E_DEADLINE] = {"P11_E_DEADLINE", "the deadline has passed"},
    [P11_E_EXITING] = {"P11_E_EXITING", "the process is ending"},
    [P11_E_ARGUMENT] = {"P11_E_ARGUMENT", "impossible argument"},
    [P11_E_TOKEN] = {"P11_E_TOKEN", "the token answered with an error"},
};
#define STATUSES (sizeof(statuses) / sizeof(statuses[0]))

static ERR_STRING_DATA reasons[STATUSES];
static int library;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void)
{
    static ERR_STRING_DATA name[2];

    library = ERR_get_next_error_library();
    /* ERR_load_strings ends at a zero code, and so P11_OK is left out. */
    for (int i = 1; i < (int)STATUSES; i++)
        reasons[i - 1] = (ERR_STRING_DATA){ERR_PACK(0, 0, i), statuses[i].text};
    name[0] = (ERR_STRING_DATA){ERR_PACK(library, 0, 0), "dot2hsm pkcs11"};
    ERR_load_strings(library, name);
    ERR_load_strings(library, reasons);
}

int p11_error_library(void)
{
    pthread_once(&once, load);
    return library;
}

const char *p11_status_name(enum p11_status status)
{
    return (size_t)status < STATUSES ? statuses[status].name : "P11_E_(unknown)";
}

const char *p11_status_text(enum p11_status status)
{
    return (size_t)status < STATUSES ? statuses[status].text : "unknown status";
}

enum p11_status p11_fail(const struct p11_op *op, enum p11_status status, const char *format, ...)
{
    char detail[512];
    const char *uri = op != NULL && op->uri != NULL ? op->uri : NULL;
    va_list args;

    /* A thread that is still at work while the process ends gets the status alone. */
    if (atomic_load(&p11_ended))
        return status;
    va_start(args, format);
    vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    ERR_new();
    ERR_set_debug(__FILE__, __LINE__, p11_status_name(status));
    if (uri != NULL)
        ERR_set_error(p11_error_library(), (int)status, "%s (%s)", detail, uri);
    else
        ERR_set_error(p11_error_library(), (int)status, "%s", detail);
    return status;
}

enum p11_status p11_fail_ckr(const struct p11_op *op, CK_RV rv)
{
    const char *hint = p11_ckr_hint(rv);

    return p11_fail(op, p11_ckr_status(rv), "%s: %s (0x%lx)%s%s", op->call != NULL ? op->call : "-",
                    p11_ckr_name(rv), rv, hint != NULL ? ": " : "", hint != NULL ? hint : "");
}
