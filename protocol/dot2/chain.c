/*
 * chain.c: the way from a certificate to an anchor (IEEE 1609.2 5.1.2).
 *
 * What is checked between a certificate and its issuer does not depend on the time, and is cached;
 * that all of the chain is valid at the time of the check is asked for each time. Checks that cost
 * little come before those that cost a signature.
 */
#include <string.h>

#include "protocol/dot2/internal.h"

struct frame { /* the certificates below, towards the end entity: a cycle meets one of them */
    const struct frame *below;
    const dot2_cert *cert;
    unsigned depth;
};

struct job {
    dot2_trust *trust;
    bool signature_only;
    uint32_t time;
    struct dot2_error *error;
};

/* Failures that say nothing about the certificate: no other candidate is tried. */
static bool is_fatal(enum dot2_status status)
{
    return status == DOT2_E_MEMORY || status == DOT2_E_PROVIDER || status == DOT2_E_CRYPTO;
}

static enum dot2_status check_time(const dot2_cert *cert, uint32_t time, struct dot2_error *error)
{
    char at[21], limit[21];

    if (time >= cert->start && time <= cert->end)
        return DOT2_OK;
    dot2_time32_format(time, at);
    dot2_time32_format(time < cert->start ? cert->start : cert->end, limit);
    return dot2_fail(error, time < cert->start ? DOT2_E_NOT_YET_VALID : DOT2_E_EXPIRED,
                     "Certificate.toBeSigned.validityPeriod", "\"%.60s\": %s %s, at %s", cert->name,
                     time < cert->start ? "starts" : "ended", limit, at);
}

/* The anchor of the same canonical form; its own octets count then, not the ones presented. */
static const struct dot2_trusted *find_anchor(const dot2_trust *trust, const dot2_cert *cert)
{
    const struct dot2_trusted *entry = dot2_trust_bucket(trust, dot2_cert_hashedid8(cert));

    for (; entry != NULL; entry = entry->next) {
        if (entry->anchor != NULL && entry->cert->canonical_size == cert->canonical_size &&
            memcmp(entry->cert->canonical, cert->canonical, cert->canonical_size) == 0)
            return entry;
    }
    return NULL;
}

/* The digest's name in issuer goes with the hash of the issuer's key (6.3.5, 6.4.7). */
static bool may_be_issuer(const dot2_cert *issuer, const dot2_cert *cert)
{
    size_t hash_size = cert->base->issuer.present == IssuerIdentifier_PR_sha384AndDigest ? 48 : 32;

    return issuer->hash_size == hash_size &&
           memcmp(dot2_cert_hashedid8(issuer), dot2_cert_issuer(cert), 8) == 0;
}

/*
 * The signature is valid over toBeSigned as received, or over its canonical form: some issuers sign
 * uncompressed points as they stand. Both say the same, and the hash is of the canonical form.
 */
static enum dot2_status check_signature(const struct job *job, const dot2_cert *cert,
                                        const dot2_cert *issuer, EVP_PKEY *issuer_key)
{
    const dot2_crypto *crypto = dot2_trust_crypto(job->trust);
    enum dot2_status status =
        dot2_verify(crypto, issuer_key, cert->octets + cert->tbs_offset, cert->tbs_size,
                    issuer->canonical, issuer->canonical_size, cert->base->signature, job->error);

    if (status == DOT2_E_SIGNATURE && cert->canonical != cert->octets)
        status = dot2_verify(crypto, issuer_key, cert->canonical + cert->tbs_offset,
                             cert->canonical_tbs_size, issuer->canonical, issuer->canonical_size,
                             cert->base->signature, job->error);
    if (status != DOT2_E_SIGNATURE)
        return status;
    return dot2_fail(job->error, DOT2_E_ISSUER_SIGNATURE, "Certificate.signature",
                     "of \"%.60s\" does not verify with the key of \"%.60s\"", cert->name,
                     issuer->name);
}

/* Everything but the signature. above is what was found out about the issuer. */
static enum dot2_status check_rules(const struct job *job, const dot2_cert *cert,
                                    const struct dot2_verdict *above)
{
    const ToBeSignedCertificate_t *tbs = &cert->base->toBeSigned;
    const dot2_cert *issuer = above->certs[0];
    enum dot2_status status = DOT2_OK;

    /* The key of an implicit CA is only proven by what it signs: explicit certificates are issued
     * under explicit ones. */
    if (!dot2_cert_is_implicit(cert) && dot2_cert_is_implicit(issuer))
        return dot2_fail(job->error, DOT2_E_TYPE, "Certificate.type",
                         "explicit \"%.60s\" under an implicit issuer", cert->name);
    if (job->signature_only)
        return DOT2_OK;
    if (cert->start < issuer->start || cert->end > issuer->end)
        return dot2_fail(job->error, DOT2_E_VALIDITY_NESTING,
                         "Certificate.toBeSigned.validityPeriod",
                         "of \"%.60s\" is not within that of \"%.60s\"", cert->name, issuer->name);
    status = dot2_permissions_check(tbs, &issuer->base->toBeSigned, job->error);
    if (status != DOT2_OK)
        return status;
    if (tbs->region != NULL && above->region != NULL &&
        !dot2_region_within(tbs->region, above->region))
        return dot2_fail(job->error, DOT2_E_REGION, "Certificate.toBeSigned.region",
                         "of \"%.60s\" is not known to be within that of \"%.60s\"", cert->name,
                         issuer->name);
    /* 6.4.27: bits 7 to 5 are the level. An issuer without one can give level 0 only. */
    if (tbs->assuranceLevel != NULL && tbs->assuranceLevel->size == 1 &&
        (tbs->assuranceLevel->buf[0] >> 5) > (above->assurance < 0 ? 0 : above->assurance))
        return dot2_fail(job->error, DOT2_E_ASSURANCE, "Certificate.toBeSigned.assuranceLevel",
                         "level %d, the issuer's is %d", tbs->assuranceLevel->buf[0] >> 5,
                         above->assurance < 0 ? 0 : above->assurance);
    return DOT2_OK;
}

