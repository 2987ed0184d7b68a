"""One attempt at one job, from the claim to its end. Every way in which it can end is written down here once."""

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from app.contracts.problem import Problem, ProblemFound, problem
from app.jobs import lease as statements
from app.jobs.retry_class import postponement
from app.settings import Settings
from app.storage import ObjectStore, StorageError, StoreUnavailable
from app.tables import Job
from workers.protocol.outcome import Finished, Outcome
from workers.sandbox.gpu import Gpu
from workers.supervision import record
from workers.supervision.abnormal_end import AbnormalEnd, ProcessCrashed
from workers.supervision.held_job import HeldJob
from workers.supervision.interruption import CancelRequested, LeaseLost, ShuttingDown
from workers.supervision.kinds.kind import Errand, Kind
from workers.supervision.kinds.known import kind_of
from workers.supervision.process_work import ProcessWork
from workers.supervision.scratch import attempt_folder
from workers.supervision.transfers import Transfers

log = structlog.get_logger("lowbit.attempt")


@dataclass
class Attempt:
    job: Job
    settings: Settings
    sessions: sessionmaker[Session]
    store: ObjectStore
    gpu: Gpu | None = None

    def __post_init__(self) -> None:
        self.kind = kind_of(self.job)
        self.held = HeldJob(self.job, self.settings, self.sessions, self.kind.stages)
        self.transfers = Transfers(self.store, self.held.check)

    def see_through(self) -> bool:
        """Do the work and record its end, whatever it is. False if this worker had better not claim the next job."""
        try:
            with self.held.heartbeat:
                return self._work()
        except LeaseLost:
            return self._let_go()

    def _let_go(self) -> bool:
        """The work was stopped in time; if nobody has the job yet, it is not to blame for a database that was away."""
        try:
            return self._postpone("the database does not answer")
        except LeaseLost:
            log.warning("lease lost; nothing is written")
            return True

    def _work(self) -> bool:  # noqa: C901  one branch for each way to end
        try:
            self._do()
        except LeaseLost:
            raise
        except CancelRequested:
            self._stop_as_asked()
        except ShuttingDown:
            self._give_back()
            return False
        except ProblemFound as found:
            self._refuse(found.problem)
        except AbnormalEnd as end:
            self._end_abnormally(end)
        except StoreUnavailable:
            return self._postpone("the object store does not answer")
        except StorageError:
            self._refuse(problem("artifact_store_unavailable", "The stored content is missing or damaged."))
        except DataError:
            self._refuse(problem("internal", "The result holds a text that cannot be stored."))
        except (OperationalError, InterfaceError) as error:
            log.warning("the database failed", error=type(error).__name__)
            return self._postpone("the database does not answer")
        except OSError as error:
            if error.errno != errno.ENOSPC:
                log.exception("the scratch folder cannot be used")
                return self._postpone("the scratch folder cannot be used")
            self._refuse(problem("insufficient_scratch", "The worker's disk is full."))
        except Exception:
            log.exception("attempt failed in a way that is not foreseen")
            self._end_abnormally(AbnormalEnd("The worker met a condition that it does not handle."))
            return False
        return True

    def _do(self) -> None:
        """The work of a job of this kind, to its recorded end."""
        if isinstance(self.kind, Errand):
            self.kind.see_through(self.held, self.store)
            return
        name = f"{self.job.id}-{self.job.lease_token}"
        with attempt_folder(self.settings.require_scratch_dir(), name) as scratch:
            outcome = ProcessWork(self.kind, self.held, self.transfers, scratch, self.gpu).outcome()
            self._finish(self.kind, outcome, scratch)

    def _finish(self, kind: Kind[Any, Any], outcome: Outcome, scratch: Path) -> None:
        if not isinstance(outcome, Finished):
            self._refuse(outcome.problem)
            return
        done = outcome.ok
        if not isinstance(done, kind.result):
            raise ProcessCrashed("its outcome is that of another kind of job")
        self.held.write_end(kind.keep(self.held, done, scratch, self.transfers))
        log.info("job succeeded")

    def _stop_as_asked(self) -> None:
        stages = self.held.record.shown(failed=True)
        self.held.write_end(lambda s: s.execute(statements.cancelled(self.held.lease, stages=stages)))
        log.info("job cancelled")

    def _give_back(self) -> None:
        self.held.write_end(lambda s: s.execute(statements.give_back(self.held.lease)))
        log.info("job given back")

    def _refuse(self, why: Problem) -> None:
        self.held.write_end(lambda s: record.refused(s, self.held, why))
        log.info("job failed", code=why.code)

    def _end_abnormally(self, end: AbnormalEnd) -> None:
        self.held.write_end(lambda s: record.ended_abnormally(s, self.held, end))
        log.warning("attempt ended abnormally", why=end.retry_class, detail=str(end), attempt=self.job.attempt)

    def _postpone(self, why: str) -> bool:
        """Not the job's fault: it waits, for another worker or for better times, and this worker pauses."""
        pause = postponement(self.job.postponements, total_seconds=self.settings.postpone_seconds)
        if pause is None:
            self._refuse(problem("artifact_store_unavailable", f"The job waited in vain: {why}."))
        else:
            postponed = statements.postpone(self.held.lease, pause_seconds=pause)
            if self.held.write_end(lambda s: s.scalar(postponed)) is None:
                raise LeaseLost
            log.warning("job postponed", why=why, pause_seconds=round(pause, 1))
        return False
