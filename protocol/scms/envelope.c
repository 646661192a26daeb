/* envelope.c: an Ieee1609Dot2Data told by protocolVersion and the tag of its content. */
#include "protocol/scms/scms.h"

enum scms_form scms_form_of(const uint8_t *octets, size_t size)
{
    if (size < 2 || octets[0] != 3)
        return SCMS_FORM_OTHER;
    switch (octets[1]) {
    case 0x80:
        return SCMS_FORM_UNSECURED;
    case 0x81:
        return SCMS_FORM_SIGNED_DATA;
    case 0x82:
        return SCMS_FORM_ENCRYPTED;
    case 0x83:
        return SCMS_FORM_SIGNED_REQUEST;
    default:
        return SCMS_FORM_OTHER;
    }
}
