"""The one task: claim what is next in a queue and see it through. Running it twice, or for nothing, does no harm."""

import signal
from typing import Any

from celery import signals

from app.die_with_parent import set_parent_death_signal
from app.jobs.announce import TASK_NAME
from app.settings import settings
from workers.celery_app import celery
from workers.supervision.crew import Crew
from workers.supervision.scratch import sweep
from workers.supervision.shutdown import SHUTDOWN

_crew: Crew | None = None


@celery.task(name=TASK_NAME)
def run_next(queue: str) -> None:
    """Work until nothing waits in the queue, or the worker is told to stop."""
    crew = _crew_of_this_process()
    while not SHUTDOWN.is_set() and crew.run_one(queue):
        pass


def _crew_of_this_process() -> Crew:
    global _crew  # noqa: PLW0603  connections belong to a process, and are made after the fork
    if _crew is None:
        _crew = Crew.of(settings())
    return _crew


@signals.worker_init.connect
def _clean_up_after_the_dead(**_: Any) -> None:  # noqa: ANN401  Celery's own signature
    sweep(settings().require_scratch_dir())


@signals.worker_process_init.connect
def _die_with_the_worker(**_: Any) -> None:  # noqa: ANN401
    set_parent_death_signal(signal.SIGKILL)


@signals.worker_shutting_down.connect
def _give_jobs_back(**_: Any) -> None:  # noqa: ANN401
    SHUTDOWN.set()
