/*
 * error.c: the RA-EE error table as published for the CV Pilots.
 *
 * 5060 to 5064 and 5066 are not in any copy of the table that is to be had, and no number is made
 * up for them. A refusal that has no published code of its own takes the nearest:
 *   5058 raInvalidSignature       the signature of the request is missing or wrong
 *   5067 raAuthenticationFailed   what concerns who asks: chain, trust, validity or permissions of
 *                                 the enrollment certificate, a signer that is not one certificate,
 *                                 decryption
 *   5070 raWrongParameters        what concerns what is asked: not decodable, time stamp outside
 *                                 the tolerance, another RA's request
 *   5072 raInvalidURL             a path or file name that this service has not
 *   5065 raNoCertFileAvailable    no such file, or none for this requester
 */
#include "protocol/scms/scms.h"

static const struct scms_error table[] = {
    {SCMS_RA_BLACKLISTED, "SCMS-1065", "raBlacklisted", "Enrollment certificate blacklisted"},
    {SCMS_RA_REQUEST_FOR_MULTIPLE_CERTS, "SCMS-1068", "raRequestForMultipleCerts",
     "Multiple application certificates requests for same PSID/SSP"},
    {SCMS_RA_DUPLICATE_REQUEST_RECEIVED, "SCMS-1070", "raDuplicateRequestReceived",
     "Duplicate request received"},
    {SCMS_RA_INVALID_SIGNATURE, "SCMS-1082", "raInvalidSignature",
     "Invalid signature or signature missing"},
    {SCMS_RA_REQUEST_NOT_ENCRYPTED, "SCMS-1083", "raRequestNotEncrypted", "Request not encrypted"},
    {SCMS_RA_NO_CERT_FILE_AVAILABLE, "SCMS-964", "raNoCertFileAvailable",
     "Requested certificate file is not available for download"},
    {SCMS_RA_AUTHENTICATION_FAILED, "SCMS-978", "raAuthenticationFailed",
     "EE authentication failed."},
    {SCMS_RA_NO_PCA_CERTIFICATE_CHAIN_FILE_AVAILABLE, "SCMS-981",
     "raNoPcaCertificateChainFileAvailable",
     "Requested certificate chain file not available for download"},
    {SCMS_RA_NO_INFO_FILE_AVAILABLE, "SCMS-983", "raNoInfoFileAvailable",
     "Requested .info file is not available for download"},
    {SCMS_RA_WRONG_PARAMETERS, "SCMS-987", "raWrongParameters",
     "EE request contained invalid parameter values"},
    {SCMS_RA_MORE_THAN_ALLOWED_TRIES, "SCMS-990", "raMoreThanAllowedTries",
     "EE exceeded retry limit"},
    {SCMS_RA_INVALID_URL, "SCMS-976", "raInvalidURL", "Invalid URL sent in download request"},
};

const struct scms_error *scms_error_find(int code)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if ((int)table[i].code == code)
            return &table[i];
    }
    return NULL;
}
