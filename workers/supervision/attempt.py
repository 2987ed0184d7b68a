"""One attempt at one job, from the claim to its end. Every way in which it can end is written down here once."""

import errno
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy.orm import Session, sessionmaker

from app.contracts.codes import ProblemCode
from app.contracts.problem import problem
from app.contracts.status import QUANTIZE_STAGES, JobKind, Stage
from app.jobs import lease as statements
from app.settings import Settings
from app.storage import ObjectStore, StorageError
from app.tables import Job
from workers.pipeline.protocol import Event, Finished, Outcome, Quantized
from workers.supervision import job_process, record
from workers.supervision.heartbeat import CancelRequested, Heartbeat, LeaseLost
from workers.supervision.inputs import Inputs
from workers.supervision.job_process import ProcessCrashed
from workers.supervision.record import OutputNotPlain, lease_of
from workers.supervision.scratch import attempt_folder
from workers.supervision.shutdown import SHUTDOWN
from workers.supervision.stages import StageRecord

log = structlog.get_logger("lowbit.attempt")

INSPECTION_STAGES = (Stage.FETCH, Stage.INSPECT)


class ShuttingDown(Exception):
    """This worker was told to stop."""


@dataclass
class Attempt:
    job: Job
    settings: Settings
    sessions: sessionmaker[Session]
    store: ObjectStore

    def __post_init__(self) -> None:
        stages = QUANTIZE_STAGES if self.job.kind == JobKind.QUANTIZE else INSPECTION_STAGES
        self.record = StageRecord(stages)
        self.heartbeat = Heartbeat(lease_of(self.job), self.sessions, lease_seconds=self.settings.lease_seconds)

    def see_through(self) -> None:
        """Do the work and record its end. Returns normally, however the job ended."""
        name = f"{self.job.id}-{self.job.lease_token}"
        try:
            with self.heartbeat, attempt_folder(self.settings.require_scratch_dir(), name) as scratch:
                self._work(scratch)
        except LeaseLost:
            log.warning("lease lost; nothing is written")

    def _work(self, scratch: Path) -> None:
        try:
            self._finish(self._outcome(scratch), scratch)
        except CancelRequested:
            with self.sessions.begin() as session:
                session.execute(statements.cancelled(lease_of(self.job)))
            log.info("job cancelled")
        except ShuttingDown:
            with self.sessions.begin() as session:
                session.execute(statements.give_back(lease_of(self.job)))
            log.info("job given back")
        except ProcessCrashed as crash:
            self._try_again("worker_lost", f"The job's process died: {crash}.")
        except OutputNotPlain as error:
            self._try_again("worker_lost", f"The job's process left an output that is not a plain file: {error}.")
        except StorageError as error:
            log.warning("store failed", error=str(error))
            self._try_again("artifact_store_unavailable", "The object store could not be used.")
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            with self.sessions.begin() as session:
                full = problem("insufficient_scratch", "The worker's disk is full.")
                record.refused(session, self.job, full, self.record)

    def _outcome(self, scratch: Path) -> Outcome:
        self._enter(Stage.FETCH)
        with self.sessions() as session:
            inputs = Inputs(session, self.job, self.settings)
        inputs.bring(self.store, scratch)
        return job_process.run(
            scratch,
            memory_bytes=self.settings.job_memory_bytes,
            on_event=self._on_event,
            check=self._check,
        )

    def _finish(self, outcome: Outcome, scratch: Path) -> None:
        if not isinstance(outcome, Finished):
            with self.sessions.begin() as session:
                record.refused(session, self.job, outcome.problem, self.record)
            log.info("job failed", code=outcome.problem.code)
            return
        if isinstance(outcome.ok, Quantized):
            result = outcome.ok.outcome
            artifacts = record.stored(self.job, result, scratch, self.store, self._check)
            with self.sessions.begin() as session:
                record.quantized(session, self.job, result, artifacts, self.record)
        else:
            with self.sessions.begin() as session:
                record.inspected(session, self.job, outcome.ok, self.record)
        log.info("job succeeded")

    def _check(self) -> None:
        self.heartbeat.check()
        if SHUTDOWN.is_set():
            raise ShuttingDown

    def _enter(self, stage: Stage) -> None:
        self.record.enter(stage)
        self._report()

    def _on_event(self, event: Event) -> None:
        if event.event == "log":
            log.info("process", message=event.message)
            return
        self.record.take(event)
        self._report()

    def _report(self) -> None:
        """Show progress. It is a heartbeat as well, so its answer counts as one."""
        statement = statements.report(
            lease_of(self.job),
            lease_seconds=self.settings.lease_seconds,
            stage=self.record.current,
            stages=self.record.shown(),
            progress=self.record.progress,
            warnings=self.record.warnings,
        )
        with self.sessions.begin() as session:
            self.heartbeat.note(session.scalar(statement))

    def _try_again(self, code: ProblemCode, detail: str) -> None:
        with self.sessions.begin() as session:
            record.crashed(session, self.job, problem(code, detail))
        log.warning("attempt ended abnormally", detail=detail, attempt=self.job.attempt)