static enum dot2_status key_under(const struct job *job, const dot2_cert *cert,
                                  const struct dot2_verdict *above, EVP_PKEY **key)
{
    const dot2_cert *issuer = above->certs[0];
    enum dot2_status status = DOT2_OK;

    if (dot2_cert_is_implicit(cert))
        return dot2_ecqv_public_key(dot2_trust_crypto(job->trust), cert, issuer, above->key, key,
                                    job->error);
    status = dot2_cert_key(cert, key, job->error);
    if (status != DOT2_OK)
        return status;
    status = check_signature(job, cert, issuer, above->key);
    if (status != DOT2_OK) {
        EVP_PKEY_free(*key);
        *key = NULL;
    }
    return status;
}

static enum dot2_status verify(const struct job *job, dot2_cert *cert, enum dot2_purpose purpose,
                               const struct frame *below, struct dot2_verdict **verdict);

static enum dot2_status verify_under(const struct job *job, dot2_cert *cert, dot2_cert *issuer,
                                     const struct frame *frame, struct dot2_verdict **verdict)
{
    struct dot2_verdict *above = NULL;
    EVP_PKEY *key = NULL;
    enum dot2_status status = verify(job, issuer, DOT2_PURPOSE_ANY, frame, &above);

    if (status != DOT2_OK)
        return status;
    if (above->depth + frame->depth > dot2_trust_max_depth(job->trust)) {
        status = dot2_fail(job->error, DOT2_E_DEPTH, NULL, "more than %u certificates",
                           dot2_trust_max_depth(job->trust));
        goto out;
    }
    status = check_rules(job, cert, above);
    if (status == DOT2_OK)
        status = key_under(job, cert, above, &key);
    if (status != DOT2_OK)
        goto out;
    *verdict = dot2_verdict_new(cert, key, above);
    if (*verdict == NULL) {
        EVP_PKEY_free(key);
        status = dot2_fail_memory(job->error);
    }
out:
    dot2_verdict_free(above);
    return status;
}

static enum dot2_status verify_by_issuers(const struct job *job, dot2_cert *cert,
                                          const struct frame *frame, struct dot2_verdict **verdict)
{
    const struct dot2_trusted *entry = NULL;
    enum dot2_status status = DOT2_E_ISSUER_UNKNOWN;

    if (dot2_cert_is_self_issued(cert))
        return dot2_fail(job->error, DOT2_E_ISSUER_UNKNOWN, "Certificate.issuer",
                         "\"%.60s\" is self-issued and no anchor", cert->name);
    if (frame->depth >= dot2_trust_max_depth(job->trust))
        return dot2_fail(job->error, DOT2_E_DEPTH, NULL, "more than %u certificates",
                         dot2_trust_max_depth(job->trust));
    for (entry = dot2_trust_bucket(job->trust, dot2_cert_issuer(cert)); entry != NULL;
         entry = entry->next) {
        const struct frame *f = frame;

        if (!may_be_issuer(entry->cert, cert))
            continue;
        while (f != NULL && f->cert != entry->cert)
            f = f->below;
        status = f != NULL ? dot2_fail(job->error, DOT2_E_DEPTH, NULL, "a cycle at \"%.60s\"",
                                       entry->cert->name)
                           : verify_under(job, cert, entry->cert, frame, verdict);
        if (status == DOT2_OK || is_fatal(status))
            return status;
    }
    if (status == DOT2_E_ISSUER_UNKNOWN) {
        const uint8_t *id = dot2_cert_issuer(cert);

        dot2_fail(job->error, status, "Certificate.issuer",
                  "%02x%02x%02x%02x%02x%02x%02x%02x, the issuer of \"%.60s\", does not lead to an "
                  "anchor",
                  id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7], cert->name);
    }
    return status;
}

