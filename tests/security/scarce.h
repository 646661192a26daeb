/*
 * scarce.h: allocations that fail when a test wants it: those of our own objects, which the linker
 * (--wrap, see CMakeLists.txt) sends here. What a library allocates inside is left alone, but where
 * it makes an object for us, that fails too.
 */
#ifndef DOT2HSM_TESTS_SECURITY_SCARCE_H
#define DOT2HSM_TESTS_SECURITY_SCARCE_H

#include <stdbool.h>

/* The allocation with this number, from 1 on, of this thread fails; 0: none does. */
void scarce_set(unsigned number);
/* Ends that; whether one has failed. */
bool scarce_end(void);

/* The same for the threads of the process together, but for those that have called scarce_spare().
 * lasting: all that follow fail, too. With 0 they are counted alone. */
void scarce_all_set(unsigned number, bool lasting);
/* Ends that; whether one has failed. counted, which may be NULL: how many there were. */
bool scarce_all_end(unsigned *counted);
void scarce_spare(void);

/* libevent's own allocations are counted, too (scarce_server.c). Before anything is asked of it. */
void scarce_libevent(void);

#endif
