"""What a worker adds to a job's events: log lines, variants and artifacts.

Triggers write the rest (`status`, `stage`, `warning`, `done`) with the change that caused it. Like every other write of
an attempt these carry the lease's token: a statement that returns no row means that the lease is lost.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    CTE,
    Integer,
    String,
    and_,
    case,
    cast,
    column,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.dml import ReturningInsert

from app.contracts.status import LEASED
from app.jobs.lease import Lease
from app.tables import Artifact, Job, JobEvent, Variant

EventType = Literal["status", "stage", "warning", "log", "variant", "artifact", "done"]
"""What is stored. Streams also have `snapshot` and `progress`, which are the job's row as it is."""

MAX_MESSAGE_BYTES = 2048


class NewEvent(NamedTuple):
    type: EventType
    data: dict[str, Any]


def log_line(level: str, message: str, *, stage: str | None) -> NewEvent:
    """A line of the job's log; a long one is cut."""
    return NewEvent("log", {"level": level, "stage": stage, "message": _bounded(message)})


def variant_found(row: Variant) -> NewEvent:
    """A candidate and its figures; its layers are for whoever asks for them."""
    names = ("role", "label", "metrics", "admissible", "best")
    return NewEvent("variant", {"variant_id": row.id, **{name: getattr(row, name) for name in names}})


def artifact_stored(row: Artifact) -> NewEvent:
    names = ("variant_id", "kind", "filename", "media_type", "bytes", "sha256")
    return NewEvent("artifact", {"artifact_id": row.id, **{name: getattr(row, name) for name in names}})


def append(lease: Lease, events: Sequence[NewEvent]) -> ReturningInsert[int]:
    """Add events behind the job's last one; returns their numbers. No row: the lease is lost."""
    held = _held(lease, room=literal(len(events)), cut=literal(value=False))
    return _insert(held, list(events))


def append_log(lease: Lease, lines: Sequence[NewEvent], *, max_events: int) -> ReturningInsert[int]:
    """Add lines to the log while the job has fewer than `max_events` events, then one line that says that it ends.

    Past that point nothing is added, and no row does not mean that the lease is lost.
    """
    room = func.greatest(func.least(literal(len(lines)), max_events - 1 - Job.last_event), 0)
    marked = exists().where(JobEvent.job_id == Job.id, JobEvent.seq >= max_events, JobEvent.type == "log")
    held = _held(lease, room=room, cut=and_(room < len(lines), ~marked.correlate(Job)))
    end = log_line("warning", f"The log ends here: a job may have {max_events} events.", stage=None)
    return _insert(held, [*lines, end])


def _held(lease: Lease, *, room: Any, cut: Any) -> CTE:  # noqa: ANN401  two expressions over the job's row
    """The job, locked, with how many of the events fit behind its last one, and whether the log is cut off there."""
    return (
        select(
            Job.id,
            Job.tenant_id,
            Job.last_event,
            cast(room, Integer).label("room"),
            cut.label("cut"),
        )
        .where(Job.id == lease.job_id, Job.lease_token == lease.token, Job.status.in_(LEASED))
        .with_for_update()
        .cte("held")
    )


def _insert(held: CTE, events: Sequence[NewEvent]) -> ReturningInsert[int]:
    counted = (
        update(Job)
        .where(Job.id == held.c.id, held.c.room + cast(held.c.cut, Integer) > 0)
        .values(last_event=held.c.last_event + held.c.room + cast(held.c.cut, Integer))
        .cte("counted")
    )
    given = [{"position": n, "type": e.type, "data": e.data} for n, e in enumerate(events, start=1)]
    new = (
        func.jsonb_to_recordset(literal(given, JSONB))
        .table_valued(column("position", Integer), column("type", String), column("data", JSONB), name="new")
        .render_derived(with_types=True)
    )
    # the line that ends the log is the last one given, and comes behind those for which there was room
    ends = and_(held.c.cut, new.c.position == len(events))
    seq = held.c.last_event + case((ends, held.c.room + 1), else_=new.c.position)
    rows = (
        select(held.c.id, seq, held.c.tenant_id, new.c.type, new.c.data)
        .select_from(held.join(new, true()))
        .where(or_(new.c.position <= held.c.room, ends))
    )
    return (
        insert(JobEvent)
        .from_select(["job_id", "seq", "tenant_id", "type", "data"], rows)
        .add_cte(counted)
        .returning(JobEvent.seq)
    )


def _bounded(message: str) -> str:
    """At most `MAX_MESSAGE_BYTES` of UTF-8, without the one character that Postgres cannot store."""
    text = message.replace("\0", "\N{REPLACEMENT CHARACTER}")
    encoded = text.encode(errors="replace")
    return text if len(encoded) <= MAX_MESSAGE_BYTES else encoded[: MAX_MESSAGE_BYTES - 3].decode(errors="ignore") + "…"
