"""Which workers are alive: each one writes a row about itself every few seconds, by the database's clock."""

from typing import NamedTuple

from sqlalchemy import Delete, Insert, Select, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.elements import ColumnElement

from app.contracts.status import Queue
from app.tables import Worker
from app.targets.queues import QUEUE_OF_TARGET

REFRESH_SECONDS = 10.0
LIVE_SECONDS = 30.0
"""A worker that was not seen for so long is taken for dead: it missed two refreshes and most of a third."""
FORGOTTEN_SECONDS = 24 * 3600.0

SERVED_QUEUES: frozenset[str] = frozenset({Queue.INSPECT, *QUEUE_OF_TARGET.values()})
"""Queues that a request can put work into: each needs a worker for the service to be whole."""


class Presence(NamedTuple):
    """What a worker says of itself."""

    id: str
    hostname: str
    pid: int
    queues: list[str]
    slots: int
    version: str


def present(worker: Presence) -> Insert:
    """Enter a worker, or note that it is still there."""
    entry = insert(Worker).values(**worker._asdict())
    return entry.on_conflict_do_update(index_elements=[Worker.id], set_={"seen_at": func.clock_timestamp()})


def gone(worker_id: str) -> Delete:
    """Strike out a worker that stops."""
    return delete(Worker).where(Worker.id == worker_id)


def forgotten() -> Delete:
    """Strike out workers that fell silent so long ago that nobody asks for them."""
    return delete(Worker).where(Worker.seen_at < _ago(FORGOTTEN_SECONDS))


def live_by_queue() -> Select[str, int, int]:
    """Queues with the number of live workers and of the jobs that they can run at once."""
    queue = func.jsonb_array_elements_text(Worker.queues).column_valued("queue", joins_implicitly=True)
    return (
        select(queue, func.count(), func.sum(Worker.slots))
        .select_from(Worker)
        .where(Worker.seen_at > _ago(LIVE_SECONDS))
        .group_by(queue)
    )


def _ago(seconds: float) -> ColumnElement[object]:
    return func.clock_timestamp() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)
