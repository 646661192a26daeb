"""Puts SPDUs together from their parts, octet by octet as protocol documents give them, so that what
is made here owes nothing to the codec under test.

  spdu.py tbs-download FILENAME OUT          ScmsPDU with an AuthenticatedDownloadRequest, time now
  spdu.py tbs-data PAYLOAD OUT               ToBeSignedData: unsecuredData of a file, psid 0x23
  spdu.py request TBS CERT SIGNATURE OUT     signedCertificateRequest, signer: certificate
  spdu.py signed TBSDATA CERT|HASHEDID8 SIGNATURE OUT
                                             signedData, signer: certificate or digest
  spdu.py encrypted HASHEDID8 CIPHERTEXT OUT encryptedData to a certificate; V, c and t are the
                                             published figures of IEEE 1609.2 for ECIES
"""
import os
import sys
import time


def read(path):
    with open(path, "rb") as file:
        return file.read()


def sized(octets):
    """An open octet string: X.696 length determinant and content."""
    size = len(octets)
    if size < 128:
        return bytes([size]) + octets
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(length)]) + length + octets


def tbs_download(filename):
    now = int(time.time()) - 1072915200 + 5
    return b"\x01\x83\x88\x00" + now.to_bytes(4, "big") + sized(filename.encode())


def tbs_data(payload):
    # payload.data present; unsecuredData; headerInfo with psid alone
    return b"\x40\x03\x80" + sized(payload) + b"\x00\x01\x23"


def signer_certificate(cert):
    return b"\x81\x01\x01" + cert


def request(tbs, cert, signature):
    return b"\x03\x83" + sized(b"\x00" + tbs + signer_certificate(cert) + signature)


def signed(tbs, signer, signature):
    if not os.path.exists(signer):
        return b"\x03\x81\x00" + tbs + b"\x80" + bytes.fromhex(signer) + signature
    return b"\x03\x81\x00" + tbs + signer_certificate(read(signer)) + signature


def encrypted(recipient, ciphertext):
    v = bytes.fromhex("f45a99137b1bb2c150d6d8cf7292ca07da68c003daa766a9af7f67f5ee916828")
    c = bytes.fromhex("a6342013d623ad6c5f6882469673ae33")
    t = bytes.fromhex("80e1d85d30f1bae4ecf1a534a89a0786")
    recipients = b"\x01\x01\x82" + bytes.fromhex(recipient) + b"\x80\x82" + v + c + t
    return b"\x03\x82" + recipients + b"\x80" + bytes(range(12)) + sized(ciphertext)


def main(verb, *args):
    out = args[-1]
    made = {
        "tbs-download": lambda: tbs_download(args[0]),
        "tbs-data": lambda: tbs_data(read(args[0])),
        "request": lambda: request(*(read(path) for path in args[:3])),
        "signed": lambda: signed(read(args[0]), args[1], read(args[2])),
        "encrypted": lambda: encrypted(args[0], read(args[1])),
    }[verb]()
    with open(out, "wb") as file:
        file.write(made)


main(*sys.argv[1:])
