/* object.h: from what a URI names to key objects, for STORE and DECODER alike. */
#ifndef DOT2HSM_PROVIDER_OBJECT_H
#define DOT2HSM_PROVIDER_OBJECT_H

#include "provider/provider.h"

/*
 * All objects of these classes (a set of enum p11_class) behind a URI, for the caller to free.
 * prompt may have no callback. False: an error was raised.
 */
bool prov_objects_find(struct prov_ctx *provider, const char *uri, unsigned classes,
                       struct prov_prompt *prompt, p11_objects **objects);

/* False, with an error that lists them, if there is more than one private key. */
bool prov_objects_unambiguous(const p11_objects *objects);

/* The key of an entry; public_only: without its private part. NULL: an error was raised. */
struct prov_key *prov_object_key(struct prov_ctx *provider, const p11_objects *objects,
                                 size_t index, bool public_only);

/* Gives a key to libcrypto; takes the caller's reference in every case. */
int prov_object_deliver(struct prov_key *key, OSSL_CALLBACK *callback, void *arg);

#endif
