/*
 * internal.h: what the files of this folder share.
 *
 * Who holds what. A p11_module is one PKCS#11 module of the process, a p11_token one token in it,
 * whichever slot that is in at the moment; both live until the process ends. An operation is a
 * struct p11_op on the caller's stack: one deadline, one token, one session.
 *
 * Locks, in the order in which they are taken: registry, module, token. They guard fields, for as
 * long as it takes to read or write them: no lock is ever held while a call is inside a module, or
 * while a caller's callback runs. What takes longer (initialising, logging in, rebuilding) is
 * guarded by a `busy` flag and the condition variable beside it, waited for up to the deadline.
 *
 * Generations. module->generation moves on with every C_Initialize and with every fork: handles
 * of an older one must not even be closed, since the module may have given the same number to
 * somebody else. token->generation moves on with every rebuild of the token: handles of an older
 * one are closed when they come back.
 */
#ifndef DOT2HSM_PKCS11_INTERNAL_H
#define DOT2HSM_PKCS11_INTERNAL_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <libp11.h>
#include <p11-kit/pkcs11.h>

#include "pkcs11/p11.h"
#include "pkcs11/uri.h"

#define P11_DEFAULT_SESSIONS 16
#define P11_MOST_SESSIONS 256
#define P11_DEFAULT_DEADLINE_MS 10000
#define P11_POINT_MAX 97
#define P11_PIN_MAX 255

/* ---- ckr.c */
const char *p11_ckr_name(CK_RV rv);
/* What an operator should know of an answer beside its name; NULL if the name says it all. */
const char *p11_ckr_hint(CK_RV rv);
/* Whether a rebuild and a second try may help. */
bool p11_ckr_recoverable(CK_RV rv);
enum p11_status p11_ckr_status(CK_RV rv);

/* ---- curve.c */
struct p11_curve_info {
    enum p11_curve curve;
    int nid;
    const char *name;
    const char *alias;
    size_t size;
    const uint8_t *oid; /* DER, as CKA_EC_PARAMS takes it */
    size_t oid_size;
};
const struct p11_curve_info *p11_curve_info(enum p11_curve curve);
/* The curve of a CKA_EC_PARAMS value: a named curve's OID, or its parameters in full. */
enum p11_curve p11_curve_from_params(const uint8_t *params, size_t size);
/* A CKA_EC_POINT value, raw or in an OCTET STRING, as an uncompressed point on the curve; *valid is
 * false if it is none. CKR_HOST_MEMORY is the only error.
 */
CK_RV p11_point_decode(enum p11_curve curve, const uint8_t *value, size_t size, bool *valid,
                       uint8_t point[P11_POINT_MAX]);
/* Curve and point of the key in an X.509 certificate; P11_CURVE_NONE if it is no key of ours. */
enum p11_curve p11_certificate_point(const uint8_t *der, size_t size, uint8_t point[P11_POINT_MAX]);

