/*
 * p11.h: keys in PKCS#11 tokens.
 *
 * The model. A p11_ctx is one configuration: which module, which token by default, where the PIN
 * comes from, how many sessions. Several contexts in one process may name the same module; the
 * module itself is loaded and initialised once per process and path, at the first operation that
 * needs a token, and finalised only if this library initialised it. An object is named by an RFC
 * 7512 URI. Opening one gives a p11_key, which stands for the key, not for a handle: it outlives
 * sessions, a fork and a restart of the HSM, because it remembers how it was found (class, CKA_ID,
 * label and public key) and finds it again. A p11_key may be used by any number of threads at
 * once; each operation takes a session from the token's pool and gives it back.
 *
 * Results. Every function returns an enum p11_status, P11_OK being 0. On failure there is always
 * an entry in OpenSSL's error queue of the calling thread, raised under p11_error_library(), whose
 * text holds the CKR name, if there is one, and the URI; never a PIN and never key material.
 *
 * Threads. All functions may be called from any thread. Objects are reference counted where a
 * _up_ref exists.
 */
#ifndef DOT2HSM_PKCS11_P11_H
#define DOT2HSM_PKCS11_P11_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct p11_ctx p11_ctx;
typedef struct p11_key p11_key;

enum p11_status {
    P11_OK = 0,
    P11_E_MEMORY,        /* out of memory */
    P11_E_CONFIG,        /* an option is missing or has an impossible value */
    P11_E_URI,           /* not an RFC 7512 URI, or an attribute that is unknown or not allowed */
    P11_E_MODULE,        /* the module cannot be loaded or initialised */
    P11_E_NO_TOKEN,      /* no token matches the URI, or it is not present, or not initialised */
    P11_E_AMBIGUOUS,     /* more than one token, or more than one object, matches */
    P11_E_NO_OBJECT,     /* no object matches the URI */
    P11_E_PIN_SOURCE,    /* the PIN cannot be had: unreadable, wrong mode, not allowed, no prompt */
    P11_E_PIN,           /* the token refused the PIN (never tried twice), or the PIN is locked */
    P11_E_NOT_SENSITIVE, /* require-sensitive: the key is not CKA_SENSITIVE or is extractable */
    P11_E_KEY_CHANGED,   /* after a recovery another public key stands where the key was */
    P11_E_KEY_TYPE,      /* not an EC key, or not on a supported curve, or without a public key */
    P11_E_MECHANISM,     /* the token does not offer the mechanism, or the key not the usage */
    P11_E_EXISTS,        /* an object of this label or CKA_ID is there already */
    P11_E_DEADLINE,      /* no session, or no HSM, within deadline-ms */
    P11_E_EXITING,       /* the process is on its way out; no call goes into the module */
    P11_E_ARGUMENT,      /* a caller's mistake: size, NULL, class */
    P11_E_TOKEN          /* the token answered with another error, named in the queue */
};

/* The name ("P11_E_PIN") and the sentence of a status; never NULL. */
const char *p11_status_name(enum p11_status status);
const char *p11_status_text(enum p11_status status);

/* The library number under which errors are raised; its strings are loaded on first use. */
int p11_error_library(void);

enum p11_auto {
    P11_AUTO = 0,
    P11_YES,
    P11_NO
};

/*
 * The PIN prompt of last resort. Called without any lock held. Writes at most capacity octets
 * (not terminated) into pin and sets *size. Returns false when there is no answer.
 */
typedef bool p11_pin_fn(void *arg, const char *token_label, char *pin, size_t capacity,
                        size_t *size);

/* Strings are copied. A zeroed structure with a module path is a sensible configuration. */
struct p11_config {
    const char *module_path;      /* PKCS#11 module, absolute or in the library path */
    const char *module_init_args; /* CK_C_INITIALIZE_ARGS.pReserved; NULL = none */
    const char *token_uri;        /* default token: pkcs11:token=...; NULL = every token */
    const char *pin_source;       /* file:/path, env:NAME, credential:NAME; NULL = none */
    bool allow_pin_value;         /* accept pin-value in a URI (default no) */
    bool allow_not_sensitive;     /* the opposite of require-sensitive (default no) */
    enum p11_auto key_copy;       /* session copy of a private key: auto = with SoftHSM only */
    enum p11_auto block_sigpipe;  /* block SIGPIPE around calls: auto = unless the module is known
                                     to be on no socket */
    enum p11_auto login;          /* auto = when needed; yes = at once; no = never */
    unsigned max_sessions;        /* bound of the pool of a token; 0 = 16. One session that holds
                                     the login comes on top. The token is the process's: the
                                     context that searched it last sets its bound */
    unsigned deadline_ms;         /* bound of every wait; 0 = 10000 */
    bool trace;                   /* Cryptoki calls with times, never data, to stderr */
};

