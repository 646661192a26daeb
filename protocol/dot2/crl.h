/*
 * crl.h: certificate revocation lists (IEEE 1609.2 clause 7) and the CompositeCrl of the SCMS.
 */
#ifndef DOT2HSM_PROTOCOL_DOT2_CRL_H
#define DOT2HSM_PROTOCOL_DOT2_CRL_H

#include "protocol/dot2/dot2.h"

struct dot2_crl_info {
    uint8_t craca_id[8]; /* HashedId8 of the CRACA */
    uint16_t series;
    uint32_t issue_date, next_crl; /* Time32; a newer list was due at next_crl */
    bool delta;
    bool evaluated; /* of the HashedId10 kind; a linkage-based list is noted, and revokes nothing */
    bool current;   /* false: older than what the trust has, or the same; nothing was changed */
    size_t entries; /* 0 if not evaluated */
};

/*
 * Takes a SecuredCrl, a signedData of CrlContents under PSID 0x100, at time (Time32). Its signer is
 * verified through the trust, must have a CrlSsp for the series, and must be the CRACA or be issued
 * by it. A full list replaces an older one of its CRACA and series, a delta adds to what is there.
 * From then on dot2_chain_verify() answers DOT2_E_REVOKED for a chain with a certificate whose
 * HashedId10 is on the list of the CRACA and series that it names, whatever is in the cache; with
 * signature_only, revocation is left out too. That a list is overdue (next_crl) refuses nothing:
 * the tolerance is a matter of policy. Other threads may be using the trust.
 * info may be NULL. DOT2_E_MESSAGE: not a CRL, or nextCrl before issueDate. DOT2_E_NOT_YET_VALID:
 * issueDate after time. DOT2_E_PERMISSION: not the signer's to say. Else as
 * dot2_signed_data_verify().
 */
enum dot2_status dot2_trust_add_crl(dot2_trust *trust, const uint8_t *octets, size_t size,
                                    uint32_t time, struct dot2_crl_info *info,
                                    struct dot2_error *error);
/*
 * The forms of ElectorBallot that are taken in a CompositeCrl or a chain file. SCMS release 1.2.2
 * changed it; files without ballots are the same in both.
 */
enum dot2_ballots {
    DOT2_BALLOTS_122 = 0, /* that of 1.2.2 */
    DOT2_BALLOTS_121      /* that of 1.2.2, or else the one before */
};
/*
 * Takes all lists of a CompositeCrl, or none if one of them is not good. *count is the number of
 * entries of revokedRootCAs and revokedElectors, which are not evaluated.
 */
enum dot2_status dot2_trust_add_composite_crl(dot2_trust *trust, const uint8_t *octets, size_t size,
                                              enum dot2_ballots ballots, uint32_t time,
                                              size_t *lists, size_t *count,
                                              struct dot2_error *error);
/*
 * What a SecuredCrl says about itself, without a look at its signature (current is false): for who
 * has verified it before. DOT2_E_DECODE, DOT2_E_MESSAGE.
 */
enum dot2_status dot2_crl_peek(const uint8_t *octets, size_t size, struct dot2_crl_info *info,
                               struct dot2_error *error);

/* A CompositeCrl taken apart. Nobody signs it as a whole: each list has its own signature. */
struct dot2_composite_crl {
    coer_arena *arena;
    struct coer_span *crls; /* count of them, each a SecuredCrl, in the caller's octets */
    size_t count;
    size_t root_ballots, elector_ballots; /* of revokedRootCAs and revokedElectors */
};
/* DOT2_E_DECODE, and then there is nothing to clear. Verifies nothing. */
enum dot2_status dot2_composite_crl_parse(const uint8_t *octets, size_t size,
                                          enum dot2_ballots ballots,
                                          struct dot2_composite_crl *composite,
                                          struct dot2_error *error);
void dot2_composite_crl_clear(struct dot2_composite_crl *composite);

/*
 * For a trust that is to replace another: the lists in force there hold here too, as far as no list
 * here has replaced them. *kept is their number. DOT2_E_MEMORY.
 */
enum dot2_status dot2_trust_keep_crls(dot2_trust *trust, const dot2_trust *from, size_t *kept);

/* The lists in force, and those not evaluated; returns their number, fills in at most capacity. */
size_t dot2_trust_crls(const dot2_trust *trust, struct dot2_crl_info *infos, size_t capacity);

#endif
