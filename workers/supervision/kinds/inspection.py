"""What the inspections of models and data sets have in common.

An upload may cost so much memory while it is inspected, and so many bytes afterwards: lists show many inspections at
once, and hold all of them in the memory of the API.
"""

from sqlalchemy.orm import Session

from app.contracts.codes import ProblemCode
from app.contracts.inspection import DatasetInspection, ModelInspection
from app.contracts.problem import refuse
from app.contracts.status import Stage
from app.jobs import lease as statements
from app.jobs import subjects
from workers.protocol.outcome import DatasetInspected, ModelInspected
from workers.supervision.held_job import HeldJob
from workers.supervision.record import guarded, shown_warnings

STAGES = (Stage.FETCH, Stage.INSPECT)
"""A checkpoint's or a program's has `export` besides."""

MAX_INSPECTION_BYTES = 2 << 20
"""As JSON. The 21,000 classes of the largest collection of pictures take a quarter of it."""

_ROOM_BYTES = 2 << 30
_ROOM_FOR_EACH_BYTE = 24


def inspection_room_bytes(uploaded_bytes: int) -> int:
    """Memory that no honest upload needs: of each byte in float16 become two, which an export holds four times at most,
    and an archive packs weights to a third at best. A graph of a kilobyte can make a runtime take all there is."""
    return _ROOM_BYTES + _ROOM_FOR_EACH_BYTE * uploaded_bytes


def require_short(
    found: ModelInspection | DatasetInspection, *, code: ProblemCode, what_takes: str, hint: str | None = None
) -> None:
    """Names, or numbers of them, beyond any real file's are not kept. Raises ProblemFound."""
    found_bytes = len(found.model_dump_json())
    if found_bytes > MAX_INSPECTION_BYTES:
        raise refuse(code, f"{what_takes} {found_bytes} bytes; {MAX_INSPECTION_BYTES} is the limit.", hint=hint)


def inspected(session: Session, held: HeldJob, found: ModelInspected | DatasetInspected) -> None:
    """The inspection is over, and what it is about is ready."""
    warnings = shown_warnings(found.warnings)
    guarded(session, statements.succeed(held.lease, result={}, stages=held.record.finished(), warnings=warnings))
    session.execute(subjects.ready(held.job, inspection=found.inspection.model_dump(mode="json"), warnings=warnings))
