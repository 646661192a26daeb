/**
 * @file dot2hsm.h
 * Version, results, errors, times, and the context that everything else is made in.
 *
 * The model. A dot2hsm_ctx is an OpenSSL library context in which the provider dot2hsm is active.
 * Keys, certificates, trust and messages are handles made in it. Handles
 * keep what they need: they may be freed in any order, and the context before them.
 *
 * Threads. There is no global state. A handle may be used by any number of threads at once, unless
 * its functions say otherwise; freeing it is for when the last of them has finished with it. A
 * dot2hsm_error belongs to one thread at a time.
 *
 * Results. Functions return a dot2hsm_status, DOT2HSM_OK being 0, and set what they give back to
 * NULL on failure. The dot2hsm_error of a call may be NULL. Nothing here writes to standard error,
 * ends the process, or changes how it takes signals; no error text holds key material or plaintext.
 * A function that takes a dot2hsm_error empties the OpenSSL error queue of its thread: what was
 * found there is in the error.
 *
 * Structures. One with a first member `size` is set up by its caller with `size` = sizeof of it and
 * zeros, which are the defaults: `struct dot2hsm_options o = {.size = sizeof o};`. A later version
 * may have more members at the end; members that a library does not know must be zero
 * (DOT2HSM_E_ARGUMENT otherwise).
 */
#ifndef DOT2HSM_DOT2HSM_H
#define DOT2HSM_DOT2HSM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What the libraries export. */
#define DOT2HSM_API __attribute__((visibility("default")))

/** @name Version of these headers
 * @{ */
#define DOT2HSM_VERSION_MAJOR 0 /**< another one is another interface */
#define DOT2HSM_VERSION_MINOR 1 /**< more than before, nothing else */
#define DOT2HSM_VERSION_PATCH 0 /**< only mended */
/** @} */

/** "0.1.0": the version of the library that is running. */
DOT2HSM_API const char *dot2hsm_version(void);

/** What a function answers. Values stay what they are; others may come. */
typedef enum dot2hsm_status {
    DOT2HSM_OK = 0,                  /**< it was done */
    DOT2HSM_E_MEMORY = 1,            /**< out of memory */
    DOT2HSM_E_ARGUMENT = 2,          /**< a caller's mistake: NULL, a wrong size, a bad option */
    DOT2HSM_E_DECODE = 3,            /**< not the COER of the type; offset and field say where */
    DOT2HSM_E_PROVIDER = 4,          /**< the provider dot2hsm is not there, or did not serve */
    DOT2HSM_E_CRYPTO = 5,            /**< OpenSSL or the token failed; the error says why */
    DOT2HSM_E_ALGORITHM = 6,         /**< a curve, hash or key kind that the type has not */
    DOT2HSM_E_POINT = 7,             /**< not a point of the curve */
    DOT2HSM_E_KEY_MISMATCH = 8,      /**< the private key is not the certificate's */
    DOT2HSM_E_SIGNATURE = 9,         /**< a signature does not verify */
    DOT2HSM_E_SIGNER = 10,           /**< the signer is not what the message requires */
    DOT2HSM_E_CERTIFICATE = 11,      /**< a certificate is not consistent in itself */
    DOT2HSM_E_ISSUER_UNKNOWN = 12,   /**< no path to an anchor */
    DOT2HSM_E_ISSUER_SIGNATURE = 13, /**< a certificate is not signed by its issuer */
    DOT2HSM_E_NOT_YET_VALID = 14,    /**< before the validity of a certificate */
    DOT2HSM_E_EXPIRED = 15,          /**< after it, or after the expiry of a message */
    DOT2HSM_E_VALIDITY_NESTING = 16, /**< validity not within the issuer's */
    DOT2HSM_E_PERMISSION = 17,       /**< permissions absent, or not the issuer's to give */
    DOT2HSM_E_REGION = 18,           /**< region not within the issuer's */
    DOT2HSM_E_ASSURANCE = 19,        /**< assurance level above the issuer's */
    DOT2HSM_E_TYPE = 20,             /**< implicit or explicit where it must not be */
    DOT2HSM_E_DEPTH = 21,            /**< chain longer than the limit, or a cycle */
    DOT2HSM_E_TIME = 22,             /**< outside Time32, or not a time */
    DOT2HSM_E_MESSAGE = 23,          /**< decodes, but is not the message expected here */
    DOT2HSM_E_NOT_RECIPIENT = 24,    /**< encrypted, but not to this certificate or key */
    DOT2HSM_E_DECRYPT = 25,          /**< altered, or encrypted to another key */
    DOT2HSM_E_REVOKED = 26,          /**< a certificate of the chain is on a CRL */
    DOT2HSM_E_KEY = 27,              /**< the URI names no private key, or more than one */
    DOT2HSM_E_FILE = 28,             /**< a local file cannot be read or written */
    DOT2HSM_NOT_MODIFIED = 29,       /**< no failure: what the end entity has is current */
    DOT2HSM_E_UNREACHABLE = 30,      /**< no name, no connection, time-out, connection lost */
    DOT2HSM_E_TLS = 31,              /**< the RA did not prove itself; nothing was signed */
    DOT2HSM_E_SIGN = 32,             /**< token or provider did not sign; nothing was sent */
    DOT2HSM_E_REFUSED = 33,          /**< an RA's refusal; the error may have its code */
    DOT2HSM_E_RESPONSE = 34,         /**< an answer that is not of this protocol */
    DOT2HSM_E_ABORTED = 35,          /**< a function of the caller's said stop */
    DOT2HSM_E_STORE = 36,            /**< an RA's store cannot be reached, or gave no verdict */
    DOT2HSM_E_NOT_FOUND = 37,        /**< no such entry in the store */
    DOT2HSM_E_EXISTS = 38,           /**< the file is another requester's */
    DOT2HSM_E_SERVER = 39            /**< an RA's server cannot be started */
} dot2hsm_status;

