/*
 * verify_crl.h: the CRLs of `dot2hsm verify`.
 */
#ifndef DOT2HSM_APPS_DOT2HSM_VERIFY_CRL_H
#define DOT2HSM_APPS_DOT2HSM_VERIFY_CRL_H

#include "apps/dot2hsm/json.h"
#include "protocol/dot2/dot2.h"

/* Adds a SecuredCrl or CompositeCrl file; an enum app_exit, the reason on stderr. */
int verify_crl_add(dot2_trust *trust, const char *path, uint32_t time);
/* The lists that were looked into, and those that could not be. */
void verify_crl_print(const dot2_trust *trust, uint32_t time);
void verify_crl_json(const dot2_trust *trust, struct json *json, uint32_t time);

#endif
