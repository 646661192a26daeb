/*
 * module.c: loading a module once per process and path, initialising it, and never finalising
 * what is not ours.
 */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>

#include "pkcs11/internal.h"

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
        module = OPENSSL_zalloc(sizeof(*module));
        if (module != NULL) {
            module->path = OPENSSL_strdup(ctx->module_path);
            if (ctx->module_init_args != NULL)
                module->init_args = OPENSSL_strdup(ctx->module_init_args);
            module->socket = strstr(module->path, "p11-kit-client") != NULL;
            module->fork_deadline_ms = ctx->deadline_ms;
            atomic_init(&module->generation, 1);
            pthread_mutex_init(&module->lock, NULL);
            p11_cond_init(&module->cond);
            module->next = p11_modules;
            p11_modules = module;
        }
    }
    pthread_mutex_unlock(&p11_registry);
    if (module == NULL || module->path == NULL)
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
    handle = dlopen(module->path, RTLD_NOW | RTLD_LOCAL);
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
    CK_INFO info;
    CK_RV rv;

    if (status != P11_OK)
        return status;
    p11_shield_begin(op);
    rv = initialize(op);
    if (rv == CKR_OK) {
        module->owner = true;
        module->inherited = false;
    } else if (rv == CKR_CRYPTOKI_ALREADY_INITIALIZED) {
        if (forked)
            module->inherited = true;
        else
            module->owner = false;
        rv = CKR_OK;
    }
    if (rv == CKR_OK)
        rv = P11_CALL(op, C_GetInfo, &info);
    p11_shield_end(op);
    if (rv != CKR_OK) {
        op->recoverable = module->known; /* its HSM may be restarting */
        return p11_fail(op, P11_E_MODULE, "%s: %s: %s (0x%lx)", module->path, op->call,
                        p11_ckr_name(rv), rv);
    }
    if (!module->known) {
        module->info = info;
        module->softhsm = memcmp(info.manufacturerID, "SoftHSM", 7) == 0;
        module->known = true;
    }
    p11_process_setup_exit();
    return P11_OK;
}

enum p11_status p11_enter(struct p11_op *op)
{
    struct p11_module *module = op->module;
    enum p11_status status = P11_OK;

    /* A module that is built on libcrypto may come back to us through a default property query. */
    if (p11_inside_here != 0)
        return p11_fail(op, P11_E_ARGUMENT, "called from inside the PKCS#11 module");
    pthread_mutex_lock(&module->lock);
    for (;;) {
        bool forked = module->state == P11_MODULE_FORKED;

        if (atomic_load(&p11_exiting)) {
            status = P11_E_EXITING;
            break;
        }
        if (module->busy || module->forking) {
            if (pthread_cond_timedwait(&module->cond, &module->lock, &op->deadline) == ETIMEDOUT) {
                status = P11_E_DEADLINE;
                break;
            }
            continue;
        }
        if (module->state == P11_MODULE_READY) {
            module->inside++;
            break;
        }
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
        pthread_cond_broadcast(&module->cond);
        if (status != P11_OK) {
            pthread_mutex_unlock(&module->lock);
            return status; /* raised */
        }
    }
    pthread_mutex_unlock(&module->lock);
    if (status == P11_E_EXITING)
        return p11_fail(op, status, "no call goes into the module any more");
    if (status == P11_E_DEADLINE)
        return p11_fail(op, status, "the module is being initialised");
    p11_inside_here++;
    p11_shield_begin(op);
    return P11_OK;
}

enum p11_status p11_module_reinit(struct p11_op *op, unsigned long generation)
{
    struct p11_module *module = op->module;
    enum p11_status status = P11_OK;
    CK_RV rv;

    pthread_mutex_lock(&module->lock);
    for (;;) {
        if (atomic_load(&module->generation) != generation || module->state != P11_MODULE_READY)
            goto out; /* somebody else did it, or p11_enter() will */
        if (atomic_load(&p11_exiting)) {
            status = p11_fail(op, P11_E_EXITING, "no call goes into the module any more");
            goto out;
        }
        if (!module->owner || module->inherited) {
            status = p11_fail(op, P11_E_MODULE,
                              module->owner
                                  ? "the module is dead, and cannot be initialised anew in a "
                                    "process that was forked from the one that initialised it"
                                  : "the module is dead; the application initialised it, and so "
                                    "only the application can do it again");
            goto out;
        }
        if (!module->busy && !module->forking) {
            /* From now on nobody enters; those inside are waited for. */
            module->busy = true;
            while (module->inside != 0)
                if (pthread_cond_timedwait(&module->cond, &module->lock, &op->deadline) ==
                    ETIMEDOUT)
                    break;
            if (module->inside == 0)
                break;
            module->busy = false;
            pthread_cond_broadcast(&module->cond);
            status = p11_fail(op, P11_E_DEADLINE, "a call does not return from the dead module");
            goto out;
        }
        if (pthread_cond_timedwait(&module->cond, &module->lock, &op->deadline) == ETIMEDOUT) {
            status = p11_fail(op, P11_E_DEADLINE, "the module is being initialised");
            goto out;
        }
    }
    module->inside = 1;
    pthread_mutex_unlock(&module->lock);
    p11_inside_here++;
    p11_shield_begin(op);
    /* CKR_CRYPTOKI_NOT_INITIALIZED: somebody else finalised it; it is ours all the same. */
    (void)P11_CALL(op, C_Finalize, NULL);
    rv = initialize(op);
    p11_shield_end(op);
    p11_inside_here--;
    pthread_mutex_lock(&module->lock);
    module->inside = 0;
    module->busy = false;
    atomic_fetch_add(&module->generation, 1);
    if (rv == CKR_CRYPTOKI_ALREADY_INITIALIZED)
        module->owner = false; /* the application was faster */
    else if (rv != CKR_OK)
        module->state = P11_MODULE_STOPPED;
    pthread_cond_broadcast(&module->cond);
out:
    pthread_mutex_unlock(&module->lock);
    return status;
}
