/*
 * reason.c: why a request was refused: its name in the log, its code for the peer.
 */
#include "protocol/ra/decide.h"

/*
 * Reasons with the code that the peer is told in stage QA. The published table has no code of its
 * own for some: there 5070 (wrong parameters) stands for a request that is not well formed, not for
 * now or not for a file, and 5067 (authentication failed; "any of the 1609.2 data layers cannot be
 * validated") for who sent it, including a request encrypted where that is not served. That a file
 * is another device's is not told apart from that there is none.
 */
static const struct {
    enum ra_reason reason;
    const char *name;
    int code;
} reasons[] = {
    {RA_ALLOWED, "allowed", 0},
    {RA_HEADER_MISSING, "header_missing", SCMS_RA_INVALID_SIGNATURE},
    {RA_HEADER_TOO_LONG, "header_too_long", SCMS_RA_WRONG_PARAMETERS},
    {RA_HEADER_BASE64, "header_base64", SCMS_RA_WRONG_PARAMETERS},
    {RA_REQUEST_ENCRYPTED, "request_encrypted", SCMS_RA_AUTHENTICATION_FAILED},
    {RA_REQUEST_MALFORMED, "request_malformed", SCMS_RA_WRONG_PARAMETERS},
    {RA_SIGNER, "signer", SCMS_RA_AUTHENTICATION_FAILED},
    {RA_BLACKLISTED, "blacklisted", SCMS_RA_BLACKLISTED},
    {RA_CERTIFICATE, "certificate", SCMS_RA_AUTHENTICATION_FAILED},
    {RA_TIME, "time", SCMS_RA_WRONG_PARAMETERS},
    {RA_SIGNATURE, "signature", SCMS_RA_INVALID_SIGNATURE},
    {RA_FILENAME, "filename", SCMS_RA_WRONG_PARAMETERS},
    {RA_FILE_UNKNOWN, "file_unknown", SCMS_RA_NO_CERT_FILE_AVAILABLE},
    {RA_FILE_OF_ANOTHER, "file_of_another", SCMS_RA_NO_CERT_FILE_AVAILABLE},
    {RA_STORE, "store", SCMS_RA_AUTHENTICATION_FAILED},
    {RA_INTERNAL, "internal", SCMS_RA_AUTHENTICATION_FAILED},
    {RA_NOT_ENCRYPTED, "not_encrypted", SCMS_RA_REQUEST_NOT_ENCRYPTED},
    {RA_NOT_RECIPIENT, "not_recipient", SCMS_RA_AUTHENTICATION_FAILED},
    {RA_DECRYPT, "decrypt", SCMS_RA_AUTHENTICATION_FAILED},
    {RA_ECA, "eca", SCMS_RA_AUTHENTICATION_FAILED},
    {RA_PDU, "pdu", SCMS_RA_WRONG_PARAMETERS},
    {RA_REQUEST_KEY, "request_key", SCMS_RA_WRONG_PARAMETERS},
    {RA_PERMISSION, "permission", SCMS_RA_WRONG_PARAMETERS},
    {RA_START_TIME, "start_time", SCMS_RA_WRONG_PARAMETERS},
    {RA_DUPLICATE, "duplicate", SCMS_RA_DUPLICATE_REQUEST_RECEIVED},
    {RA_MULTIPLE, "multiple", SCMS_RA_REQUEST_FOR_MULTIPLE_CERTS},
    {RA_TOO_MANY, "too_many", SCMS_RA_MORE_THAN_ALLOWED_TRIES},
};
#define REASONS (sizeof reasons / sizeof reasons[0])

const char *ra_reason_name(enum ra_reason reason)
{
    for (size_t i = 0; i < REASONS; i++)
        if (reasons[i].reason == reason)
            return reasons[i].name;
    return "unknown";
}

int ra_reason_code(enum ra_reason reason)
{
    for (size_t i = 0; i < REASONS; i++)
        if (reasons[i].reason == reason)
            return reasons[i].code;
    return SCMS_RA_AUTHENTICATION_FAILED;
}
