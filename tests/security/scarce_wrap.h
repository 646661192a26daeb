/*
 * scarce_wrap.h: how a function that allocates is made to fail.
 */
#ifndef DOT2HSM_TESTS_SECURITY_SCARCE_WRAP_H
#define DOT2HSM_TESTS_SECURITY_SCARCE_WRAP_H

#include "tests/security/scarce.h"

#include <stdarg.h>

/* Counts one more allocation; whether it is one to fail, with errno set. */
bool scarce_fails(void);

/* For the linker's --wrap=name: gives nothing, or what name gives. */
#define WRAP_TO(nothing, type, name, parameters, arguments)                                        \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return scarce_fails() ? (nothing) : __real_##name arguments;                               \
    }
#define WRAP(type, name, parameters, arguments) WRAP_TO(NULL, type, name, parameters, arguments)

/* For the linker's --wrap=name, where there is a form that takes a va_list. */
#define WRAP_PRINTF(name, parameters, call)                                                        \
    int __wrap_##name parameters;                                                                  \
    int __wrap_##name parameters                                                                   \
    {                                                                                              \
        va_list args;                                                                              \
        int n;                                                                                     \
                                                                                                   \
        if (scarce_fails())                                                                        \
            return -1;                                                                             \
        va_start(args, format);                                                                    \
        n = call;                                                                                  \
        va_end(args);                                                                              \
        return n;                                                                                  \
    }

#endif
