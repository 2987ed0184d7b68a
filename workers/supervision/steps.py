"""Results of a job's steps, taken from the store before its process starts and put there as it finishes them.

They are found by key within one tenant (`workers.protocol.step_keys`). What the process says is not trusted: it chooses
neither the key nor the place, and what it leaves under its own key is read again by processes alone, which check it.
A result that cannot be kept or found costs time and nothing else.
"""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.jobs import lease as statements
from app.storage import ChecksumMismatch, ObjectMissing, StorageError
from app.tables import JobStep
from workers.protocol.events import ReusedEvent, StepEvent
from workers.protocol.step_keys import STEP_FOLDER, StepName, step_file_name, steps_of
from workers.protocol.tasks import QuantizeTask
from workers.supervision.heartbeat import LeaseLost
from workers.supervision.held_job import HeldJob
from workers.supervision.plain_file import opened_plain
from workers.supervision.transfers import FileStore

log = structlog.get_logger("lowbit.steps")

MAX_KEPT_BYTES = 3 << 30
"""The process keeps to a lower limit of its own; this one is for a process that does not."""


_NEW = {"created_at": func.clock_timestamp(), "last_used_at": func.clock_timestamp()}


@dataclass
class Steps:
    held: HeldJob
    store: FileStore
    scratch: Path
    task: QuantizeTask
    _makers: dict[StepName, str] = field(default_factory=dict)
    """Which job made the results that were brought."""

    def __post_init__(self) -> None:
        self._keys = dict(steps_of(self.task))

    def bring(self) -> tuple[StepName, ...]:
        """Put the results that are known into the scratch folder, verified; returns their steps.

        The last step stands for all others: where its result is there, theirs are not brought.
        """
        if not self._keys:
            return ()
        (self.scratch / STEP_FOLDER).mkdir(mode=0o700, exist_ok=True)
        known = self.held.write(self._known)
        *earlier, last = self._keys
        if last in known and self._fetched(last, known[last]):
            return (last,)
        return tuple(name for name in earlier if name in known and self._fetched(name, known[name]))

    def take(self, event: StepEvent | ReusedEvent) -> None:
        """Keep what the process has finished; show what it did not have to do. Raises LeaseLost."""
        if isinstance(event, ReusedEvent):
            self._show_reused(event.name)
        elif event.name in self._keys and event.file == step_file_name(event.name):
            self._keep(event.name)

    def _known(self, session: Session) -> dict[StepName, JobStep]:
        """Marked as used, so that upkeep leaves them where they are."""
        statement = (
            update(JobStep)
            .where(JobStep.tenant_id == self.held.job.tenant_id, JobStep.key.in_(self._keys.values()))
            .values(last_used_at=func.clock_timestamp())
            .returning(JobStep)
            .execution_options(synchronize_session=False)
        )
        by_key = {row.key: row for row in session.scalars(statement)}
        return {name: by_key[key] for name, key in self._keys.items() if key in by_key}

    def _fetched(self, name: StepName, row: JobStep) -> bool:
        path = self.scratch / STEP_FOLDER / step_file_name(name)
        try:
            self.store.download(path, tenant_id=row.tenant_id, sha256=row.sha256)
        except (ObjectMissing, ChecksumMismatch) as error:
            log.warning("result of a step is lost", step=name, sha256=row.sha256, error=type(error).__name__)
            return False
        self._makers[name] = row.job_id
        return True

    def _keep(self, name: StepName) -> None:
        try:
            sha256, size = self._stored(self.scratch / STEP_FOLDER / step_file_name(name))
        except (StorageError, OSError) as error:
            log.warning("result of a step is not kept", step=name, error=str(error))
            return
        self.held.write(lambda session: self._insert(session, name, sha256, size))

    def _stored(self, file: Path) -> tuple[str, int]:
        """(sha256, bytes)"""
        with opened_plain(file) as descriptor:
            size = os.fstat(descriptor).st_size
            if size > MAX_KEPT_BYTES:
                raise OSError(f"{size} bytes are too many")
            # through the descriptor: the name might change hands in between
            path = Path(f"/proc/self/fd/{descriptor}")
            with path.open("rb") as opened:
                sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
            self.store.put_file(path, tenant_id=self.held.job.tenant_id, sha256=sha256)
        return sha256, size

    def _insert(self, session: Session, name: StepName, sha256: str, size: int) -> None:
        """A row that is there already is replaced: its object was lost, or no process could use what it held."""
        settings = self.held.settings
        if session.scalar(statements.beat(self.held.lease, lease_seconds=settings.lease_seconds)) is None:
            raise LeaseLost
        row = {"name": name, "sha256": sha256, "bytes": size, "job_id": self.held.job.id, **_NEW}
        insertion = insert(JobStep).values(tenant_id=self.held.job.tenant_id, key=self._keys[name], **row)
        session.execute(insertion.on_conflict_do_update(index_elements=["tenant_id", "key"], set_=row))

    def _show_reused(self, name: StepName) -> None:
        if name in self._makers:
            steps = [{"step": name, "job_id": self._makers[name]}]
            if self.held.write(lambda s: s.scalar(statements.reused(self.held.lease, steps=steps))) is None:
                raise LeaseLost
