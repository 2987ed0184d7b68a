"""Results of a job's steps, taken from the store before its process starts and put there as it finishes them.

They are found by key within one tenant (`workers.protocol.step_keys`). What the process says is not trusted: it chooses
neither the key nor the place, and what it leaves under its own key is read again by processes alone, which check it.
A result that cannot be kept or found costs time and nothing else.
"""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import structlog
from sqlalchemy import func, or_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.jobs import lease as statements
from app.storage import ChecksumMismatch, ObjectMissing, StorageError
from app.tables import JobStep
from workers.protocol.events import ReusedEvent, StepEvent
from workers.protocol.step_keys import STEP_FOLDER, StepName, part_key, step_file_name, step_keys
from workers.protocol.tasks import QuantizeTask
from workers.supervision.held_job import HeldJob
from workers.supervision.interruption import LeaseLost
from workers.supervision.plain_file import opened_plain
from workers.supervision.transfers import FileStore

log = structlog.get_logger("lowbit.steps")

MAX_KEPT_BYTES = 3 << 30
"""The process keeps to a lower limit of its own; this one is for a process that does not."""

MAX_PARTS = 256
"""Candidates of one recipe: a process could name as many as it likes, and each is a file of the size of a model."""

_NEW = {"created_at": func.clock_timestamp(), "last_used_at": func.clock_timestamp()}


class _Result(NamedTuple):
    """What is kept of one step, or of one part of it."""

    name: StepName
    part: str | None = None

    @property
    def file(self) -> str:
        return step_file_name(self.name, self.part)


@dataclass
class Steps:
    held: HeldJob
    store: FileStore
    scratch: Path
    task: QuantizeTask
    _makers: dict[_Result, str] = field(default_factory=dict)
    """Which job made the results that were brought."""
    _shown: list[dict[str, str]] = field(default_factory=list)
    _named: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        keys = step_keys(self.task)
        self._keys = {} if keys is None else {_Result(step.name): step.key for step in keys.whole}
        self._family = None if keys is None else keys.candidates

    def bring(self) -> tuple[str, ...]:
        """Put the results that are known into the scratch folder, verified; returns their files.

        The last step stands for all others but the candidates: where it and they are there, no earlier one is brought.
        """
        if not self._keys:
            return ()
        (self.scratch / STEP_FOLDER).mkdir(mode=0o700, exist_ok=True)
        known = self.held.write(self._known)
        *earlier, last = self._keys
        parts = [found for found in known if found.part is not None]
        kept = [found for found in (*parts, last) if found in known]
        there = [found for found in kept if self._fetched(found, known[found])]
        if last not in there or there != kept:
            there += [found for found in earlier if found in known and self._fetched(found, known[found])]
        return tuple(found.file for found in there)

    def take(self, event: StepEvent | ReusedEvent) -> None:
        """Keep what the process has finished; show what it did not have to do. Raises LeaseLost."""
        result = _Result(event.name, event.part)
        if isinstance(event, ReusedEvent):
            self._show_reused(result)
        elif self._key(result) is not None and event.file == result.file and self._has_room(result):
            self._keep(result)

    def _key(self, result: _Result) -> str | None:
        """None for what no job of this kind keeps."""
        if result.part is None:
            return self._keys.get(result)
        is_part = result.name == "candidate" and self._family is not None
        return part_key(self._family or "", result.part) if is_part else None

    def _has_room(self, result: _Result) -> bool:
        if result.part is not None:
            self._named.add(result.part)
        return len(self._named) <= MAX_PARTS

    def _known(self, session: Session) -> dict[_Result, JobStep]:
        """Marked as used, so that upkeep leaves them where they are."""
        statement = (
            update(JobStep)
            .where(JobStep.tenant_id == self.held.job.tenant_id)
            .where(or_(JobStep.key.in_(self._keys.values()), JobStep.family == self._family))
            .values(last_used_at=func.clock_timestamp())
            .returning(JobStep)
            .execution_options(synchronize_session=False)
        )
        rows = list(session.scalars(statement))
        by_key = {row.key: row for row in rows}
        whole = {result: by_key[key] for result, key in self._keys.items() if key in by_key}
        parts = sorted((row for row in rows if row.part is not None), key=lambda row: row.part or "")[:MAX_PARTS]
        return {**whole, **{_Result("candidate", row.part): row for row in parts}}

    def _fetched(self, result: _Result, row: JobStep) -> bool:
        path = self.scratch / STEP_FOLDER / result.file
        try:
            self.store.download(path, tenant_id=row.tenant_id, sha256=row.sha256)
        except (ObjectMissing, ChecksumMismatch) as error:
            log.warning("result of a step is lost", step=result.file, sha256=row.sha256, error=type(error).__name__)
            return False
        self._makers[result] = row.job_id
        return True

    def _keep(self, result: _Result) -> None:
        try:
            sha256, size = self._stored(self.scratch / STEP_FOLDER / result.file)
        except (StorageError, OSError) as error:
            log.warning("result of a step is not kept", step=result.file, error=str(error))
            return
        self.held.write(lambda session: self._insert(session, result, sha256, size))

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

    def _insert(self, session: Session, result: _Result, sha256: str, size: int) -> None:
        """A row that is there already is replaced: its object was lost, or no process could use what it held."""
        settings = self.held.settings
        if session.scalar(statements.beat(self.held.lease, lease_seconds=settings.lease_seconds)) is None:
            raise LeaseLost
        row = {
            "name": result.name,
            "part": result.part,
            "family": None if result.part is None else self._family,
            "sha256": sha256,
            "bytes": size,
            "job_id": self.held.job.id,
            **_NEW,
        }
        insertion = insert(JobStep).values(tenant_id=self.held.job.tenant_id, key=self._key(result), **row)
        session.execute(insertion.on_conflict_do_update(index_elements=["tenant_id", "key"], set_=row))

    def _show_reused(self, result: _Result) -> None:
        """Candidates as one step, and not beside the last one, which stands for them."""
        if result not in self._makers or (result.part is not None and _Result("quantize") in self._makers):
            return
        shown = {"step": result.name, "job_id": self._makers[result]}
        if shown in self._shown:
            return
        self._shown.append(shown)
        if self.held.write(lambda s: s.scalar(statements.reused(self.held.lease, steps=[shown]))) is None:
            raise LeaseLost
