"""The digest that a client announces beside the bytes it sends (Repr-Digest or Content-Digest, RFC 9530)."""

import base64
import binascii
import re

from starlette.datastructures import Headers

from app.contracts.problem import refuse


def announced_sha256(headers: Headers) -> str | None:
    """In hexadecimal digits, or None where no sha-256 is announced; other algorithms are no concern of ours."""
    announced = headers.get("repr-digest") or headers.get("content-digest") or ""
    found = re.search(r"sha-256=:([A-Za-z0-9+/=]{44}):", announced)
    if found is None and "sha-256=" not in announced:
        return None
    try:
        return base64.b64decode(found.group(1) if found else "?", validate=True).hex()
    except binascii.Error as error:
        hint = "Send it as `Repr-Digest: sha-256=:...:`, with the 32 bytes in base64 between the colons."
        raise refuse("bad_request", "The digest header is not well formed.", hint=hint) from error
