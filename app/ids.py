"""Identifiers: a prefix that says what it is, and a UUIDv7, so that the order of ids is the order of creation."""

from typing import Literal

import uuid_utils

Prefix = Literal["file", "mdl", "ds", "job", "var", "art", "tnt", "req", "upl", "whk", "whd", "wrk"]


def new_id(prefix: Prefix) -> str:
    """`job_0198c5f1e2b37c4f9d2a6b1e8f3a5c7d`."""
    return f"{prefix}_{uuid_utils.uuid7().hex}"
