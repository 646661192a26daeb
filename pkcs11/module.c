/*
 * module.c: loading a module once per process and path, initialising it, and never finalising
 * what is not ours.
 */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>

#include "pkcs11/internal.h"

/* Between two C_Initialize while the HSM is away. */
#define FIRST_BACKOFF_MS 20
#define LAST_BACKOFF_MS 640

static struct p11_module *module_new(const p11_ctx *ctx)
{
    struct p11_module *module = OPENSSL_zalloc(sizeof(*module));

    if (module == NULL)
        return NULL;
    module->path = OPENSSL_strdup(ctx->module_path);
    if (ctx->module_init_args != NULL)
        module->init_args = OPENSSL_strdup(ctx->module_init_args);
    if (module->path == NULL || (ctx->module_init_args != NULL && module->init_args == NULL)) {
        OPENSSL_free(module->path);
        OPENSSL_free(module->init_args);
        OPENSSL_free(module);
        return NULL;
    }
    module->socket = strstr(module->path, "p11-kit-client") != NULL;
    atomic_init(&module->generation, 1);
    pthread_mutex_init(&module->lock, NULL);
    p11_cond_init(&module->cond);
    return module;
}

/* The module of the configured path in the registry, made if it is not there. */
enum p11_status p11_module_get(struct p11_op *op)
{
    const p11_ctx *ctx = op->ctx;
    struct p11_module *module;

    p11_process_setup();
    pthread_mutex_lock(&p11_registry);
    for (module = p11_modules; module != NULL; module = module->next)
        if (strcmp(module->path, ctx->module_path) == 0)
            break;
    if (module == NULL) {
        module = module_new(ctx);
        if (module != NULL) {
            module->next = p11_modules;
            p11_modules = module;
        }
    }
    if (module != NULL) /* of the context that searched last, as the bound of a token's sessions */
        module->fork_deadline_ms = ctx->deadline_ms;
    pthread_mutex_unlock(&p11_registry);
    if (module == NULL)
        return p11_fail(op, P11_E_MEMORY, "out of memory");
    op->module = module;
    return P11_OK;
}

static enum p11_status load(struct p11_op *op)
{
    struct p11_module *module = op->module;
    CK_C_GetFunctionList get_list;
    void *handle;
    CK_RV rv;

    if (module->functions != NULL)
        return P11_OK;
    /* Bound as its maker wants it: with RTLD_NOW so would be all of libstdc++ beneath SoftHSM. */
    handle = dlopen(module->path, RTLD_LAZY | RTLD_LOCAL);
    if (handle == NULL)
        return p11_fail(op, P11_E_MODULE, "%s", dlerror());
    *(void **)&get_list = dlsym(handle, "C_GetFunctionList");
    if (get_list == NULL) {
        dlclose(handle); /* not a PKCS#11 module, nothing of it was called */
        return p11_fail(op, P11_E_MODULE, "%s is not a PKCS#11 module", module->path);
    }
    module->handle = handle; /* never closed: threads, exit handlers and the application use it */
    rv = get_list(&module->functions);
    if (rv != CKR_OK || module->functions == NULL) {
        module->functions = NULL;
        return p11_fail(op, P11_E_MODULE, "%s: C_GetFunctionList: %s", module->path,
                        p11_ckr_name(rv));
    }
    return P11_OK;
}

static CK_RV initialize(struct p11_op *op)
{
    struct p11_module *module = op->module;
    CK_C_INITIALIZE_ARGS args;

    memset(&args, 0, sizeof(args));
    args.flags = CKF_OS_LOCKING_OK;
    args.pReserved = module->init_args;
    return P11_CALL(op, C_Initialize, &args);
}

/*
 * C_Initialize, and what it says of the owner. `busy` is set by the caller, so nobody else is
 * inside. In a child the answer tells two kinds of module apart: CKR_OK means that the module
 * noticed the fork and begins anew, and is ours; ALREADY_INITIALIZED that its state came along.
 */
static enum p11_status start(struct p11_op *op, bool forked)
{
    struct p11_module *module = op->module;
    enum p11_status status = load(op);
    CK_INFO info = {0};
    bool initialized;
    CK_RV rv;