/*
 * A context over a configuration. Touches no module yet.
 * Errors: P11_E_CONFIG, P11_E_MEMORY.
 */
enum p11_status p11_ctx_new(const struct p11_config *config, p11_ctx **ctx);
void p11_ctx_free(p11_ctx *ctx);

enum p11_class {
    P11_PRIVATE = 1,
    P11_PUBLIC = 2,
    P11_CERTIFICATE = 4,
    P11_ANY = 7
};
enum p11_curve {
    P11_CURVE_NONE = 0,
    P11_CURVE_P256,
    P11_CURVE_P384,
    P11_CURVE_BRAINPOOL_P256R1,
    P11_CURVE_BRAINPOOL_P384R1
};

/* OpenSSL's short name ("prime256v1", "brainpoolP256r1"), and back; NULL / NONE if unknown. */
const char *p11_curve_name(enum p11_curve curve);
enum p11_curve p11_curve_from_name(const char *name);
/* Octets of one coordinate, 32 or 48. */
size_t p11_curve_size(enum p11_curve curve);

/* What a listing says of one object. Owned by the p11_objects it came from. */
struct p11_object {
    enum p11_class class_;
    enum p11_curve curve;       /* of a key */
    const uint8_t *point;       /* uncompressed 04 || x || y, of a key; NULL if not known */
    size_t point_size;          /* 65 or 97 */
    const uint8_t *certificate; /* DER, of a certificate; NULL if the token has it not (CKA_URL) */
    size_t certificate_size;
    const char *label; /* UTF-8; "" if none */
    const uint8_t *id;
    size_t id_size;
    const char *token_label;
    const char *uri;             /* full RFC 7512 URI of this one object; holds no PIN */
    bool sensitive, extractable; /* of a private key; an unreadable attribute counts as bad */
    bool always_sensitive, never_extractable, local;
    bool sign, derive, decrypt, unwrap; /* CKA_SIGN ... */
    bool always_authenticate;
};

typedef struct p11_objects p11_objects;

/*
 * All objects that match a URI, of the classes asked for (a set of enum p11_class; a type= in the
 * URI narrows it further): private keys first, then public keys, then certificates. Logs in when
 * private objects are asked for and a PIN can be had.
 * prompt may be NULL. An empty result is P11_OK with p11_objects_count() == 0.
 * Errors: all but P11_E_KEY_CHANGED and P11_E_EXISTS.
 */
enum p11_status p11_find(p11_ctx *ctx, const char *uri, unsigned classes, p11_pin_fn *prompt,
                         void *prompt_arg, p11_objects **objects);
size_t p11_objects_count(const p11_objects *objects);
/* The classes that were searched for: those asked for, narrowed by the URI's type=. */
unsigned p11_objects_classes(const p11_objects *objects);
const struct p11_object *p11_objects_get(const p11_objects *objects, size_t index);
void p11_objects_free(p11_objects *objects);

/*
 * The private key of an entry of class P11_PRIVATE. Refuses what require-sensitive refuses, with
 * the reason. If the token holds no public object and no CKA_EC_POINT for the key, P11_E_KEY_TYPE.
 * The key keeps what it needs of ctx; ctx may be freed first.
 */
enum p11_status p11_key_open(p11_ctx *ctx, const p11_objects *objects, size_t index, p11_key **key);

/* p11_find() for private keys and p11_key_open() in one; more than one match: P11_E_AMBIGUOUS. */
enum p11_status p11_key_open_uri(p11_ctx *ctx, const char *uri, p11_pin_fn *prompt,
                                 void *prompt_arg, p11_key **key);

p11_key *p11_key_up_ref(p11_key *key);
void p11_key_free(p11_key *key);

