"""The form of a key: `lb_<id>_<secret><checksum>`.

The prefix and the checksum let secret scanners recognise a leaked key without asking the service. Only the sha256 of
the secret is stored; it needs no slow hash, as the secret carries 256 bits of chance.
"""

import hashlib
import secrets
import string
import sys
import zlib
from typing import NamedTuple

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_LENGTH = 12
SECRET_LENGTH = 43  # 62**43 > 2**256
CHECKSUM_LENGTH = 6  # 62**6 > 2**32


class Key(NamedTuple):
    id: str
    secret: str

    def text(self) -> str:
        """The key as its owner keeps it."""
        head = f"lb_{self.id}_{self.secret}"
        return head + _checksum(head)

    def secret_sha256(self) -> bytes:
        return hashlib.sha256(self.secret.encode()).digest()


def generate() -> Key:
    return Key(_random(ID_LENGTH), _random(SECRET_LENGTH))


def parse(text: str) -> Key | None:
    """The key that a text spells, or None: wrong form, or a typing error that the checksum shows."""
    head, checksum = text[:-CHECKSUM_LENGTH], text[-CHECKSUM_LENGTH:]
    prefix, _, rest = head.partition("_")
    key_id, _, secret = rest.partition("_")
    if prefix != "lb" or len(key_id) != ID_LENGTH or len(secret) != SECRET_LENGTH:
        return None
    if not (key_id + secret).isascii() or not (key_id + secret).isalnum():
        return None
    return Key(key_id, secret) if checksum == _checksum(head) else None


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _checksum(head: str) -> str:
    value = zlib.crc32(head.encode("ascii", "replace"))
    digits = []
    for _ in range(CHECKSUM_LENGTH):
        value, digit = divmod(value, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


if __name__ == "__main__":
    # `python -m app.auth.keys` makes a value for LOWBIT_ADMIN_KEY
    sys.stdout.write(generate().text() + "\n")
