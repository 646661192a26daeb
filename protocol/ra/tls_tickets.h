/*
 * tls_tickets.h: the keys of session tickets, which live for a while only.
 */
#ifndef DOT2HSM_PROTOCOL_RA_TLS_TICKETS_H
#define DOT2HSM_PROTOCOL_RA_TLS_TICKETS_H

#include <stdbool.h>

#include <openssl/ssl.h>

/* Gives a context keys of its own; false without memory. libctx must outlive it. */
bool ra_tls_tickets_new(SSL_CTX *tls, OSSL_LIB_CTX *libctx);

/*
 * after seals and opens with the keys of before from now on, and so do both if either makes a new
 * one. Nothing is done if one of them has not been through ra_tls_tickets_new().
 */
void ra_tls_tickets_keep(SSL_CTX *before, SSL_CTX *after);

/* For tests: as if so many seconds had passed for the keys that are there. */
void ra_tls_tickets_age(SSL_CTX *tls, unsigned seconds);

#endif
