"""Writes vectors.json: keys, MACs and sealed boxes, computed apart from the Go code.

    pip install cryptography
    python3 vectors.py

HKDF-SHA256 (RFC 5869, no salt, 32 bytes) and HMAC-SHA256 are from Python's
standard library; the first is checked against RFC 5869's test case 3. Only
AES-256-GCM is from the package "cryptography" (OpenSSL).
"""

import base64
import hashlib
import hmac
import json

from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def hkdf(secret, label, length=32):
    prk = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    out, block = b"", b""
    for i in range(1, (length + 31) // 32 + 1):
        block = hmac.new(prk, block + label + bytes([i]), hashlib.sha256).digest()
        out += block
    return out[:length]


assert hkdf(b"\x0b" * 22, b"", 42).hex() == (
    "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
)


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


vectors = []
for n, (size, text) in enumerate([(32, "+14155550123"), (33, ""), (48, "Zoë, \U0001f511"), (64, "x" * 300)]):
    secret = hashlib.sha512(b"twofa test secret %d" % n).digest()[:size]
    id = hkdf(secret, b"twofa/v1/key-id")[:4]
    nonce = hashlib.sha256(b"nonce %d" % n).digest()[:12]
    place = "place-%d" % n
    box = AESGCM(hkdf(secret, b"twofa/v1/seal")).encrypt(nonce, text.encode(), place.encode())
    vectors.append({
        "setting": base64.b64encode(secret).decode(),
        "text": text,
        "key_id": id.hex(),
        "code_mac": mac(hkdf(secret, b"twofa/v1/code"), text.encode()).hex(),
        "recovery_mac": mac(hkdf(secret, b"twofa/v1/recovery"), text.encode()).hex(),
        "index": mac(hkdf(secret, b"twofa/v1/index"), text.encode()).hex(),
        "place": place,
        "box": (id + nonce + box).hex(),
    })
with open("vectors.json", "w") as f:
    json.dump(vectors, f, indent="\t")
    f.write("\n")
