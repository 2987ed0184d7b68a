"""Rows that have had their time: results that no job uses, answers kept for repeated requests, ended uploads."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, delete, func, literal, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.dml import ReturningDelete
from sqlalchemy.sql.elements import ColumnElement, SQLColumnExpression

from app.contracts.status import UploadStatus
from app.garbage.found import Kind
from app.idempotency.expiry import KEPT
from app.tables import Base, IdempotencyKey, JobStep, Upload

BATCH = 500
"""Rows that one transaction removes."""
ENDED_UPLOAD_SECONDS = 7 * 24 * 3600.0
"""After its expiry, however it ended: until then its owner may ask what became of it."""

OPEN_UPLOADS = (UploadStatus.PENDING, UploadStatus.VERIFYING)


@dataclass(frozen=True)
class OldRows:
    """Rows of one table that may go."""

    kind: Kind
    table: type[Base]
    key: tuple[InstrumentedAttribute[Any], ...]
    """The primary key. The tenant comes first or not at all, the name last."""
    tenant_id: InstrumentedAttribute[str]
    bytes: SQLColumnExpression[int]
    dated: InstrumentedAttribute[Any]
    older_than_seconds: float
    unless: ColumnElement[bool] | None = None

    def some(self) -> Select[Any]:
        """The first of them: tenant, name, bytes, age in seconds."""
        return select(*self._shown()).where(*self._old()).order_by(*self.key)

    def remove_some(self) -> ReturningDelete[*tuple[Any, ...]]:
        """Remove a batch; the answer has the columns of `some`."""
        chosen = select(*self.key).where(*self._old()).limit(BATCH).with_for_update(skip_locked=True)
        removed = delete(self.table).where(tuple_(*self.key).in_(chosen), *self._old()).returning(*self._shown())
        return removed.execution_options(synchronize_session=False)

    def _shown(self) -> tuple[ColumnElement[Any], ...]:
        age = func.extract("epoch", func.clock_timestamp() - self.dated)
        return (
            self.tenant_id.label("tenant_id"),
            self.key[-1].label("name"),
            self.bytes.label("bytes"),
            age.label("age"),
        )

    def _old(self) -> list[ColumnElement[bool]]:
        old = self.dated < func.clock_timestamp() - timedelta(seconds=self.older_than_seconds)
        return [old] if self.unless is None else [old, ~self.unless]


def old_rows(*, step_retention_seconds: float) -> tuple[OldRows, ...]:
    return (
        OldRows(
            "step",
            JobStep,
            (JobStep.tenant_id, JobStep.key),
            JobStep.tenant_id,
            JobStep.bytes,
            JobStep.last_used_at,
            step_retention_seconds,
        ),
        OldRows(
            "idempotency_key",
            IdempotencyKey,
            (IdempotencyKey.tenant_id, IdempotencyKey.operation, IdempotencyKey.key),
            IdempotencyKey.tenant_id,
            literal(0),
            IdempotencyKey.created_at,
            KEPT.total_seconds(),
        ),
        OldRows(
            "upload",
            Upload,
            (Upload.id,),
            Upload.tenant_id,
            literal(0),
            Upload.expires_at,
            ENDED_UPLOAD_SECONDS,
            unless=Upload.status.in_(OPEN_UPLOADS),
        ),
    )
