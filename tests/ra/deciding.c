/* deciding.c: what deciding.h says. */
#include "tests/ra/deciding.h"

int deciding_setup(void **state)
{
    struct lab *lab = lab_new();

    lab_assign(lab, NAME, lab->device.cert);
    *state = lab;
    return 0;
}

int deciding_teardown(void **state)
{
    lab_free(*state);
    return 0;
}

struct ra_decision decide_text(struct lab *lab, enum ra_service service, const char *text,
                               size_t size)
{
    struct ra_authorise in = lab_authorise(lab);
    struct ra_decision decision;
    enum ra_reason reason = ra_authorise_download(&in, service, text, size, &decision);

    assert_int_equal(reason, decision.reason);
    assert_int_equal(decision.code == 0, reason == RA_ALLOWED);
    assert_int_equal(decision.filename[0] == '\0', reason != RA_ALLOWED);
    if (decision.code != 0)
        assert_non_null(scms_error_find(decision.code));
    return decision;
}

struct ra_decision decide_as(struct lab *lab, enum ra_service service, const dot2_cert *cert,
                             EVP_PKEY *key, int time, const char *name)
{
    struct lab_cert device = {.cert = (dot2_cert *)cert, .key = key};
    char *text = lab_request(lab, &device, (uint32_t)((int64_t)lab->now + time), name);
    struct ra_decision decision = decide_text(lab, service, text, strlen(text));

    OPENSSL_free(text);
    return decision;
}

struct ra_decision decide(struct lab *lab, const struct lab_cert *device)
{
    return decide_as(lab, RA_APPLICATION_CERTIFICATE, device->cert, device->key, 0, NAME);
}

struct ra_decision decide_octets(struct lab *lab, const uint8_t *octets, size_t size)
{
    char *text = lab_base64(octets, size);
    struct ra_decision decision = decide_text(lab, RA_APPLICATION_CERTIFICATE, text, strlen(text));

    OPENSSL_free(text);
    return decision;
}

void assert_refused(struct ra_decision decision, enum ra_reason reason, int code)
{
    if (decision.reason != reason)
        fail_msg("%s instead of %s: %s %s", ra_reason_name(decision.reason), ra_reason_name(reason),
                 decision.error.field, decision.error.detail);
    assert_int_equal(decision.code, code);
}
