/* keymgmt.h: parameters of an EC key (keymgmt_params.c). */
#ifndef DOT2HSM_PROVIDER_KEYMGMT_H
#define DOT2HSM_PROVIDER_KEYMGMT_H

#include <openssl/core_dispatch.h>

OSSL_FUNC_keymgmt_get_params_fn prov_keymgmt_get_params;
OSSL_FUNC_keymgmt_gettable_params_fn prov_keymgmt_gettable_params;
OSSL_FUNC_keymgmt_set_params_fn prov_keymgmt_set_params;
OSSL_FUNC_keymgmt_settable_params_fn prov_keymgmt_settable_params;
/* Import and export take the same parameters. */
OSSL_FUNC_keymgmt_import_types_fn prov_keymgmt_transfer_types;

#endif