    if (status != P11_OK)
        return status;
    p11_shield_begin(op);
    rv = initialize(op);
    initialized = rv == CKR_OK;
    if (initialized) {
        module->owner = true;
        module->inherited = false;
    } else if (rv == CKR_CRYPTOKI_ALREADY_INITIALIZED) {
        if (forked)
            module->inherited = true;
        else
            module->owner = false;
        rv = CKR_OK;
    }
    if (rv == CKR_OK) {
        rv = P11_CALL(op, C_GetInfo, &info);
        if (rv == CKR_FUNCTION_NOT_SUPPORTED)
            rv = CKR_OK; /* it says nothing of itself */
    }
    if (rv != CKR_OK && initialized) {
        const char *call = op->call;

        /* Or the next try would find it initialised, and take it for somebody else's. */
        (void)P11_CALL(op, C_Finalize, NULL);
        op->call = call;
    }
    p11_shield_end(op);
    if (rv != CKR_OK) {
        module->start_rv = rv;
        op->recoverable = module->known; /* its HSM may be restarting */
        return p11_fail(op, P11_E_MODULE, "%s: %s: %s (0x%lx)", module->path, op->call,
                        p11_ckr_name(rv), rv);
    }
    if (!module->known) {
        module->info = info;
        module->softhsm = memcmp(info.manufacturerID, "SoftHSM", 7) == 0;
        /* p11-kit hands on what the module behind it says of itself. */
        module->here =
            (module->softhsm || memcmp(info.manufacturerID, "Mozilla Foundation", 18) == 0) &&
            strstr(module->path, "p11-kit") == NULL;
        module->known = true;
    }
    p11_process_setup_exit();
    return P11_OK;
}

/* The next C_Initialize has to wait: longer each time, until the HSM answers. Locked. */
static void back_off(struct p11_module *module)
{
    module->backoff_ms = module->backoff_ms == 0 ? FIRST_BACKOFF_MS : module->backoff_ms * 2;
    if (module->backoff_ms > LAST_BACKOFF_MS)
        module->backoff_ms = LAST_BACKOFF_MS;
    clock_gettime(CLOCK_MONOTONIC, &module->next_start);
    module->next_start = p11_time_after(module->next_start, module->backoff_ms);
}

void p11_module_answers(struct p11_module *module)
{
    pthread_mutex_lock(&module->lock);
    module->backoff_ms = 0;
    module->next_start = (struct timespec){0};
    pthread_mutex_unlock(&module->lock);
}

/* Waits for something to change, until `until` or the deadline; false if that has passed. Locked.
 */
static bool wait_until(struct p11_op *op, const struct timespec *until)
{
    bool sooner = until != NULL && p11_later(&op->deadline, until);
    const struct timespec *end = sooner ? until : &op->deadline;

    return pthread_cond_timedwait(&op->module->cond, &op->module->lock, end) != ETIMEDOUT || sooner;
}

/* Whether C_Initialize has to wait still. */
static bool backing_off(const struct p11_module *module)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return module->backoff_ms != 0 && p11_later(&module->next_start, &now);
}

/* C_Initialize by this thread. Locked before and after. */
static enum p11_status start_locked(struct p11_op *op)
{
    struct p11_module *module = op->module;
    bool forked = module->state == P11_MODULE_FORKED;
    enum p11_status status;

    module->busy = true;
    module->inside++;
    pthread_mutex_unlock(&module->lock);
    p11_inside_here++;
    status = start(op, forked);
    p11_inside_here--;
    pthread_mutex_lock(&module->lock);
    module->inside--;
    module->busy = false;
    if (status == P11_OK)
        module->state = P11_MODULE_READY;
    else if (op->recoverable)
        back_off(module);
    pthread_cond_broadcast(&module->cond);
    return status;
}

/* Waits until the module can be entered, initialising it if need be. Locked before and after. */
static enum p11_status make_ready(struct p11_op *op)
{
    struct p11_module *module = op->module;

    for (;;) {
        bool taken = module->busy || module->forking;
        enum p11_status status;

        if (atomic_load(&p11_exiting))
            return p11_fail(op, P11_E_EXITING, "no call goes into the module any more");
        if (!taken && module->state == P11_MODULE_READY)
            return P11_OK;
        if (taken || backing_off(module)) {
            if (wait_until(op, taken ? NULL : &module->next_start))
                continue;
            return taken ? p11_fail(op, P11_E_DEADLINE, "the module is being initialised")
                         : p11_fail(op, P11_E_DEADLINE,
                                    "the HSM did not come back in %u ms: C_Initialize: %s",
                                    op->ctx->deadline_ms, p11_ckr_name(module->start_rv));
        }
        status = start_locked(op);
        if (status != P11_OK)
            return status; /* raised */
    }
}