static enum dot2_status verify(const struct job *job, dot2_cert *cert, enum dot2_purpose purpose,
                               const struct frame *below, struct dot2_verdict **verdict)
{
    const struct frame frame = {
        .below = below, .cert = cert, .depth = below == NULL ? 1 : below->depth + 1};
    dot2_cache *cache = dot2_trust_cache(job->trust);
    const struct dot2_trusted *anchor = find_anchor(job->trust, cert);
    enum dot2_status status = DOT2_OK;
    uint8_t key[DOT2_CACHE_KEY];

    if (!job->signature_only) {
        status = check_time(cert, job->time, job->error);
        if (status != DOT2_OK)
            return status;
    }
    if (anchor != NULL) {
        *verdict = dot2_verdict_up_ref(anchor->anchor);
        return DOT2_OK;
    }
    dot2_cache_key(cert->received_hash, purpose, job->signature_only, key);
    *verdict = dot2_cache_find(cache, key, job->signature_only ? 0 : job->time);
    if (*verdict != NULL)
        return DOT2_OK;
    status = verify_by_issuers(job, cert, &frame, verdict);
    if (status == DOT2_OK &&
        (job->signature_only || (job->time >= (*verdict)->start && job->time <= (*verdict)->end)))
        dot2_cache_put(cache, key, *verdict);
    return status;
}

/* An enrollment certificate: asks for certificates, signs nothing else, is somebody's subject. */
static enum dot2_status check_purpose(const dot2_cert *cert, const struct dot2_check *check,
                                      struct dot2_error *error)
{
    const ToBeSignedCertificate_t *tbs = &cert->base->toBeSigned;

    if (check->purpose != DOT2_PURPOSE_ENROLLMENT || check->signature_only)
        return DOT2_OK;
    if (tbs->certRequestPermissions == NULL || tbs->certRequestPermissions->list.count == 0)
        return dot2_fail(error, DOT2_E_PERMISSION, "Certificate.toBeSigned.certRequestPermissions",
                         "missing in an enrollment certificate");
    if (tbs->appPermissions != NULL)
        return dot2_fail(error, DOT2_E_PERMISSION, "Certificate.toBeSigned.appPermissions",
                         "present in an enrollment certificate");
    return DOT2_OK;
}

static void fill_chain(struct dot2_verdict *verdict, struct dot2_chain *chain)
{
    memset(chain, 0, sizeof(*chain));
    EVP_PKEY_up_ref(verdict->key);
    chain->key = verdict->key;
    chain->curve = verdict->curve;
    chain->start = verdict->start;
    chain->end = verdict->end;
    chain->depth = verdict->depth;
    for (size_t i = 0; i < verdict->depth; i++)
        chain->certs[i] = dot2_cert_up_ref(verdict->certs[i]);
    chain->verdict = dot2_verdict_up_ref(verdict);
}

enum dot2_status dot2_chain_verify(dot2_trust *trust, dot2_cert *cert,
                                   const struct dot2_check *check, struct dot2_chain *chain,
                                   struct dot2_error *error)
{
    const struct job job = {.trust = trust,
                            .signature_only = check->signature_only,
                            .time = check->time,
                            .error = error};
    struct dot2_verdict *verdict = NULL;
    enum dot2_status status = DOT2_OK;

    if (chain != NULL)
        memset(chain, 0, sizeof(*chain));
    status = dot2_check_provider(dot2_trust_crypto(trust), error);
    if (status == DOT2_OK)
        status = check_purpose(cert, check, error);
    if (status == DOT2_OK)
        status = verify(&job, cert, check->purpose, NULL, &verdict);
    if (status != DOT2_OK)
        return status;
    for (size_t i = 0; i < verdict->depth && !check->signature_only && status == DOT2_OK; i++) {
        status = check_time(verdict->certs[i], check->time, error);
        if (status == DOT2_OK)
            status =
                dot2_revocations_check(dot2_trust_revocations(trust), verdict->certs[i], error);
    }
    if (status == DOT2_OK && check->purpose == DOT2_PURPOSE_ENROLLMENT && !check->signature_only &&
        verdict->depth < 2)
        status = dot2_fail(error, DOT2_E_PERMISSION, "Certificate.issuer",
                           "an anchor is no enrollment certificate");
    if (status == DOT2_OK && chain != NULL)
        fill_chain(verdict, chain);
    dot2_verdict_free(verdict);
    return status;
}

enum dot2_status dot2_chain_verify_signature(const dot2_crypto *crypto,
                                             const struct dot2_chain *chain, const uint8_t *data,
                                             size_t size, const Signature_t *signature,
                                             struct dot2_error *error)
{
    struct dot2_verdict *verdict = chain->verdict;
    const dot2_cert *signer = verdict->certs[0];

    return dot2_verify_kept(crypto, verdict->key, verdict->curve, data, size, signer->canonical,
                            signer->canonical_size, signature, &verdict->verifier, error);
}

void dot2_chain_clear(struct dot2_chain *chain)
{
    dot2_verdict_free(chain->verdict);
    EVP_PKEY_free(chain->key);
    for (size_t i = 0; i < chain->depth; i++)
        dot2_cert_free(chain->certs[i]);
    memset(chain, 0, sizeof(*chain));
}