enum p11_curve p11_key_curve(const p11_key *key);
/* Uncompressed 04 || x || y; *size is 65 or 97. Valid as long as the key. */
const uint8_t *p11_key_point(const p11_key *key, size_t *size);
const char *p11_key_uri(const p11_key *key);
bool p11_key_can_sign(const p11_key *key);   /* CKA_SIGN and the token lists CKM_ECDSA */
bool p11_key_can_derive(const p11_key *key); /* CKA_DERIVE and CKM_ECDH1_DERIVE */

/*
 * ECDSA over a ready digest (CKM_ECDSA). signature receives r || s, each p11_curve_size() octets,
 * left padded as the token gives it; *size is the capacity on entry and the size after.
 * Two Cryptoki calls on a warm key.
 */
enum p11_status p11_key_sign(p11_key *key, const uint8_t *digest, size_t digest_size,
                             uint8_t *signature, size_t *size);

/*
 * ECDH without a KDF (CKM_ECDH1_DERIVE, CKD_NULL): the x-coordinate of d * peer, p11_curve_size()
 * octets. peer is an uncompressed point, already checked to be on the curve by the caller. Three
 * Cryptoki calls on a warm key (the derived object is destroyed).
 */
enum p11_status p11_key_derive(p11_key *key, const uint8_t *peer, size_t peer_size, uint8_t *shared,
                               size_t *size);

enum p11_usage {
    P11_USAGE_SIGN = 1,
    P11_USAGE_DERIVE = 2
};

struct p11_generate {
    enum p11_curve curve;
    unsigned usage; /* set of enum p11_usage; exactly these and no other usage */
};

/*
 * A key pair made in the token, named by the URI's token, object and id attributes (object or id
 * is required; a missing id is made: the first 20 octets of SHA-256 of the point). CKA_TOKEN,
 * CKA_PRIVATE, CKA_SENSITIVE, not CKA_EXTRACTABLE.
 * Errors: P11_E_EXISTS if a private or public key of this label or id is there. After an error no
 * pair stays behind, unless the token is away by then.
 */
enum p11_status p11_key_generate(p11_ctx *ctx, const char *uri, const struct p11_generate *how,
                                 p11_pin_fn *prompt, void *prompt_arg, p11_key **key);

/*
 * Deletes the pair again, private and public key, for a caller who cannot use it: it needs no
 * memory, so that it can be done when there is none. The key is still freed by p11_key_free().
 */
enum p11_status p11_key_delete(p11_key *key);

/*
 * A key pair that was made outside the token. Whoever asks for this has had the private number in
 * his own memory, and must cleanse it there.
 */
struct p11_import {
    enum p11_curve curve;
    unsigned usage;        /* set of enum p11_usage; exactly these and no other usage */
    const uint8_t *number; /* the private number, big-endian */
    size_t number_size;    /* p11_curve_size() */
    const uint8_t *point;  /* its public point, 04 || x || y */
    size_t point_size;     /* 1 + 2 * p11_curve_size() */
};

/*
 * Puts a key pair into the token by C_CreateObject, named as by p11_key_generate(): CKA_TOKEN,
 * CKA_PRIVATE, CKA_SENSITIVE, not CKA_EXTRACTABLE. That it was made elsewhere stays visible for
 * ever: CKA_LOCAL, CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE are false. The key is used once
 * in the token before it is given out, so that it is known to be the one of the point; a key that
 * fails this is deleted again. No text says anything of the number.
 * Errors: P11_E_ARGUMENT if the number is not one of the curve's or not that of the point;
 * P11_E_EXISTS as p11_key_generate(); P11_E_TOKEN if the token takes no keys from outside.
 */
enum p11_status p11_key_import(p11_ctx *ctx, const char *uri, const struct p11_import *what,
                               p11_pin_fn *prompt, void *prompt_arg, p11_key **key);

/* Deletes every object that matches; *deleted gets their number. The URI must have object or id. */
enum p11_status p11_delete(p11_ctx *ctx, const char *uri, p11_pin_fn *prompt, void *prompt_arg,
                           size_t *deleted);

/*
 * Deletes those that match and have no CKA_ID: keys of p11_key_generate() or p11_key_import() by a
 * process that was killed before it had named them. A token may finish such a call after its client
 * has gone, so that they can appear later, beside a key that was made since.
 */