enum p11_status p11_enter(struct p11_op *op)
{
    struct p11_module *module = op->module;
    struct p11_stuck stuck = {0};
    enum p11_status status;

    /* A module that is built on libcrypto may come back to us through a default property query. */
    if (p11_inside_here != 0)
        return p11_fail(op, P11_E_ARGUMENT, "called from inside the PKCS#11 module");
    pthread_mutex_lock(&module->lock);
    status = make_ready(op);
    clock_gettime(CLOCK_MONOTONIC, &op->started);
    if (status == P11_OK) {
        module->inside++;
        op->overdue = p11_time_after(op->started, op->ctx->deadline_ms);
        op->reported = false;
        op->next = NULL;
        op->previous = module->last_inside;
        if (op->previous != NULL)
            op->previous->next = op;
        else
            module->first_inside = op;
        module->last_inside = op;
    }
    if (module->first_inside != op)
        stuck = p11_stuck_find(module, &op->started);
    pthread_mutex_unlock(&module->lock);
    p11_stuck_log(&stuck);
    if (status != P11_OK)
        return status;
    p11_inside_here++;
    p11_op_here = op;
    p11_shield_begin(op);
    return P11_OK;
}

/*
 * Takes the module for a new C_Initialize: nobody enters any more, and those inside are waited
 * for. *done if somebody else did it meanwhile, or p11_enter() will. Locked before and after.
 */
static enum p11_status take_for_reinit(struct p11_op *op, unsigned long generation, bool *done)
{
    struct p11_module *module = op->module;

    for (;;) {
        *done = atomic_load(&module->generation) != generation || module->state != P11_MODULE_READY;
        if (*done)
            return P11_OK;
        if (atomic_load(&p11_exiting))
            return p11_fail(op, P11_E_EXITING, "no call goes into the module any more");
        if (!module->owner || module->inherited)
            return p11_fail(op, P11_E_MODULE,
                            module->owner
                                ? "the module is dead, and cannot be initialised anew in a "
                                  "process that was forked from the one that initialised it"
                                : "the module is dead; the application initialised it, and so "
                                  "only the application can do it again");
        if (module->busy || module->forking) {
            if (!wait_until(op, NULL))
                return p11_fail(op, P11_E_DEADLINE, "the module is being initialised");
            continue;
        }
        if (backing_off(module)) {
            if (wait_until(op, &module->next_start))
                continue;
            *done = true; /* the caller sees that the deadline has passed, and knows why it waits */
            return P11_OK;
        }
        module->busy = true;
        while (module->inside != 0)
            if (!wait_until(op, NULL))
                break;
        if (module->inside == 0)
            return P11_OK;
        module->busy = false;
        pthread_cond_broadcast(&module->cond);
        return p11_fail(op, P11_E_DEADLINE, "a call does not return from the dead module");
    }
}

enum p11_status p11_module_reinit(struct p11_op *op, unsigned long generation)
{
    struct p11_module *module = op->module;
    enum p11_status status;
    bool done = false;
    CK_RV rv;

    pthread_mutex_lock(&module->lock);
    status = take_for_reinit(op, generation, &done);
    if (status != P11_OK || done)
        goto out;
    module->inside = 1;
    pthread_mutex_unlock(&module->lock);
    p11_inside_here++;
    clock_gettime(CLOCK_MONOTONIC, &op->started);
    p11_shield_begin(op);
    /* CKR_CRYPTOKI_NOT_INITIALIZED: somebody else finalised it; it is ours all the same. */
    (void)P11_CALL(op, C_Finalize, NULL);
    rv = initialize(op);
    p11_shield_end(op);
    p11_inside_here--;
    pthread_mutex_lock(&module->lock);
    module->inside = 0;
    module->busy = false;
    module->start_rv = rv;
    atomic_fetch_add(&module->generation, 1);
    if (rv == CKR_CRYPTOKI_ALREADY_INITIALIZED)
        module->owner = false; /* the application was faster */
    else if (rv != CKR_OK)
        module->state = P11_MODULE_STOPPED;
    back_off(module);
    pthread_cond_broadcast(&module->cond);
out:
    pthread_mutex_unlock(&module->lock);
    if (status == P11_E_DEADLINE)
        p11_stuck_check(op);
    return status;
}
