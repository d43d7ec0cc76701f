"""Writes vectors.json: sets of recovery codes, computed apart from the Go code.

    pip install cryptography
    python3 vectors.py

Only Argon2id (RFC 9106) is from the package "cryptography" (OpenSSL), and is
checked against that RFC's test vector first; the rest is Python's standard library.
"""

import base64
import hashlib
import hmac
import json

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

assert Argon2id(
    salt=b"\x02" * 16, length=32, iterations=3, lanes=4, memory_cost=32, ad=b"\x04" * 12, secret=b"\x03" * 8
).derive(b"\x01" * 32).hex() == "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


def hkdf(secret, label):
    prk = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    return hmac.new(prk, label + b"\x01", hashlib.sha256).digest()


vectors = []
for n in range(2):
    secret = hashlib.sha256(b"twofa test secret %d" % n).digest()
    random = hashlib.shake_256(b"random %d" % n).digest(16 + 10 * 10)
    salt = random[:16]
    codes, macs = [], []
    for i in range(10):
        number = int.from_bytes(random[16 + 10 * i : 26 + 10 * i], "big")
        code = "".join(ALPHABET[number >> shift & 31] for shift in range(75, -1, -5))
        slow = Argon2id(salt=salt, length=32, iterations=5, lanes=1, memory_cost=7 * 1024).derive(code.encode())
        codes.append("-".join(code[j : j + 4] for j in range(0, 16, 4)))
        macs.append(hmac.new(hkdf(secret, b"twofa/v1/recovery"), slow, hashlib.sha256).hexdigest())
    vectors.append({
        "secret": base64.b64encode(secret).decode(),
        "random": random.hex(),
        "salt": salt.hex(),
        "codes": codes,
        "macs": macs,
    })
with open("vectors.json", "w") as f:
    json.dump(vectors, f, indent="\t")
    f.write("\n")
