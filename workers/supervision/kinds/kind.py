"""What the supervision asks of a kind of job, and does not know by itself.

A job of a `Kind` is done in a process of its own, which is told neither database nor store; an `Errand` has no process.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from sqlalchemy.orm import Session

from app.contracts.model import Contract
from app.contracts.problem import Problem
from app.contracts.status import Stage
from app.settings import Settings
from app.storage import ObjectStore
from app.tables import Job
from workers.supervision.brief import Brief
from workers.supervision.held_job import HeldJob
from workers.supervision.transfers import Transfers

K = TypeVar("K", bound=Contract)
V = TypeVar("V", bound=Contract)


class Kind(Protocol[K, V]):
    """Its process turns a task, K, into a result, V: see `workers.protocol`."""

    stages: tuple[Stage, ...]
    """Those that every such job has. One that only some have is shown when it is entered."""
    result: type[V]
    takes_gpu: bool
    """Of a job that was claimed for a GPU: whether its process may use it. Behind its nodes lies a driver of the
    kernel, so nothing that parses uploads may."""
    keeps_steps: bool
    """Whether results of its steps are kept (`workers.protocol.step_keys`)."""

    def brief(self, session: Session, job: Job, settings: Settings) -> Brief[K]:
        """The task, and its files by digest."""

    def refusal_without_sandbox(self, task: K) -> Problem | None:
        """Why the task is not done where no sandbox holds; None if it is done all the same."""

    def room_bytes(self, brought_bytes: int) -> int | None:
        """Memory that no honest task needs, whose files have so many bytes. None if its files do not tell."""

    def keep(self, held: HeldJob, done: V, scratch: Path, transfers: Transfers) -> Callable[[Session], None]:
        """Store what the process made; returns the one transaction that ends the job with it. That may run again.

        Raises ProblemFound if the result is refused, and AbnormalEnd if the process cannot have meant it.
        """


@runtime_checkable
class Errand(Protocol):
    """The supervisor does it itself: there is nothing to compute, and a job's process knows no store."""

    stages: tuple[Stage, ...]
    takes_gpu: bool

    def see_through(self, held: HeldJob, store: ObjectStore) -> None:
        """Do the work and record its end. What is raised ends the attempt."""


AnyKind: TypeAlias = Kind[Any, Any] | Errand
