/*
 * All generated types, through the roots that lead to them.
 *
 * asn1c's names: a hyphen becomes an underscore (x-only: x_only), and an identifier that is a word
 * of C++ begins with a capital (explicit: Explicit, public: Public). Alternatives are numbered
 * TYPE_PR_identifier.
 */
#ifndef DOT2HSM_ASN1_TYPES_H
#define DOT2HSM_ASN1_TYPES_H

#include "Certificate.h"
#include "CertificateChainFiles.h"
#include "CompositeCrl.h"
#include "CrlContents.h"
#include "CrlSsp.h"
#include "EcaEndEntityError.h"
#include "ExplicitCertificate.h"
#include "Ieee1609Dot2Data.h"
#include "ImplicitCertificate.h"
#include "PlaintextCertificateResponse.h"
#include "PolicyFiles.h"
#include "ScmsFile.h"
#include "ScmsPDU.h"
#include "ScmsSsp.h"
#include "SecuredCrl.h"
#include "SignedCertificateRequest.h"
#include "ToBeSignedEncryptedCertificateResponse.h"

#endif
