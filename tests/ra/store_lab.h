/*
 * store_lab.h: a store of each kind for a test: a SQLite file, or a PostgreSQL server that the test
 * starts (postgres.sh) and that ends with it.
 */
#ifndef DOT2HSM_TESTS_RA_STORE_LAB_H
#define DOT2HSM_TESTS_RA_STORE_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/ra/ra.h"

struct store_lab {
    bool postgresql;
    char dir[64];
    char spec[200];  /* what ra_store_open() takes */
    ra_store *store; /* open while a test runs */
    char text[200];
};

/* Starts a back end; ends the test program if it cannot. */
void store_lab_start(struct store_lab *lab, bool postgresql);
void store_lab_stop(struct store_lab *lab);
/* An empty store, opened. */
void store_lab_fresh(struct store_lab *lab);
/* Closes it. */
void store_lab_done(struct store_lab *lab);
/* Opens the store again, as another program would. */
ra_store *store_lab_second(const struct store_lab *lab);
/* postgres.sh with one word: kill, halt, again; its exit status. */
int store_lab_server(const struct store_lab *lab, const char *word);
/* One SQL command on the back end itself, as its administrator. */
void store_lab_execute(const struct store_lab *lab, const char *sql);

/* Octets that depend on seed alone. */
void store_lab_fill(uint8_t *octets, size_t size, uint32_t seed);
/* A request whose hash, key and requester follow from numbers. */
struct ra_request store_lab_request(uint32_t hash, uint32_t requester, uint32_t key,
                                    const char *permissions);

/*
 * For the programs that run their tests over each back end: the lab that is in use, set-up and
 * teardown of one test, and the groups.
 */
extern struct store_lab store_lab;
int store_lab_setup(void **state);
int store_lab_teardown(void **state);
int store_lab_setup_sqlite(void **state);
int store_lab_setup_postgresql(void **state);
int store_lab_end(void **state);

#define STORE_LAB_TEST(name)                                                                       \
    cmocka_unit_test_setup_teardown(name, store_lab_setup, store_lab_teardown)
/* Runs the array tests over both. */
#define STORE_LAB_RUN(tests)                                                                       \
    (cmocka_run_group_tests_name("sqlite", tests, store_lab_setup_sqlite, store_lab_end) +         \
     cmocka_run_group_tests_name("postgresql", tests, store_lab_setup_postgresql, store_lab_end))

#endif