/* ---- error.c */
struct p11_op;
/* Raises one entry: the sentence of the status, the formatted detail, and the op's URI. */
enum p11_status p11_fail(const struct p11_op *op, enum p11_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for the answer to the op's last call. */
enum p11_status p11_fail_ckr(const struct p11_op *op, CK_RV rv);

/* ---- pin.c */
struct p11_pin {
    struct p11_pin *next; /* in the token's list of those that it refused */
    CK_RV refused_with;
    bool typed; /* by a person, at a prompt */
    size_t size;
    char octets[P11_PIN_MAX + 1];
};
/* One page of its own: locked, not in core dumps, cleansed when freed. */
struct p11_pin *p11_pin_new(void);
/* With those behind it in the list. */
void p11_pin_free(struct p11_pin *pin);
/* Locks it in memory again, which a child does not inherit. */
void p11_pin_lock(struct p11_pin *pin);
bool p11_pin_equal(const struct p11_pin *a, const struct p11_pin *b);
/*
 * The PIN for a token: the URI's pin-value or pin-source, the default token's, the
 * configuration's, the prompt. *pin is NULL with P11_OK if there is no source at all.
 */
enum p11_status p11_pin_obtain(struct p11_op *op, const struct p11_uri *uri, p11_pin_fn *prompt,
                               void *prompt_arg, const char *token_label, struct p11_pin **pin);
bool p11_pin_source_valid(const char *source);

/* ---- context.c */
struct p11_ctx {
    atomic_uint refs;
    char *module_path;
    char *module_init_args;
    char *pin_source;
    struct p11_uri *token; /* the default token, or NULL */
    bool allow_pin_value, allow_not_sensitive, trace;
    enum p11_auto key_copy, block_sigpipe, login;
    unsigned max_sessions, deadline_ms;
};
p11_ctx *p11_ctx_up_ref(p11_ctx *ctx);

/* ---- stats.c */
struct p11_counters {
    struct {
        _Atomic uint64_t calls, errors, microseconds;
        _Atomic uint64_t slots[P11_TIME_BOUNDS]; /* each call in the first bound it is within */
    } work[P11_WORKS];
    _Atomic uint64_t recoveries, failed_recoveries;
};
void p11_count_call(struct p11_counters *counters, const char *call, CK_RV rv, long long us);

/* ---- module.c */
enum p11_module_state {
    P11_MODULE_STOPPED,
    P11_MODULE_READY,
    P11_MODULE_FORKED
};

struct p11_token;

struct p11_module {
    struct p11_module *next;
    char *path;
    char *init_args;
    void *handle;
    CK_FUNCTION_LIST *functions;
    PKCS11_CTX *libp11;
    PKCS11_SLOT *slots; /* libp11's first list: never released (see slot.c) */
    CK_INFO info;
    bool softhsm, socket;
    bool here; /* known to do all in this process: writes to no socket whose other end may die */
    unsigned fork_deadline_ms;
    atomic_ulong generation;
    atomic_ulong slow_calls;
    struct p11_counters counters;

    pthread_mutex_t lock;
    pthread_cond_t cond;
    enum p11_module_state state;
    bool known;      /* was ready once: info and softhsm are set, and stay */
    bool owner;      /* C_Initialize answered CKR_OK to us */
    bool inherited;  /* initialised before a fork: never finalised in this process */
    bool busy;       /* being initialised: nobody enters */
    bool forking;    /* a fork waits for those inside */
    bool slots_busy; /* libp11's list is being refreshed */
    unsigned inside; /* operations inside the module */
    struct p11_op *first_inside, *last_inside; /* in the order in which they entered */
    struct p11_token *tokens;

    /* While the HSM is away: when C_Initialize may be called again, and how long after that. */
    struct timespec next_start;
    unsigned backoff_ms;
    CK_RV start_rv; /* what the last C_Initialize answered */

    /* The last full listing: good as long as the module shows the same slots with a token. */
    struct p11_slot *listing;
    size_t listing_count;
    unsigned long listing_generation;
};

enum p11_status p11_module_get(struct p11_op *op);
/* C_Finalize and C_Initialize, unless somebody did so since `generation`; only if it is ours. */
enum p11_status p11_module_reinit(struct p11_op *op, unsigned long generation);
/* The HSM answers again: the next time that it is away begins with a short wait. */
void p11_module_answers(struct p11_module *module);

/* ---- process.c */
extern struct p11_module *p11_modules;
extern pthread_mutex_t p11_registry;
extern atomic_bool p11_exiting;
/* exit() has begun: libcrypto's error queue may be gone at any moment. */
extern atomic_bool p11_ended;
extern _Thread_local unsigned p11_inside_here;
extern _Thread_local struct p11_op *p11_op_here; /* the one that entered a module */
void p11_process_setup(void);
void p11_process_setup_exit(void);
void p11_cond_init(pthread_cond_t *cond);

/* ---- op.c */
struct p11_session {
    CK_SESSION_HANDLE handle;
    unsigned long module_generation, generation;
    bool rw;
};

struct p11_op {
    p11_ctx *ctx;
    struct p11_module *module;
    struct p11_token *token;
    const char *uri; /* for messages; holds no PIN */
    struct timespec deadline;
    const char *call;        /* last Cryptoki function */
    struct timespec started; /* when it was called, or, without a trace, the one before returned */

    /* Inside the module, under its lock: what others can see of an operation that is stuck. */
    struct p11_op *previous, *next;
    struct timespec overdue; /* longer inside than the deadline */
    _Atomic(const char *) calling;
    bool reported;

    struct p11_session session;
    enum p11_status status; /* of this library, when a step fails without a CKR of its own */
    const char *detail;
    bool copy_user;       /* counted in copy_users */
    bool session_missing; /* the token has no session left; wait for one of ours */
    bool recoverable;     /* the slots could not be listed, but trying again may help */
    bool listing_kept;    /* the last listing was one of before */
    size_t slot_total;    /* slots of the last listing, with or without a token */
    bool sigpipe_pending, sigpipe_shielded;
    sigset_t old_mask;
};

void p11_op_init(struct p11_op *op, p11_ctx *ctx, const char *uri);
bool p11_op_expired(const struct p11_op *op);
/* A pause between two tries; it ends at the deadline. */
void p11_op_pause(const struct p11_op *op, unsigned ms);
/* Into and out of the module; P11_E_EXITING, P11_E_DEADLINE, P11_E_MODULE, already raised. */
enum p11_status p11_enter(struct p11_op *op);
void p11_leave(struct p11_op *op);
void p11_shield_begin(struct p11_op *op);
void p11_shield_end(struct p11_op *op);

/* Whether a is later than b. */
bool p11_later(const struct timespec *a, const struct timespec *b);
struct timespec p11_time_after(struct timespec time, unsigned ms);

/* A call that has not returned in time, found by another operation. */
struct p11_stuck {
    const char *call; /* NULL: none */
    unsigned long count;
    unsigned deadline_ms;
};
/* Looks for one that is not reported yet; the module is locked. */
struct p11_stuck p11_stuck_find(struct p11_module *module, const struct timespec *now);
/* Says so; the module is not locked. */
void p11_stuck_log(const struct p11_stuck *stuck);
/* Both; the module is not locked. */
void p11_stuck_check(struct p11_op *op);

void p11_call_begin(struct p11_op *op, const char *name);
CK_RV p11_call_end(struct p11_op *op, CK_RV rv);
/*
 * Calls a Cryptoki function, noting its name for errors and its time for the trace. A list with a
 * hole where a function should answer CKR_FUNCTION_NOT_SUPPORTED is not the standard's, but occurs.
 */
#define P11_CALL(op, function, ...)                                                                \
    (p11_call_begin((op), #function),                                                              \
     p11_call_end((op), (op)->module->functions->function != NULL                                  \
                            ? (op)->module->functions->function(__VA_ARGS__)                       \
                            : CKR_FUNCTION_NOT_SUPPORTED))

/* ---- slot.c */
struct p11_slot {
    CK_SLOT_ID id;
    CK_SLOT_INFO slot_info;
    CK_TOKEN_INFO token_info; /* names and flags; not all fields are filled */
};
/*
 * Every slot with a token. Unless it has to be fresh, one call serves, if the module shows the
 * same slots with a token as it did at the last listing.
 */
enum p11_status p11_slots_list(struct p11_op *op, bool fresh, struct p11_slot **slots,
                               size_t *count);

/* ---- token.c */
struct p11_token {
    struct p11_token *next;
    struct p11_module *module;
    CK_TOKEN_INFO info;
    char label[33];

    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool busy;       /* a login or a rebuild is under way */
    bool rebuilding; /* a rebuild: operations wait for its end before they begin */
    CK_SLOT_ID slot;
    unsigned long module_generation; /* of slot and sessions; 0 = none yet */
    unsigned long generation;
    bool has_ecdsa, has_ecdh, has_generate;
    struct p11_session idle[P11_MOST_SESSIONS];
    unsigned idle_count, open_count, limit;
    bool copy_reserved; /* one of `limit` is kept for the copies of keys */
    bool single;        /* the token gives one session, which works and holds the login */
    bool login_open, logged_in, copy_open, copy_busy;
    unsigned long copies; /* begun so far: a search that saw one half made is done again */
    bool login_lost;      /* the PIN that was right is refused now; what needs the login fails */
    bool key_login_busy;  /* a login for one signature is under way */
    CK_SESSION_HANDLE login_session; /* holds the login, used for nothing else */
    unsigned copy_users[2];          /* operations on copies, by the generation's lowest bit */
    CK_SESSION_HANDLE copy_session;  /* holds the copies of keys, used for nothing else */
    struct p11_pin *pin, *refused;   /* the one that is right, and those that were not */
};

/* The tokens that match a URI (and the default token, if the URI names none). */
enum p11_status p11_tokens_match(struct p11_op *op, const struct p11_uri *uri,
                                 struct p11_token ***tokens, size_t *count);
/* The one token that matches, into op->token. */
enum p11_status p11_token_match_one(struct p11_op *op, const struct p11_uri *uri);
/*
 * Inside the module: CKR_OK if the token is in this slot, CKR_TOKEN_NOT_PRESENT if it is another,
 * or the module's answer. Asked before a PIN goes to a slot that was the token's a while ago: what
 * is in it now may be another token, which would count the PIN as wrong. *flags (may be NULL):
 * those of CK_TOKEN_INFO.
 */
CK_RV p11_slot_holds(struct p11_op *op, CK_SLOT_ID slot, const struct p11_token *token,
                     CK_FLAGS *flags);
/* Finds the slot in which a known token is now. */
enum p11_status p11_token_locate(struct p11_op *op, CK_SLOT_ID *slot);
bool p11_token_logged_in(struct p11_token *token);
/*
 * Inside the module: is the mechanism among those of the slot's token? CKR_OK, or the answer of a
 * module that cannot say so now.
 */
CK_RV p11_slot_offers(struct p11_op *op, const struct p11_slot *slot, CK_MECHANISM_TYPE type,
                      bool *offers);

/* ---- login.c */
/*
 * Logs in if that is wanted and not done. private_wanted: private objects are asked for.
 * *without is set when there is no PIN to be had and the token wants one.
 */
enum p11_status p11_token_login(struct p11_op *op, const struct p11_uri *uri, bool private_wanted,
                                p11_pin_fn *prompt, void *prompt_arg, bool *without);
/* C_OpenSession, and C_Login with the PIN that was accepted before, if one was. Inside. */
CK_RV p11_login_again(struct p11_op *op, CK_SLOT_ID slot, CK_SESSION_HANDLE *session);
/* Whether the sessions and the login of a token of the module are as they should be. Inside it. */
bool p11_login_alive(struct p11_op *op, struct p11_token *token);
/* The login that a key with CKA_ALWAYS_AUTHENTICATE wants between C_SignInit and C_Sign. */
CK_RV p11_login_for_key(struct p11_op *op);
/* C_OpenSession for op->session where the token gives one only: with the login. Inside. */
CK_RV p11_login_single(struct p11_op *op);

/* ---- session.c */
enum {
    P11_SESSION_RO = 0,
    P11_SESSION_RW = 1
};
typedef CK_RV p11_work_fn(struct p11_op *op, void *arg);
/* Runs work with a session of op->token; one rebuild and one retry. The error is raised. */
enum p11_status p11_run(struct p11_op *op, int mode, p11_work_fn *work, void *arg);
/* The same without rebuild and retry, for tidying up. */
enum p11_status p11_run_once(struct p11_op *op, p11_work_fn *work, void *arg);

/* Closes the idle sessions of op->token, for the token has no other left. Inside. */
void p11_sessions_shed(struct p11_op *op);

/* ---- recover.c */
enum p11_status p11_recover(struct p11_op *op, CK_RV rv, unsigned long generation);
/* Rebuilds a token whose module was initialised anew since, or after a fork. */
enum p11_status p11_refresh(struct p11_op *op);

/* ---- attribute.c: inside the module, on op->session */
struct p11_buffer {
    uint8_t *octets;
    size_t size;
};
/* Token objects with these attributes (five at most). */
CK_RV p11_search(struct p11_op *op, const CK_ATTRIBUTE *want, size_t count,
                 CK_OBJECT_HANDLE **handles, size_t *found);
/* Destroys the key pairs of a URI, without an allocation: it runs when there is no memory. */
CK_RV p11_remove_pair(struct p11_op *op, const struct p11_uri *uri);
CK_RV p11_attribute(struct p11_op *op, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                    struct p11_buffer *value);
/* Reads CK_BBOOL attributes; values[i] is -1 where the token gives none. */
CK_RV p11_flags(struct p11_op *op, CK_OBJECT_HANDLE object, const CK_ATTRIBUTE_TYPE *types,
                size_t count, int *values);
/* Curve and public point of a private key; P11_CURVE_NONE or *has_point false if there is none. */
CK_RV p11_private_point(struct p11_op *op, CK_OBJECT_HANDLE object, const uint8_t *id,
                        size_t id_size, enum p11_curve *curve, bool *has_point,
                        uint8_t point[P11_POINT_MAX]);
CK_RV p11_public_point(struct p11_op *op, CK_OBJECT_HANDLE object, enum p11_curve *curve,
                       bool *has_point, uint8_t point[P11_POINT_MAX]);

/* ---- find.c */
struct p11_entry {
    struct p11_object object;
    struct p11_token *token;
    CK_OBJECT_HANDLE handle;
    unsigned long generation;
    uint8_t point[P11_POINT_MAX];
    bool label_known;
};
struct p11_objects {
    p11_ctx *ctx;
    unsigned classes;
    struct p11_entry *entries;
    size_t count, room;
};
/*
 * object.c: reads an object in one call, or in few if it is unusual. *taken is false, and what was
 * read so far is the caller's to free, if it is none of the classes, or with an error.
 */
CK_RV p11_entry_read(struct p11_op *op, CK_OBJECT_HANDLE handle, unsigned classes,
                     struct p11_entry *entry, bool *taken);
/* Adds what matches in op->token to a list. */
enum p11_status p11_find_in_token(struct p11_op *op, const struct p11_uri *uri, unsigned classes,
                                  p11_objects *objects);
/* Orders a complete list, and sets what points into its entries. */
void p11_objects_finish(p11_objects *objects);
/* Up to three attributes of a template from a URI; the class is the caller's. */
size_t p11_uri_template(const struct p11_uri *uri, CK_OBJECT_CLASS *class_, CK_ATTRIBUTE *want);

/* ---- store.c */
/* Parses, finds the one token and logs in: what generation, deletion and storing begin with. */
enum p11_status p11_begin(struct p11_op *op, p11_ctx *ctx, const char *text, p11_pin_fn *prompt,
                          void *prompt_arg, struct p11_uri **uri);

/* ---- generate.c: what a key made in the token and one put into it have in common */
/* CKA_ID of a key that was given none: the first octets of SHA-256 of the point. */
#define P11_MADE_ID_SIZE 20
void p11_made_id(const uint8_t *point, size_t size, uint8_t id[P11_MADE_ID_SIZE]);
/* A CK_BBOOL attribute. */
CK_ATTRIBUTE p11_flag(CK_ATTRIBUTE_TYPE type, const CK_BBOOL *value);
/* Appends label and id, as far as the URI has them; returns the new count. */
size_t p11_add_names(const struct p11_uri *uri, CK_ATTRIBUTE *template, size_t count);
/* P11_E_EXISTS in op->status if a key has the label or the id. */
CK_RV p11_refuse_existing(struct p11_op *op, const struct p11_uri *uri);
/* Sensitive, not extractable, and of this usage (a set of enum p11_usage) and no other. */
CK_RV p11_check_private(struct p11_op *op, unsigned usage, CK_OBJECT_HANDLE private_key);
/*
 * The key just made, found by its label and id, which the URI must have: a name that somebody else
 * took meanwhile shows.
 */
enum p11_status p11_open_made(struct p11_op *op, const struct p11_uri *named, p11_key **key);
/* Deletes the pair again, as far as the token lets; raises nothing, and needs no memory. */
void p11_take_back(struct p11_op *op, const struct p11_uri *named);

/* ---- key.c */
struct p11_key {
    atomic_uint refs;
    p11_ctx *ctx;
    struct p11_token *token;
    enum p11_curve curve;
    uint8_t point[P11_POINT_MAX];
    uint8_t *id;
    size_t id_size;
    char *label;
    bool label_known;
    char *uri;
    bool can_sign, can_derive, always_authenticate, copy_wanted;
    /* under the token's lock */
    unsigned long generation; /* of the handles; 0 = to be found */
    CK_OBJECT_HANDLE handle;
    bool used, has_copy, copying;
    CK_OBJECT_HANDLE copy;
    unsigned long copy_generation; /* stays when the handles are forgotten */
    struct timespec checked;       /* when the token object was last seen */
};

/* ---- handle.c: inside the module */
/* The handle to use now: found again if need be, looked at if its copy is over a second old. */
CK_RV p11_key_handle(struct p11_op *op, p11_key *key, CK_OBJECT_HANDLE *handle);
void p11_key_forget(p11_key *key, unsigned long generation);
void p11_key_drop_copy(p11_key *key);

#endif
