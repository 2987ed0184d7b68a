"""Signatures of the Standard Webhooks specification 1.0, symmetric form (`v1`): HMAC-SHA256 over `id.timestamp.body`.

A receiver checks the signature with the shared secret, the timestamp against replay, and the id against duplicates.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import secrets

SECRET_BYTES = 32
"""The specification asks for 24 to 64."""
SECRET_PREFIX = "whsec_"  # noqa: S105  what marks a secret, not one


def new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def secret_text(secret: bytes) -> str:
    """The secret as its owner keeps it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def signed_headers(body: bytes, *, secret: bytes, message_id: str, timestamp: int) -> dict[str, str]:
    """The headers of one attempt. The id stays the same when it is repeated; the timestamp is that of the attempt."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(secret, signed, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
