"""One attempt at one job, from the claim to its end. Every way in which it can end is written down here once."""

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy.exc import DataError, DBAPIError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from app.contracts.problem import Problem, problem
from app.contracts.status import QUANTIZE_STAGES, JobKind, Stage
from app.jobs import lease as statements
from app.jobs.lease import Lease
from app.settings import Settings
from app.storage import ObjectStore, StorageError, StoreUnavailable
from app.tables import Job
from workers.pipeline.protocol import (
    DatasetInspected,
    Event,
    Finished,
    ModelInspected,
    Outcome,
    Quantized,
    Result,
)
from workers.supervision import job_process, record
from workers.supervision.heartbeat import CancelRequested, Heartbeat, LeaseLost
from workers.supervision.inputs import Inputs
from workers.supervision.job_process import ProcessCrashed
from workers.supervision.record import OutcomeInconsistent, OutputNotPlain, lease_of
from workers.supervision.scratch import attempt_folder
from workers.supervision.shutdown import SHUTDOWN
from workers.supervision.stages import StageRecord

log = structlog.get_logger("lowbit.attempt")

INSPECTION_STAGES = (Stage.FETCH, Stage.INSPECT)
RETRY_SECONDS = 0.5
POSTPONE_SECONDS = 10.0
"""Before a job that could not be done here is offered again."""


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

    def see_through(self) -> bool:
        """Do the work and record its end, whatever it is. False if this worker had better not claim the next job."""
        try:
            with self.heartbeat:
                return self._work()
        except LeaseLost:
            log.warning("lease lost; nothing is written")
            return True

    def _work(self) -> bool:  # noqa: C901  one branch for each way to end
        name = f"{self.job.id}-{self.job.lease_token}"
        try:
            with attempt_folder(self.settings.require_scratch_dir(), name) as scratch:
                self._finish(self._outcome(scratch), scratch)
        except LeaseLost:
            raise
        except CancelRequested:
            self._write(lambda s: s.execute(statements.cancelled(self._lease, stages=self.record.shown(failed=True))))
            log.info("job cancelled")
        except ShuttingDown:
            self._write(lambda s: s.execute(statements.give_back(self._lease)))
            log.info("job given back")
        except (ProcessCrashed, OutputNotPlain, OutcomeInconsistent) as crash:
            self._try_again(f"The job's process died: {crash}.")
        except StoreUnavailable:
            return self._postpone("the object store does not answer")
        except StorageError:
            self._refuse(problem("artifact_store_unavailable", "The stored content is missing or damaged."))
        except DataError:
            self._refuse(problem("internal", "The result holds a text that cannot be stored."))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                log.exception("the scratch folder cannot be used")
                return self._postpone("the scratch folder cannot be used")
            self._refuse(problem("insufficient_scratch", "The worker's disk is full."))
        except Exception:
            log.exception("attempt failed in a way that is not foreseen")
            self._try_again("The worker met a condition that it does not handle.")
            return False
        return True

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
            self._refuse(outcome.problem)
            return
        done = outcome.ok
        if not isinstance(done, _RESULT_OF[JobKind(self.job.kind)]):
            raise ProcessCrashed("its outcome is that of another kind of job")
        if isinstance(done, Quantized):
            record.require_consistent(done.outcome)
            artifacts = record.stored(self.job, done.outcome, scratch, self.store, self._check)
            self._write(lambda s: record.quantized(s, self.job, done.outcome, artifacts, self.record))
        else:
            self._write(lambda s: record.inspected(s, self.job, done, self.record))
        log.info("job succeeded")

    @property
    def _lease(self) -> Lease:
        return lease_of(self.job)

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
        """Show progress. It is a heartbeat as well; one that the database does not take is missed like any other."""
        statement = statements.report(
            self._lease,
            lease_seconds=self.settings.lease_seconds,
            stage=self.record.current,
            stages=self.record.shown(),
            progress=self.record.progress,
            warnings=self.record.warnings,
        )
        asked_at = time.monotonic()
        try:
            with self.sessions.begin() as session:
                self.heartbeat.note(session.scalar(statement), asked_at=asked_at)
        except DBAPIError as error:
            log.warning("progress not shown", error=type(error).__name__)

    def _write(self, write: Callable[[Session], object]) -> None:
        """Write how it ended, as long as the lease holds: a restart of the database must not cost hours of work."""
        while True:
            self.heartbeat.require_lease()
            try:
                with self.sessions.begin() as session:
                    write(session)
            except OperationalError as error:
                log.warning("the end cannot be written yet", error=type(error).__name__)
                time.sleep(RETRY_SECONDS)
            else:
                return

    def _refuse(self, why: Problem) -> None:
        self._write(lambda s: record.refused(s, self.job, why, self.record))
        log.info("job failed", code=why.code)

    def _try_again(self, detail: str) -> None:
        cause = problem("worker_lost", detail)
        self._write(lambda s: record.crashed(s, self.job, cause, self.record))
        log.warning("attempt ended abnormally", detail=detail, attempt=self.job.attempt)

    def _postpone(self, why: str) -> bool:
        """Not the job's fault: it waits, for another worker or for better times, and this worker pauses."""
        self._write(lambda s: s.execute(statements.give_back(self._lease, pause_seconds=POSTPONE_SECONDS)))
        log.warning("job postponed", why=why)
        return False


_RESULT_OF: dict[JobKind, type[Result]] = {
    JobKind.INSPECT_MODEL: ModelInspected,
    JobKind.INSPECT_DATASET: DatasetInspected,
    JobKind.QUANTIZE: Quantized,
}