/** "DOT2HSM_E_EXPIRED"; never NULL. */
DOT2HSM_API const char *dot2hsm_status_name(dot2hsm_status status);
/** One sentence; never NULL. */
DOT2HSM_API const char *dot2hsm_status_text(dot2hsm_status status);

/** What went wrong in the last call that it was given to. */
typedef struct dot2hsm_error dot2hsm_error;

/** An empty one; NULL if there is no memory. */
DOT2HSM_API dot2hsm_error *dot2hsm_error_new(void);
/** NULL is nothing to free. */
DOT2HSM_API void dot2hsm_error_free(dot2hsm_error *error);
/** What that call returned. */
DOT2HSM_API dot2hsm_status dot2hsm_error_status(const dot2hsm_error *error);
/**
 * One line for a log: status, field, detail, and what OpenSSL, the provider and the token said.
 * Valid until the next call with this error; "" after success, never NULL.
 */
DOT2HSM_API const char *dot2hsm_error_text(const dot2hsm_error *error);
/** The field of the input, such as "Certificate.toBeSigned.validityPeriod"; "" if none. */
DOT2HSM_API const char *dot2hsm_error_field(const dot2hsm_error *error);
/** Octets from the start of the input; 0 if it has no place there. */
DOT2HSM_API size_t dot2hsm_error_offset(const dot2hsm_error *error);
/** The code of the RA-EE error table that an RA of stage QA gave, such as 5055; 0 if none. */
DOT2HSM_API int dot2hsm_error_scms_code(const dot2hsm_error *error);
/**
 * For code that answers in the manner of this library: fills error (may be NULL) with a status, a
 * field, an offset and a sentence (NULL: that of the status), and with what stands in OpenSSL's
 * queue of this thread, which is emptied. DOT2HSM_OK empties both. Returns status.
 */
DOT2HSM_API dot2hsm_status dot2hsm_error_set(dot2hsm_error *error, dot2hsm_status status,
                                             const char *field, size_t offset, const char *detail);

/** Frees octets and text that a function of this library has made. */
DOT2HSM_API void dot2hsm_free(void *data);
/** The same for plaintext: overwrites size octets first. */
DOT2HSM_API void dot2hsm_clear_free(void *data, size_t size);

/** Where a Time32 is asked for: the time of the call. */
#define DOT2HSM_NOW 0u

/**
 * Now, in TAI seconds since 2004-01-01T00:00:00Z (IEEE 1609.2 clause 6.3.15); by the kernel's TAI
 * offset where it is set, else by the table of leap seconds. 0 if the clock stands outside.
 */
DOT2HSM_API uint32_t dot2hsm_time32_now(void);
/** Unix time, in seconds, of a Time32. */
DOT2HSM_API int64_t dot2hsm_time32_to_unix(uint32_t time32);
/** Time32 of a Unix time in seconds. DOT2HSM_E_TIME: before 2004 or after 2140. */
DOT2HSM_API dot2hsm_status dot2hsm_time32_from_unix(int64_t seconds, uint32_t *time32);

/** The context. */
typedef struct dot2hsm_ctx dot2hsm_ctx;

struct ossl_lib_ctx_st; /* OSSL_LIB_CTX */

/** How a context is made. */
struct dot2hsm_options {
    size_t size; /**< sizeof(struct dot2hsm_options) */
    /**
     * An OSSL_LIB_CTX of the caller's in which the providers default and dot2hsm are active
     * already; it must outlive all that is made in it. NULL: the library makes one, loads the two
     * into it with the members below, and frees it.
     */
    struct ossl_lib_ctx_st *libctx;
    /** The file dot2hsm.so. NULL: by its name, from OpenSSL's directory of modules. */
    const char *provider_path;
    /**
     * Options of the provider as dot2hsm-provider(7) has them: name, value, name, value, ..., NULL;
     * {"pkcs11-module", "/usr/lib/softhsm/libsofthsm2.so", "pin-source", "file:/etc/pin", NULL}.
     * NULL: none, which is enough without a token.
     */
    const char *const *provider_options;
};

/**
 * Makes a context. DOT2HSM_E_PROVIDER: the provider cannot be loaded, or is not active in
 * options->libctx. DOT2HSM_E_ARGUMENT: an option that the provider has not, or provider_options
 * together with libctx. options may be NULL: all defaults.
 */
DOT2HSM_API dot2hsm_status dot2hsm_ctx_new(const struct dot2hsm_options *options, dot2hsm_ctx **ctx,
                                           dot2hsm_error *error);
/** One more reference, for one more dot2hsm_ctx_free(). Returns ctx. */
DOT2HSM_API dot2hsm_ctx *dot2hsm_ctx_up_ref(dot2hsm_ctx *ctx);
/** Gives a reference back; with the last one all ends. NULL is nothing to free. */
DOT2HSM_API void dot2hsm_ctx_free(dot2hsm_ctx *ctx);
/** Its OSSL_LIB_CTX, for the program's own use of OpenSSL; valid while ctx is. */
DOT2HSM_API struct ossl_lib_ctx_st *dot2hsm_ctx_libctx(const dot2hsm_ctx *ctx);

#ifdef __cplusplus
}
#endif
#endif