enum p11_status p11_delete_unfinished(p11_ctx *ctx, const char *uri, p11_pin_fn *prompt,
                                      void *prompt_arg, size_t *deleted);

/* An X.509 certificate (DER) stored beside a key, named by the URI. */
enum p11_status p11_certificate_store(p11_ctx *ctx, const char *uri, const uint8_t *der,
                                      size_t der_size, p11_pin_fn *prompt, void *prompt_arg);

/* What a token tells of itself without a login. Owned by the p11_survey it came from. */
struct p11_token_info {
    const char *label; /* UTF-8; "" if none */
    const char *uri;   /* RFC 7512, of this one token */
    bool initialized, pin_set, login_required;
    bool protected_path; /* the PIN is typed in on the device */
    bool pin_locked, pin_final_try, pin_count_low;
    bool ecdsa, ecdh, generate; /* CKM_ECDSA, CKM_ECDH1_DERIVE, CKM_EC_KEY_PAIR_GEN */
};

typedef struct p11_survey p11_survey;

/*
 * The module and the tokens that match a URI (NULL, or one that names no token: the default token;
 * without one, all), those not initialised too. No login, no session. None that matches is P11_OK
 * with a count of 0.
 * Errors: P11_E_URI, P11_E_MODULE, P11_E_TOKEN, P11_E_DEADLINE, P11_E_EXITING, P11_E_MEMORY.
 */
enum p11_status p11_survey_new(p11_ctx *ctx, const char *uri, p11_survey **survey);
/* What the module says of itself: maker, description and version. */
const char *p11_survey_module(const p11_survey *survey);
/* How many match; *all (may be NULL) gets the number of tokens in the module. */
size_t p11_survey_count(const p11_survey *survey, size_t *all);
const struct p11_token_info *p11_survey_get(const p11_survey *survey, size_t index);
void p11_survey_free(p11_survey *survey);

/*
 * Can the PIN be had that a login for this URI would use? It is read, forgotten, and shown to no
 * token. *there is false with P11_OK if no source is configured at all (a prompt would be used).
 * Errors: P11_E_URI, P11_E_PIN_SOURCE, P11_E_MEMORY.
 */
enum p11_status p11_pin_check(p11_ctx *ctx, const char *uri, bool *there);

/* ---- figures for an operator ----
 */

enum p11_work {
    P11_WORK_SIGN = 0, /* C_Sign */
    P11_WORK_DERIVE,   /* C_DeriveKey */
    P11_WORK_GENERATE, /* C_GenerateKeyPair */
    P11_WORK_SESSION,  /* C_OpenSession, C_Login, C_CloseSession */
    P11_WORK_OTHER,    /* every other Cryptoki function */
    P11_WORKS
};

#define P11_TIME_BOUNDS 9
/* In milliseconds: 1, 3, 10, ... 10000. */
extern const unsigned p11_time_bounds[P11_TIME_BOUNDS];

/* Calls that have returned. */
struct p11_work_stats {
    uint64_t calls;
    uint64_t errors; /* of them, those whose answer was not CKR_OK */
    uint64_t microseconds;
    uint64_t within[P11_TIME_BOUNDS]; /* of them, those that took at most that long */
};

struct p11_stats { /* since the module was loaded, by all contexts of the process that name it */
    struct p11_work_stats work[P11_WORKS];
    uint64_t late;              /* calls that took longer than the deadline, ended or not */
    uint64_t recoveries;        /* tokens whose sessions and login were built anew */
    uint64_t failed_recoveries; /* tries of that that came to nothing */
    unsigned inside;            /* operations that are in the module now */
    unsigned stuck;             /* of them, those that are longer there than the deadline */
    unsigned sessions, idle;    /* open in the pools of all tokens, and of them not in use */
};

/* Calls nothing of the module, and does not load it: all is 0 before its first use. */
void p11_ctx_stats(const p11_ctx *ctx, struct p11_stats *stats);

/* Random octets of the default token (C_GenerateRandom). */
enum p11_status p11_random(p11_ctx *ctx, uint8_t *out, size_t size);

/* Tells this library that the process is ending: no call goes into a module any more. */
void p11_set_exiting(void);

#endif
