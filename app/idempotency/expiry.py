"""How long an answer is repeated."""

from datetime import timedelta

from sqlalchemy import Delete, delete, func

from app.tables import IdempotencyKey

KEPT = timedelta(hours=24)
"""A client that repeats a request does so within the day."""


def forget_old() -> Delete:
    """Remove the answers that are not repeated any more."""
    return delete(IdempotencyKey).where(IdempotencyKey.created_at < func.clock_timestamp() - KEPT)
