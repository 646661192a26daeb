/*
 * process.c: what befalls the whole process: fork and exit.
 */
#include <dlfcn.h>
#include <stdlib.h>

#include <openssl/crypto.h>

#include "pkcs11/internal.h"

struct p11_module *p11_modules;
pthread_mutex_t p11_registry = PTHREAD_MUTEX_INITIALIZER;
atomic_bool p11_exiting;
atomic_bool p11_ended;
_Thread_local unsigned p11_inside_here;
_Thread_local struct p11_op *p11_op_here;

void p11_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* Waits until no other thread is inside; the module is locked before and after. */
static void quiesce(struct p11_module *module)
{
    struct timespec deadline;

    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline = p11_time_after(deadline, module->fork_deadline_ms);
    while (module->inside > p11_inside_here)
        if (pthread_cond_timedwait(&module->cond, &module->lock, &deadline) != 0)
            break;
}

/*
 * Before a fork every call is let out of the modules, so that the child does not inherit a
 * module's locks in a state that nobody will ever end, and every lock of ours is taken. A call
 * that does not come back holds the fork up for the deadline only.
 */
static void before_fork(void)
{
    pthread_mutex_lock(&p11_registry);
    for (struct p11_module *m = p11_modules; m != NULL; m = m->next) {
        pthread_mutex_lock(&m->lock);
        m->forking = true;
        quiesce(m);
        for (struct p11_token *t = m->tokens; t != NULL; t = t->next)
            pthread_mutex_lock(&t->lock);
    }
}

static void after_fork_in_parent(void)
{
    for (struct p11_module *m = p11_modules; m != NULL; m = m->next) {
        for (struct p11_token *t = m->tokens; t != NULL; t = t->next)
            pthread_mutex_unlock(&t->lock);
        m->forking = false;
        pthread_cond_broadcast(&m->cond);
        pthread_mutex_unlock(&m->lock);
    }
    pthread_mutex_unlock(&p11_registry);
}

/*
 * The child only takes note: what it needs it makes on first use. The threads that waited on the
 * conditions or held a busy flag are not there any more.
 */
static void after_fork_in_child(void)
{
    for (struct p11_module *m = p11_modules; m != NULL; m = m->next) {
        for (struct p11_token *t = m->tokens; t != NULL; t = t->next) {
            t->busy = t->rebuilding = false;
            t->copy_busy = t->key_login_busy = false;
            t->copy_users[0] = t->copy_users[1] = 0;
            p11_cond_init(&t->cond);
            pthread_mutex_unlock(&t->lock);
        }
        if (m->state == P11_MODULE_READY)
            m->state = P11_MODULE_FORKED;
        atomic_fetch_add(&m->generation, 1);
        m->inside = p11_inside_here;
        m->first_inside = p11_op_here != NULL && p11_op_here->module == m ? p11_op_here : NULL;
        m->last_inside = m->first_inside;
        if (m->first_inside != NULL)
            m->first_inside->previous = m->first_inside->next = NULL;
        m->busy = false;
        m->slots_busy = false;
        m->forking = false;
        p11_cond_init(&m->cond);
        pthread_mutex_unlock(&m->lock);
    }
    pthread_mutex_unlock(&p11_registry);
}

/*
 * A library that is unloaded (a provider's shared object, at OSSL_PROVIDER_unload) would take the
 * owner flag and the sessions with it, and find a module initialised "by somebody else" when it
 * is loaded again; its exit handler would also run at unload. So it stays.
 */
static void pin_ourselves(void)
{
    Dl_info info;
    void *self;

    if (dladdr((void *)(uintptr_t)&p11_modules, &info) == 0 || info.dli_fname == NULL)
        return;
    self = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
    if (self != NULL)
        dlclose(self);
    else
        (void)dlerror();
}

static void setup(void)
{
    pin_ourselves();
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

void p11_process_setup(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, setup);
}

void p11_set_exiting(void)
{
    atomic_store(&p11_exiting, true);
}

/*
 * Runs before the destructors of a module that was loaded earlier than this was registered, and
 * before OPENSSL_cleanup(). A thread may still be inside: it is given the time to come out, since
 * the module's destructors would pull the ground from under it.
 */
static void at_exit(void)
{
    atomic_store(&p11_ended, true);
    p11_set_exiting();
    pthread_mutex_lock(&p11_registry);
    for (struct p11_module *m = p11_modules; m != NULL; m = m->next) {
        pthread_mutex_lock(&m->lock);
        pthread_cond_broadcast(&m->cond);
        quiesce(m);
        pthread_mutex_unlock(&m->lock);
    }
    pthread_mutex_unlock(&p11_registry);
}

static void setup_exit(void)
{
    (void)atexit(at_exit);
}

void p11_process_setup_exit(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, setup_exit);
}
