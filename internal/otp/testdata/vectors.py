"""Writes codes.json and digits.txt, with nothing but Python's standard library.

    python3 vectors.py

codes.json: codes as docs/architecture.md describes them, computed here from the secret on:
HKDF-SHA256 (RFC 5869, no salt), HMAC-SHA256 over id, nonce and a counter of 32
bits, bytes that would favour a symbol left out.

digits.txt: every decimal digit of Python's Unicode database with its value.
"""

import hashlib
import hmac
import json
import unicodedata


def hkdf(secret, label):
    prk = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    return hmac.new(prk, label + b"\x01", hashlib.sha256).digest()


def code(secret, id, nonce, symbols, length):
    key = hkdf(secret, b"twofa/v1/code")
    limit = 256 // len(symbols) * len(symbols)
    out, block = "", 0
    while True:
        message = id.encode() + nonce + block.to_bytes(4, "big")
        for byte in hmac.new(key, message, hashlib.sha256).digest():
            if byte < limit:
                out += symbols[byte % len(symbols)]
                if len(out) == length:
                    return out
        block += 1


DIGITS = "0123456789"
ALPHANUMERIC = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

vectors = []
for n in range(12):
    secret = hashlib.sha256(b"twofa test secret %d" % n).digest() + bytes(range(n))
    id = "VE" + hashlib.sha256(b"id %d" % n).hexdigest()[:32]
    nonce = hashlib.sha256(b"nonce %d" % n).digest()[:16]
    alphabet, symbols = [("digits", DIGITS), ("alphanumeric", ALPHANUMERIC)][n % 2]
    length = 4 + n % 7
    vectors.append({
        "secret": secret.hex(), "id": id, "nonce": nonce.hex(), "alphabet": alphabet,
        "length": length, "code": code(secret, id, nonce, symbols, length),
    })
with open("codes.json", "w") as f:
    json.dump(vectors, f, indent="\t")
    f.write("\n")

with open("digits.txt", "w") as f:
    f.write("# Unicode %s, by vectors.py: code point, value\n" % unicodedata.unidata_version)
    for point in range(0x110000):
        value = unicodedata.decimal(chr(point), None)
        if value is not None:
            f.write("%04X %d\n" % (point, value))
