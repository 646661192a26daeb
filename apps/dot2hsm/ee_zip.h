/* ee_zip.h: the zip files that an RA gives, as they are: written by somebody else. */
#ifndef DOT2HSM_APPS_EE_ZIP_H
#define DOT2HSM_APPS_EE_ZIP_H

#include <stddef.h>
#include <stdint.h>

#include <zip.h>

#include "apps/dot2hsm/ee_device.h"

/* Each says on stderr what is wrong, and returns an enum app_exit. */

/* At least one entry and at most this many; zip_discard()ed by the caller. */
int device_zip_open(const char *path, zip_int64_t most, zip_t **zip);
/*
 * A whole entry of 1 to 65536 octets, neither shorter nor longer than the file says and with the
 * CRC that it says. *octets is OPENSSL_free'd by the caller.
 */
int device_zip_read(zip_t *zip, zip_uint64_t index, uint8_t **octets, size_t *size);
/* The same of a zip file that has the one entry with this name (in any case) and no other. */
int device_zip_read_only(const char *path, const char *name, uint8_t **octets, size_t *size);

/*
 * Names in the zip file of a batch are X_Y: i and j of a pseudonym certificate, of which i is the
 * batch's; or, for an identification certificate, the hash of the request, and the batch's i (then
 * *j is 0). Both numbers are 1 to 8 hexadecimal digits, j below DEVICE_BATCH_MAX.
 */
bool device_zip_name(const struct device_batch *batch, const char *hash, const char *name,
                     uint32_t *j);
/* 1 to 8 hexadecimal digits up to end. */
bool device_zip_hex(const char *text, char end, uint32_t *value);

#endif
