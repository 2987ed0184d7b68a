"""The name under which an object is stored. Both stores use the same, so that a directory can be copied to a bucket."""

import re

TENANT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
SHA256 = re.compile(r"[0-9a-f]{64}")


def object_key(*, tenant_id: str, sha256: str) -> str:
    """`t/{tenant}/sha256/{aa}/{digest}`: equal files of two tenants are two objects, so neither can tell that the other
    has one; `aa` keeps a directory's listing short.

    Raises `ValueError` for anything but plain names, which also keeps `..` and `/` out of paths.
    """
    if not TENANT_ID.fullmatch(tenant_id):
        raise ValueError(f"a tenant id is 1 to 64 letters, digits, '_' and '-', not {tenant_id!r}")
    if not SHA256.fullmatch(sha256):
        raise ValueError(f"a sha256 is 64 lower-case hexadecimal digits, not {sha256!r}")
    return f"t/{tenant_id}/sha256/{sha256[:2]}/{sha256}"
