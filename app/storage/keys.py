"""The names under which things are stored. Both stores use the same, so that a directory can be copied to a bucket.

Anything but plain names is a `ValueError`, which also keeps `..` and `/` out of paths.
"""

import re

PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
SHA256 = re.compile(r"[0-9a-f]{64}")
OBJECTS = "t/"  # all objects are below this
UPLOADS = "staging/uploads/"  # and all uploads in parts below this


def object_key(*, tenant_id: str, sha256: str) -> str:
    """`t/{tenant}/sha256/{aa}/{digest}`: equal files of two tenants are two objects, so neither can tell that the other
    has one; `aa` keeps a directory's listing short.
    """
    _require_plain("a tenant id", tenant_id)
    if not SHA256.fullmatch(sha256):
        raise ValueError(f"a sha256 is 64 lower-case hexadecimal digits, not {sha256!r}")
    return f"{OBJECTS}{tenant_id}/sha256/{sha256[:2]}/{sha256}"


def tenant_and_digest(key: str) -> tuple[str, str] | None:
    """The reverse of `object_key`, or None for what it cannot have made."""
    tenant_id, _, rest = key.removeprefix(OBJECTS).partition("/")
    sha256 = rest.rpartition("/")[2]
    if not PLAIN_NAME.fullmatch(tenant_id) or not SHA256.fullmatch(sha256):
        return None
    return (tenant_id, sha256) if key == object_key(tenant_id=tenant_id, sha256=sha256) else None


def upload_key(*, tenant_id: str, upload_id: str) -> str:
    _require_plain("a tenant id", tenant_id)
    _require_plain("an upload id", upload_id)
    return f"{UPLOADS}{tenant_id}/{upload_id}"


def tenant_and_upload(key: str) -> tuple[str, str] | None:
    """The reverse of `upload_key`, or None for what it cannot have made."""
    tenant_id, _, upload_id = key.removeprefix(UPLOADS).partition("/")
    ours = key.startswith(UPLOADS) and PLAIN_NAME.fullmatch(tenant_id) and PLAIN_NAME.fullmatch(upload_id)
    return (tenant_id, upload_id) if ours else None


def _require_plain(what: str, name: str) -> None:
    if not PLAIN_NAME.fullmatch(name):
        raise ValueError(f"{what} is 1 to 64 letters, digits, '_' and '-', not {name!r}")
